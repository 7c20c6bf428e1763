"""Keeps what passes between the layers of the golden model, to be compared with other models and with the hardware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from golden.layer_arithmetic import LayerArithmetic
from golden.walk import LayerActivity


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """Integers of a batch on their way through the network, by layer name; all tensors on the CPU.

    Attributes
    ----------
    spikes : dict of uint8 Tensor [T, B, C, H, W]
        Before a pool that follows.
    pooled : dict of uint8 Tensor [T, B, C, H/2, W/2]
        Where a pool follows.
    residuals : dict of uint8 Tensor [T, B, C, H, W]
        The residual stream after the named layer (``rpe``, ``blockI.proj``, ``blockI.fc2``).
    accumulators : dict of int64 Tensor [T, B, C, H, W]
        Sums of weight times input; one time step for the image layer.
    membranes : dict of int64 Tensor [T, B, C, H, W]
        ``G_t`` before its reset.
    key_values : dict of int64 Tensor [T, B, heads, d, d]
        ``K^T V`` of the attention layers.
    """

    spikes: dict[str, Tensor] = field(default_factory=dict)
    pooled: dict[str, Tensor] = field(default_factory=dict)
    residuals: dict[str, Tensor] = field(default_factory=dict)
    accumulators: dict[str, Tensor] = field(default_factory=dict)
    membranes: dict[str, Tensor] = field(default_factory=dict)
    key_values: dict[str, Tensor] = field(default_factory=dict)


class Recorder:
    """Record one batch; give it to `GoldenModel.run` as an observer.

    Parameters
    ----------
    arithmetic : mapping of str to LayerArithmetic, optional
        Of every layer, by name. With it sums, membranes and ``K^T V`` are kept too: the model overwrites them, so they
        are computed again from a layer's inputs, and cost nothing where nobody asks for them.

    Attributes
    ----------
    recording : Recording
    """

    def __init__(self, arithmetic: Mapping[str, LayerArithmetic] | None = None):
        self.recording = Recording()
        self._arithmetic = arithmetic

    def __call__(self, activity: LayerActivity) -> None:
        """Keep one layer."""
        name = activity.layer.name
        if activity.layer.kind == "head":
            return
        self.recording.spikes[name] = _channels_first(activity.spikes, torch.uint8)
        if activity.pooled is not None:
            self.recording.pooled[name] = _channels_first(activity.pooled, torch.uint8)
        if activity.residual is not None:
            self.recording.residuals[name] = _channels_first(activity.residual, torch.uint8)
        if self._arithmetic is not None:
            self._keep_internals(self._arithmetic[name], activity)

    def _keep_internals(self, arithmetic: LayerArithmetic, activity: LayerActivity) -> None:
        name = activity.layer.name
        if activity.layer.kind == "attention":
            self.recording.key_values[name] = arithmetic.key_value(*activity.inputs[1:]).to(torch.int64)
        currents = arithmetic.currents(*activity.inputs)
        self.recording.accumulators[name] = _channels_first(arithmetic.accumulators(currents), torch.int64)
        _, charged = arithmetic.fire(currents)
        self.recording.membranes[name] = _channels_first(charged, torch.int64)


def _channels_first(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.permute(0, 1, 4, 2, 3).to(dtype).contiguous()
