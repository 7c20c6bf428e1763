"""Training runs: exact continuation, refusals and records, on a tiny network and the committed sample."""

from __future__ import annotations

import csv
import dataclasses
import io
import signal

import pytest
import torch

import sw.training.batches
import sw.training.trainer
from sw.data import sets as data
from sw.data.samples import load_sample
from sw.data.sets import ImageSet
from sw.errors import UserError
from sw.model.spikformer import Spikformer
from sw.network import NetworkConfig
from sw.training.phases import QuantisedPhase
from sw.training.recipe import Augmentation, Distillation, Phase, Recipe
from sw.training.run.checkpoint import Progress
from sw.training.run.log import COLUMNS
from sw.training.teachers.whitened import WhitenedTeacher
from sw.training.trainer import Trainer, TrainingStopped

RECIPE = Recipe(
    name="tiny",
    data="tiny",
    weight_bits=4,
    batch_size=10,
    network=NetworkConfig(image_size=8, image_channels=1, classes=10, embed_dim=16, depth=1, heads=2, timesteps=2),
    float_phase=Phase(
        epochs=2,
        learning_rate=3e-3,
        warmup_epochs=0.5,
        single_step_epochs=1,
        augmentation=Augmentation(shift=2, flip=True, erase=0.5),
    ),
    quantised_phase=Phase(epochs=2, learning_rate=1e-3, freeze_norm_epochs=1),
)


@pytest.fixture(autouse=True)
def plain_neurons(monkeypatch):
    """Compiling takes longer than these runs."""
    monkeypatch.setattr(sw.training.trainer, "compile_neurons", lambda: False)


@pytest.fixture(autouse=True)
def sample(monkeypatch) -> ImageSet:
    """A data set of 40 images of 8x8 pixels: the middles of the sample's."""
    small = dataclasses.replace(data.data_set("fashion-mnist"), name="tiny", image_size=8)
    monkeypatch.setitem(data.DATA_SETS, "tiny", small)
    chosen = slice(0, 300, 8)
    everything = load_sample("fashion-mnist")
    return ImageSet(
        images=everything.images[chosen, :, 6:22:2, 6:22:2].contiguous(),
        labels=everything.labels[chosen],
        indices=everything.indices[chosen],
    )


def stop_after(monkeypatch, steps: int) -> None:
    """Deliver Ctrl-C in the middle of a step."""
    original, calls = sw.training.batches.augment, []

    def interrupted(*arguments):
        calls.append(None)
        if len(calls) == steps:
            signal.raise_signal(signal.SIGINT)
        return original(*arguments)

    monkeypatch.setattr(sw.training.batches, "augment", interrupted)


@pytest.mark.parametrize("steps", [1, 3, 5, 6, 8, 12])
def test_stopped_run_continues_to_the_same_weights(tmp_path, monkeypatch, sample, steps):
    expected = Trainer(RECIPE, sample, sample, tmp_path / "whole").run().state_dict()
    with monkeypatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises(TrainingStopped, match="resume to continue"):
            Trainer(RECIPE, sample, sample, tmp_path / "parts").run()
    resumed = Trainer(RECIPE, sample, sample, tmp_path / "parts", resume=True)
    assert resumed.progress.rows != [] or steps < 3
    actual = resumed.run().state_dict()
    assert actual.keys() == expected.keys()
    assert all(torch.equal(actual[name], expected[name]) for name in expected)


def test_run_leaves_its_records(tmp_path, sample):
    Trainer(RECIPE, sample, sample, tmp_path).run()
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["phase"], row["epoch"], row["timesteps"]) for row in rows] == [
        ("float", "1", "1"), ("float", "2", "2"), ("quantised", "1", "2"), ("quantised", "2", "2"),
    ]  # fmt: skip
    assert {(row["train_images"], row["test_images"]) for row in rows} == {("30", "38")}
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {
        "checkpoint.pt", "curve.png", "float.pt", "log.csv", "quantised.pt",
    }  # fmt: skip


def test_finished_run_resumes_to_its_model(tmp_path, sample):
    model = Trainer(RECIPE, sample, sample, tmp_path).run()
    again = Trainer(RECIPE, sample, sample, tmp_path, resume=True).run()
    assert all(torch.equal(again.state_dict()[name], value) for name, value in model.state_dict().items())


def test_quantised_phase_begins_with_the_float_weights(tmp_path, sample):
    trainer = Trainer(RECIPE, sample, sample, tmp_path)
    trainer.run()
    float_state = torch.load(tmp_path / "float.pt", weights_only=True)
    model = QuantisedPhase(RECIPE, Spikformer).from_float(float_state)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in float_state.items())


def test_single_step_epochs_train_and_evaluate_a_single_step(tmp_path, sample):
    measured = ("train_loss", "train_accuracy", "test_accuracy")

    def rows(name: str, single: int, **network) -> list[list[object]]:
        recipe = dataclasses.replace(
            RECIPE,
            network=dataclasses.replace(RECIPE.network, **network),
            float_phase=dataclasses.replace(RECIPE.float_phase, single_step_epochs=single),
        )
        trainer = Trainer(recipe, sample, sample, tmp_path / name)
        trainer.run()
        assert isinstance(trainer.model, Spikformer) and trainer.model.config == recipe.network
        return [[row[key] for key in measured] for row in trainer.progress.rows]

    changing, plain = rows("changing", 1), rows("plain", 0)
    single = rows("single", 0, timesteps=1, neuron="if")
    assert changing[0] == single[0] != plain[0]
    assert changing[1] != single[1]


def test_frozen_norms_keep_their_statistics(tmp_path, sample):
    phase = dataclasses.replace(RECIPE.quantised_phase, freeze_norm_epochs=2)
    trainer = Trainer(dataclasses.replace(RECIPE, quantised_phase=phase), sample, sample, tmp_path)
    trained = trainer.run().state_dict()
    float_state = torch.load(tmp_path / "float.pt", weights_only=True)
    statistics = [name for name in float_state if "running" in name]
    assert statistics
    assert all(torch.equal(trained[name], float_state[name]) for name in statistics)


def test_other_settings_are_refused_by_name(tmp_path, monkeypatch, sample):
    stop_after(monkeypatch, 1)
    with pytest.raises(TrainingStopped):
        Trainer(RECIPE, sample, sample, tmp_path).run()
    other = dataclasses.replace(RECIPE, seed=2, network=dataclasses.replace(RECIPE.network, heads=4))
    with pytest.raises(UserError, match=r"other settings \(network.heads 2 -> 4, seed 1 -> 2\); use another"):
        Trainer(other, sample, sample, tmp_path, resume=True)


def test_a_run_is_not_overwritten(tmp_path, sample):
    (tmp_path / "checkpoint.pt").write_bytes(b"precious")
    with pytest.raises(UserError, match="already holds a training run; resume it, or choose another output folder"):
        Trainer(RECIPE, sample, sample, tmp_path)


def test_damaged_checkpoint_is_refused(tmp_path, sample):
    (tmp_path / "checkpoint.pt").write_bytes(b"damaged")
    with pytest.raises(UserError, match="cannot be read"):
        Trainer(RECIPE, sample, sample, tmp_path, resume=True)


def test_a_checkpoint_of_something_else_is_refused_in_a_line(tmp_path, sample, monkeypatch):
    stop_after(monkeypatch, 1)
    with pytest.raises(TrainingStopped):
        Trainer(RECIPE, sample, sample, tmp_path).run()
    whole = (tmp_path / "checkpoint.pt").read_bytes()
    foreign, other = "is of something else than a run; start over in another folder$", "made with other settings"
    for change, message in (
        (lambda content: content["model"].popitem(), "does not hold the Spikformer of this run; start over in another"),
        (
            lambda content: content["model"].update(dict.fromkeys(map(str, range(9999)), torch.ones(1))),
            "the Spikformer",
        ),
        (lambda content: content["optimiser"]["param_groups"].pop(), "does not hold the AdamW of this run; start over"),
        (lambda content: content["optimiser"].update(param_groups=[1]), foreign),
        (lambda content: content.pop("model"), foreign),
        (lambda content: content.update(settings=[1]), foreign),
        (lambda content: content["progress"].update(epoch="1"), foreign),
        (lambda content: content["progress"].update(step=-1), foreign),
        (lambda content: content["settings"].update(name="x" * 9999), other),
        (
            lambda content: content["settings"].update(dict.fromkeys(map(str, range(9999)), 1)),
            f"{other}.* and 99.. more",
        ),
    ):
        content = torch.load(io.BytesIO(whole))
        change(content)
        torch.save(content, tmp_path / "checkpoint.pt")
        with pytest.raises(UserError, match=message) as refused:
            Trainer(RECIPE, sample, sample, tmp_path, resume=True)
        assert len(str(refused.value).replace(str(tmp_path), "")) < 300


def test_a_finished_phase_that_is_missing_or_damaged_is_told(tmp_path, sample):
    begin = Progress(phase=1)
    with pytest.raises(UserError, match=r"float\.pt cannot be read \(FileNotFoundError\); start over"):
        Trainer(RECIPE, sample, sample, tmp_path, begin=begin)
    (tmp_path / "float.pt").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"float\.pt cannot be read \(\w+\); start over"):
        Trainer(RECIPE, sample, sample, tmp_path, begin=begin)


def test_numbers_that_are_not_finite_stop_the_run(tmp_path, monkeypatch, sample):
    original = sw.training.batches.augment
    monkeypatch.setattr(sw.training.batches, "augment", lambda *arguments: original(*arguments) * float("nan"))
    with pytest.raises(UserError, match="not finite in float epoch 1, step 1; the last good checkpoint is"):
        Trainer(RECIPE, sample, sample, tmp_path).run()


@pytest.mark.parametrize(("network", "optimiser"), [("residual", "adamw"), ("whitened", "sgd")])
def test_a_teacher_comes_first_and_a_stopped_run_with_one_continues(tmp_path, monkeypatch, sample, network, optimiser):
    teacher = Distillation(
        network=network, width=8, weight=0.5, temperature=2.0, optimiser=optimiser, weight_decay=1e-3,
        phase=Phase(epochs=1, learning_rate=1e-2),
    )  # fmt: skip
    recipe = dataclasses.replace(RECIPE, teacher=teacher)
    expected = Trainer(recipe, sample, sample, tmp_path / "whole").run().state_dict()
    with (tmp_path / "whole" / "log.csv").open() as file:
        assert [row["phase"] for row in csv.DictReader(file)] == ["teacher", *["float"] * 2, *["quantised"] * 2]
    with monkeypatch.context() as patch:
        for stop in (2, 2):  # once in the teacher's phase, once in its student's
            stop_after(patch, stop)
            with pytest.raises(TrainingStopped):
                Trainer(recipe, sample, sample, tmp_path / "parts", resume=True).run()
            patch.undo()
            patch.setattr(sw.training.trainer, "compile_neurons", lambda: False)
    actual = Trainer(recipe, sample, sample, tmp_path / "parts", resume=True).run().state_dict()
    assert all(torch.equal(actual[name], expected[name]) for name in expected)


def test_a_trained_teacher_is_read_and_not_trained(tmp_path, sample):
    teacher = Distillation(
        network="whitened", width=8, weight=0.5, temperature=2.0, optimiser="sgd", weight_decay=1e-3,
        phase=Phase(epochs=1, learning_rate=1e-2), trained=str(tmp_path / "teacher.pt"),
    )  # fmt: skip
    recipe = dataclasses.replace(RECIPE, teacher=teacher)
    with pytest.raises(UserError, match=r"teacher\.trained .*teacher\.pt does not exist; train a teacher, or leave"):
        Trainer(recipe, sample, sample, tmp_path / "none").run()
    trained = WhitenedTeacher(1, 10, 8).state_dict()
    torch.save(trained, tmp_path / "teacher.pt")
    trainer = Trainer(recipe, sample, sample, tmp_path / "run")
    found = trainer._phase.teacher(trainer._folder)
    assert found is not None and not found[0].training
    assert all(torch.equal(value, trained[name]) for name, value in found[0].state_dict().items())
    trainer.run()
    assert [row["phase"] for row in trainer.progress.rows] == [*["float"] * 2, *["quantised"] * 2]


def test_only_some_epochs_are_evaluated_and_the_last_of_a_phase_always(tmp_path, sample):
    recipe = dataclasses.replace(RECIPE, float_phase=dataclasses.replace(RECIPE.float_phase, epochs=3))
    Trainer(recipe, sample, sample, tmp_path, evaluate_every=2).run()
    with (tmp_path / "log.csv").open() as file:
        evaluated = [bool(row["test_accuracy"]) for row in csv.DictReader(file)]
    assert evaluated == [False, True, True, False, True]


def test_too_little_memory_names_a_batch_that_may_fit(tmp_path, monkeypatch, sample):
    def exhausted(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(sw.training.trainer.TrainStep, "_learn", exhausted)
    with pytest.raises(UserError, match="cpu has too little memory for batch_size 10; use 5, or more processes"):
        Trainer(RECIPE, sample, sample, tmp_path).run()
