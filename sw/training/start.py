"""An artifact as the beginning of a training run: a model that computes what the artifact does, and can learn.

An artifact has no batch norm: its scale and bias are `alpha` and ``alpha * B``. In training batch norm subtracts the
mean of a batch and divides by its deviation, so the model gets norms whose statistics are those of training images, and
whose gain and bias undo them: in evaluation it is the artifact's function up to floating-point rounding, and in
training near it. The size of the weights, which batch norm makes a free choice, suits the optimiser: `DEVIATION`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hw.user_text import listed
from sw.artifact import file as artifact_file
from sw.artifact.artifact import Artifact
from sw.errors import UserError
from sw.layer import Layer
from sw.model.quantizers import set_weights
from sw.model.spikformer import Spikformer, SpikingLayer
from sw.network import NetworkConfig

DEVIATION = 0.06
"""Of the weights of a layer: where steps and decay of AdamW balance, ``sqrt(learning rate / (2 * weight decay))``, at a
learning rate of 4e-4 and a decay of 0.06. Smaller weights would lose in the first steps what they know."""

BATCH = 100
"""Images at once."""

IMAGES = 1000
"""Images for the statistics of batch norm: their positions and time steps are many more."""


def load_start(path: str, network: NetworkConfig, weight_bits: int | None, dataset: str) -> Artifact:
    """Read an artifact that a model of a network can begin with.

    Parameters
    ----------
    path : str
    network : NetworkConfig
        It may differ from the artifact's in what leaves the shapes of the weights.
    weight_bits : int, optional
        Of a quantised model.
    dataset : str
        Name of the data set.

    Raises
    ------
    UserError
        If it cannot be read, or is of another data set, of other weights or of other weight bits.
    """
    artifact = artifact_file.load(path)
    remedy = "start with an artifact of the recipe's data set, sizes and weight bits"
    if artifact.dataset != dataset:
        raise UserError(f"start {path} classifies {listed([artifact.dataset])}, not {dataset}; {remedy}")
    ours, theirs = (
        {layer.name: layer.weight_shape for layer in each.layers() if layer.has_weights}
        for each in (network, artifact.network)
    )
    if differing := sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)):
        raise UserError(f"start {path} has other weights in {listed(differing)}; {remedy}")
    if weight_bits not in (None, artifact.weight_bits):
        raise UserError(f"start {path} has weights of {artifact.weight_bits} bits, not {weight_bits}; {remedy}")
    return artifact


def begin_with(model: Spikformer, artifact: Artifact, images: Tensor) -> None:
    """Give a fresh model, float or quantised, what an artifact has learnt.

    Parameters
    ----------
    model : Spikformer
        Changed.
    artifact : Artifact
        From `load_start`.
    images : Tensor
        Training images as the network sees them, float32 ``[n, C, H, W]``: the first `IMAGES` are looked at.
    """
    for layer in artifact.network.layers():
        if layer.has_weights:
            _take_layer(model, layer, artifact)
    _take_statistics(model.eval(), images)


def _take_layer(model: Spikformer, layer: Layer, artifact: Artifact) -> None:
    """Weights of one layer, and its norm with statistics of 0 and 1."""
    tensors, module = artifact.tensors[layer.name], model.get_submodule(layer.name)
    alpha, integers = torch.tensor(tensors.scale), torch.tensor(tensors.weight)
    constant = alpha * torch.tensor(tensors.bias) / 2**artifact.bias_fraction_bits
    with torch.no_grad():
        if layer.kind == "head":
            set_weights(module, integers, alpha[:1] * (layer.positions * artifact.network.timesteps))
            module.get_parameter("bias").copy_(constant)
            return
        assert isinstance(module, SpikingLayer) and isinstance(module.norm, nn.BatchNorm2d)
        deviation = integers.double().flatten(1).square().mean(1).sqrt()
        scale = set_weights(module.weights, integers, DEVIATION / torch.where(deviation > 0, deviation, 1.0))
        if isinstance(module.weights.bias, Tensor):
            module.weights.bias.zero_()
        unit = scale * (artifact.image_scale if layer.source == "image" else 1.0)
        module.norm.weight.copy_(alpha / unit * (1 + module.norm.eps) ** 0.5)
        module.norm.bias.copy_(constant)


def _take_statistics(model: Spikformer, images: Tensor) -> None:
    """Let every norm know the mean and the variance of what it reads, with what it computes unchanged."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    sums = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

    def look(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        rows = inputs[0].permute(1, 0, 2, 3).flatten(1).double()
        sums[norm] += torch.stack((torch.full_like(rows[:, 0], rows.shape[1]), rows.sum(1), rows.square().sum(1)))

    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    with torch.no_grad():
        for batch in torch.split(images[:IMAGES], BATCH):
            model(batch)
        for hook in hooks:
            hook.remove()
        for norm, (count, total, squares) in sums.items():
            mean = total / count
            variance = squares / count - mean.square()
            gain = norm.weight.double() / (1 + norm.eps) ** 0.5
            assert norm.running_mean is not None and norm.running_var is not None
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance.clamp_min(0))
            norm.weight.copy_(gain * (norm.running_var.double() + norm.eps).sqrt())
            norm.bias.copy_(norm.bias + gain * norm.running_mean.double())
