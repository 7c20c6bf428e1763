"""Memory of a process that trains on a CPU: kept once it has it, and in large pages.

A training step allocates and frees gigabytes. By default the C library gives large blocks back at once, and the kernel
hands them out again zeroed, 4 KB at a time: of a step's time up to a quarter.
"""

from __future__ import annotations

import ctypes
import os

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Numbers of glibc's settings in its ``malloc.h``."""

NEVER = -1
"""Trim threshold of a heap that keeps all it had."""

STRIDE = 1 << 28
"""Bytes that the heap grows by."""


def keep_memory() -> bool:
    """Set the C library and torch so; to be called before torch is imported.

    Returns
    -------
    bool
        Whether the C library is one that can be told: glibc.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch asks for large pages where Linux gives them when asked
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None:
        return False
    return all(mallopt(*setting) for setting in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, STRIDE)))
