"""Memory that a training process has had stays with it."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource
from sw.training.memory import keep_memory
{call}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytes(bytearray(b"1") * (64 << 20))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def faults(call: str) -> int:
    """Pages that the kernel hands out when a process takes 128 MB for the second time."""
    return int(subprocess.check_output([sys.executable, "-c", PROGRAM.format(call=call)], text=True))


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_memory_is_not_given_back():
    assert faults("assert keep_memory()") * 100 < faults("")
