"""A LiteX system with VexRiscv and the accelerator: its Verilog, its firmware, its simulation."""

from __future__ import annotations

import subprocess
from pathlib import Path

from litedram.modules import M12L16161A
from litedram.phy.model import SDRAMPHYModel
from litex.build.generic_platform import GenericPlatform, Pins
from litex.gen import LiteXModule
from litex.soc.integration.export import get_csr_header, get_linker_regions, get_mem_header, get_soc_header
from litex.soc.integration.soc_core import SoCCore
from litex.soc.interconnect.csr import CSRStorage
from migen import Display, Finish, If, Signal
from migen.build.generic_platform import CRG

from hw.config import HardwareConfig
from sw.litex.core import add_spikeloom
from tests.hw.verilated import build_bench

FIRMWARE = Path(__file__).parent / "firmware"
COMPILER = "riscv64-unknown-elf-gcc"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-ffreestanding")
ROM_BYTES, SRAM_BYTES, RAM_BYTES, CACHE_BYTES = 0x4000, 0x1000, 0x20000, 0x800
CLOCK_HZ = 100_000_000
DRAM_BITS = 16
"""As on many boards with SDRAM."""

BENCH = """
module bench;
    logic clock = 0;
    always #5 clock = !clock;
    system system(.clock(clock));
    initial #{limit} $fatal(1, "the firmware does not end");
endmodule
"""


class Console(LiteXModule):
    """Prints a word that the firmware writes, and ends the simulation."""

    def __init__(self):
        self.word = CSRStorage(32)
        self.finish = CSRStorage()
        self.sync += [
            If(self.word.re, Display("word %h", self.word.storage)),
            If(self.finish.re, Finish()),
        ]


class System(SoCCore):
    """VexRiscv with ROM, main memory with a content, timer, console and accelerator.

    Parameters
    ----------
    config : HardwareConfig
    folder : Path
        For the accelerator's files.
    memory : list of int
        Content of the main memory, words of 32 bits.
    bus : str
        LiteX's name of the bus's standard.
    ram : str
        What main memory is: ``sram`` on the bus; ``sdram`` behind LiteDRAM and a cache, which the accelerator reaches
        over the bus; ``port``, SDRAM without that cache, where the accelerator has a port of its own; ``port-cache``,
        such a port beside the cache.
    """

    def __init__(self, config: HardwareConfig, folder: Path, memory: list[int], *, bus: str, ram: str):
        sdram = ram != "sram"
        platform = GenericPlatform("simulation", [("clock", 0, Pins(1))], name="system")
        super().__init__(
            platform, CLOCK_HZ, cpu_type="vexriscv", integrated_rom_size=ROM_BYTES, integrated_sram_size=SRAM_BYTES,
            integrated_main_ram_size=0 if sdram else RAM_BYTES, integrated_main_ram_init=[] if sdram else memory,
            bus_standard=bus, with_uart=False, timer_uptime=True,
        )  # fmt: skip
        reset = Signal()
        self.crg = CRG(platform.request("clock"), rst=reset)
        self.crg.rst = reset  # where LiteX looks for it
        self.console = Console()
        if sdram:
            module = M12L16161A(CLOCK_HZ, "1:1")
            self.sdrphy = SDRAMPHYModel(module, data_width=DRAM_BITS, clk_freq=CLOCK_HZ, init=memory)
            self.add_sdram("sdram", phy=self.sdrphy, module=module, l2_cache_size=0 if ram == "port" else CACHE_BYTES)
        self.core = add_spikeloom(self, config, folder / "spikeloom", dram_port=ram.startswith("port"))

    def compile_firmware(self, folder: Path, job: dict[str, int]) -> list[int]:
        """Words of the firmware for a job: macros of ``job.h``."""
        headers = {
            "csr.h": get_csr_header(self.csr_regions, self.constants, with_access_functions=False),
            "mem.h": get_mem_header(self.bus.regions),
            "soc.h": get_soc_header(self.constants, with_access_functions=False),
            "job.h": "".join(f"#define {name} {value}\n" for name, value in job.items()),
            "regions.ld": get_linker_regions(self.bus.regions),
        }
        for name, text in headers.items():
            (folder / name).write_text(text)
        sources = [FIRMWARE / "start.S", FIRMWARE / "main.c", folder / "spikeloom" / "spikeloom_driver.c"]
        command = [
            COMPILER, "-march=rv32im_zicsr", "-mabi=ilp32", "-O2", *STRICT, "-nostdlib", f"-I{folder}",
            f"-I{folder / 'spikeloom'}", f"-L{folder}", f"-T{FIRMWARE / 'firmware.ld'}", *map(str, sources), "-lgcc",
            "-o", str(folder / "firmware.elf"),
        ]  # fmt: skip
        subprocess.run(command, check=True)
        copy = COMPILER.replace("gcc", "objcopy")
        subprocess.run([copy, "-O", "binary", "firmware.elf", "firmware.bin"], cwd=folder, check=True)
        content = (folder / "firmware.bin").read_bytes()
        content += bytes(-len(content) % 4)
        return [int.from_bytes(content[at : at + 4], "little") for at in range(0, len(content), 4)]


def run(
    config: HardwareConfig, folder: Path, memory: list[int], job: dict[str, int], *, bus: str, ram: str, cycles: int
) -> list[int]:
    """Words that the firmware reports of a job whose memory has a content; fails after so many cycles."""
    system = System(config, folder, memory, bus=bus, ram=ram)
    system.finalize()
    system.init_rom("rom", system.compile_firmware(folder, job), auto_size=False)
    verilog = system.platform.get_verilog(system, name="system")
    for name, text in verilog.data_files.items():
        (folder / name).write_text(text)
    sources = [Path(path).read_text() for path, *_ in system.platform.sources]
    bench = "\n".join([*sources, verilog.main_source, BENCH.replace("{limit}", str(10 * cycles))])
    result = subprocess.run([build_bench(bench, folder)], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return [int(line.split()[1], 16) for line in result.stdout.splitlines() if line.startswith("word ")]
