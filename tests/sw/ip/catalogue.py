"""What is known of Vivado, reviewed by hand: commands with their options, and IP cores with their pins and parameters.

From Vivado's Tcl reference (UG835), its guides to block designs (UG994) and packaging (UG1118), and the product guides
of the cores (PG201, PG082, PG247, PG164). A script that uses anything else fails here; whoever adds to a script adds
here, and looks it up first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NUMBER = r"\d+"
NAME = r"\w+"
PATH = r".+"
PART = r"xck26-sfvc784-2LV-c|xczu7ev-ffvc1156-2-e|xc7z020clg400-1"


@dataclass(frozen=True)
class Command:
    """A command: its options by name, each with a pattern of its value or None for a flag, and its other arguments."""

    options: dict[str, str | None] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    """A pattern for each; the last one may end with ``...`` for one or more."""
    required: tuple[str, ...] = ()
    """Options that must be there."""


COMMANDS = {
    "create_project": Command({"-part": PART, "-force": None}, (NAME, PATH), ("-part",)),
    "close_project": Command(),
    "current_project": Command(),
    "current_fileset": Command(),
    "add_files": Command({"-norecurse": None, "-fileset": "sources_1|constrs_1"}, (PATH,)),
    "get_files": Command({}, (PATH,)),
    "update_compile_order": Command({"-fileset": "sources_1"}, (), ("-fileset",)),
    "set_property": Command({"-dict": None}, (".*...",)),
    "get_property": Command({}, (NAME + r"(\.\w+)?", PATH)),
    "get_board_parts": Command({"-quiet": None, "-latest_file_version": None}, (r"\*:[\w-]+:part0:\*",)),
    "update_ip_catalog": Command(),
    "ipx::package_project": Command(
        {"-root_dir": PATH, "-vendor": r"[\w.]+", "-library": NAME, "-taxonomy": r"/\w+", "-import_files": None,
         "-force": None}, (), ("-root_dir", "-vendor", "-library", "-taxonomy"),
    ),
    "ipx::current_core": Command(),
    "ipx::associate_bus_interfaces": Command({"-busif": NAME, "-clock": NAME, "-reset": NAME}, (PATH,), ("-clock",)),
    "ipx::get_memory_maps": Command({"-of_objects": PATH}, (), ("-of_objects",)),
    "ipx::remove_memory_map": Command({}, (NAME, PATH)),
    "ipx::add_memory_map": Command({}, (NAME, PATH)),
    "ipx::get_bus_interfaces": Command({"-of_objects": PATH}, (NAME,), ("-of_objects",)),
    "ipx::add_address_block": Command({}, (NAME, PATH)),
    "ipx::add_register": Command({}, (NAME, PATH)),
    "ipx::get_address_spaces": Command({"-of_objects": PATH}, (), ("-of_objects",)),
    "ipx::remove_address_space": Command({}, (NAME, PATH)),
    "ipx::add_address_space": Command({}, (NAME, PATH)),
    "ipx::create_xgui_files": Command({}, (PATH,)),
    "ipx::update_checksums": Command({}, (PATH,)),
    "ipx::check_integrity": Command({}, (PATH,)),
    "ipx::save_core": Command({}, (PATH,)),
    "create_bd_design": Command({}, (NAME,)),
    "create_bd_cell": Command({"-type": "ip", "-vlnv": r"[\w.]+:\w+:\w+(:[\d.]+)?"}, (NAME,), ("-type", "-vlnv")),
    "apply_bd_automation": Command(
        {"-rule": r"xilinx\.com:bd_rule:\w+", "-config": ".+"}, (PATH,), ("-rule", "-config")
    ),
    "get_bd_cells": Command({}, (NAME,)),
    "get_bd_pins": Command({}, (r"\w+/\w+",)),
    "get_bd_intf_pins": Command({}, (r"\w+/\w+",)),
    "connect_bd_net": Command({}, (PATH, PATH + "...")),
    "connect_bd_intf_net": Command({}, (PATH, PATH)),
    "get_bd_addr_spaces": Command({}, (r"\w+/\w+",)),
    "get_bd_addr_segs": Command({}, (r"\w+/\w+/[\w*]+",)),
    "assign_bd_address": Command(
        {"-target_address_space": PATH, "-offset": r"0x[0-9A-F]{8}", "-range": r"\d+[KMG]"}, (PATH,),
        ("-target_address_space",),
    ),
    "exclude_bd_addr_seg": Command({"-target_address_space": PATH}, (PATH,), ("-target_address_space",)),
    "validate_bd_design": Command(),
    "save_bd_design": Command(),
    "make_wrapper": Command({"-files": PATH, "-top": None}, (), ("-files", "-top")),
    "launch_runs": Command({"-to_step": "write_bitstream", "-jobs": NUMBER}, ("impl_1",), ("-to_step",)),
    "wait_on_run": Command({}, ("impl_1",)),
    "get_runs": Command({}, ("impl_1",)),
    "open_run": Command({}, ("impl_1",)),
    "report_utilization": Command({"-file": PATH}, (), ("-file",)),
    "report_timing_summary": Command({"-file": PATH}, (), ("-file",)),
}  # fmt: skip
"""Every command that the scripts may use."""

PROPERTIES = {
    "project": {"board_part": r"[\w.]+:[\w-]+:part0:[\d.]+", "ip_repo_paths": PATH},
    "fileset": {"top": NAME},
    "file": {"used_in": "((synthesis|implementation|out_of_context) ?)+"},
    "core": {"name": NAME, "version": r"\d+\.\d+", "display_name": ".+", "description": ".+"},
    "bus interface": {"slave_memory_map_ref": NAME, "master_address_space_ref": NAME},
    "address block": {"usage": "register|memory|reserved", "base_address": NUMBER, "range": NUMBER, "width": "32|64"},
    "register": {
        "address_offset": "0x[0-9A-F]{4}", "size": "32", "access": "read-only|write-only|read-write",
        "description": ".+",
    },
    "address space": {"range": NUMBER, "width": "64|128"},
}  # fmt: skip
"""Properties of each kind of object, with a pattern of their values."""


@dataclass(frozen=True)
class Ip:
    """A core of the catalogue, or the packaged one.

    Attributes
    ----------
    pins : dict of str to str
        Direction, ``in`` or ``out``; an input that need not be connected has ``in?``.
    interfaces : dict of str to str
        ``master`` or ``slave``.
    parameters : dict of str to str
        Pattern of values by name.
    segments : dict of str to tuple of str
        Address segments by the interface behind which they are; their group is first.
    spaces : tuple of str
        Names of its address spaces.
    """

    pins: dict[str, str]
    interfaces: dict[str, str]
    parameters: dict[str, str] = field(default_factory=dict)
    segments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    spaces: dict[str, str] = field(default_factory=dict)


IPS = {
    "zynq_ultra_ps_e": Ip(
        {"pl_clk0": "out", "pl_resetn0": "out", "pl_ps_irq0": "in", "maxihpm0_fpd_aclk": "in",
         "saxihp0_fpd_aclk": "in"},
        {"M_AXI_HPM0_FPD": "master", "S_AXI_HP0_FPD": "slave"},
        {"PSU__USE__M_AXI_GP0": "1", "PSU__USE__M_AXI_GP1": "0", "PSU__USE__M_AXI_GP2": "0", "PSU__USE__S_AXI_GP2": "1",
         "PSU__SAXIGP2__DATA_WIDTH": "32|64|128", "PSU__USE__IRQ0": "1", "PSU__FPGA_PL0_ENABLE": "1",
         "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ": NUMBER},
        {"S_AXI_HP0_FPD": ("SAXIGP2", "HP0_DDR_LOW", "HP0_DDR_HIGH", "HP0_QSPI", "HP0_LPS_OCM")},
        {"Data": "M_AXI_HPM0_FPD"},
    ),
    "processing_system7": Ip(
        {"FCLK_CLK0": "out", "FCLK_RESET0_N": "out", "IRQ_F2P": "in", "M_AXI_GP0_ACLK": "in", "S_AXI_HP0_ACLK": "in"},
        {"M_AXI_GP0": "master", "S_AXI_HP0": "slave"},
        {"PCW_USE_M_AXI_GP0": "1", "PCW_USE_S_AXI_HP0": "1", "PCW_S_AXI_HP0_DATA_WIDTH": "32|64",
         "PCW_USE_FABRIC_INTERRUPT": "1", "PCW_IRQ_F2P_INTR": "1", "PCW_EN_CLK0_PORT": "1",
         "PCW_FPGA0_PERIPHERAL_FREQMHZ": NUMBER},
        {"S_AXI_HP0": ("S_AXI_HP0", "HP0_DDR_LOWOCM")},
        {"Data": "M_AXI_GP0"},
    ),
    "smartconnect": Ip(
        {"aclk": "in", "aresetn": "in"}, {"S00_AXI": "slave", "M00_AXI": "master"}, {"NUM_SI": "1", "NUM_MI": "1"},
    ),
    "proc_sys_reset": Ip(
        {"slowest_sync_clk": "in", "ext_reset_in": "in", "aux_reset_in": "in?", "mb_debug_sys_rst": "in?",
         "dcm_locked": "in?", "mb_reset": "out", "bus_struct_reset": "out", "peripheral_reset": "out",
         "interconnect_aresetn": "out", "peripheral_aresetn": "out"}, {},
    ),
}  # fmt: skip
"""Cores of Vivado with what the settings of the scripts leave of them."""

AUTOMATION = {
    "zynq_ultra_ps_e": {"apply_board_preset": "1"},
    "processing_system7": {"apply_board_preset": "1", "make_external": "FIXED_IO, DDR"},
}
"""What block automation is told."""


def matches(pattern: str, value: str) -> bool:
    """Whether a value is all of a pattern."""
    return re.fullmatch(pattern, value, re.DOTALL) is not None
