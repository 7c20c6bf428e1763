"""Max-pooling of spikes: 3x3, stride 2, padding 1, as an OR over a raster stream."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.integers import is_power_of_two
from hw.parts.dual_port import dual_port_memory


def pooled_layout(word_bits: int, max_width: int, max_height: int, max_words: int) -> data.StructLayout:
    """One pooled word: its `spikes`, flat `position` ``oy * (width / 2) + ox`` and channel `word`."""
    return data.StructLayout(
        {
            "spikes": unsigned(word_bits),
            "position": range(max(2, max_width // 2 * (max_height // 2))),
            "word": range(max(2, max_words)),
        }
    )


class OrPool(wiring.Component):
    """OR of the spikes in a 3x3 window that moves by two, zero outside the image (Spikformer pools after the LIF).

    The maximum of spikes is their OR, so a window may be folded in any order and a spike read twice does no harm.
    Words come in raster order, `lanes` consecutive positions at a time: for each group of positions, for each of
    `words` channel words, for each lane. Row by row the same fold runs twice, first along x, then along y. At an even
    coordinate the value joins the window that is open; at an odd one it completes that window and opens the next::

        even: open = open | value          odd: result = open | value;  open = value

    The open windows along x are one word per channel word (read and written in one cycle: LUT RAM), those along y one
    word per pooled column and channel word. A coordinate of 0 opens its window afresh, so neither memory is cleared,
    and after the last word of an image the next image follows without `clear`.

    An input word that completes a window (odd row, odd column) appears at the output `latency` cycles after the cycle
    of its transfer when the output is not stalled. Throughput is one input word per cycle. A stalled output stalls
    everything: `input.ready` follows `output.ready` combinationally.

    The row memory's read and write never meet in one word: it is read in the cycle of an odd column's transfer and
    written two cycles later, if nothing stalls, and the next row comes to the same column `width * words` transfers
    later. Where these are only two the row's one open window is taken from what was written last, and nothing is read.

    Parameters
    ----------
    word_bits : int
        Spikes per word (time steps times channels); any packing.
    max_width, max_height : int
        Largest image, even; `max_height` is `max_width` unless given.
    max_words : int
        Most channel words per position. The row memory has ``max_width / 2`` words for each of them (a power of two).
    lanes : int
        Positions per group, a power of two.

    Members
    -------
    clear : In(1)
        Forgets the image under way; nothing is accepted in this cycle.
    height, width, words : In
        Shape of the image, stable from `clear` to the last output: both sides even, `width` at least `lanes`. A row,
        and the image, may end within a group; lanes behind the image come and count for nothing.
    input : In(stream of unsigned(word_bits))
        Words in the order above.
    output : Out(stream of pooled_layout(...))
        Pooled words, in the order of the words that complete them.

    Raises
    ------
    ValueError
        If a limit is below 1, a side is odd or `lanes` is not a power of two.
    """

    def __init__(self, word_bits: int, *, max_width: int, max_words: int, lanes: int, max_height: int | None = None):
        max_height = max_width if max_height is None else max_height
        for name, value in (("word_bits", word_bits), ("max_words", max_words)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        for name, value in (("max_width", max_width), ("max_height", max_height)):
            if value < 2 or value % 2:
                raise ValueError(f"{name} must be even and at least 2, not {value}")
        if not is_power_of_two(lanes):
            raise ValueError(f"lanes must be a power of two, not {lanes}")
        self._word_bits, self._lanes = word_bits, lanes
        self._max_width, self._max_words = max_width, max_words
        self._pooled = pooled_layout(word_bits, max_width, max_height, max_words)
        super().__init__(
            {
                "clear": In(1),
                "height": In(range(max_height + 1)),
                "width": In(range(max_width + 1)),
                "words": In(range(max_words + 1)),
                "input": In(stream.Signature(unsigned(word_bits))),
                "output": Out(stream.Signature(self._pooled)),
            }
        )

    latency = 2
    """Cycles from the transfer that completes a window to its `output.valid`: the row memory's read, the OR."""

    def elaborate(self, platform):
        m = Module()
        advance = Signal()
        taken = Signal()
        m.d.comb += [
            advance.eq(~self.output.valid | self.output.ready),
            self.input.ready.eq(advance & ~self.clear),
            taken.eq(self.input.valid & self.input.ready),
        ]
        column, row, word, real = self._raster(m, taken)
        folded = self._fold_columns(m, taken & real, column, word)
        self._fold_rows(m, advance, taken & real & column[0], column, row, word, folded)
        return m

    def _raster(self, m: Module, taken: Signal) -> tuple[Signal, Signal, Signal, Value]:
        """Column, row and channel word of the word at the input, and whether it is within the image."""
        lane_bits = (self._lanes - 1).bit_length()
        lane = Signal(lane_bits)
        word = Signal(range(max(2, self._max_words)))
        last_lane = Signal()
        last_word = Signal()
        # A register: the shape is there from `clear` on.
        final_word = Signal.like(word)
        m.d.sync += final_word.eq(self.words - 1)
        m.d.comb += [last_lane.eq(lane.all() if lane_bits else 1), last_word.eq(word == final_word)]
        with m.If(taken):
            m.d.sync += lane.eq(lane + 1)
            with m.If(last_lane):
                m.d.sync += word.eq(Mux(last_word, 0, word + 1))
        with m.If(self.clear):
            m.d.sync += [lane.eq(0), word.eq(0)]
        walk = self._walk_whole_groups if self._lanes <= 2 else self._walk_groups
        column, row, real = walk(m, taken & last_lane & last_word, lane)
        return column, row, word, real

    def _walk_whole_groups(self, m: Module, group_end: Value, lane: Signal) -> tuple[Signal, Signal, Value]:
        """Column and row where every row is whole groups, as any even row is of groups of two."""
        group_column = Signal(range(max(2, self._max_width // self._lanes)))
        row = Signal(self.height.shape())
        column = Signal(range(self._max_width))
        m.d.comb += column.eq(Cat(lane, group_column))
        last_column = Signal()
        final_column = Signal.like(group_column)
        final_row = Signal.like(row)
        m.d.sync += [final_row.eq(self.height - 1), final_column.eq((self.width >> len(lane)) - 1)]
        m.d.comb += last_column.eq(group_column == final_column)
        with m.If(group_end):
            m.d.sync += group_column.eq(Mux(last_column, 0, group_column + 1))
            with m.If(last_column):
                m.d.sync += row.eq(Mux(row == final_row, 0, row + 1))
        with m.If(self.clear):
            m.d.sync += [group_column.eq(0), row.eq(0)]
        return column, row, Const(1)

    def _walk_groups(self, m: Module, group_end: Value, lane: Signal) -> tuple[Signal, Signal, Value]:
        """Column and row where a row may end within a group, between two pairs of lanes; the image may, too."""
        first_pair = Signal(range(max(2, self._max_width // 2)))
        first_row = Signal(self.height.shape(), name="first_lane_row")
        pairs = Signal.like(self.width[1:])
        final_row = Signal.like(first_row)
        m.d.sync += [pairs.eq(self.width >> 1), final_row.eq(self.height - 1)]

        def place(ahead: Value | int, name: str) -> tuple[Signal, Signal, Signal]:
            """Pair of columns so many pairs behind the group's first one, its row, whether that is behind the image."""
            flat = Signal(len(first_pair) + 1, name=f"flat_{name}")
            wraps = Signal(name=f"wraps_{name}")
            pair = Signal.like(first_pair, name=f"pair_{name}")
            row = Signal.like(first_row, name=f"row_{name}")
            beyond = Signal(name=f"beyond_{name}")
            m.d.comb += [
                flat.eq(first_pair + ahead),
                wraps.eq(flat >= pairs),
                pair.eq(Mux(wraps, flat - pairs, flat)),
                row.eq(first_row + wraps),
                beyond.eq(wraps & (first_row == final_row)),
            ]
            return pair, row, beyond

        pair, row, beyond = place(lane[1:], "of_lane")
        next_pair, next_row, at_end = place(self._lanes // 2, "of_next_group")
        with m.If(group_end):
            m.d.sync += [first_pair.eq(Mux(at_end, 0, next_pair)), first_row.eq(Mux(at_end, 0, next_row))]
        with m.If(self.clear):
            m.d.sync += [first_pair.eq(0), first_row.eq(0)]
        column = Signal(range(self._max_width))
        m.d.comb += column.eq(Cat(lane[0], pair))
        return column, row, ~beyond

    def _fold_columns(self, m: Module, taken: Value, column: Signal, word: Signal) -> Signal:
        """OR along x: at odd columns the complete row of a window."""
        m.submodules.open_columns = ram = memory.Memory(
            shape=unsigned(self._word_bits), depth=max(2, self._max_words), init=[]
        )
        read = ram.read_port(domain="comb")
        write = ram.write_port()
        folded = Signal(self._word_bits)
        m.d.comb += [
            read.addr.eq(word),
            folded.eq(Mux(column == 0, 0, read.data) | self.input.payload),
            write.addr.eq(word),
            write.data.eq(Mux(column[0], self.input.payload, folded)),
            write.en.eq(taken),
        ]
        return folded

    def _fold_rows(
        self, m: Module, advance: Signal, complete: Value, column: Signal, row: Signal, word: Signal, folded: Signal
    ) -> None:
        """OR along y: at odd rows the complete window, registered at the output."""
        word_bits = (self._max_words - 1).bit_length()
        read, write = dual_port_memory(
            m, name="open_rows", width=self._word_bits, depth=max(2, self._max_width // 2 << word_bits)
        )
        address = Cat(word[:word_bits], column[1:])
        tight = Signal()
        m.d.comb += [read.addr.eq(address), read.en.eq(complete & ~tight)]

        # One stage beside the memory's read. It empties whenever the pipeline advances.
        pending = Signal()
        first_row = Signal()
        odd_row = Signal()
        folded_row = Signal(self._word_bits, reset_less=True)
        pooled_column = Signal(range(max(2, self._max_width // 2)), reset_less=True)
        pending_address = Signal(read.addr.shape(), reset_less=True)
        pending_word = Signal.like(word, reset_less=True)
        row_start = Signal(self._pooled["position"].shape)
        with m.If(advance):
            m.d.sync += pending.eq(complete)
        with m.If(complete):
            m.d.sync += [
                first_row.eq(row == 0),
                odd_row.eq(row[0]),
                folded_row.eq(folded),
                pooled_column.eq(column[1:]),
                pending_address.eq(address),
                pending_word.eq(word),
            ]

        opened = Signal(self._word_bits)
        last_of_row_pair = Signal()
        final_column = Signal.like(pooled_column)
        final_word = Signal.like(word)
        m.d.sync += [
            final_column.eq((self.width >> 1) - 1), final_word.eq(self.words - 1),
            tight.eq((final_column == 0) & (final_word == 0)),
        ]  # fmt: skip
        # A register in front of the write: there is none behind the read.
        written = Signal(self._word_bits, reset_less=True)
        m.d.comb += [
            opened.eq(Mux(first_row, 0, Mux(tight, written, read.data)) | folded_row),
            write.data.eq(written),
        ]
        m.d.sync += write.en.eq(pending & advance)
        with m.If(pending & advance):
            m.d.sync += [write.addr.eq(pending_address), written.eq(Mux(odd_row, folded_row, opened))]
        with m.If(advance):
            m.d.sync += self.output.valid.eq(pending & odd_row)
            with m.If(pending & odd_row):
                m.d.sync += [
                    self.output.payload.spikes.eq(opened),
                    self.output.payload.position.eq(row_start + pooled_column),
                    self.output.payload.word.eq(pending_word),
                ]
            m.d.comb += last_of_row_pair.eq(
                pending & odd_row & (pooled_column == final_column) & (pending_word == final_word)
            )
        with m.If(last_of_row_pair):
            m.d.sync += row_start.eq(row_start + (self.width >> 1))
        # The first row opens an image: its words come at least one row before the first output.
        with m.If(self.clear | (pending & first_row)):
            m.d.sync += row_start.eq(0)
        with m.If(self.clear):
            m.d.sync += [pending.eq(0), self.output.valid.eq(0)]
