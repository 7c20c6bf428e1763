"""The accelerator as a LiteX module: its ports, its place in a system, and what is refused."""

from __future__ import annotations

import importlib
import re
import sys

import pytest

from hw.named_configs import MINI
from hw.verilog.c_header import c_header
from hw.verilog.description import TOP
from hw.verilog.emit import EmittedTexts
from sw.checkout import ROOT
from sw.errors import UserError
from tests.hw.verilog.emitted import declared_ports, verilog_of

CLOCK_HZ = 100_000_000


def test_without_litex_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "litex.gen", None)
    monkeypatch.delitem(sys.modules, "sw.litex.core", raising=False)
    with pytest.raises(UserError, match=r"^LiteX is not installed \(.*\): pip install .*'\.\[litex\]'$"):
        importlib.import_module("sw.litex.core")


class TestCore:
    """With LiteX."""

    @pytest.fixture(autouse=True)
    def litex(self) -> None:
        pytest.importorskip("litex")

    @pytest.fixture
    def system(self, monkeypatch):
        """Makes a system with VexRiscv; the Verilog is taken as simulations have it."""
        pytest.importorskip("pythondata_cpu_vexriscv")
        from litex.build.generic_platform import GenericPlatform
        from litex.soc.integration.soc_core import SoCCore

        def emit(config, *, technology):
            return EmittedTexts(config.name, verilog_of(config, technology), "{}\n", c_header(config))

        monkeypatch.setattr("sw.litex.core.emit", emit)

        def make(**options):
            options = {"cpu_type": "vexriscv", "integrated_rom_size": 4096, "with_uart": False} | options
            return SoCCore(GenericPlatform("none", [], name="system"), CLOCK_HZ, **options)

        return make

    def test_ports_are_those_of_the_emitted_verilog(self):
        from migen import Instance

        from sw.litex.core import SpikeloomCore

        (instance,) = (one for one in SpikeloomCore(MINI).get_fragment().specials if isinstance(one, Instance))
        direction = {Instance.Input: "input", Instance.Output: "output"}
        ports = {item.name: (direction[type(item)], len(item.expr)) for item in instance.items}
        assert instance.of == TOP and ports == declared_ports(verilog_of(MINI))

    def test_it_gets_an_uncached_region_an_interrupt_and_its_sources(self, system, tmp_path):
        from sw.litex.core import add_spikeloom

        soc = system()
        core = add_spikeloom(soc, MINI, tmp_path / "out", origin=0x90000000)
        assert soc.spikeloom is core
        region = soc.bus.regions["spikeloom"]
        assert (region.origin, region.size, region.cached) == (0x90000000, 0x4000, False)
        assert "spikeloom" in soc.bus.masters and "spikeloom" in soc.irq.locs
        assert (str(tmp_path / "out" / "mini.v"), "verilog", "work") in soc.platform.sources
        names = {path.name for path in (tmp_path / "out").iterdir()}
        assert names == {
            "MANIFEST", "mini.v", "mini.json", "spikeloom.h", "spikeloom_driver.c", "spikeloom_driver.h"
        }  # fmt: skip
        soc.finalize()
        assert soc.constants["SPIKELOOM_INTERRUPT"] == soc.irq.locs["spikeloom"]

    def test_two_have_regions_and_interrupts_of_their_own_and_one_verilog(self, system, tmp_path):
        from sw.litex.core import add_spikeloom

        soc = system()
        for name in ("first", "second"):
            add_spikeloom(soc, MINI, tmp_path / "out", name=name)
        soc.finalize()
        assert soc.irq.locs["first"] != soc.irq.locs["second"]
        assert [path for path, *_ in soc.platform.sources if "mini" in path] == [str(tmp_path / "out" / "mini.v")]
        first, second = (soc.bus.regions[name].origin for name in ("first", "second"))
        assert first % 0x4000 == second % 0x4000 == 0 and abs(first - second) >= 0x4000

    def test_a_processor_without_interrupts_is_no_obstacle(self, system, tmp_path):
        from sw.litex.core import add_spikeloom

        soc = system(cpu_type=None)
        add_spikeloom(soc, MINI, tmp_path / "out", origin=0x90000000)
        assert "spikeloom" not in soc.irq.locs

    def test_a_wide_bus_is_refused(self, system, tmp_path):
        from sw.litex.core import add_spikeloom

        with pytest.raises(UserError, match=r"^the bus has 64 bits .* set bus_data_width=32$"):
            add_spikeloom(system(bus_data_width=64), MINI, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_memory_bus_wider_than_the_accelerator_is_refused(self, system, tmp_path):
        from litex.soc.integration.soc import SoCBusHandler

        from sw.litex.core import add_spikeloom

        soc = system()
        soc.dma_bus = SoCBusHandler("DMABusHandler", data_width=128)
        with pytest.raises(UserError, match=r"^the memory bus has 128 bits, the accelerator 64, .* use dram_port"):
            add_spikeloom(soc, MINI, tmp_path / "out")

    def test_a_port_of_a_dram_that_is_not_there_is_refused(self, system, tmp_path):
        from sw.litex.core import add_spikeloom

        with pytest.raises(UserError, match=r"^dram_port needs LiteDRAM, .*: call add_sdram before add_spikeloom$"):
            add_spikeloom(system(), MINI, tmp_path / "out", dram_port=True)

    def test_the_example_of_the_documentation_runs(self, system, tmp_path, monkeypatch):
        pytest.importorskip("litedram")
        from litedram.modules import M12L16161A
        from litedram.phy.model import SDRAMPHYModel

        text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8").partition("## In a LiteX SoC\n")[2]
        (example,) = re.findall(r"```python\n(.*?)```", text.partition("\n## ")[0], re.DOTALL)
        soc, module = system(), M12L16161A(CLOCK_HZ, "1:1")
        soc.add_sdram("sdram", phy=SDRAMPHYModel(module, data_width=16, clk_freq=CLOCK_HZ), module=module)
        monkeypatch.chdir(tmp_path)
        exec(example.replace("BASE", "MINI"), {"soc": soc})
        soc.finalize()
        assert "spikeloom" in soc.bus.slaves and "spikeloom" not in soc.bus.masters
        assert soc.spikeloom.memory.data_width == MINI.memory_bits
