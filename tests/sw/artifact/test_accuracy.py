"""Every accuracy that an artifact holds is of a number of images of a set that has a name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from golden.random_artifact import random_artifact
from spikeloom.commands.models.export import training_command
from sw.artifact.accuracy import UNKNOWN_SET, counts, recorded
from sw.artifact.file import load, save
from sw.checkout import ROOT
from sw.errors import UserError
from sw.network import NetworkConfig

ARTIFACT = random_artifact(
    NetworkConfig(image_size=8, image_channels=1, classes=3, embed_dim=16, depth=1, heads=2), 4, 1
)
OLD = {"golden": {"correct": 2, "images": 3}}


@pytest.mark.parametrize(
    ("model", "brevitas"),
    [
        ("fashion-2-64", ("fashion-mnist test set", 10_000)),
        ("fashion-2-128", ("fashion-mnist test set", 10_000)),
        ("cifar10-2-128", ("cifar10 test set", 256)),
        ("cifar10-4-256", ("cifar10 test set", 256)),
    ],
)
def test_committed_models_say_of_which_images(model, brevitas):
    found = recorded(load(ROOT / "models" / f"{model}.spikeloom"))
    assert (found["brevitas"]["image_set"], found["brevitas"]["images"]) == brevitas
    assert {(found[name]["image_set"], found[name]["images"]) for name in ("float", "quantised", "golden")} == {
        (brevitas[0], 10_000)
    }


def test_the_set_is_kept_in_the_file(tmp_path):
    entry = counts(2, 3, "mine.npz")
    save(dataclasses.replace(ARTIFACT, accuracy={"golden": entry}), tmp_path / "x.spikeloom")
    assert recorded(load(tmp_path / "x.spikeloom")) == {"golden": entry}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("spikeloom train recipes/x.toml", "random test set"),
        ("spikeloom study a b.toml, variant c", "random test set"),
        ("spikeloom trainer", UNKNOWN_SET),
        (None, UNKNOWN_SET),
    ],
)
def test_the_set_of_an_older_artifact_is_that_of_its_run_or_not_known(command, name):
    provenance = {} if command is None else {"command": command}
    old = dataclasses.replace(ARTIFACT, accuracy=OLD, provenance=provenance)
    assert recorded(old) == {"golden": counts(2, 3, name)}


def test_a_set_that_is_no_name_is_refused():
    with pytest.raises(UserError, match="accuracy of golden must name its set of images, not 7; evaluate it again"):
        dataclasses.replace(ARTIFACT, accuracy={"golden": {**OLD["golden"], "image_set": 7}})


def test_a_command_names_its_recipe_where_it_lies(tmp_path, monkeypatch):
    assert training_command(ROOT / "recipes" / "mine.toml") == "spikeloom train recipes/mine.toml"
    assert training_command(ROOT / "recipes" / "studies" / "mine.toml") == "spikeloom train recipes/studies/mine.toml"
    assert training_command(tmp_path / "mine.toml") == f"spikeloom train {tmp_path}/mine.toml"
    assert training_command(tmp_path / "my own.toml") == f"spikeloom train '{tmp_path}/my own.toml'"
    monkeypatch.chdir(tmp_path)
    assert training_command(Path("mine.toml")) == f"spikeloom train {tmp_path}/mine.toml"
