"""Performance counters: per layer, kept for the host."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.host.registers import COUNTER_SLOTS, Counter
from hw.parts.dual_port import dual_port_memory

LAYER_BITS = 8
SLOT_BITS = (COUNTER_SLOTS - 1).bit_length()
COUNT_BITS = 24
"""Width of a count that is not filed yet; half full it is filed, though its part does not go on."""

LEADING = {"walker": (Counter.CYCLES,), "neurons": (Counter.SPIKES,), "attention": (Counter.BUSY, Counter.SPIKES)}
"""Counters of a part that are never behind its others: one of them is half full first."""

WALKER_COUNTERS = (
    Counter.CYCLES, Counter.BUSY, Counter.WAIT_WEIGHTS, Counter.WAIT_DRAIN, Counter.WAIT_DATA,
    Counter.WAIT_ATTENTION, Counter.WAIT_LOAD,
)  # fmt: skip
"""Counters of the cycle's layer, `Dispatcher.layer`."""


FIRED_BITS = 12
"""Width of the number of spikes of a cycle: more than any configuration has lanes times neurons."""

FILING_CYCLES = 6 * COUNTER_SLOTS
"""Cycles from `Counters.finish` until the last counts are filed."""

EVENTS = wiring.Signature(
    {
        # Of the job's cycle, which belongs to `layer`: what the array does in it.
        "busy": Out(1),
        "layer": Out(LAYER_BITS),
        "working": Out(1),
        "wait_weights": Out(1),
        "wait_drain": Out(1),
        "wait_data": Out(1),
        "wait_attention": Out(1),
        "wait_load": Out(1),
        # Spikes that left the neurons.
        "neuron_layer": Out(LAYER_BITS),
        "neuron_spikes": Out(FIRED_BITS),
        # What the attention engine does.
        "attention_layer": Out(LAYER_BITS),
        "attention_working": Out(1),
        "attention_spikes": Out(FIRED_BITS),
    }
)
"""What happens in a cycle. A layer stays what it was until the work of the next one begins."""


def job_bits(layers: int) -> int:
    """Width of the job's number beside each counter: twice as many numbers as words.

    Parameters
    ----------
    layers : int
        Layers that have counters.
    """
    return 1 + (layers * COUNTER_SLOTS - 1).bit_length()


class Counters(wiring.Component):
    """Counts what three parts of the accelerator do, each in a layer of its own, and adds it to that layer's counters.

    A part's counts are filed when it goes on to another layer, when one of them is half full, and at the end of the
    job: added to the words of the layer one after the other, two cycles each, those of the first part first. A part
    that goes on while its last counts are still being filed counts for its old layer until they are. That takes less
    than ``3 * COUNTER_SLOTS`` cycles if all parts stay in their layers for so long: then all counts are exact.

    A word must not be filed twice in a row, for it is read again as it is written. Only the spikes of neurons and of
    attention could: so no layer has both, which holds where attention is a descriptor of its own.

    Beside every word is the number of the job that wrote it: a word of another job counts as zero, so a job begins
    without clearing them. The number outlives the core's reset as the words do, and each `clear` takes one word, in
    turn, out of use: every word twice before its number comes again (`job_bits`).

    Parameters
    ----------
    config : HardwareConfig
        Gives the number of layers.

    Members
    -------
    clear : In(1)
        Starts a job.
    finish : In(1)
        Ends it in its last cycle; the last counts are filed `FILING_CYCLES` later.
    events : In(EVENTS)
        What is counted.
    total : Out(32)
        Cycles of the job.
    host_address : In, host_data : Out(32)
        Reads ``layer * COUNTER_SLOTS + counter``, two cycles of latency; not while counts are being filed. Of a job
        that a reset stopped, what had been filed by then.
    """

    def __init__(self, config: HardwareConfig):
        self._layers = config.max_layers
        super().__init__(
            {
                "clear": In(1),
                "finish": In(1),
                "events": In(EVENTS),
                "total": Out(32),
                "host_address": In(range(config.max_layers * COUNTER_SLOTS)),
                "host_data": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        e = self.events
        m.d.sync += self.total.eq(Mux(self.clear, 0, self.total + e.busy))
        walker = (
            e.busy, e.working, e.wait_weights, e.wait_drain, e.wait_data, e.wait_attention, e.wait_load,
        )  # fmt: skip
        # The array's and the attention's work share a counter, and their spikes one: no layer has both. (Of one word no
        # count may be filed right behind another: it would be read before that is written.)
        attention = {Counter.BUSY: e.attention_working, Counter.SPIKES: e.attention_spikes}
        parts = [
            self._part(m, "walker", e.layer, dict(zip(WALKER_COUNTERS, walker, strict=True))),
            self._part(m, "neurons", e.neuron_layer, {Counter.SPIKES: e.neuron_spikes}),
            self._part(m, "attention", e.attention_layer, attention),
        ]
        self._file(m, parts)
        return m

    def _part(self, m: Module, name: str, layer: Signal, amounts: Mapping[Counter, Value]) -> data.View:
        """Count for one part; returns its filed counts, which `_file` shifts out."""
        filed = Signal(
            data.StructLayout(
                {
                    "left": range(len(amounts) + 1),
                    "layer": unsigned(LAYER_BITS),
                    "counters": unsigned(SLOT_BITS * len(amounts)),
                    "counts": unsigned(COUNT_BITS * len(amounts)),
                }
            ),
            name=f"{name}_filed",
        )
        counting = Signal(LAYER_BITS, name=f"{name}_layer")
        change = Signal(name=f"{name}_change")
        ending = Signal()
        # All of this is a cycle behind the inputs, so that what is counted for another layer is known beforehand.
        now, elsewhere = Signal(LAYER_BITS, name=f"{name}_now"), Signal(name=f"{name}_elsewhere")
        finish = Signal(name=f"{name}_finish")
        m.d.sync += [
            now.eq(layer), elsewhere.eq(Mux(change, layer != now, layer != counting)), finish.eq(self.finish),
            ending.eq(finish | (ending & ~change)),
        ]  # fmt: skip
        counts = {counter: Signal(COUNT_BITS, name=f"{name}_{counter.name.lower()}") for counter in amounts}
        half_full = Cat(counts[counter][-1] for counter in LEADING[name]).any()
        m.d.comb += change.eq((filed.left == 0) & (elsewhere | ending | half_full))
        for counter, amount in amounts.items():
            count = counts[counter]
            late = Signal.like(amount, name=f"{name}_{counter.name.lower()}_now")
            m.d.sync += [late.eq(amount), count.eq(Mux(change, 0, count) + late)]
            with m.If(self.clear):
                m.d.sync += [late.eq(0), count.eq(0)]
        with m.If(change):
            m.d.sync += [
                counting.eq(now),
                filed.left.eq(len(amounts)),
                filed.layer.eq(counting),
                filed.counters.eq(Cat(*(Const(counter.value, SLOT_BITS) for counter in amounts))),
                filed.counts.eq(Cat(counts.values())),
            ]
        with m.If(self.clear):
            m.d.sync += [counting.eq(layer), elsewhere.eq(0), ending.eq(0), finish.eq(0)]
        return filed

    def _file(self, m: Module, parts: list[data.View]) -> None:
        """Add one filed count after the other to its word."""
        job = Signal(job_bits(self._layers), reset_less=True)
        adding = Signal()
        with m.If(self.clear):
            m.d.sync += job.eq(job + 1)
        read, write = dual_port_memory(m, name="profile", width=32 + len(job), depth=self._layers * COUNTER_SLOTS)
        # First the word is read, and the count leaves its part; then the word is there; then their sum is written.
        kept = Signal(32)
        pending = Signal()
        first = Signal(read.addr.shape())
        count = Signal(COUNT_BITS)
        address = Signal.like(read.addr)
        word = Signal.like(read.data)
        arriving = Signal()
        m.d.comb += [
            kept.eq(Mux(word[32:] == job, word[:32], 0)),
            self.host_data.eq(kept),
            read.addr.eq(Mux(pending, first, self.host_address)),
            # Not for the host where counts are filed, and not for what is not filed any more.
            read.en.eq(~self.clear & (pending | ~adding)),
            # A job's first cycle, which files nothing, gives a word the number that has just become an old one.
            write.addr.eq(Mux(self.clear, job, address)),
            write.data.eq(Cat((kept + count)[:32], job)),
            write.en.eq(adding | self.clear),
        ]
        m.d.sync += [arriving.eq(pending & ~self.clear), adding.eq(arriving & ~self.clear), word.eq(read.data)]
        with m.If(pending):
            m.d.sync += address.eq(first)
        served = arriving
        for part in parts:
            mine = Signal(name="served")
            m.d.comb += mine.eq((part.left != 0) & ~served)
            with m.If(mine):
                m.d.comb += [pending.eq(1), first.eq(Cat(part.counters[:SLOT_BITS], part.layer))]
                m.d.sync += [
                    count.eq(part.counts),
                    part.left.eq(part.left - 1),
                    part.counters.eq(part.counters >> SLOT_BITS),
                    part.counts.eq(part.counts >> COUNT_BITS),
                ]
            served = served | (part.left != 0)
            with m.If(self.clear):
                m.d.sync += part.left.eq(0)
