"""The graph's primitives alone, run by an evaluator that knows only NIR, give the golden model's spikes."""

from __future__ import annotations

import dataclasses

import nir
import numpy as np
import pytest
import torch

from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from spikeloom.commands.common import MODEL
from sw.artifact.file import load
from sw.artifact.ranges import layer_ranges
from sw.data.samples import load_sample
from sw.errors import UserError
from sw.formats.nir import graph, wiring
from sw.formats.nir.attention import add_attention
from sw.formats.nir.graph import wire
from sw.formats.nir.write import graph_of, write_nir
from sw.network import NetworkConfig
from tests.sw.formats.nir.evaluator import Evaluator

TRAINED = load(MODEL)


def check_equal(artifact, images, written) -> None:
    """Run graph and golden model; compare every spike, every residual integer and the logits."""
    network, model = artifact.network, GoldenModel(artifact)
    golden = model.record(images)
    frames = model.quantise_image(images).movedim(-1, 2)
    evaluator = Evaluator(written, float(written.metadata["dt"]))
    steps = [evaluator.step(frames[min(t, len(frames) - 1)]) for t in range(int(written.metadata["timesteps"]))]
    for suffix, expected in (("neuron", golden.spikes), ("pool", golden.pooled), ("residual", golden.residuals)):
        assert expected
        for name, values in expected.items():
            found = torch.stack([outputs[f"{name}.{suffix}"] for outputs in steps])
            assert torch.equal(found, values.double()), f"{name}.{suffix}"
    rates = [float(spikes.float().mean()) for spikes in golden.spikes.values()]
    assert min(rates) > 0 and max(rates) < 1  # nothing is equal for being silent
    logits = steps[-1]["output"][:, :, 0, 0] / network.timesteps * 2**artifact.bias_fraction_bits
    assert torch.equal(logits, golden.logits.double())


def test_primitives_give_goldens_spikes_with_every_option(each_artifact):
    check_equal(each_artifact, random_images(each_artifact.network, 2, seed=8), graph_of(each_artifact))


def test_a_trained_models_file_gives_goldens_spikes(tmp_path):
    write_nir(TRAINED, tmp_path / "trained.nir")
    check_equal(TRAINED, load_sample(TRAINED.dataset).images[:2], nir.read(tmp_path / "trained.nir"))


def test_a_changed_weight_gives_other_spikes(artifact):
    changed = graph_of(artifact)
    changed.nodes["conv1"].weight[2] += 1
    with pytest.raises(AssertionError, match="conv1"):
        check_equal(artifact, random_images(artifact.network, 2, seed=8), changed)


def test_ties_at_the_threshold_spike_whichever_way_a_tool_compares(artifact):
    # Channel 0 has no weights here, and its membrane is exactly at the threshold in the first step: 2 * 2^T / 2.
    parameters = artifact.tensors["conv1"]
    weight, bias, threshold = parameters.weight.copy(), parameters.bias.copy(), parameters.threshold.copy()
    weight[0], bias[0], threshold[0] = 0, 32, 32 << artifact.network.timesteps - 1
    changed = dataclasses.replace(parameters, weight=weight, bias=bias, threshold=threshold)
    tied = dataclasses.replace(artifact, tensors=artifact.tensors | {"conv1": changed})
    node = graph_of(tied).nodes["conv1.neuron"]
    limit, membrane = float(node.v_threshold[0, 0, 0]), 32 / 2**artifact.bias_fraction_bits / 2
    assert limit == membrane - 2 ** -(artifact.bias_fraction_bits + artifact.network.timesteps + 1)
    check_equal(tied, random_images(tied.network, 1, seed=8), graph_of(tied))


def test_every_node_is_named_after_its_layer(each_artifact):
    layers = {layer.name for layer in each_artifact.network.layers()}
    nodes = set(graph_of(each_artifact).nodes) - {"input", "output"}
    assert {name if name in layers else name.rpartition(".")[0] for name in nodes} == layers


def refusal(call) -> str:
    with pytest.raises(UserError) as refused:
        call()
    return str(refused.value)


def test_pool_before_the_neuron_wrong():
    network = NetworkConfig(
        image_size=8, image_channels=1, classes=2, embed_dim=8, depth=1, heads=1, pools=1, pool_order="before"
    )
    artifact = random_artifact(network, 4, seed=7)
    assert refusal(lambda: wire(artifact)) == (
        "conv3: its pool takes the largest of nine currents (pool_order before), and NIR has sums and thresholds, but "
        "no largest of several numbers; export a network with pool_order after"
    )


def test_threshold_beyond_float64_wrong(artifact):
    parameters = artifact.tensors["rpe"]
    threshold = parameters.threshold.copy()
    threshold[3] = 2**52 + 1
    large = dataclasses.replace(
        artifact, tensors=artifact.tensors | {"rpe": dataclasses.replace(parameters, threshold=threshold)}
    )
    assert refusal(lambda: wire(large)) == (
        "rpe: its threshold 4503599627370497 is above 4503599627370496, beyond which float64 has no halves; quantise "
        "to smaller integers"
    )
    threshold[3] = 2**52
    assert np.ldexp(wire(large).nodes["rpe.neuron"].v_threshold[3, 0, 0], 9) == 2**53 - 1


@pytest.mark.parametrize(
    ("name", "what", "more"), [("conv0", "membrane", 0), ("head", "logit", 3)]
)  # head: times T = 4
def test_what_float64_would_round_wrong(artifact, monkeypatch, name, what, more):
    ranges = {name: layer_ranges(artifact)[name]}
    bits = ranges[name].result_bits + more
    monkeypatch.setattr(graph, "layer_ranges", lambda _: ranges)
    monkeypatch.setattr(graph, "MOST_BITS", bits - 1)
    assert refusal(lambda: wire(artifact)) == (
        f"{name}: its {what} takes {bits} bits, and float64, in which NIR graphs run, is exact up to {bits - 1}; "
        "quantise to smaller integers"
    )
    monkeypatch.setattr(graph, "MOST_BITS", bits)
    wire(artifact)


def test_a_network_too_large_is_refused_before_its_attention_is_built():
    network = NetworkConfig(
        image_size=224, image_channels=3, classes=1000, embed_dim=768, depth=8, heads=8, pools=4, linear_bias="not-qkv"
    )
    assert refusal(lambda: add_attention(wiring.Wiring(), "block0.attention", network, "q", "k", "v")) == (
        "block0.attention: takes 472,154,112 numbers in NIR, where every neuron and every product of spikes has its "
        "own, after 0 of what is before it; at most 268,435,456; export a smaller network"
    )


def test_room_is_asked_for_what_attention_then_takes(artifact, monkeypatch):
    asked = {}
    check = wiring.Wiring.check_room

    def listen(self, name, numbers):
        asked.setdefault(name, numbers)
        check(self, name, numbers)

    monkeypatch.setattr(wiring.Wiring, "check_room", listen)
    nodes = wire(artifact).nodes
    inner = [node for name, node in nodes.items() if name.startswith("block1.attention.")]
    sizes = [
        getattr(node, part).size for part in ("weight", "threshold", "scale") for node in inner if hasattr(node, part)
    ]
    assert asked["block1.attention"] == sum(sizes)
    monkeypatch.setattr(wiring, "LARGEST_GRAPH", 5000)
    assert refusal(lambda: wire(artifact)).startswith("conv2.neuron: takes ")
