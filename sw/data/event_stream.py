"""Events of a camera, and the frames of counts that they are integrated into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from sw.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SplitBy = Literal["number", "time"]
"""Whether frames hold equally many events, or last equally long."""

POLARITIES = 2
"""Channels of a frame: events of pixels that got darker, and of pixels that got brighter."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EventStream:
    """A recording of an event camera.

    Attributes
    ----------
    time : int64 array [n]
        Microseconds.
    column, row : int64 arrays [n]
        Pixel of each event.
    polarity : int64 array [n]
        1 where the pixel got brighter, otherwise 0.
    width, height : int
        Of the sensor.
    """

    time: NDArray[np.int64]
    column: NDArray[np.int64]
    row: NDArray[np.int64]
    polarity: NDArray[np.int64]
    width: int
    height: int


def integrate(stream: EventStream, frames: int, split_by: SplitBy) -> NDArray[np.int64]:
    """Count events per frame, polarity and pixel, as SpikingJelly's data sets do for ``frames_number``.

    By number every frame has ``n // frames`` events, by time it lasts ``(last - first) // frames`` microseconds; the
    last one takes what is left.

    Parameters
    ----------
    stream : EventStream
    frames : int
        Time steps.
    split_by : str
        ``number`` or ``time``.

    Returns
    -------
    int64 array [frames, polarities, height, width]

    Raises
    ------
    UserError
        If there are fewer events than frames, an event lies outside the sensor, or time goes backwards.
    """
    count = len(stream.time)
    if count < frames:
        raise UserError(f"{count:,} events are too few for {frames} frames; give a longer recording")
    inside = (stream.column >= 0) & (stream.column < stream.width) & (stream.row >= 0) & (stream.row < stream.height)
    if not inside.all():
        at = int(inside.argmin())
        raise UserError(
            f"event {at:,} is at column {stream.column[at]}, row {stream.row[at]}, outside the sensor of "
            f"{stream.width}x{stream.height}; record it again"
        )
    begins = np.arange(frames) * (count // frames)
    if split_by == "time":
        if (np.diff(stream.time) < 0).any():
            raise UserError("the events are not in the order of their time; sort them, or split them by number")
        first = int(stream.time[0])
        begins = np.searchsorted(stream.time, first + np.arange(frames) * ((int(stream.time[-1]) - first) // frames))
    frame = np.searchsorted(begins, np.arange(count), side="right") - 1
    shape = (frames, POLARITIES, stream.height, stream.width)
    places = np.ravel_multi_index((frame, stream.polarity, stream.row, stream.column), shape)
    return np.bincount(places, minlength=int(np.prod(shape))).reshape(shape)
