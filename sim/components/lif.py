"""Lif in Verilog against the integer neuron, at one set of sums per cycle."""

from __future__ import annotations

from typing import Any

import cocotb
import torch

from golden.neuron import lif
from sim.components.harness import parameters, pipeline, start


@cocotb.test()
async def fires_like_the_integer_neuron(dut: Any) -> None:
    """Random sums and biases over the whole range and around the threshold, exact ties included.

    With `if_neurons` every other set has no leak; its currents add up, so they are smaller.
    """
    given = parameters()
    steps, bits, fraction, count = (given[name] for name in ("timesteps", "sum_bits", "fraction_bits", "count"))
    generator = torch.Generator().manual_seed(given["seed"])
    high = 1 << bits - 1
    leaky = torch.arange(count) % 2 == 0 if given["if_neurons"] else torch.ones(count, dtype=torch.bool)
    spans = high >> torch.randint(0, bits - 1, (count,), generator=generator)
    spans = torch.where(leaky, spans, (spans // steps).clamp(min=1))
    total = (torch.rand(steps, count, generator=generator, dtype=torch.float64) * 2 - 1).mul(spans).round().long()
    total = total.clamp(-high, high - 1)
    spans = spans << fraction
    bias = (torch.rand(count, generator=generator, dtype=torch.float64) * 2 - 1).mul(spans - 1).round().long()
    current = (total << fraction) + bias
    # Thresholds in reach of the membrane; every third one is met exactly by the first step. Without leak they are
    # integers, which the machine has with a fraction.
    theta = (torch.rand(count, generator=generator, dtype=torch.float64) * spans * 2).long().clamp(min=1)
    threshold = (torch.rand(count, generator=generator, dtype=torch.float64) * spans * 2**steps / 2).long().clamp(min=1)
    threshold = torch.where(leaky, threshold, theta << (steps - 1))
    ties = (torch.arange(count) % 3 == 0) & (current[0] > 0)
    threshold = torch.where(ties, current[0] << (steps - 1), threshold)

    sets = [
        {
            "sums": sum((int(total[t, i]) & (2 * high - 1)) << t * bits for t in range(steps)),
            "bias": int(bias[i]) & (1 << bits + fraction + 1) - 1,
            "threshold": int(threshold[i]),
            **({"no_leak": int(not leaky[i])} if given["if_neurons"] else {}),
        }
        for i in range(count)
    ]
    await start(dut, dict.fromkeys(sets[0], 0))
    fired = await pipeline(dut, sets, "spikes", given["latency"])

    with_leak, _ = lif(current, threshold, steps)
    without, _ = lif(current, threshold >> (steps - 1), steps, leaky=False)
    expected = torch.where(leaky, with_leak, without)
    if given["if_neurons"]:
        assert bool((with_leak != without)[:, ~leaky].any()), "a leak would show"
    weights = 1 << torch.arange(steps)
    assert fired == (expected.long() * weights[:, None]).sum(0).tolist()
    assert expected.any() and not expected.all()
    assert bool(expected[0][ties].all()), "a tie fires"
