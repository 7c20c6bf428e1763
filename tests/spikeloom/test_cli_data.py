"""Every command uses what --data or --data-dir names, or refuses it; nothing else is run or fetched instead."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from golden.random_artifact import random_artifact, random_images
from sim.comparison.compare import CompareReport
from sim.comparison.report import COMPARISONS
from spikeloom import cli
from sw.artifact.file import save
from sw.data import sources as data_sources
from sw.data.sets import data_set
from sw.errors import UserError
from sw.model.quantizers import begin_scales
from sw.model.spikformer import Spikformer
from sw.network import NetworkConfig
from sw.training.recipe import load_recipe

ROOT = Path(__file__).resolve().parents[2]
TRAINED = ROOT / "models" / "fashion-2-64.spikeloom"
RECIPE = ROOT / "recipes" / "fashion-2-64.toml"
STUDY = ROOT / "recipes" / "studies" / "fashion-2-32-short.toml"
NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=16, depth=1, heads=2)
IMAGES = random_images(NETWORK, 3, seed=8).numpy()
MEASURING = ("compare", "energy", "statistics", "codesign")
READING = {
    "data": ("data",),
    "samples": ("samples",),
    "train": ("train", RECIPE),
    "export": ("export", RECIPE),
    "study": ("study", STUDY),
}
"""Commands that read a data set's files."""


@pytest.fixture(autouse=True)
def unfetched(monkeypatch):
    """Nothing is fetched, not even from the cache."""

    def fetch(*_):
        raise AssertionError("fetched")

    monkeypatch.setattr(data_sources, "_from_address", fetch)
    monkeypatch.setattr(data_sources, "_from_package", fetch)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A random artifact, and the same with a data set of another name, as `import` makes them."""
    place, artifact = tmp_path_factory.mktemp("models"), random_artifact(NETWORK, 4, seed=7)
    save(artifact, place / "random.spikeloom")
    save(dataclasses.replace(artifact, dataset="imagenet", provenance={}), place / "own.spikeloom")
    return SimpleNamespace(random=place / "random.spikeloom", own=place / "own.spikeloom")


@pytest.fixture
def compared(monkeypatch):
    """Options that comparisons were called with; none is run."""
    seen = []

    def compare(options, progress):
        seen.append(options)
        return CompareReport({"mismatches": dict.fromkeys(COMPARISONS, 0)}, None)

    monkeypatch.setattr("sim.comparison.compare.Comparison.run", compare)
    monkeypatch.setattr("sim.comparison.report.render", lambda *_: None)
    return seen


def saved(tmp_path, name="mine.npz", **arrays):
    np.savez(tmp_path / name, **({"images": IMAGES, "labels": np.arange(3)} | arrays))
    return tmp_path / name


def measuring(command, model, *options):
    return (command, *(() if command == "codesign" else ("--model",)), model, *options)


def refused(capsys, *arguments):
    """Run a command that must be refused; its one line."""
    assert cli.run([str(argument) for argument in arguments]) == cli.EXIT_MENDABLE
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("spikeloom: "))
    assert len(line) < 300
    return line


@pytest.mark.parametrize("command", MEASURING)
def test_a_place_that_is_not_there_or_no_file_of_images_is_refused(command, capsys, tmp_path, models):
    (tmp_path / "text.txt").write_text("no images")
    (tmp_path / "folder.npz").mkdir()
    reasons = {"none": "no such file", "text.txt": "no .npz file", "folder.npz": "a folder"}
    for model in (models.random, models.own, TRAINED):
        for name, reason in reasons.items():
            arguments = measuring(command, model, "--data", tmp_path / name, "--out", tmp_path / "out.json")
            line = refused(capsys, *arguments)
            assert (
                f"{name}: {reason}; give an .npz of images and labels, or --data-dir with the data set's files" in line
            )
    assert "cannot be read" in refused(capsys, *measuring(command, models.random, "--data", tmp_path / "none.npz"))
    line = refused(capsys, *measuring(command, TRAINED, "--data-dir", tmp_path / "folder.npz"))
    assert "holds no train-images-idx3-ubyte (or .gz), one of the 4 files of fashion-mnist; put it there, or" in line


@pytest.mark.parametrize("command", MEASURING)
def test_a_set_that_is_not_built_in_comes_from_a_file(command, capsys, tmp_path, models):
    line = refused(capsys, *measuring(command, models.own))
    assert "data set, imagenet, is not built in: give images of it and their labels with --data" in line
    for model in (models.own, models.random):
        line = refused(capsys, *measuring(command, model, "--data-dir", tmp_path))
        assert f"is not built in and cannot be read from the folder {tmp_path}: give images of it" in line


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """The folder of a run of `RECIPE` as far as `export` reads it before the data: untrained models."""
    settings, run = load_recipe(RECIPE), tmp_path_factory.mktemp("run")
    torch.save(Spikformer(settings.network).state_dict(), run / "float.pt")
    scale = data_set(settings.data).image_scale
    quantised = Spikformer(settings.network, settings.weight_bits, scale)
    begin_scales(quantised)
    torch.save(quantised.state_dict(), run / "quantised.pt")
    return run


def test_an_export_without_a_run_is_refused_before_data_is_read(capsys, tmp_path):
    line = refused(capsys, "export", RECIPE, "--run", tmp_path, "--data-dir", tmp_path / "none")
    assert f"{tmp_path / 'float.pt'}" in line and "none" not in line


@pytest.mark.parametrize("command", READING)
def test_a_folder_without_the_files_is_refused_and_nothing_fetched_instead(command, capsys, tmp_path, finished_run):
    (tmp_path / "train-images-idx3-ubyte").mkdir()  # no file of that name
    run = ("--run", finished_run) if command == "export" else ()
    reading = (*READING[command], *run)
    line = refused(capsys, *reading, "--data-dir", tmp_path)
    assert f"data folder {tmp_path} holds no train-images-idx3-ubyte (or .gz), one of the 4 files of" in line
    file = saved(tmp_path)
    assert f"data folder {file} is a file; name a folder that holds" in refused(capsys, *reading, "--data-dir", file)
    assert "none does not exist; name a folder" in refused(capsys, *reading, "--data-dir", tmp_path / "none")


def test_a_damaged_gz_is_named(capsys, tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    for content in (
        b"",
        b"\x1f\x8b\x08\x00",
        b"not compressed",
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff",
    ):
        path.write_bytes(content)
        line = refused(capsys, "data", "--data-dir", tmp_path)
        assert f"{path}: " in line and ("no whole .gz file" in line or "md5 of the uncompressed" in line)


LABELS = {
    "beyond the classes": (np.array([0, 1, 5]), "the labels are 0 to 5, the network has classes 0 to 4; give its own"),
    "negative": (np.array([0, -1, 4], np.int8), "the labels are -1 to 4, the network has classes 0 to 4"),
    "beyond 64 bits": (np.array([0, 1, 2**63], np.uint64), f"the labels are 0 to {2**63}, the network has"),
    "real": (np.array([0.0, 1.0, 2.0]), "labels are float64 [3]; they must be one integer for each image, here 3"),
    "not numbers": (np.array([0.0, np.nan, 2.0]), "labels are float64 [3]; they must be one integer"),
    "truth values": (np.array([True, False, True]), "labels are bool [3]; they must be one integer"),
    "too few": (np.arange(2), "labels are int64 [2]; they must be one integer for each image, here 3"),
    "one-hot": (np.eye(3, 5, dtype=np.int64), "labels are int64 [3, 5]; they must be one integer"),
    "one number": (np.array(1), "labels are int64 []; they must be one integer"),
    "text": (np.array(["0", "1", "2"]), "labels holds '<U1', not numbers"),
}
PIXELS = {
    "real": (IMAGES / 255, "images are float64 [3, 1, 8, 8]; they must be uint8 [n, channels, height, width]"),
    "not numbers": (np.full(IMAGES.shape, np.nan, np.float32), "images are float32 [3, 1, 8, 8]; they must be uint8"),
    "signed": (IMAGES.astype(np.int8), "images are int8 [3, 1, 8, 8]; they must be uint8"),
    "channels last": (IMAGES.transpose(0, 2, 3, 1), "the images are [8, 8, 1], the network takes [1, 8, 8]"),
    "of other channels": (IMAGES.repeat(3, axis=1), "the images are [3, 8, 8], the network takes [1, 8, 8]"),
    "of another size": (IMAGES[..., :7], "the images are [1, 8, 7], the network takes [1, 8, 8]"),
    "without channels": (IMAGES[:, 0], "images are uint8 [3, 8, 8]; they must be uint8 [n, channels, height, width]"),
    "event frames": (IMAGES[:, None], "the images are [1, 1, 8, 8], the network takes [1, 8, 8]"),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("model", ["random", "own"])
def test_labels_that_fit_no_class_are_refused(kind, model, capsys, tmp_path, models):
    labels, message = LABELS[kind]
    path = saved(tmp_path, labels=labels)
    for command in MEASURING:
        assert message in refused(capsys, *measuring(command, vars(models)[model], "--data", path))


@pytest.mark.parametrize("kind", PIXELS)
def test_images_of_another_form_are_refused(kind, capsys, tmp_path, models):
    images, message = PIXELS[kind]
    path = saved(tmp_path, images=images)
    for command in MEASURING:
        assert message in refused(capsys, *measuring(command, models.random, "--data", path))


def test_an_empty_set_is_refused(capsys, tmp_path, models):
    path = saved(tmp_path, images=IMAGES[:0], labels=np.arange(0))
    line = refused(capsys, *measuring("compare", models.random, "--data", path))
    assert "one integer for each image, here 0, and at least one" in line


@pytest.mark.parametrize("model", ["random", "own"])
def test_a_file_of_fewer_images_than_usual_is_used_whole_and_that_is_said(model, capsys, tmp_path, models, compared):
    path = saved(tmp_path, images=IMAGES[:1], labels=np.array([4]))
    arguments = measuring("compare", vars(models)[model], "--data", path, "--config", "tiny", "--out", tmp_path / "o")
    assert cli.run([str(argument) for argument in arguments]) == 0
    (options,) = compared
    assert (options.images, len(options.data), options.data.name, options.data.labelled) == (1, 1, "mine.npz", True)
    assert "mine.npz has fewer images than the usual 16: all of its 1 run" in " ".join(capsys.readouterr().err.split())


def test_more_images_than_the_file_holds_are_refused(capsys, tmp_path, models):
    line = refused(capsys, *measuring("compare", models.random, "--data", saved(tmp_path), "--images", 4))
    assert "the data has 3 images, 4 cannot run on the RTL: choose 1 to 3" in line


def test_as_many_images_as_ever_without_a_file(models, tmp_path, compared):
    for model, count in ((models.random, 16), (TRAINED, 300)):
        arguments = measuring("compare", model, "--out", tmp_path / "o")
        assert cli.run([str(argument) for argument in arguments]) == 0
        assert (compared[-1].images, len(compared[-1].data)) == (16, count)
    assert [(options.data.name, options.data.labelled) for options in compared] == [
        ("random", False), ("fashion-mnist sample", True)
    ]  # fmt: skip


def test_figures_name_the_images_they_are_of(tmp_path, models):
    path, out = saved(tmp_path), tmp_path / "out.json"
    for command in ("energy", "statistics"):
        arguments = measuring(command, models.own, "--data", path, "--out", out)
        assert cli.run([str(argument) for argument in arguments]) == 0
        figures = json.loads(out.read_text())
        assert (figures["image_set"], figures["images"]) == ("mine.npz", 3)


def test_speeds_need_no_images_of_the_data_set(monkeypatch, capsys, models):
    seen = []

    def measure(artifact, images, *_):
        seen.append(images)
        raise UserError("measured")

    monkeypatch.setattr("spikeloom.measure.speeds.measure_golden", measure)
    for model in (models.own, models.random):
        assert refused(capsys, "bench", "--speeds", "--model", model).endswith("measured")
    assert [(len(images), images.images.shape[1:], images.name) for images in seen] == [(16, (1, 8, 8), "random")] * 2


@pytest.mark.parametrize("command", MEASURING)
def test_more_images_than_there_are_is_refused_before_any_is_fetched(command, capsys):
    line = refused(capsys, *measuring(command, TRAINED, "--images", 10_001))
    assert "10,001 images were asked for, there are 10,000 of fashion-mnist test set: ask for at most so many" in line


@pytest.mark.parametrize("command", MEASURING)
def test_a_file_and_a_folder_at_once_are_refused(command, capsys, tmp_path):
    options = ("--data", tmp_path / "mine.npz", "--data-dir", tmp_path)
    line = refused(capsys, *measuring(command, TRAINED, *options))
    assert f"--data {tmp_path / 'mine.npz'} and --data-dir {tmp_path} are both images to run: give one" in line


def test_a_run_that_is_there_is_refused_before_data_is_read(capsys, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"of an earlier run")
    line = refused(capsys, "train", RECIPE, "--out", tmp_path, "--data-dir", tmp_path / "none")
    assert f"{tmp_path} already holds a training run; resume it, or choose another output folder" in line


def test_a_name_that_no_artifact_may_have_is_refused_before_pytorch_is_imported():
    program = "import sys; from spikeloom.cli import run; print(run(['random', 'x.bad']), 'torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == [str(cli.EXIT_MENDABLE), "False"]
