"""From RTLIL to Verilog: initial values of memories, and what Yosys refuses."""

from __future__ import annotations

import re

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hw.parts.dual_port import WRITTEN_FIRST
from hw.verilog.yosys import verilog_of


class Store(wiring.Component):
    """A memory with one port of each kind."""

    def __init__(self, **attributes):
        self._attributes = attributes
        super().__init__({"address": In(2), "data": In(4), "read": Out(4)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = memory.Memory(shape=4, depth=4, init=[], attrs=self._attributes)
        write, read = words.write_port(), words.read_port()
        m.d.comb += [
            write.addr.eq(self.address),
            read.addr.eq(self.address),
            write.data.eq(self.data),
            write.en.eq(1),
            self.read.eq(read.data),
        ]
        return m


def emitted(**stores):
    m = Module()
    ports = {}
    for name, store in stores.items():
        m.submodules[name] = store
        ports |= {f"{name}_{member}": (getattr(store, member), None) for member in ("address", "data", "read")}
    return verilog_of(str(rtlil.convert(m, name="top", ports=ports, emit_src=False)))


def with_initial_values(verilog):
    modules = re.findall(r"^module \\?([\w.]+) *\(.*?^endmodule", verilog, re.MULTILINE | re.DOTALL)
    bodies = re.split(r"^module ", verilog, flags=re.MULTILINE)[1:]
    return {name for name, body in zip(modules, bodies, strict=True) if "words[0] = " in body}


@pytest.mark.parametrize(
    "attributes",
    [{WRITTEN_FIRST: 1}, {WRITTEN_FIRST: 1, "no_rw_check": 1}, {"no_rw_check": 1, WRITTEN_FIRST: 1}],
    ids=["alone", "first", "last"],
)
def test_only_the_marked_one_of_memories_alike_has_no_initial_values(attributes):
    verilog = emitted(plain=Store(), marked=Store(**attributes), other=Store(no_rw_check=1))
    assert with_initial_values(verilog) == {"top.plain", "top.other"}
    assert WRITTEN_FIRST not in verilog
    assert verilog.count("no_rw_check") == ("no_rw_check" in attributes) + 1


def test_what_yosys_refuses_is_an_error():
    with pytest.raises(RuntimeError, match="Yosys refuses what Amaranth wrote: ERROR: "):
        verilog_of("no such statement\n")
