"""Training in two processes that ``torchrun`` starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sw.errors import UserError
from sw.training.processes import Processes
from sw.training.trainer import Trainer
from tests.sw.training.event_files import curves
from tests.sw.training.two_processes import RECIPE, sample

SCRIPT = Path(__file__).with_name("two_processes.py")
ROOT = SCRIPT.parents[3]


def train(*runs: str) -> None:
    """Train in folders, in turn, as `two_processes.main` does."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(SCRIPT), *runs]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


def state(folder: Path, rank: int) -> dict[str, torch.Tensor]:
    return torch.load(folder / f"process-{rank}.pt", weights_only=True)


def test_two_processes_keep_the_same_weights_and_continue_to_them_when_stopped(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    train(f"{whole}", f"{parts}:stop")
    first, second = (state(whole, rank) for rank in range(2))
    weights = [name for name in first if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(first[name], second[name]) for name in weights)
    assert (whole / "log.csv").read_text().count("2 x CPU") == 3
    (_,) = whole.glob("events.*")  # of process 0
    steps = {tag: [step for step, _ in curve] for tag, curve in curves(whole).items() if tag.startswith("train_loss")}
    assert steps == {"train_loss/float": [1, 2], "train_loss/quantised": [3]}

    # Ctrl-C reached process 1 only; both stopped after the same step.
    assert {path.name for path in parts.glob("stopped-*")} == {"stopped-0", "stopped-1"}
    train(f"{parts}")
    resumed = state(parts, 0)
    assert all(torch.equal(resumed[name], first[name]) for name in first)


def test_a_batch_must_divide_by_the_processes(tmp_path):
    three = Processes(torch.device("cpu"), 0, 3)
    with pytest.raises(UserError, match="batch_size 10 must be divisible by the 3 processes"):
        Trainer(RECIPE, sample(), sample(), tmp_path, processes=three)
