"""Record the vectors of this folder by running other people's Spikformers; nothing of their code is kept here.

A vector file holds a checkpoint with random weights in that code's own keys, two images or the event frames of one
recording, and what that code makes of them in float64: every neuron's spikes and the logits. To make them again, with
the code they come from:

    git clone https://github.com/ZK-Zhou/spikformer authors && git -C authors checkout 6212689
    git clone https://github.com/zhouchenlin2096/Spikingformer-CML cml && git -C cml checkout 8e51213
    pip install --no-deps --target old spikingjelly==0.0.0.0.12
    git clone https://github.com/fangwei123456/spikingjelly new && git -C new checkout afb13226
    PYTHONPATH=old python tests/data/record.py authors-cifar --code authors/cifar10/model.py
    PYTHONPATH=old python tests/data/record.py authors-imagenet --code authors/imagenet/model.py
    PYTHONPATH=old python tests/data/record.py authors-dvs --code authors/cifar10dvs/model.py
    PYTHONPATH=old python tests/data/record.py cml --code cml/cifar10/CML_Spikformer.py
    PYTHONPATH=new python tests/data/record.py spikingjelly

Packages that their files import and this script has no use for are replaced by stand-ins if they are not installed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import math
import re
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

FOLDER = Path(__file__).resolve().parent
SAMPLE = FOLDER.parents[1] / "data" / "samples" / "cifar10.npz"
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
TIMESTEPS, CLASSES, HEADS, DIM = 4, 10, 2, 32
SIZES = {
    "authors-cifar": (32, 2, 2), "authors-imagenet": (64, 1, 2), "authors-dvs": (128, 1, 1), "cml": (32, 2, 2),
    "spikingjelly": (64, 1, 2),
}  # fmt: skip
"""Side of the image, encoder blocks and images of each recording."""

LARGEST_COUNT = 9
"""Of the events of a pixel in a frame."""

SEED = 5
RATES = 0.02, 0.95
"""Every layer fires at a rate between these: a layer that is always silent proves nothing."""


def stand_in(*names: str) -> None:
    """Let imports of packages succeed that are not installed."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = MagicMock()


def authors_model(code: Path, size: int, depth: int, channels: int) -> nn.Module:
    """The authors' network from their file, or another's made of it, on the CPU instead of CuPy."""
    from spikingjelly.clock_driven import neuron

    class OnCpu(neuron.MultiStepLIFNode):
        def __init__(self, *values: object, backend: str = "", **named: object) -> None:
            super().__init__(*values, backend="torch", **named)

    neuron.MultiStepLIFNode = OnCpu
    stand_in("einops", "einops.layers", "einops.layers.torch")
    stand_in("timm", "timm.models", "timm.models.layers", "timm.models.registry", "timm.models.vision_transformer")
    spec = importlib.util.spec_from_file_location("authors_model", code)
    assert spec is not None and spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model: nn.Module = module.Spikformer(
        img_size_h=size, img_size_w=size, patch_size=16, in_channels=channels, num_classes=CLASSES, embed_dims=DIM,
        num_heads=HEADS, mlp_ratios=4, depths=depth, sr_ratios=1,
    )  # fmt: skip
    return model


def spikingjelly_model(size: int, depth: int) -> nn.Module:
    """SpikingJelly's own Spikformer."""
    stand_in("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.datasets")
    stand_in("torch.utils.tensorboard")
    from spikingjelly.activation_based.model.spikformer import Spikformer

    model: nn.Module = Spikformer(
        T=TIMESTEPS, img_size_h=size, img_size_w=size, num_classes=CLASSES, embed_dims=DIM, num_heads=HEADS,
        depths=depth,
    )  # fmt: skip
    return model


def event_frames(size: int, count: int) -> Tensor:
    """Counts of events, more in some areas than in others: uint8 ``[count, T, 2, size, size]``."""
    rates = torch.rand(count, TIMESTEPS, 2, size // 8, size // 8) ** 3
    rates = rates.repeat_interleave(8, dim=3).repeat_interleave(8, dim=4)
    return torch.poisson(rates).clamp(max=LARGEST_COUNT).to(torch.uint8)


def images(size: int, count: int) -> Tensor:
    """CIFAR-10 test images, four in a square where they are to be larger: uint8 ``[count, 3, size, size]``."""
    with np.load(SAMPLE) as arrays:
        pixels = torch.from_numpy(arrays["images"])
    tiles = size // pixels.shape[-1]
    chosen = pixels[:: len(pixels) // (count * tiles**2)][: count * tiles**2]
    squares = chosen.unflatten(0, (count, tiles, tiles)).permute(0, 3, 1, 4, 2, 5)
    return squares.reshape(count, 3, size, size).contiguous()


def randomise(model: nn.Module, inputs: Tensor, reset: object) -> None:
    """Random batch norms and biases that make neurons fire, every number exact in half precision."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for module in model.modules():
        if module in norms:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, 0.3, 1.3)
            module.weight.data[::7] *= -1
            module.momentum = 1.0
        elif isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d) and module.bias is not None:
            nn.init.uniform_(module.bias, -0.2, 0.2)
    with torch.no_grad():
        model.train()(inputs.float())
        reset(model)
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.copy_(value.half())


def our_name(theirs: str) -> str:
    """Layer name of a neuron module's name."""
    if stem := re.fullmatch(r"patch_embed\.(?:proj_lif(\d?)|stages\.(\d)\.neuron)", theirs):
        return f"conv{stem[1] or stem[2] or 0}"
    if stem := re.fullmatch(r"patch_embed\.block(\d)_lif", theirs):
        return f"conv{int(stem[1]) - 1}"
    if theirs in ("patch_embed.rpe_lif", "patch_embed.positional_encoding.neuron"):
        return "rpe"
    block = re.fullmatch(r"blocks?\.(\d+)\.(?:attn|mlp)\.(\w+?)(?:_lif)?", theirs)
    assert block is not None, theirs
    parts = {"attn": "attention", "neuron1": "fc1", "neuron2": "fc2"}
    return f"block{block[1]}.{parts.get(block[2], block[2])}"


def our_layout(spikes: Tensor, grid: int, *, tokens_first: bool) -> Tensor:
    """Spikes of tokens, with channels and tokens last in either order, as ``[T, B, C, H, W]``."""
    if tokens_first:
        spikes = spikes.transpose(2, 3)
    return spikes.reshape(*spikes.shape[:2], -1, grid, grid)


def main() -> None:
    """Record one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=SIZES)
    parser.add_argument("--code", type=Path, help="model.py of the authors")
    options = parser.parse_args()
    size, depth, count = SIZES[options.kind]
    events = options.kind == "authors-dvs"
    torch.manual_seed(SEED)
    if options.kind == "spikingjelly":
        model = spikingjelly_model(size, depth)
        reset = importlib.import_module("spikingjelly.activation_based.functional").reset_net
    else:
        model = authors_model(options.code, size, depth, 2 if events else 3)
        reset = importlib.import_module("spikingjelly.clock_driven.functional").reset_net
    pixels = event_frames(size, count) if events else images(size, count)
    mean, std = (torch.tensor(values, dtype=torch.float64).reshape(3, 1, 1) for values in (MEAN, STD))
    inputs = pixels.double() if events else (pixels.double() / 255 - mean) / std
    randomise(model, inputs, reset)

    recorded: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        if name.endswith(("lif", "lif1", "lif2", "lif3", "neuron", "neuron1", "neuron2")):
            module.register_forward_hook(lambda _m, _i, out, name=name: recorded.update({name: out.detach()}))
    state = {f"state.{key}": value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        logits = model.double().eval()(inputs)
    spikes: dict[str, Tensor] = {}
    tokens = next(value[0, 0, 0].numel() for name, value in recorded.items() if our_name(name) == "rpe")
    for theirs, value in recorded.items():
        ours = our_name(theirs)
        if not ours.startswith("block"):
            spikes[ours] = value
            continue
        value = our_layout(value, math.isqrt(tokens), tokens_first=options.kind in ("authors-cifar", "cml"))
        if ours.endswith("qkv"):
            spikes |= {ours.replace("qkv", part): each for part, each in zip("qkv", value.chunk(3, dim=2), strict=True)}
        else:
            spikes[ours] = value
    for name, value in spikes.items():
        assert RATES[0] < float(value.mean()) < RATES[1], f"{name} fires at {float(value.mean()):.3f}"
        assert bool(((value == 0) | (value == 1)).all())
    tensors = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    tensors |= {
        f"spikes.{name}": torch.from_numpy(np.packbits(value.to(torch.uint8).numpy().ravel()))
        for name, value in spikes.items()
    }
    tensors |= {"images": pixels, "logits": logits.mean(0) if logits.ndim == 3 else logits}
    about = {
        "heads": HEADS,
        "timesteps": TIMESTEPS,
        **({} if events else {"mean": MEAN, "std": STD}),
        "shapes": {name: list(value.shape) for name, value in spikes.items()},
    }
    path = FOLDER / f"{options.kind}.safetensors"
    save_file({key: value.contiguous() for key, value in tensors.items()}, path, metadata={"about": json.dumps(about)})
    print(path.name, path.stat().st_size, {name: round(float(value.mean()), 3) for name, value in spikes.items()})


if __name__ == "__main__":
    main()
