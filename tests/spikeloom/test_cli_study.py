"""`spikeloom study`: variants are trained once, go on where they stopped, and stand side by side in the end."""

from __future__ import annotations

import json
import signal

import pytest
import torch

import sw.training.batches
from spikeloom import cli
from sw.artifact.file import load
from sw.data.samples import load_sample
from tests.sw.training.event_files import curves

RECIPE = """
name = "small"
data = "mnist"
weight_bits = 4
batch_size = 20
precision = "fp32"
network = {embed_dim = 16, depth = 1, heads = 2, timesteps = 2}
float_phase = {epochs = 1, learning_rate = 1e-3}
quantised_phase = {epochs = 1, learning_rate = 1e-4}
"""

STUDY = """
recipe = "small.toml"
variants.add = {}
variants.iand.network.residual_mode = "iand"
"""

STEPS = 6
"""Training steps of a variant: two epochs of three batches."""


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of two variants on the committed sample, and the list of training steps taken since."""
    whole = load_sample("mnist")
    sample = whole.first(60)
    monkeypatch.setattr("sw.data.sets.load", lambda *_, **__: sample)
    monkeypatch.setattr("spikeloom.commands.models.study.BREVITAS_IMAGES", 20)
    monkeypatch.setattr("sw.training.trainer.compile_neurons", lambda: False)
    steps = []
    augment = sw.training.batches.augment

    def counted(*arguments):
        steps.append(None)
        return augment(*arguments)

    monkeypatch.setattr(sw.training.batches, "augment", counted)
    (tmp_path / "small.toml").write_text(RECIPE)
    (tmp_path / "residuals.toml").write_text(STUDY)
    return steps


def run(tmp_path, *options, study="residuals", out="out") -> int:
    return cli.run(["study", str(tmp_path / f"{study}.toml"), "--out", str(tmp_path / out), "--config", "tiny",
                    "--images", "50", *options])  # fmt: skip


def refused(capsys, tmp_path) -> str:
    capsys.readouterr()
    assert run(tmp_path) == cli.EXIT_MENDABLE
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("spikeloom: "))
    return line


def test_variants_are_trained_exported_and_compared_once(capsys, tmp_path, study):
    out = tmp_path / "out"
    assert run(tmp_path) == 0
    assert len(study) == 2 * STEPS
    shown = capsys.readouterr().out
    assert "variant 2 of 2, iand: training" in shown
    figures = json.loads((out / "codesign.json").read_text())
    assert [(row["name"], row["residual_mode"]) for row in figures["variants"]] == [("add", "add"), ("iand", "iand")]
    assert all(
        row["images"] == 50 and row["cycles"] and row["image_set"] == "mnist sample" for row in figures["variants"]
    )
    assert (out / "codesign.png").read_bytes().startswith(b"\x89PNG")
    artifact = load(out / "iand" / "iand.spikeloom")
    assert artifact.provenance["command"] == f"spikeloom study {tmp_path / 'residuals.toml'}, variant iand"
    assert artifact.provenance["recipe"]["network.residual_mode"] == "iand"
    assert artifact.accuracy["brevitas"]["images"] == 20 and artifact.accuracy["golden"]["images"] == 60
    assert {entry["image_set"] for entry in artifact.accuracy.values()} == {"mnist sample"}

    study.clear()
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert run(tmp_path) == 0
    assert not study and {path: path.read_bytes() for path in before} == before
    assert "variant 2 of 2, iand: finished" in capsys.readouterr().out

    # A new variant is trained beside the finished ones; an artifact that is gone is exported again.
    (out / "add" / "add.spikeloom").unlink()
    (tmp_path / "residuals.toml").write_text(STUDY + 'variants.if.network.neuron = "if"')
    assert run(tmp_path) == 0
    assert len(study) == STEPS
    assert (out / "add" / "add.spikeloom").read_bytes() == before[out / "add" / "add.spikeloom"]
    rows = json.loads((out / "codesign.json").read_text())["variants"]
    assert [row["name"] for row in rows] == ["add", "iand", "if"]
    assert rows[2]["neuron"] == "if" and rows[2]["cycles"] is None and rows[2]["accuracy"] is not None
    assert "if does not fit tiny: the network's neurons do not leak" in " ".join(capsys.readouterr().out.split())

    # Changed settings are refused by name before anything is trained.
    study.clear()
    (tmp_path / "residuals.toml").write_text(
        STUDY.replace('"iand"', '"clamp"') + "variants.a.seed = 9\nvariants.b.seed = 8"
    )
    line = refused(capsys, tmp_path)
    assert "variant iand: checkpoint" in line and "network.residual_mode 'iand' -> 'clamp'" in line
    assert line.endswith("use another output folder") and not study


def test_more_images_than_there_are_is_said_before_anything_is_trained(capsys, tmp_path, study):
    code = cli.run(["study", str(tmp_path / "residuals.toml"), "--out", str(tmp_path / "out"), "--images", "61"])
    assert code == cli.EXIT_MENDABLE and not study
    assert "61 images were asked for, there are 60 of mnist sample: ask for at most so many" in capsys.readouterr().err


def test_an_interrupted_study_goes_on(capsys, tmp_path, monkeypatch, study):
    counted = sw.training.batches.augment

    def interrupted(*arguments):
        if len(study) == STEPS + 1:
            signal.raise_signal(signal.SIGINT)
        return counted(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(sw.training.batches, "augment", interrupted)
        line = refused(capsys, tmp_path)
    assert "stopped; the checkpoint is" in line and "iand" in line
    assert len(study) == STEPS + 2 and (tmp_path / "out" / "add" / "add.spikeloom").is_file()
    assert run(tmp_path) == 0
    assert len(study) == 2 * STEPS


def test_variants_of_one_float_phase_train_it_once(capsys, tmp_path, study):
    bits = "variants.eight.weight_bits = 8\nvariants.longer.quantised_phase.epochs = 2"
    (tmp_path / "residuals.toml").write_text("recipe = 'small.toml'\nvariants.four = {}\n" + bits)
    assert run(tmp_path, "--tensorboard") == 0
    assert len(study) == STEPS + STEPS // 2 + STEPS  # eight its quantised epoch, longer its two
    assert capsys.readouterr().out.count("its float phase is that of four") == 2
    out = tmp_path / "out"
    assert (out / "eight" / "log.csv").read_text().count("float,1,") == 1
    shared, own = (curves(out / "eight")[f"train_loss/{phase}"] for phase in ("float", "quantised"))
    assert shared == curves(out / "four")["train_loss/float"] and [step for step, _ in shared + own] == [1, 2]
    (tmp_path / "alone.toml").write_text("recipe = 'small.toml'\nvariants.eight.weight_bits = 8")
    assert run(tmp_path, study="alone", out="alone") == 0
    assert capsys.readouterr().out.count("its float phase") == 0
    shared, whole = (torch.load(folder / "eight" / "quantised.pt") for folder in (out, tmp_path / "alone"))
    assert shared.keys() == whole.keys() and all(torch.equal(shared[name], whole[name]) for name in whole)


def test_an_artifact_without_its_run_is_replaced(tmp_path, study):
    (tmp_path / "residuals.toml").write_text("recipe = 'small.toml'\nvariants.add = {}")
    stale = tmp_path / "out" / "add" / "add.spikeloom"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of a run whose folder was emptied")
    assert run(tmp_path) == 0
    assert load(stale).provenance["recipe"]["name"] == "add"


def test_several_processes_are_refused(capsys, tmp_path, monkeypatch, study):
    from sw.training.processes import Processes

    monkeypatch.setattr(Processes, "start", classmethod(lambda cls, device: cls("cpu", 0, 2)))
    assert "a study trains in one process, not 2: call it without torchrun" in refused(capsys, tmp_path)
    assert not study
