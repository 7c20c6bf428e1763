"""The Brevitas model of an artifact: quantised layers with batch norm folded away, evaluated in float64.

This is the software side of the comparison with the integer golden model. Its arithmetic is real (weights
``integer * alpha``, biases ``alpha * B``, membranes against a threshold of 1), so it shares nothing with the integers
but the artifact; a spike may differ only where the margin to the threshold is of the order of float64 rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sw.artifact.artifact import Artifact
from sw.data.image_table import lookup
from sw.model.quantizers import fix_weights
from sw.model.spikformer import Spikformer, SpikingLayer, Trace


def deployed_model(artifact: Artifact) -> Spikformer:
    """Build the Brevitas model of an artifact.

    Parameters
    ----------
    artifact : Artifact
        Integers and scales.

    Returns
    -------
    Spikformer
        In float64 and eval mode; the image step is 1, since the first layer's alpha includes the image's scale. Call
        it with `encoded_images`.
    """
    model = Spikformer(artifact.network, artifact.weight_bits, image_scale=1.0).double().eval()
    for layer in artifact.network.layers():
        if not layer.has_weights:
            continue
        tensors = artifact.tensors[layer.name]
        alpha = torch.tensor(tensors.scale)
        bias = alpha * torch.tensor(tensors.bias) / 2**artifact.bias_fraction_bits
        module = model.get_submodule(layer.name)
        if layer.kind == "head":
            # The artifact's head sums over tokens and time; the model's head reads their mean.
            alpha, weights = alpha[0] * (layer.positions * artifact.network.timesteps), module
        else:
            assert isinstance(module, SpikingLayer)
            module.norm, weights = nn.Identity(), module.weights
        fix_weights(weights, torch.tensor(tensors.weight), alpha)
        weights.bias = nn.Parameter(bias)
    return model


def encoded_images(artifact: Artifact, images: Tensor) -> Tensor:
    """Pixels as the deployed model reads them: uint8 ``[B, C, H, W]`` to float64 integers of the same shape.

    The same for event frames ``[B, T, C, H, W]``.
    """
    table = torch.tensor(artifact.image_table, dtype=torch.float64)
    return lookup(table, images.long())


def run_deployed(artifact: Artifact, images: Tensor) -> tuple[Tensor, Trace]:
    """Run the Brevitas model of an artifact with everything recorded.

    Parameters
    ----------
    artifact : Artifact
        What to run.
    images : Tensor
        uint8 ``[B, C, H, W]``, of event frames ``[B, T, C, H, W]``.

    Returns
    -------
    logits : Tensor
        float64 ``[B, classes]``.
    trace : Trace
        Spikes, residuals and margins by layer name.
    """
    model, trace = deployed_model(artifact), Trace()
    with torch.no_grad():
        logits = model(encoded_images(artifact, images), trace)
    return logits, trace
