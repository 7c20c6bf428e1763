"""Bias and threshold of every output channel of two output tiles."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Value, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hw.config import PARAMETER_BITS, HardwareConfig
from hw.integers import ceil_div
from hw.neurons.parameter_write import ParameterWrite
from hw.parts.delay import delayed

BIAS_BITS = PARAMETER_BITS // 2


class ParameterBuffer(wiring.Component):
    """Holds the parameters of the output tile being read and of the next one; gives a batch's at a time.

    A row of the memory is a batch of channels or a beat of the external memory, whichever is more. Bits of a threshold
    above the membrane's are not kept.

    `biases` and `thresholds` leave `latency` cycles after `select`, one batch per cycle. The longer the address waits
    the less has to wait for its data. But a beat of the tile after next may be written in the cycle after the last
    batch was selected, and one more in every cycle behind it: the address waits only as long as no batch is overtaken,
    even in a tile of a single piece.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.
    latency : int
        Cycles from `select` to the parameters, at least 1.

    Members
    -------
    write : In(ParameterWrite)
        A beat of parameters.
    select : In(range(outputs / neurons)), parity : In(1)
        Batch, and the buffer it is in.
    biases : Out(ArrayLayout(signed(32), neurons))
        Their biases.
    thresholds : Out(ArrayLayout(signed(membrane_bits), neurons))
        Their thresholds. Where they are so wide that they begin within the bias, its bits from there on are not the
        neuron's; the head, which has no threshold, has all of them.
    """

    def __init__(self, config: HardwareConfig, latency: int):
        self._config, self._latency = config, latency
        super().__init__(
            {
                "write": In(ParameterWrite(config)),
                "select": In(range(config.outputs // config.neurons)),
                "parity": In(1),
                "biases": Out(data.ArrayLayout(signed(BIAS_BITS), config.neurons)),
                "thresholds": Out(data.ArrayLayout(signed(config.membrane_bits), config.neurons)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        beat = config.memory_bits // PARAMETER_BITS
        kept = config.threshold_offset + config.membrane_bits
        columns = max(config.neurons, beat)
        batches_per_row, beats_per_row = columns // config.neurons, columns // beat
        row_bits = max(1, (ceil_div(config.outputs, columns) - 1).bit_length())
        m.submodules.words = ram = memory.Memory(shape=unsigned(kept * columns), depth=2 << row_bits, init=[])

        write = ram.write_port(granularity=kept * beat)
        index = self.write.index
        low = (beats_per_row - 1).bit_length()
        channels = [self.write.data.word_select(i, PARAMETER_BITS)[:kept] for i in range(beat)]
        m.d.comb += [
            write.addr.eq(Cat(_sized(index[low:-1], row_bits), index[-1])),
            write.data.eq(Cat(channels).replicate(beats_per_row)),
            write.en.eq(Mux(self.write.valid, 1 << index[:low], 0)),
        ]

        reads = config.piece // config.neurons
        safe = min(reads - 1 - batch + batch * config.neurons // beat for batch in range(reads))
        waits = min(safe, self._latency - 1)
        part = (batches_per_row - 1).bit_length()
        select_bits = len(self.select)
        address = delayed(m, Cat(self.select, self.parity), waits, name="address")
        read = ram.read_port()
        m.d.comb += read.addr.eq(Cat(_sized(address[part:select_bits], row_bits), address[select_bits]))
        row = delayed(m, read.data, self._latency - 1 - waits, name="row")
        if part:
            row = row.word_select(delayed(m, address[:part], self._latency - waits, name="part"), kept * config.neurons)
        for neuron in range(config.neurons):
            one = row[neuron * kept : (neuron + 1) * kept]
            m.d.comb += [
                self.biases[neuron].eq(one[:BIAS_BITS]),
                self.thresholds[neuron].eq(one[config.threshold_offset :]),
            ]
        return m


def _sized(value: Value, bits: int) -> Value:
    """`value` with exactly `bits` bits, zero above."""
    return Cat(value, Const(0, max(0, bits - len(value))))[:bits]
