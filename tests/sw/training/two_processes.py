"""What `test_processes.py` starts with ``torchrun``: runs one after the other, and what each process ends them with."""

from __future__ import annotations

import dataclasses
import signal
import sys
from pathlib import Path

import pytest
import torch

import sw.training.batches
import sw.training.trainer
from sw.data import sets as data
from sw.data.samples import load_sample
from sw.data.sets import ImageSet
from sw.network import NetworkConfig
from sw.training.processes import Processes
from sw.training.recipe import Augmentation, Phase, Recipe
from sw.training.run.event_log import EventLog
from sw.training.trainer import Trainer, TrainingStopped

RECIPE = Recipe(
    name="two", data="small", weight_bits=4, batch_size=10,
    network=NetworkConfig(image_size=8, image_channels=1, classes=10, embed_dim=16, depth=1, heads=2, timesteps=2),
    float_phase=Phase(epochs=2, learning_rate=3e-3, augmentation=Augmentation(shift=1, flip=True)),
    quantised_phase=Phase(epochs=1, learning_rate=1e-3, freeze_norm_epochs=1),
)  # fmt: skip
STOPPED_AT = 5
"""Batch in whose making process 1 gets Ctrl-C, in a run that is stopped."""


def sample() -> ImageSet:
    small = dataclasses.replace(data.data_set("fashion-mnist"), name="small", image_size=8)
    data.DATA_SETS["small"] = small
    everything = load_sample("fashion-mnist")
    return ImageSet(
        images=everything.images[::8, :, 6:22:2, 6:22:2].contiguous(),
        labels=everything.labels[::8],
        indices=everything.indices[::8],
    )


def stop_at_a_batch(patch: pytest.MonkeyPatch) -> None:
    """Let the making of a batch be interrupted, as by Ctrl-C."""
    original, calls = sw.training.batches.augment, []

    def interrupted(*arguments):
        calls.append(None)
        if len(calls) == STOPPED_AT:
            signal.raise_signal(signal.SIGINT)
        return original(*arguments)

    patch.setattr(sw.training.batches, "augment", interrupted)


def train(folder: Path, processes: Processes, images: ImageSet) -> None:
    try:
        with EventLog(folder, RECIPE, images) as events:
            trainer = Trainer(
                RECIPE, images, images, folder, resume=True, processes=processes, on_epoch=events.epoch
            )  # fmt: skip
            trainer.run()
    except TrainingStopped:
        (folder / f"stopped-{processes.rank}").touch()
    else:
        torch.save(trainer.model.state_dict(), folder / f"process-{processes.rank}.pt")


def main(runs: list[str]) -> None:
    """Train in each folder named, in turn; a run whose folder is followed by ``:stop`` is stopped."""
    sw.training.trainer.compile_neurons = lambda: False  # takes longer than the run
    images, processes = sample(), Processes.start("cpu")
    for run in runs:
        folder, _, stop = run.partition(":")
        with pytest.MonkeyPatch.context() as patch:
            if stop and processes.rank == 1:
                stop_at_a_batch(patch)
            train(Path(folder), processes, images)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
