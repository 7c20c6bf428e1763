"""Record events.aedat4 of this folder, a recording of a made-up event camera, by iniVation's own library.

pip install --no-deps --target inivation dv-processing==2.0.4
PYTHONPATH=inivation:. python tests/data/record_events.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

PATH = Path(__file__).resolve().parent / "events.aedat4"
SIDE, COUNT, START = 16, 403, 1_700_000_000_000_000
"""Pixels a side, events, and the time of the first in microseconds."""


def events() -> dict[str, np.ndarray]:
    """Fields of the events, int64: bursts at some pixels, which come closer in time towards the end."""
    number = np.arange(COUNT)
    return {
        "time": START + 1_000_000 - 1_000_000 * (COUNT - number) ** 2 // COUNT**2,
        "column": (number // 3 * 7) % SIDE,
        "row": (number // 5 * 11 + number // 90) % SIDE,
        "polarity": (number // 2 % 3 == 0).astype(np.int64),
    }


def main() -> None:
    """Write the file."""
    import dv_processing as dv

    writer = dv.io.MonoCameraWriter(str(PATH), dv.io.MonoCameraWriter.EventOnlyConfig("made-up", (SIDE, SIDE)))
    store, fields = dv.EventStore(), events()
    for time, column, row, polarity in zip(*(values.tolist() for values in fields.values()), strict=True):
        store.push_back(time, column, row, bool(polarity))
    writer.writeEvents(store)


if __name__ == "__main__":
    main()
