"""Written, read by NIR, imported: the same artifact, in every integer and field."""

from __future__ import annotations

import dataclasses
import json

import nir
import pytest

from spikeloom.commands.common import MODEL
from sw.artifact.file import encode, load, save
from sw.formats.nir.read import read_nir
from sw.formats.nir.write import write_nir
from sw.tensor_file import CHECKSUM


def test_the_same_artifact_comes_back_with_every_option(each_artifact, tmp_path):
    path = tmp_path / "a.nir"
    write_nir(each_artifact, path)
    back, exported = read_nir(path)
    assert exported
    assert encode(back)[0] == encode(each_artifact)[0]  # the header, with the checksum over it and the tensors


@pytest.mark.parametrize("name", ["fashion-2-64", "cifar10-2-128"])
def test_trained_models_come_back_to_the_byte(name, tmp_path):
    artifact = load(MODEL.with_name(f"{name}.spikeloom"))
    write_nir(artifact, tmp_path / "a.nir")
    back, exported = read_nir(tmp_path / "a.nir")
    assert exported and back.accuracy == artifact.accuracy
    for which, value in (("before", artifact), ("after", back)):
        save(value, tmp_path / f"{which}.spikeloom")
    assert (tmp_path / "before.spikeloom").read_bytes() == (tmp_path / "after.spikeloom").read_bytes()


def test_a_file_that_nir_read_and_wrote_again_is_the_same(artifact, tmp_path):
    write_nir(artifact, tmp_path / "a.nir")
    nir.write(tmp_path / "b.nir", nir.read(tmp_path / "a.nir"))
    back, exported = read_nir(tmp_path / "b.nir")
    assert exported and encode(back)[0] == encode(artifact)[0]


def test_the_same_artifact_gives_the_same_bytes(artifact, tmp_path):
    for name in ("a.nir", "b.nir"):
        write_nir(artifact, tmp_path / name)
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()


def test_numbers_that_were_changed_are_read_without_the_accuracies_of_others(artifact, tmp_path):
    measured = dataclasses.replace(artifact, accuracy={"golden": {"correct": 1, "images": 2, "image_set": "some"}})
    write_nir(measured, tmp_path / "a.nir")
    graph = nir.read(tmp_path / "a.nir")
    graph.nodes["conv1"].weight[0, 0, 0, 0] = 5
    graph.nodes["block0.q"].bias[1] += 0.25
    graph.nodes["rpe.neuron"].v_threshold[2] += 1
    nir.write(tmp_path / "b.nir", graph)
    back, exported = read_nir(tmp_path / "b.nir")
    assert not exported and back.accuracy == {}
    checksum = json.loads(encode(measured)[0])[CHECKSUM]
    assert back.provenance == {"made_by": "spikeloom import", "nir": "b.nir", "changed_from": checksum}
    assert back.tensors["conv1"].weight[0, 0, 0, 0] == 5
    assert back.tensors["block0.q"].bias[1] == artifact.tensors["block0.q"].bias[1] + 4
    assert back.tensors["rpe"].threshold[2] == artifact.tensors["rpe"].threshold[2] + 256
    for layer in ("conv0", "head"):
        assert (back.tensors[layer].weight == artifact.tensors[layer].weight).all()
