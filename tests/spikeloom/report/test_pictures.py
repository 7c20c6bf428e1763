"""The sections about the recorded image: every picture and figure follows from what was recorded."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from sim.comparison.decode import UNWRITTEN, Recorded
from sim.comparison.hardware import SIDES, TracedImages
from sim.comparison.mismatch import AXES, Mismatches
from sim.comparison.recorded_image import RECORDING, RecordedImage
from spikeloom.report.inputs import Inputs, read_inputs
from spikeloom.report.pixels import BRIGHTER, DARKER, SIDE, colour, input_overview, input_tiles
from spikeloom.report.section import Exhibit, Picture, Plot, Section, Table
from spikeloom.report.sections import mismatch
from spikeloom.report.sections.attention_maps import attention_map
from spikeloom.report.sections.rasters import raster
from spikeloom.report.style import COLOURS
from sw.artifact.artifact import Artifact
from sw.network import NetworkConfig

GREY = NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=32, depth=2, heads=2)
COLOUR = dataclasses.replace(GREY, image_channels=3, image_size=16)
EVENTS = dataclasses.replace(GREY, image_channels=2, event_bits=2, timesteps=10, image_size=16, pools=3)
TWO_CHANNELS = dataclasses.replace(GREY, image_channels=2, timesteps=1)
NETWORKS = {"grey": GREY, "colour": COLOUR, "events": EVENTS, "two channels": TWO_CHANNELS}
SECTIONS = ("stem", "rasters", "attention_maps", "mismatch")


class Case:
    """A random image of a random network, and what the RTL made of it: the same, unless something is changed."""

    def __init__(self, network: NetworkConfig, folder: Path):
        self.artifact: Artifact = random_artifact(network, 4, seed=1)
        pixels = random_images(network, 1, seed=2)
        self.image = self._image(self.artifact, pixels)
        self._pixels, self._folder = pixels, folder

    @staticmethod
    def _image(artifact: Artifact, pixels) -> RecordedImage:
        result = GoldenModel(artifact).record(pixels)
        traced = TracedImages(1)
        traced.keep(0, 1, result)
        logits = result.logits[0].numpy()
        return RecordedImage(
            index=0, label=2, pixels=pixels[0].numpy(), golden=traced[0], rtl=traced[0], logits=logits,
            rtl_logits=logits, rtl_prediction=int(result.predictions[0]),
        )  # fmt: skip

    def with_rtl(self, **changes: object) -> None:
        self.image = dataclasses.replace(self.image, **changes)

    def with_fault(self, layer: str) -> str:
        """The RTL has another weight in a layer; where `compare` says that they differ first."""
        tensors = dict(self.artifact.tensors)
        weight = tensors[layer].weight.copy()
        weight[2] = -weight[2]
        tensors[layer] = dataclasses.replace(tensors[layer], weight=weight)
        wrong = self._image(dataclasses.replace(self.artifact, tensors=tensors), self._pixels)
        self.with_rtl(rtl=wrong.golden, rtl_logits=wrong.logits, rtl_prediction=wrong.prediction)
        mismatches = Mismatches()
        for name, kind, golden, rtl in self.image.golden.beside(self.image.rtl):
            mismatches.spikes.add(f"{name} {kind}", golden, rtl, SIDES, AXES)
        assert mismatches.first is not None
        return mismatches.first

    def section(self, name: str) -> Section:
        self.image.save(self._folder / RECORDING, {})
        return section(name, self.artifact, self._folder)


def section(name: str, artifact: Artifact, folder: Path) -> Section:
    compare = {"artifact": "mine.spikeloom", "hardware": {"config": "tiny"}}
    inputs = Inputs(compare=compare, folder=folder, build=folder, artifact=artifact)
    return import_module(f"spikeloom.report.sections.{name}").section(inputs)


def pictures(exhibit: Exhibit) -> tuple[Picture, ...]:
    assert isinstance(exhibit.content, tuple)
    return exhibit.content


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS)
def case(request, tmp_path) -> Case:
    return Case(request.param, tmp_path)


@pytest.fixture
def grey(tmp_path) -> Case:
    return Case(GREY, tmp_path)


def test_everything_shown_is_there_and_named(case):
    case.with_fault("conv1")
    names = []
    for name in SECTIONS:
        made = case.section(name)
        assert made.exhibits and not made.missing
        names += [made.name, *(exhibit.name for exhibit in made.exhibits)]
        for exhibit in made.exhibits:
            assert exhibit.see.endswith(".")
            if isinstance(exhibit.content, Plot):
                assert exhibit.alternative and exhibit.table and exhibit.content.figure.data
            for table in filter(None, (exhibit.table, exhibit.content if isinstance(exhibit.content, Table) else None)):
                assert table.rows and all(len(row) == len(table.columns) for row in table.rows)
            for picture in exhibit.content if isinstance(exhibit.content, tuple) else ():
                assert picture.caption and picture.alternative
                assert picture.pixels.dtype == np.uint8 and picture.pixels.ndim in (2, 3)
                assert max(picture.pixels.shape) < 1100, "fits a page"
    assert len(set(names)) == len(names)


def test_inputs_look_like_themselves(case):
    network, pixels = case.artifact.network, case.image.pixels
    tiles, overview = input_tiles(pixels, network), input_overview(pixels, network)
    assert overview.shape == (network.image_size, network.image_size) and overview.max() > 0
    if network is EVENTS:
        assert tiles.shape == (10, 16, 16, 3)
        only_darker = (pixels[:, 0] == 3) & (pixels[:, 1] == 0)
        only_brighter = (pixels[:, 1] == 3) & (pixels[:, 0] == 0)
        assert only_darker.any() and (tiles[only_darker] == DARKER).all()
        assert only_brighter.any() and (tiles[only_brighter] == BRIGHTER).all()
        assert (tiles[pixels.sum(axis=1) == 0] == 0).all()
    elif network is COLOUR:
        assert np.array_equal(tiles[0].transpose(2, 0, 1), pixels)
    else:
        assert np.array_equal(tiles, pixels)


def test_feature_maps_show_how_often_neurons_fire(grey):
    _, picture, *_ = pictures(grey.section("stem").exhibits[0])
    counts = grey.image.golden.spikes["conv0"].sum(axis=0)
    order = np.argsort(-counts.astype(float).var(axis=(1, 2)), kind="stable")
    scale = SIDE // GREY.image_size
    shown = picture.pixels[:SIDE:scale, :SIDE:scale]
    assert np.array_equal(shown, np.rint(counts[order[0]] * 255 / 4).astype(np.uint8))
    (exhibit,) = grey.section("stem").exhibits
    row = exhibit.table.rows[0]
    assert row[:4] == ("conv0", 4, 8, 8) and row[4] == f"{grey.image.golden.spikes['conv0'].mean():.1%}"
    assert row[5] == ", ".join(map(str, order))


def test_a_small_raster_shows_every_neuron(grey):
    spikes = grey.image.golden.spikes["block0.q"]  # 32 channels, 4 positions
    pixels, sharing = raster(spikes)
    assert sharing == (1, 1)
    side = 128  # 64 rows, doubled
    left = pixels[:side:4, :side:32]
    assert np.array_equal(left, 255 * spikes[0].reshape(32, 4))


def test_neurons_share_the_pixels_of_a_large_raster():
    spikes = np.random.default_rng(0).integers(0, 2, (2, 130, 9, 9)).astype(np.uint8)
    pixels, sharing = raster(spikes)
    assert sharing == (3, 2)
    means = spikes[0, :3].reshape(3, 81)[:, :2].mean()
    assert pixels[0, 0] == round(255 * means**0.5)
    last = spikes[0, 129:].reshape(1, 81)[:, 80:].mean()  # the last ones have fewer
    assert pixels[3 * 44 - 1, 3 * 41 - 1] == round(255 * last**0.5)


def test_rates_are_those_of_the_spikes(grey):
    exhibit = grey.section("rasters").exhibits[0]
    rows = {row[0]: row[1:] for row in exhibit.table.rows}
    assert list(rows) == [layer.name for layer in GREY.layers() if layer.kind != "head"]
    for name, (neurons, *rates) in rows.items():
        spikes = grey.image.golden.spikes[name]
        assert neurons == spikes[0].size
        assert rates == [f"{step.mean():.1%}" for step in spikes]
    means = [grey.image.golden.spikes[name].mean(axis=(1, 2, 3)) for name in rows]
    assert np.array_equal(exhibit.content.figure.data[0].z, means)


def test_attention_maps_are_means_of_q_times_k(case):
    network = case.artifact.network
    found = attention_map(case.image, network, 1)
    d, tokens = network.head_dim, network.tokens
    q, k = (case.image.golden.spikes[f"block1.{part}"].astype(int) for part in "qk")
    for head in range(network.heads):
        mine = slice(head * d, (head + 1) * d)
        products = [
            one[mine].reshape(d, tokens).T @ other[mine].reshape(d, tokens) for one, other in zip(q, k, strict=True)
        ]
        expected = np.mean(products, axis=(0, 1)).reshape(network.grid, network.grid)
        assert found[head] == pytest.approx(expected)
    assert found.max() > 0


def test_the_token_looked_at_most_has_most_colour(grey):
    exhibit = grey.section("attention_maps").exhibits[1]
    values = attention_map(grey.image, GREY, 1)[0]
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert exhibit.table.rows[0][3] == f"row {row}, column {column}"
    tile = pictures(exhibit)[0].pixels[:SIDE, :SIDE].astype(int)
    distance = np.abs(tile - colour(COLOURS["attention"])).sum(axis=2).reshape(2, SIDE // 2, 2, SIDE // 2).mean((1, 3))
    assert np.unravel_index(distance.argmin(), distance.shape) == (row, column)


def test_a_fault_is_shown_at_the_place_that_compare_names(case):
    first = case.with_fault("conv1")
    where, spread, logits = case.section("mismatch").exhibits
    layer, place = first.split(": ")[:2]
    assert where.title == f"The first difference: {layer}" == "The first difference: conv1 spikes"
    assert place in where.see and "channel 2" in place
    counts = {row[0]: row[2] for row in spread.table.rows}
    differ = {
        name: sum(int((a != b).sum()) for layer, _, a, b in case.image.golden.beside(case.image.rtl) if layer == name)
        for name in counts
    }
    assert counts == differ
    assert counts["conv0"] == 0 and f"{sum(row[1] for row in where.table.rows)} of" in where.see.replace(",", "")
    assert [row[1:] for row in logits.content.rows] == list(
        zip(case.image.logits.tolist(), case.image.rtl_logits.tolist(), strict=True)
    )
    bars = spread.content.figure.data[0]
    assert list(bars.y) == list(counts) and [bar > 0 for bar in bars.x] == [count > 0 for count in counts.values()]


def test_a_simulated_fault_is_shown_where_compare_found_it(corrupted):
    inputs = read_inputs(corrupted, corrupted.parent)
    where, spread, _ = mismatch.section(inputs).exhibits
    named = inputs.compare["first_mismatch"].removeprefix("image 0, ")
    assert named.startswith("conv2 spikes: ") and where.title == "The first difference: conv2 spikes"
    assert named.split(": ")[1] in where.see
    assert [row[2] > 0 for row in spread.table.rows[:3]] == [False, False, True]


def test_a_run_without_a_fault_shows_none(inputs):
    (exhibit,) = mismatch.section(inputs).exhibits
    assert exhibit.content == ()
    for name in SECTIONS:
        assert section(name, inputs.artifact, inputs.folder).exhibits


def test_pictures_of_a_fault_mark_what_differs(grey):
    grey.with_fault("conv1")
    golden, rtl, marked, everywhere = (one.pixels for one in pictures(grey.section("mismatch").exhibits[0]))
    scale = SIDE // GREY.image_size
    first, second = (side.spikes["conv1"][0, 2] for side in (grey.image.golden, grey.image.rtl))
    tile = slice(0, SIDE, scale)
    assert np.array_equal(golden[tile, tile, 0], 255 * first) and np.array_equal(rtl[tile, tile, 0], 255 * second)
    red = (marked[tile, tile] == colour(COLOURS["differs"])).all(axis=2)
    assert np.array_equal(red, first != second)
    assert np.array_equal(everywhere[tile, tile].any(axis=2), first != second), "no other channel differs"


def test_a_value_that_the_rtl_never_wrote_is_no_spike(grey):
    spikes = dict(grey.image.rtl.spikes)
    spikes["conv2"] = np.full_like(spikes["conv2"], UNWRITTEN)
    rtl = Recorded(spikes, grey.image.rtl.pooled, grey.image.rtl.residuals)
    grey.with_rtl(rtl=rtl, rtl_logits=None, rtl_prediction=None)
    where, spread, logits = grey.section("mismatch").exhibits
    assert "the RTL no value;" in where.see and "blue where it has no value" in pictures(where)[1].caption
    assert len(np.unique(pictures(where)[1].pixels[:SIDE, :SIDE].reshape(-1, 3), axis=0)) == 1
    assert {row[0]: row[3] for row in spread.table.rows}["conv2"] == "80.0%"  # all but what the pool wrote
    assert "no result in RTL" in logits.see and {row[2] for row in logits.content.rows} == {None}


def test_a_residual_that_differs_is_shown_in_grey(grey):
    residuals = {name: values.copy() for name, values in grey.image.rtl.residuals.items()}
    residuals["block0.proj"][1, 3, 0, 1] += 1
    grey.with_rtl(rtl=dataclasses.replace(grey.image.rtl, residuals=residuals))
    where, *_ = grey.section("mismatch").exhibits
    assert where.title.endswith("block0.proj residual") and "time step 1, channel 3, row 0, column 1" in where.see


def test_logits_alone_can_differ(grey):
    grey.with_rtl(rtl_logits=grey.image.logits + 1)
    (logits,) = grey.section("mismatch").exhibits
    assert logits.see.startswith("Spikes and residual integers are equal")


def test_equality_is_a_line_without_pictures(grey):
    (exhibit,) = grey.section("mismatch").exhibits
    assert exhibit.content == () and exhibit.see.startswith("Nowhere: golden model and RTL give the same spikes")
    values = sum(golden.size for _, _, golden, _ in grey.image.golden.beside(grey.image.rtl)) + 5 + 1
    assert f"{values:,} values of image 0, class 2" in exhibit.see


@pytest.mark.parametrize("name", SECTIONS)
def test_without_a_recorded_image_that_can_be_read_a_section_says_what_to_run(tmp_path, grey, name):
    run = "make compare MODEL=mine.spikeloom CONFIG=tiny"
    made = section(name, grey.artifact, tmp_path)
    assert made.exhibits == () and made.missing == run
    (tmp_path / RECORDING).write_bytes(b"PK\x03\x04" * 100)
    assert section(name, grey.artifact, tmp_path).missing == run
    assert section(name, grey.artifact, tmp_path / "not there").missing == run
