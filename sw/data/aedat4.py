"""Recordings of event cameras in iniVation's format AEDAT4, by the package aedat, an extra of this project."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sw.data.event_stream import EventStream
from sw.errors import UserError

SUFFIX = ".aedat4"

AGAIN = "copy or record it again"


def read_aedat4(path: Path) -> EventStream:
    """Read the events of a recording.

    Parameters
    ----------
    path : Path

    Raises
    ------
    UserError
        If the package is not installed, the file cannot be read or is damaged, or it holds not exactly one stream of
        events.
    """
    try:
        import aedat
    except ImportError as error:
        raise UserError(
            f"{path}: {SUFFIX} files are read by the package aedat, which is not installed: "
            "pip install --constraint constraints.txt --editable '.[aedat]'"
        ) from error
    if not path.is_file():
        raise UserError(f"{path}: cannot be read (no such file); check the path")
    try:
        with _quiet_stderr():
            decoder = aedat.Decoder(path)
            streams = {number: about for number, about in decoder.id_to_stream().items() if about["type"] == "events"}
            packets = [packet["events"] for packet in decoder if packet["stream_id"] in streams]
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # its decoder is in Rust, whose panics are no Exception
        raise UserError(f"{path}: damaged, or no {SUFFIX} file ({str(error)[:80]}); {AGAIN}") from error
    if len(streams) != 1:
        raise UserError(f"{path}: holds {len(streams)} streams of events; give a recording of one camera")
    ((_, about),) = streams.items()
    events = np.concatenate([np.zeros(0, packets[0].dtype) if packets else np.zeros(0, _EVENT), *packets])
    return EventStream(
        time=events["t"].astype(np.int64),
        column=events["x"].astype(np.int64),
        row=events["y"].astype(np.int64),
        polarity=events["on"].astype(np.int64),
        width=about["width"],
        height=about["height"],
    )


_EVENT = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])
"""An event of a packet."""


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Within this context nothing reaches standard error: a panic of the decoder says there what is said here."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
