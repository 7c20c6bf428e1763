"""Reading checkpoints: what is recognised, inferred, ignored and refused."""

from __future__ import annotations

import argparse
import dataclasses

import pytest
import torch
from checkpoints import KINDS, checkpoint, lively, network

from sw.errors import UserError
from sw.importer.checkpoint_file import read_tensors
from sw.importer.float_model import float_model
from sw.importer.shape import check_tensors, find_layout, network_of
from sw.model import Spikformer, Trace
from sw.named_networks import NAMED_NETWORKS

WRAPPINGS = {
    "plain": lambda state: state,
    "parallel": lambda state: {f"module.{key}": value for key, value in state.items()},
    "state_dict": lambda state: {"epoch": 3, "state_dict": state},
    "model": lambda state: {"model": {f"module.{key}": value for key, value in state.items()}, "optimizer": {"lr": 1}},
    "timm": lambda state: {"state_dict": state, "arch": "spikformer", "args": argparse.Namespace(lr=5e-4, aa="rand")},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_checkpoint_gives_the_model_that_it_was_made_of(tmp_path, kind, wrapping):
    config = network(kind)
    model = lively(config)
    path = tmp_path / "model.pth"
    torch.save(WRAPPINGS[wrapping](checkpoint(model, kind)), path)
    tensors = read_tensors(path)
    found = find_layout(tensors)
    assert found.layout.name == kind
    assert network_of(found, image_size=32, heads=2, timesteps=4) == config
    ignored = check_tensors(found.layout, config, tensors)
    assert len(ignored) == (0 if kind == "spikingjelly" else 8) and all(".norm" in key for key in ignored)
    images, ours, theirs = torch.randn(2, 3, 32, 32), Trace(), Trace()
    with torch.no_grad():
        assert torch.equal(model(images, ours), float_model(found.layout, config, tensors)(images, theirs))
    assert all(torch.equal(ours.spikes[name], spikes) for name, spikes in theirs.spikes.items())
    assert min(spikes.float().mean() for spikes in ours.spikes.values()) > 0.005


@pytest.mark.parametrize("name", [name for name, network in NAMED_NETWORKS.items() if not network.events])
def test_configurations_of_the_paper_are_recognised_with_their_heads(name):
    config = NAMED_NETWORKS[name]
    with torch.device("meta"):
        tensors = checkpoint(Spikformer(config), "authors-cifar" if config.pools == 2 else "authors-imagenet")
    found = find_layout(tensors)
    assert network_of(found, image_size=config.image_size, heads=None, timesteps=4) == config
    assert len(check_tensors(found.layout, config, tensors)) == 4 * config.depth


def test_other_classes_and_channels_keep_the_papers_heads():
    config = dataclasses.replace(NAMED_NETWORKS["spikformer-4-384"], classes=100, image_channels=1)
    with torch.device("meta"):
        found = find_layout(checkpoint(Spikformer(config), "authors-cifar"))
    assert network_of(found, image_size=32, heads=None, timesteps=4) == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": None}, "no tensor tells the attention heads, and 2 blocks of dimension 16 are no configuration of "
         "the paper: give --heads"),
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
        "of another shape: patch_embed.rpe_conv.weight is [16, 16, 1, 1] instead of [16, 16, 3, 3]"
    )


def test_many_differences_are_counted():
    config = network("authors-imagenet")
    tensors = {key: value for key, value in checkpoint(lively(config), "authors-imagenet").items() if "mlp" not in key}
    with pytest.raises(UserError, match=r"^block\.0\.mlp\.fc1_conv\.weight is missing, from which the size of the MLP"):
        find_layout(tensors)
    found = find_layout(checkpoint(lively(config), "authors-imagenet"))
    with pytest.raises(UserError, match=r"fc1_conv\.weight \[64, 16, 1, 1\], .* and 16 more$"):
        check_tensors(found.layout, config, tensors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {"features.0.weight": torch.ones(3)}, r"^none of the known layouts \(by block\.0\.attn\.q_linear"
         r".*\), but features\.0\.weight; rename its keys"),
        (lambda state: state | {"pos_embed": torch.ones(1, 64, 16)}, r"^pos_embed is of the authors' code for event"),
        (lambda state: {k: v for k, v in state.items() if k != "head.weight"}, r"^head\.weight is missing, from which "
         "the classes follow; give a whole checkpoint$"),
        (lambda state: state | {"head.weight": torch.ones(10)}, r"^head\.weight is \[10\], but a matrix was expected"),
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
        ("block.0.attn.q_bn.bias", float("nan"), "block.0.attn.q_bn.bias holds values that are not finite numbers; "
         "give a checkpoint that works"),
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


class Harmful:
    """What unpickling would run."""

    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(2)], r"holds list, not a state dictionary; save the weights alone"),
        ({"epoch": 3, "arch": "x"}, r"no tensors among its keys \(epoch, arch\); save the weights alone"),
        ({"state_dict": {"x": torch.ones(1)}, "hook": Harmful()}, r"holds an object of \S*print, and code of a file is "
         "never run; save the weights alone"),
    ],
)  # fmt: skip
def test_content_wrong(tmp_path, capsys, content, message):
    path = tmp_path / "model.pth"
    torch.save(content, path)
    with pytest.raises(UserError, match=rf"model\.pth: {message}"):
        read_tensors(path)
    assert capsys.readouterr().out == ""


def test_files_wrong(tmp_path):
    with pytest.raises(UserError, match=r"missing\.pth: cannot be read \(no such file\); give the path"):
        read_tensors(tmp_path / "missing.pth")
    with pytest.raises(UserError, match=r"cannot be read \(a folder\)"):
        read_tensors(tmp_path)
    for name, content in (("text.pth", b"hello"), ("empty.pth", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"{name}: not a (whole )?checkpoint"):
            read_tensors(tmp_path / name)
    torch.save({"x": torch.ones(1000)}, tmp_path / "cut.pth")
    whole = (tmp_path / "cut.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.pth: not a whole checkpoint"):
        read_tensors(tmp_path / "cut.pth")
