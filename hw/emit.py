"""Verilog of the accelerator, and a JSON description of what it is and how to talk to it.

Run as a program it emits one named configuration::

    python -m hw.emit tiny build/rtl
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.hdl import Elaboratable, Module, Signal, UnusedElaboratable, Value
from amaranth.hdl._ir import PortDirection  # the only way to state directions in a port dictionary
from amaranth.lib import data, wiring

from sw.files import write_atomically

from .accelerator import Accelerator
from .config import CONFIGS, MEMORY_BEAT_BITS, HardwareConfig
from .isa import DESCRIPTOR, DESCRIPTOR_BEATS, DESCRIPTOR_BITS, DESCRIPTOR_CHECK, Destination, Opcode, ResidualMode
from .registers import COUNTER_SLOTS, IDENTITY, REGISTERS, VERSION, Counter, ErrorCause

TOP = "spikeloom"
"""Name of the emitted module."""

WAIVERS = Path(__file__).with_name("lint.vlt")
"""Verilator warnings of emitted Verilog that are understood, each with its reason."""


@dataclass(frozen=True)
class EmittedFiles:
    """Paths of an emitted configuration.

    Attributes
    ----------
    verilog, description : Path
        ``<name>.v`` and ``<name>.json``.
    """

    verilog: Path
    description: Path


class FlatPorts(Elaboratable):
    """A component with plain ports, in the scope of the component itself.

    Members are joined by single underscores (Amaranth's own flattening writes two), a struct becomes one port per
    field, and the ``payload`` of a stream is left out of the name, or called ``data`` if it has no fields. No module
    is added around the component, so its signals stay at the top.

    Parameters
    ----------
    component : wiring.Component
    prefixes : mapping of str to str
        Other names for the first part of a member's path.

    Attributes
    ----------
    ports : dict of str to (Signal, PortDirection)
        For `amaranth.back.verilog.convert`.
    """

    def __init__(self, component: wiring.Component, prefixes: Mapping[str, str] | None = None):
        self._component = component
        self._fields: list[tuple[Value, Signal, PortDirection]] = []
        self.ports: dict[str, tuple[Signal, PortDirection]] = {}
        for path, member, value in component.signature.flatten(component):
            words = [(prefixes or {}).get(str(path[0]), str(path[0])), *map(str, path[1:])]
            direction = PortDirection.Input if member.flow == wiring.In else PortDirection.Output
            struct = isinstance(value, data.View) and isinstance(value.shape(), data.StructLayout)
            if words[-1] == "payload":
                words[-1:] = [] if struct else ["data"]
            name = "_".join(words)
            if struct:
                for field, _ in value.shape():
                    part = Value.cast(value[field])
                    port = Signal(len(part), name=f"{name}_{field}")
                    self._fields.append((part, port, direction))
                    self.ports[f"{name}_{field}"] = (port, direction)
            else:
                signal = Value.cast(value)
                assert isinstance(signal, Signal), name
                self.ports[name] = (signal, direction)

    def elaborate(self, platform: Any) -> Module:
        """The component's own module, with the fields of its structs connected to their ports."""
        m = self._component.elaborate(platform)
        self._component._MustUse__used = True
        for part, port, direction in self._fields:
            m.d.comb += part.eq(port) if direction is PortDirection.Input else port.eq(part)
        return m


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
    """Verilog of the accelerator; its top module is `TOP`."""
    return _convert(_accelerator_ports(config), TOP)


def _accelerator_ports(config: HardwareConfig) -> FlatPorts:
    return FlatPorts(Accelerator(config), {"registers": "register"})


def _convert(top: FlatPorts, name: str) -> str:
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"  # the pinned one: every machine writes the same text
    with warnings.catch_warnings():
        # Components made only to ask for their latency are not elaborated.
        warnings.simplefilter("ignore", UnusedElaboratable)
        return str(verilog.convert(top, name=name, ports=top.ports, emit_src=False, strip_internal_attrs=True))


def describe(config: HardwareConfig, ports: Mapping[str, tuple[Signal, PortDirection]]) -> dict[str, Any]:
    """What a host or an integrator must know about a configuration, as plain JSON values.

    Parameters
    ----------
    config : HardwareConfig
    ports : mapping of str to (Signal, PortDirection)
        The accelerator's, without clock and reset.
    """
    clocking = [{"name": name, "direction": "input", "width": 1} for name in ("clk", "rst")]
    return {
        "module": TOP,
        "config": config.to_dict(),
        "synaptic_operations_per_cycle": config.sops_per_cycle,
        "ports": clocking
        + [
            {"name": name, "direction": direction.value, "width": len(signal)}
            for name, (signal, direction) in ports.items()
        ],
        "identity": IDENTITY,
        "version": VERSION,
        "registers": {name: dataclasses.asdict(register) for name, register in REGISTERS.items()},
        "counters": {"slots": COUNTER_SLOTS, "order": [counter.name for counter in Counter]},
        "errors": _values(ErrorCause),
        "descriptor": {
            "bits": DESCRIPTOR_BITS,
            "check": DESCRIPTOR_CHECK,
            "opcodes": _values(Opcode),
            "destinations": _values(Destination),
            "residual_modes": _values(ResidualMode),
            "fields": [{"name": name, "offset": field.offset, "width": field.width} for name, field in DESCRIPTOR],
        },
        "external_memory": {
            "beat_bits": MEMORY_BEAT_BITS,
            "byte_order": "little",
            "program": {
                "base": "register PROGRAM_ADDRESS",
                "beats_per_descriptor": DESCRIPTOR_BEATS,
                "text": "descriptors in order, the last one END",
            },
            "weights": {
                "base": "register PROGRAM_ADDRESS plus the descriptor's memory_address",
                "parameter_beats": config.outputs,
                "beats_per_slice": config.weight_slice_beats,
                "text": "per output tile: signed 32-bit bias and threshold of each channel, one beat each; then "
                f"slices of {config.outputs} x {config.inputs} weights of {config.weight_bits} bits",
            },
            "image": {
                "base": "register IMAGE_ADDRESS plus the descriptor's memory_address",
                "beats_per_group": config.group_beats,
                "words_per_position_and_slice": config.image_passes,
                "text": "bit-planes of the signed 8-bit image as spike words [positions][timesteps][inputs]",
            },
        },
    }


def _values(enumeration: Any) -> dict[str, int]:
    return {member.name: member.value for member in enumeration}


def emit(config: HardwareConfig, directory: Path) -> EmittedFiles:
    """Write the Verilog and the description of a configuration.

    Parameters
    ----------
    config : HardwareConfig
    directory : Path
        Made if it is missing.

    Returns
    -------
    EmittedFiles
        The same bytes from run to run and from machine to machine.
    """
    files = EmittedFiles(directory / f"{config.name}.v", directory / f"{config.name}.json")
    top = _accelerator_ports(config)
    write_atomically(files.verilog, _convert(top, TOP))
    write_atomically(files.description, json.dumps(describe(config, top.ports), indent=2) + "\n")
    return files


def lint(path: Path, *, verilator: Path, environment: Mapping[str, str] | None = None) -> list[str]:
    """Verilator's warnings about emitted Verilog, less the waived ones.

    Parameters
    ----------
    path : Path
        The Verilog.
    verilator : Path
    environment : mapping of str to str
        What Verilator needs; `sim.toolchain.find_toolchain` has both.

    Returns
    -------
    list of str
        Empty if the file is clean.
    """
    command = [str(verilator), "--lint-only", "-Wall", "--top-module", TOP, str(WAIVERS), str(path)]
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
    sys.stdout.write(f"{files.verilog}\n{files.description}\n")


if __name__ == "__main__":
    main()
