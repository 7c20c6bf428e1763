"""`spikeloom train` and `export`: recipes, runs, artifacts."""

from __future__ import annotations

from spikeloom import cli
from sw.artifact.file import load
from sw.checkout import ROOT
from sw.data.samples import load_sample
from tests.spikeloom.command_line import refused


def test_training_needs_a_recipe(capsys, tmp_path):
    assert "cannot be read" in refused(capsys, "train", tmp_path / "none.toml")
    path = tmp_path / "recipe.toml"
    path.write_text("name = 1")
    assert "recipe" in refused(capsys, "train", path)


def test_export_needs_a_finished_run(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("sw.data.sets.load", lambda *_, **__: None)
    line = refused(capsys, "export", ROOT / "recipes" / "fashion-2-64.toml", "--run", tmp_path)
    assert "finish the training run first" in line
    assert not list(tmp_path.iterdir())


RECIPE = """
name = "small"
data = "mnist"
weight_bits = 4
batch_size = 100
precision = "fp32"
seed = 5

[network]
embed_dim = 16
depth = 1
heads = 2
timesteps = 2

[float_phase]
epochs = 1
learning_rate = 1e-3

[quantised_phase]
epochs = 1
learning_rate = 1e-4
"""


def test_training_ends_with_an_artifact(capsys, tmp_path, monkeypatch):
    sample = load_sample("mnist")
    monkeypatch.setattr("sw.data.sets.load", lambda *_, **__: sample)
    monkeypatch.setattr("sw.training.trainer.compile_neurons", lambda: False)
    recipe, out = tmp_path / "small.toml", tmp_path / "run"
    recipe.write_text(RECIPE)
    assert cli.run(["train", str(recipe), "--out", str(out)]) == 0
    artifact = load(out / "small.spikeloom")
    assert set(artifact.accuracy) == {"float", "quantised", "brevitas", "golden"}
    assert artifact.accuracy["golden"] == artifact.accuracy["brevitas"]
    assert {(entry["images"], entry["image_set"]) for entry in artifact.accuracy.values()} == {(300, "mnist sample")}
    assert artifact.provenance["command"] == f"spikeloom train {recipe}"
    assert artifact.provenance["seed"] == 5 and len(artifact.provenance["log"]) == 2
    assert {path.name for path in out.iterdir()} == {
        "checkpoint.pt", "log.csv", "curve.png", "float.pt", "quantised.pt", "small.spikeloom"
    }  # fmt: skip
    capsys.readouterr()
    assert "already holds a training run" in refused(capsys, "train", recipe, "--out", out)

    again = tmp_path / "again.spikeloom"
    assert cli.run(["export", str(recipe), "--run", str(out), "--out", str(again)]) == 0
    assert again.read_bytes() == (out / "small.spikeloom").read_bytes()

    continued = RECIPE.replace("[network]", f'start = "{again}"\n\n[network]')
    recipe.write_text(continued.replace("[float_phase]\nepochs = 1\nlearning_rate = 1e-3\n", ""))
    assert cli.run(["train", str(recipe), "--out", str(tmp_path / "more")]) == 0
    artifact = load(tmp_path / "more" / "small.spikeloom")
    assert set(artifact.accuracy) == {"quantised", "brevitas", "golden"} and len(artifact.provenance["log"]) == 1
    assert artifact.provenance["recipe"]["start"] == str(again)
    recipe.write_text(RECIPE)

    (out / "quantised.pt").write_bytes((out / "quantised.pt").read_bytes()[:1000])
    capsys.readouterr()
    assert "does not hold this recipe's model" in refused(
        capsys, "export", recipe, "--run", out, "--out", tmp_path / "third.spikeloom"
    )
    assert not (tmp_path / "third.spikeloom").exists()
