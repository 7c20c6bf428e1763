"""The spiking neuron: a `Scan` over time of what the paper writes, ``H = (V + X) / 2``, spike, hard reset."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sw.formats.qonnx.graph import OnnxGraph
from sw.formats.qonnx.library import onnx


def add_neuron(
    graph: OnnxGraph, name: str, current: str, shape: tuple[int, ...], threshold: NDArray[np.floating], *, leaky: bool
) -> str:
    """Add the neurons of a layer.

    Parameters
    ----------
    graph : OnnxGraph
    name : str
        The layer's.
    current : str
        Tensor [T, B, C, H, W] of `threshold`'s type.
    shape : tuple of int
        [B, C, H, W].
    threshold : array [C]
        In units of the current.
    leaky : bool
        Whether the neuron leaks.

    Returns
    -------
    str
        Spikes [T, B, C, H, W], float32.
    """
    kind = onnx.helper.np_dtype_to_tensor_dtype(threshold.dtype)
    zero = onnx.numpy_helper.from_array(np.zeros(1, threshold.dtype))
    start = graph.add("ConstantOfShape", f"{name}.start", graph.shape(*shape), value=zero)
    charge = f"{name}.charge"
    steps = [
        onnx.helper.make_node("Add", ["V", "X"], ["sum" if leaky else "H"], charge),
        *([onnx.helper.make_node("Mul", ["sum", "half"], ["H"], f"{name}.leak")] if leaky else []),
        onnx.helper.make_node("GreaterOrEqual", ["H", "threshold"], ["fires"], f"{name}.fire"),
        onnx.helper.make_node("Cast", ["fires"], ["spike"], f"{name}.spike", to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Where", ["fires", "zero", "H"], ["reset"], f"{name}.reset"),
    ]
    constants = {
        "threshold": threshold.reshape(-1, 1, 1),
        "zero": np.zeros((), threshold.dtype),
        **({"half": np.array(0.5, threshold.dtype)} if leaky else {}),
    }
    of_type = onnx.helper.make_tensor_value_info
    body = onnx.helper.make_graph(
        steps,
        f"{name}.step",
        [of_type("V", kind, shape), of_type("X", kind, shape)],
        [of_type("reset", kind, shape), of_type("spike", onnx.TensorProto.FLOAT, shape)],
        [onnx.numpy_helper.from_array(value, constant) for constant, value in constants.items()],
    )
    spikes = f"{name}.spikes"
    about = f"{name}: neurons, {'leaky ' if leaky else ''}integrate-and-fire, over the time steps"
    graph.append([f"{name}.rest", spikes], "Scan", f"{name}.neuron", start, current, about=about, body=body, num_scan_inputs=1)
    graph.annotate(spikes, "BINARY")
    return spikes
