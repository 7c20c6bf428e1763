"""Starts engines in the order of the program, as soon as what they wait for has ended."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR, Opcode, Wait

TICKET_BITS = 4
"""Width of the counts of jobs. At most ``2**(TICKET_BITS - 1)`` are under way, so that a difference has a sign."""

LOOK_LATENCY = 1
"""Cycles from the end of what a load or the END waits for, or from its offer, to its acceptance."""


class Dispatcher(wiring.Component):
    """Hands descriptors to the engines: load, layers with weights, attention.

    Descriptors come in order. A load starts on the spot. A layer with weights, and an attention job, take a place of
    their own in front of their engine and wait there, while later descriptors of the other engines go on. What a
    descriptor waits for is noted when it comes, as the number of jobs that must have ended by then: nothing later can
    delay it.

    A layer with weights passes two stations, walker and neurons, that may be in two layers at a time. It is over when
    its last word is written, `written_latency` cycles after the neurons' last read. Under way are the layer that waits,
    the walker's, the neurons', and those not written yet: as many as are read in `written_latency` cycles, one in 16 at
    most, since each fills a table.

    A descriptor that finds its place free, its engine idle and its waits satisfied starts the walker and the attention
    2 cycles and the load 0 cycles after it was taken. A load and the END are taken `LOOK_LATENCY` cycles after they are
    offered and what they wait for has ended, the others at once.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.
    written_latency : int
        Cycles from the neurons' last read to the last write.

    Members
    -------
    reset_job : In(1)
        A job begins: nothing is under way. Nothing is taken in its cycle, and from the next one on nothing of before
        counts.
    descriptor : In(stream of DESCRIPTOR)
        The program.
    ended : Out(1)
        END was taken: every engine has finished.
    load_start : Out(1), load_done : In(1)
        The load engine, which samples the head of `descriptor`; `load_done` is high while it is idle.
    walker_start : Out(1), walker : Out(DESCRIPTOR), walker_done : In(1)
        The walker and its layer.
    neurons_start : Out(1), neurons : Out(DESCRIPTOR), neurons_done : In(1)
        The neurons and their layer.
    layer_read, output_tile_read : In(1)
        Pulses: the neurons made the last read of a layer; of an output tile.
    slices_written : Out(10), all_written : Out(1)
        What the layer before the walker's has written: complete word slices; everything.
    attention_start : Out(1), attention : Out(DESCRIPTOR), attention_busy, attention_done : In(1)
        The attention engine and its job, sampled at the start.
    layer : Out(8)
        The layer to which this cycle belongs: the walker's; without one the layer that is to be walked next; before
        that has come, the last one or that of a later load.
    waits_load, waits_attention, waits_neurons : Out(1)
        No layer is in the walker because in the cycle before the next one waited for a load, for attention, for the
        neurons to take the one before. At most one is high; none is for a `wait_weights`.
    descriptors : Out(16)
        Descriptors taken.
    """

    def __init__(self, config: HardwareConfig, written_latency: int):
        self._config, self._written_latency = config, written_latency
        super().__init__(
            {
                "reset_job": In(1),
                "descriptor": In(stream.Signature(DESCRIPTOR)),
                "ended": Out(1),
                "load_start": Out(1),
                "load_done": In(1),
                "walker_start": Out(1),
                "walker": Out(DESCRIPTOR),
                "walker_done": In(1),
                "neurons_start": Out(1),
                "neurons": Out(DESCRIPTOR),
                "neurons_done": In(1),
                "layer_read": In(1),
                "output_tile_read": In(1),
                "slices_written": Out(DESCRIPTOR["slices"].shape),
                "all_written": Out(1),
                "attention_start": Out(1),
                "attention": Out(DESCRIPTOR),
                "attention_busy": In(1),
                "attention_done": In(1),
                "layer": Out(8),
                "waits_load": Out(1),
                "waits_attention": Out(1),
                "waits_neurons": Out(1),
                "descriptors": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        d = self.descriptor.payload
        take = Signal()
        m.d.comb += take.eq(self.descriptor.valid & self.descriptor.ready)
        takes = {opcode: Signal(name=f"take_{opcode.name.lower()}") for opcode in Opcode}
        for opcode, signal in takes.items():
            m.d.comb += signal.eq(take & (d.opcode == opcode))
        m.d.sync += self.descriptors.eq(Mux(self.reset_job, 0, self.descriptors + take))

        layer_written = self._when_written(m, self.layer_read)
        loading = Signal()
        m.d.sync += loading.eq((self.load_start | (loading & ~self.load_done)) & ~self.reset_job)
        jobs = _Jobs(
            m,
            self.reset_job,
            begin={"load": takes[Opcode.LOAD], "weights": takes[Opcode.WEIGHTS], "attention": takes[Opcode.ATTENTION]},
            end={"load": loading & self.load_done, "weights": layer_written, "attention": self.attention_done},
        )
        waits = jobs.waits(m, d)
        weights_waiting = self._weights(m, takes[Opcode.WEIGHTS], d, waits, jobs, layer_written)
        attention_waiting = self._attention(m, takes[Opcode.ATTENTION], d, waits, jobs)

        m.d.comb += [self.load_start.eq(takes[Opcode.LOAD]), self.ended.eq(takes[Opcode.END])]
        place_free = Signal()
        over = Signal()
        seen_over = Signal()
        m.d.comb += over.eq(Mux(d.opcode == Opcode.END, jobs.none_under_way(), ~loading & jobs.satisfied(waits)))
        m.d.sync += seen_over.eq(over & self.descriptor.valid & ~self.descriptor.ready & ~self.reset_job)
        with m.Switch(d.opcode):
            with m.Case(Opcode.LOAD, Opcode.END):
                m.d.comb += place_free.eq(seen_over)
            with m.Case(Opcode.WEIGHTS):
                m.d.comb += place_free.eq(~weights_waiting)
            with m.Case(Opcode.ATTENTION):
                m.d.comb += place_free.eq(~attention_waiting)
        m.d.comb += self.descriptor.ready.eq(place_free & ~self.reset_job)
        return m

    def _when_written(self, m: Module, read: Signal) -> Value:
        """`written_latency` cycles after a read of the neurons, unless another job began in between."""
        under_way = Signal(self._written_latency, name=f"{read.name}_ago")
        m.d.sync += under_way.eq(Mux(self.reset_job, 0, Cat(read, under_way)))
        return under_way[-1]

    def _weights(self, m: Module, take: Signal, d, waits, jobs: _Jobs, layer_written: Value) -> Signal:
        """Stations of layers with weights: waiting, walker, neurons; returns whether the first one is occupied."""
        waiting = Signal()
        following = Signal(DESCRIPTOR)
        following_waits = Signal(WAITS)
        in_walker = Signal()
        handed_over = Signal(init=1)
        walker_free = Signal()
        # Layers with weights before each.
        before = Signal(TICKET_BITS)
        following_before = Signal(TICKET_BITS)
        walker_left = Signal()
        enter_walker = Signal()
        enter_neurons = Signal()
        m.d.comb += [
            walker_left.eq(in_walker & ~self.walker_start & self.walker_done),
            walker_free.eq((~in_walker | walker_left) & handed_over),
            enter_walker.eq(waiting & walker_free & jobs.satisfied(following_waits)),
            self.all_written.eq(jobs.ended("weights", before)),
            enter_neurons.eq(~handed_over & self.neurons_done & (self.walker.overlaps | self.all_written)),
        ]
        m.d.sync += [
            self.walker_start.eq(enter_walker & ~self.reset_job),
            self.neurons_start.eq(enter_neurons & ~self.reset_job),
        ]
        with m.If(walker_left):
            m.d.sync += in_walker.eq(0)
        with m.If(enter_neurons):
            m.d.sync += [self.neurons.eq(self.walker), handed_over.eq(1)]
        with m.If(enter_walker):
            m.d.sync += [
                self.walker.eq(following), before.eq(following_before),
                in_walker.eq(1), handed_over.eq(0), waiting.eq(0),
            ]  # fmt: skip
        jobs.settle(m, following_waits)
        last_layer = Signal.like(self.layer)
        with m.If(take | self.load_start):
            m.d.sync += last_layer.eq(d.layer)
        with m.If(take):
            m.d.sync += [
                waiting.eq(1), following.eq(d), following_waits.eq(waits),
                following_before.eq(jobs.dispatched("weights")),
            ]  # fmt: skip
        with m.If(self.reset_job):
            m.d.sync += [waiting.eq(0), in_walker.eq(0), handed_over.eq(1), last_layer.eq(0)]

        stuck = Signal()
        needs_attention = Signal()
        needs_load = Signal()
        m.d.comb += [
            stuck.eq(waiting & (~in_walker | walker_left) & ~self.reset_job),
            needs_attention.eq(~jobs.kind_satisfied("attention", following_waits)),
            needs_load.eq(~jobs.kind_satisfied("load", following_waits)),
            self.layer.eq(Mux(in_walker, self.walker.layer, Mux(waiting, following.layer, last_layer))),
        ]
        # What is refused here is a cycle without a layer one later.
        m.d.sync += [
            self.waits_neurons.eq(stuck & ~handed_over),
            self.waits_attention.eq(stuck & handed_over & needs_attention),
            self.waits_load.eq(stuck & handed_over & ~needs_attention & needs_load),
        ]
        self._written(m, layer_written, jobs, before)
        return waiting

    def _written(self, m: Module, layer_written: Value, jobs: _Jobs, before: Signal) -> None:
        """Count the complete slices of the layer being written; they matter if it is the one before the walker's."""
        config = self._config
        tile_written = self._when_written(m, self.output_tile_read)
        pieces = Signal(len(self.slices_written) + exact_log2(config.word_pieces), reset_less=True)
        with m.If(tile_written):
            m.d.sync += pieces.eq(pieces + config.tile_pieces)
        with m.If(layer_written | self.reset_job):
            m.d.sync += pieces.eq(0)
        is_before = Signal()
        m.d.comb += is_before.eq(jobs.ended("weights", before - 1))
        with m.If(is_before):
            m.d.comb += self.slices_written.eq(pieces >> exact_log2(config.word_pieces))

    def _attention(self, m: Module, take: Signal, d, waits, jobs: _Jobs) -> Signal:
        """The place in front of the attention engine; returns whether it is occupied."""
        waiting = Signal()
        own_waits = Signal(WAITS)
        begins = Signal()
        m.d.comb += begins.eq(waiting & ~self.attention_busy & jobs.satisfied(own_waits))
        m.d.sync += self.attention_start.eq(begins & ~self.reset_job)
        jobs.settle(m, own_waits)
        with m.If(begins):
            m.d.sync += waiting.eq(0)
        with m.If(take):
            m.d.sync += [waiting.eq(1), self.attention.eq(d), own_waits.eq(waits)]
        with m.If(self.reset_job):
            m.d.sync += waiting.eq(0)
        return waiting


WAITS = data.StructLayout(
    {
        "needs_load": unsigned(1),
        "needs_weights": unsigned(1),
        "needs_attention": unsigned(1),
        "load": unsigned(TICKET_BITS),
        "weights": unsigned(TICKET_BITS),
        "attention": unsigned(TICKET_BITS),
    }
)
"""What a descriptor waits for: how many jobs of each engine must have ended, and whether that matters."""


class _Jobs:
    """Counts of the jobs dispatched and ended, per engine, modulo ``2**TICKET_BITS``."""

    def __init__(self, m: Module, reset: Value, begin: dict[str, Value], end: dict[str, Value]):
        self._dispatched, self._ended = {}, {}
        for kind in begin:
            dispatched, ended = Signal(TICKET_BITS, name=f"{kind}_jobs"), Signal(TICKET_BITS, name=f"{kind}_ended")
            m.d.sync += [
                dispatched.eq(Mux(reset, 0, dispatched + begin[kind])),
                ended.eq(Mux(reset, 0, ended + end[kind])),
            ]
            self._dispatched[kind], self._ended[kind] = dispatched, ended

    def waits(self, m: Module, d) -> data.View:
        """The waits of the descriptor that is being taken."""
        waits = Signal(WAITS)
        for kind, dispatched in self._dispatched.items():
            wait = d[f"wait_{kind}"]
            m.d.comb += [
                waits[f"needs_{kind}"].eq(wait != Wait.NONE),
                waits[kind].eq(dispatched - (wait == Wait.ALL_BUT_NEWEST)),
            ]
        return waits

    def dispatched(self, kind: str) -> Value:
        """How many jobs have been dispatched."""
        return self._dispatched[kind]

    def ended(self, kind: str, ticket: Value) -> Value:
        """Whether so many jobs have ended."""
        return ~(self._ended[kind] - ticket)[TICKET_BITS - 1]

    def kind_satisfied(self, kind: str, waits: data.View) -> Value:
        """Whether one engine has ended what is waited for."""
        return ~waits[f"needs_{kind}"] | self.ended(kind, waits[kind])

    def settle(self, m: Module, waits: data.View) -> None:
        """Forget a wait that is over: jobs that end later, any number of them, must not bring it back."""
        for kind in self._ended:
            with m.If(self.kind_satisfied(kind, waits)):
                m.d.sync += waits[f"needs_{kind}"].eq(0)

    def satisfied(self, waits: data.View) -> Value:
        """Whether all engines have."""
        return (
            self.kind_satisfied("load", waits)
            & self.kind_satisfied("weights", waits)
            & self.kind_satisfied("attention", waits)
        )

    def none_under_way(self) -> Value:
        """Whether everything dispatched has ended."""
        alike = [self._dispatched[kind] == self._ended[kind] for kind in self._dispatched]
        return alike[0] & alike[1] & alike[2]
