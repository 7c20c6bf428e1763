"""Checkpoints in other people's layouts made from our float model: an independent statement of the names."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sw.model.spikformer import Spikformer
from sw.network import NetworkConfig

AUTHORS_STEM = {
    "conv0": ("patch_embed.proj_conv", "patch_embed.proj_bn"),
    "conv1": ("patch_embed.proj_conv1", "patch_embed.proj_bn1"),
    "conv2": ("patch_embed.proj_conv2", "patch_embed.proj_bn2"),
    "conv3": ("patch_embed.proj_conv3", "patch_embed.proj_bn3"),
    "rpe": ("patch_embed.rpe_conv", "patch_embed.rpe_bn"),
}
KINDS = {
    "authors-cifar": {"pools": 2},
    "authors-imagenet": {"pools": 4, "linear_bias": "not-qkv"},
    "authors-dvs": {
        "pools": 4,
        "linear_bias": "not-qkv",
        "attention_scale": 0.25,
        "image_channels": 2,
        "event_bits": 8,
    },
    "cml": {"pool_order": "before"},
    "spikingjelly": {"pools": 4, "linear_bias": "none", "pool_order": "before"},
}
"""What the code behind each layout does, as fields of `NetworkConfig`."""


def network(kind: str, **changes: int) -> NetworkConfig:
    """A small network of a layout."""
    sizes = {"image_size": 32, "image_channels": 3, "classes": 10, "embed_dim": 16, "depth": 2, "heads": 2}
    return NetworkConfig(**{**sizes, **KINDS[kind], **changes})


def lively(config: NetworkConfig, seed: int = 0) -> Spikformer:
    """A float model whose neurons fire, some of its gains negative."""
    torch.manual_seed(seed)
    model = Spikformer(config).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.05, 0.2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, 0.6, 1.8)
            module.weight.data[1] *= -1
        elif isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.uniform_(module.bias, -0.1, 0.1)
    return model


def checkpoint(model: Spikformer, kind: str) -> dict[str, Tensor]:
    """State dictionary in a layout's keys and shapes, dead norms included."""
    state: dict[str, Tensor] = {}
    if kind == "spikingjelly":
        model_state = _fused(model.state_dict(), model.config.depth)
    else:
        model_state = model.state_dict()
        for i in range(model.config.depth):
            for norm in ("norm1", "norm2"):
                state |= {f"block.{i}.{norm}.{part}": torch.ones(model.config.embed_dim) for part in ("weight", "bias")}
        if kind == "authors-dvs":
            dim, tokens = model.config.embed_dim, model.config.tokens
            state |= {
                "pos_embed": torch.ones(1, tokens, dim),
                "norm.weight": torch.ones(dim),
                "norm.bias": torch.ones(dim),
            }
    for key, value in model_state.items():
        layer, _, rest = key.rpartition(".weights." if ".weights." in key else ".norm.")
        if not layer:  # the head
            state[key] = value
            continue
        is_weight = rest == "weight" and value.ndim == 2
        state[_rename(layer, ".norm." in key, kind) + f".{rest}"] = (
            value.reshape(*value.shape, *_kernel(layer, kind)) if is_weight else value
        )
    return state


def _fused(state: dict[str, Tensor], depth: int) -> dict[str, Tensor]:
    """q, k and v as one layer ``qkv``."""
    fused = {key: value for key, value in state.items() if key.split(".")[1] not in ("q", "k", "v")}
    for i in range(depth):
        for key in [key for key in state if key.startswith(f"block{i}.q.")]:
            parts = [state[key.replace(".q.", f".{part}.")] for part in "qkv"]
            fused[key.replace(".q.", ".qkv.")] = torch.cat(parts) if parts[0].ndim else parts[0]
    return fused


def _kernel(layer: str, kind: str) -> tuple[int, ...]:
    if kind in ("authors-cifar", "cml"):
        return ()
    return (1, 1) if kind == "authors-imagenet" and ".fc" in layer else (1,)


def _rename(layer: str, is_norm: bool, kind: str) -> str:
    block, _, part = layer.partition(".")
    number = block.removeprefix("block")
    mlp = part.startswith("fc")
    if kind == "spikingjelly":
        if not part:
            place = "positional_encoding" if layer == "rpe" else f"stages.{layer[-1]}"
            return f"patch_embed.{place}.conv_bn.block.{int(is_norm)}"
        return f"blocks.{number}.{f'mlp.{part}' if mlp else f'attn.{part}_conv_bn'}.{int(is_norm)}"
    if kind == "cml" and layer.startswith("conv"):
        return f"patch_embed.block{int(layer[-1]) + 1}_{'bn' if is_norm else 'conv'}"
    if not part:
        return AUTHORS_STEM[layer][is_norm]
    suffix = "bn" if is_norm else "linear" if kind in ("authors-cifar", "cml") else "conv"
    return f"block.{number}.{'mlp' if mlp else 'attn'}.{part}_{suffix}"
