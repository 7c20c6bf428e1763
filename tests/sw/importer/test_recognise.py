"""Keys of a layout that is not known: what is said of them, and what is not."""

from __future__ import annotations

import pytest
import torch

from sw.errors import UserError
from sw.importer.layouts import LAYOUTS
from sw.importer.recognise import nearest, recognise
from sw.importer.shape import check_tensors, find_layout
from tests.sw.importer.checkpoints import AUTHORS_STEM, KINDS, checkpoint, lively, network


def renamed(state):
    """Keys of a code that is not known: the authors' blocks behind a stem of other names."""
    names = {f"{old}.": f"patch_embed.stage{i + 1}_{part}." for i, pair in enumerate(list(AUTHORS_STEM.values())[:4])
             for old, part in zip(pair, ("conv", "bn"), strict=True)}  # fmt: skip
    start = {key: next((new for new in names if key.startswith(new)), "") for key in state}
    return {names.get(start[key], "") + key.removeprefix(start[key]): value for key, value in state.items()}


def vit(blocks=12):
    """Keys of timm's vision transformer."""
    state = {key: torch.ones(2) for key in ("cls_token", "pos_embed", "patch_embed.proj.weight", "norm.weight")}
    parts = ("norm1.weight", "attn.qkv.weight", "attn.proj.weight", "norm2.weight", "mlp.fc1.weight", "mlp.fc2.weight")
    state |= {f"blocks.{i}.{part}": torch.ones(2, 2) for i in range(blocks) for part in parts}
    return state | {"head.weight": torch.ones(10, 2), "head.bias": torch.ones(10)}


@pytest.fixture
def cifar():
    return checkpoint(lively(network("authors-cifar")), "authors-cifar")


@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_is_nearest_to_itself(kind):
    state = checkpoint(lively(network(kind)), kind)
    like = nearest(state)
    assert like.layout.name == kind and not like.missing and not like.foreign
    assert like.shared == len(like.layout.modules()) - 1
    assert find_layout(state).layout.name == kind


def test_the_authors_codes_of_four_pools_are_told_apart_by_the_axes_of_their_weights():
    """All of their modules have the same names; what only one of them keeps may have been left out."""
    events = checkpoint(lively(network("authors-dvs")), "authors-dvs")
    for key in ("pos_embed", "norm.weight", "norm.bias"):
        del events[key]
    assert find_layout(events).layout.name == "authors-dvs"
    images = checkpoint(lively(network("authors-imagenet")), "authors-imagenet") | {"pos_embed": torch.ones(1, 4, 16)}
    found = find_layout(images)
    assert found.layout.name == "authors-imagenet"
    with pytest.raises(UserError, match=r"with 2 blocks of dimension 16; unknown: pos_embed \[1, 4, 16\]$"):
        check_tensors(found.layout, network("authors-imagenet"), images)


def test_modules_are_those_of_every_number_of_blocks():
    for layout in LAYOUTS:
        assert f"{layout.blocks}.*" in {module[: len(layout.blocks) + 2] for module in layout.modules()}
        assert layout.module(f"{layout.blocks}.17.attn.x.weight") == f"{layout.blocks}.*.attn.x"
        assert layout.module("pos_embed") == "pos_embed"


def test_a_layout_that_shares_keys_with_a_known_one_is_told_to_be_unknown(cifar):
    with pytest.raises(UserError) as refused:
        find_layout(renamed(cifar))
    assert str(refused.value) == (
        "the layout is not known, nearest is the authors' CIFAR code: without patch_embed.proj_conv, "
        "patch_embed.proj_bn and 6 more, with patch_embed.stage1_conv and 7 more; see README.md for those that are"
    )


def test_a_layout_like_none_is_told_by_its_modules():
    with pytest.raises(UserError) as refused:
        find_layout(vit())
    assert str(refused.value) == (
        "the layout is not known, with tensors of cls_token, pos_embed, patch_embed.proj, norm, blocks.*.norm1, "
        "blocks.*.attn.qkv and 5 more; see README.md for those that are"
    )


def test_a_part_of_a_known_layout_is_told_to_be_no_whole_checkpoint(cifar):
    with pytest.raises(UserError) as refused:
        recognise(key for key in cifar if not key.startswith("patch_embed.rpe"))
    assert str(refused.value) == (
        "the authors' CIFAR code without patch_embed.rpe_conv, patch_embed.rpe_bn; give a whole checkpoint"
    )


def test_thousands_of_keys_and_long_ones_make_a_short_refusal(cifar):
    for keys in ([f"layer{i}.weight" for i in range(5000)], ["[red]x" * 10_000], ["a\n\x1b[31mb.weight"]):
        for more in ({}, renamed(cifar)):
            with pytest.raises(UserError) as refused:
                recognise([*keys, *more])
            assert len(str(refused.value)) < 300 and str(refused.value).isprintable()
