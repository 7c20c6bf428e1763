"""Random networks on random configurations: every value, counter and cycle of the machine is as predicted.

Four pairs belong to the suite. The others are a long target, ``make pairs``; one of them alone is run by its seed:
``make pairs SEED=123``.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from golden.cycles.attention import attention_cycles
from golden.cycles.cycle_model import predict_cycles
from golden.model import GoldenModel, GoldenResult
from golden.random_artifact import random_artifact, random_images
from hw.config import HardwareConfig
from hw.descriptor import Opcode
from hw.named_configs import MINI
from sim.comparison.decode import decode_trace
from sim.comparison.trace import read_trace
from sim.rtl import RtlRun, RtlSimulation
from sim.runner import build
from sim.verilator.simulation import Build
from sw.compiler.compiler import compile_artifact
from sw.compiler.program import Program, Step
from sw.compiler.strips import fired_rows
from sw.driver.results import LayerCounters
from sw.network import NetworkConfig
from tests.sim.random_pairs import Pair, random_pair

SUITE = 4
LONG = 320

SEEDS = [
    *(pytest.param(seed, id=f"seed-{seed}") for seed in range(SUITE)),
    *(pytest.param(seed, id=f"seed-{seed}", marks=pytest.mark.long) for seed in range(SUITE, LONG)),
]


class Simulators:
    """Builds the simulator of a configuration, and deletes the one of the configuration before."""

    def __init__(self) -> None:
        self._config: HardwareConfig | None = None
        self._build: Build | None = None

    def of(self, config: HardwareConfig) -> Build:
        if self._build is None or config != self._config:
            self.delete()
            self._config, self._build = config, build(config, waves=False, optimise=False)
        return self._build

    def delete(self) -> None:
        if self._build is not None:
            shutil.rmtree(self._build.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def simulators() -> Iterator[Simulators]:
    simulators = Simulators()
    yield simulators
    simulators.delete()


@pytest.mark.parametrize("seed", SEEDS)
def test_random_pairs_are_equal_in_every_spike_counter_and_cycle(
    tmp_path: Path, simulators: Simulators, record_property: Any, seed: int
):
    pair = random_pair(seed)
    record_property("refused", pair.refused)
    check(pair, simulators, tmp_path, start_seed=seed % 4 or None)


@pytest.mark.long
def test_attention_keeps_its_words_where_a_piece_is_one_read(tmp_path: Path, simulators: Simulators):
    """The next head's q would write a piece in every cycle, and attention's write must not wait for more than one."""
    config = dataclasses.replace(MINI, name="one-read", neurons=MINI.piece)
    network = NetworkConfig(
        image_size=16, image_channels=1, classes=4, embed_dim=16, depth=1, heads=2, mlp_ratio=1, pools=1
    )
    artifact = random_artifact(network, 4, seed=3)
    program = compile_artifact(artifact, config)
    check(Pair(config, artifact, program, random_images(network, 1, seed=4), 20, 0), simulators, tmp_path)


def check(pair: Pair, simulators: Simulators, folder: Path, *, start_seed: int | None = None) -> None:
    """Run a pair and compare everything."""
    golden = GoldenModel(pair.artifact).record(pair.images)
    simulation = RtlSimulation(
        simulator=simulators.of(pair.config), artifact=pair.artifact, program=pair.program, folder=folder,
        latency=pair.latency, start_seed=start_seed,
    )  # fmt: skip
    rtl = simulation.run(pair.images.numpy(), traced=len(pair.images))
    assert [image.failure for image in rtl.images] == [None] * len(pair.images)
    compare_values(pair, golden, rtl)
    for image in rtl.images:
        assert image.job is not None
        compare_counters(pair, golden, image.image, image.job.layers, image.job.cycles)


def compare_values(pair: Pair, golden: GoldenResult, rtl: RtlRun) -> None:
    """Every spike, before and behind pools, every integer of the residual stream, every logit."""
    for image, logits in zip(rtl.images, golden.logits, strict=True):
        assert image.job is not None and image.trace is not None
        found = decode_trace(pair.program, read_trace(image.trace))
        for kind in ("spikes", "pooled", "residuals"):
            expected, actual = getattr(golden, kind), getattr(found, kind)
            assert list(expected) == list(actual)
            for name, tensor in expected.items():
                wrong = np.argwhere(np.asarray(tensor[:, image.image]) != actual[name])
                where = f"image {image.image}, {name} {kind}: {len(wrong)} values, first at [T, C, H, W] {wrong[:1]}"
                assert len(wrong) == 0, where
        assert list(image.job.logits) == logits.tolist()
        assert image.job.prediction == int(torch.argmax(logits))


def compare_counters(
    pair: Pair, golden: GoldenResult, image: int, layers: tuple[LayerCounters, ...], cycles: int
) -> None:
    """Cycles of every layer, work of array and attention, spikes.

    Layers of a few cycles that count for each other, as the cycle model says, are compared by their sums.
    """
    predicted = predict_cycles(pair.program, pair.latency)
    names = pair.program.names
    found = dict(zip(names, layers, strict=True))
    assert {name: layer.cycles for name, layer in found.items()} == predicted.layers
    assert cycles == predicted.total
    busy, spikes = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for step in pair.program.steps:
        if step.name in found:
            busy[step.name] += work(pair.program, step)
            spikes[step.name] += spikes_of(golden, image, step)
    groups = joined(names, predicted.shared)
    for kind, expected in (("busy", busy), ("spikes", spikes)):
        counted = {group: sum(getattr(found[name], kind) for name in group) for group in groups}
        assert counted == {group: sum(expected[name] for name in group) for group in groups}, kind


def joined(names: Iterable[str], pairs: Iterable[frozenset[str]]) -> list[tuple[str, ...]]:
    """Names in groups: those of a pair are in one."""
    groups = [{name} for name in names]
    for pair in pairs:
        touched = [group for group in groups if group & pair]
        groups = [group for group in groups if not group & pair] + [set().union(*touched)]
    return [tuple(sorted(group)) for group in groups]


def work(program: Program, step: Step) -> int:
    """Words of spikes that the array takes; cycles of the attention engine."""
    fields = step.fields
    if fields["opcode"] == Opcode.ATTENTION.value:
        names = ("head_channels", "tiles", "groups", "time_chunks")
        return attention_cycles(program.config, *(fields[name] for name in names)) - 1
    if fields["opcode"] != Opcode.WEIGHTS.value:
        return 0
    groups = (fields["tiles"] - 1) * fields["tile_groups"] + fields["last_tile_groups"]
    walks = fields["output_tiles"] * (1 + fields["wide"]) * fields["passes"] * fields["slices"]
    return walks * (9 if fields["kernel3"] else 1) * groups


def spikes_of(golden: GoldenResult, image: int, step: Step) -> int:
    """Spikes of the channels and rows of a step: what strips compute again counts again."""
    if step.name not in golden.spikes:
        return 0
    tensor = golden.spikes[step.name][:, image]
    rows = fired_rows(step.layer, step.rows)
    return int(tensor[:, step.channels.start : step.channels.stop, rows.start : rows.stop].sum())
