"""What TensorBoard reads in the event files of a run."""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing import event_accumulator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ALL = 0
"""As a limit: no event is left out."""


def read_events(folder: Path) -> EventAccumulator:
    """All events of a folder."""
    kinds = (event_accumulator.SCALARS, event_accumulator.HISTOGRAMS, event_accumulator.TENSORS)
    events = EventAccumulator(str(folder), size_guidance=dict.fromkeys(kinds, ALL))
    events.Reload()
    return events


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of every curve."""
    events = read_events(folder)
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
