"""Spikes join the residual stream: what the writeback reads and writes in every mode."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hw.descriptor import Destination, ResidualMode
from tests.hw.writeback.writeback_bench import (
    FLAT,
    PLANE_STRIDE,
    Bench,
    Memory,
    layer,
    place,
    random_spikes,
    replay,
)

MODES = [
    (ResidualMode.ADD, 1, 2), (ResidualMode.ADD, 2, 2), (ResidualMode.ADD, 3, 4), (ResidualMode.ADD, 5, 5),
    (ResidualMode.CLAMP, 1, 2), (ResidualMode.CLAMP, 2, 2), (ResidualMode.IAND, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize(("mode", "planes_in", "planes_out"), MODES)
def test_joins_the_residual(name, mode, planes_in, planes_out):
    config, shape = FLAT[name]
    fields = layer(
        config, Destination.RESIDUAL, **shape, residual_planes_in=planes_in, residual_planes_out=planes_out,
        residual_mode=mode,
    )  # fmt: skip
    spikes = random_spikes(config, fields, seed=3)
    top = (1 << planes_in) - 1
    if mode == ResidualMode.ADD and planes_out == planes_in:
        top -= 1  # nothing may carry out
    integers = np.random.default_rng(4).integers(0, top + 1, spikes.shape)

    def planes(values: NDArray[np.int64], count: int) -> Memory:
        return {
            key: bits
            for plane in range(count)
            for key, bits in place(config, fields, values >> plane & 1, plane * PLANE_STRIDE).items()
        }

    bench = Bench(config, planes(integers, planes_in))
    bench.run((fields, spikes))
    joined = {
        ResidualMode.ADD: integers + spikes,
        ResidualMode.CLAMP: np.minimum(integers + spikes, 3),
        ResidualMode.IAND: integers & ~spikes,
    }[mode]
    assert replay(bench.residual_writes) == planes(joined, planes_out)
    assert bench.spike_writes == bench.token_writes == []
    bench.check_written_in_time()
