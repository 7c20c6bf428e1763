"""Verilog of the accelerator, and for those who talk to it a JSON description and a C header.

Run as a program it emits one named configuration::

    python -m hw.verilog.emit tiny build/rtl
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth._toolchain.yosys import find_yosys  # `amaranth.back.verilog` runs a script of its own
from amaranth.back import rtlil
from amaranth.hdl import Signal, UnusedElaboratable
from amaranth.hdl._ir import PortDirection  # the only way to state directions in a port dictionary
from amaranth.lib import wiring

from hw.accelerator import Accelerator
from hw.config import CONFIGS, PARAMETER_BITS, WEIGHT_BITS, HardwareConfig
from hw.descriptor import DESCRIPTOR, DESCRIPTOR_BITS, DESCRIPTOR_CHECK, Destination, Opcode, ResidualMode, Wait
from hw.host.registers import (
    COUNTER_SLOTS,
    IDENTITY,
    RECORD_LINE_WORDS,
    REGISTERS,
    VERSION,
    Control,
    Counter,
    ErrorCause,
    Interrupt,
    Record,
    Status,
)
from hw.parts.memory_attributes import WRITTEN_FIRST
from hw.parts.technology import Technology
from hw.verilog.c_header import HEADER, c_header
from hw.verilog.flat_ports import AxiPorts, FlatPorts
from sw.files import write_atomically

TOP = "spikeloom"
"""Name of the emitted module."""

MARKED_MEMORY = re.compile(
    rf"^ *attribute \\{WRITTEN_FIRST} 1\n((?: *attribute .*\n)*)( *memory .* (\\\S+)\n)", re.MULTILINE
)
"""A memory's declaration in RTLIL: other attributes behind the mark, the declaration, its name."""

INITIAL_VALUES = re.compile(
    r"^ *cell \$meminit_v2 .*\n *parameter \\MEMID \"\\(\\\S+)\"\n(?:.*\n)*? *end\n", re.MULTILINE
)
"""The initial values of a memory in RTLIL, and its name."""

INTERNAL_ATTRIBUTES = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
"""Attributes of RTLIL that say where Amaranth has it from."""

WAIVERS = Path(__file__).with_name("lint.vlt")
"""Verilator warnings of emitted Verilog that are understood, each with its reason."""

PRIMITIVES = Path(__file__).with_name("primitives.v")
"""Ports of what `Technology.XILINX` instantiates, for the lint alone."""


@dataclass(frozen=True)
class EmittedFiles:
    """Paths of an emitted configuration.

    Attributes
    ----------
    verilog, description, header : Path
        ``<name>.v``, ``<name>.json`` and ``spikeloom.h``.
    """

    verilog: Path
    description: Path
    header: Path


def emit_component(component: wiring.Component, name: str) -> str:
    """Verilog of any component, with ``clk``, ``rst`` and the ports of `FlatPorts`.

    Parameters
    ----------
    component : wiring.Component
    name : str
        Name of the module.

    Returns
    -------
    str
        Without source locations or other content that changes from run to run.
    """
    return _convert(FlatPorts(component), name)


def accelerator_verilog(config: HardwareConfig) -> str:
    """Verilog of the accelerator for any tool, as it is simulated and synthesised; its top module is `TOP`."""
    return _convert(_accelerator_ports(config, Technology.PORTABLE), TOP)


def _accelerator_ports(config: HardwareConfig, technology: Technology) -> AxiPorts:
    return AxiPorts(Accelerator(config, technology=technology))


def _convert(top: FlatPorts, name: str) -> str:
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"  # the pinned one: every machine writes the same text
    with warnings.catch_warnings():
        # Components made only to ask for their latency are not elaborated.
        warnings.simplefilter("ignore", UnusedElaboratable)
        text = str(rtlil.convert(top, name=name, ports=top.ports, emit_src=False))
    return _verilog(without_marked_values(text))


def _verilog(text: str) -> str:
    """Verilog of RTLIL, in which all logic between registers is assigned to nets.

    Amaranth's own script leaves processes, which Yosys writes as ``always @*``. Nothing runs such a block before one of
    the signals that it reads changes, and the initial value of a register is a change in Verilog-2005 but none in
    SystemVerilog: whatever depends on registers that keep it would be X. An assignment holds from the start.
    """
    removed = " ".join(f"-remove {name}" for name in INTERNAL_ATTRIBUTES)
    script = (
        f"read_rtlil <<rtlil\n{text}\nrtlil\nproc -norom\nmemory_collect\n"
        f"attrmap {removed}\nattrmap -modattr {removed}\nwrite_verilog\n"
    )
    return str(find_yosys(lambda version: version >= (0, 40)).run(["-q", "-"], script))


def without_marked_values(text: str) -> str:
    """RTLIL without the marks of `WRITTEN_FIRST`, and without the initial values of the memories that bear them.

    They would be most of the text, and of the time that simulators and synthesis take for it; UltraRAM has none.

    Parameters
    ----------
    text : str
        As Amaranth writes it: in every module the memories before their initial values.
    """
    modules = re.split(r"^(?=module )", text, flags=re.MULTILINE)
    for number, module in enumerate(modules):
        marked = {found[3] for found in MARKED_MEMORY.finditer(module)}
        module = MARKED_MEMORY.sub(r"\1\2", module)
        for found in reversed([*INITIAL_VALUES.finditer(module)] if marked else []):
            if found[1] in marked:
                module = module[: found.start()] + module[found.end() :]
        modules[number] = module
    return "".join(modules)


def describe(config: HardwareConfig, ports: Mapping[str, tuple[Signal, PortDirection]]) -> dict[str, Any]:
    """What a host or an integrator must know about a configuration, as plain JSON values.

    Parameters
    ----------
    config : HardwareConfig
    ports : mapping of str to (Signal, PortDirection)
        The accelerator's.
    """
    return {
        "module": TOP,
        "config": config.to_dict(),
        "synaptic_operations_per_cycle": config.sops_per_cycle,
        "ports": [
            {"name": name, "direction": direction.value, "width": len(signal)}
            for name, (signal, direction) in ports.items()
        ],
        "identity": IDENTITY,
        "version": VERSION,
        "fingerprint": config.fingerprint,
        "registers": {name: dataclasses.asdict(register) for name, register in REGISTERS.items()},
        "counters": {"slots": COUNTER_SLOTS, "order": [counter.name for counter in Counter]},
        "control": _values(Control),
        "status": _values(Status),
        "interrupts": _values(Interrupt),
        "errors": _values(ErrorCause),
        "record": {"line_words": RECORD_LINE_WORDS, "words": _values(Record), "logits": RECORD_LINE_WORDS},
        "descriptor": {
            "bits": DESCRIPTOR_BITS,
            "check": DESCRIPTOR_CHECK,
            "opcodes": _values(Opcode),
            "destinations": _values(Destination),
            "residual_modes": _values(ResidualMode),
            "waits": _values(Wait),
            "fields": [{"name": name, "offset": field.offset, "width": field.width} for name, field in DESCRIPTOR],
        },
        "external_memory": {
            "beat_bits": config.memory_bits,
            "byte_order": "little",
            "program": "one stream of descriptors, the last one END; behind each one of a layer with weights, for "
            "every output tile, its parameters and its weights",
            "parameters": {
                "beats_per_output_tile": config.parameter_beats,
                "bits_per_channel": PARAMETER_BITS,
                "threshold_bit": config.threshold_offset,
                "text": "signed bias and, from threshold_bit on, signed threshold of each channel; the head has a bias "
                "of 32 bits and no threshold",
            },
            "weights": {
                "beats_per_slice": config.slice_beats,
                "text": f"segments of slices of {config.outputs} x {config.inputs} weights of {WEIGHT_BITS} bits; "
                "each slice in the order of filling the subset-sum tables: first all weights of the inputs 0, 4, 8 ... "
                "(output-major), then those of 1, 5, 9 ..., in whole beats or equal parts of one; "
                "8-bit weights have a segment for each half; in the image layer each comes negated first, for the sign",
            },
            "image": {
                "beats_per_group": config.group_beats,
                "text": "bit-planes of the signed 8-bit image, the lowest first, as words "
                "[positions][timesteps][inputs] in which the time steps are further positions",
            },
            "event_frames": {
                "beats_per_group": config.group_beats,
                "text": "words [positions][timesteps][inputs], for every position group one for each time chunk",
            },
        },
    }


def _values(enumeration: Any) -> dict[str, int]:
    return {member.name: member.value for member in enumeration}


def emit(config: HardwareConfig, directory: Path, *, technology: Technology = Technology.PORTABLE) -> EmittedFiles:
    """Write the Verilog of a configuration, its description and its C header.

    Memories of which no word is used before it was written come without initial values.

    Parameters
    ----------
    config : HardwareConfig
    directory : Path
        Made if it is missing.
    technology : Technology
        Portable Verilog, or with primitives of an FPGA family.

    Returns
    -------
    EmittedFiles
        The same bytes from run to run and from machine to machine.
    """
    files = EmittedFiles(directory / f"{config.name}.v", directory / f"{config.name}.json", directory / HEADER)
    top = _accelerator_ports(config, technology)
    write_atomically(files.verilog, _convert(top, TOP))
    write_atomically(files.description, json.dumps(describe(config, top.ports), indent=2) + "\n")
    write_atomically(files.header, c_header(config))
    return files


def lint(path: Path, *, verilator: Path, environment: Mapping[str, str] | None = None) -> list[str]:
    """Verilator's warnings about emitted Verilog, less the waived ones.

    Parameters
    ----------
    path : Path
        The Verilog.
    verilator : Path
    environment : mapping of str to str
        What Verilator needs; `sim.verilator.toolchain.find_toolchain` has both.

    Returns
    -------
    list of str
        Empty if the file is clean.
    """
    command = [str(verilator), "--lint-only", "-Wall", "--top-module", TOP, str(WAIVERS), str(PRIMITIVES), str(path)]
    result = subprocess.run(
        command, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    found = [line for line in result.stderr.splitlines() if line.startswith("%")]
    return found or ([result.stderr.strip()] if result.returncode else [])


def main() -> None:
    """Command line: name of a configuration, folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", choices=CONFIGS)
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    files = emit(CONFIGS[arguments.config], arguments.directory)
    sys.stdout.write(f"{files.verilog}\n{files.description}\n{files.header}\n")


if __name__ == "__main__":
    main()
