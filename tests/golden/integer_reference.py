"""A slow second golden model, written independently: numpy int64, neurons as ``H = (V + X) / 2`` or ``V + X``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw.artifact.artifact import Artifact

Integers = NDArray[np.int64]


def neuron(current: Integers, threshold: Integers, timesteps: int, kind: str) -> Integers:
    """Spikes [T, B, C, ...] of currents of the same shape; membranes count units of ``2^-(f+T)``, ``if``: ``2^-f``."""
    column = threshold.reshape(-1, *[1] * (current.ndim - 3))
    membrane = np.zeros_like(current[0])
    spikes = []
    for x in current:
        if kind == "if":
            charged = membrane + x
        else:
            doubled = membrane + x * 2**timesteps
            assert not (doubled & 1).any(), "the halving must be exact"
            charged = doubled // 2
        spike = charged >= column
        membrane = np.where(spike, 0, charged)
        spikes.append(spike.astype(np.int64))
    return np.stack(spikes)


def convolve(weight: Integers, inputs: Integers) -> Integers:
    """3x3, pad 1: [T, B, in, H, W] to [T, B, out, H, W], one shifted copy of the padded input for each tap."""
    height, width = inputs.shape[-2:]
    padded = np.pad(inputs, [(0, 0)] * 3 + [(1, 1)] * 2)
    total = np.zeros((*inputs.shape[:2], weight.shape[0], height, width), np.int64)
    for row in range(3):
        for column in range(3):
            shifted = padded[..., row : row + height, column : column + width]
            total += np.einsum("oi,tbihw->tbohw", weight[:, :, row, column], shifted)
    return total


def pool(spikes: Integers) -> Integers:
    """3x3/2 pad 1 maximum of [T, B, C, H, W]; what lies outside is no candidate."""
    height, width = spikes.shape[-2:]
    padded = np.pad(spikes, [(0, 0)] * 3 + [(1, 1)] * 2, constant_values=np.iinfo(np.int64).min)
    taps = [padded[..., r : r + height : 2, c : c + width : 2] for r in range(3) for c in range(3)]
    return np.max(taps, axis=0)


def join(mode: str, residual: Integers, spikes: Integers) -> Integers:
    """Spikes join the residual stream: added, added up to 3, or clearing what they meet."""
    if mode == "iand":
        return np.where(spikes == 1, 0, residual)
    return residual + np.where((mode == "clamp") & (residual == 3), 0, spikes)


def run_reference(artifact: Artifact, images: NDArray[np.uint8]) -> dict[str, Any]:
    """Run `artifact`: spikes before the pool, pooled spikes and residuals by layer name, and the logits."""
    network, shift = artifact.network, artifact.bias_fraction_bits
    steps, heads, mode, kind = network.timesteps, network.heads, network.residual_mode, network.neuron
    spikes: dict[str, Integers] = {}
    pooled: dict[str, Integers] = {}
    residuals: dict[str, Integers] = {}

    def layer(name: str, inputs: Integers, *, pool_currents: bool = False) -> Integers:
        parameters = artifact.tensors[name]
        weight = parameters.weight.astype(np.int64)
        sums = convolve(weight, inputs) if weight.ndim == 4 else np.einsum("oi,tbihw->tbohw", weight, inputs)
        currents = sums * 2**shift + parameters.bias.astype(np.int64)[:, None, None]
        spikes[name] = neuron(pool(currents) if pool_currents else currents, parameters.threshold, steps, kind)
        return spikes[name]

    table = artifact.image_table.astype(np.int64)
    # An image is the same at every time step, event frames are not.
    frames = images.swapaxes(0, 1) if network.events else np.stack([images] * steps)
    x = np.stack([table[c][frames[:, :, c]] for c in range(frames.shape[2])], axis=2)
    for name in ("conv0", "conv1", "conv2", "conv3"):
        pools, first = int(name[-1]) >= 4 - network.pools, network.pool_order == "before"
        x = layer(name, x, pool_currents=pools and first)
        if pools and not first:
            x = pooled[name] = pool(x)
    x = residuals["rpe"] = join(mode, x, layer("rpe", x))
    for i in range(network.depth):
        block = f"block{i}"
        q, k, v = (
            layer(f"{block}.{part}", x).reshape(*x.shape[:2], heads, network.head_dim, network.tokens) for part in "qkv"
        )
        scores = np.einsum("tbhdn,tbhdm->tbhnm", q, k)  # (Q K^T) V, the order of the paper
        sums = np.einsum("tbhnm,tbhdm->tbhdn", scores, v).reshape(x.shape)
        threshold = np.full(network.embed_dim, network.attention_threshold)
        spikes[f"{block}.attention"] = neuron(sums, threshold, steps, kind)
        x = residuals[f"{block}.proj"] = join(mode, x, layer(f"{block}.proj", spikes[f"{block}.attention"]))
        x = residuals[f"{block}.fc2"] = join(mode, x, layer(f"{block}.fc2", layer(f"{block}.fc1", x)))
    head = artifact.tensors["head"]
    sums = np.einsum("oi,tbihw->bo", head.weight.astype(np.int64), x)
    return {
        "spikes": spikes,
        "pooled": pooled,
        "residuals": residuals,
        "logits": sums * 2**shift + head.bias,
    }
