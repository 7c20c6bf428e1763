"""Events become the frames that SpikingJelly's data sets make of them, or are refused."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from sw.data.event_stream import EventStream, integrate
from sw.errors import UserError


def stream(seed=1, count=400, width=7, height=5):
    rng = np.random.default_rng(seed)
    return EventStream(
        time=np.sort(rng.integers(0, 3000, count) ** 2),
        column=rng.integers(0, width, count),
        row=rng.integers(0, height, count),
        polarity=rng.integers(0, 2, count),
        width=width,
        height=height,
    )


def counted(events, bounds):
    """Frames of the events between bounds, one event after the other."""
    frames = np.zeros((len(bounds) - 1, 2, events.height, events.width), int)
    for frame, (begin, end) in enumerate(itertools.pairwise(bounds)):
        for i in range(begin, end):
            frames[frame, events.polarity[i], events.row[i], events.column[i]] += 1
    return frames


@pytest.mark.parametrize("frames", [1, 3, 7, 16])
def test_by_number_every_frame_has_equally_many_events_and_the_last_the_rest(frames):
    events = stream()
    bounds = [400 // frames * i for i in range(frames)] + [400]
    found = integrate(events, frames, "number")
    assert np.array_equal(found, counted(events, bounds))
    assert found.sum() == 400 and found.max() > 1


@pytest.mark.parametrize("frames", [1, 3, 7, 16])
def test_by_time_every_frame_lasts_equally_long_and_the_last_to_the_end(frames):
    events = stream()
    step = (events.time[-1] - events.time[0]) // frames
    starts = [events.time[0] + step * i for i in range(frames)]
    bounds = [sum(int(time < start) for time in events.time) for start in starts] + [400]
    found = integrate(events, frames, "time")
    assert np.array_equal(found, counted(events, bounds))
    assert frames == 1 or not np.array_equal(found, integrate(events, frames, "number"))


def test_a_pause_gives_an_empty_frame():
    events = dataclasses.replace(stream(count=4), time=np.array([0, 1, 2, 30]))
    assert integrate(events, 3, "time").sum(axis=(1, 2, 3)).tolist() == [3, 0, 1]


@pytest.mark.parametrize(
    ("change", "split_by", "message"),
    [
        ({"column": np.array([0, 7, 0])}, "number", "event 1 is at column 7, row 0, outside the sensor of 7x5; record "
         "it again"),
        ({"row": np.array([0, 0, -1])}, "time", "event 2 is at column 0, row -1, outside the sensor of 7x5; record "
         "it again"),
        ({"time": np.array([5, 4, 6])}, "time", "the events are not in the order of their time; sort them, or split "
         "them by number"),
    ],
)  # fmt: skip
def test_events_wrong(change, split_by, message):
    zero = np.zeros(3, np.int64)
    events = EventStream(time=np.arange(3), column=zero, row=zero, polarity=zero, width=7, height=5)
    with pytest.raises(UserError) as refused:
        integrate(dataclasses.replace(events, **change), 3, split_by)
    assert str(refused.value) == message


def test_fewer_events_than_frames_wrong():
    with pytest.raises(UserError) as refused:
        integrate(stream(count=9), 10, "number")
    assert str(refused.value) == "9 events are too few for 10 frames; give a longer recording"
