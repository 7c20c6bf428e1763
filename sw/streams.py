"""Standard streams as they may be: closed, of few letters, or read by somebody who has left."""

from __future__ import annotations

import io
import os
import sys


def prepare_streams() -> None:
    """Make standard output and error take whatever is written to them.

    A closed one becomes the null device, or the next file opened would take its place and get its text. Letters that
    the terminal's encoding lacks are replaced, for a table without them is better than none.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        stream = getattr(sys, name)
        if stream is None:
            _to_null(number)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 (for the rest of the process)
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def discard_output() -> None:
    """Send what is still buffered to the null device: whoever read the output has left."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _to_null(stream.fileno())


def _to_null(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)
