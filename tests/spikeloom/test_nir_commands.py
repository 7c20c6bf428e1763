"""`spikeloom export --format nir` and `spikeloom import FILE.nir`."""

from __future__ import annotations

import sys

import nir
import numpy as np
import pytest

from golden.random_artifact import random_artifact
from spikeloom import cli
from spikeloom.commands.common import MODEL
from sw.artifact.file import load, save
from sw.network import NetworkConfig
from tests.spikeloom.command_line import refusal

NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=2, embed_dim=8, depth=1, heads=1)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.spikeloom"
    save(random_artifact(NETWORK, 4, seed=3), path)
    return path


def test_export_and_import_give_the_same_file(capsys, tmp_path):
    graph, back, before = tmp_path / "new" / "graph.nir", tmp_path / "back.spikeloom", tmp_path / "before.spikeloom"
    assert cli.run(["export", str(MODEL), "--format", "nir", "--out", str(graph)]) == 0
    assert capsys.readouterr().out == f"nir: {graph}, {graph.stat().st_size:,} bytes\n"
    assert cli.run(["import", str(graph), "--out", str(back)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{graph}: NIR graph, Spikformer-2-64, 4 heads, T = 4, 28x28x1 to 10 classes (fashion-mnist)",
        "every integer and field as it was exported",
        f"artifact: {back}, {back.stat().st_size:,} bytes",
    ]
    save(load(MODEL), before)
    assert back.read_bytes() == before.read_bytes()


def test_a_file_is_known_by_its_content_and_a_change_is_said(capsys, tmp_path, model):
    written, path, back = tmp_path / "graph.nir", tmp_path / "graph.weights", tmp_path / "back.spikeloom"
    assert cli.run(["export", str(model), "--format", "nir", "--out", str(written)]) == 0
    graph = nir.read(written)
    graph.nodes["rpe"].bias[0] += 1
    nir.write(path, graph)
    capsys.readouterr()
    assert cli.run(["import", str(path), "--out", str(back)]) == 0
    assert "numbers were changed since the export, so its accuracies are not kept\n" in capsys.readouterr().out
    assert load(back).tensors["rpe"].bias[0] == load(model).tensors["rpe"].bias[0] + 16


def test_wrong_files_and_options_are_refused(capsys, tmp_path, model):
    path, back = tmp_path / "graph.nir", tmp_path / "back.spikeloom"
    assert refusal(capsys, "export", model, "--format", "nir") == "--format nir needs --out; name the file to write"
    assert refusal(capsys, "export", tmp_path / "none.spikeloom", "--format", "nir", "--out", path) == (
        f"{tmp_path / 'none.spikeloom'}: cannot read (no such file); give the path of an artifact"
    )
    before = model.read_bytes()
    assert refusal(capsys, "export", model, "--format", "nir", "--out", model) == (
        f"{model}: a NIR file's name ends in .nir, not .spikeloom; rename it"
    )
    assert refusal(capsys, "export", model, "--format", "nir", "--out", path, "--brevitas-images", 3) == (
        "--brevitas-images is of training runs; leave out with --format"
    )
    assert not path.exists() and model.read_bytes() == before
    assert cli.run(["export", str(model), "--format", "nir", "--out", str(path)]) == 0
    capsys.readouterr()
    assert refusal(capsys, "import", path, "--out", back, "--bits", 4, "--heads", 1) == (
        f"{path} is a NIR file, which tells everything: leave out --bits, --heads"
    )
    graph = nir.read(path)
    graph.edges.append(("rpe", "conv0"))
    nir.write(path, graph)
    assert refusal(capsys, "import", path, "--out", back) == (
        f"{path}: edges too many: rpe -> conv0; export it again, or import the checkpoint that it was made of"
    )
    assert not back.exists()


def test_a_network_that_nir_cannot_say_is_refused_with_its_layer(capsys, tmp_path):
    model, path = tmp_path / "before.spikeloom", tmp_path / "graph.nir"
    network = NetworkConfig(**NETWORK.to_dict() | {"pool_order": "before"})
    save(random_artifact(network, 4, seed=3), model)
    line = refusal(capsys, "export", model, "--format", "nir", "--out", path)
    assert line.startswith("conv2: its pool takes the largest of nine currents (pool_order before), ")
    assert not path.exists()


def test_missing_packages_are_named(capsys, tmp_path, model, monkeypatch):
    monkeypatch.delitem(sys.modules, "sw.formats.nir.library", raising=False)
    for module in [name for name in sys.modules if name.startswith("sw.formats.nir")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "nir", None)
    install = "pip install --constraint constraints.txt --editable '.[nir]'"
    expected = f"NIR files need the packages nir and h5py, and nir is not installed: {install}"
    assert refusal(capsys, "export", model, "--format", "nir", "--out", tmp_path / "a.nir") == expected
    (tmp_path / "a.nir").write_bytes(b"\x89HDF\r\n\x1a\n")
    assert refusal(capsys, "import", tmp_path / "a.nir", "--out", tmp_path / "b.spikeloom") == expected
    np.save(tmp_path / "c.pt", np.zeros(1))  # what is no NIR file is read without them
    assert "not a checkpoint of torch.save" in refusal(
        capsys, "import", tmp_path / "c.pt.npy", "--out", tmp_path / "b.spikeloom"
    )
