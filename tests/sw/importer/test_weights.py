"""Which weights of a checkpoint are taken: wrappers of keys, dictionaries around them, averages beside them."""

from __future__ import annotations

import pytest
import torch

from sw.errors import UserError
from sw.importer.shape import check_tensors, find_layout
from sw.importer.weights import choose_weights
from tests.sw.importer.checkpoints import KINDS, checkpoint, lively, network


def begun(start, state):
    return {f"{start}{key}": value for key, value in state.items()}


@pytest.fixture(scope="module")
def states():
    """The same network with three sets of weights."""
    return [checkpoint(lively(network("authors-cifar"), seed), "authors-cifar") for seed in range(3)]


def same(found, state):
    return found.tensors.keys() == state.keys() and all(found.tensors[key] is value for key, value in state.items())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "start", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "net.", "backbone.model.", "a.b.c.d."]
)
def test_what_all_keys_begin_with_is_taken_off(kind, start):
    state = checkpoint(lively(network(kind)), kind)
    assert same(choose_weights(begun(start, state)), state)


@pytest.mark.parametrize("inside", ["_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"])
def test_wrappers_of_single_modules_are_taken_off(states, inside):
    wrapped = {key.replace(".attn.", f".{inside}.attn."): value for key, value in states[0].items()}
    assert wrapped.keys() != states[0].keys()
    assert same(choose_weights(wrapped), states[0])


@pytest.mark.parametrize("key", ["net", "state_dict", "model", "model_state_dict", "params", "x.y"])
def test_a_dictionary_under_any_key_is_found(states, key):
    content = {"epoch": 3, key: begun("module.", states[0]), "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}}
    found = choose_weights(content)
    assert same(found, states[0]) and found.name == key and found.others == ()


def test_dictionaries_within_dictionaries_are_found_and_cycles_end(states):
    content = {"checkpoint": {"model": states[0]}, "again": {"model": states[0]}, "statistics": {"x": torch.ones(2)}}
    content["checkpoint"]["self"] = content
    found = choose_weights(content)
    assert same(found, states[0]) and found.name == "checkpoint.model" and found.others == ()


@pytest.mark.parametrize(
    "content",
    [
        lambda one, two: {"state_dict": one, "state_dict_ema": two},
        lambda one, two: {"model_ema": two, "model": one},
        lambda one, two: {"ema": {"module": two}, "net": begun("module.", one)},
        lambda one, two: {"state_dict": begun("model.", one) | begun("ema_model.", two)},
        lambda one, two: {"ema_model": two, "swa": two, "x": one},
    ],
)
def test_of_weights_and_their_average_the_weights_are_taken_and_the_others_are_named(states, content):
    one, two, _ = states
    found = choose_weights(content(one, two))
    assert same(found, one) and len(found.others) >= 1
    for name in found.others:
        average = choose_weights(content(one, two), name)
        assert same(average, two) and found.name in average.others


def test_an_average_alone_is_taken(states):
    found = choose_weights({"n_averaged": torch.tensor(3)} | begun("module.", states[0]))
    assert check_tensors(find_layout(found.tensors).layout, network("authors-cifar"), found.tensors)[-1] != "head.bias"
    assert same(choose_weights({"model_ema": states[0], "epoch": 1}), states[0])


def test_tensors_beside_the_network_are_not_dropped(states):
    for start, key in (("model.", "criterion.weight"), ("net.", "head.weight")):
        found = choose_weights(begun(start, states[0]) | {key: torch.ones(3, 2)})
        with pytest.raises(UserError, match=rf"unknown: {key}( beside {start})? \[3, 2\]$"):
            check_tensors(find_layout(found.tensors).layout, network("authors-cifar"), found.tensors)


def test_the_same_keys_with_and_without_a_wrapper_are_two_networks(states):
    found = choose_weights(states[0] | begun("module.", states[1]))
    assert same(found, states[0]) and found.others == ("module",)
    assert same(choose_weights(states[0] | begun("module.", states[1]), "module"), states[1])


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ([torch.ones(2)], None, "holds list, not a state dictionary; save the weights alone"),
        ({"epoch": 3, "arch": "x"}, None, r"no tensors among its keys \(epoch, arch\); save the weights alone"),
        ({}, None, r"no tensors among its keys \(nothing\); save"),
        ({"model": {"x": torch.ones(2)}}, "ema", "--weights is 'ema', but the file holds model; give one of these"),
        ({"x": torch.ones(2)}, "e" * 999, "--weights is 'e+.*e+', but the file holds those on top; give one"),
        ({f"key{i}": i for i in range(9999)}, None, r"no tensors among its keys \(key0, .* and 9989 more\); save"),
    ],
)
def test_no_weights(content, name, message):
    with pytest.raises(UserError, match=rf"^{message}") as refused:
        choose_weights(content, name)
    assert len(str(refused.value)) < 300
