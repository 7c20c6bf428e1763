"""Every number of a program fits what reads it: networks at a limit compile, one step beyond they are refused."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw.attention.attention import Attention
from hw.attention.job import job_layout
from hw.config import LIMITS, MAX_TIMESTEPS, HardwareConfig
from hw.descriptor import DESCRIPTOR, FIELDS, MAX_RESIDUAL_PLANES, Descriptor, Opcode
from hw.field_limits import MAX_DESCRIPTORS, field_limits
from hw.named_configs import CONFIGS, MINI
from hw.neurons.batch import batch_layout
from hw.pool.max_pool_walk import MAX_POOL_WORDS
from hw.writeback.pool_writer import MAX_POOL_SIDE
from sw.artifact.artifact import Artifact, LayerParameters
from sw.compiler.compiler import compile_artifact
from sw.compiler.program import Program
from sw.errors import UserError
from sw.network import RESIDUAL_LIMIT, NetworkConfig

REMEDY = "use a larger configuration or a smaller network"

ROOMY = dataclasses.replace(
    MINI, name="roomy", spike_words=1 << 20, residual_words=1 << 20, attention_planes=12, token_chunks=255,
    program_beats=1 << 16, head_channels=1020, time_chunks=4, max_layers=255, max_classes=1024,
)  # fmt: skip
"""A small array with as much of everything else as there can be."""


def zero_artifact(**changes: Any) -> Artifact:
    """All weights and biases 0."""
    sizes = {"image_size": 8, "image_channels": 1, "classes": 3, "embed_dim": 8, "depth": 1, "heads": 1}
    network = NetworkConfig(**{**sizes, **changes})
    tensors = {
        layer.name: LayerParameters(
            weight=np.zeros(layer.weight_shape, np.int8),
            bias=np.zeros(layer.out_channels, np.int32),
            threshold=None if layer.kind == "head" else np.ones(layer.out_channels, np.int64),
            scale=np.ones(layer.out_channels),
        )
        for layer in network.layers()
        if layer.has_weights
    }
    return Artifact(
        network=network, weight_bits=4, bias_fraction_bits=4, tensors=tensors,
        image_table=np.zeros((network.image_channels, 256), np.int8), image_scale=1.0, dataset="none",
    )  # fmt: skip


def configured(**changes: Any) -> HardwareConfig:
    return dataclasses.replace(ROOMY, **changes)


def largest(program: Program, field: str) -> int:
    return max(getattr(step.descriptor, field) for step in program.steps if step.layer is not None)


@pytest.mark.parametrize(
    ("field", "config", "fits", "beyond", "limit", "refusal"),
    [
        (
            "output_tiles", {}, {"embed_dim": 64, "mlp_ratio": 63}, {"embed_dim": 64, "mlp_ratio": 64}, 1008,
            "block0.fc1 does not fit configuration roomy: descriptor field output_tiles takes 0 to 1023, not 1024",
        ),
        (
            "slices", {"outputs": 8}, {"embed_dim": 64, "mlp_ratio": 63}, {"embed_dim": 64, "mlp_ratio": 64}, 1008,
            "block0.fc2 does not fit configuration roomy: descriptor field slices takes 0 to 1023, not 1024",
        ),
        (
            "tiles", {}, {"image_size": 248, "pools": 3}, {"image_size": 256, "pools": 3}, 3844,
            "conv1 does not fit configuration roomy: descriptor field tiles takes 0 to 4095, not 4096",
        ),
        (
            "positions", {}, {"image_size": 240, "pools": 4, "timesteps": 8},
            {"image_size": 256, "pools": 4, "timesteps": 8}, 115200,
            "conv0 does not fit configuration roomy: descriptor field positions takes 0 to 131071, not 131072",
        ),
        (
            "width", {}, {"image_size": 256, "pools": 4}, {"image_size": 272, "pools": 4}, 256,
            "conv0 needs 272 columns to pool, the configuration has 256",
        ),
        (
            "head_channels", {}, {"embed_dim": 1016}, {"embed_dim": 1024}, 1016,
            "attention needs 1024 channels per head, the configuration has 1020",
        ),
        (
            "residual_planes_out", {}, {"depth": 14}, {"depth": 15}, 5,
            "head needs 6 residual bit-planes, the configuration has 5",
        ),
        (
            "layer", {}, {"depth": 35, "residual_mode": "iand"}, {"depth": 36, "residual_mode": "iand"}, 251,
            "the network needs 259 layers, the configuration has 255",
        ),
        (
            "timesteps", {"time_chunks": 1}, {"timesteps": 4}, {"timesteps": 5}, 4,
            "the network needs 5 time steps, the configuration has 4",
        ),
        ("time_chunks", {}, {"timesteps": 16}, None, 4, ""),
        (
            "tile_pieces", {"outputs": 60}, {"embed_dim": 64, "heads": 4}, None, 15, "",
        ),
        (
            "groups", {"token_chunks": 4}, {"image_size": 32}, {"image_size": 36}, 64,
            "attention needs 6 position tiles of K and V, the configuration has 4",
        ),
        (
            "weight_beats", {"program_beats": 256}, {"embed_dim": 16, "mlp_ratio": 48},
            {"embed_dim": 16, "mlp_ratio": 49}, 192,
            "block0.fc2 needs 196 beats of the program's buffer for an output tile's weights, "
            "the configuration has 192",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)  # fmt: skip
def test_networks_at_a_limit_compile_and_beyond_it_are_refused(field, config, fits, beyond, limit, refusal):
    hardware = configured(**config)
    assert largest(compile_artifact(zero_artifact(**fits), hardware), field) == limit
    if beyond is None:  # the network itself or the configuration cannot ask for more
        return
    with pytest.raises(UserError) as refused:
        compile_artifact(zero_artifact(**beyond), hardware)
    separator = "; " if "descriptor field" in refusal else ": "
    assert str(refused.value) == refusal + separator + REMEDY


def test_a_threshold_that_no_attention_sum_reaches_fills_its_field():
    """2 channels and 1 token: sums to 2 or 3, and a threshold of 128 beside a membrane of 7 bits."""
    artifact = zero_artifact(image_size=2, pools=1, heads=4, attention_scale=0.0625)
    config = configured(attention_planes=1, head_channels=4, time_chunks=1)
    assert artifact.network.attention_threshold == 128
    steps = compile_artifact(artifact, config).steps_of("block0.attention")
    assert {step.descriptor.attention_threshold for step in steps} == {127}
    within = zero_artifact(image_size=2, pools=1, heads=4, attention_scale=0.125)
    steps = compile_artifact(within, config).steps_of("block0.attention")
    assert {step.descriptor.attention_threshold for step in steps} == {64}


def test_a_program_has_no_more_descriptors_than_are_counted(monkeypatch):
    artifact = zero_artifact(embed_dim=16, heads=4)
    count = len(compile_artifact(artifact, ROOMY).steps)
    monkeypatch.setattr("sw.compiler.compiler.MAX_DESCRIPTORS", count)
    assert compile_artifact(artifact, ROOMY).memory.size
    monkeypatch.setattr("sw.compiler.compiler.MAX_DESCRIPTORS", count - 1)
    with pytest.raises(UserError) as refused:
        compile_artifact(artifact, ROOMY)
    assert str(refused.value) == (f"the network needs {count} descriptors, the configuration has {count - 1}: {REMEDY}")


def test_the_documentation_names_every_limit():
    """The table of architecture.md holds exactly these numbers."""
    words = field_limits(ROOMY, Descriptor(opcode=Opcode.WEIGHTS))
    expected = {
        "side of the image": MAX_POOL_SIDE,
        "pooled columns times time chunks": MAX_POOL_WORDS,
        "positions times time chunks in use": words["positions"],
        "position tiles": words["tiles"],
        "output tiles": words["output_tiles"],
        "slices of its input": words["slices"],
        "beats of a strip of the image": field_limits(ROOMY, Descriptor(opcode=Opcode.LOAD))["weight_beats"],
        "descriptors of a program": MAX_DESCRIPTORS,
        "words of a memory": LIMITS["spike_words"],
        "channels of a head": (1 << DESCRIPTOR["head_channels"].width) - 1,
        "position tiles of K and V": LIMITS["token_chunks"],
        "layers": LIMITS["max_layers"],
        "classes": LIMITS["max_classes"],
        "time steps": MAX_TIMESTEPS,
        "residual bit-planes": MAX_RESIDUAL_PLANES,
        "blocks in the mode `add`": (RESIDUAL_LIMIT - 2) // 2,
    }
    text = (Path(__file__).parents[3] / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| ([\d,]+) \|", text[text.index("## Limits") :], re.MULTILINE)
    assert {name: int(number.replace(",", "")) for name, number in rows} == expected


@pytest.mark.parametrize("config", [*CONFIGS.values(), ROOMY], ids=lambda config: config.name)
def test_what_attention_may_be_told_fits_its_ports_and_its_job(config):
    limits = field_limits(config, Descriptor(opcode=Opcode.ATTENTION))
    engine, job = Attention(config), job_layout(config)
    ports = {
        "head_channels": engine.head_channels, "tiles": engine.chunks, "groups": engine.groups,
        "attention_threshold": engine.threshold, "source_base": engine.query_base,
        "slice_step": engine.query_stride, "destination_base": engine.output_base,
        "destination_slice_stride": engine.output_stride,
    }  # fmt: skip
    for name, port in ports.items():
        assert limits[name] < 1 << len(port), name
    for name, field in (("head_channels", "last_channel"), ("tiles", "last_chunk"), ("groups", "last_group")):
        assert limits[name] - 1 < 1 << job[field].width, name
    assert limits["tiles"] - 1 < 1 << batch_layout(config)["chunk"].width


@pytest.mark.parametrize("opcode", Opcode)
def test_no_limit_is_beyond_its_field(opcode):
    limits = field_limits(ROOMY, Descriptor(opcode=opcode, pool=True, wide=True, image=True))
    assert limits.keys() == set(FIELDS)
    for name, limit in limits.items():
        assert 0 <= limit < 1 << DESCRIPTOR[name].width
