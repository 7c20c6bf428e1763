"""A compiled network: what the external memory holds, and what it means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR_BITS, Descriptor
from sw.layer import Layer

DESCRIPTOR_WORDS = DESCRIPTOR_BITS // 64


@dataclass(frozen=True)
class Job:
    """One descriptor, and what it means.

    Attributes
    ----------
    name : str
        The layer's name; ``load`` for the image, ``end`` for the last one.
    descriptor : Descriptor
    layer : Layer, optional
        The layer, unless `name` is one of those two.
    channels : range
        Output channels that the descriptor computes: an attention head's, or all of the layer.
    places : range
        Channels that it writes on the chip: those, in the same order, and behind them silent ones that fill a head's
        words.
    rows : range
        Rows of the feature map (before a pool) that it computes.
    """

    name: str
    descriptor: Descriptor
    layer: Layer | None = None
    channels: range = range(0)
    places: range = range(0)
    rows: range = range(0)

    @property
    def fields(self) -> dict[str, int]:
        """The number in every field of the descriptor, by name."""
        fields: dict[str, int] = self.descriptor.fields
        return fields


@dataclass(frozen=True, kw_only=True)
class Step(Job):
    """A descriptor of a program.

    Attributes
    ----------
    address : int
        64-bit word of the program where the descriptor lies; parameters and weights follow it.
    """

    address: int


@dataclass(frozen=True)
class Program:
    """What the external memory holds, and what it means.

    Attributes
    ----------
    config : HardwareConfig
        Configuration it was compiled for.
    steps : tuple of Step
        The descriptors in order.
    names : tuple of str
        Names of the layers by the number that descriptors carry: the load of the image is 0.
    memory : uint64 array
        The program, whole beats.
    image_strips : tuple of range
        Rows of the image that are loaded together, in their order; see `sw.compiler.image_pack.pack_image`.
    image_words : int
        64-bit words of one packed image.
    spike_words, residual_words : int
        Words used in the on-chip memories.
    """

    config: HardwareConfig
    steps: tuple[Step, ...]
    names: tuple[str, ...]
    memory: NDArray[np.uint64]
    image_strips: tuple[range, ...]
    image_words: int
    spike_words: int
    residual_words: int

    def steps_of(self, name: str) -> tuple[Step, ...]:
        """The descriptors of a layer, in their order."""
        return tuple(step for step in self.steps if step.name == name)

    @property
    def weight_words(self) -> int:
        """64-bit words of parameters and weights."""
        return len(self.memory) - len(self.steps) * int(DESCRIPTOR_WORDS)
