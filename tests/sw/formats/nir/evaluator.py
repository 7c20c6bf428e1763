"""Runs graphs of NIR in float64, for the tests: written from NIR's documentation, and knows nothing of Spikformers."""

from __future__ import annotations

from graphlib import TopologicalSorter
from typing import Any

import nir
import torch
from torch import Tensor
from torch.nn import functional


class Evaluator:
    """A graph without cycles; every step of `dt` seconds each node takes the sum of the edges that lead to it."""

    def __init__(self, graph: nir.NIRGraph, dt: float):
        self.nodes, self.dt = graph.nodes, dt
        self.sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for source, target in graph.edges:
            self.sources[target].append(source)
        self.order = list(TopologicalSorter(self.sources).static_order())
        self.voltages: dict[str, Tensor] = {}

    def step(self, x: Tensor) -> dict[str, Tensor]:
        """Outputs of every node for an input [B, C, H, W] of one time step."""
        outputs: dict[str, Tensor] = {}
        for name in self.order:
            node = self.nodes[name]
            if isinstance(node, nir.Input):
                outputs[name] = x.to(torch.float64)
                continue
            total = sum(outputs[source] for source in self.sources[name])
            assert isinstance(total, Tensor)
            outputs[name] = self._output(name, node, total)
        return outputs

    def _output(self, name: str, node: Any, x: Tensor) -> Tensor:
        if isinstance(node, nir.Conv2d):
            weight, bias = torch.tensor(node.weight), torch.tensor(node.bias)
            stride, padding, dilation = (tuple(map(int, p)) for p in (node.stride, node.padding, node.dilation))
            return functional.conv2d(x, weight, bias, stride, padding, dilation, int(node.groups))
        if isinstance(node, nir.SumPool2d):
            kernel, stride, padding = (tuple(map(int, p)) for p in (node.kernel_size, node.stride, node.padding))
            return functional.avg_pool2d(x, kernel, stride, padding, divisor_override=1)
        if isinstance(node, nir.Scale):
            return x * torch.tensor(node.scale)
        if isinstance(node, nir.Threshold):
            return (x > torch.tensor(node.threshold)).double()
        if isinstance(node, nir.Output):
            return x
        return self._neuron(name, node, x)

    def _neuron(self, name: str, node: Any, x: Tensor) -> Tensor:
        """Forward Euler, then spike and reset."""
        v = self.voltages.get(name, torch.zeros_like(x))
        r = torch.tensor(node.r)
        if isinstance(node, nir.LIF):
            v = v + self.dt / torch.tensor(node.tau) * (torch.tensor(node.v_leak) - v + r * x)
        else:
            assert isinstance(node, (nir.IF, nir.I)), node
            v = v + self.dt * r * x
        if isinstance(node, nir.I):
            self.voltages[name] = v
            return v
        fired = v > torch.tensor(node.v_threshold)
        self.voltages[name] = torch.where(fired, torch.tensor(node.v_reset), v)
        return fired.double()
