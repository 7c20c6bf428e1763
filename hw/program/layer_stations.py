"""The stations of layers with weights: a place to wait in, the walker, the neurons."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.descriptor import DESCRIPTOR
from hw.program.tickets import COUNTS, TICKET_BITS, TICKETS, has_ended
from hw.program.waiting_place import WaitingPlace


class LayerStations(wiring.Component):
    """Hands layers with weights from station to station; each station may be in another layer.

    A layer enters the walker as soon as nothing that it waits for is left, the walker is done with the layer before and
    has handed it over to the neurons. It is handed over when the neurons are done with the layer before, and all of
    that is written unless the layer `overlaps` it. The walker may be at work on it before that.

    Members
    -------
    clear : In(1)
        All stations are empty from the next cycle on. Beside it nothing is taken.
    take : In(1), descriptor : In(DESCRIPTOR), tickets : In(TICKETS)
        A layer comes to wait; only while not `occupied`.
    take_load : In(1)
        `descriptor` is a load's, which is taken: its layer may be the cycle's.
    dispatched_layers : In(4), ended : In(COUNTS)
        Layers with weights dispatched before, and jobs ended, of every engine.
    occupied : Out(1)
        A layer waits.
    walker_start : Out(1), walker : Out(DESCRIPTOR), walker_done : In(1)
        The walker and its layer.
    neurons_start : Out(1), neurons : Out(DESCRIPTOR), neurons_done : In(1)
        The neurons and their layer.
    all_written : Out(1)
        The layers before the walker's are written.
    all_but_one_written : Out(1)
        The layers before the one before the walker's are.
    layer : Out(8), waits_load, waits_attention, waits_neurons : Out(1)
        See `Dispatcher`.
    """

    def __init__(self):
        super().__init__(
            {
                "clear": In(1),
                "take": In(1),
                "descriptor": In(DESCRIPTOR),
                "tickets": In(TICKETS),
                "take_load": In(1),
                "dispatched_layers": In(TICKET_BITS),
                "ended": In(COUNTS),
                "occupied": Out(1),
                "walker_start": Out(1),
                "walker": Out(DESCRIPTOR),
                "walker_done": In(1),
                "neurons_start": Out(1),
                "neurons": Out(DESCRIPTOR),
                "neurons_done": In(1),
                "all_written": Out(1),
                "all_but_one_written": Out(1),
                "layer": Out(DESCRIPTOR["layer"].shape),
                "waits_load": Out(1),
                "waits_attention": Out(1),
                "waits_neurons": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.place = place = WaitingPlace()
        in_walker = Signal()
        handed_over = Signal(init=1)  # the walker's layer is the neurons'
        # In the walker is no layer, or one that leaves.
        walker_left = Signal()
        walker_vacant = Signal()
        enter_walker = Signal()
        enter_neurons = Signal()
        m.d.comb += [
            place.clear.eq(self.clear),
            place.take.eq(self.take),
            place.descriptor.eq(self.descriptor),
            place.tickets.eq(self.tickets),
            place.ended.eq(self.ended),
            place.leave.eq(enter_walker),
            self.occupied.eq(place.occupied),
            walker_left.eq(in_walker & ~self.walker_start & self.walker_done),
            walker_vacant.eq(~in_walker | walker_left),
            enter_walker.eq(place.occupied & walker_vacant & handed_over & ~place.waits_for.as_value().any()),
            enter_neurons.eq(~handed_over & self.neurons_done & (self.walker.overlaps | self.all_written)),
        ]
        with m.If(self.clear):
            m.d.sync += [self.walker_start.eq(0), in_walker.eq(0)]
        with m.Else():
            m.d.sync += [self.walker_start.eq(enter_walker), in_walker.eq(enter_walker | (in_walker & ~walker_left))]
        with m.If(self.clear):
            m.d.sync += [self.neurons_start.eq(0), handed_over.eq(1)]
        with m.Else():
            m.d.sync += [
                self.neurons_start.eq(enter_neurons),
                handed_over.eq(enter_neurons | (handed_over & ~enter_walker)),
            ]
        with m.If(enter_walker):
            m.d.sync += self.walker.eq(place.content)
        with m.If(enter_neurons):
            m.d.sync += self.neurons.eq(self.walker)
        self._follow_writes(m, enter_walker)
        self._name_cycle(m, in_walker, place)
        self._explain_wait(m, place, walker_vacant, handed_over)
        return m

    def _follow_writes(self, m: Module, enter_walker: Signal) -> None:
        """How far the layers before the walker's are written."""
        # Layers with weights before the one that waits, and before the walker's.
        before_place = Signal(TICKET_BITS)
        before_walker = Signal(TICKET_BITS)
        with m.If(self.take):
            m.d.sync += before_place.eq(self.dispatched_layers)
        with m.If(enter_walker):
            m.d.sync += before_walker.eq(before_place)
        m.d.comb += [
            self.all_written.eq(has_ended(self.ended.weights, before_walker)),
            self.all_but_one_written.eq(has_ended(self.ended.weights, before_walker - 1)),
        ]

    def _name_cycle(self, m: Module, in_walker: Signal, place: WaitingPlace) -> None:
        """The layer to which the cycle belongs."""
        last = Signal.like(self.layer, name="last_layer")
        with m.If(self.clear):
            m.d.sync += last.eq(0)
        with m.Elif(self.take | self.take_load):
            m.d.sync += last.eq(self.descriptor.layer)
        m.d.comb += self.layer.eq(Mux(in_walker, self.walker.layer, Mux(place.occupied, place.content.layer, last)))

    def _explain_wait(self, m: Module, place: WaitingPlace, walker_vacant: Signal, handed_over: Signal) -> None:
        """Why a layer that waits does not enter the walker: that is a cycle without a layer one later."""
        stuck = Signal()
        m.d.comb += stuck.eq(place.occupied & walker_vacant & ~self.clear)
        waits = place.waits_for
        m.d.sync += [
            self.waits_neurons.eq(stuck & ~handed_over),
            self.waits_attention.eq(stuck & handed_over & waits.attention),
            self.waits_load.eq(stuck & handed_over & ~waits.attention & waits.load),
        ]
