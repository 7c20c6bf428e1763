"""What the engines do in every cycle: as the testbench writes it, and as the hardware counts it."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import torch

from golden.random_artifact import random_artifact, random_images
from hw.named_configs import TINY
from sim.comparison.compare import Comparison
from sim.comparison.timeline import ENGINES, TIMELINE_FILE, WORKS, joined, layer_sums, read_activity
from sw.compiler.compiler import compile_artifact
from sw.data.sets import ImageSet
from sw.network import NetworkConfig

NETWORK = NetworkConfig(image_size=20, image_channels=2, classes=5, embed_dim=64, depth=1, heads=2)

IDLE = "0000"


def activity(path, *lines):
    """A file of activity: cycle, whether the job runs, and what is not idle."""
    path.write_text(
        "".join(
            f"{cycle:08x} {running} {' '.join(words.get(name, IDLE) for name in ENGINES)}\n"
            for cycle, running, words in lines
        )
    )
    return path


def test_intervals_end_where_layer_or_state_changes(tmp_path):
    path = activity(
        tmp_path / "activity.txt",
        (0, 1, {"array": "0220", "load": "0001"}),
        (3, 1, {"array": "0201", "load": "0001"}),
        (10, 1, {"array": "0301", "load": "0002"}),
        (12, 1, {"array": "0302"}),
        (20, 0, {}),
    )
    found = read_activity(path)
    assert found["array"] == [(0, 3, 2, 5), (3, 10, 2, 0), (10, 12, 3, 0), (12, 20, 3, 1)]
    assert found["load"] == [(0, 10, 0, 0), (10, 12, 0, 1)]
    assert found["attention"] == []


def test_what_writes_now_and_then_is_one_interval_as_long_as_the_gaps_are_short(tmp_path):
    writes = [(cycle, 1, {"writeback": "0401"}) for cycle in (0, 64, 200)]
    pauses = [(cycle, 1, {}) for cycle in (1, 65, 201)]
    path = activity(tmp_path / "activity.txt", *sorted(writes + pauses, key=lambda line: line[0]), (300, 0, {}))
    assert read_activity(path)["writeback"] == [(0, 65, 4, 0), (200, 201, 4, 0)]


def test_only_neighbours_of_one_layer_and_state_are_joined():
    intervals = [(0, 5, 1, 0), (6, 7, 1, 0), (7, 8, 1, 2), (9, 12, 1, 0), (13, 20, 2, 0)]
    assert joined(intervals, 2) == [(0, 7, 1, 0), (7, 8, 1, 2), (9, 12, 1, 0), (13, 20, 2, 0)]
    assert joined(intervals, 1) == intervals


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([(0, 1, {"array": "0203"}), (9, 0, {})], "line 2 .* array is in the states 0b11 at once"),
        ([(0, 1, {"neurons": "0204"}), (9, 0, {})], "line 2 .* neurons is in the states 0b100 at once"),
        ([(0, 1, {"array": "02x1"}), (9, 0, {})], "line 1 is no activity of 7 engines"),
        ([(0, 1, {"array": "0201"})], "the job does not end"),
    ],
)
def test_activity_wrong(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message):
        read_activity(activity(tmp_path / "activity.txt", *lines))


def compared(folder, *, traced):
    """Figures of one image of a random network on the simulated accelerator."""
    pixels, labels = random_images(NETWORK, 1, seed=4), torch.zeros(1, dtype=torch.int64)
    artifact = random_artifact(NETWORK, 4, seed=3)
    comparison = Comparison(
        artifact=artifact, program=compile_artifact(artifact, TINY),
        data=ImageSet(images=pixels, labels=labels, indices=torch.arange(1)), images=1, traced=traced, jobs=1,
        optimise=False, folder=folder,
    )  # fmt: skip
    return comparison.run().to_dict()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Figures of an image, and the timeline that its comparison left."""
    folder = tmp_path_factory.mktemp("timeline")
    figures = compared(folder, traced=1)
    return figures, json.loads((folder / TIMELINE_FILE).read_text())


def test_intervals_of_an_image_add_up_to_its_hardware_counters(recorded):
    figures, content = recorded
    assert content["cycles"] == figures["cycles"]["rtl_mean"]
    assert content["layers"] == [layer["name"] for layer in figures["layers"]]
    array, attention = layer_sums(content, "array"), layer_sums(content, "attention")
    for layer in figures["layers"]:
        states = array.get(layer["name"], Counter())
        assert states.total() == layer["cycles"], layer["name"]
        assert {cause: states[cause] for cause in layer["waits"]} == layer["waits"], layer["name"]
        assert attention.get(layer["name"], states)[WORKS] == layer["engine_cycles"], layer["name"]


def test_an_engine_does_one_thing_at_a_time(recorded):
    _, content = recorded
    for name, engine in content["engines"].items():
        edges = [edge for begin, end, *_ in engine["intervals"] for edge in (begin, end)]
        assert edges, name
        assert edges == sorted(edges) and edges[-1] <= content["cycles"], name


def test_data_passes_from_engine_to_engine(recorded):
    _, content = recorded
    layers = content["layers"]
    first = {
        name: {layers[layer]: begin for begin, _, layer, state in reversed(engine["intervals"]) if state == 0}
        for name, engine in content["engines"].items()
    }
    assert first["memory"]["load"] < first["load"]["load"] < first["array"]["conv0"]
    assert set(first["attention"]) == {name for name in layers if name.endswith(".attention")}
    assert set(first["array"]) == set(layers) - {"load"} - set(first["attention"])
    for layer, begin in first["array"].items():
        assert begin < first["neurons"][layer] < first["writeback"][layer], layer


def test_nothing_of_an_earlier_run_is_left_where_no_image_is_traced(tmp_path):
    (tmp_path / TIMELINE_FILE).write_text("of an earlier run")
    compared(tmp_path, traced=0)
    assert not (tmp_path / TIMELINE_FILE).exists()
