"""The host's view of the accelerator: the registers behind the register bus."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import HardwareConfig
from hw.external.axi_line_writer import LINE_ADDRESS_BITS
from hw.external.memory_port import BYTE_ADDRESS_BITS, MEMORY_ADDRESS_BITS
from hw.host.register_bus import RegisterBus
from hw.host.registers import (
    COUNTER_SLOTS,
    IDENTITY,
    RECORD_LINE_WORDS,
    REGISTERS,
    VERSION,
    Control,
    ErrorCause,
    Interrupt,
    Status,
)


class RegisterFile(wiring.Component):
    """Implements `hw.host.registers.REGISTERS`.

    What a job is told is taken when it starts, so the host may write the next one's registers meanwhile. Registers that
    mean nothing while one runs (`Register.idle`) then answer with an error.

    Parameters
    ----------
    config : HardwareConfig
        Sizes of the windows; its fingerprint.

    Members
    -------
    bus : In(RegisterBus)
        From the host.
    start, reset : Out(1)
        Pulses, the cycle after the write: begin a job, only while not `busy` and without a `reset`; abandon it.
    program : Out(37), program_beats : Out(32)
        Beat address and length of the program, from `start` to the next.
    image : Out(37)
        Beat address of the image, from `start` to the next.
    result : Out(34), result_enable : Out(1)
        Line of the result record, and whether one is written, from `start` to the next.
    watchdog : Out(32), watchdog_written : Out(1)
        As the host wrote it; pulse: there is another one from the next cycle on.
    busy, done, error, prediction, cycles, descriptors, jobs : In
        State shown to the host.
    ended : In(1)
        Pulse: a job has ended, `error` says how.
    logit_index : Out, logit : In(signed(32))
        Reads a logit, one cycle of latency.
    profile_address : Out, profile_data : In(32)
        Reads the counters, two cycles of latency.
    interrupt : Out(1)
        High while an enabled interrupt has not been cleared.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "bus": In(RegisterBus()),
                "start": Out(1),
                "reset": Out(1),
                "program": Out(MEMORY_ADDRESS_BITS),
                "program_beats": Out(32),
                "image": Out(MEMORY_ADDRESS_BITS),
                "result": Out(LINE_ADDRESS_BITS),
                "result_enable": Out(1),
                "watchdog": Out(32),
                "watchdog_written": Out(1),
                "busy": In(1),
                "done": In(1),
                "error": In(ErrorCause),
                "prediction": In(32),
                "cycles": In(32),
                "descriptors": In(32),
                "jobs": In(32),
                "ended": In(1),
                "logit_index": Out(range(config.max_classes)),
                "logit": In(signed(32)),
                "profile_address": Out(range(config.max_layers * COUNTER_SLOTS)),
                "profile_data": In(32),
                "interrupt": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        written, kept = self._kept(m)
        ignored = Signal()  # the last start
        refused = Signal()
        starts = Signal()
        resets = Signal()
        m.d.comb += [
            starts.eq(written["CONTROL"] & ((bus.write_data & Control.START) != 0)),
            resets.eq(written["CONTROL"] & ((bus.write_data & Control.RESET) != 0)),
            refused.eq(starts & (self.busy | resets)),
        ]
        m.d.sync += [self.start.eq(starts & ~refused), self.reset.eq(resets)]
        with m.If(starts | resets):
            m.d.sync += ignored.eq(refused)
        self._take(m, kept, starts & ~refused)
        m.d.comb += [self.watchdog.eq(kept["WATCHDOG"]), self.watchdog_written.eq(written["WATCHDOG"])]

        failed = Signal()
        m.d.comb += failed.eq(self.error != ErrorCause.NONE)
        readable: dict[str, Value | int] = {
            "IDENTITY": IDENTITY,
            "VERSION": VERSION,
            "CONFIG": self._config.fingerprint,
            "CONTROL": 0,
            "STATUS": _flags(
                {Status.BUSY: self.busy, Status.DONE: self.done, Status.ERROR: failed, Status.IGNORED: ignored}
            ),
            "ERROR": self.error,
            "INTERRUPT_STATUS": self._interrupts(
                m, kept["INTERRUPT_ENABLE"], written["INTERRUPT_STATUS"],
                {Interrupt.DONE: self.ended, Interrupt.ERROR: self.ended & failed, Interrupt.IGNORED: refused},
            ),
            "PREDICTION": self.prediction,
            "CYCLES": self.cycles,
            "DESCRIPTORS": self.descriptors,
            "JOBS": self.jobs,
            **kept,
        }  # fmt: skip
        self._read(m, readable)
        return m

    def _kept(self, m: Module) -> tuple[dict[str, Signal], dict[str, Signal]]:
        """Registers that keep what is written; returns the write strobe and the content of each by name."""
        high = BYTE_ADDRESS_BITS - 32
        widths = {
            "INTERRUPT_ENABLE": len(Interrupt), "PROGRAM_BYTES": 32, "RESULT_ENABLE": 1,
            "PROGRAM_ADDRESS_LOW": 32, "PROGRAM_ADDRESS_HIGH": high,
            "IMAGE_ADDRESS_LOW": 32, "IMAGE_ADDRESS_HIGH": high,
            "RESULT_ADDRESS_LOW": 32, "RESULT_ADDRESS_HIGH": high, "WATCHDOG": 32,
        }  # fmt: skip
        assert widths.keys() == {name for name, register in REGISTERS.items() if register.access == "rw"}
        kept = {name: Signal(width, name=name.lower(), init=REGISTERS[name].init) for name, width in widths.items()}
        written = {name: Signal(name=f"write_{name.lower()}") for name in (*widths, "CONTROL", "INTERRUPT_STATUS")}
        with m.If(self.bus.write), m.Switch(self.bus.address[2:]):
            for name, strobe in written.items():
                with m.Case(REGISTERS[name].address // 4):
                    m.d.comb += strobe.eq(1)
        for name, register in kept.items():
            with m.If(written[name]):
                m.d.sync += register.eq(self.bus.write_data)
        return written, kept

    def _take(self, m: Module, kept: dict[str, Signal], start: Value) -> None:
        """What a job is told, as it is at its start."""
        beat, line = exact_log2(self._config.memory_bits // 8), exact_log2(4 * RECORD_LINE_WORDS)

        def address(name: str, unit: int) -> Value:
            return Cat(kept[f"{name}_ADDRESS_LOW"], kept[f"{name}_ADDRESS_HIGH"])[unit:]

        with m.If(start):
            m.d.sync += [
                self.program.eq(address("PROGRAM", beat)),
                self.program_beats.eq(kept["PROGRAM_BYTES"][beat:]),
                self.image.eq(address("IMAGE", beat)),
                self.result.eq(address("RESULT", line)),
                self.result_enable.eq(kept["RESULT_ENABLE"]),
            ]

    def _interrupts(self, m: Module, enable: Signal, clear: Signal, events: dict[Interrupt, Value]) -> Signal:
        """Status bits: an event sets one, a 1 written to it clears it; the event wins."""
        pending = Signal(len(Interrupt))
        happened = Signal(len(Interrupt))
        m.d.comb += [happened.eq(_flags(events)), self.interrupt.eq((pending & enable).any())]
        m.d.sync += pending.eq((pending & ~Mux(clear, self.bus.write_data, 0)) | happened)
        return pending

    def _read(self, m: Module, readable: dict[str, Value | int]) -> None:
        """Data and errors, while the address stands still."""
        bus, config = self.bus, self._config
        windows = {"LOGITS": config.max_classes, "PROFILE": config.max_layers * COUNTER_SLOTS}
        value = Signal(32)
        known = Signal()
        writable = Signal()
        inside = {name: Signal(name=f"in_{name.lower()}") for name in windows}
        word = bus.address[2:]
        # The address stands still: in the second cycle it is known which part of the map it is in.
        low_bits = max(
            register.address // 4 for name, register in REGISTERS.items() if name not in windows
        ).bit_length()
        low = Signal()
        m.d.sync += low.eq(word >> low_bits == 0)
        for name, words in windows.items():
            first = REGISTERS[name].address // 4
            # Nothing that the host does during an access makes a job busy: what is readable now is so until the answer.
            readable_now = ~self.busy if REGISTERS[name].idle else 1
            m.d.sync += inside[name].eq((word >= first) & (word < first + words) & readable_now)
        m.d.comb += [
            self.logit_index.eq(word),  # windows begin at multiples of their size
            self.profile_address.eq(word),
            known.eq(Cat(inside.values()).any()),
        ]
        with m.If(inside["LOGITS"]):
            m.d.comb += value.eq(self.logit)
        with m.If(low), m.Switch(word[:low_bits]):
            for name, content in readable.items():
                with m.Case(REGISTERS[name].address // 4):
                    m.d.comb += [
                        value.eq(content),
                        known.eq(~self.busy if REGISTERS[name].idle else 1),
                        writable.eq(Const(REGISTERS[name].access != "r", 1)),
                    ]
        data = Signal(32)
        m.d.sync += [
            data.eq(value),
            bus.read_error.eq(~known),
            bus.write_error.eq(~writable),
        ]
        m.d.comb += bus.read_data.eq(Mux(inside["PROFILE"], self.profile_data, data))


def _flags(bits: dict) -> Value:
    """Bits of a flag enumeration, whose members are 1, 2, 4 and so on."""
    assert list(bits) == [1 << index for index in range(len(bits))]
    return Cat(*bits.values())
