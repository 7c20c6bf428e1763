"""Event frames of users: frame files, recordings and folders of them by class are read, or refused in one line."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from sw.data import event_frames
from sw.data.event_frames import read_recording, recordings_from_file, recordings_from_folder
from sw.data.event_stream import EventStream, integrate
from sw.errors import UserError
from sw.network import NetworkConfig
from tests.data.record_events import PATH, SIDE, events

NETWORK = NetworkConfig(
    image_size=8, image_channels=2, classes=3, embed_dim=16, depth=1, heads=2, timesteps=4, event_bits=3
)


def frames_of(seed, top=7):
    return np.random.default_rng(seed).integers(0, top + 1, NETWORK.input_shape)


def refusal(function, *arguments):
    with pytest.raises(UserError) as refused:
        function(*arguments)
    message = str(refused.value)
    assert "\n" not in message and len(message.replace(str(arguments[0]), "")) < 260
    return message


@pytest.fixture
def folder(tmp_path):
    """Three classes of one, three and two recordings, beside files that are none."""
    place = tmp_path / "mine"
    for name, count in (("cat", 3), ("ant", 1), ("dog", 2)):
        (place / name).mkdir(parents=True)
        for i in range(count):
            np.savez_compressed(place / name / f"{name}_{i}.npz", frames=frames_of([ord(name[0]), i]))
        (place / name / "notes.txt").write_text("no recording")
    (place / ".cache").mkdir()
    return place


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "f4", "f8"])
def test_counts_are_read_whatever_numbers_they_are_kept_as(tmp_path, dtype):
    path, frames = tmp_path / "a.npz", frames_of(1)
    np.savez(path, frames=frames.astype(dtype), other=np.zeros(3))
    found = recordings_from_file(path, NETWORK)
    assert found.images.dtype.is_floating_point is False and found.images.shape == (1, *NETWORK.input_shape)
    assert np.array_equal(found.images[0].numpy(), frames)
    assert (found.name, found.labelled) == ("a.npz", False)


def test_classes_are_numbered_by_their_names_and_recordings_taken_in_turn(folder):
    found = recordings_from_folder(folder, NETWORK)
    assert found.labels.tolist() == [0, 1, 2, 1, 2, 1] and found.labelled and found.name == "mine"
    expected = [("a", 0), ("c", 0), ("d", 0), ("c", 1), ("d", 1), ("c", 2)]
    for image, (letter, i) in zip(found.images.numpy(), expected, strict=True):
        assert np.array_equal(image, frames_of([ord(letter), i]))


def test_no_more_recordings_are_read_than_wanted(folder, monkeypatch):
    (folder / "cat" / "cat_2.npz").write_bytes(b"damaged")
    assert recordings_from_folder(folder, NETWORK, count=5).labels.tolist() == [0, 1, 2, 1, 2]
    assert "not a whole .npz file; it must hold the arrays frames" in refusal(recordings_from_folder, folder, NETWORK)
    monkeypatch.setattr(event_frames, "RECORDINGS", 4)
    assert recordings_from_folder(folder, NETWORK).labels.tolist() == [0, 1, 2, 1]


SHAPES = "(time steps, polarities, height, width)"


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((10, 2, 8, 8)), f"the frames are [10, 2, 8, 8], the network takes [4, 2, 8, 8] {SHAPES}; split the "
         "recordings into 4 frames, or import the network with --timesteps"),
        (np.zeros((4, 2, 8, 9)), f"the frames are [4, 2, 8, 9], the network takes [4, 2, 8, 8] {SHAPES}; crop or scale "
         "the recordings, or use another network"),
        (np.zeros((2, 8, 8)), f"the frames are [2, 8, 8], the network takes [4, 2, 8, 8] {SHAPES}; crop or scale the "
         "recordings, or use another network"),
        (np.full((4, 2, 8, 8), 8.0), "the event frames hold a count of 8, the network takes 0 to 7 (3 event bits): "
         "clip them, or give it more event bits"),
        (np.full((4, 2, 8, 8), 1 << 40), "the event frames hold a count of 1099511627776, the network takes 0 to 7 (3 "
         "event bits): clip them, or give it more event bits"),
        (np.full((4, 2, 8, 8), 0.5), "the frames of float64 hold values that are no counts; give whole numbers"),
        (np.full((4, 2, 8, 8), -1), "the frames of int64 hold values that are no counts; give whole numbers"),
        (np.full((4, 2, 8, 8), np.inf), "the frames of float64 hold values that are no counts; give whole numbers"),
        (np.full((4, 2, 8, 8), np.nan), "the frames of float64 hold values that are no counts; give whole numbers"),
        (np.full((4, 2, 8, 8), 1j), "the frames of complex128 hold values that are no counts; give whole numbers"),
    ],
)  # fmt: skip
def test_frames_wrong(tmp_path, frames, message):
    path = tmp_path / "a.npz"
    np.savez(path, frames=frames)
    assert refusal(read_recording, path, NETWORK, "number") == f"{path}: {message}"


def test_frames_for_a_network_of_images_wrong(tmp_path):
    np.savez(tmp_path / "a.npz", frames=frames_of(1))
    images = dataclasses.replace(NETWORK, event_bits=0)
    assert refusal(read_recording, tmp_path / "a.npz", images, "number") == (
        f"{tmp_path / 'a.npz'}: event frames, but the network reads images; give images of its data set"
    )


def test_folders_wrong(folder, tmp_path):
    assert refusal(recordings_from_folder, folder / "cat", NETWORK) == (
        f"{folder / 'cat'}: 3 recordings without classes; put them into a folder for each of the network's 3 classes, "
        "or give one of them"
    )
    assert refusal(recordings_from_folder, folder, dataclasses.replace(NETWORK, classes=4)) == (
        f"{folder}: 3 folders (ant, cat, dog), the network has 4 classes; give a folder that holds one folder of "
        "recordings for each class"
    )
    assert refusal(recordings_from_folder, tmp_path, NETWORK).startswith(f"{tmp_path}: 1 folders (mine), the network")
    for name in "abc":
        (tmp_path / "empty" / name).mkdir(parents=True)
    assert refusal(recordings_from_folder, tmp_path / "empty", NETWORK) == (
        f"{tmp_path / 'empty'}: no recordings in its folders; give files of .npz or .aedat4"
    )
    (tmp_path / "bare").mkdir()
    assert ": 0 folders (none), the network has 3 classes; " in refusal(
        recordings_from_folder, tmp_path / "bare", NETWORK
    )


@pytest.mark.parametrize("split_by", ["number", "time"])
def test_a_recording_becomes_as_many_frames_as_the_network_has_time_steps(split_by):
    network = dataclasses.replace(NETWORK, image_size=SIDE, timesteps=7)
    found = recordings_from_file(PATH, network, split_by)
    expected = integrate(EventStream(**events(), width=SIDE, height=SIDE), 7, split_by)
    assert np.array_equal(found.images[0].numpy(), expected) and expected.max() > 1 and not found.labelled


def test_a_recording_of_another_sensor_or_too_many_events_wrong():
    assert refusal(read_recording, PATH, NETWORK, "number") == (
        f"{PATH}: the sensor has 16x16 pixels of 2 polarities, the network takes 8x8 of 2; crop or scale the "
        "recordings, or use another network"
    )
    network = dataclasses.replace(NETWORK, image_size=SIDE, event_bits=1)
    assert re.search(r"hold a count of \d+, the network takes 0 to 1", refusal(read_recording, PATH, network, "number"))
