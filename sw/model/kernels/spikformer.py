"""`Spikformer` with the fused kernels: the same modules, weights and meaning, for training and inference on a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sw.layer import QKV, layer_name
from sw.model.kernels.attention import HEAD_DIMS, MOST_TOKENS, SpikingAttention
from sw.model.kernels.norm_lif import Neuron, NormLif, ScaledLif
from sw.model.kernels.spike_pool import SpikePool
from sw.model.spikformer import Spikformer, SpikingLayer, Trace
from sw.network import ATTENTION_NEURON_THRESHOLD, NEURON_THRESHOLD


class FusedSpikformer(Spikformer):
    """Spikformer on a CUDA device, in bf16 under autocast and in fp32 otherwise.

    It differs from its base in three ways that no result shows: the bias in front of a batch norm in training mode only
    moves the running mean, since the norm takes it off again, so its gradient is 0; running statistics are of the
    currents in fp32; and `num_batches_tracked` stands still. A forward pass with a trace is the base's.
    """

    def _spikes(self, name: str, x: Tensor, trace: Trace | None, *, repeat: bool = False) -> Tensor:
        if trace is not None:
            return super()._spikes(name, x, trace, repeat=repeat)
        layer = self.get_submodule(name)
        assert isinstance(layer, SpikingLayer) and isinstance(layer.norm, nn.BatchNorm2d)
        weights: Any = layer.weights
        weight: Tensor = weights.weight if self.weight_bits is None else weights.quant_weight().value
        dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else weight.dtype
        x, weight = x.to(dtype), weight.to(dtype)
        if isinstance(weights, nn.Linear):
            currents = functional.linear(x.permute(0, 2, 3, 1), weight)
        else:
            currents = functional.conv2d(x, weight, padding=1).permute(0, 2, 3, 1)
        neuron, norm = self._neuron(NEURON_THRESHOLD), layer.norm
        rows = currents.reshape(1 if repeat else neuron.steps, -1, currents.shape[3])
        if norm.training:
            spikes = NormLif.apply(  # type: ignore[no-untyped-call]
                rows, norm.weight, norm.bias, weights.bias, norm.running_mean, norm.running_var, neuron,
                norm.momentum, norm.eps,
            )  # fmt: skip
        else:
            assert norm.running_mean is not None and norm.running_var is not None
            scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
            mean = norm.running_mean if weights.bias is None else norm.running_mean - weights.bias
            spikes = ScaledLif.apply(rows, scale, norm.bias - mean * scale, neuron)  # type: ignore[no-untyped-call]
        return _channels_first(spikes, currents.shape[1:3])

    def _neuron(self, threshold: float) -> Neuron:
        return Neuron(self.config.timesteps, threshold, self.config.leaky)

    def _pool(self, spikes: Tensor) -> Tensor:
        pooled: Tensor = SpikePool.apply(spikes.permute(0, 2, 3, 1).contiguous())  # type: ignore[no-untyped-call]
        return pooled.permute(0, 3, 1, 2)

    def _mean(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 3, 1).flatten(1, 2)
        mean: Tensor = _TokenMean.apply(  # type: ignore[no-untyped-call]
            torch.unflatten(rows, 0, (self.config.timesteps, -1))
        )
        return mean

    def _attend(self, block: int, x: Tensor, trace: Trace | None) -> Tensor:
        unknown = self.config.head_dim not in HEAD_DIMS or self.config.tokens > MOST_TOKENS
        if trace is not None or unknown:
            return super()._attend(block, x, trace)
        q, k, v = (
            self._spikes(layer_name(part, block), x, None).permute(0, 2, 3, 1).flatten(1, 2).contiguous()
            for part in QKV
        )
        sums = SpikingAttention.apply(q, k, v, self.config.heads)  # type: ignore[no-untyped-call]
        scale = torch.full((sums.shape[2],), self.config.attention_scale, device=sums.device)
        rows = sums.view(self.config.timesteps, -1, sums.shape[2])
        spikes = ScaledLif.apply(  # type: ignore[no-untyped-call]
            rows, scale, torch.zeros_like(scale), self._neuron(ATTENTION_NEURON_THRESHOLD)
        )
        return _channels_first(spikes, x.shape[2:])


class _TokenMean(torch.autograd.Function):
    """Mean over time steps and tokens, ``[T, B, N, C]`` to ``[B, C]``, whose gradient is laid out like its input.

    PyTorch's own is an expanded view, and every sum of gradients behind it inherits an order that no kernel likes.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x.mean(dim=(0, 2))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        steps, _, tokens, _ = ctx.shape
        share = gradients[0] / (steps * tokens)
        whole: Tensor = share[None, :, None, :].expand(ctx.shape).contiguous()
        return whole


def _channels_first(spikes: Tensor, grid: torch.Size) -> Tensor:
    """``[T, B * H * W, C]`` as ``[T * B, C, H, W]`` in channels-last memory."""
    return spikes.view(-1, *grid, spikes.shape[2]).permute(0, 3, 1, 2)
