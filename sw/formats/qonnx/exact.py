"""Which floating-point type says a layer's integers exactly; tools for ONNX calculate in no other.

A type holds every integer up to a limit, and so every multiple of a power of two up to the limit times that power: the
currents, in units of ``2^-f``, and the membranes, which gain a bit a step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sw.artifact.ranges import LayerRange
from sw.errors import UserError
from sw.layer import Layer

LIMITS: dict[type[np.floating], int] = {np.float32: 2**24, np.float64: 2**53}
"""Largest integer up to which a type holds all of them."""


def result_type(layer: Layer, bounds: LayerRange, timesteps: int) -> type[np.floating]:
    """Type for a layer's currents and membranes, or for the head's sums over all tokens and time steps and its logits.

    Sums of one position, before the bias, are always taken in float32: tools run convolutions in no other type.

    Raises
    ------
    UserError
        Naming the layer, if no type is exact.
    """
    sums, results = (max(-low, high) for low, high in (bounds.accumulator, bounds.result))
    if sums > LIMITS[np.float32]:
        raise UserError(
            f"{layer.name}: its sums reach {sums:,}, and float32, in which tools for ONNX take them, holds integers up "
            f"to {LIMITS[np.float32]:,}; train it with fewer bits or channels"
        )
    if layer.kind == "head":
        results = max(results, layer.positions * timesteps * max(sums, layer.input_max))
    for kind, limit in LIMITS.items():
        if results <= limit:
            return kind
    raise UserError(
        f"{layer.name}: its {bounds.result_name} reaches {results:,}, and float64 holds integers up to "
        f"{LIMITS[np.float64]:,}; export the artifact with fewer bias fraction bits or time steps"
    )


def scaled_up(integers: NDArray[np.integer], bits: int, kind: type[np.floating]) -> NDArray[np.floating]:
    """``integers / 2^bits``; where the type does not hold that, the next number above it which the type holds.

    What the type holds reaches the one iff it reaches the other, so thresholds may be of any size.

    Parameters
    ----------
    integers : array
    bits : int
        Fractional bits.
    kind : type
        Of the result.
    """
    numbers = [kind(value) for value in integers.tolist()]
    above = [
        number if int(number) >= value else np.nextafter(number, kind(np.inf))
        for number, value in zip(numbers, integers.tolist(), strict=True)
    ]
    return np.ldexp(np.array(above, kind), -bits)
