"""Training that begins with an artifact: at first exactly what the artifact does."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sw.training.trainer
from golden.model import GoldenModel
from sw.artifact import file as artifact_file
from sw.artifact.artifact import Artifact
from sw.data.samples import load_sample
from sw.data.sets import data_set
from sw.errors import UserError
from sw.export.fold import export_artifact
from sw.model.quantizers import begin_scales
from sw.model.spikformer import Spikformer
from sw.network import NetworkConfig
from sw.training.recipe import Phase, Recipe
from sw.training.start import DEVIATION, begin_with, load_start
from sw.training.trainer import Trainer

MNIST = data_set("mnist")
NETWORK = NetworkConfig(image_size=28, image_channels=1, classes=10, embed_dim=16, depth=1, heads=2, timesteps=2)
PHASE = Phase(epochs=1, learning_rate=1e-4)
RECIPE = Recipe(
    name="continued", data="mnist", weight_bits=4, batch_size=20, precision="fp32", network=NETWORK,
    quantised_phase=PHASE,
)  # fmt: skip


@pytest.fixture(scope="module")
def images() -> Tensor:
    return MNIST.encode(load_sample("mnist").images[:100]).float() * MNIST.image_scale


@pytest.fixture(scope="module")
def artifact(images) -> Artifact:
    """Of a network whose norms have statistics, and gains of both signs."""
    torch.manual_seed(2)
    model = Spikformer(NETWORK, 4, MNIST.image_scale)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 1.0
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias, 0.5)
    nn.init.normal_(model.head.get_parameter("weight"))
    begin_scales(model)
    with torch.no_grad():
        model.train()(images)
    return export_artifact(model, MNIST)


def begun(artifact: Artifact, images: Tensor, bits: int | None) -> Spikformer:
    model = Spikformer(NETWORK, bits, MNIST.image_scale)
    begin_with(model, artifact, images)
    return model.eval()


@pytest.mark.parametrize("bits", [None, 4])
def test_a_model_says_at_first_what_the_golden_model_does(artifact, images, bits):
    with torch.no_grad():
        logits = begun(artifact, images, bits)(images)
    head, golden = artifact.tensors["head"], GoldenModel(artifact).run(load_sample("mnist").images[:100])
    assert torch.equal(logits.argmax(1), golden.predictions)
    expected = golden.logits.double() / 2**artifact.bias_fraction_bits * torch.tensor(head.scale)
    assert expected.std(0).min() > 0.01
    torch.testing.assert_close(logits.double(), expected, rtol=1e-4, atol=1e-4)


def test_a_quantised_model_exports_to_the_integers_it_began_with(artifact, images):
    again = export_artifact(begun(artifact, images, 4), MNIST)
    for name, old in artifact.tensors.items():
        new = again.tensors[name]
        assert np.array_equal(new.weight, old.weight) and np.array_equal(new.bias, old.bias)
        np.testing.assert_allclose(new.scale, old.scale, rtol=1e-6)
        if old.threshold is not None and new.threshold is not None:
            np.testing.assert_allclose(new.threshold, old.threshold, rtol=1e-6, atol=1)  # rounded up from floats


def test_norms_know_the_statistics_of_what_they_read(artifact, images):
    model = begun(artifact, images, None)
    with torch.no_grad():
        evaluated = model.get_submodule("conv0")(images)
        trained = model.train().get_submodule("conv0")(images)
    assert evaluated.std() > 0.1
    torch.testing.assert_close(trained, evaluated, rtol=1e-3, atol=1e-4)


def test_weights_are_as_large_as_the_optimiser_keeps_them(artifact, images):
    model = begun(artifact, images, None)
    for name in ("conv1.weights.weight", "block0.fc1.weights.weight"):
        channels = model.get_parameter(name).detach().flatten(1).square().mean(1).sqrt()
        torch.testing.assert_close(channels, torch.full_like(channels, DEVIATION))


@pytest.mark.parametrize("float_phase", [None, PHASE])
def test_a_run_begins_with_an_artifact(tmp_path, monkeypatch, artifact, images, float_phase):
    monkeypatch.setattr(sw.training.trainer, "compile_neurons", lambda: False)
    artifact_file.save(artifact, tmp_path / "start.spikeloom")
    recipe = dataclasses.replace(RECIPE, float_phase=float_phase, start=str(tmp_path / "start.spikeloom"))
    sample = load_sample("mnist").first(100)
    trainer = Trainer(recipe, sample, sample, tmp_path / "run")
    expected = begun(artifact, images, None if float_phase else 4)
    with torch.no_grad():
        assert torch.equal(trainer.model.eval()(images), expected(images))
    trainer.run()
    with (tmp_path / "run" / "log.csv").open() as file:
        phases = [row["phase"] for row in csv.DictReader(file)]
    assert phases == (["float", "quantised"] if float_phase else ["quantised"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"data": "fashion-mnist"},
            r"start .*a\.spikeloom classifies mnist, not fashion-mnist; start with an artifact",
        ),
        ({"network": dataclasses.replace(NETWORK, depth=2)}, "start .* has other weights in block1.fc1, block1.fc2"),
        ({"weight_bits": 8}, "start .* has weights of 4 bits, not 8; start with an artifact"),
        ({"start": "none.spikeloom"}, "none.spikeloom"),
    ],
)
def test_an_artifact_that_does_not_fit_is_refused_before_any_work(tmp_path, artifact, change, message):
    artifact_file.save(artifact, tmp_path / "a.spikeloom")
    recipe = dataclasses.replace(RECIPE, **{"start": str(tmp_path / "a.spikeloom")} | change)
    sample = load_sample("mnist").first(20)
    with pytest.raises(UserError, match=message):
        Trainer(recipe, sample, sample, tmp_path / "run")


def test_an_artifact_of_other_time_steps_and_biases_may_be_the_start(tmp_path, artifact, images):
    artifact_file.save(artifact, tmp_path / "a.spikeloom")
    other = dataclasses.replace(NETWORK, timesteps=4, linear_bias="none")
    read = load_start(str(tmp_path / "a.spikeloom"), other, 4, "mnist")
    assert read.network == NETWORK
    model = Spikformer(other, 4, MNIST.image_scale)
    begin_with(model, read, images[:10])
    again = export_artifact(model, MNIST)
    assert all(np.array_equal(again.tensors[name].weight, old.weight) for name, old in artifact.tensors.items())
