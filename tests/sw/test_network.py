"""Names and largest integers of the layer list, and what a network must not be."""

from __future__ import annotations

from typing import Any

import pytest

from sw.network import STEM_PARTS, NetworkConfig

SIZES = {"image_size": 8, "image_channels": 1, "classes": 3, "embed_dim": 16, "depth": 2, "heads": 2}


@pytest.mark.parametrize(
    ("mode", "largest"),
    [
        ("add", {"block0.q": 2, "block0.fc1": 3, "block1.q": 4, "block1.fc1": 5, "head": 6}),
        ("clamp", {"block0.q": 2, "block0.fc1": 3, "block1.q": 3, "block1.fc1": 3, "head": 3}),
        ("iand", {"block0.q": 1, "block0.fc1": 1, "block1.q": 1, "block1.fc1": 1, "head": 1}),
    ],
)
def test_largest_inputs_follow_the_residual_mode(mode, largest):
    layers = {layer.name: layer for layer in NetworkConfig(**SIZES, residual_mode=mode).layers()}
    assert {name: layers[name].input_max for name in largest} == largest
    assert {name: layers[name].input_planes for name in largest} == {
        name: value.bit_length() for name, value in largest.items()
    }
    others = [layer.input_max for layer in layers.values() if layer.source not in ("residual", "image")]
    assert set(others) == {1}


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_events_are_counts_of_every_time_step(bits):
    network = NetworkConfig(**{**SIZES, "image_channels": 2}, event_bits=bits, timesteps=10)
    first = network.layers()[0]
    assert (first.source, first.reads_input, first.input_max) == ("events", True, 2**bits - 1)
    assert network.events and network.largest_pixel == 2**bits - 1 and first.input_planes == bits
    assert first.weight_limit(8) == 127
    assert network.input_shape == (10, 2, 8, 8)
    assert NetworkConfig(**SIZES).input_shape == (1, 8, 8) and NetworkConfig(**SIZES).largest_pixel == 255
    assert [layer.reads_input for layer in network.layers()].count(True) == 1


def test_a_pool_comes_before_or_after_the_neurons_of_the_same_layers():
    for order in ("after", "before"):
        layers = NetworkConfig(**SIZES, pool_order=order).layers()
        assert [layer.name for layer in layers if layer.pool] == ["conv2", "conv3"]
        assert [layer.name for layer in layers if layer.pool_first] == (["conv2", "conv3"] if order == "before" else [])
        assert layers[3].output_grid == (2, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 0}, "depth must be at least 1, not 0"),
        ({"image_size": 10}, "image_size must be divisible by 4 (2 2x pools), not 10"),
        ({"image_size": 24, "pools": 4}, "image_size must be divisible by 16 (4 2x pools), not 24"),
        ({"pools": 0}, "pools must be 1 to 4, not 0"),
        ({"pools": 5}, "pools must be 1 to 4, not 5"),
        ({"event_bits": 9}, "event_bits must be 0 (an image) or 1 to 8 (event frames), not 9"),
        ({"event_bits": -1}, "event_bits must be 0 (an image) or 1 to 8 (event frames), not -1"),
        ({"heads": 3}, "embed_dim 16 must be divisible by heads, not 3"),
        ({"attention_scale": 0.2}, "attention_scale must be 0.0625, 0.125, 0.25 or 0.5, not 0.2"),
        ({"residual_mode": "or"}, "residual_mode must be add, clamp or iand, not 'or'"),
        ({"pool_order": "first"}, "pool_order must be after or before, not 'first'"),
        ({"linear_bias": True}, "linear_bias must be all, not-qkv or none, not True"),
        ({"neuron": "plif"}, "neuron must be lif or if, not 'plif'"),
        ({"residual_mode": None}, "residual_mode must be add, clamp or iand, not None"),
        (
            {"depth": 127},
            "depth must be at most 126 in residual_mode add, whose integers reach 255 then, not 127; the "
            "modes clamp and iand may be deeper",
        ),
    ],
)
def test_shape_wrong(change: dict[str, Any], message: str):
    with pytest.raises(ValueError) as refused:
        NetworkConfig(**{**SIZES, **change})
    assert str(refused.value) == message


def test_the_deepest_network_still_has_bytes_in_its_residual_stream():
    assert max(layer.input_max for layer in NetworkConfig(**{**SIZES, "depth": 126}).layers()) == 254
    for mode in ("clamp", "iand"):
        assert NetworkConfig(**{**SIZES, "depth": 127}, residual_mode=mode).depth == 127


def test_a_layer_is_named_after_its_part_and_its_block():
    network = NetworkConfig(**SIZES)
    layers = network.layers()
    parts = ("q", "k", "v", "attention", "proj", "fc1", "fc2")
    assert [layer.part for layer in network.block(1)] == list(parts)
    assert [layer.name for layer in network.block(1)] == [f"block1.{part}" for part in parts]
    assert [layer.name for layer in layers[: len(STEM_PARTS)]] == list(STEM_PARTS)
    assert layers == (*layers[: len(STEM_PARTS)], *network.block(0), *network.block(1), layers[-1])
    assert {layer.block for layer in layers if "." not in layer.name} == {None} and layers[-1].name == "head"


def test_attention_reads_q_k_and_v_of_its_block_and_others_one_source():
    layers = {layer.name: layer for layer in NetworkConfig(**SIZES).layers()}
    attention = layers.pop("block1.attention")
    assert attention.sources == ("block1.q", "block1.k", "block1.v") and attention.source == "block1.q"
    assert layers["block1.proj"].sources == ("block1.attention",)
    assert layers["conv0"].sources == ("image",)
