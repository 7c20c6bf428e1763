"""QONNX's `Quant`: in the graph, and as a function in the file, so that tools that do not know QONNX run it too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sw.formats.qonnx.graph import OPSET, QONNX_DOMAIN, OnnxGraph
from sw.formats.qonnx.library import onnx

ATTRIBUTES = {"signed": 1, "narrow": 1, "rounding_mode": "ROUND"}
"""Of every `Quant`: weights are symmetric."""


def quantised(graph: OnnxGraph, name: str, integers: NDArray[np.int8], bits: int) -> str:
    """Add weights of so many bits, with a scale of 1; gives the name of what `Quant` gives, the integers in float32."""
    weight = graph.constant(f"{name}.integers", integers.astype(np.float32))
    about = f"{name}: {bits}-bit integers, symmetric"
    inputs = (weight, graph.scalar(1), graph.scalar(0), graph.scalar(bits))
    graph.annotate(name, f"INT{bits}")
    return graph.add("Quant", name, *inputs, about=about, domain=QONNX_DOMAIN, **ATTRIBUTES)


def quant_function() -> onnx.FunctionProto:
    """What `Quant` is with these `ATTRIBUTES`, in ONNX's own operators; QONNX takes its own instead."""
    text = f"""
    <opset_import: ["" : {OPSET}], domain: "{QONNX_DOMAIN}">
    Quant <signed, narrow, rounding_mode> (x, scale, zero, bits) => (y)
    {{
        one = Constant <value_float = 1.0> ()
        two = Constant <value_float = 2.0> ()
        less = Sub (bits, one)
        power = Pow (two, less)
        largest = Sub (power, one)
        smallest = Neg (largest)
        scaled = Div (x, scale)
        shifted = Add (scaled, zero)
        clipped = Clip (shifted, smallest, largest)
        integers = Round (clipped)
        centred = Sub (integers, zero)
        y = Mul (centred, scale)
    }}
    """
    return onnx.parser.parse_function(text)
