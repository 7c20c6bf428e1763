"""The whole Spikformer (ICLR 2023, arXiv 2209.15425), float or quantised from one definition.

Every activation is ``[T * B, C, H, W]`` in channels-last memory, time outermost: a convolution sees one large batch, a
linear layer sees the same memory as rows of tokens (token = row * width + column), and the neurons see ``[T, n]``.

Modules are named after `NetworkConfig.layers()`, so ``model.get_submodule(layer.name)`` is the layer.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from sw.layer import QKV, Layer, block_name, layer_name
from sw.model.neuron import charge, lif_over_time
from sw.model.quantizers import quantised_conv, quantised_image, quantised_linear
from sw.network import ATTENTION_NEURON_THRESHOLD, NEURON_THRESHOLD, RESIDUAL_CLAMP, STEM, NetworkConfig


@dataclass
class Trace:
    """What a forward pass did, layer by layer, for comparisons.

    Attributes
    ----------
    spikes : dict of str to Tensor
        Layer name to uint8 spikes ``[T, B, C, H, W]`` of its neurons, before any pool that follows them; attention's
        under ``blockI.attention``.
    residual : dict of str to Tensor
        uint8 residual stream ``[T, B, C, H, W]`` after ``rpe``, ``blockI.proj`` and ``blockI.fc2``.
    margin : dict of str to float
        Layer name to the smallest ``|H - threshold|`` of any neuron at any step: how near a tie came.
    """

    spikes: dict[str, Tensor] = field(default_factory=dict)
    residual: dict[str, Tensor] = field(default_factory=dict)
    margin: dict[str, float] = field(default_factory=dict)

    def add_neurons(self, name: str, current: Tensor, spikes: Tensor, threshold: float, *, leaky: bool) -> None:
        """Record a layer's spikes and how close its membranes came to the threshold, from ``[T, B, C, H, W]``."""
        membrane = torch.zeros_like(current[0])
        nearest = float("inf")
        for step, spike in zip(current, spikes, strict=True):
            charged = charge(membrane, step, leaky=leaky)
            nearest = min(nearest, (charged - threshold).abs().min().item())
            membrane = charged * (1 - spike)
        self.spikes[name] = spikes.to(torch.uint8)
        self.margin[name] = nearest


class SpikingLayer(nn.Module):
    """Weights and batch norm of one layer: integer sums in, currents out.

    Parameters
    ----------
    layer : Layer
        ``conv`` or ``linear``.
    weight_bits : int or None
        One of `sw.layer.WEIGHT_WIDTHS` for quantised weights, None for float.
    """

    def __init__(self, layer: Layer, weight_bits: int | None) -> None:
        super().__init__()
        c_in, c_out = layer.in_channels, layer.out_channels
        self.weights: nn.Module
        if layer.kind == "conv":
            self.weights = (
                nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)
                if weight_bits is None
                else quantised_conv(layer, bits=weight_bits)
            )
        else:
            self.weights = (
                nn.Linear(c_in, c_out, bias=layer.bias)
                if weight_bits is None
                else quantised_linear(layer, bits=weight_bits)
            )
        self.norm: nn.Module = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Currents ``[T * B, C_out, H, W]`` of the input ``[T * B, C_in, H, W]``."""
        if isinstance(self.weights, nn.Linear):
            x = self.weights(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        else:
            x = self.weights(x)
        currents: Tensor = self.norm(x)
        return currents


class Block(nn.Module):
    """Those layers of one encoder block that have weights; `Spikformer` says how they are wired."""

    def __init__(self, layers: tuple[Layer, ...], weight_bits: int | None) -> None:
        super().__init__()
        for layer in layers:
            if layer.has_weights:
                self.add_module(layer.part, SpikingLayer(layer, weight_bits))


class Spikformer(nn.Module):
    """Spikformer.

    Parameters
    ----------
    config : NetworkConfig
        Shape of the network.
    weight_bits : int, optional
        One of `sw.layer.WEIGHT_WIDTHS`: quantisation-aware, with Brevitas layers, one scale per output channel (one
        in all for the head) and the image rounded to signed 8 bit. None: float.
    image_scale : float, optional
        Value of one integer step of the image; only for a quantised model.
    """

    def __init__(self, config: NetworkConfig, weight_bits: int | None = None, image_scale: float = 1.0) -> None:
        super().__init__()
        self.config = config
        self.weight_bits = weight_bits
        exact = weight_bits is None or config.events
        self.image_quantiser: nn.Module = nn.Identity() if exact else quantised_image(image_scale)
        layers = config.layers()
        for layer in layers:
            if layer.kind == "conv":
                self.add_module(layer.name, SpikingLayer(layer, weight_bits))
        for i in range(config.depth):
            self.add_module(block_name(i), Block(config.block(i), weight_bits))
        self.head: nn.Module = (
            nn.Linear(config.embed_dim, config.classes)
            if weight_bits is None
            else quantised_linear(layers[-1], bits=weight_bits)
        )
        for module in self.modules():  # as the authors do: linear layers small, convolutions at torch's default
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def as_network(self, config: NetworkConfig) -> Self:
        """Another network that has the same weights, such as one of other time steps or other neurons.

        Modules and parameters are shared, not copied: what one learns the other knows.
        """
        other = copy.copy(self)
        other.config = config
        return other

    def forward(self, image: Tensor, trace: Trace | None = None) -> Tensor:
        """Classify images.

        Parameters
        ----------
        image : Tensor
            Normalised images ``[B, C, H, W]``; zero is the padding value. Event frames ``[B, T, C, H, W]`` of counts.
        trace : Trace, optional
            Filled with every layer's spikes, the residual stream and the margins.

        Returns
        -------
        Tensor
            Logits ``[B, classes]``.
        """
        if self.config.events:
            image = image.transpose(0, 1).flatten(0, 1)
        image = image.contiguous(memory_format=torch.channels_last)
        # An image is the same at every step, so its current is too: one convolution, repeated over T.
        x = self.image_quantiser(image)
        for layer in self.config.layers()[:STEM]:
            repeat = layer.source == "image"
            if layer.pool_first:
                currents = functional.max_pool2d(self.get_submodule(layer.name)(x), 3, 2, 1)
                x = self._fire(layer.name, currents, trace, repeat=repeat)
            else:
                x = self._spikes(layer.name, x, trace, repeat=repeat)
            if layer.pools_spikes:
                x = self._pool(x)
        x = self._join("rpe", x, self._spikes("rpe", x, trace), trace)
        for i in range(self.config.depth):
            proj, fc1, fc2 = (layer_name(part, i) for part in ("proj", "fc1", "fc2"))
            attention = self._attend(i, x, trace)
            x = self._join(proj, x, self._spikes(proj, attention, trace), trace)
            hidden = self._spikes(fc1, x, trace)
            x = self._join(fc2, x, self._spikes(fc2, hidden, trace), trace)
        logits: Tensor = self.head(self._mean(x))
        return logits

    def _mean(self, x: Tensor) -> Tensor:
        """Mean over time steps and tokens: ``[T * B, C, H, W]`` to ``[B, C]``."""
        return torch.unflatten(x, 0, (self.config.timesteps, -1)).mean(dim=(0, 3, 4))

    def _attend(self, block: int, x: Tensor, trace: Trace | None) -> Tensor:
        """Spiking self attention: ``LIF(0.125 * Q (K^T V))`` per head (section 3.3; no softmax, so K^T V first)."""
        heads = []
        for part in QKV:
            spikes = self._spikes(layer_name(part, block), x, trace).permute(0, 2, 3, 1)  # [T * B, H, W, C]
            heads.append(torch.unflatten(spikes.flatten(1, 2), 2, (self.config.heads, -1)).transpose(1, 2))
        q, k, v = heads  # each [T * B, heads, tokens, head_dim]
        sums = q @ (k.transpose(2, 3) @ v)
        current = (sums * self.config.attention_scale).transpose(1, 2).flatten(2)  # [T * B, tokens, C]
        current = torch.unflatten(current, 1, x.shape[2:]).permute(0, 3, 1, 2)
        return self._fire(layer_name("attention", block), current, trace, threshold=ATTENTION_NEURON_THRESHOLD)

    def _pool(self, spikes: Tensor) -> Tensor:
        """An OR of spikes: 3x3 max-pool of stride 2, pad 1."""
        return functional.max_pool2d(spikes, 3, 2, 1)

    def _spikes(self, name: str, x: Tensor, trace: Trace | None, *, repeat: bool = False) -> Tensor:
        """Spikes ``[T * B, C, H, W]`` of a layer with weights, from ``[T * B, C_in, H, W]``, or without the T."""
        return self._fire(name, self.get_submodule(name)(x), trace, repeat=repeat)

    def _fire(
        self,
        name: str,
        current: Tensor,
        trace: Trace | None,
        *,
        threshold: float = NEURON_THRESHOLD,
        repeat: bool = False,
    ) -> Tensor:
        """Neurons of one layer: spikes ``[T * B, C, H, W]`` of the currents, which `repeat` says lack the T."""
        steps = self.config.timesteps
        rows = current.permute(0, 2, 3, 1).contiguous()  # memory order; a copy only if the layer lost channels-last
        batch = rows.shape[0] if repeat else rows.shape[0] // steps
        flat = rows.view(1, -1).expand(steps, -1) if repeat else rows.view(steps, -1)
        fired = lif_over_time(flat, threshold, leaky=self.config.leaky)
        spikes = fired.view(steps * batch, *rows.shape[1:]).permute(0, 3, 1, 2)
        if trace is not None:
            shape = (steps, batch, *rows.shape[1:])
            trace.add_neurons(
                name,
                flat.reshape(shape).permute(0, 1, 4, 2, 3).detach(),
                fired.view(shape).permute(0, 1, 4, 2, 3).detach(),
                threshold,
                leaky=self.config.leaky,
            )
        return spikes

    def _join(self, name: str, residual: Tensor, spikes: Tensor, trace: Trace | None) -> Tensor:
        """The residual stream ``[T * B, C, H, W]`` after a layer's spikes; see `NetworkConfig.residual_mode`."""
        if self.config.residual_mode == "iand":
            joined = residual * (1 - spikes)  # AND NOT, with a gradient to both
        else:
            joined = residual + spikes
            if self.config.residual_mode == "clamp":
                joined = joined.clamp(max=RESIDUAL_CLAMP)
        if trace is not None:
            trace.residual[name] = torch.unflatten(joined.detach().to(torch.uint8), 0, (self.config.timesteps, -1))
        return joined
