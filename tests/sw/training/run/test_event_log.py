"""TensorBoard's logs hold what the CSV log holds, epoch by epoch, however often a run was stopped."""

from __future__ import annotations

import csv
import shutil
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

import sw.training.trainer
from spikeloom import cli
from sw.data.samples import load_sample
from sw.model.spikformer import Trace
from sw.training.evaluation import firing_rates
from sw.training.run.event_log import RATE_IMAGES, SCALARS, EventLog
from sw.training.trainer import Trainer, TrainingStopped
from tests.sw.training.event_files import curves, read_events
from tests.sw.training.two_processes import RECIPE, sample, stop_at_a_batch

EPOCHS = 3

TOML = """
name = "small"
data = "mnist"
weight_bits = 4
batch_size = 20
precision = "fp32"
network = {embed_dim = 16, depth = 1, heads = 2, timesteps = 1}
float_phase = {epochs = 1, learning_rate = 1e-3}
quantised_phase = {epochs = 1, learning_rate = 1e-4}
"""


@pytest.fixture(autouse=True)
def plain_neurons(monkeypatch):
    """Compiling takes longer than these runs."""
    monkeypatch.setattr(sw.training.trainer, "compile_neurons", lambda: False)


def train(folder: Path, *, log: bool = True, **options) -> Trainer:
    images = sample()
    with EventLog(folder, RECIPE, images) as events:
        trainer = Trainer(
            RECIPE, images, images, folder, resume=True, on_epoch=events.epoch if log else None, **options
        )
        trainer.run()
    return trainer


def stop(folder: Path, **options) -> None:
    """Train until Ctrl-C in the second epoch."""
    with pytest.MonkeyPatch.context() as patch:
        stop_at_a_batch(patch)
        with pytest.raises(TrainingStopped):
            train(folder, **options)


def of_the_log(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Curves as ``log.csv`` has them; event files hold fp32."""
    expected = defaultdict(list)
    with (folder / "log.csv").open() as file:
        for step, row in enumerate(csv.DictReader(file), 1):
            for name in SCALARS:
                if row[name]:
                    expected[f"{name}/{row['phase']}"].append((step, float(np.float32(row[name]))))
    assert len(expected) == 2 * len(SCALARS)
    return dict(expected)


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    return {tag: curve for tag, curve in curves(folder).items() if tag.split("/")[0] in SCALARS}


def test_curves_are_those_of_the_log_and_the_model_is_the_same_as_without(tmp_path):
    trainer = train(tmp_path / "run")
    assert logged(tmp_path / "run") == of_the_log(tmp_path / "run")
    plain = train(tmp_path / "plain", log=False).model.state_dict()
    assert all(torch.equal(plain[name], value) for name, value in trainer.model.state_dict().items())
    assert not list((tmp_path / "plain").glob("events*"))

    events = read_events(tmp_path / "run")
    (text,) = events.Tensors("recipe/text_summary")
    shown = text.tensor_proto.string_val[0].decode()
    assert all(f"{key} = {value!r}" in shown for key, value in RECIPE.to_dict().items())
    images = sample()
    rates = firing_rates(trainer.model, sw.training.trainer.data_set("small").encode(images.images), 1 / 64)
    for layer, rate in rates.items():
        curve = events.Scalars(f"firing_rate/{layer}")
        assert [event.step for event in curve] == [1, 2, 3] and curve[-1].value == np.float32(rate)
    for layer in RECIPE.network.layers():
        if layer.has_weights:
            *_, last = events.Histograms(f"weights/{layer.name}")
            module = trainer.model.get_submodule(layer.name)
            weights = getattr(module, "weights", module).weight
            found = last.histogram_value
            assert (last.step, found.num) == (EPOCHS, weights.numel())
            assert (found.min, found.max) == (weights.min().item(), weights.max().item())


def test_firing_rates_are_means_of_the_traced_spikes(tmp_path):
    trainer, images = train(tmp_path, log=False), sample()
    encoded, trace = sw.training.trainer.data_set("small").encode(images.images), Trace()
    with torch.no_grad():
        trainer.model(encoded.float() / 64, trace)
    rates = firing_rates(trainer.model, encoded, 1 / 64)
    assert rates == {name: pytest.approx(spikes.float().mean().item()) for name, spikes in trace.spikes.items()}
    assert len(rates) == sum(layer.kind != "head" for layer in RECIPE.network.layers()) and max(rates.values()) > 0
    assert len(images) <= RATE_IMAGES


def test_a_resumed_run_goes_on_with_its_curves(tmp_path):
    stop(tmp_path)
    assert [step for step, _ in logged(tmp_path)["train_loss/float"]] == [1]
    train(tmp_path)
    assert logged(tmp_path) == of_the_log(tmp_path)
    assert len(read_events(tmp_path).Tensors("recipe/text_summary")) == 1


def test_epochs_that_a_crash_took_back_are_not_there_twice(tmp_path):
    stop(tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "checkpoint")
    train(tmp_path / "run")
    shutil.copy(tmp_path / "checkpoint" / "checkpoint.pt", tmp_path / "run")
    speeds = logged(tmp_path / "run")["images_per_s/float"]
    train(tmp_path / "run")
    found = logged(tmp_path / "run")
    assert found == of_the_log(tmp_path / "run")
    assert found["images_per_s/float"] != speeds, "the second epoch ran again, and is the newer one"
    assert [event.step for event in read_events(tmp_path / "run").Histograms("weights/rpe")] == [1, 2, 3]


def test_epochs_that_ran_without_a_log_are_added(tmp_path):
    stop(tmp_path, log=False)
    assert not list(tmp_path.glob("events*"))
    train(tmp_path)
    assert logged(tmp_path) == of_the_log(tmp_path)


def test_only_evaluated_epochs_have_rates(tmp_path):
    train(tmp_path, evaluate_every=2)
    assert logged(tmp_path) == of_the_log(tmp_path)
    assert [step for step, _ in curves(tmp_path)["firing_rate/conv0"]] == [2, 3]


def test_the_command_logs_into_the_folder_of_its_run(monkeypatch, tmp_path):
    images = load_sample("mnist").first(40)
    monkeypatch.setattr("sw.data.sets.load", lambda *_, **__: images)
    recipe, out = tmp_path / "small.toml", tmp_path / "run"
    recipe.write_text(TOML)
    assert cli.run(["train", str(recipe), "--out", str(out), "--tensorboard", "--no-export"]) == 0
    assert logged(out) == of_the_log(out)


@pytest.mark.parametrize("command", ["train", "study"])
def test_without_tensorboard_the_extra_is_named_before_any_work(command, capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setattr("sw.data.sets.load", lambda *_, **__: pytest.fail("data were read"))
    recipe = "recipes/fashion-2-64.toml" if command == "train" else "recipes/studies/fashion-2-64.toml"
    assert cli.run([command, recipe, "--tensorboard", "--out", str(tmp_path / "run")]) == cli.EXIT_MENDABLE
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("spikeloom: TensorBoard is not installed, but --tensorboard writes its logs (")
    assert line.endswith("pip install --constraint constraints.txt --editable '.[tensorboard]'")
    assert not list(tmp_path.iterdir())
