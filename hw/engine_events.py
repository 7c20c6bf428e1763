"""What the engines do in a cycle, as the counters count it."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.counters import EVENTS, FIRED_BITS, LAYER_BITS
from hw.descriptor import Destination
from hw.neurons.batch import batch_layout
from hw.parts.adder_tree import tree_sum


class EngineEvents(wiring.Component):
    """Joins the events of walker and dispatcher, and counts the spikes of a cycle, a register behind the engines.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    running : In(1)
        A job runs.
    issuing, wait_weights, wait_drain, wait_data : In(1)
        From the walker.
    layer : In(8), waits_load, waits_attention, waits_neurons : In(1)
        From the dispatcher.
    spikes : In(neurons * lanes), batch : In(batch_layout)
        From the neurons.
    attention_start : In(1), attention_job_layer : In(8)
        A job of attention begins, that of this layer.
    attention_busy : In(1), attention_fired : In
        Attention works; spikes that its neurons fire in this cycle.
    counted : Out(EVENTS)
        To the counters.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "running": In(1),
                "issuing": In(1),
                "wait_weights": In(1),
                "wait_drain": In(1),
                "wait_data": In(1),
                "layer": In(LAYER_BITS),
                "waits_load": In(1),
                "waits_attention": In(1),
                "waits_neurons": In(1),
                "spikes": In(unsigned(config.neurons * config.lanes)),
                "batch": In(batch_layout(config)),
                "attention_start": In(1),
                "attention_job_layer": In(LAYER_BITS),
                "attention_busy": In(1),
                "attention_fired": In(FIRED_BITS),
                "counted": Out(EVENTS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        counted, batch = self.counted, self.batch
        fired = tree_sum(m, list(self.spikes), name="fired", registered=False)
        m.d.comb += [
            counted.busy.eq(self.running),
            counted.layer.eq(self.layer),
            counted.working.eq(self.issuing),
            counted.wait_weights.eq(self.wait_weights),
            counted.wait_drain.eq(self.wait_drain | self.waits_neurons),
            counted.wait_data.eq(self.wait_data),
            counted.wait_attention.eq(self.waits_attention),
            counted.wait_load.eq(self.waits_load),
            counted.attention_working.eq(self.attention_busy),
        ]
        m.d.sync += [
            counted.neuron_layer.eq(batch.layer),
            counted.neuron_spikes.eq(Mux(batch.valid & (batch.destination != Destination.LOGITS), fired, 0)),
            counted.attention_spikes.eq(self.attention_fired),
        ]
        with m.If(self.attention_start):
            m.d.sync += counted.attention_layer.eq(self.attention_job_layer)
        return m
