"""The commands that measure artifacts over images: energy, statistics, codesign."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from golden.random_artifact import random_artifact, random_images
from hw.named_configs import TINY
from spikeloom import cli
from sw.artifact.file import save
from sw.network import NetworkConfig

NETWORK = NetworkConfig(image_size=16, image_channels=1, classes=5, embed_dim=32, depth=1, heads=2)
TRAINED = Path(__file__).resolve().parents[2] / "models" / "fashion-2-64.spikeloom"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two artifacts, one of them in a folder below, and images for both."""
    place = tmp_path_factory.mktemp("models")
    (place / "below").mkdir()
    save(random_artifact(NETWORK, 4, seed=61), place / "add.spikeloom")
    save(
        random_artifact(dataclasses.replace(NETWORK, residual_mode="iand"), 4, seed=61), place / "below/iand.spikeloom"
    )
    np.savez(place / "mine.npz", images=random_images(NETWORK, 6, seed=62).numpy(), labels=np.arange(6) % 5)
    return place


def run(*arguments):
    return cli.run([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    assert run(*arguments) == cli.EXIT_MENDABLE
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("spikeloom: "))
    return line


def test_energy_shows_and_writes_every_layer(capsys, folder, tmp_path):
    out = tmp_path / "energy.json"
    assert run("energy", "--model", folder / "add.spikeloom", "--data", folder / "mine.npz", "--out", out) == 0
    figures, shown = json.loads(out.read_text()), capsys.readouterr().out
    assert (figures["images"], figures["image_set"]) == (6, "mine.npz")
    assert [layer["name"] for layer in figures["layers"]] == [layer.name for layer in NETWORK.layers()]
    assert all(layer["name"] in shown for layer in figures["layers"])
    total, layers = figures["total"], figures["layers"]
    assert figures["prices_j"] == {"mac": 4.6e-12, "accumulate": 0.9e-12}
    assert total["paper_macs"] == sum(layer["paper_macs"] for layer in layers)
    assert total["macs"] == sum(layer["macs"] for layer in layers)
    for key, part in (("paper_j", "paper_j"), ("counted_j", "counted_j")):
        assert total[key] == pytest.approx(sum(layer["energy"][part] for layer in layers), rel=1e-12)
        assert f"{total[key] * 1e6:.2f} uJ" in shown
    conv0 = layers[0]
    assert total["published_j"] == pytest.approx(total["paper_j"] + 3 * 4.6e-12 * conv0["macs"], rel=1e-12)
    assert conv0["energy"]["macs"] == conv0["macs"] == 16 * 16 * 9 * 4


def test_statistics_shows_writes_and_draws(capsys, folder, tmp_path):
    out = tmp_path / "statistics.json"
    arguments = ("--model", folder / "add.spikeloom", "--config", "tiny", "--images", 4, "--out", out)
    assert run("statistics", *arguments) == 0
    figures, shown = json.loads(out.read_text()), capsys.readouterr().out
    assert (figures["images"], figures["config"]) == (4, "tiny")
    assert figures["word"] == {"positions": 2, "timesteps": 4, "inputs": 4}
    assert all(len(layer["rates"]) == 4 for layer in figures["layers"])
    assert [len(layer["residual_counts"] or ()) for layer in figures["layers"] if layer["residual_counts"]] == [3, 4, 5]
    assert figures["reads"] == sum(tensor["reads"] for tensor in figures["tensors"])
    assert f"{figures['zero_reads'] / figures['reads']:.1%} hold no spike" in shown
    assert "after block0.fc2" in shown and "read by block0.q, block0.k, block0.v" in shown
    picture = tmp_path / "statistics.png"
    drawn = picture.read_bytes()
    assert drawn.startswith(PNG) and str(picture) in shown
    assert run("statistics", *arguments) == 0
    assert picture.read_bytes() == drawn


def test_statistics_of_spikes_only(folder, tmp_path):
    out = tmp_path / "statistics.json"
    assert run("statistics", "--model", folder / "below/iand.spikeloom", "--images", 1, "--out", out) == 0
    assert all(len(tensor["planes"]) == 1 for tensor in json.loads(out.read_text())["tensors"][1:])


def test_codesign_compares_files_and_folders(capsys, folder, tmp_path):
    out = tmp_path / "codesign.json"
    arguments = ("--config", "tiny", "--data", folder / "mine.npz", "--out", out)
    assert run("codesign", folder, folder / "add.spikeloom", *arguments) == 0
    figures, shown = json.loads(out.read_text()), capsys.readouterr().out
    assert [row["name"] for row in figures["variants"]] == ["add", "iand"], "none twice"
    assert [row["residual_mode"] for row in figures["variants"]] == ["add", "iand"]
    assert figures["config"]["name"] == "tiny" and figures["memory_latency"] == 20
    add, iand = figures["variants"]
    assert iand["cycles"] < add["cycles"] and iand["weight_bytes"] == add["weight_bytes"]
    assert add["image_set"] == "mine.npz" and add["images"] == 6 and add["accuracy"] == add["correct"] / 6
    assert f"{add['cycles']:,}" in shown and "unbeaten in accuracy and cycles, mine.npz: iand" in shown
    assert set(figures["fronts"]) == {"cycles", "weight_bytes", "counted_j", "paper_j"}
    assert (tmp_path / "codesign.png").read_bytes().startswith(PNG)


def test_codesign_has_a_table_for_each_set_of_images(capsys, folder, tmp_path):
    arguments = ("--config", "base", "--images", 2, "--out", tmp_path / "codesign.json")
    assert run("codesign", TRAINED, folder, *arguments) == 0
    shown = " ".join(capsys.readouterr().out.split())
    titles = [
        f"Accuracy over 2 images of {name}, and what an image costs" for name in ("fashion-mnist sample", "random")
    ]
    assert [shown.count(title) for title in titles] == [1, 1]
    first, second = shown.split(titles[1])
    assert "fashion-2-64" in first.split(titles[0])[1] and "iand" not in first and "iand" in second


def test_codesign_without_accuracies_draws_nothing(capsys, folder, tmp_path):
    small = tmp_path / "small.json"
    small.write_text(json.dumps({**TINY.to_dict(), "name": "small", "spike_words": 64}))
    out = tmp_path / "out" / "codesign.json"
    assert run("codesign", folder / "add.spikeloom", "--config", small, "--images", 2, "--out", out) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "add does not fit small: " in shown and "no plot" in shown
    assert [path.name for path in out.parent.iterdir()] == ["codesign.json"]
    (row,) = json.loads(out.read_text())["variants"]
    assert row["accuracy"] is None and row["cycles"] is None and row["images"] == 2


def test_artifacts_of_one_name_are_told_apart_by_their_paths(folder, tmp_path):
    other = tmp_path / "add.spikeloom"
    other.write_bytes((folder / "add.spikeloom").read_bytes())
    out = tmp_path / "codesign.json"
    assert run("codesign", folder / "add.spikeloom", other, "--images", 1, "--out", out) == 0
    names = [row["name"] for row in json.loads(out.read_text())["variants"]]
    assert names == [str(folder / "add.spikeloom"), str(other)]


def test_more_images_than_there_are(capsys, folder):
    arguments = ("--model", folder / "add.spikeloom", "--data", folder / "mine.npz", "--images", 7)
    for command in ("energy", "statistics"):
        assert "7 images were asked for, there are 6 of mine.npz: ask for at most so many" in refused(
            capsys, command, *arguments
        )


def test_a_folder_without_artifacts(capsys, tmp_path):
    assert "holds no artifact (*.spikeloom)" in refused(capsys, "codesign", tmp_path)
    assert "Missing argument" in refused(capsys, "codesign")
    assert "cannot read (no such file)" in refused(capsys, "codesign", tmp_path / "none.spikeloom")
