"""Commands take event frames as users have them: files, recordings, folders by class."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from golden.random_artifact import random_artifact, random_images
from spikeloom import cli
from spikeloom.commands.images import ImageChoice, images_for
from sw.artifact.file import load, save
from sw.network import NetworkConfig
from tests.data.record_events import PATH, SIDE
from tests.sw.importer.checkpoints import checkpoint, lively, network

NETWORK = NetworkConfig(
    image_size=SIDE, image_channels=2, classes=3, embed_dim=16, depth=1, heads=2, timesteps=4, event_bits=4,
    attention_scale=0.25,
)  # fmt: skip


def refused(capsys, *arguments):
    """Run a command that must be refused; its one line."""
    assert cli.run([str(argument) for argument in arguments]) == cli.EXIT_MENDABLE
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("spikeloom: "))
    assert len(line) < 400
    return line


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "random.spikeloom"
    save(random_artifact(NETWORK, 4, seed=7), path)
    return path


def by_class(place, config, count):
    """A folder of frame files by class, and the frames in the order in which they are taken."""
    frames = random_images(config, count, seed=8)
    for i, recording in enumerate(frames.numpy()):
        folder = place / f"class{i % config.classes}"
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / f"{i:03}.npz", frames=recording.astype(np.float32))
    return frames


def test_a_command_runs_on_a_folder_by_class(tmp_path, model):
    place, out = tmp_path / "mine", tmp_path / "energy.json"
    frames = by_class(place, NETWORK, 7)
    assert cli.run(["energy", "--model", str(model), "--data", str(place), "--images", "5", "--out", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["images"] == 5 and figures["image_set"] == "mine"
    data = images_for(load(model), ImageChoice(file=place))
    assert torch.equal(data.images, frames) and data.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    one = images_for(load(model), ImageChoice(file=place / "class0" / "003.npz"))
    assert torch.equal(one.images, frames[3:4]) and not one.labelled


@pytest.mark.parametrize("command", ["compare", "energy", "statistics"])
def test_wrong_event_frames_are_refused_before_anything_runs(command, capsys, tmp_path, model):
    start = (command, "--model", model, *(("--config", "tiny") if command == "compare" else ()), "--data")
    frames = tmp_path / "frames.npz"
    np.savez(frames, frames=np.zeros((5, 2, SIDE, SIDE)))
    assert "frames.npz: the frames are [5, 2, 16, 16], the network takes [4, 2, 16, 16]" in refused(
        capsys, *start, frames
    )
    np.savez(frames, frames=np.full((4, 2, SIDE, SIDE), 16))
    assert "frames.npz: the event frames hold a count of 16, the network takes 0 to 15 (4 event bits)" in refused(
        capsys, *start, frames
    )
    assert f"{tmp_path}: 1 recordings without classes; put them into a folder for each" in refused(
        capsys, *start, tmp_path
    )
    assert "give an .npz of frames, an .aedat4 recording, or a folder with a folder of these" in refused(
        capsys, *start, tmp_path / "none"
    )


def test_a_recording_is_split_as_asked(model):
    by_number, by_time = (
        images_for(load(model), ImageChoice(file=PATH, split_by=split_by)).images for split_by in ("number", "time")
    )
    assert by_number.sum() == by_time.sum() and not torch.equal(by_number, by_time)


def test_an_import_calibrates_and_measures_on_a_folder(capsys, tmp_path):
    config = network("authors-dvs", classes=3, event_bits=4)
    path, out = tmp_path / "model.pth", tmp_path / "model.spikeloom"
    torch.save(checkpoint(lively(config), "authors-dvs"), path)
    by_class(tmp_path / "mine", config, 6)
    given = ["import", path, "--out", out, "--heads", 2, "--timesteps", 4, "--event-bits", 4, "--dataset", "mine",
             "--size", 32, "--calibrate"]  # fmt: skip
    assert cli.run([*map(str, given), str(tmp_path / "mine"), "--images", "5"]) == 0
    artifact = load(out)
    assert artifact.network == config and artifact.provenance["calibration_images"] == 5
    assert {(entry["images"], entry["image_set"]) for entry in artifact.accuracy.values()} == {(5, "mine")}
    assert "accuracy on 5 images of mine: " in capsys.readouterr().out

    assert cli.run([*map(str, given), str(tmp_path / "mine" / "class1" / "001.npz")]) == 0  # of a class nobody knows
    assert load(out).accuracy == {} and load(out).provenance["calibration_images"] == 1
    assert " of 1 predictions are equal; no labels" in capsys.readouterr().out
    assert "--calibrate is 'elsewhere'; give recordings or a folder of them" in refused(capsys, *given, "elsewhere")
    assert not list(tmp_path.glob("*.tmp"))
