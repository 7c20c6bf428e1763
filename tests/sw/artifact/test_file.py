"""Artifacts survive the file bit for bit, whatever version wrote it, and damage shows."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from golden.random_artifact import random_artifact
from sw.artifact.file import file_header, load, save
from sw.errors import UserError
from tests.sw.artifact.files import NETWORK, read, refusal, write

MODELS = sorted((Path(__file__).resolve().parents[3] / "models").glob("*.spikeloom"))


def test_round_trip(artifact, path):
    loaded = load(path)
    assert file_header(loaded) == file_header(artifact)
    ours, theirs = artifact.flat_tensors(), loaded.flat_tensors()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert value.dtype == theirs[name].dtype and np.array_equal(value, theirs[name]), name


def test_version_1_adds_to_the_residual(artifact, path):
    header, tensors = read(path)
    for field in ("residual_mode", "pools", "event_bits", "pool_order", "linear_bias", "neuron"):
        del header["network"][field]
    write(path, header | {"version": 1}, tensors)
    assert file_header(load(path)) == file_header(artifact)


def test_version_2_reads_images_and_pools_after_its_neurons(artifact, path):
    header, tensors = read(path)
    for field in ("event_bits", "pool_order", "linear_bias", "neuron"):
        del header["network"][field]
    write(path, header | {"version": 2}, tensors)
    assert file_header(load(path)) == file_header(artifact)
    assert not artifact.network.events


@pytest.mark.parametrize("version", [3, 4])
def test_versions_3_and_4_read_events_as_frames_of_0_and_1(version, tmp_path):
    network, path = dataclasses.replace(NETWORK, event_bits=1), tmp_path / "a.spikeloom"
    accuracy = {"golden": {"correct": 1, "images": 2, "image_set": "mine"}, "float": {"correct": 1, "images": 2}}
    artifact = dataclasses.replace(random_artifact(network, 4, seed=1), accuracy=accuracy)
    save(artifact, path)
    header, tensors = read(path)
    header["network"] = {key: value for key, value in header["network"].items() if key != "event_bits"}
    header["network"]["events"] = True
    header["accuracy"]["golden"] = {"correct": 1, "images": 2, "set": "mine"}
    tensors["image.table"] = tensors["image.table"].astype(np.int8)
    write(path, header | {"version": version}, tensors)
    assert file_header(load(path)) == file_header(artifact)
    assert np.array_equal(load(path).image_table, artifact.image_table)
    header["network"]["events"] = False  # an image, whose pixels are signed
    write(path, header | {"version": version}, tensors)
    assert load(path).network.event_bits == 0 and load(path).image_table.dtype == np.int8


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_event_frames_and_the_attention_scale_survive(bits, tmp_path):
    network = dataclasses.replace(NETWORK, event_bits=bits, attention_scale=0.25)
    save(random_artifact(network, 4, seed=1), tmp_path / "a.spikeloom")
    loaded = load(tmp_path / "a.spikeloom")
    assert loaded.network == network
    assert loaded.image_table.tolist() == [[min(count, 2**bits - 1) for count in range(256)]] * 2


@pytest.mark.parametrize("mode", ["clamp", "iand"])
def test_residual_mode_survives(mode, tmp_path):
    network = dataclasses.replace(NETWORK, residual_mode=mode)
    save(random_artifact(network, 4, seed=1), tmp_path / "a.spikeloom")
    assert load(tmp_path / "a.spikeloom").network == network


def test_pool_order_biases_and_neuron_survive(tmp_path):
    network = dataclasses.replace(NETWORK, pool_order="before", linear_bias="none", neuron="if")
    save(random_artifact(network, 4, seed=1), tmp_path / "a.spikeloom")
    assert load(tmp_path / "a.spikeloom").network == network


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_committed_models_are_of_this_version(path, tmp_path):
    save(load(path), tmp_path / path.name)
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert load(path).network.residual_mode == "add"


def test_every_flipped_bit_is_refused_or_means_the_same(artifact, path):
    data, meant = path.read_bytes(), (file_header(artifact), artifact.flat_tensors())
    start = 8 + int.from_bytes(data[:8], "little")
    rng = np.random.default_rng(1)
    accepted = 0
    for bit in [*rng.integers(0, 8 * start, 200), *rng.integers(8 * start, 8 * len(data), 200)]:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            loaded = load(path)
        except UserError as error:
            assert len(str(error).removeprefix(str(path))) < 250
            continue
        accepted += 1
        assert bit < 8 * start and file_header(loaded) == meant[0]
        for name, value in loaded.flat_tensors().items():
            assert np.array_equal(value, meant[1][name])
    assert accepted < 10  # white space, and capitals in an escape


def test_values_in_their_ranges_that_are_not_those_written_wrong(path):
    header, tensors = read(path)
    for change in ({"weight_bits": 8}, {"dataset": "mnist"}, {"image_scale": 0.5}, {"provenance": {}}, {"sha256": 0}):
        save_file(tensors, path, metadata={"spikeloom": json.dumps(header | change)})
        assert refusal(path).startswith("damaged or changed: sha256 of header and tensors is ")
    for name in ("conv0.scale", "image.table", "conv1.bias"):
        save_file(tensors | {name: np.flip(tensors[name]).copy()}, path, metadata={"spikeloom": json.dumps(header)})
        assert refusal(path).startswith("damaged or changed: sha256 of header and tensors is ")


def test_an_older_version_is_remarked_once(artifact, path, caplog):
    header, tensors = read(path)
    del header["network"]["event_bits"]
    header["network"]["events"] = False
    write(path, header | {"version": 3}, tensors)
    for _ in range(3):
        assert file_header(load(path)) == file_header(artifact)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: version 3 of the format has no checksum, so damage may go unnoticed; renew it: "
        f"spikeloom info --renew {path}"
    ]
    save(load(path), path)
    caplog.clear()
    load(path)
    assert not caplog.records


def test_the_checksum_is_what_the_documentation_says(path):
    header, tensors = read(path)
    recorded = header.pop("sha256")
    described = {}
    for name, value in tensors.items():
        described[name] = [value.dtype.name, list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
    text = json.dumps({"tensors": described, "header": header}, sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == recorded


def test_same_artifact_same_bytes(artifact, path, tmp_path):
    save(load(path), tmp_path / "b.spikeloom")
    assert path.read_bytes() == (tmp_path / "b.spikeloom").read_bytes()


def test_saving_replaces_the_file_and_leaves_nothing_else(artifact, path):
    save(random_artifact(NETWORK, 8, seed=2), path)
    assert load(path).weight_bits == 8
    assert [entry.name for entry in path.parent.iterdir()] == ["a.spikeloom"]
