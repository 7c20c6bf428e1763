"""The folder of an IP core: Verilog, scripts for Vivado, constraints, FuseSoC core, C driver, PYNQ notebook."""

from __future__ import annotations

from pathlib import Path

import jinja2

from hw.config import HardwareConfig
from hw.external.memory_port import BYTE_ADDRESS_BITS
from hw.host.registers import REGISTER_ADDRESS_BITS, REGISTERS, VERSION
from hw.parts.technology import Technology
from hw.verilog.c_header import HEADER
from hw.verilog.description import TOP
from hw.verilog.emit import accelerator_verilog, emit
from hw.verilog.flat_ports import CLOCK
from hw.verilog.lint import PRIMITIVES, WAIVERS
from sw.ip.boards import BOARDS
from sw.ip.notebook import notebook

HERE = Path(__file__).parent
C_DRIVER = HERE.parent / "driver" / "c"

VENDOR, LIBRARY = "spikeloom", "spikeloom"
"""First two parts of the core's name in Vivado's catalogue and in FuseSoC; by the library `open_pynq` finds it."""

SYNCHRONISER = "reset_0_reg"
"""What Vivado calls the first register behind ``aresetn``, see `hw.verilog.flat_ports.AxiPorts`."""

ACCESS = {"r": "read-only", "rw": "read-write", "w": "write-only", "w1c": "read-write"}
"""`hw.host.registers.Register.access` in the words of IP-XACT."""

UNTRIED = "It has been checked against a model of Vivado's commands, but not yet run in Vivado or on the board."


def core_name(config: HardwareConfig) -> str:
    """Name of the core: that of its configuration, in letters, digits and underscores."""
    return f"spikeloom_{config.name.replace('-', '_')}"


def braced(text: str) -> str:
    """A text as one word of Tcl."""
    assert not set(text) & set("{}\\"), text
    return f"{{{text}}}"


def ip_files(config: HardwareConfig, technology: Technology = Technology.XILINX) -> dict[str, str]:
    """Text of every file of the folder, by its path in it; the same from run to run and from machine to machine.

    Parameters
    ----------
    config : HardwareConfig
    technology : Technology
        Form of the Verilog on FPGAs that have its primitives; beside it there is always the portable one.
    """
    texts = emit(config)
    files = {f"hdl/portable/{config.name}.v": texts.verilog, f"hdl/{config.name}.json": texts.description}
    (portable, _), xilinx = files, ""
    if technology is Technology.XILINX:
        xilinx = f"hdl/xilinx/{config.name}.v"
        files |= {
            xilinx: accelerator_verilog(config, technology=technology),
            "lint/primitives.v": PRIMITIVES.read_text(encoding="utf-8"),
        }
    files |= {
        "lint/lint.vlt": WAIVERS.read_text(encoding="utf-8"),
        f"c/{HEADER}": texts.header,
        **{f"c/{path.name}": path.read_text(encoding="utf-8") for path in sorted(C_DRIVER.iterdir())},
    }
    core = core_name(config)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    environment.filters["braced"] = braced
    environment.globals.update(
        config=config, core=core, vendor=VENDOR, library=LIBRARY, version=f"{VERSION}.0", module=TOP, clock=CLOCK,
        description=f"Spikformer accelerator, {config.sops_per_cycle} synaptic operations per cycle, "
        f"configuration 0x{config.fingerprint:08X}",
        untried=UNTRIED, synchroniser=SYNCHRONISER, address_bits=BYTE_ADDRESS_BITS,
        register_bytes=1 << REGISTER_ADDRESS_BITS, access=ACCESS,
        registers={name: register for name, register in REGISTERS.items() if register.words == 1},
        boards=BOARDS, portable=portable, xilinx=xilinx,
        hdl={board.name: xilinx if xilinx and board.system.ultrascale else portable for board in BOARDS},
        lints={"lint": ["waivers", "rtl"]}
        | ({"lint_xilinx": ["waivers", "primitives", "rtl_xilinx"]} if xilinx else {}),
    )  # fmt: skip

    def rendered(template: str, **more: object) -> str:
        return environment.get_template(f"{template}.j2").render(**more)

    return files | {
        "package.tcl": rendered("package.tcl"),
        **{f"boards/{board.name}.tcl": rendered("board.tcl", board=board) for board in BOARDS},
        f"constraints/{core}.xdc": rendered("constraints.xdc"),
        f"constraints/{core}_ooc.xdc": rendered("constraints_ooc.xdc"),
        f"{core}.core": rendered("fusesoc.core"),
        "README.md": rendered("README.md"),
        "pynq/spikeloom.ipynb": notebook(config, core),
    }
