"""Checks the promise behind the attribute ``no_rw_check``: no cycle reads and writes one word of a memory."""

from __future__ import annotations

from types import ModuleType

import pytest
from amaranth.hdl import Assert, Module
from amaranth.lib import memory


class GuardedMemory(memory.Memory):
    """A memory that stops the simulation where a synchronous read meets a write, if it says that none does."""

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = super().elaborate(platform)
        if "no_rw_check" in self.attrs:
            for read in self.read_ports:
                for write in self.write_ports:
                    meeting = read.en & write.en.any() & (read.addr == write.addr)
                    m.d.sync += Assert(~meeting, "a word is read and written in one cycle")
        return m


def guard_memories(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    """Make every memory of `module`, which imports ``amaranth.lib.memory`` as ``memory``, a guarded one."""
    guarded = ModuleType("memory")
    guarded.__dict__.update(memory.__dict__)
    guarded.Memory = GuardedMemory
    monkeypatch.setattr(module, "memory", guarded)
