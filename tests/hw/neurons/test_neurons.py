"""Order, pace, metadata and spikes of the neurons against plain loops and the golden neuron."""

from __future__ import annotations

import dataclasses

import pytest

from hw.descriptor import Destination
from hw.named_configs import TINY
from tests.hw.batches import layer_fields
from tests.hw.benches import simulate
from tests.hw.neurons.layer_cases import CASES, CHUNKED, HALF, case
from tests.hw.neurons.neurons_bench import Bench, Stimulus, Sums, run


@pytest.mark.parametrize("name", CASES)
def test_reads_in_order_and_fires(name):
    run(*case(name))


@pytest.mark.parametrize("name", ["spikes", "residual", "keys", "half_wide_keys", "half_wide_image", "base"])
def test_waits_for_sums(name):
    run(*case(name), wait=60)


def test_layers_follow_each_other():
    """Also where tiles and output tiles are odd in number, which ends in another buffer of sums or parameters."""
    counts = {"keys": 1, "spikes": 3, "image": 2, "logits": 1, "residual": 1, "fewer_time_steps": 1}
    layers = [
        layer_fields(TINY, CASES[name][1], **{**CASES[name][2], "output_tiles": count})
        for name, count in counts.items()
    ]
    run(TINY, *layers)
    run(TINY, *layers, wait=10)


def test_layers_of_time_chunks_follow_each_other():
    names = ("chunks_keys", "chunks", "chunks_image", "one_chunk_of_several", "chunks_logits", "chunks_of_one_piece")
    layers = [case(name)[1] for name in names]
    run(CHUNKED, *layers)
    run(CHUNKED, *layers, wait=10)


@pytest.mark.parametrize("wide", [0, 1])
def test_overlapping_layers_have_no_pause(wide):
    """K, V and Q of a head: the next descriptor is there while spikes of the layer before are still under way."""
    kinds = (Destination.KEYS, Destination.VALUES, Destination.SPIKES, Destination.KEYS)
    layers = [
        layer_fields(HALF, kind, positions=5, output_tiles=1, wide=wide, layer=n, token_buffer=n // 3, timesteps=4 - n)
        for n, kind in enumerate(kinds)
    ]
    bench = run(HALF, *layers)
    # `done` is high in the cycle after the last read; the bench, like the dispatcher, answers one cycle later.
    assert [start - end for start, end in zip(bench.seen.starts[1:], bench.seen.layers[:-1], strict=True)] == [2] * 3


@pytest.mark.parametrize(
    ("config", "wide", "time_chunks"), [(TINY, 0, 1), (HALF, 1, 1), (CHUNKED, 0, 3)], ids=["tiny", "wide", "chunks"]
)
def test_layers_with_and_without_leak_follow_each_other_without_a_pause(config, wide, time_chunks):
    """The next layer's descriptor is there while the last sums of the one before are still in the neurons."""
    config = dataclasses.replace(config, if_neurons=True)
    sizes = {"positions": 6, "output_tiles": 1, "wide": wide, "time_chunks": time_chunks, "tile_groups": 6}
    layers = [
        layer_fields(config, Destination.SPIKES, layer=n, no_leak=no_leak, **sizes)
        for n, no_leak in enumerate((0, 1, 1, 0))
    ]
    bench = run(config, *layers)
    assert [start - end for start, end in zip(bench.seen.starts[1:], bench.seen.layers[:-1], strict=True)] == [2] * 3


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("wide", [0, 1])
def test_widest_currents(sign, wide):
    """The largest sum with the largest bias is not cut, and the largest threshold is never reached."""
    config = dataclasses.replace(HALF, positions=1)
    limit = 1 << config.accumulator_bits - 1

    class Extremes(Stimulus):
        def random_sums(self, half: int) -> Sums:
            extreme = limit - 1 if sign > 0 else -limit
            if wide and half:
                extreme = 15 if sign > 0 else 0
            elif wide:
                extreme >>= 4 - (config.sum_bits - config.accumulator_bits)
            return [[extreme] * self.config.lanes for _ in range(self.config.outputs)]

    fields = layer_fields(config, Destination.SPIKES, positions=2, output_tiles=1, wide=wide)
    stimulus = Extremes(config, fields, 1)
    channels = len(stimulus.bias)
    extreme = ((1 << config.current_bits - 2) - 1) if sign > 0 else -(1 << config.current_bits - 2)
    stimulus.bias = [extreme] * channels
    top = (1 << config.membrane_bits - 1) - 1
    stimulus.threshold = [1, top, top - (1 << config.current_bits), 1 << config.current_bits + 2] * (channels // 4)
    bench = Bench(config, [stimulus])
    simulate(bench.dut, bench.run, bench.array, bench.program_reader)
    bench.check()
    assert any(spikes for _, _, spikes in bench.seen.spikes) == (sign > 0)
