"""Several read ports on one external memory."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .memory_port import BURST_LENGTH_BITS, MemoryPort

OUTSTANDING = 16
"""Bursts requested of which the last beat has not come, of all ports together."""


class ReadArbiter(wiring.Component):
    """Requests of several ports, a lower index first; responses to the port that asked for them.

    A request on offer stays on offer, whoever asks meanwhile. Requests and responses pass in the same cycle.

    Parameters
    ----------
    beat_bits : int
        Width of a beat.
    ports : int
        Number of ports, at least 2.

    Members
    -------
    memory : Out(MemoryPort)
        External memory; its response comes at least a cycle after its request.
    ports : In(MemoryPort).array(ports)
        Those who read.
    """

    def __init__(self, beat_bits: int, ports: int):
        self._ports = ports
        super().__init__({"memory": Out(MemoryPort(beat_bits)), "ports": In(MemoryPort(beat_bits)).array(ports)})

    def elaborate(self, platform):
        m = Module()
        request, response = self.memory.request, self.memory.response
        # Who asked, and for how many beats: a ring without latency in front of the responses.
        layout = data.StructLayout({"port": range(self._ports), "length": BURST_LENGTH_BITS})
        m.submodules.queue = queue = memory.Memory(shape=layout, depth=OUTSTANDING, init=[])
        write, read = queue.write_port(), queue.read_port(domain="comb")
        outstanding, beat = Signal(range(OUTSTANDING + 1)), Signal(BURST_LENGTH_BITS)
        accepted, ended = Signal(), Signal()

        choice, last_choice = Signal(range(self._ports)), Signal(range(self._ports))
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

        newest, oldest = Signal(range(OUTSTANDING)), Signal(range(OUTSTANDING))
        m.d.comb += [
            write.en.eq(accepted),
            write.addr.eq(newest),
            write.data.port.eq(choice),
            write.data.length.eq(request.payload.length),
            read.addr.eq(oldest),
        ]
        m.d.sync += outstanding.eq(outstanding + accepted - ended)
        with m.If(accepted):
            m.d.sync += newest.eq(newest + 1)
        with m.If(ended):
            m.d.sync += oldest.eq(oldest + 1)

        with m.Switch(read.data.port):
            for index, port in enumerate(self.ports):
                m.d.comb += port.response.payload.eq(response.payload)
                with m.Case(index):
                    m.d.comb += [port.response.valid.eq(response.valid), response.ready.eq(port.response.ready)]
        m.d.comb += ended.eq(response.valid & response.ready & (beat == read.data.length))
        with m.If(response.valid & response.ready):
            m.d.sync += beat.eq(beat + 1)
        with m.If(ended):
            m.d.sync += beat.eq(0)
        return m
