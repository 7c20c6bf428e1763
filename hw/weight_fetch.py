"""Streams a layer's parameters and weights from external memory in the order the array uses them."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .config import MEMORY_BEAT_BITS, HardwareConfig
from .isa import DESCRIPTOR
from .memory_port import MEMORY_ADDRESS_BITS, MemoryPort


class ParameterWrite(wiring.Signature):
    """Write of one output channel's neuron parameters.

    Members
    -------
    valid : Out(1)
        Write this cycle.
    index : Out
        Buffer (top bit) and channel within the output tile.
    data : Out(64)
        Signed 32-bit bias, then signed 32-bit threshold.
    """

    def __init__(self, config: HardwareConfig):
        super().__init__(
            {
                "valid": Out(1),
                "index": Out(range(2 * config.outputs)),
                "data": Out(unsigned(MEMORY_BEAT_BITS)),
            }
        )


class WeightFetch(wiring.Component):
    """Requests bursts ahead and splits what comes back.

    An output tile lies in memory as ``outputs`` parameter beats followed by ``weight_beats`` beats of weights. The
    parameters are read once; the weights once for each position tile and each bit-plane. Parameters have two buffers:
    those of tile ``o`` wait until tile ``o - 2`` has been drained.

    One request and one beat per cycle, no latency of its own.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    start : In(1), descriptor : In(DESCRIPTOR), base : In(32)
        The layer, held still until its end, and the beat address its `memory_address` is relative to.
    memory : Out(MemoryPort)
        External memory.
    parameters : Out(ParameterWrite)
        To the neurons.
    weights : Out(stream of 64-bit beats)
        To the array.
    output_tile_drained : In(1)
        Pulse: the neurons no longer need the parameters of the oldest output tile.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(DESCRIPTOR),
                "base": In(MEMORY_ADDRESS_BITS),
                "memory": Out(MemoryPort()),
                "parameters": Out(ParameterWrite(config)),
                "weights": Out(stream.Signature(unsigned(MEMORY_BEAT_BITS))),
                "output_tile_drained": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._request(m)
        self._split(m)
        return m

    def _bursts(self, m: Module, name: str, advance: Signal):
        """Count the bursts of a layer: position tile and bit-plane inside output tile."""
        d = self.descriptor
        plane, tile, output_tile = (
            Signal.like(field, name=f"{name}_{n}")
            for n, field in (("plane", d.passes), ("tile", d.tiles), ("output_tile", d.output_tiles))
        )
        active, last = Signal(name=f"{name}_active"), Signal(name=f"{name}_last")
        m.d.comb += last.eq((plane == d.passes - 1) & (tile == d.tiles - 1))
        with m.If(advance):
            m.d.sync += plane.eq(plane + 1)
            with m.If(plane == d.passes - 1):
                m.d.sync += [plane.eq(0), tile.eq(tile + 1)]
            with m.If(last):
                m.d.sync += [tile.eq(0), output_tile.eq(output_tile + 1)]
                with m.If(output_tile == d.output_tiles - 1):
                    m.d.sync += active.eq(0)
        with m.If(self.start):
            m.d.sync += [active.eq(1), plane.eq(0), tile.eq(0), output_tile.eq(0)]
        return active, (plane == 0) & (tile == 0), last, output_tile

    def _request(self, m: Module) -> None:
        d, request, parameters = self.descriptor, self.memory.request, self._config.outputs
        address, accepted = Signal(MEMORY_ADDRESS_BITS), Signal()
        active, first, last, _ = self._bursts(m, "request", accepted)
        m.d.comb += [
            accepted.eq(request.valid & request.ready),
            request.valid.eq(active),
            request.payload.address.eq(Mux(first, address, address + parameters)),
            request.payload.length.eq(d.weight_beats + Mux(first, parameters, 0) - 1),
        ]
        with m.If(accepted & last):
            m.d.sync += address.eq(address + parameters + d.weight_beats)
        with m.If(self.start):
            m.d.sync += address.eq(self.base + d.memory_address)

    def _split(self, m: Module) -> None:
        d, response, parameters = self.descriptor, self.memory.response, self._config.outputs
        beat, end_of_burst = Signal(range(1 << len(d.weight_beats))), Signal()
        active, _, last, output_tile = self._bursts(m, "split", end_of_burst)
        in_parameters, index = Signal(), Signal(range(parameters))
        drained, allowed = Signal.like(d.output_tiles), Signal()
        taken = Signal()
        m.d.comb += [
            allowed.eq(output_tile - drained < 2),
            taken.eq(response.valid & response.ready),
            end_of_burst.eq(taken & ~in_parameters & (beat == d.weight_beats - 1)),
            self.weights.payload.eq(response.payload),
            self.parameters.data.eq(response.payload),
            self.parameters.index.eq(Cat(index, output_tile[0])),
        ]
        with m.If(active & in_parameters):
            m.d.comb += [response.ready.eq(allowed), self.parameters.valid.eq(taken)]
            with m.If(taken):
                m.d.sync += index.eq(index + 1)
                with m.If(index == parameters - 1):
                    m.d.sync += [index.eq(0), in_parameters.eq(0)]
        with m.Elif(active):
            m.d.comb += [response.ready.eq(self.weights.ready), self.weights.valid.eq(response.valid)]
            with m.If(taken):
                m.d.sync += beat.eq(beat + 1)
        with m.If(end_of_burst):
            m.d.sync += [beat.eq(0), in_parameters.eq(last)]
        with m.If(self.output_tile_drained):
            m.d.sync += drained.eq(drained + 1)
        with m.If(self.start):
            m.d.sync += [in_parameters.eq(1), drained.eq(0)]
