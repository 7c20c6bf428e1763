"""Boards that a block design is written for: what their processing systems call their ports, clocks and settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ProcessingSystem:
    """A hard processor beside the fabric, as a cell of a block design.

    Attributes
    ----------
    ip : str
        Its name in Vivado's catalogue.
    options : str
        What its block automation is told: to take memory and pins from the board's file.
    settings : mapping of str to str
        Its parameters: one master for registers, one slave for memory, one interrupt, one clock.
    clock_setting : str
        The parameter that is the clock in MHz.
    clock, reset, interrupt : str
        Pins: a clock and an active-low reset that it gives, an interrupt that it takes.
    control, memory : str
        Interfaces: the master that reaches registers, the slave that reaches memory.
    control_clock, memory_clock : str
        Pins for their clocks.
    control_base : int
        Byte address of the registers, where `control` begins.
    memory_segments : str
        Group of the address segments behind `memory`; those with ``DDR`` in their names are memory.
    ultrascale : bool
        Whether the fabric has the primitives of `hw.parts.technology.Technology.XILINX`.
    """

    ip: str
    options: str
    settings: Mapping[str, str]
    clock_setting: str
    clock: str
    reset: str
    interrupt: str
    control: str
    memory: str
    control_clock: str
    memory_clock: str
    control_base: int
    memory_segments: str
    ultrascale: bool


ZYNQ_ULTRASCALE = ProcessingSystem(
    ip="zynq_ultra_ps_e",
    options='apply_board_preset "1"',
    settings={
        "PSU__USE__M_AXI_GP0": "1",
        "PSU__USE__M_AXI_GP1": "0",
        "PSU__USE__M_AXI_GP2": "0",
        "PSU__USE__S_AXI_GP2": "1",
        "PSU__SAXIGP2__DATA_WIDTH": "128",  # what it is after boot; the interconnect widens a port of 64 bits
        "PSU__USE__IRQ0": "1",
        "PSU__FPGA_PL0_ENABLE": "1",
    },
    clock_setting="PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ",
    clock="pl_clk0",
    reset="pl_resetn0",
    interrupt="pl_ps_irq0",
    control="M_AXI_HPM0_FPD",
    memory="S_AXI_HP0_FPD",
    control_clock="maxihpm0_fpd_aclk",
    memory_clock="saxihp0_fpd_aclk",
    control_base=0xA000_0000,
    memory_segments="SAXIGP2",
    ultrascale=True,
)

ZYNQ_7000 = ProcessingSystem(
    ip="processing_system7",
    options='make_external "FIXED_IO, DDR" apply_board_preset "1"',
    settings={
        "PCW_USE_M_AXI_GP0": "1",
        "PCW_USE_S_AXI_HP0": "1",
        "PCW_S_AXI_HP0_DATA_WIDTH": "64",
        "PCW_USE_FABRIC_INTERRUPT": "1",
        "PCW_IRQ_F2P_INTR": "1",
        "PCW_EN_CLK0_PORT": "1",
    },
    clock_setting="PCW_FPGA0_PERIPHERAL_FREQMHZ",
    clock="FCLK_CLK0",
    reset="FCLK_RESET0_N",
    interrupt="IRQ_F2P",
    control="M_AXI_GP0",
    memory="S_AXI_HP0",
    control_clock="M_AXI_GP0_ACLK",
    memory_clock="S_AXI_HP0_ACLK",
    control_base=0x43C0_0000,
    memory_segments="S_AXI_HP0",
    ultrascale=False,
)


@dataclass(frozen=True)
class ZynqBoard:
    """A board.

    Attributes
    ----------
    name, title : str
        As it is called in file names, and by people.
    part : str
        Its FPGA.
    board_file : str
        Name of its file among Vivado's board files, which holds the settings of its memory.
    board_file_from : str
        What that comes with.
    system : ProcessingSystem
    clock_mhz : int
        Clock of the accelerator to begin with; what it reaches only Vivado can say.
    """

    name: str
    title: str
    part: str
    board_file: str
    board_file_from: str
    system: ProcessingSystem
    clock_mhz: int


BOARDS = (
    ZynqBoard(
        name="kv260", title="KV260", part="xck26-sfvc784-2LV-c", board_file="kv260_som",
        board_file_from="Vivado, or its XHub stores", system=ZYNQ_ULTRASCALE, clock_mhz=100,
    ),
    ZynqBoard(
        name="zcu104", title="ZCU104", part="xczu7ev-ffvc1156-2-e", board_file="zcu104",
        board_file_from="Vivado, or its XHub stores", system=ZYNQ_ULTRASCALE, clock_mhz=100,
    ),
    ZynqBoard(
        name="pynq_z2", title="PYNQ-Z2", part="xc7z020clg400-1", board_file="pynq-z2",
        board_file_from="the board, from its maker TUL", system=ZYNQ_7000, clock_mhz=50,
    ),
)  # fmt: skip
"""Boards of `spikeloom ip`."""
