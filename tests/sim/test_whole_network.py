"""The whole accelerator in Verilator against the golden model and the cycle model, on random networks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from golden.cycles.cycle_model import predict_cycles
from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from hw.config import TABLE_INPUTS, WEIGHT_BITS, HardwareConfig
from hw.descriptor import DESCRIPTOR_BITS
from hw.named_configs import BASE, MINI, TINY
from hw.parts.technology import Technology
from sim.comparison.compare import CompareReport, Comparison
from sim.comparison.recorded_image import RECORDING, load_recorded_image
from sim.faults import Flip
from sim.rtl import MEMORY_LATENCY, RtlSimulation
from sim.runner import build, emitted_verilog
from sim.verilator.verilate import BUILD_FOLDER
from sw.compiler.compiler import compile_artifact
from sw.compiler.program import DESCRIPTOR_WORDS, Program
from sw.data.sets import ImageSet
from sw.errors import UserError
from sw.layer import Layer
from sw.network import NetworkConfig

NARROW = dataclasses.replace(
    TINY, name="narrow", outputs=8, inputs=16, weight_bits=8, memory_bits=128, program_beats=1024, tile_groups=32,
    attention_columns=4, attention_tables=4, spike_words=2048, residual_words=256, if_neurons=True,
)  # fmt: skip
"""A small one of `large`'s kind: output tiles of half a word, wide beats, and too little memory for a whole image; also
for neurons without leak."""

CHUNKED = dataclasses.replace(TINY, name="chunked", time_chunks=4, spike_words=2000, pool_before=True)
"""Up to 16 time steps on 4 lanes, and too little memory for the outputs of a large image's first convolutions: they are
computed together, strip by strip. Two columns at a time are pooled before the neurons."""

NARROW_CHUNKED = dataclasses.replace(
    NARROW, name="narrow-chunked", positions=1, time_chunks=3, spike_words=4096, residual_words=512, pool_before=True
)
"""One column at a time is pooled before the neurons."""

FOUR_POSITIONS = dataclasses.replace(MINI, name="four-positions", positions=4, timesteps=1)

SMALL = NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=32, depth=1, heads=2)
ODD_GRID = NetworkConfig(image_size=12, image_channels=3, classes=7, embed_dim=48, depth=2, heads=3, timesteps=2)
DEEP = NetworkConfig(
    image_size=20, image_channels=2, classes=16, embed_dim=64, depth=3, heads=4, timesteps=3, mlp_ratio=2
)
CLAMP = dataclasses.replace(SMALL, depth=2, residual_mode="clamp")
IAND = dataclasses.replace(ODD_GRID, residual_mode="iand")
FOUR_POOLS = NetworkConfig(
    image_size=64, image_channels=3, classes=4, embed_dim=32, depth=1, heads=4, mlp_ratio=2, pools=4
)
"""The ImageNet variant: its image is loaded in strips, its heads of 8 channels are padded to words of 16."""

EIGHT_STEPS = dataclasses.replace(SMALL, timesteps=8)
ODD_WIDTHS = dataclasses.replace(SMALL, image_size=20, timesteps=1)
"""20 columns, pooled to 10, to 5: rows of two and a half groups of four."""

TEN_STEPS = dataclasses.replace(ODD_GRID, timesteps=10)
SIXTEEN_STEPS = dataclasses.replace(SMALL, timesteps=16, residual_mode="clamp")
EVENTS = dataclasses.replace(ODD_GRID, image_channels=2, event_bits=1, timesteps=6)
DVS = NetworkConfig(
    image_size=32, image_channels=2, classes=11, embed_dim=64, depth=1, heads=16, mlp_ratio=2, pools=4, timesteps=10,
    attention_scale=0.25, event_bits=1,
)  # fmt: skip
"""The DVS variant: event frames, loaded in strips, four pools, 16 heads."""

DVS_COUNTS = dataclasses.replace(DVS, event_bits=2)
COUNTS = dataclasses.replace(SMALL, event_bits=8, timesteps=6, attention_scale=0.25)

FOUR_POOLS_TEN_STEPS = dataclasses.replace(FOUR_POOLS, image_size=32, timesteps=10)

NO_LEAK = dataclasses.replace(ODD_GRID, neuron="if")
NO_LEAK_TEN_STEPS = dataclasses.replace(ODD_GRID, neuron="if", timesteps=10)

NARROW_STEM = NetworkConfig(
    image_size=32, image_channels=1, classes=4, embed_dim=48, depth=1, heads=3, mlp_ratio=2, pools=2
)
POOLED_STEM = dataclasses.replace(NARROW_STEM, image_size=64, embed_dim=32, heads=4, pools=4)
EVENT_STEM = dataclasses.replace(NARROW_STEM, image_channels=2, embed_dim=16, heads=2, event_bits=1, timesteps=6)
COUNT_STEM = dataclasses.replace(EVENT_STEM, event_bits=2, image_channels=1)


BEFORE = {
    network: dataclasses.replace(network, pool_order="before")
    for network in (EIGHT_STEPS, ODD_GRID, EVENT_STEM, POOLED_STEM, FOUR_POOLS_TEN_STEPS, DVS)
}
"""The same networks with their pools before the neurons."""


def run(
    folder: Path,
    config: HardwareConfig,
    network: NetworkConfig,
    *,
    technology: Technology = Technology.PORTABLE,
    weight_bits: int = 4,
    images: int = 2,
    stalls: int = 0,
    flips: tuple[Flip, ...] = (),
) -> CompareReport:
    """Compare a random network on a few images."""
    artifact = random_artifact(network, weight_bits, seed=3)
    pixels = random_images(network, images, seed=4)
    data = ImageSet(images=pixels, labels=torch.zeros(images, dtype=torch.int64), indices=torch.arange(images))
    comparison = Comparison(
        artifact=artifact, program=compile_artifact(artifact, config), data=data, images=images, traced=images,
        stall_percent=stalls, flips=flips, technology=technology, jobs=1, folder=folder / "run",
        optimise=config is BASE,  # which others of the suite build too
    )  # fmt: skip
    report = comparison.run()
    check_recorded(comparison, report)
    return report


def check_recorded(comparison: Comparison, report: CompareReport) -> None:
    """What was kept of an image is what the golden model gives, and it shows whether anything differs."""
    image = load_recorded_image(comparison.folder / RECORDING, comparison.artifact.network)
    assert image.differs == (report.mismatch is not None)
    pixels = comparison.data.images[image.index : image.index + 1]
    golden = GoldenModel(comparison.artifact).record(pixels)
    assert torch.equal(pixels[0], torch.tensor(image.pixels))
    assert image.logits.tolist() == golden.logits[0].tolist()
    for kept, expected in (
        (image.golden.spikes, golden.spikes), (image.golden.pooled, golden.pooled),
        (image.golden.residuals, golden.residuals),
    ):  # fmt: skip
        assert kept.keys() == expected.keys()
        assert all(np.array_equal(kept[name], values[:, 0].numpy()) for name, values in expected.items())


def first_that_differs(folder: Path) -> tuple[str, str]:
    """Layer and kind of the first tensor of the recorded image that differs."""
    image = load_recorded_image(folder / "run" / RECORDING, SMALL)
    pairs = image.golden.beside(image.rtl)
    return next((layer, kind) for layer, kind, golden, rtl in pairs if not np.array_equal(golden, rtl))


@pytest.mark.parametrize(
    ("config", "network", "weight_bits"),
    [
        (TINY, SMALL, 4),
        (TINY, ODD_GRID, 4),
        (BASE, ODD_GRID, 4),
        (BASE, DEEP, 4),
        (TINY, CLAMP, 4),
        (TINY, IAND, 4),
        (TINY, SMALL, 2),
        pytest.param(NARROW, ODD_GRID, 4, marks=pytest.mark.long),
        pytest.param(NARROW, ODD_GRID, 8, marks=pytest.mark.long),
        pytest.param(NARROW, FOUR_POOLS, 8, marks=pytest.mark.long),
        (CHUNKED, EIGHT_STEPS, 4),
        (CHUNKED, TEN_STEPS, 4),
        (CHUNKED, SIXTEEN_STEPS, 4),
        (CHUNKED, ODD_GRID, 4),
        (CHUNKED, EVENTS, 4),
        (CHUNKED, COUNTS, 4),
        (NARROW_CHUNKED, DVS, 4),
        (NARROW_CHUNKED, DVS_COUNTS, 8),
        (NARROW_CHUNKED, FOUR_POOLS_TEN_STEPS, 8),
        pytest.param(NARROW, NO_LEAK, 8, marks=pytest.mark.long),
        (NARROW_CHUNKED, NO_LEAK_TEN_STEPS, 4),
        (CHUNKED, NARROW_STEM, 4),
        (CHUNKED, POOLED_STEM, 4),
        (CHUNKED, EVENT_STEM, 4),
        pytest.param(FOUR_POSITIONS, ODD_WIDTHS, 4, marks=pytest.mark.long),
        (CHUNKED, BEFORE[EIGHT_STEPS], 4),
        (CHUNKED, BEFORE[ODD_GRID], 4),
        (CHUNKED, BEFORE[POOLED_STEM], 4),
        (CHUNKED, BEFORE[EVENT_STEM], 4),
        (NARROW_CHUNKED, BEFORE[FOUR_POOLS_TEN_STEPS], 8),
        (NARROW_CHUNKED, BEFORE[DVS], 4),
        (CHUNKED, COUNT_STEM, 4),
    ],
    ids=[
        "tiny",
        "tiny-odd-grid",
        "base-odd-grid",
        "base-deep",
        "tiny-clamp",
        "tiny-iand",
        "tiny-2-bit",
        "narrow",
        "narrow-8-bit",
        "narrow-strips-8-bit",
        "two-time-chunks",
        "two-and-a-half-time-chunks",
        "four-time-chunks",
        "one-time-chunk-of-four",
        "events",
        "counts-of-8-bits",
        "dvs",
        "dvs-counts-of-2-bits-8-bit",
        "narrow-time-chunks-8-bit",
        "without-leak-8-bit",
        "without-leak-time-chunks",
        "convolutions-in-strips",
        "pooled-convolutions-in-strips",
        "events-through-convolutions-in-strips",
        "rows-end-within-groups",
        "pools-before-neurons",
        "pools-before-neurons-odd-grid",
        "pools-before-neurons-in-strips",
        "pools-of-events-before-neurons-in-strips",
        "four-pools-before-neurons-8-bit",
        "dvs-pools-before-neurons",
        "counts-through-convolutions-in-strips",
    ],
)
def test_every_spike_residual_logit_and_cycle_is_as_predicted(
    tmp_path: Path, config: HardwareConfig, network: NetworkConfig, weight_bits: int
):
    check(run(tmp_path, config, network, weight_bits=weight_bits), network)


@pytest.mark.parametrize(
    ("config", "network", "weight_bits"),
    [
        pytest.param(MINI, SMALL, 4, id="mini"),
        pytest.param(BASE, ODD_GRID, 4, id="base", marks=pytest.mark.long),
        *(
            pytest.param(NARROW_CHUNKED, network, bits, id=name, marks=pytest.mark.long)
            for name, network, bits in (
                ("four-pools-8-bit", FOUR_POOLS_TEN_STEPS, 8),
                ("events-pools-before-neurons", BEFORE[DVS], 4),
                ("without-leak", NO_LEAK_TEN_STEPS, 4),
            )
        ),
    ],
)
def test_the_form_of_a_vendor_computes_the_same_in_the_same_cycles(
    tmp_path: Path, config: HardwareConfig, network: NetworkConfig, weight_bits: int
):
    technology = Technology.XILINX
    verilog = emitted_verilog(config, BUILD_FOLDER, technology)
    memories = {MINI: (), BASE: ("RAMB36E2",), NARROW_CHUNKED: ("URAM288",)}[config]
    assert all(f" {primitive} " in verilog for primitive in ("RAM32M16", "LUT6_2", "CARRY8", *memories))
    check(run(tmp_path, config, network, technology=technology, weight_bits=weight_bits), network)


def check(report: CompareReport, network: NetworkConfig) -> None:
    """Every value is equal, every cycle as predicted."""
    figures = report.to_dict()
    assert report.mismatch is None
    compared = figures["mismatches"].pop("values_compared")
    assert set(figures["mismatches"].values()) == {0}
    spikes = sum(neurons_of(layer) for layer in network.layers() if layer.kind != "head")
    assert compared > 2 * network.timesteps * 2 * spikes  # both comparisons, both images
    cycles, layers = figures["cycles"], figures["layers"]
    assert cycles["rtl_min"] == cycles["rtl_max"]
    assert [layer["cycles"] for layer in layers] == [layer["model_cycles"] for layer in layers]
    assert cycles["rtl_min"] == cycles["model"]


def neurons_of(layer: Layer) -> int:
    height, width = layer.output_grid if layer.pool_first else (layer.height, layer.width)
    return height * width * layer.out_channels


@pytest.mark.parametrize(
    ("config", "network", "stalls"),
    [(TINY, ODD_GRID, 10), (TINY, ODD_GRID, 60), (CHUNKED, TEN_STEPS, 40), (CHUNKED, EVENTS, 40)],
    ids=["10 %", "60 %", "ten-steps-in-chunks", "events"],
)
def test_stalls_of_the_memory_cost_only_time(
    tmp_path: Path, config: HardwareConfig, network: NetworkConfig, stalls: int
):
    report = run(tmp_path, config, network, stalls=stalls)
    assert report.mismatch is None
    cycles = report.to_dict()["cycles"]
    assert cycles["rtl_min"] > cycles["model"]


@pytest.mark.parametrize("latency", [2, 20, 200, 1000])
def test_cycles_are_as_predicted_at_any_latency_of_the_memory(tmp_path: Path, latency: int):
    artifact = random_artifact(ODD_GRID, 4, seed=3)
    program = compile_artifact(artifact, TINY)
    pixels = random_images(ODD_GRID, 1, seed=4).numpy()
    simulation = RtlSimulation(
        simulator=build(TINY, optimise=False), artifact=artifact, program=program, folder=tmp_path, latency=latency
    )
    (job,) = simulation.run(pixels).jobs
    predicted = predict_cycles(program, latency)
    assert dict(zip(program.names, (layer.cycles for layer in job.layers), strict=True)) == predicted.layers
    assert job.cycles == predicted.total


@pytest.mark.parametrize("seed", [1, 2])
def test_what_memories_hold_at_the_start_does_not_matter(tmp_path: Path, seed: int):
    artifact = random_artifact(ODD_GRID, 4, seed=3)
    program = compile_artifact(artifact, TINY)
    pixels = random_images(ODD_GRID, 2, seed=4)
    simulation = RtlSimulation(
        simulator=build(TINY, optimise=False), artifact=artifact, program=program, folder=tmp_path, start_seed=seed
    )
    rtl, golden = simulation.run(pixels.numpy()), GoldenModel(artifact).run(pixels)
    assert rtl.logits.tolist() == golden.logits.tolist()
    assert rtl.predictions.tolist() == golden.predictions.tolist()
    assert [job.cycles for job in rtl.jobs] == [predict_cycles(program, MEMORY_LATENCY).total] * 2


def test_a_brevitas_model_of_other_scales_is_a_mismatch(tmp_path: Path):
    artifact = random_artifact(SMALL, 4, seed=3)
    # Half the current in one channel: what the integers do is the same, what they mean is not.
    artifact.tensors["conv1"].scale[2] /= 2
    pixels = random_images(SMALL, 1, seed=4)
    data = ImageSet(images=pixels, labels=torch.zeros(1, dtype=torch.int64), indices=torch.arange(1))
    comparison = Comparison(
        artifact=artifact, program=compile_artifact(artifact, TINY), data=data, images=1, jobs=1,
        optimise=False, folder=tmp_path / "run",
    )  # fmt: skip
    report = comparison.run()
    assert report.mismatch is not None and report.mismatch.startswith("image 0, conv1 spikes: ")
    assert "channel 2" in report.mismatch and "Brevitas" in report.mismatch
    counts = report.to_dict()["mismatches"]
    assert counts["brevitas_golden_spikes"] > 0 and counts["golden_rtl_spikes"] == 0


def test_brevitas_and_golden_model_are_compared_on_images_of_their_own(tmp_path: Path):
    artifact = random_artifact(SMALL, 4, seed=3)
    pixels = random_images(SMALL, 11, seed=4)
    labels = torch.zeros(11, dtype=torch.int64)
    data = ImageSet(images=pixels, labels=labels, indices=torch.arange(11), name="mine.npz")
    comparison = Comparison(
        artifact=artifact, program=compile_artifact(artifact, TINY), data=data, images=2, traced=0, brevitas=11,
        jobs=1, optimise=False, folder=tmp_path / "run",
    )  # fmt: skip
    comparison.folder.mkdir()
    (comparison.folder / RECORDING).write_text("of an earlier run")
    figures = comparison.run().to_dict()
    spikes = sum(layer.positions * layer.out_channels for layer in SMALL.layers() if layer.kind != "head")
    mismatches = figures["mismatches"]
    assert mismatches.pop("values_compared") == 11 * (SMALL.timesteps * spikes + 5) + 2 * (5 + 1)
    assert not (tmp_path / "run" / RECORDING).exists(), "no image was traced, and what an earlier run left is gone"
    assert set(mismatches.values()) == {0}
    accuracy = figures["accuracy"]
    assert accuracy["brevitas"] is None, "the artifact records none"
    measured = {name: (entry["images"], entry["image_set"]) for name, entry in accuracy.items() if entry is not None}
    assert measured == {"golden": (11, "mine.npz"), "golden_on_rtl_images": (2, "mine.npz"), "rtl": (2, "mine.npz")}
    assert accuracy["rtl"] == accuracy["golden_on_rtl_images"]
    with pytest.raises(UserError, match="the data has 11 images, 12 cannot run on the Brevitas model"):
        dataclasses.replace(comparison, brevitas=12)


def parameters_of(program: Program, layer: str) -> int:
    """64-bit word of the memory image where a layer's parameters begin."""
    return program.steps_of(layer)[0].address + DESCRIPTOR_WORDS


def test_a_flipped_weight_is_found_in_its_layer(tmp_path: Path):
    program = compile_artifact(random_artifact(SMALL, 4, seed=3), TINY)
    # Behind the parameters: the top bit of input 0's weight of channel 2, the first one that is not special.
    word, bit = divmod(2 * TINY.inputs // TABLE_INPUTS * WEIGHT_BITS + 3, 64)
    flip = Flip(beat=parameters_of(program, "conv1") + TINY.outputs + word, bit=bit)
    mismatch = run(tmp_path, TINY, SMALL, flips=(flip,)).mismatch
    assert mismatch is not None and mismatch.startswith("image 0, conv1 spikes: ")
    assert "channel 2" in mismatch
    assert first_that_differs(tmp_path) == ("conv1", "spikes")


def test_a_flipped_threshold_is_found_in_its_layer(tmp_path: Path):
    program = compile_artifact(random_artifact(SMALL, 4, seed=3), TINY)
    flip = Flip(beat=parameters_of(program, "block0.fc1") + 3, bit=32 + 9)
    mismatch = run(tmp_path, TINY, SMALL, flips=(flip,)).mismatch
    assert mismatch is not None and mismatch.startswith("image 0, block0.fc1 spikes: ")
    assert "channel 3" in mismatch
    assert first_that_differs(tmp_path) == ("block0.fc1", "spikes")


def test_a_flipped_descriptor_bit_stops_the_job_and_names_the_descriptor(tmp_path: Path):
    rng = np.random.default_rng(0)
    program = compile_artifact(random_artifact(SMALL, 4, seed=3), TINY)
    descriptor = program.steps_of("conv1")[0].address
    for bit in rng.choice(DESCRIPTOR_BITS, size=3, replace=False).tolist():
        flip = Flip(beat=descriptor + bit // 64, bit=bit % 64)
        mismatch = run(tmp_path, TINY, SMALL, images=1, flips=(flip,)).mismatch
        assert mismatch == ("image 0: the accelerator stopped with error BAD_CHECK at descriptor 2 (conv1)")


def test_every_cycle_belongs_to_a_layer():
    program = compile_artifact(random_artifact(DEEP, 4, seed=3), BASE)
    model = predict_cycles(program, memory_latency=20)
    assert tuple(model.layers) == program.names
    assert model.total == sum(model.layers.values())
