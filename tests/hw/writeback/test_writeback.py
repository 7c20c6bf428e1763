"""Every destination of the neurons' spikes: what is written where, and until when."""

from __future__ import annotations

import pytest

from hw.descriptor import Destination, ResidualMode
from hw.named_configs import TINY
from tests.hw.batches import (
    CHANNEL_ORDER,
)
from tests.hw.writeback.writeback_bench import (
    DESTINATION_BASE,
    FLAT,
    FOUR,
    HALF,
    PLANE_STRIDE,
    QUARTER,
    Bench,
    config_of,
    layer,
    place,
    pooled,
    random_spikes,
    replay,
    tokens_of,
)


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("destination", [Destination.SPIKES, Destination.SPIKES_AND_RESIDUAL])
def test_writes_pieces_as_they_are(name, destination):
    config, shape = FLAT[name]
    fields = layer(config, destination, layer=7, **shape)
    spikes = random_spikes(config, fields, seed=1)
    bench = Bench(config)
    bench.run((fields, spikes))
    assert replay(bench.spike_writes) == place(config, fields, spikes, DESTINATION_BASE)
    expected = place(config, fields, spikes, 0) if destination == Destination.SPIKES_AND_RESIDUAL else {}
    assert replay(bench.residual_writes) == expected
    assert bench.token_writes == []
    assert {number for _, number, _ in (*bench.spike_writes, *bench.residual_writes)} == {7}
    words = [
        sum(bits << bank * config.timesteps * config.piece for (_, bank, _), bits in written.items())
        for _, _, written in bench.spike_writes
    ]
    assert bench.pieces == [(7, word) for word in words]
    bench.check_written_in_time()


PARTLY_FILLED = {
    "spikes": (HALF, Destination.SPIKES, {"output_tiles": 3}),
    "four_pieces": (QUARTER, Destination.SPIKES, {"output_tiles": 6}),
    "pooled": (QUARTER, Destination.SPIKES, {"output_tiles": 5, "pool": 1}),
    "residual": (HALF, Destination.SPIKES_AND_RESIDUAL, {"output_tiles": 3, "pool": 1}),
}


@pytest.mark.parametrize("name", PARTLY_FILLED)
def test_no_piece_of_a_written_word_is_left_as_it_was(name):
    config, destination, shape = PARTLY_FILLED[name]
    fields = layer(config, destination, height=4, width=4, **shape)
    bench = Bench(config)
    bench.run((fields, random_spikes(config, fields, seed=1)))
    for written in (bench.written_spikes, bench.written_residual):
        assert written == {(*word, piece) for *word, _ in written for piece in range(config.word_pieces)}
    assert bool(bench.written_residual) == (destination == Destination.SPIKES_AND_RESIDUAL)


@pytest.mark.parametrize(("mode", "planes_in", "planes_out"), [(ResidualMode.ADD, 1, 2), (ResidualMode.CLAMP, 1, 2)])
def test_no_piece_of_a_new_plane_is_left_as_it_was(mode, planes_in, planes_out):
    fields = layer(
        HALF, Destination.RESIDUAL, height=3, width=3, output_tiles=3, residual_planes_in=planes_in,
        residual_planes_out=planes_out, residual_mode=mode,
    )  # fmt: skip
    bench = Bench(HALF)
    bench.run((fields, random_spikes(HALF, fields, seed=3)))
    # The plane below was written whole by the layer that started the residual stream; here it keeps its other pieces.
    new = {key for key in bench.written_residual if key[0] >= planes_in * PLANE_STRIDE}
    old = bench.written_residual - new
    assert new == {(*word, piece) for *word, _ in new for piece in range(HALF.word_pieces)}
    assert (*max(old)[:2], 1) not in old


def test_an_image_word_becomes_several():
    fields = layer(TINY, Destination.SPIKES, image=1, height=3, width=5, tile_groups=1)
    spikes = random_spikes(TINY, fields, seed=8)
    bench = Bench(TINY)
    bench.run((fields, spikes))
    assert replay(bench.spike_writes) == place(TINY, fields, spikes, DESTINATION_BASE)


POOLED = {
    "one_lane": (config_of(positions=1), {"height": 4, "width": 6}),
    "one_lane_one_batch": (config_of(positions=1, neurons=4), {"height": 4, "width": 6}),
    "two_lanes": (TINY, {"height": 4, "width": 6, "tile_groups": 5}),
    "two_lanes_one_row": (TINY, {"height": 2, "width": 2, "output_tiles": 3}),
    "four_lanes": (FOUR, {"height": 4, "width": 4}),
    "three_pieces": (config_of(outputs=12), {"height": 4, "width": 4, "tile_groups": 3}),
    "image": (TINY, {"height": 4, "width": 4, "image": 1}),
    "two_pieces": (HALF, {"height": 4, "width": 6, "output_tiles": 3}),
    "four_pieces": (QUARTER, {"height": 4, "width": 4, "output_tiles": 5}),
    "time_chunks": (config_of(time_chunks=4), {"height": 4, "width": 6, "time_chunks": 3, "tile_groups": 6}),
    "time_chunks_of_an_image": (config_of(time_chunks=2), {"height": 4, "width": 4, "image": 1, "time_chunks": 2}),
    "time_chunks_one_lane": (
        config_of(positions=1, time_chunks=2),
        {"height": 2, "width": 6, "time_chunks": 2, "output_tiles": 3},
    ),
}


@pytest.mark.parametrize("name", POOLED)
@pytest.mark.parametrize("destination", [Destination.SPIKES, Destination.SPIKES_AND_RESIDUAL])
def test_pools_on_the_way(name, destination):
    config, shape = POOLED[name]
    fields = layer(config, destination, pool=1, layer=3, **shape)
    spikes = random_spikes(config, fields, seed=2, rate=0.1)
    bench = Bench(config)
    bench.run((fields, spikes))
    expected = pooled(spikes, fields["rows"], fields["width"])
    # Where lanes exceed the pooled positions, the last group stays partly unwritten.
    assert replay(bench.spike_writes) == place(config, fields, expected, DESTINATION_BASE)
    residual = place(config, fields, expected, 0) if destination == Destination.SPIKES_AND_RESIDUAL else {}
    assert replay(bench.residual_writes) == residual
    assert {number for _, number, _ in (*bench.spike_writes, *bench.residual_writes)} == {3}
    bench.check_written_in_time()


@pytest.mark.parametrize("config", [TINY, HALF, FOUR, config_of(positions=1, neurons=4)])
def test_writes_nothing_for_logits(config):
    fields = layer(config, Destination.LOGITS, height=3, width=3)
    bench = Bench(config)
    bench.run((fields, random_spikes(config, fields, seed=6)))
    assert bench.spike_writes == bench.residual_writes == bench.token_writes == bench.pieces == []


@pytest.mark.parametrize(
    ("config", "groups"), [(TINY, 3), (TINY, 1), (HALF, 2), (config_of(positions=1, neurons=4), 1), (FOUR, 4)]
)
def test_layers_overlap(config, groups):
    """K, V and Q of one head after the other without a pause, not even with vectors shorter than the write-out."""
    kinds = (Destination.KEYS, Destination.VALUES, Destination.SPIKES) * 2
    layers = [
        layer(config, kind, height=1, width=groups * config.positions, layer=n, token_buffer=n // 3, output_tiles=1)
        for n, kind in enumerate(kinds)
    ]
    for n, fields in enumerate(layers):
        fields["destination_base"] = DESTINATION_BASE + n * 50
    spikes = [random_spikes(config, fields, seed) for seed, fields in enumerate(layers)]
    bench = Bench(config)
    bench.run(*zip(layers, spikes, strict=True), overlap=True)
    tokens, words = {}, {}
    for fields, some in zip(layers, spikes, strict=True):
        if fields["destination"] in CHANNEL_ORDER:
            tokens |= tokens_of(config, fields, some)
        else:
            words |= place(config, fields, some, fields["destination_base"])
    assert len(bench.token_writes) == len(tokens)
    assert {tuple(about): data for _, *about, data in bench.token_writes} == tokens
    assert replay(bench.spike_writes) == words
    bench.check_written_in_time(-1)


def test_layers_follow_each_other():
    """Nothing of a layer (open pool windows, half a piece) reaches the next one."""
    layers = [
        layer(TINY, Destination.SPIKES, pool=1, height=2, width=6),
        layer(TINY, Destination.KEYS, height=2, width=3),
        layer(TINY, Destination.SPIKES, height=3, width=3),
        layer(TINY, Destination.SPIKES_AND_RESIDUAL, pool=1, height=4, width=4),
    ]
    spikes = [random_spikes(TINY, fields, seed, 0.1) for seed, fields in enumerate(layers)]
    together = Bench(TINY)
    together.run(*zip(layers, spikes, strict=True))
    alone = []
    for fields, some in zip(layers, spikes, strict=True):
        bench = Bench(TINY)
        bench.run((fields, some))
        alone += [written for _, _, written in bench.spike_writes]
    assert [written for _, _, written in together.spike_writes] == alone
