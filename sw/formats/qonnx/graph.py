"""Collects the nodes of an ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw.formats.qonnx.library import onnx

QONNX_DOMAIN = "qonnx.custom_op.general"
"""Where QONNX has its operators."""

OPSET = 17
"""Version of ONNX's own operators."""


class OnnxGraph:
    """Nodes, constants and quantisation annotations of a graph under construction.

    Attributes
    ----------
    nodes : list of NodeProto
        In order of execution.
    initializers : list of TensorProto
        The constants.
    annotations : list of TensorAnnotation
        What `annotate` was told.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.annotations: list[onnx.TensorAnnotation] = []
        self._shared: set[str] = set()

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant; gives its name."""
        self.initializers.append(onnx.numpy_helper.from_array(values, name))
        return name

    def shape(self, *sizes: int) -> str:
        """Name of the constant that is a shape, or a list of axes: one for all who ask for it."""
        return self._once(f"shape_{'x'.join(map(str, sizes))}", np.array(sizes, np.int64))

    def scalar(self, value: int) -> str:
        """Name of a constant of float32: one for all who ask for it."""
        return self._once(f"scalar_{value}", np.array(value, np.float32))

    def _once(self, name: str, values: NDArray[Any]) -> str:
        if name not in self._shared:
            self._shared.add(self.constant(name, values))
        return name

    def add(self, kind: str, output: str, *inputs: str, about: str = "", domain: str = "", **attributes: Any) -> str:
        """Add a node of one output, which has the node's name; gives that.

        Parameters
        ----------
        kind : str
            The operator.
        output : str
        inputs : str
        about : str
            What the node is, for who looks at it.
        domain : str
            Of the operator.
        attributes
            Of the node.
        """
        self.nodes.append(onnx.helper.make_node(kind, inputs, [output], output, about or None, domain, **attributes))
        return output

    def annotate(self, tensor: str, datatype: str) -> None:
        """Say which integers a tensor holds, by QONNX's name of their type, such as ``BINARY`` or ``INT12``."""
        annotation = onnx.TensorAnnotation(tensor_name=tensor)
        annotation.quant_parameter_tensor_names.add(key="finn_datatype", value=datatype)
        self.annotations.append(annotation)
