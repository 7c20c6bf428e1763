"""An artifact as an ONNX graph, layer by layer.

======================== ===================== =====================================================================
tensor                   shape                 is
======================== ===================== =====================================================================
``image``, ``events``    [B, (T,) C, H, W]     what goes in: uint8 pixels, or counts of event frames
``input``                [B or T*B, C, H, W]   their integers by the artifact's table
``<layer>.weight``       [out, in, k, k]       what `Quant` gives: integers
``<layer>``              [T*B, C, H, W]        sums of weight times input; of attention ``Q (K^T V)``
``<layer>.current``      [T*B, C, H, W]        the sums, after a pool that comes before the neurons, with the bias
``<layer>.spikes``       [T, B, C, H, W]       of the neurons
``<layer>.pooled``       [T*B, C, H/2, W/2]    after a pool that follows the neurons
``<layer>.residual``     [T*B, C, H, W]        the residual stream after the layer's spikes joined it
``logits``               [B, classes]          integers, as the golden model's
======================== ===================== =====================================================================

Everything but the logits is in units of the weights; biases and thresholds, which artifacts hold in units of ``2^-f``
and ``2^-(f+T)``, are fractions here. Convolutions see the time steps as so many more images.
"""

from __future__ import annotations

import numpy as np

from sw.artifact.artifact import Artifact
from sw.artifact.ranges import layer_ranges, signed_bits
from sw.formats.qonnx.exact import result_type, scaled_up
from sw.formats.qonnx.graph import OnnxGraph
from sw.formats.qonnx.library import onnx
from sw.formats.qonnx.neuron import add_neuron
from sw.formats.qonnx.quant import quantised
from sw.layer import Layer
from sw.network import RESIDUAL_CLAMP

LOGITS = "logits"
"""Name of what comes out."""


class LayerNodes:
    """Adds the nodes of an artifact's layers to a graph.

    Parameters
    ----------
    graph : OnnxGraph
    artifact : Artifact
    batch : int
        Images that the model takes at once.

    Raises
    ------
    UserError
        Naming the layer, if its integers are not exact in any floating-point type.
    """

    def __init__(self, graph: OnnxGraph, artifact: Artifact, batch: int):
        self._graph, self._artifact, self._batch = graph, artifact, batch
        self._network = artifact.network
        self._folded = self._network.timesteps * batch
        self._ranges = layer_ranges(artifact)
        self._types = {
            layer.name: result_type(layer, self._ranges[layer.name], self._network.timesteps)
            for layer in self._network.layers()
        }

    @property
    def logits_type(self) -> int:
        """Type of the logits in the numbers of ONNX."""
        return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(self._types[self._network.layers()[-1].name])))

    def add(self) -> None:
        """Add all layers, from the input to the logits."""
        layers, network = self._network.layers(), self._network
        outputs = {layers[0].source: self._input(layers[0].source)}
        residual, largest = "", 1
        for layer in layers:
            sources = (residual,) if layer.source == "residual" else tuple(outputs[name] for name in layer.sources)
            if layer.kind == "head":
                self._head(layer, *sources)
                continue
            sums = self._attention(layer, *sources) if layer.kind == "attention" else self._weighted(layer, *sources)
            spikes = outputs[layer.name] = self._fire(layer, sums)
            if layer.residual:
                largest = network.residual_after(largest)
                residual = self._join(layer, residual or sources[0], spikes)
                self._graph.annotate(residual, unsigned(largest))

    def _input(self, name: str) -> str:
        """Network input of pixels or counts by the artifact's table: one look-up for all channels."""
        graph, network, table = self._graph, self._network, self._artifact.image_table
        graph.annotate(name, "UINT8")
        size, channels = network.image_size, network.image_channels
        if network.events:
            steps = graph.add("Transpose", f"{name}.steps", name, about="time first", perm=[1, 0, 2, 3, 4])
            name = graph.add("Reshape", f"{name}.folded", steps, graph.shape(self._folded, channels, size, size))
        rows = graph.constant("input.rows", 256 * np.arange(channels, dtype=np.int64).reshape(-1, 1, 1))
        values = graph.constant("input.table", table.reshape(-1).astype(np.float32))
        index = graph.add("Cast", "input.pixel", name, to=onnx.TensorProto.INT64)
        index = graph.add("Add", "input.index", index, rows, about="a row of the table for each channel")
        result = graph.add("Gather", "input", values, index, about="network input of each pixel or count", axis=0)
        for tensor in (values, result):
            graph.annotate(tensor, unsigned(network.largest_pixel) if network.events else "INT8")
        return result

    def _weighted(self, layer: Layer, source: str) -> str:
        """Sums of weight times input: a convolution, 1x1 for linear layers."""
        graph, weight = self._graph, self._artifact.tensors[layer.name].weight
        kernel = weight if layer.kind == "conv" else weight[..., np.newaxis, np.newaxis]
        name = quantised(graph, f"{layer.name}.weight", kernel, self._artifact.weight_bits)
        side = kernel.shape[-1]
        about = f"{layer.name}: {layer.kind} layer, {layer.in_channels} to {layer.out_channels} channels"
        pads = [side // 2] * 4
        sums = graph.add("Conv", layer.name, source, name, about=about, kernel_shape=[side, side], pads=pads)
        graph.annotate(sums, self._integers(layer))
        return sums

    def _attention(self, layer: Layer, q: str, k: str, v: str) -> str:
        """``Q (K^T V)`` by heads; channels come before tokens, so it is ``(V K^T) Q``."""
        graph, network, name = self._graph, self._network, layer.name
        heads = graph.shape(self._folded, network.heads, network.head_dim, network.tokens)
        q, k, v = (
            graph.add("Reshape", f"{name}.{part}", tensor, heads) for part, tensor in (("q", q), ("k", k), ("v", v))
        )
        k = graph.add("Transpose", f"{name}.k_tokens", k, perm=[0, 1, 3, 2])
        about = f"{name}: for each pair of channels of a head, tokens at which key and value fire"
        kv = graph.add("MatMul", f"{name}.kv", v, k, about=about)
        graph.annotate(kv, unsigned(network.tokens))
        about = f"{name}: {network.heads} heads of {network.head_dim} channels, {network.tokens} tokens"
        sums = graph.add("MatMul", f"{name}.heads", kv, q, about=about)
        sums = graph.add("Reshape", name, sums, self._grid(layer, self._folded))
        graph.annotate(sums, self._integers(layer))
        return sums

    def _fire(self, layer: Layer, sums: str) -> str:
        """Neurons of a layer, with its bias and its pool; gives what later layers read, [T*B, C, H, W]."""
        graph, network, name = self._graph, self._network, layer.name
        kind, fraction = self._types[name], 0
        if layer.pool_first:
            sums = self._pool(f"{name}.pooled_sums", sums, f"{name}: the largest sum of each window")
            graph.annotate(sums, self._integers(layer))
        if kind is not np.float32:
            about = f"{name}: its membranes are beyond the integers of float32"
            sums = graph.add("Cast", f"{name}.wide", sums, about=about, to=onnx.TensorProto.DOUBLE)
        if layer.kind == "attention":
            threshold = np.full(layer.out_channels, network.attention_threshold)
            current = sums
        else:
            parameters, fraction = self._artifact.tensors[name], self._artifact.bias_fraction_bits
            assert parameters.threshold is not None
            threshold = parameters.threshold
            bias = np.ldexp(parameters.bias.astype(kind), -fraction).reshape(-1, 1, 1)
            current = graph.add(
                "Add", f"{name}.current", sums, graph.constant(f"{name}.bias", bias), about=f"{name}: bias"
            )
        size = layer.height // 2 if layer.pool_first else layer.height
        shape = (self._batch, layer.out_channels, size, size)
        steps = 1 if layer.source == "image" else network.timesteps
        current = graph.add("Reshape", f"{name}.steps", current, graph.shape(steps, *shape))
        if steps < network.timesteps:
            about = f"{name}: the same image at every time step"
            current = graph.add(
                "Expand", f"{name}.repeated", current, graph.shape(network.timesteps, *shape), about=about
            )
        limits = scaled_up(threshold, fraction + network.membrane_bits, kind)
        spikes = add_neuron(graph, name, current, shape, limits, leaky=network.leaky)
        folded = graph.add("Reshape", f"{name}.folded", spikes, graph.shape(self._folded, *shape[1:]))
        graph.annotate(folded, "BINARY")
        if layer.pools_spikes:
            folded = self._pool(f"{name}.pooled", folded, f"{name}: an OR of the spikes of each window")
            graph.annotate(folded, "BINARY")
        return folded

    def _pool(self, name: str, source: str, about: str) -> str:
        """3x3 max-pool, stride 2, pad 1."""
        return self._graph.add(
            "MaxPool", name, source, about=about, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
        )

    def _join(self, layer: Layer, residual: str, spikes: str) -> str:
        """The residual stream after a layer's spikes, by `NetworkConfig.residual_mode`."""
        graph, mode, name = self._graph, self._network.residual_mode, f"{layer.name}.residual"
        about = f"{name}: {mode}"
        if mode == "add":
            return graph.add("Add", name, residual, spikes, about=about)
        if mode == "clamp":
            total = graph.add("Add", f"{layer.name}.joined", residual, spikes)
            return graph.add("Min", name, total, graph.scalar(RESIDUAL_CLAMP), about=about)
        silent = graph.add("Sub", f"{layer.name}.silent", graph.scalar(1), spikes)
        return graph.add("Mul", name, residual, silent, about=about)

    def _head(self, layer: Layer, residual: str) -> None:
        """The classifier: it is linear, so its inputs are summed over tokens and time steps first."""
        graph, network, artifact, name = self._graph, self._network, self._artifact, layer.name
        kind, parameters = self._types[name], artifact.tensors[name]
        weight = quantised(graph, f"{name}.weight", parameters.weight.T, artifact.weight_bits)
        if kind is not np.float32:
            residual, weight = (
                graph.add("Cast", f"{tensor}.wide", tensor, to=onnx.TensorProto.DOUBLE) for tensor in (residual, weight)
            )
        tokens = graph.shape(network.timesteps, self._batch, layer.in_channels, layer.positions)
        steps = graph.add("Reshape", f"{name}.steps", residual, tokens)
        about = f"{name}: sum over time steps and tokens"
        total = graph.add("ReduceSum", f"{name}.total", steps, graph.shape(0, 3), about=about, keepdims=0)
        sums = graph.add("MatMul", name, total, weight, about=f"{name}: {network.classes} classes")
        unit = graph.constant(f"{name}.unit", np.array(2**artifact.bias_fraction_bits, kind))
        sums = graph.add("Mul", f"{name}.scaled", sums, unit, about=f"{name}: in units of the bias")
        graph.add(
            "Add", LOGITS, sums, graph.constant(f"{name}.bias", parameters.bias.astype(kind)), about=f"{name}: bias"
        )

    def _grid(self, layer: Layer, images: int) -> str:
        return self._graph.shape(images, layer.out_channels, layer.height, layer.width)

    def _integers(self, layer: Layer) -> str:
        """QONNX's type of a layer's sums."""
        low, high = self._ranges[layer.name].accumulator
        return unsigned(high) if low == 0 else f"INT{signed_bits(low, high)}"


def unsigned(largest: int) -> str:
    """QONNX's type of the integers from 0 to `largest`."""
    return "BINARY" if largest <= 1 else f"UINT{largest.bit_length()}"
