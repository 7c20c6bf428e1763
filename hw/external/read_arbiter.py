"""Several read ports on one external memory."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hw.external.memory_port import BURST_LENGTH_BITS, MemoryPort

OUTSTANDING = 16
"""Bursts requested of which the last beat has not come, of all ports together."""


class ReadArbiter(wiring.Component):
    """Requests of several ports, a lower index first; responses to the port that asked for them.

    A request on offer stays on offer, whoever asks meanwhile. Requests pass in the same cycle, and so do responses two
    cycles after their request or later; sooner ones wait.

    Parameters
    ----------
    beat_bits : int
        Width of a beat.
    ports : int
        Number of ports, at least 2.

    Members
    -------
    memory : Out(MemoryPort)
        External memory.
    ports : In(MemoryPort).array(ports)
        Those who read.
    """

    def __init__(self, beat_bits: int, ports: int):
        self._ports = ports
        super().__init__({"memory": Out(MemoryPort(beat_bits)), "ports": In(MemoryPort(beat_bits)).array(ports)})

    def elaborate(self, platform):
        m = Module()
        request, response = self.memory.request, self.memory.response
        # Who asked, and for how many beats: a ring, and in front of the responses a register that counts down.
        layout = data.StructLayout({"port": range(self._ports), "length": BURST_LENGTH_BITS})
        m.submodules.queue = queue = memory.Memory(shape=layout, depth=OUTSTANDING, init=[])
        write = queue.write_port()
        read = queue.read_port(domain="comb")
        outstanding = Signal(range(OUTSTANDING + 1))
        behind = Signal(range(OUTSTANDING + 1))
        accepted = Signal()
        ended = Signal()
        follows = Signal()
        more = Signal()
        answered = Signal()
        asker = Signal(range(self._ports))
        left = Signal(BURST_LENGTH_BITS)
        last = Signal()

        choice = Signal(range(self._ports))
        last_choice = Signal(range(self._ports))
        held = Signal()  # the request on offer was not accepted
        for index in reversed(range(self._ports)):
            with m.If(self.ports[index].request.valid):
                m.d.comb += choice.eq(index)
        with m.If(held):
            m.d.comb += choice.eq(last_choice)
        m.d.sync += [last_choice.eq(choice), held.eq(request.valid & ~request.ready)]
        any_request = Cat(port.request.valid for port in self.ports).any()
        m.d.comb += [
            # Only an accepted request fills the queue, so what is on offer stays.
            request.valid.eq(any_request & ~outstanding[-1]),
            accepted.eq(request.valid & request.ready),
        ]
        with m.Switch(choice):
            for index, port in enumerate(self.ports):
                with m.Case(index):
                    m.d.comb += [
                        request.payload.eq(port.request.payload),
                        port.request.ready.eq(request.ready & ~outstanding[-1]),
                    ]

        newest = Signal(range(OUTSTANDING))
        oldest = Signal(range(OUTSTANDING))
        m.d.comb += [
            write.en.eq(accepted),
            write.addr.eq(newest),
            write.data.port.eq(choice),
            write.data.length.eq(request.payload.length),
            read.addr.eq(oldest),
        ]
        # `behind` of the outstanding ones are in the ring, the first one is in the register.
        m.d.sync += [
            outstanding.eq(outstanding + accepted - ended), behind.eq(behind + accepted - follows),
            more.eq(accepted | (behind != follows)),
        ]  # fmt: skip
        with m.If(accepted):
            m.d.sync += newest.eq(newest + 1)

        for index, port in enumerate(self.ports):
            m.d.comb += port.response.payload.eq(response.payload)
            with m.If(answered & (asker == index)):
                m.d.comb += [port.response.valid.eq(response.valid), response.ready.eq(port.response.ready)]
        taken = response.valid & response.ready
        m.d.comb += [ended.eq(taken & last), follows.eq(more & (~answered | ended))]
        with m.If(taken):
            m.d.sync += [left.eq(left - 1), last.eq(left == 1)]
        with m.If(ended):
            m.d.sync += answered.eq(0)
        with m.If(follows):
            m.d.sync += [
                answered.eq(1), asker.eq(read.data.port), left.eq(read.data.length), last.eq(read.data.length == 0),
                oldest.eq(oldest + 1),
            ]  # fmt: skip
        return m
