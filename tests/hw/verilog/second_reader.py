"""What slang, a front end that has nothing in common with Verilator and Yosys, says of emitted Verilog."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pyslang import Diagnostic
from pyslang.analysis import AnalysisManager
from pyslang.driver import Driver

from hw.verilog.description import TOP
from hw.verilog.lint import PRIMITIVES

LANGUAGES = ("1364-2005", "1800-2023")
"""Emitted Verilog is both; packagers and simulators may read it as either."""


@dataclass(frozen=True)
class Remark:
    """What slang says about a line.

    Attributes
    ----------
    option : str
        Name of the warning, as in ``-W<option>``; "error" of an error.
    message, line : str
        In slang's words, about which line of the file.
    """

    option: str
    message: str
    line: str


@dataclass(frozen=True)
class Waiver:
    """Warnings that are understood.

    Attributes
    ----------
    option : str
        Of the remark.
    message, line : str
        Regular expressions that the whole message and the whole line match.
    reason : str
        Why they say nothing about the design.
    """

    option: str
    message: str
    line: str
    reason: str

    def covers(self, remark: Remark) -> bool:
        """Whether a remark is one of these warnings."""
        return bool(
            self.option == remark.option
            and re.fullmatch(self.message, remark.message)
            and re.fullmatch(self.line, remark.line)
        )


UNSIGNED, SIGNED = (rf"'(?:logic|reg|bit){sign}(?:\[\d+:\d+\])?'" for sign in ("", " signed"))

WAIVERS = (
    Waiver(
        "unused-but-set-net", r"net '.*' is driven but its value is never used", r"wire .*;",
        "Every name that a net has in Amaranth is written, as a net of its own that is assigned from the one in use; "
        "trace signals are read by the testbench only.",
    ),
    Waiver(
        "unused-but-set-variable", r"variable 'lane' is assigned but its value is never used", r"reg .*;",
        "The index of a single lane is a register of no bits, declared as [-1:0].",
    ),
    Waiver(
        "unused-net", r"unused net '\w+'", r"wire (?:\[-1:0\] )?\w+;",
        "A signal of no bits, or the low bits of an address of which there are none.",
    ),
    Waiver(
        "unused-port", r"unused port signal 'core_rst'", r"wire core_rst;",
        "Amaranth hands clock and reset to every module with registers, also where none of them is ever reset.",
    ),
    Waiver(
        "arith-op-mismatch", rf"arithmetic between operands of different types \((?:{UNSIGNED} and {UNSIGNED}|"
        rf"{SIGNED} and {SIGNED})\)", r"assign .*;",
        "Amaranth computes at full precision, and Verilog extends the shorter operand. Both are signed or neither is.",
    ),
    Waiver(
        "sign-conversion",
        r"implicit conversion changes signedness from 'logic signed\[(\d+):0\]' to 'logic\[\1:0\]'", r"assign .*;",
        "Nets are unsigned, whatever they hold; the sum or comparison of $signed() operands is as wide as its net.",
    ),
    Waiver(
        "width-trunc", r"implicit conversion truncates from \d+ to \d+ bits", r"assign \S+ +=.* >> .*;",
        "A word selected by a signal is written as a right shift, of which the lowest bits are taken.",
    ),
    Waiver(
        "case-overlap", r"'casez' statement item overlaps previous item", r"\d+'b\?*1\?*:",
        "A choice among conditions of which at most one holds is a casez whose patterns have a single 1 each.",
    ),
    Waiver(
        "case-too-complex", r"'casez' statement is too complex to analyze; .*", r"casez \(s\)",
        "The same choice of so many that slang does not look whether it is complete; it has a default.",
    ),
    Waiver(
        "unconnected-output-port", r"output port 'DO[A-H]' has no connection", r"RAM32M16 .*",
        "Ports of a LUT RAM beyond those in use.",
    ),
    Waiver(
        "unconnected-input-port", r"input port '(?:ADDR|DI)[A-H]' has no connection", r"RAM32M16 .*",
        "The same: they write to and read from ports that nothing reads.",
    ),
    Waiver(
        "unconnected-output-port", r"output port '(?:CAS_OUT_\w+|DOUT_[AB])' has no connection", r"\) bank\w+ \(",
        "A cascade of UltraRAM hands on from row to row as far as its last one, of which one port is read.",
    ),
)  # fmt: skip
"""All warnings that emitted Verilog may have."""


def remarks(path: Path, language: str) -> list[Remark]:
    """Elaborate and analyse emitted Verilog; every error and warning there is about it.

    Parameters
    ----------
    path : Path
        Its primitives have the ports of `PRIMITIVES`.
    language : str
        One of `LANGUAGES`.
    """
    driver = Driver()
    driver.addStandardArgs()
    # One thread: tests run side by side.
    arguments = f"slang -j 1 --std {language} -Weverything --top {TOP} --error-limit 0 -v {PRIMITIVES} {path}"
    assert driver.parseCommandLine(arguments) and driver.processOptions() and driver.parseAllSources()
    design = driver.createCompilation()
    found = list(design.getAllDiagnostics())
    analysis = AnalysisManager(driver.analysisOptions)
    analysis.analyze(design)
    found += analysis.getDiagnostics()
    lines = path.read_text().splitlines()
    where = driver.sourceManager

    def remark(diagnostic: Diagnostic) -> Remark:
        number = where.getLineNumber(diagnostic.location)
        option = "error" if diagnostic.isError() else driver.diagEngine.getOptionName(diagnostic.code)
        return Remark(option, driver.diagEngine.formatMessage(diagnostic), lines[number - 1].strip())

    return [remark(one) for one in found if one.isError() or Path(where.getFileName(one.location)).name == path.name]
