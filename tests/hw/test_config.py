"""Configurations: what the named ones are, and what is refused in which words."""

from __future__ import annotations

import dataclasses
import json

import pytest

from hw.config import HardwareConfig
from hw.named_configs import CONFIGS, TINY


def changed(**changes: int) -> HardwareConfig:
    return dataclasses.replace(TINY, name="mine", **changes)


def test_named_configurations():
    operations = {name: config.sops_per_cycle for name, config in CONFIGS.items()}
    assert operations == {
        "mini": 64, "tiny": 256, "base": 512, "large": 4096, "huge": 8192, "base-any": 512, "large-any": 4096,
    }  # fmt: skip
    assert all(name == config.name for name, config in CONFIGS.items())


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_survives_json(config):
    assert HardwareConfig(**json.loads(json.dumps(config.to_dict()))) == config


def test_fingerprint_depends_on_every_size_and_not_on_the_name():
    assert changed().fingerprint == TINY.fingerprint
    others = [changed(max_classes=17), changed(memory_bits=128), changed(spike_words=4095), *CONFIGS.values()]
    assert len({config.fingerprint for config in others}) == len(others)
    assert all(0 <= config.fingerprint < 1 << 32 for config in others)


def test_derived_sizes():
    config = changed(timesteps=2, weight_bits=8)
    assert config.lanes == 4
    assert config.sops_per_cycle == 8 * 4 * 4
    assert config.group_bits == 16
    assert config.group_beats == 1
    assert config.chunk_tokens == 32
    assert config.slice_beats == 2
    assert config.parameter_beats == 8
    assert (config.piece, config.word_pieces, config.tile_pieces) == (4, 1, 2)
    assert config.current_bits == 16 + 4 + 4 + 1
    assert config.membrane_bits == config.current_bits + 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": 6}, "inputs must be a multiple of 4, not 6"),
        ({"inputs": 0}, "inputs must be a multiple of 4, not 0"),
        ({"outputs": 6}, "outputs must be a multiple or a divisor of inputs = 4, not 6"),
        ({"outputs": 0}, "outputs must be a multiple or a divisor of inputs = 4, not 0"),
        ({"positions": 3}, "positions must be 1, 2, 4 or 8, not 3"),
        ({"positions": 16}, "positions must be 1, 2, 4 or 8, not 16"),
        ({"positions": 4, "neurons": 1, "pool_before": True}, "positions must be 1 or 2 with pool_before, not 4"),
        ({"timesteps": 3}, "timesteps must be 1, 2, 4 or 8, not 3"),
        ({"timesteps": 16}, "timesteps must be 1, 2, 4 or 8, not 16"),
        (
            {"inputs": 24, "outputs": 8, "head_channels": 24},
            "outputs must be inputs = 24 over a power of two, not 8",
        ),
        (
            {"neurons": 4},
            "neurons must be a power of two and, times positions, divide the smaller one of inputs and outputs, 4, "
            "not 4",
        ),
        (
            {"neurons": 0},
            "neurons must be a power of two and, times positions, divide the smaller one of inputs and outputs, 4, "
            "not 0",
        ),
        ({"time_chunks": 0}, "time_chunks must be 1 to 4, not 0"),
        ({"time_chunks": 5}, "time_chunks must be 1 to 4, not 5"),
        (
            {"accumulator_bits": 18, "weight_bits": 8, "time_chunks": 4},
            "accumulator_bits must be at most 15, so that bias and threshold at 4 fraction bits and 16 time steps have "
            "64 bits together, not 18",
        ),
        ({"weight_bits": 2}, "weight_bits must be 4 or 8, not 2"),
        ({"memory_bits": 32}, "memory_bits must be 64 or 128, not 32"),
        ({"accumulator_bits": 7}, "accumulator_bits must be 8 to 18, not 7"),
        ({"accumulator_bits": 19}, "accumulator_bits must be 8 to 18, not 19"),
        (
            {"accumulator_bits": 18, "weight_bits": 8, "timesteps": 8},
            "accumulator_bits must be at most 15, so that a threshold at 4 fraction bits and 8 time steps has 32 bits, "
            "not 18",
        ),
        (
            {"accumulator_bits": 18, "bias_fraction_bits": 6, "timesteps": 8},
            "accumulator_bits must be at most 17, so that a threshold at 6 fraction bits and 8 time steps has 32 bits, "
            "not 18",
        ),
        ({"bias_fraction_bits": 7}, "bias_fraction_bits must be 0 to 6, not 7"),
        ({"bias_fraction_bits": -1}, "bias_fraction_bits must be 0 to 6, not -1"),
        ({"tile_groups": 24}, "tile_groups must be 16 or 32, not 24"),
        ({"program_beats": 300}, "program_beats must be a power of two from 256 to 65536, not 300"),
        (
            {
                "outputs": 256, "inputs": 256, "positions": 8, "tile_groups": 32, "head_channels": 256,
                "program_beats": 256,
            },
            "program_beats must be more than the 256 beats of an output tile's parameters, not 256",
        ),
        ({"program_beats": 128}, "program_beats must be a power of two from 256 to 65536, not 128"),
        ({"attention_columns": 3}, "attention_columns must divide inputs, not 3"),
        ({"attention_columns": 0}, "attention_columns must divide inputs, not 0"),
        ({"attention_tables": 3}, "attention_tables must be 2 or 4, not 3"),
        (
            {"inputs": 24, "outputs": 24, "head_channels": 24, "attention_columns": 3},
            "inputs must divide tile_groups * positions = 32, not 24",
        ),
        ({"attention_planes": 0}, "attention_planes must be 1 to 12, not 0"),
        ({"attention_planes": 13}, "attention_planes must be 1 to 12, not 13"),
        ({"head_channels": 1024}, "head_channels must be 1 to 1023, not 1024"),
        ({"head_channels": 18}, "head_channels must be a multiple of inputs = 4, not 18"),
        ({"spike_words": 0}, "spike_words must be 1 to 1048576, not 0"),
        ({"residual_words": (1 << 20) + 1}, "residual_words must be 1 to 1048576, not 1048577"),
        ({"token_chunks": 256}, "token_chunks must be 1 to 255, not 256"),
        ({"max_layers": 256}, "max_layers must be 1 to 255, not 256"),
        ({"max_classes": 1025}, "max_classes must be 1 to 1024, not 1025"),
        ({"outputs": 4, "inputs": 4, "positions": 1, "neurons": 1, "weight_bits": 4, "max_layers": 0},
         "max_layers must be 1 to 255, not 0"),
    ],
)  # fmt: skip
def test_sizes_wrong(changes, message):
    with pytest.raises(ValueError) as refused:
        changed(**changes)
    assert str(refused.value) == f"{message} (configuration 'mine')"


OPTIONS = [part.name for part in dataclasses.fields(HardwareConfig) if part.default is False]
NUMBERS = [part.name for part in dataclasses.fields(HardwareConfig) if part.name not in ("name", *OPTIONS)]


@pytest.mark.parametrize("field", NUMBERS)
def test_sizes_that_are_no_integers_wrong(field):
    for value in (4.0, True, "4", None, [4], 1 << 31, 10**5000, float("nan")):
        with pytest.raises(ValueError) as refused:
            changed(**{field: value})
        message = str(refused.value)
        assert message.startswith(f"{field} must be an integer of at most 31 bits, not ") and len(message) < 200


@pytest.mark.parametrize("field", OPTIONS)
def test_options_that_are_neither_true_nor_false_wrong(field):
    for value in (1, 0, "true", None):
        with pytest.raises(ValueError, match=f"^{field} must be true or false, not "):
            changed(**{field: value})


@pytest.mark.parametrize("name", ["", "../../../x", "a*/ int evil; /*", "module", None])
def test_name_wrong(name):
    with pytest.raises(ValueError, match=r"^name must "):
        dataclasses.replace(TINY, name=name)


def test_fields_wrong():
    fields = TINY.to_dict()
    assert HardwareConfig.from_dict({key: fields[key] for key in fields if key != "time_chunks"}) == TINY
    with pytest.raises(ValueError, match=r"^unknown fields: lanes, x{10}"):
        HardwareConfig.from_dict({**fields, "lanes": 4, "x" * 100: 1})
    with pytest.raises(ValueError, match=r"^missing fields: name, spike_words$"):
        HardwareConfig.from_dict({key: fields[key] for key in fields if key not in ("name", "spike_words")})
    for values in (None, [], "tiny", 4):
        with pytest.raises(ValueError, match=r"^a configuration must be an object of fields, not "):
            HardwareConfig.from_dict(values)
