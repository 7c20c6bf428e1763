"""Libraries that a simulation is linked with: compiled parts of Verilator's own, and what stands in for LZ4."""

from __future__ import annotations

import shutil
from pathlib import Path

from sim.verilator.seals import is_whole, seal
from sw.files import write_atomically

LZ4_STORED = Path(__file__).parent / "lz4_stored" / "lz4.h"
"""The functions of LZ4 that Verilator's FST writer calls, storing without compression."""


def take_objects(runtime: Path, work: Path) -> None:
    """Copy the compiled parts of Verilator's own library into a build; they are most of a small build's time."""
    for path in runtime.glob("verilated*.o"):
        if is_whole(path):
            shutil.copy(path, work)


def keep_objects(work: Path, runtime: Path) -> None:
    """Keep the compiled parts of Verilator's own library for the next build."""
    for path in work.glob("verilated*.o"):
        kept = runtime / path.name
        if not is_whole(kept):
            write_atomically(kept, path.read_bytes())
            seal(kept)


def lz4_flags(work: Path) -> list[str]:
    """Flags that make `LZ4_STORED` and an empty archive stand in for the library, which the makefile asks for."""
    shutil.copy(LZ4_STORED, work)
    (work / "liblz4.a").write_bytes(b"!<arch>\n")
    return ["-CFLAGS", f"-I{work}", "-LDFLAGS", f"-L{work}"]
