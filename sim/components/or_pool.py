"""OrPool in Verilog against a max-pool, with and without stalls on both ends."""

from __future__ import annotations

import random
from typing import Any

import cocotb
import torch
from torch.nn.functional import max_pool2d

from sim.components.harness import parameters, start, streams


@cocotb.test()
async def pools_like_max_pool(dut: Any) -> None:
    """Two images one after the other: every pooled word once, with its position and channel word."""
    given = parameters()
    height, width, words, bits, lanes = (given[name] for name in ("height", "width", "words", "word_bits", "lanes"))
    generator = torch.Generator().manual_seed(given["seed"])
    images = (torch.rand(2, words * bits, height, width, generator=generator) < 0.15).float()
    await start(dut, {
        "clear": 0, "height": height, "width": width, "words": words, "input_valid": 0, "output_ready": 0,
    })  # fmt: skip

    sent = [
        pack(images[image, word * bits : (word + 1) * bits, row, column + lane])
        for image in range(2)
        for row in range(height)
        for column in range(0, width, lanes)
        for word in range(words)
        for lane in range(lanes)
    ]
    pooled = max_pool2d(images, 3, stride=2, padding=1)
    expected = [
        {
            (row * (width // 2) + column, word): pack(pooled[image, word * bits : (word + 1) * bits, row, column])
            for row in range(height // 2)
            for column in range(width // 2)
            for word in range(words)
        }
        for image in range(2)
    ]
    fields = ("output_position", "output_word", "output_spikes")
    count = sum(map(len, expected))
    outputs, cycles = await streams(dut, sent, fields, count, given["stall"], random.Random(given["seed"]))

    assert len(outputs) == count
    for image in range(2):
        part = outputs[image * count // 2 : (image + 1) * count // 2]
        assert {(position, word): spikes for position, word, spikes in part} == expected[image]
    if not given["stall"]:
        assert cycles == len(sent) + given["latency"], "one word per cycle"


def pack(bits: torch.Tensor) -> int:
    """Bits as an integer, the first one lowest."""
    return sum(int(bit) << i for i, bit in enumerate(bits.tolist()))
