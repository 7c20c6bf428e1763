"""The learning rate over a phase."""

from __future__ import annotations

import math

from sw.training.recipe import Phase


def learning_rate(phase: Phase, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step of a phase: linear warm-up, then a cosine down to the final one."""
    total, warmup = phase.epochs * steps_per_epoch, phase.warmup_epochs * steps_per_epoch
    if step < warmup:
        return phase.learning_rate * (step + 1) / warmup
    cosine = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, total - warmup)))
    return phase.final_learning_rate + (phase.learning_rate - phase.final_learning_rate) * cosine
