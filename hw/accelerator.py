"""The accelerator as an integrator sees it: the core between an AXI4-Lite slave and an AXI4 master."""

from __future__ import annotations

from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from hw.config import HardwareConfig
from hw.core import Core
from hw.external.axi import Axi4, AxiLite, hand_on
from hw.external.axi_reader import AxiMemory
from hw.host.axi_lite import AxiLiteSlave
from hw.host.job_control import JobControl
from hw.host.register_file import RegisterFile
from hw.host.registers import REGISTER_ADDRESS_BITS
from hw.host.result_writer import ResultWriter
from hw.host.watchdog import Watchdog
from hw.parts.technology import Technology


class AxiAccelerator(wiring.Component):
    """A `Core` with its registers, its way to memory, and what ends a job and begins the next.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.
    technology : Technology
        What the weight array is made of.

    Members
    -------
    s_axi_ctrl : In(AxiLite(14))
        The host's registers, see `hw.host.registers`.
    m_axi_mem : Out(Axi4(memory_bits))
        External memory: program, weights and images are read, result records written.
    interrupt : Out(1)
        High while an enabled interrupt has not been cleared.
    """

    def __init__(self, config: HardwareConfig, *, technology: Technology = Technology.PORTABLE):
        self._config, self._technology = config, technology
        super().__init__(
            {
                "s_axi_ctrl": In(AxiLite(REGISTER_ADDRESS_BITS)),
                "m_axi_mem": Out(Axi4(config.memory_bits)),
                "interrupt": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.job_control = control = JobControl()
        m.submodules.axi_lite = slave = AxiLiteSlave()
        m.submodules.register_file = registers = RegisterFile(config)
        m.submodules.axi_memory = memory = AxiMemory(config.memory_bits)
        m.submodules.result_writer = writer = ResultWriter(config)
        m.submodules.watchdog = watchdog = Watchdog()
        # A domain of its own, with the same clock: one reset per register, itself a register. `ResetInserter` would put
        # a second one in front of each, which took a fifth of the simulation's speed.
        core = Core(config, technology=self._technology)
        m.domains.core = domain = ClockDomain("core", local=True)
        m.submodules.core = DomainRenamer("core")(core)
        m.d.comb += [domain.clk.eq(ClockSignal()), domain.rst.eq(control.core_reset)]

        hand_on(m, self.m_axi_mem, memory.axi)
        hand_on(m, self.m_axi_mem, writer.axi)
        connect(m, wiring.flipped(self.s_axi_ctrl), slave.axi)
        connect(m, slave.bus, registers.bus)
        connect(m, core.memory, memory.memory)

        m.d.comb += [
            control.start.eq(registers.start),
            control.reset.eq(registers.reset),
            control.core_done.eq(core.done),
            control.core_error.eq(core.error),
            control.core_descriptors.eq(core.descriptors),
            control.core_cycles.eq(core.cycles),
            control.memory_error.eq(memory.error),
            control.memory_idle.eq(memory.idle),
            memory.stop.eq(control.memory_stop),
            control.record.eq(registers.result_enable),
            control.record_last.eq(writer.last),
            control.record_done.eq(writer.done),
            control.record_error.eq(writer.failed),
            control.record_idle.eq(writer.idle),
            control.expired.eq(watchdog.expired),
            control.awaited.eq(watchdog.awaited),
            watchdog.limit.eq(registers.watchdog),
            watchdog.written.eq(registers.watchdog_written),
            watchdog.running.eq(control.busy),
            watchdog.awaited.eq(memory.awaited | writer.awaited),
            watchdog.answered.eq(memory.answered | writer.answered),
            watchdog.advances.eq(core.advances),
            core.start.eq(control.core_start),
            core.program.eq(registers.program),
            core.program_beats.eq(registers.program_beats),
            core.image.eq(registers.image),
        ]
        m.d.comb += [
            registers.busy.eq(control.busy),
            registers.done.eq(control.done),
            registers.error.eq(control.error),
            registers.ended.eq(control.ended),
            registers.descriptors.eq(control.descriptors),
            registers.cycles.eq(control.cycles),
            registers.jobs.eq(control.jobs),
            registers.prediction.eq(core.prediction),
            registers.logit.eq(core.logit),
            core.counter_address.eq(registers.profile_address),
            registers.profile_data.eq(core.counter_data),
            self.interrupt.eq(registers.interrupt),
        ]
        m.d.comb += [
            writer.start.eq(control.record_start),
            writer.stop.eq(control.record_stop),
            writer.line.eq(registers.result),
            writer.prediction.eq(core.prediction),
            writer.cycles.eq(control.cycles),
            writer.error.eq(control.error),
            writer.descriptors.eq(control.descriptors),
            writer.jobs.eq(control.jobs),
            writer.logit.eq(core.logit),
            # The host gets no logits while a job is busy, but an error response.
            core.logit_index.eq(Mux(writer.busy, writer.logit_index, registers.logit_index)),
        ]
        return m
