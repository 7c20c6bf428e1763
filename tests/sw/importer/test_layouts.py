"""Reading checkpoints: what is recognised, inferred, ignored and refused."""

from __future__ import annotations

import argparse
import dataclasses

import pytest
import torch

from sw.errors import UserError
from sw.importer.checkpoint_file import read_weights
from sw.importer.float_model import float_model
from sw.importer.shape import check_tensors, find_layout, network_of
from sw.model.spikformer import Spikformer, Trace
from sw.named_networks import NAMED_NETWORKS
from tests.sw.importer.checkpoints import KINDS, checkpoint, lively, network

WRAPPINGS = {
    "plain": lambda state: state,
    "parallel": lambda state: {f"module.{key}": value for key, value in state.items()},
    "state_dict": lambda state: {"epoch": 3, "state_dict": state},
    "model": lambda state: {"model": {f"module.{key}": value for key, value in state.items()}, "optimizer": {"lr": 1}},
    "timm": lambda state: {"state_dict": state, "arch": "spikformer", "args": argparse.Namespace(lr=5e-4, aa="rand")},
}


def shapes_only(config, kind):
    """A checkpoint that takes no memory: every value of a tensor is the same one."""
    with torch.device("meta"):
        tensors = checkpoint(Spikformer(config), kind)
    return {key: torch.zeros(()).expand(value.shape) for key, value in tensors.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_checkpoint_gives_the_model_that_it_was_made_of(tmp_path, kind, wrapping):
    config = network(kind)
    model = lively(config)
    path = tmp_path / "model.pth"
    torch.save(WRAPPINGS[wrapping](checkpoint(model, kind)), path)
    tensors = read_weights(path).tensors
    found = find_layout(tensors)
    assert found.layout.name == kind
    assert network_of(found, image_size=32, heads=2, timesteps=4, event_bits=config.event_bits) == config
    ignored = check_tensors(found.layout, config, tensors)
    assert len(ignored) == {"spikingjelly": 0, "authors-dvs": 11}.get(kind, 8)
    assert all("norm" in key or key == "pos_embed" for key in ignored)
    images, ours, theirs = torch.randn(2, *config.input_shape), Trace(), Trace()
    with torch.no_grad():
        assert torch.equal(model(images, ours), float_model(found.layout, config, tensors)(images, theirs))
    assert all(torch.equal(ours.spikes[name], spikes) for name, spikes in theirs.spikes.items())
    assert min(spikes.float().mean() for spikes in ours.spikes.values()) > 0.005


@pytest.mark.parametrize("name", NAMED_NETWORKS)
def test_configurations_of_the_paper_are_recognised_with_their_heads(name):
    config = NAMED_NETWORKS[name]
    kind = "authors-cifar" if config.pools == 2 else "authors-dvs" if config.events else "authors-imagenet"
    tensors = shapes_only(config, kind)
    found = find_layout(tensors)
    sizes = {"image_size": config.image_size, "timesteps": config.timesteps, "event_bits": config.event_bits}
    assert network_of(found, heads=None, **sizes) == config
    assert len(check_tensors(found.layout, config, tensors)) == 4 * config.depth + 3 * config.events


def test_other_classes_and_channels_keep_the_papers_heads():
    config = dataclasses.replace(NAMED_NETWORKS["spikformer-4-384"], classes=100, image_channels=1)
    found = find_layout(shapes_only(config, "authors-cifar"))
    assert network_of(found, image_size=32, heads=None, timesteps=4) == config


@pytest.mark.parametrize(("depth", "dim", "heads"), [(8, 512, 8), (8, 384, 8), (4, 256, 8), (6, 384, 12)])
def test_spikingjelly_has_the_heads_of_the_paper_and_of_its_own_names(depth, dim, heads):
    config = network("spikingjelly", embed_dim=dim, depth=depth, heads=heads)
    found = find_layout(shapes_only(config, "spikingjelly"))
    assert network_of(found, image_size=32, heads=None, timesteps=4) == config


def test_the_papers_network_for_events_is_no_default_for_images():
    found = find_layout(shapes_only(network("authors-imagenet", embed_dim=256), "authors-imagenet"))
    with pytest.raises(UserError, match="2 blocks of dimension 256 with 4 pools are no configuration of the paper"):
        network_of(found, image_size=32, heads=None, timesteps=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": None}, "no tensor tells the attention heads, and 2 blocks of dimension 16 with 2 pools are no "
         "configuration of the paper or of the authors' CIFAR code: give --heads"),
        ({"heads": 3}, "embed_dim 16 must be divisible by heads, not 3; see spikeloom import --help"),
        ({"heads": 0}, "heads must be at least 1, not 0; see spikeloom import --help"),
        ({"timesteps": 17}, "timesteps must be 1 to 16, not 17; see spikeloom import --help"),
        ({"image_size": 30}, "image_size must be divisible by 4 (2 2x pools), not 30; see spikeloom import --help"),
    ],
)  # fmt: skip
def test_options_wrong(options, message):
    found = find_layout(checkpoint(lively(network("authors-cifar")), "authors-cifar"))
    with pytest.raises(UserError) as refused:
        network_of(found, **{"image_size": 32, "heads": 2, "timesteps": 4, **options})
    assert str(refused.value) == message


def test_differing_keys_and_shapes_are_named():
    config = network("authors-cifar")
    tensors = checkpoint(lively(config), "authors-cifar")
    del tensors["block.1.attn.v_bn.running_var"]
    tensors["block.0.attn.gate"] = torch.ones(3, 2)
    tensors["patch_embed.rpe_conv.weight"] = torch.ones(16, 16, 1, 1)
    found = find_layout(tensors)
    with pytest.raises(UserError) as refused:
        check_tensors(found.layout, config, tensors)
    assert str(refused.value) == (
        "does not match the authors' CIFAR code with 2 blocks of dimension 16; "
        "missing: block.1.attn.v_bn.running_var [16]; unknown: block.0.attn.gate [3, 2]; "
        "of another shape: patch_embed.rpe_conv.weight [16, 16, 1, 1]"
    )


def test_a_shape_that_differs_is_named_with_the_right_one():
    config = network("authors-cifar")
    tensors = checkpoint(lively(config), "authors-cifar") | {"patch_embed.rpe_conv.weight": torch.ones(16, 16, 1, 1)}
    with pytest.raises(UserError) as refused:
        check_tensors(find_layout(tensors).layout, config, tensors)
    assert str(refused.value) == (
        "does not match the authors' CIFAR code with 2 blocks of dimension 16; "
        "of another shape: patch_embed.rpe_conv.weight is [16, 16, 1, 1] instead of [16, 16, 3, 3]"
    )


def test_many_differences_are_counted():
    config = network("authors-imagenet")
    tensors = checkpoint(lively(config), "authors-imagenet")
    found = find_layout(tensors)
    tensors = {key: value for key, value in tensors.items() if "mlp" not in key}
    with pytest.raises(UserError, match=r"missing: block\.0\.mlp\.fc1_conv\.weight \[64, 16, 1, 1\], .* and 21 more$"):
        check_tensors(found.layout, config, tensors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {k: v for k, v in state.items() if k != "head.weight"}, r"^head\.weight is missing, from which "
         "the classes follow; give a whole checkpoint$"),
        (lambda state: state | {"head.weight": torch.ones(10)}, r"^head\.weight is \[10\], but a matrix was expected"),
        (lambda state: state | {"patch_embed.rpe_conv.weight": torch.ones(0, 16, 3, 3)}, r"^patch_embed\.rpe_conv\."
         r"weight is \[0, 16, 3, 3\], but a matrix was expected"),
        (lambda state: state | {"block.0.mlp.fc1_linear.weight": torch.ones(40, 16)}, "^the MLP has 40 hidden channels,"
         " no multiple of the 16 of the embedding$"),
    ],
)  # fmt: skip
def test_no_layout_or_shape(change, message):
    with pytest.raises(UserError, match=message):
        find_layout(change(checkpoint(lively(network("authors-cifar")), "authors-cifar")))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("block.0.attn.q_bn.bias", float("nan"), "block.0.attn.q_bn.bias holds values that are not finite in float32; "
         "give a checkpoint that works"),
        ("head.weight", float("inf"), "head.weight holds values that are not finite in float32; give a checkpoint that "
         "works"),
        ("patch_embed.rpe_bn.running_var", -1.0, "patch_embed.rpe_bn.running_var holds a value below 0; give a "
         "checkpoint that works"),
    ],
)  # fmt: skip
def test_values_wrong(key, value, message):
    config = network("authors-cifar")
    tensors = checkpoint(lively(config), "authors-cifar")
    tensors[key] = tensors[key].clone()
    tensors[key][0] = value
    with pytest.raises(UserError) as refused:
        float_model(find_layout(tensors).layout, config, tensors)
    assert str(refused.value) == message
