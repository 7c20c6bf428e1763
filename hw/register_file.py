"""The host's view of the accelerator, behind a word-addressed register bus."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import HardwareConfig
from .memory_port import MEMORY_ADDRESS_BITS
from .registers import COUNTER_SLOTS, IDENTITY, REGISTER_ADDRESS_BITS, REGISTERS, VERSION, ErrorCause


class RegisterBus(wiring.Signature):
    """Synchronous register bus; read data follows the address by one cycle.

    Members
    -------
    address : Out(12)
        Word address.
    write : Out(1), write_data : Out(32)
        Writes this cycle.
    read_data : In(32)
        Content of the address of one cycle ago.
    """

    def __init__(self):
        super().__init__(
            {
                "address": Out(unsigned(REGISTER_ADDRESS_BITS)),
                "write": Out(1),
                "write_data": Out(32),
                "read_data": In(32),
            }
        )


class RegisterFile(wiring.Component):
    """Implements `hw.registers.REGISTERS`.

    Parameters
    ----------
    config : HardwareConfig
        Sizes of the windows.

    Members
    -------
    bus : In(RegisterBus)
        From the host.
    start : Out(1)
        Pulse: begin a job.
    program, image : Out(32)
        Beat addresses.
    busy, done, error, prediction, cycles, layers : In
        State shown to the host.
    logit_index : Out, logit : In(signed(32))
        Reads a logit, combinational.
    profile_address : Out, profile_data : In(32)
        Reads the counters, one cycle of latency.
    """

    def __init__(self, config: HardwareConfig):
        super().__init__(
            {
                "bus": In(RegisterBus()),
                "start": Out(1),
                "program": Out(MEMORY_ADDRESS_BITS),
                "image": Out(MEMORY_ADDRESS_BITS),
                "busy": In(1),
                "done": In(1),
                "error": In(ErrorCause),
                "prediction": In(32),
                "cycles": In(32),
                "layers": In(32),
                "logit_index": Out(range(config.max_classes)),
                "logit": In(signed(32)),
                "profile_address": Out(range(config.max_layers * COUNTER_SLOTS)),
                "profile_data": In(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        with m.If(bus.write), m.Switch(bus.address):
            with m.Case(REGISTERS["CONTROL"].address):
                m.d.comb += self.start.eq(bus.write_data[0] & ~self.busy)
            with m.Case(REGISTERS["PROGRAM_ADDRESS"].address):
                m.d.sync += self.program.eq(bus.write_data)
            with m.Case(REGISTERS["IMAGE_ADDRESS"].address):
                m.d.sync += self.image.eq(bus.write_data)

        readable = {
            "IDENTITY": IDENTITY,
            "VERSION": VERSION,
            "STATUS": Cat(self.busy, self.done, self.error != 0),
            "ERROR": self.error,
            "PROGRAM_ADDRESS": self.program,
            "IMAGE_ADDRESS": self.image,
            "PREDICTION": self.prediction,
            "CYCLES": self.cycles,
            "LAYERS": self.layers,
        }
        logits, profile = REGISTERS["LOGITS"], REGISTERS["PROFILE"]
        value, from_logits, from_profile = Signal(32), Signal(), Signal()
        m.d.comb += [self.logit_index.eq(bus.address), self.profile_address.eq(bus.address)]
        m.d.comb += from_logits.eq((bus.address >= logits.address) & (bus.address < logits.address + logits.words))
        m.d.sync += [value.eq(0), from_profile.eq(bus.address >= profile.address)]
        with m.Switch(bus.address):
            for name, content in readable.items():
                with m.Case(REGISTERS[name].address):
                    m.d.sync += value.eq(content)
            with m.Default(), m.If(from_logits):
                m.d.sync += value.eq(self.logit)
        m.d.comb += bus.read_data.eq(Mux(from_profile, self.profile_data, value))
        return m
