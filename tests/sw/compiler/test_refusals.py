"""What the compiler refuses, and with which words."""

from __future__ import annotations

import dataclasses

import pytest

from hw.config import HardwareConfig
from hw.named_configs import LARGE, TINY
from sw.artifact.artifact import Artifact
from sw.artifact.ranges import layer_ranges
from sw.compiler.compiler import compile_artifact
from sw.errors import UserError
from sw.network import NetworkConfig
from tests.sw.compiler.networks import WIDE, artifact_of, config_of, network_of

REMEDY = "use a larger configuration or a smaller network"


def refusal(artifact: Artifact, config: HardwareConfig) -> str:
    with pytest.raises(UserError) as refused:
        compile_artifact(artifact, config)
    return str(refused.value)


@pytest.mark.parametrize(
    ("network", "config", "message"),
    [
        ({}, {"timesteps": 2}, "the network needs 4 time steps, the configuration has 2"),
        ({"timesteps": 9}, {"time_chunks": 2}, "the network needs 9 time steps, the configuration has 8"),
        (
            {"timesteps": 16, "image_size": 24}, {"time_chunks": 4, "token_chunks": 4},
            "attention needs 5 position tiles of K and V, the configuration has 4",
        ),
        ({}, {"max_classes": 2}, "head needs 3 classes, the configuration has 2"),
        ({}, {"max_layers": 13}, "the network needs 14 layers, the configuration has 13"),
        ({"depth": 15}, {"max_layers": 200}, "head needs 6 residual bit-planes, the configuration has 5"),
        ({"image_size": 260}, {}, "conv2 needs 260 columns to pool, the configuration has 256"),
        (
            {"image_size": 260, "pool_order": "before"}, {"pool_before": True},
            "conv2 needs 130 pooled columns, times time chunks, the configuration has 128",
        ),
        (
            {"image_size": 100, "pool_order": "before", "timesteps": 12}, {"pool_before": True, "time_chunks": 3},
            "conv2 needs 150 pooled columns, times time chunks, the configuration has 128",
        ),
        ({"embed_dim": 64, "heads": 1}, {}, "attention needs 64 channels per head, the configuration has 32"),
        (
            {"embed_dim": 24, "heads": 1}, {"head_channels": 16, "inputs": 8, "outputs": 8},
            "attention needs 24 channels per head, the configuration has 16",
        ),
        (
            {"image_size": 48}, {"attention_planes": 7},
            "attention needs 8 bits per entry of K^T V, the configuration has 7",
        ),
        (
            {"image_size": 32}, {"token_chunks": 1},
            "attention needs 2 position tiles of K and V, the configuration has 1",
        ),
        ({}, {"residual_words": 20}, "the network needs 24 words of residual memory, the configuration has 20"),
        (
            {"embed_dim": 256, "heads": 8}, {},
            "rpe needs 1152 beats of the program's buffer for an output tile's weights, the configuration has 960",
        ),
    ],
)  # fmt: skip
def test_network_too_large(network, config, message):
    separator = "" if message.endswith("; ") else ": "
    assert refusal(artifact_of(network_of(**network)), config_of(WIDE, **config)) == message + separator + REMEDY


def test_pools_before_the_neurons_are_refused_by_name():
    assert refusal(artifact_of(network_of(pool_order="before")), TINY) == (
        "the network pools before its neurons (pool_order before), but configuration tiny has no pool_before: use one "
        "that has it, such as base-any or large-any"
    )


def test_a_row_too_short_for_the_pool_before_the_neurons_is_refused():
    network = network_of(image_size=4, pool_order="before")
    shape = {"outputs": 4, "positions": 1, "pool_before": True}
    assert refusal(artifact_of(network), config_of(**shape, neurons=4)) == (
        "conv3 is 2 columns wide, and a row of it takes the neurons 2 cycles, a pool before them at least 3: use a "
        "configuration of fewer neurons"
    )
    assert compile_artifact(artifact_of(network), config_of(**shape, neurons=2)).memory.size


def test_neurons_without_leak_are_refused_by_name():
    assert refusal(artifact_of(network_of(neuron="if")), TINY) == (
        "the network's neurons do not leak (neuron if), but configuration tiny has no if_neurons: use one that has it, "
        "such as base-any or large-any"
    )


def test_weights_too_wide():
    artifact = artifact_of(network_of(), weight_bits=8)
    assert refusal(artifact, TINY) == f"the network needs 8 bits per weight, the configuration has 4: {REMEDY}"
    assert compile_artifact(artifact, config_of(weight_bits=8)).memory.size


def test_halves_need_their_own_accumulator_bits():
    """Of 15 the high half is 0 and the low one 15: 9 * 32 spikes make 4320, 13 bits without a sign."""
    artifact = artifact_of(network_of(embed_dim=32), weight=15, weight_bits=8)
    assert layer_ranges(artifact)["rpe"].accumulator_bits == 14
    assert compile_artifact(artifact, config_of(weight_bits=8, accumulator_bits=13)).memory.size
    assert refusal(artifact, config_of(weight_bits=8, accumulator_bits=12)) == (
        f"rpe needs 13 accumulator bits, the configuration has 12: {REMEDY}"
    )
    # Of -16 the high half is -1: 9 * 32 * 1 need 10 bits, fewer than 14 of the sums.
    artifact = artifact_of(network_of(embed_dim=32), weight=-16, weight_bits=8)
    assert layer_ranges(artifact)["rpe"].accumulator_bits == 14
    assert compile_artifact(artifact, config_of(weight_bits=8, accumulator_bits=12)).memory.size


def test_the_sum_of_both_halves_must_fit_the_neurons():
    """136 weights of 127: halves of 952 and 2040 fit 11 bits, their sum of 17272 needs 16, one more than 11 + 4."""
    network = network_of(embed_dim=8, heads=1, mlp_ratio=17, event_bits=1)
    config = config_of(weight_bits=8, accumulator_bits=11)
    assert refusal(artifact_of(network, weight=127, weight_bits=8), config) == (
        f"block0.fc2 needs 16 bits of a neuron's sum, the configuration has 15: {REMEDY}"
    )
    assert compile_artifact(artifact_of(network, weight=120, weight_bits=8), config).memory.size


def test_counts_of_events_that_do_not_fit_may_have_fewer_bits():
    """18 weights of 7 times 255 need 16 bits, times 127 they need 15; eight planes need more words than seven."""
    remedy = "use a larger configuration, a smaller network or one of fewer event_bits"
    counts = {bits: artifact_of(network_of(image_channels=2, event_bits=bits), weight=7) for bits in (7, 8)}
    narrow = config_of(accumulator_bits=15)
    assert refusal(counts[8], narrow) == f"conv0 needs 16 accumulator bits, the configuration has 15: {remedy}"
    assert compile_artifact(counts[7], narrow).memory.size
    small = config_of(spike_words=600)
    assert (
        refusal(counts[8], small) == f"the network needs 672 words of spike memory, the configuration has 600: {remedy}"
    )
    assert compile_artifact(counts[7], small).spike_words == 592


def test_both_halves_must_fit_the_buffer():
    network = network_of(embed_dim=128, heads=16)
    config = config_of(LARGE, program_beats=1024)
    assert compile_artifact(artifact_of(network), config).memory.size
    assert refusal(artifact_of(network, weight_bits=8), config) == (
        "rpe needs 1152 beats of the program's buffer for an output tile's weights, "
        f"the configuration has 960: {REMEDY}"
    )


def test_other_bias_fraction():
    assert refusal(artifact_of(network_of(), bias_fraction_bits=3), TINY) == (
        "the artifact's biases have 3 fractional bits, configuration tiny has 4: "
        "export again or change bias_fraction_bits"
    )


@pytest.mark.parametrize(
    ("image_channels", "name", "bits"),
    [
        # 9 weights of 7 by pixels to 127: 8001 needs 14 bits, more than 144 spikes by 7 in rpe (11 bits).
        (1, "conv0", 14),
        # 27 of them: 24003 needs 16 bits.
        (3, "conv0", 16),
    ],
)
def test_sums_too_wide(image_channels, name, bits):
    artifact = artifact_of(network_of(image_channels=image_channels), weight=7)
    assert layer_ranges(artifact)[name].accumulator_bits == bits
    assert compile_artifact(artifact, config_of(accumulator_bits=bits)).memory.size
    assert refusal(artifact, config_of(accumulator_bits=bits - 1)) == (
        f"{name} needs {bits} accumulator bits, the configuration has {bits - 1}: {REMEDY}"
    )


def test_bias_too_wide():
    limit = 1 << TINY.accumulator_bits + TINY.bias_fraction_bits - 1
    for sign in (1, -1):
        assert compile_artifact(artifact_of(network_of(), biases={"conv1": sign * (limit - 1)}), TINY).memory.size
        assert refusal(artifact_of(network_of(), biases={"conv1": sign * limit}), TINY) == (
            f"conv1 needs 21 bits of bias, the configuration has 20: {REMEDY}"
        )


@pytest.mark.parametrize(
    ("timesteps", "bias", "bits"),
    [
        # Below zero no spike resets a membrane. Sums of conv0 go down to -8001 * 16 = -128016.
        (4, 0, 20),  # -512064: four currents always fit the adder, where biases are small
        (8, 0, 21),  # -1024128
        (8, -3056, 21),  # -1048576
        (8, -3057, 22),  # -1048584
    ],
)
def test_membranes_without_leak_too_wide(timesteps, bias, bits):
    network = network_of(neuron="if", timesteps=timesteps)
    artifact = artifact_of(network, weight=7, biases={"conv0": bias})
    assert layer_ranges(artifact)["conv0"].result_bits == bits
    config = config_of(time_chunks=2, if_neurons=True)
    # The current has four fractional bits and room for the bias, the adder one bit more.
    assert compile_artifact(artifact, dataclasses.replace(config, accumulator_bits=bits - 6)).memory.size
    if bits > 20:
        assert refusal(artifact, dataclasses.replace(config, accumulator_bits=bits - 7)) == (
            f"conv0 needs {bits} bits of a membrane without leak, the configuration has {bits - 1}: {REMEDY}"
        )


def test_attention_membranes_without_leak_too_wide(monkeypatch):
    """Only thresholds above those of all attention scales come so far: 96 and 32 more make 128."""
    config = config_of(attention_planes=3, head_channels=8, if_neurons=True)
    artifact = artifact_of(network_of(neuron="if"))
    for threshold, fits in ((8, True), (96, True), (97, False)):
        monkeypatch.setattr(NetworkConfig, "attention_threshold", threshold)
        if fits:
            assert compile_artifact(artifact, config).memory.size
        else:
            assert refusal(artifact, config) == (
                f"block0.attention needs 9 bits of a membrane without leak, the configuration has 8: {REMEDY}"
            )


def test_logit_too_wide():
    top = (1 << 31) - 1
    assert compile_artifact(artifact_of(network_of(), biases={"head": top}), TINY).memory.size
    assert refusal(artifact_of(network_of(), weight=1, biases={"head": top}), TINY) == (
        f"head needs 33 bits of a logit, the configuration has 32: {REMEDY}"
    )


@pytest.mark.parametrize(
    ("image_size", "positions", "name", "width"), [(4, 2, "rpe", 1), (12, 4, "rpe", 3), (4, 4, "conv3", 2)]
)
def test_fewer_columns_than_positions_are_refused(image_size, positions, name, width):
    config = config_of(WIDE, positions=positions, neurons=1)
    assert refusal(artifact_of(network_of(image_size=image_size)), config) == (
        f"{name} is {width} columns wide, fewer than the configuration's {positions} positions: use a configuration of "
        "fewer positions"
    )
