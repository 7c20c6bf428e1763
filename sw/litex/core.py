"""The accelerator as a module of LiteX, and what connects it to a system on a chip."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from amaranth.hdl._ir import PortDirection  # the only way to state directions in a port dictionary

from hw.accelerator import AxiAccelerator
from hw.config import HardwareConfig
from hw.host.registers import REGISTER_ADDRESS_BITS
from hw.parts.technology import Technology
from hw.verilog.description import TOP
from hw.verilog.emit import emit
from hw.verilog.flat_ports import CLOCK, RESET_CYCLES, AxiPorts
from sw.errors import UserError
from sw.folders import write_folder
from sw.ip.package import C_DRIVER

try:
    from litex.gen import LiteXModule
    from litex.soc.integration.soc import SoC, SoCRegion
    from litex.soc.interconnect.axi import AXIInterface, AXILiteInterface
    from migen import ClockSignal, Instance, Signal
except ImportError as error:
    raise UserError(
        f"LiteX is not installed ({error}): pip install --constraint constraints.txt --editable '.[litex]'"
    ) from error

REGISTER_BITS = 32
"""Width of the register bus."""


class SpikeloomCore(LiteXModule):
    """The emitted accelerator with LiteX's interfaces, in the clock domain ``sys``.

    LiteX resets a system by a pulse of one cycle. The accelerator wants `RESET_CYCLES`, and its own begins
    cycles later than that of everything else: so ``aresetn`` is held for so long, and what the accelerator
    offers or accepts meanwhile stays inside.

    Its ports are those of `hw.verilog.flat_ports.AxiPorts`; the Verilog itself is none of its business, see
    `add_spikeloom`.

    Parameters
    ----------
    config : HardwareConfig
    address_width : int
        Bits of a byte address on the memory bus. Higher bits of what the accelerator asks for are dropped: the host
        gives addresses that are there.

    Attributes
    ----------
    bus : AXILiteInterface
        Registers, a slave of 32 bits; it looks at the lowest `REGISTER_ADDRESS_BITS` of an address.
    memory : AXIInterface
        A master of `HardwareConfig.memory_bits`: INCR bursts of whole beats, at most 64.
    interrupt : Signal
        High while an enabled interrupt is pending in the accelerator. `ev` is the same where LiteX looks for it.
    """

    def __init__(self, config: HardwareConfig, *, address_width: int = 32):
        self.bus = AXILiteInterface(data_width=REGISTER_BITS, address_width=address_width)
        self.memory = AXIInterface(data_width=config.memory_bits, address_width=address_width)
        self.interrupt = Signal()
        self.ev = SimpleNamespace(irq=self.interrupt)
        resetting = Signal(RESET_CYCLES, reset=(1 << RESET_CYCLES) - 1)
        self.sync += resetting.eq(resetting >> 1)
        connections = {
            f"i_{CLOCK}": ClockSignal("sys"),
            "i_aresetn": ~resetting[0],
            "o_interrupt": self.interrupt,
        }
        for name, (port, direction) in AxiPorts(AxiAccelerator(config)).ports.items():
            prefix, _, member = name.rpartition("_")
            if prefix not in ("s_axi_ctrl", "m_axi_mem"):
                continue
            # In between: addresses are of other widths here and there.
            signal, end = Signal(len(port), name=name), self._member(prefix, member)
            if direction is PortDirection.Input:
                self.comb += signal.eq(end)
                connections[f"i_{name}"] = signal
            else:
                handshake = member.endswith(("valid", "ready"))
                self.comb += end.eq(signal & ~resetting[0] if handshake else signal)
                connections[f"o_{name}"] = signal
        self.specials += Instance(TOP, **connections)

    def _member(self, prefix: str, member: str) -> Signal:
        """LiteX's signal of one of AXI, as ``arvalid``: the channel has one letter or two."""
        channel = member[0] if member[0] in "wrb" else member[:2]
        interface = self.bus if prefix == "s_axi_ctrl" else self.memory
        return getattr(getattr(interface, channel), member[len(channel) :])


def add_spikeloom(
    soc: SoC,
    config: HardwareConfig,
    folder: Path,
    *,
    name: str = "spikeloom",
    origin: int | None = None,
    technology: Technology = Technology.PORTABLE,
    dram_port: bool = False,
) -> SpikeloomCore:
    """Add the accelerator to a system: registers on its bus, memory port, interrupt, Verilog.

    Parameters
    ----------
    soc : SoC
        With a bus of 32 bits, of any standard.
    config : HardwareConfig
    folder : Path
        Where Verilog, JSON description, C header and C driver are written, see `sw.folders.write_folder`. Several
        accelerators of one configuration share it; those of two have modules of the same names, so a system cannot hold
        both.
    name : str
        Of the module and its region; an interrupt of this name is taken if the processor has interrupts.
    origin : int, optional
        Byte address of the registers, a multiple of their 16 KB; LiteX allocates one by default. Uncached.
    technology : Technology
        Form of the Verilog.
    dram_port : bool
        Read memory by a port of its own of LiteDRAM (`SoC.add_sdram` comes before): a beat per cycle, where the DRAM is
        wide enough, but past a cache of LiteX in front of the DRAM. Otherwise the port is a master of the system's bus,
        or of the bus that a processor with coherent caches has for such (``dma_bus``), a word at a time.

    Returns
    -------
    SpikeloomCore
        The module, also ``soc.<name>``.

    Raises
    ------
    UserError
        If a bus is too wide, there is no LiteDRAM, or the folder holds something else.
    """
    memory_bus = getattr(soc, "dma_bus", soc.bus)
    if soc.bus.data_width != REGISTER_BITS:
        raise UserError(
            f"the bus has {soc.bus.data_width} bits and would read two registers at a time, where there may be one: "
            f"set bus_data_width={REGISTER_BITS}"
        )
    if dram_port and not hasattr(soc, "sdram"):
        raise UserError("dram_port needs LiteDRAM, but there is none: call add_sdram before add_spikeloom")
    if not dram_port and memory_bus.data_width > config.memory_bits:
        raise UserError(
            f"the memory bus has {memory_bus.data_width} bits, the accelerator {config.memory_bits}, and LiteX cannot "
            "widen its bursts: use dram_port, or a configuration with wider memory"
        )
    texts = emit(config, technology=technology)
    driver = {path.name: path.read_text(encoding="utf-8") for path in sorted(C_DRIVER.iterdir())}
    write_folder(folder, texts.files | driver)
    soc.platform.add_source(str(folder / f"{config.name}.v"))

    core = SpikeloomCore(config, address_width=soc.bus.address_width)
    soc.add_module(name=name, module=core)
    region = SoCRegion(origin=origin, size=1 << REGISTER_ADDRESS_BITS, cached=False)
    soc.bus.add_slave(name=name, slave=core.bus, region=region)
    if dram_port:
        from litedram.frontend.axi import LiteDRAMAXI2Native

        port = soc.sdram.crossbar.get_port(data_width=config.memory_bits)
        base = soc.bus.regions["main_ram"].origin
        soc.add_module(name=f"{name}_dram", module=LiteDRAMAXI2Native(core.memory, port, base_address=base))
    else:
        memory_bus.add_master(name=name, master=core.memory)
    if soc.irq.enabled:
        soc.irq.add(name, use_loc_if_exists=True)
    return core
