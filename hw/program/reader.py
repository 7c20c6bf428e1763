"""Takes the program apart: descriptors to the dispatcher, parameters to the neurons, weights to the array."""

from __future__ import annotations

import functools
import operator

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR, DESCRIPTOR_BITS, DESCRIPTOR_CHECK, Opcode
from hw.external.memory_port import MEMORY_ADDRESS_BITS, MemoryPort
from hw.host.registers import ErrorCause
from hw.neurons.parameter_write import ParameterWrite
from hw.program.fetch import LENGTH_BITS
from hw.program.header import HEADER_BEATS, PROGRAM_HEADER, encode_header
from hw.program.ring import ProgramBuffer, region_limit


class Kind(enum.Enum, shape=2):
    """What a region of the program is; travels with its beats."""

    DESCRIPTOR = 0
    PARAMETERS = 1
    WEIGHTS = 2
    HEADER = 3


class State(enum.Enum, shape=3):
    """What is read: a region, nothing before the descriptor is checked, nothing at all."""

    IDLE = 0
    DESCRIPTOR = 1
    CHECK = 2
    PARAMETERS = 3
    WEIGHTS = 4
    HEADER = 5


class ProgramReader(wiring.Component):
    """Walks through a program in a `ProgramBuffer`, layer after layer, at a beat per cycle.

    A descriptor is offered the cycle after its last beat left the buffer. What follows it does not wait for its
    acceptance: parameters and weights of its layer leave as soon as those who take them are ready. Only the next
    descriptor waits: there is one register for descriptors, and with it all that is behind. The beats of a layer and
    of the descriptor behind it leave without a gap; a checked descriptor costs ``DESCRIPTOR_GAP`` cycles without beats.

    The header, a beat in front of the first descriptor, takes a cycle and is checked beside it. Behind the END all that
    is left of the program is read for its CRC-32.

    Parameters have two buffers, which alternate from output tile to output tile, across layers and jobs, as they do in
    the neurons: after an abandoned job both need a reset. Those of a tile wait until the tile before the one before has
    been drained.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    start : In(1), address : In(37), length : In(32)
        Forget everything and read the program: its first beat and its number of beats. Hold the two (see
        `ProgramBuffer`).
    stop : In(1)
        Forget everything and read nothing more.
    memory : Out(MemoryPort(memory_bits))
        External memory.
    descriptor : Out(stream of DESCRIPTOR)
        Checked descriptors, END the last one.
    parameters : Out(ParameterWrite)
        To the neurons.
    output_tile_drained : In(1)
        Pulse: the neurons no longer need the parameters of the oldest output tile.
    weights : Out(stream of memory_bits)
        To the array, in the order of its passes.
    unsigned_weights : Out(1)
        The beat in `weights` belongs to the low half of 8-bit weights, which is unsigned but in the image layer.
    failed : Out(1), error : Out(ErrorCause)
        Pulse, and the cause in its cycle: this is no program. Nothing more is read, and what was on offer is withdrawn.
    idle : Out(1)
        Nothing was asked of the memory, or on its way, a cycle ago. It may be long after END: the program's length may
        be more than the program.
    intact : Out(1)
        While `idle`, behind END: the program ended with its CRC-32.
    """

    latency = ProgramBuffer.latency + 1
    """Cycles from the arrival of a descriptor's last beat to its offer."""

    DESCRIPTOR_GAP = 3
    """Cycles without a beat behind a descriptor: check, read, register."""

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "address": In(MEMORY_ADDRESS_BITS),
                "length": In(LENGTH_BITS),
                "stop": In(1),
                "memory": Out(MemoryPort(config.memory_bits)),
                "descriptor": Out(stream.Signature(DESCRIPTOR)),
                "parameters": Out(ParameterWrite(config)),
                "output_tile_drained": In(1),
                "weights": Out(stream.Signature(unsigned(config.memory_bits))),
                "unsigned_weights": Out(1),
                "failed": Out(1),
                "error": Out(ErrorCause),
                "idle": Out(1),
                "intact": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = self._buffer = buffer = ProgramBuffer(self._config, tag_bits=Kind.as_shape().width)
        self._collected = Signal()  # the descriptor register is full
        self._fault = Signal(ErrorCause)  # what is wrong with the descriptor in the register
        finished = Signal()
        wiring.connect(m, wiring.flipped(self.memory), buffer.memory)
        m.d.comb += [
            buffer.start.eq(self.start),
            buffer.address.eq(self.address),
            buffer.length.eq(self.length),
            buffer.stop.eq(self.stop | self.failed),
            buffer.rest.eq(finished),
            self.idle.eq(buffer.idle),
            self.intact.eq(buffer.intact),
        ]
        self._collect(m)
        self._split(m)
        self._command(m, finished)
        return m

    def _collect(self, m: Module) -> None:
        """Descriptor register and its checks."""
        beat_bits, d = self._config.memory_bits, self.descriptor.payload
        beats = DESCRIPTOR_BITS // beat_bits
        bits = Signal(DESCRIPTOR_BITS)
        place = Signal(beats, init=1)
        check = Signal(8)
        checked = Signal(8)
        output = self._buffer.output
        fold = functools.reduce(operator.xor, (output.payload.word_select(n, 8) for n in range(beat_bits // 8)))
        bad_check = Signal()
        bad_opcode = Signal()
        bad_size = Signal()
        m.d.comb += checked.eq(Mux(place[0], 0, check) ^ fold)
        self._descriptor_ready = ~self._collected
        # `place` walks around once per descriptor.
        with m.If(output.valid & (self._buffer.output_tag == Kind.DESCRIPTOR) & self._descriptor_ready):
            m.d.sync += [
                place.eq(place.rotate_left(1)),
                check.eq(checked),
                bad_check.eq(checked != DESCRIPTOR_CHECK),
                self._collected.eq(place[-1]),
            ]
            for beat in range(beats):
                with m.If(place[beat]):
                    m.d.sync += bits.word_select(beat, beat_bits).eq(output.payload)
        with m.If(self.descriptor.ready & self.descriptor.valid):
            m.d.sync += self._collected.eq(0)
        with m.If(self.start | self.stop | self.failed):
            m.d.sync += [place.eq(1), self._collected.eq(0)]

        # Registers: these fields are complete one beat before the descriptor is.
        limit = region_limit(self._config)
        for field in ("opcode", "weight_beats", "wide", "image"):
            assert DESCRIPTOR[field].offset + DESCRIPTOR[field].width <= DESCRIPTOR_BITS - beat_bits, field
        region = Signal(len(d.weight_beats) + 2)  # up to four segments
        m.d.comb += [
            region.eq(Mux(d.wide & d.image, d.weight_beats << 2, d.weight_beats << (d.wide | d.image))),
            d.as_value().eq(bits[: DESCRIPTOR.size]),
            self.descriptor.valid.eq(self._collected & (self._fault == ErrorCause.NONE)),
        ]
        m.d.sync += [
            bad_opcode.eq(d.as_value()[DESCRIPTOR["opcode"].offset :][:3] >= len(Opcode)),
            bad_size.eq((d.opcode == Opcode.WEIGHTS) & ((region > limit) | (d.weight_beats == 0))),
        ]
        with m.If(bad_check):
            m.d.comb += self._fault.eq(ErrorCause.BAD_CHECK)
        with m.Elif(bad_opcode):
            m.d.comb += self._fault.eq(ErrorCause.BAD_OPCODE)
        with m.Elif(bad_size):
            m.d.comb += self._fault.eq(ErrorCause.PROGRAM_TOO_LARGE)

    def _split(self, m: Module) -> None:
        """Beats by kind, and the two buffers of parameters."""
        output, beats = self._buffer.output, self._config.parameter_beats
        index = Signal(max(1, (beats - 1).bit_length()))
        parity = Signal()
        held = Signal(range(3))
        written = Signal()  # the last beat of a tile's parameters
        m.d.comb += [
            self.parameters.data.eq(output.payload),
            self.parameters.index.eq(Cat(index[: (beats - 1).bit_length()], parity)),
            self.weights.payload.eq(output.payload),
            self.unsigned_weights.eq(self._buffer.output_low_half & ~self.descriptor.payload.image),
            written.eq(self.parameters.valid & (index == beats - 1)),
        ]
        with m.Switch(self._buffer.output_tag):
            with m.Case(Kind.DESCRIPTOR):
                m.d.comb += output.ready.eq(self._descriptor_ready)
            with m.Case(Kind.PARAMETERS):
                m.d.comb += [output.ready.eq(held != 2), self.parameters.valid.eq(output.valid & output.ready)]
            with m.Case(Kind.HEADER):
                m.d.comb += output.ready.eq(1)
            with m.Default():
                m.d.comb += [output.ready.eq(self.weights.ready), self.weights.valid.eq(output.valid)]
        with m.If(self.parameters.valid):
            m.d.sync += index.eq(index + 1)
        with m.If(written):
            m.d.sync += [index.eq(0), parity.eq(~parity)]
        m.d.sync += held.eq(held + written - self.output_tile_drained)
        with m.If(self.start):
            m.d.sync += [index.eq(0), held.eq(0)]

    def _command(self, m: Module, finished: Signal) -> None:
        """Regions in their order, and what ends a program."""
        buffer, d = self._buffer, self.descriptor.payload
        command, region = buffer.command.payload, buffer.command.payload.region
        valid, ready = buffer.command.valid, buffer.command.ready
        output_tile = Signal.like(d.output_tiles, init=1)
        last_output_tile = Signal()
        m.d.sync += last_output_tile.eq(output_tile == d.output_tiles)  # in time: parameters come in between
        plain_beats = {
            Kind.HEADER: HEADER_BEATS,
            Kind.DESCRIPTOR: DESCRIPTOR_BITS // self._config.memory_bits,
            Kind.PARAMETERS: self._config.parameter_beats,
        }

        def plain(kind: Kind) -> None:
            m.d.comb += [valid.eq(1), command.tag.eq(kind), region.beats.eq(plain_beats[kind])]

        m.d.comb += [
            region.tiles.eq(1),
            region.passes.eq(1),
            self.error.eq(self._fault),
        ]
        with m.If(buffer.exhausted):
            m.d.comb += [self.failed.eq(1), self.error.eq(ErrorCause.PROGRAM_LENGTH)]
        with m.If(self._bad_header(m)):
            m.d.comb += [self.failed.eq(1), self.error.eq(ErrorCause.PROGRAM_HEADER)]
        state = Signal(State)
        with m.Switch(state):
            with m.Case(State.HEADER):
                plain(Kind.HEADER)
                with m.If(ready):
                    m.d.sync += state.eq(State.DESCRIPTOR)
            with m.Case(State.DESCRIPTOR):
                plain(Kind.DESCRIPTOR)
                with m.If(ready):
                    m.d.sync += state.eq(State.CHECK)
            with m.Case(State.CHECK):
                m.d.sync += output_tile.eq(1)
                with m.If(self._collected):
                    with m.Switch(d.opcode):
                        with m.Case(Opcode.END):
                            m.d.comb += finished.eq(1)
                            m.d.sync += state.eq(State.IDLE)
                        with m.Case(Opcode.WEIGHTS):
                            m.d.sync += state.eq(State.PARAMETERS)
                        with m.Default():
                            m.d.sync += state.eq(State.DESCRIPTOR)
                    with m.If(self._fault != ErrorCause.NONE):
                        m.d.comb += self.failed.eq(1)
            with m.Case(State.PARAMETERS):
                plain(Kind.PARAMETERS)
                with m.If(ready):
                    m.d.sync += state.eq(State.WEIGHTS)
            with m.Case(State.WEIGHTS):
                m.d.comb += [
                    valid.eq(1),
                    command.tag.eq(Kind.WEIGHTS),
                    *(region[field].eq(d[field]) for field in ("tiles", "passes", "wide", "image")),
                    region.beats.eq(d.weight_beats),
                ]
                with m.If(ready):
                    m.d.sync += [
                        output_tile.eq(output_tile + 1),
                        state.eq(Mux(last_output_tile, State.DESCRIPTOR, State.PARAMETERS)),
                    ]
        with m.If(self.stop | self.failed):
            m.d.sync += state.eq(State.IDLE)
        with m.If(self.start):
            m.d.sync += state.eq(State.HEADER)

    def _bad_header(self, m: Module) -> Signal:
        """Whether a header left the buffer a cycle ago that is none of this program."""
        buffer, bad = self._buffer, Signal()
        header, field = buffer.output.payload, PROGRAM_HEADER["length"]
        length = Cat(Const(0, exact_log2(self._config.memory_bits // 8)), buffer.total)[: field.width]
        wrong = Signal()
        m.d.comb += wrong.eq(header[: PROGRAM_HEADER.size] != Cat(Const(encode_header(1), field.offset), length))
        present = buffer.output.valid & (buffer.output_tag == Kind.HEADER)
        m.d.sync += bad.eq(present & wrong & ~(self.start | self.stop))
        return bad
