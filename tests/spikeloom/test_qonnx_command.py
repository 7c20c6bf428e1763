"""`spikeloom export --format qonnx`."""

from __future__ import annotations

import json
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from golden.model import GoldenModel
from golden.random_artifact import random_artifact
from spikeloom import cli
from spikeloom.commands.common import MODEL
from sw.artifact.file import encode, load, save
from sw.data.samples import load_sample
from sw.network import NetworkConfig
from tests.spikeloom.command_line import refusal

NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=2, embed_dim=8, depth=1, heads=1)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.spikeloom"
    save(random_artifact(NETWORK, 4, seed=3), path)
    return path


def test_the_file_classifies_an_image_and_says_what_it_is(capsys, tmp_path):
    path = tmp_path / "new" / "model.onnx"
    assert cli.run(["export", str(MODEL), "--format", "qonnx", "--out", str(path)]) == 0
    assert capsys.readouterr().out == f"qonnx: {path}, {path.stat().st_size:,} bytes\n"
    artifact, image = load(MODEL), load_sample("fashion-mnist").images[:1]
    (logits,) = onnxruntime.InferenceSession(path).run(["logits"], {"image": image.numpy()})
    assert np.array_equal(logits, GoldenModel(artifact).run(image).logits)

    file = onnx.load(path)
    about = {entry.key: entry.value for entry in file.metadata_props}
    assert NetworkConfig(**json.loads(about["network"])) == artifact.network
    assert about["dataset"] == "fashion-mnist" and json.loads(about["class_names"]) == list(artifact.class_names)
    assert json.loads(about["normalisation"]) == {"mean": [0.286], "std": [0.353]}
    assert float(about["logit_scale"]) == artifact.tensors["head"].scale[0] / 2**artifact.bias_fraction_bits
    header = json.loads(encode(artifact)[0])
    assert json.loads(about["artifact"]) == {name: header[name] for name in ("format", "version", "sha256")}
    named = {node.doc_string.split(":")[0] for node in file.graph.node}
    assert named >= {layer.name for layer in artifact.network.layers()}


def test_the_same_artifact_gives_the_same_file(tmp_path, model):
    files = [tmp_path / name for name in ("a.onnx", "b.onnx")]
    for path in files:
        assert cli.run(["export", str(model), "--format", "qonnx", "--out", str(path)]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()


def test_wrong_options_are_refused(capsys, tmp_path, model):
    path = tmp_path / "model.onnx"
    assert refusal(capsys, "export", model, "--format", "qonnx") == "--format qonnx needs --out; name the file to write"
    assert refusal(capsys, "export", tmp_path / "none.spikeloom", "--format", "qonnx", "--out", path) == (
        f"{tmp_path / 'none.spikeloom'}: cannot read (no such file); give the path of an artifact"
    )
    line = refusal(capsys, "export", model, "--format", "qonnx", "--out", path, "--run", tmp_path)
    assert line == "--run is of training runs; leave out with --format"
    before = model.read_bytes()
    assert refusal(capsys, "export", model, "--format", "qonnx", "--out", model) == (
        f"{model}: an ONNX file's name ends in .onnx, not .spikeloom; rename it"
    )
    assert model.read_bytes() == before and not path.exists()


def test_sums_beyond_float32_are_refused_with_their_layer(capsys, tmp_path):
    model, path = tmp_path / "wide.spikeloom", tmp_path / "wide.onnx"
    network = NetworkConfig(
        image_size=4, image_channels=512, classes=2, embed_dim=8, depth=1, heads=1, timesteps=1, event_bits=8
    )
    save(random_artifact(network, 8, seed=3), model)
    line = refusal(capsys, "export", model, "--format", "qonnx", "--out", path)
    assert line.startswith("conv0: its sums reach ") and "holds integers up to 16,777,216; train it with" in line
    assert not path.exists()


def test_a_network_too_large_for_a_file_is_refused(capsys, tmp_path, model, monkeypatch):
    monkeypatch.setattr("sw.formats.qonnx.write.MOST_WEIGHTS", 1000)
    line = refusal(capsys, "export", model, "--format", "qonnx", "--out", tmp_path / "model.onnx")
    assert line.startswith("rpe: its 576 weights, with the others ") and line.endswith("; choose a smaller network")


def test_a_missing_package_is_named(capsys, tmp_path, model, monkeypatch):
    for module in [name for name in sys.modules if name.startswith("sw.formats.qonnx")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert refusal(capsys, "export", model, "--format", "qonnx", "--out", tmp_path / "a.onnx") == (
        "QONNX files need the package onnx, and onnx is not installed: "
        "pip install --constraint constraints.txt --editable '.[onnx]'"
    )
