"""Starts engines in the order of the program, as soon as what they wait for has ended."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR, Opcode
from hw.program.layer_stations import LayerStations
from hw.program.tickets import ENGINES, JobCounts, unmet
from hw.program.waiting_place import WaitingPlace
from hw.program.write_progress import WriteProgress

LOAD_PORT = wiring.Signature({"start": Out(1), "done": In(1)})
"""To the image load, which is `done` while it is idle."""

WALKER_PORT = wiring.Signature(
    {
        "start": Out(1),
        "descriptor": Out(DESCRIPTOR),
        "done": In(1, init=1),
        "slices_written": Out(DESCRIPTOR["slices"].shape),
        "all_written": Out(1),
    }
)
"""To the walker; of the layer before its own, the complete word slices, and whether that is all."""

NEURONS_PORT = wiring.Signature({"start": Out(1), "descriptor": Out(DESCRIPTOR)})
"""To the neurons and those behind them."""

READS_PORT = wiring.Signature({"done": Out(1), "layer_done": Out(1), "output_tile_drained": Out(1)})
"""From the neurons: they are idle; pulses with the last read of a layer and of an output tile."""

ATTENTION_PORT = wiring.Signature({"start": Out(1), "busy": In(1), "done": In(1)})
"""To the attention engine; `done` is a pulse."""

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
    load : Out(LOAD_PORT)
        The load engine, which samples the head of `descriptor` with `start`.
    walker : Out(WALKER_PORT)
        The walker, its layer, and what the layer before that one has written.
    neurons : Out(NEURONS_PORT), reads : In(READS_PORT)
        The neurons and their layer; how far they have read it.
    attention : Out(ATTENTION_PORT), attention_job : Out(DESCRIPTOR)
        The attention engine, which samples its job with `start`.
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
                "load": Out(LOAD_PORT),
                "walker": Out(WALKER_PORT),
                "neurons": Out(NEURONS_PORT),
                "reads": In(READS_PORT),
                "attention": Out(ATTENTION_PORT),
                "attention_job": Out(DESCRIPTOR),
                "layer": Out(DESCRIPTOR["layer"].shape),
                "waits_load": Out(1),
                "waits_attention": Out(1),
                "waits_neurons": Out(1),
                "descriptors": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        d = self.descriptor.payload
        m.submodules.jobs = jobs = JobCounts()
        m.submodules.layers = layers = LayerStations()
        m.submodules.attention_place = attention_place = WaitingPlace()
        m.submodules.progress = progress = WriteProgress(self._config, self._written_latency)

        take = Signal()
        takes = {opcode: Signal(name=f"take_{opcode.name.lower()}") for opcode in Opcode}
        m.d.comb += take.eq(self.descriptor.valid & self.descriptor.ready)
        m.d.comb += [signal.eq(take & (d.opcode == opcode)) for opcode, signal in takes.items()]
        m.d.comb += [self.load.start.eq(takes[Opcode.LOAD]), self.ended.eq(takes[Opcode.END])]
        m.d.sync += self.descriptors.eq(Mux(self.reset_job, 0, self.descriptors + take))

        loading = Signal()
        m.d.sync += loading.eq((self.load.start | (loading & ~self.load.done)) & ~self.reset_job)
        m.d.comb += [
            jobs.clear.eq(self.reset_job),
            jobs.begin.load.eq(takes[Opcode.LOAD]),
            jobs.begin.weights.eq(takes[Opcode.WEIGHTS]),
            jobs.begin.attention.eq(takes[Opcode.ATTENTION]),
            jobs.end.load.eq(loading & self.load.done),
            jobs.end.weights.eq(progress.layer_written),
            jobs.end.attention.eq(self.attention.done),
            *(jobs.asked[engine].eq(d[f"wait_{engine}"]) for engine in ENGINES),
        ]
        self._layers(m, layers, jobs, takes[Opcode.WEIGHTS])
        self._write_progress(m, progress, layers)
        self._attention(m, attention_place, jobs, takes[Opcode.ATTENTION])

        # What a load or the END waits for is looked at in the cycle before it is taken.
        over = Signal()
        seen_over = Signal()
        free = Signal()
        m.d.comb += over.eq(
            Mux(
                d.opcode == Opcode.END,
                jobs.none_under_way,
                ~loading & ~unmet(jobs.tickets, jobs.ended).as_value().any(),
            )
        )
        m.d.sync += seen_over.eq(over & self.descriptor.valid & ~self.descriptor.ready & ~self.reset_job)
        with m.Switch(d.opcode):
            with m.Case(Opcode.LOAD, Opcode.END):
                m.d.comb += free.eq(seen_over)
            with m.Case(Opcode.WEIGHTS):
                m.d.comb += free.eq(~layers.occupied)
            with m.Case(Opcode.ATTENTION):
                m.d.comb += free.eq(~attention_place.occupied)
        m.d.comb += self.descriptor.ready.eq(free & ~self.reset_job)
        return m

    def _layers(self, m: Module, layers: LayerStations, jobs: JobCounts, take: Signal) -> None:
        """Layers with weights: walker and neurons."""
        m.d.comb += [
            layers.clear.eq(self.reset_job),
            layers.take.eq(take),
            layers.take_load.eq(self.load.start),
            layers.descriptor.eq(self.descriptor.payload),
            layers.tickets.eq(jobs.tickets),
            layers.dispatched_layers.eq(jobs.dispatched.weights),
            layers.ended.eq(jobs.ended),
            layers.walker_done.eq(self.walker.done),
            layers.neurons_done.eq(self.reads.done),
            self.walker.start.eq(layers.walker_start),
            self.walker.descriptor.eq(layers.walker),
            self.walker.all_written.eq(layers.all_written),
            self.neurons.start.eq(layers.neurons_start),
            self.neurons.descriptor.eq(layers.neurons),
            self.layer.eq(layers.layer),
            self.waits_load.eq(layers.waits_load),
            self.waits_attention.eq(layers.waits_attention),
            self.waits_neurons.eq(layers.waits_neurons),
        ]

    def _write_progress(self, m: Module, progress: WriteProgress, layers: LayerStations) -> None:
        """Complete slices of the layer being written; they matter if it is the one before the walker's."""
        m.d.comb += [
            progress.clear.eq(self.reset_job),
            progress.output_tile_read.eq(self.reads.output_tile_drained),
            progress.layer_read.eq(self.reads.layer_done),
            self.walker.slices_written.eq(Mux(layers.all_but_one_written, progress.slices, 0)),
        ]

    def _attention(self, m: Module, place: WaitingPlace, jobs: JobCounts, take: Signal) -> None:
        """The place in front of the attention engine."""
        begins = Signal()
        m.d.comb += [
            begins.eq(place.occupied & ~self.attention.busy & ~place.waits_for.as_value().any()),
            place.clear.eq(self.reset_job),
            place.take.eq(take),
            place.descriptor.eq(self.descriptor.payload),
            place.tickets.eq(jobs.tickets),
            place.ended.eq(jobs.ended),
            place.leave.eq(begins),
            self.attention_job.eq(place.content),
        ]
        m.d.sync += self.attention.start.eq(begins & ~self.reset_job)
