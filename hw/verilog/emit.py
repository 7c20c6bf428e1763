"""Verilog of the accelerator, and for those who talk to it a JSON description and a C header."""

from __future__ import annotations

import gc
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from amaranth.back import rtlil
from amaranth.hdl import UnusedElaboratable
from amaranth.lib import wiring

from hw.accelerator import AxiAccelerator
from hw.config import HardwareConfig
from hw.parts.technology import Technology
from hw.verilog.c_header import HEADER, c_header
from hw.verilog.description import TOP, describe
from hw.verilog.flat_ports import AxiPorts, FlatPorts
from hw.verilog.yosys import verilog_of


@dataclass(frozen=True)
class EmittedTexts:
    """An emitted configuration, the same from run to run and from machine to machine.

    Attributes
    ----------
    name : str
        Of the configuration.
    verilog, description, header : str
        The accelerator, its description in JSON, the host's C header.
    """

    name: str
    verilog: str
    description: str
    header: str

    @property
    def files(self) -> dict[str, str]:
        """Each text by the name of its file: ``<name>.v``, ``<name>.json`` and ``spikeloom.h``."""
        return {f"{self.name}.v": self.verilog, f"{self.name}.json": self.description, HEADER: self.header}


def emit(config: HardwareConfig, *, technology: Technology = Technology.PORTABLE) -> EmittedTexts:
    """Verilog of a configuration, its description and its C header.

    Memories of which no word is used before it was written come without initial values.

    Parameters
    ----------
    config : HardwareConfig
    technology : Technology
        Portable Verilog, or with primitives of an FPGA family.
    """
    top = AxiPorts(AxiAccelerator(config, technology=technology))
    return EmittedTexts(
        name=config.name,
        verilog=_verilog(top, TOP),
        description=json.dumps(describe(config, top.ports), indent=2) + "\n",
        header=c_header(config),
    )


def accelerator_verilog(config: HardwareConfig, *, technology: Technology = Technology.PORTABLE) -> str:
    """Verilog of the accelerator alone, as `emit` has it; its top module is `TOP`."""
    return _verilog(AxiPorts(AxiAccelerator(config, technology=technology)), TOP)


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
    return _verilog(FlatPorts(component), name)


def _verilog(top: FlatPorts, name: str) -> str:
    with warnings.catch_warnings(), _garbage_kept():
        # Components made only to ask for their latency are not elaborated.
        warnings.simplefilter("ignore", UnusedElaboratable)
        return verilog_of(str(rtlil.convert(top, name=name, ports=top.ports, emit_src=False)))


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """Let nobody look for garbage: a netlist is millions of tuples that stay, and the search took half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
