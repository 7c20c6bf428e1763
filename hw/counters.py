"""Performance counters: per layer, kept for the host."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .config import HardwareConfig
from .registers import COUNTER_SLOTS, Counter
from .sequencer import LAYER_BITS


class Counters(wiring.Component):
    """Counts one layer, then files its counters under the layer's number.

    The counters are copied at `layer_end` and written one per cycle behind it; the host's read data follows the
    address by one cycle.

    Parameters
    ----------
    config : HardwareConfig
        Gives the number of layers.

    Members
    -------
    clear : In(1)
        Starts a job.
    busy : In(1)
        A cycle of the job.
    layer_end : In(1), layer : In(8)
        Files the counters of this layer.
    working, stall_weights, stall_drain : In(1); spikes : In(12)
        What happens this cycle.
    total : Out(32)
        Cycles of the job.
    host_address : In, host_data : Out(32)
        Reads ``layer * COUNTER_SLOTS + counter``.
    """

    def __init__(self, config: HardwareConfig):
        self._layers = config.max_layers
        super().__init__(
            {
                "clear": In(1),
                "busy": In(1),
                "layer_end": In(1),
                "layer": In(LAYER_BITS),
                "working": In(1),
                "stall_weights": In(1),
                "stall_drain": In(1),
                "spikes": In(12),
                "total": Out(32),
                "host_address": In(range(config.max_layers * COUNTER_SLOTS)),
                "host_data": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        events = {
            Counter.CYCLES: self.busy,
            Counter.BUSY: self.working,
            Counter.STALL_WEIGHTS: self.stall_weights,
            Counter.STALL_DRAIN: self.stall_drain,
            Counter.SPIKES: self.spikes,
        }
        filed = Signal(32 * len(Counter))
        for counter, amount in events.items():
            count, following = Signal(32, name=counter.name.lower()), Signal(32, name=f"{counter.name.lower()}_next")
            m.d.comb += following.eq(count + amount)
            m.d.sync += count.eq(Mux(self.clear | self.layer_end, 0, following))
            with m.If(self.layer_end):
                m.d.sync += filed.word_select(counter, 32).eq(following)
        m.d.sync += self.total.eq(Mux(self.clear, 0, self.total + self.busy))

        m.submodules.profile = ram = memory.Memory(
            shape=unsigned(32), depth=self._layers * COUNTER_SLOTS, init=[], attrs={"no_rw_check": 1}
        )
        read, write = ram.read_port(), ram.write_port()
        slot, writing, layer = Signal(range(COUNTER_SLOTS)), Signal(), Signal(LAYER_BITS)
        with m.If(writing):
            m.d.sync += [slot.eq(slot + 1), filed.eq(filed >> 32)]
            with m.If(slot == len(Counter) - 1):
                m.d.sync += writing.eq(0)
        with m.If(self.layer_end):
            m.d.sync += [writing.eq(1), slot.eq(0), layer.eq(self.layer)]
        m.d.comb += [
            write.addr.eq(Cat(slot, layer)),
            write.data.eq(filed[:32]),
            write.en.eq(writing),
            read.addr.eq(self.host_address),
            self.host_data.eq(read.data),
        ]
        return m
