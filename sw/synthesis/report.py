"""What a synthesis run leaves: resources in total and by module, in one file for all configurations."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sw.errors import UserError
from sw.files import write_atomically
from sw.strict_json import read_json
from sw.synthesis.cells import FAMILIES, count_resources, luts
from sw.synthesis.modules import VerilogModules, cells_by_module
from sw.synthesis.port_paths import mapped_registers, port_paths
from sw.synthesis.yosys import SOURCE, Synthesis, synthesise, yosys_version

if TYPE_CHECKING:
    from hw.config import HardwareConfig


CORE = "core"
"""The top's submodule that is nearly all of it: its own submodules are the parts of interest."""


def synthesis_entry(config: HardwareConfig, family: str, folder: Path) -> dict[str, Any]:
    """Emit, map and count one configuration.

    Parameters
    ----------
    config : HardwareConfig
    family : str
        One of `sw.synthesis.cells.FAMILIES`.
    folder : Path
        Takes Verilog and logs.

    Returns
    -------
    dict
        The configuration's entry of ``build/synth.json``: its ``config_fingerprint``, and what `entry` says.

    Raises
    ------
    UserError
        If Yosys refuses it, or a path from an input port to an output port passes no register.
    """
    from hw.parts.technology import Technology
    from hw.verilog.description import TOP
    from hw.verilog.emit import accelerator_verilog
    from hw.verilog.flat_ports import CLOCK

    began = time.monotonic()
    technology = Technology.XILINX if family == "xcup" else Technology.PORTABLE
    path, verilog = folder / f"{config.name}.v", accelerator_verilog(config, technology=technology)
    write_atomically(path, verilog)
    mapped = synthesise(path, family, TOP)
    for way in port_paths(mapped.netlist, mapped_registers(family), CLOCK):
        raise UserError(f"{path} has a path from an input to an output without a register: {' -> '.join(way)}")
    modules = VerilogModules.read(verilog, TOP)
    found = entry(mapped, modules, family, config.sops_per_cycle, time.monotonic() - began)
    return {"config_fingerprint": f"{config.fingerprint:08x}", **found}


def entry(
    mapped: Synthesis, modules: VerilogModules, family: str, sops_per_cycle: int, seconds: float
) -> dict[str, Any]:
    """Count a mapped design.

    Returns
    -------
    dict
        Plain JSON values: ``resources`` in total, ``parts`` (submodules of the top and of its core, with all they
        contain) and ``modules`` (each without what it contains), ``cells`` by type and ``part_cells`` the same of every
        part, LUTs per operation per cycle, and how it was made.
    """
    own = cells_by_module(mapped.netlist, modules, SOURCE)
    parts: dict[str, Counter[str]] = defaultdict(Counter)
    for module, cells in own.items():
        words = module.split(".")
        parts[".".join(words[: 2 if words[0] == CORE else 1])].update(cells)
    total = sum(parts.values(), Counter[str]())
    resources = count_resources(total, family)
    return {
        "yosys": yosys_version(),
        "script": mapped.script,
        "sops_per_cycle": sops_per_cycle,
        "bram_kbit": FAMILIES[family].bram_kbit,
        "resources": resources,
        "lut_per_sop_per_cycle": luts(resources) / sops_per_cycle,
        "parts": {name: count_resources(cells, family) for name, cells in sorted(parts.items())},
        "modules": {name: count_resources(cells, family) for name, cells in own.items()},
        "cells": dict(sorted(total.items())),
        "part_cells": {name: dict(sorted(cells.items())) for name, cells in sorted(parts.items())},
        "seconds": round(seconds, 1),
    }


def merge(path: Path, config: str, family: str | None, content: Mapping[str, Any]) -> dict[str, Any]:
    """Put an entry into a file and keep those of other configurations and families.

    Parameters
    ----------
    path : Path
        JSON file ``{config: {family: entry}}``, or ``{config: entry}`` without a family; made if it is missing.
    config : str
    family : str, optional
    content : mapping
        The entry.

    Returns
    -------
    dict
        The file's new content.
    """
    whole = read_entries(path)
    if family is None:
        whole[config] = dict(content)
    else:
        whole.setdefault(config, {})[family] = dict(content)
    write_atomically(path, json.dumps(whole, indent=2) + "\n")
    return whole


def read_entries(path: Path) -> dict[str, Any]:
    """Content of such a file; empty if there is none.

    Raises
    ------
    UserError
        If it is no JSON object.
    """
    try:
        whole = read_json(path)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}): delete it") from error
    if not isinstance(whole, dict):
        raise UserError(f"{path} is not a JSON object: delete it")
    return whole
