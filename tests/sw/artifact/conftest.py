"""An artifact and a file of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from golden.random_artifact import random_artifact
from sw.artifact.artifact import Artifact
from sw.artifact.file import save
from tests.sw.artifact.files import NETWORK


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    made = random_artifact(NETWORK, 4, seed=1)
    return dataclasses.replace(
        made,
        class_names=("shirt", "coat", "Schläppchen"),
        accuracy={"float": {"correct": 3, "images": 4}},
        provenance={"seed": 1, "versions": {"torch": "2"}},
    )


@pytest.fixture
def path(artifact, tmp_path) -> Path:
    save(artifact, tmp_path / "a.spikeloom")
    return tmp_path / "a.spikeloom"
