"""Comparisons of a small random network in RTL, equal and corrupted, as `spikeloom compare` leaves them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from golden.random_artifact import random_artifact, random_images
from hw.named_configs import TINY
from sim.comparison.compare import Comparison
from sim.faults import find_flip
from spikeloom.measure.compare_file import PROVENANCE, provenance, sealed
from spikeloom.report.inputs import Inputs, read_inputs
from sw.artifact.file import save
from sw.compiler.compiler import compile_artifact
from sw.data.sets import ImageSet
from sw.network import NetworkConfig

NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=32, depth=1, heads=2)


def compared(folder: Path, *flips: str) -> Path:
    """Compare two images; the file of figures."""
    artifact = random_artifact(NETWORK, 4, seed=3)
    model = folder / "random.spikeloom"
    save(artifact, model)
    program = compile_artifact(artifact, TINY)
    data = ImageSet(
        images=random_images(NETWORK, 2, seed=4), labels=torch.tensor([1, 2]), indices=torch.arange(2), name="mine.npz"
    )
    comparison = Comparison(
        artifact=artifact, program=program, data=data, name="random.spikeloom", images=2, traced=2, jobs=1,
        flips=tuple(find_flip(program, flip) for flip in flips), optimise=False, folder=folder / "compare",
    )  # fmt: skip
    figures = comparison.run().to_dict()
    origin = provenance("spikeloom compare", str(model), model.read_bytes(), program, str(folder / "compare"))
    (folder / "compare" / PROVENANCE).write_text(json.dumps(origin))
    file = folder / "compare.json"
    file.write_text(json.dumps(sealed({**figures, "provenance": origin})))
    return file


def compared_once(factory: pytest.TempPathFactory, name: str, *flips: str) -> Path:
    """The same, by the first test process that needs it, for all of them."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"report-{name}"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        file = folder / "compare.json"
        return file if file.exists() else compared(folder, *flips)


@pytest.fixture(scope="session")
def equal(tmp_path_factory) -> Path:
    return compared_once(tmp_path_factory, "equal")


@pytest.fixture(scope="session")
def corrupted(tmp_path_factory) -> Path:
    return compared_once(tmp_path_factory, "corrupted", "conv2.weight")


@pytest.fixture(scope="session")
def inputs(equal) -> Inputs:
    return read_inputs(equal, equal.parent)
