"""Fetches descriptors and runs the layers one after the other."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import MEMORY_BEAT_BITS, HardwareConfig
from .isa import DESCRIPTOR, DESCRIPTOR_BEATS, DESCRIPTOR_BITS, DESCRIPTOR_CHECK, Opcode
from .memory_port import MEMORY_ADDRESS_BITS, MemoryPort
from .registers import ErrorCause

LAYER_BITS = 8


class Sequencer(wiring.Component):
    """Descriptor fetch, check, dispatch, wait; then the next.

    Without memory latency a layer costs ``overhead`` cycles beside its engine's own: request, beats, check, start.

    Parameters
    ----------
    config : HardwareConfig
        Gives the number of layers that counters are kept for.

    Members
    -------
    start : In(1), program : In(32)
        Starts a job at this beat address.
    memory : Out(MemoryPort)
        External memory.
    descriptor : Out(DESCRIPTOR), layer : Out(8)
        The running layer and its number; hold still while its engine is busy.
    load, weights, attention : Out(1)
        Start pulses of the engines.
    load_done, weights_done, attention_done : In(1)
        High when that engine is idle.
    fetching : Out(1)
        The memory port belongs to the sequencer.
    layer_end : Out(1)
        Pulse: the layer in `layer` is complete.
    busy, done, error : Out
        State of the job; `error` is an `ErrorCause`.
    """

    overhead = 1 + DESCRIPTOR_BEATS + 3
    """Cycles per layer with a memory that answers at once: request, beats, check, start, end."""

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "program": In(MEMORY_ADDRESS_BITS),
                "memory": Out(MemoryPort()),
                "descriptor": Out(DESCRIPTOR),
                "layer": Out(LAYER_BITS),
                "load": Out(1),
                "weights": Out(1),
                "attention": Out(1),
                "load_done": In(1),
                "weights_done": In(1),
                "attention_done": In(1),
                "fetching": Out(1),
                "layer_end": Out(1),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(ErrorCause),
            }
        )

    def elaborate(self, platform):
        m = Module()
        request, response = self.memory.request, self.memory.response
        bits, beat, check = Signal(DESCRIPTOR_BITS), Signal(range(DESCRIPTOR_BEATS)), Signal(MEMORY_BEAT_BITS)
        address, folded = Signal(MEMORY_ADDRESS_BITS), Signal(8)
        d = self.descriptor
        m.d.comb += [
            d.as_value().eq(bits[: DESCRIPTOR.size]),
            request.payload.address.eq(address),
            request.payload.length.eq(DESCRIPTOR_BEATS - 1),
        ]
        fold = 0
        for byte in range(MEMORY_BEAT_BITS // 8):
            fold = fold ^ check.word_select(byte, 8)
        m.d.comb += folded.eq(fold)

        def stop(cause: ErrorCause):
            m.d.sync += [self.error.eq(cause), self.done.eq(1)]
            m.next = "IDLE"

        with m.FSM() as fsm:
            with m.State("IDLE"), m.If(self.start):
                m.d.sync += [address.eq(self.program), self.layer.eq(0), self.error.eq(0), self.done.eq(0)]
                m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += request.valid.eq(1)
                m.d.sync += [check.eq(0), beat.eq(0)]
                with m.If(request.ready):
                    m.d.sync += address.eq(address + DESCRIPTOR_BEATS)
                    m.next = "RECEIVE"
            with m.State("RECEIVE"):
                m.d.comb += response.ready.eq(1)
                with m.If(response.valid):
                    m.d.sync += [
                        bits.eq(Cat(bits, response.payload)[MEMORY_BEAT_BITS:]),
                        check.eq(check ^ response.payload),
                        beat.eq(beat + 1),
                    ]
                    with m.If(beat == DESCRIPTOR_BEATS - 1):
                        m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(folded != DESCRIPTOR_CHECK):
                    stop(ErrorCause.BAD_CHECK)
                with m.Elif((self.layer == self._config.max_layers) & (d.opcode != Opcode.END)):
                    stop(ErrorCause.TOO_MANY_LAYERS)
                with m.Else(), m.Switch(d.opcode):
                    with m.Case(Opcode.END):
                        m.d.sync += self.done.eq(1)
                        m.next = "IDLE"
                    with m.Case(Opcode.LOAD, Opcode.WEIGHTS, Opcode.ATTENTION):
                        m.next = "START"
                    with m.Default():
                        stop(ErrorCause.BAD_OPCODE)
            with m.State("START"):
                m.d.comb += [
                    self.load.eq(d.opcode == Opcode.LOAD),
                    self.weights.eq(d.opcode == Opcode.WEIGHTS),
                    self.attention.eq(d.opcode == Opcode.ATTENTION),
                ]
                m.next = "RUN"
            with m.State("RUN"), m.If(self.load_done & self.weights_done & self.attention_done):
                m.d.comb += self.layer_end.eq(1)
                m.d.sync += self.layer.eq(self.layer + 1)
                m.next = "REQUEST"
            m.d.comb += [
                self.busy.eq(~fsm.ongoing("IDLE")),
                self.fetching.eq(fsm.ongoing("REQUEST") | fsm.ongoing("RECEIVE")),
            ]
        return m
