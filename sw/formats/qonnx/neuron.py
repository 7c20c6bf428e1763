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
    zero = onnx.numpy_helper.from_array(np.zeros(1, threshold.dtype))
    start = graph.add("ConstantOfShape", f"{name}.start", graph.shape(*shape), value=zero)
    spikes = f"{name}.spikes"
    graph.nodes.append(
        onnx.helper.make_node(
            "Scan",
            [start, current],
            [f"{name}.rest", spikes],
            f"{name}.neuron",
            f"{name}: neurons, {'leaky ' if leaky else ''}integrate-and-fire, over the time steps",
            body=_time_step(shape, threshold, leaky=leaky),
            num_scan_inputs=1,
        )
    )
    graph.annotate(spikes, "BINARY")
    return spikes


def _time_step(shape: tuple[int, ...], threshold: NDArray[np.floating], *, leaky: bool) -> onnx.GraphProto:
    """From membrane and current to the next membrane and the spikes."""
    step, kind = OnnxGraph(), threshold.dtype
    charged = step.add("Add", "charged", "membrane", "current")
    if leaky:
        charged = step.add("Mul", "leaked", charged, step.constant("half", np.array(0.5, kind)))
    fires = step.add("GreaterOrEqual", "fires", charged, step.constant("threshold", threshold.reshape(-1, 1, 1)))
    step.add("Cast", "spike", fires, to=onnx.TensorProto.FLOAT)
    step.add("Where", "rest", fires, step.constant("zero", np.zeros((), kind)), charged)

    def tensor(name: str, number: int = onnx.helper.np_dtype_to_tensor_dtype(kind)) -> onnx.ValueInfoProto:
        return onnx.helper.make_tensor_value_info(name, number, shape)

    inputs, outputs = [tensor("membrane"), tensor("current")], [tensor("rest"), tensor("spike", onnx.TensorProto.FLOAT)]
    return onnx.helper.make_graph(step.nodes, "LIF" if leaky else "IF", inputs, outputs, step.initializers)
