"""A small network as a file, and images for it."""

from __future__ import annotations

import numpy as np
import pytest

from golden.random_artifact import random_artifact, random_images
from sw.artifact.file import save
from tests.spikeloom.command_line import NETWORK


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "random.spikeloom"
    save(random_artifact(NETWORK, 4, seed=7), path)
    return path


@pytest.fixture
def images(tmp_path):
    path = tmp_path / "images.npz"
    np.savez(path, images=random_images(NETWORK, 3, seed=8).numpy(), labels=np.array([0, 1, 2]))
    return path
