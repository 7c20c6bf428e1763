"""The float model of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sw.errors import UserError
from sw.importer.layouts import FUSED, NORM_PARTS, Layout
from sw.model.spikformer import Spikformer
from sw.network import NetworkConfig


def float_model(layout: Layout, network: NetworkConfig, tensors: Mapping[str, Tensor]) -> Spikformer:
    """Build the float model of a checkpoint that `sw.importer.shape.check_tensors` accepts.

    Parameters
    ----------
    layout : Layout
        Of the checkpoint.
    network : NetworkConfig
        Its shape.
    tensors : mapping of str to Tensor
        Its state dictionary.

    Returns
    -------
    Spikformer
        float32, in eval mode.

    Raises
    ------
    UserError
        If a tensor holds something that is not a finite number, or a variance below zero.
    """
    state: dict[str, Tensor] = {}
    for layer in network.layers():
        if not layer.has_weights:
            continue
        place = layout.place(layer)

        def rows(key: str, part: int | None = place.part) -> Tensor:
            value = tensors[key].detach().to(torch.float32)
            if not bool(torch.isfinite(value).all()):
                raise UserError(f"{key} holds values that are not finite in float32; give a checkpoint that works")
            return value if part is None else value.chunk(len(FUSED))[part]

        ours = layer.name if place.norm is None else f"{layer.name}.weights"
        state[f"{ours}.weight"] = rows(f"{place.weights}.weight").reshape(layer.weight_shape)
        if layer.bias:
            state[f"{ours}.bias"] = rows(f"{place.weights}.bias")
        if place.norm is not None:
            for part in NORM_PARTS:
                state[f"{layer.name}.norm.{part}"] = rows(f"{place.norm}.{part}")
            if float(state[f"{layer.name}.norm.running_var"].min()) < 0:
                raise UserError(f"{place.norm}.running_var holds a value below 0; give a checkpoint that works")
            state[f"{layer.name}.norm.num_batches_tracked"] = torch.tensor(0)
    model = Spikformer(network)
    model.load_state_dict(state)
    return model.eval()
