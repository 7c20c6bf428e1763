"""Random programs for the tests of those who read them, and what must come out."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, field

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR_BITS, Opcode, encode
from hw.program.header import CRC_BYTES, encode_header


@dataclass
class Layer:
    """One descriptor and what follows it in the stream.

    Attributes
    ----------
    fields : dict
        Of the descriptor.
    parameters, weights : list of list of int
        Beats per output tile; the weights are those of all segments.
    """

    fields: dict[str, int]
    parameters: list[list[int]] = field(default_factory=list)
    weights: list[list[int]] = field(default_factory=list)

    @property
    def descriptor(self) -> int:
        return encode(**self.fields)

    def segments(self) -> list[tuple[int, int, bool]]:
        """Deliveries of an output tile as first and last beat (exclusive) and whether they are low halves."""
        beats, wide, image = (self.fields[name] for name in ("weight_beats", "wide", "image"))
        order = []
        for _ in range(self.fields["tiles"]):
            for half in range(1 + wide):
                for turn in range(self.fields["passes"]):
                    segment = half * (1 + image) + (image and turn != 0)
                    order.append((segment * beats, (segment + 1) * beats, bool(half)))
        return order

    def delivered(self) -> list[tuple[int, int]]:
        """Weights in the order of their deliveries, with the mark of unsigned ones: low halves but the image's."""
        return [
            (weights[beat], int(low and not self.fields["image"]))
            for weights in self.weights
            for first, end, low in self.segments()
            for beat in range(first, end)
        ]


def weight_layer(config: HardwareConfig, rng: random.Random, *, output_tiles: int, **fields: int) -> Layer:
    """A layer with random parameters and weights; fields missing are those of a plain layer."""
    fields = {"tiles": 1, "passes": 1, "wide": 0, "image": 0} | fields
    beats = fields["weight_beats"] * (1 + fields["wide"]) * (1 + fields["image"])
    return Layer(
        {"opcode": Opcode.WEIGHTS, "output_tiles": output_tiles, "layer": rng.randrange(256), **fields},
        [[rng.getrandbits(config.memory_bits) for _ in range(config.parameter_beats)] for _ in range(output_tiles)],
        [[rng.getrandbits(config.memory_bits) for _ in range(beats)] for _ in range(output_tiles)],
    )


def plain_layer(rng: random.Random, opcode: Opcode) -> Layer:
    """A layer without weights."""
    return Layer({"opcode": opcode, "memory_address": rng.getrandbits(32), "groups": rng.randrange(1 << 17)})


def random_layers(config: HardwareConfig, rng: random.Random, count: int, *, most: int) -> list[Layer]:
    """Layers of all kinds with at most `most` beats of weights per output tile, ending with END."""
    layers = []
    for _ in range(count):
        kind = rng.choice([Opcode.LOAD, Opcode.ATTENTION, *[Opcode.WEIGHTS] * 4])
        if kind != Opcode.WEIGHTS:
            layers.append(plain_layer(rng, kind))
            continue
        wide, image = rng.random() < 0.3, rng.random() < 0.3
        layers.append(
            weight_layer(
                config, rng, output_tiles=rng.randint(1, 3), tiles=rng.randint(1, 3),
                passes=rng.randint(2, 4) if image else rng.randint(1, 3), wide=int(wide), image=int(image),
                weight_beats=rng.randint(1, most // (1 + wide) // (1 + image)),
            )
        )  # fmt: skip
    return [*layers, plain_layer(rng, Opcode.END)]


def descriptor_beats(config: HardwareConfig, descriptor: int) -> list[int]:
    """A descriptor cut into beats, the lowest first."""
    mask = (1 << config.memory_bits) - 1
    return [descriptor >> shift & mask for shift in range(0, DESCRIPTOR_BITS, config.memory_bits)]


def sealed(config: HardwareConfig, beats: list[int]) -> list[int]:
    """Beats with the CRC-32 of all before it in the last one."""
    width = config.memory_bits // 8
    content = b"".join(beat.to_bytes(width, "little") for beat in beats)[:-CRC_BYTES]
    content += zlib.crc32(content).to_bytes(CRC_BYTES, "little")
    return [int.from_bytes(content[at : at + width], "little") for at in range(0, len(content), width)]


def enclosed(config: HardwareConfig, stream: list[int], *, behind: int = 0) -> list[int]:
    """A whole program: header, `stream`, `behind` beats more that nobody uses, and the CRC-32."""
    width = config.memory_bits // 8
    length = len(stream) + behind + 2
    return sealed(config, [encode_header(length * width), *stream, *[0x5A] * behind, 0])


def assemble(config: HardwareConfig, layers: list[Layer]) -> list[int]:
    """Descriptors, parameters and weights of a program."""
    stream = []
    for layer in layers:
        stream += descriptor_beats(config, layer.descriptor)
        for parameters, weights in zip(layer.parameters, layer.weights, strict=True):
            stream += [*parameters, *weights]
    return stream
