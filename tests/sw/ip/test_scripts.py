"""The scripts of an IP core are such as Vivado would run.

Vivado is not here: they run in a Tcl interpreter whose commands are checked against a list of what is known of them.
That the check can fail is shown by scripts with a mistake each.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("tkinter", reason="this Python has no Tcl interpreter (Debian: apt install python3-tk)")

from hw.external.memory_port import BYTE_ADDRESS_BITS
from hw.host.registers import REGISTERS, VERSION
from hw.named_configs import MINI
from hw.parts.technology import Technology
from sw.folders import write_folder
from sw.ip.boards import BOARDS
from sw.ip.package import core_name, ip_files
from tests.sw.ip.block_design import Refused
from tests.sw.ip.vivado import Vivado

BOARD_NAMES = [board.name for board in BOARDS]


@pytest.fixture
def folder(files, tmp_path) -> Path:
    write_folder(tmp_path / "ip core", files)  # a name that a script might split
    return tmp_path / "ip core"


def run(folder: Path, script: str, **options) -> Vivado:
    vivado = Vivado(**options)
    vivado.source(folder / script)
    return vivado


def calls_of(vivado: Vivado, name: str) -> list[list[str]]:
    return [words for command, *words in vivado.calls if command == name]


def added_verilog(vivado: Vivado) -> str:
    (verilog,) = [words[-1] for words in calls_of(vivado, "add_files") if f"{MINI.name}.v" in words[-1]]
    return verilog


def test_packaging_runs_and_describes_every_register(folder):
    vivado = run(folder, "package.tcl")
    name = f"spikeloom:spikeloom:{core_name(MINI)}:{VERSION}.0"
    assert list(vivado.packager.saved) == [name]
    place, core = vivado.packager.saved[name]
    assert place == folder / "build" / "ip"
    assert core.spaces == {"m_axi_mem": "m_axi_mem"} and core.segments == {"s_axi_ctrl": ("s_axi_ctrl", "reg0")}
    shown = {name: int(values["address_offset"], 16) for name, values in vivado.packager.registers.items()}
    assert shown == {name: register.address for name, register in REGISTERS.items() if register.words == 1}
    assert vivado.packager.registers["STATUS"]["access"] == "read-only"
    assert vivado.packager.registers["CONTROL"]["access"] == "write-only"
    assert ["range", str(2**BYTE_ADDRESS_BITS), "space:m_axi_mem"] in calls_of(vivado, "set_property")


@pytest.mark.parametrize("board", BOARDS, ids=BOARD_NAMES)
def test_a_board_gets_its_bitstream(folder, board):
    vivado = run(folder, f"boards/{board.name}.tcl")
    assert {path.name for path in (folder / "pynq" / board.name).iterdir()} == {
        f"{core_name(MINI)}.bit",
        f"{core_name(MINI)}.hwh",
    }
    assert {words[words.index("-part") + 1] for words in calls_of(vivado, "create_project")} == {board.part}
    verilog = added_verilog(vivado)
    assert ("xilinx" in verilog) == board.system.ultrascale
    design = vivado.design
    assert design is not None and design.valid
    assert design.assigned["ps/Data"] == {"spikeloom/s_axi_ctrl/reg0": (f"0x{board.system.control_base:08X}", "16K")}
    memory = set(design.assigned["spikeloom/m_axi_mem"])
    assert memory == {name for name in design.segments() if "_DDR_" in name}
    assert design.parameters["ps"][board.system.clock_setting] == str(board.clock_mhz)
    assert ["spikeloom/interrupt", f"ps/{board.system.interrupt}"] in design.nets


def test_every_script_is_of_known_commands_only(folder):
    """No Tcl command either that would run a program or reach another machine."""
    for path in folder.rglob("*.tcl"):
        assert not re.search(r"\b(exec|socket|open |eval|uplevel|load|package require)\b", path.read_text()), path


def test_without_the_primitives_every_board_takes_the_portable_form(tmp_path):
    files = ip_files(MINI, Technology.PORTABLE)
    assert not [path for path in files if "xilinx" in path or "primitives" in path]
    write_folder(tmp_path / "ip", files)
    assert "hdl/portable/" in added_verilog(run(tmp_path / "ip", "boards/kv260.tcl"))


MISTAKES = {
    "a command misspelt": ("validate_bd_design", "validate_bd_desing", 'invalid command name "validate_bd_desing"'),
    "an unknown option": ("-to_step write", "-until write", "launch_runs: unknown option -until"),
    "an option without its value": (" -jobs $jobs", " -jobs", "launch_runs: -jobs has no value"),
    "an option's value": ("-type ip -vlnv xilinx.com:ip:proc", "-type module -vlnv xilinx.com:ip:proc", "-type cannot"),
    "an option left out": ("[get_files system.bd] -top", "x", "-top is missing"),
    "an argument too many": ("save_bd_design", "save_bd_design now", "save_bd_design: 1 arguments, not 0"),
    "a missing file": ("hdl/xilinx/mini.v", "hdl/xilinx/maxi.v", "maxi.v does not exist"),
    "a missing script": ("root package.tcl", "root packing.tcl", "packing.tcl"),
    "another part": ("set part xck26", "set part xck27", "create_project: -part cannot be"),
    "a core that is none": ("ip:smartconnect control", "ip:smartconect control", "unknown core"),
    "another version of ours": (f":{VERSION}.0 spikeloom", ":1.0 spikeloom", "in the catalogue"),
    "a parameter that is none": ("PSU__USE__IRQ0", "PSU__USE__IRQ_0", "zynq_ultra_ps_e has no parameter"),
    "a parameter's value": ("DATA_WIDTH 128", "DATA_WIDTH 256", "PSU__SAXIGP2__DATA_WIDTH cannot be '256'"),
    "a parameter left out": ("    CONFIG.PSU__USE__IRQ0 1 \\\n", "", "ps is not told PSU__USE__IRQ0"),
    "a pin that is none": ("ps/pl_clk0]", "ps/pl_clk9]", "zynq_ultra_ps_e has no pl_clk9 among its pins"),
    "a cell that is none": ("[get_bd_pins memory/aclk]", "[get_bd_pins mem/aclk]", "there is no cell mem"),
    "an unconnected clock": ("[get_bd_pins memory/aclk]", "", "memory/aclk is not connected"),
    "an unconnected interrupt": ("connect_bd_net [get_bd_pins spikeloom/int", "list [list int", "0 is not connected"),
    "a reset on a clock": ("reset/ext_reset_in", "reset/slowest_sync_clk", "clock and reset on one net"),
    "an interface left open": (
        "connect_bd_intf_net [get_bd_intf_pins control/M00_AXI]", "list", "ps/Data does not reach spikeloom/s_axi_ctrl"
    ),
    "an interface connected twice": ("memory/S00_AXI", "control/S00_AXI", "control/S00_AXI is connected twice"),
    "two masters": ("[get_bd_intf_pins spikeloom/s_axi_ctrl]", "[get_bd_intf_pins spikeloom/m_axi_mem]", "and master"),
    "registers without an address": (
        "assign_bd_address -target_address_space [get_bd_addr_spaces ps/Data]", "list", "ps/Data has no address for",
    ),
    "a segment left": ("exclude_bd_addr_seg -target_address_space", "list", "no address for ps/SAXIGP2/HP0_LPS_OCM"),
    "segments that are none": ("ps/SAXIGP2/*", "ps/SAXIGP3/*", "no address segment is ps/SAXIGP3"),
    "no settings of the board": ("apply_bd_automation", "list", "ps has no settings of a board"),
    "a run before its design is checked": ("validate_bd_design\n", "\n", "save_bd_design: the design is not validated"),
    "another top": ("top system_wrapper", "top system_wraper", "top system_wraper is in no file"),
    "a bitstream looked for elsewhere": ("impl_1 system_wrapper.bit", "impl_2 system_wrapper.bit", "no such file"),
}  # fmt: skip
"""Text in the script of a board, another one in its place, and the refusal."""

PACKAGING_MISTAKES = {
    "a command misspelt": ("ipx::save_core", "ipx::save_cor", "invalid command name"),
    "no clock for an interface": ("ipx::associate_bus_interfaces -busif m", "list -busif m", "have a clock"),
    "an interface that is none": ("-busif m_axi_mem", "-busif m_axi", "no interface m_axi"),
    "another top": ("top spikeloom", "top spikelom", "no module spikelom"),
    "no memory map": ("set_property slave_memory_map_ref", "list", "s_axi_ctrl has no memory map"),
    "no address space": ("set_property master_address_space_ref", "list", "m_axi_mem has no address space"),
    "a register outside": ("STATUS 0x0010", "STATUS 0x4000", "register STATUS is outside"),
    "an access that is none": ("STATUS 0x0010 read-only", "STATUS 0x0010 readonly", "access cannot be 'readonly'"),
    "a register twice": ("STATUS 0x0010", "ERROR 0x0010", "two registers ERROR"),
    "constraints that are none": ("{spikeloom_mini.xdc", "{spikelom.xdc", "spikelom.xdc does not exist"),
    "constraints used nowhere": ("set_property used_in {implementation}", "list", "is used nowhere"),
    "a property that is none": ("set_property display_name", "set_property displayname", "no property displayname"),
    "a map beside the guessed one": ("ipx::remove_memory_map", "list", "more than one of"),
}  # fmt: skip


def wrong(folder: Path, script: str, mistake: tuple[str, str, str]) -> None:
    """The script is refused for its mistake."""
    text, other, message = mistake
    path = folder / script
    before = path.read_text()
    assert text in before
    path.write_text(before.replace(text, other))
    with pytest.raises(Refused, match=message):
        run(folder, script)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_script_with_a_mistake_is_refused(folder, mistake):
    wrong(folder, "boards/kv260.tcl", MISTAKES[mistake])


def test_an_object_does_not_outlive_its_project(folder):
    look_up = "[get_board_parts -quiet -latest_file_version $board]"
    script = folder / "boards" / "kv260.tcl"
    before = script.read_text()
    kept = before.replace(f"if {{{look_up}", f"if {{[set kept {look_up}]").replace(f"[lindex {look_up} 0]", "$kept")
    assert kept.count("kept") == 2
    script.write_text(kept)
    with pytest.raises(Refused, match=r"set_property: '.*:kv260_som:part0:1.0' is no board part"):
        run(folder, "boards/kv260.tcl")


@pytest.mark.parametrize("mistake", PACKAGING_MISTAKES)
def test_packaging_with_a_mistake_is_refused(folder, mistake):
    wrong(folder, "package.tcl", PACKAGING_MISTAKES[mistake])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slack": "-0.2"}, r"timing is not met at 100 MHz \(slack -0.2 ns\): lower clock_mhz"),
        ({"progress": "50%"}, "no bitstream: see .*runme.log"),
        ({"boards": False}, "Vivado has no board file kv260_som: install it"),
    ],
)
def test_a_script_says_what_went_wrong_and_leaves_no_bitstream(folder, options, message):
    with pytest.raises(Refused, match=message):
        run(folder, "boards/kv260.tcl", **options)
    assert not (folder / "pynq" / "kv260").exists()
