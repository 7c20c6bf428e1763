"""Components in their emitted Verilog, simulated by Verilator."""

from __future__ import annotations

import pytest

from hw.named_configs import LARGE_ANY, TINY
from hw.neurons.lif import Lif
from hw.pool.or_pool import OrPool
from sim.components.run import build_component, simulate_component


@pytest.mark.parametrize(
    "config", [TINY, pytest.param(LARGE_ANY, marks=pytest.mark.long)], ids=lambda config: config.name
)
def test_lif_fires_like_the_integer_neuron(config):
    shape = {
        "timesteps": config.timesteps, "sum_bits": config.sum_bits, "fraction_bits": config.bias_fraction_bits,
        "if_neurons": config.if_neurons,
    }  # fmt: skip
    dut = Lif(**shape)
    build = build_component(dut, f"lif_{config.timesteps}_{config.sum_bits}")
    simulate_component(build, "lif", **shape, latency=dut.latency, count=3000, seed=1)


def test_or_pool_pools_like_max_pool():
    shape = {"word_bits": 16, "lanes": 2}
    dut = OrPool(**shape, max_width=16, max_words=4)
    build = build_component(dut, "or_pool")
    for height, width, words, stall in [(8, 12, 3, 0.0), (8, 12, 3, 0.4), (16, 16, 1, 0.7), (2, 2, 4, 0.3)]:
        size = {"height": height, "width": width, "words": words}
        simulate_component(build, "or_pool", **shape, **size, stall=stall, seed=height, latency=dut.latency)


def test_a_component_that_differs_fails_with_its_log():
    shape = {"timesteps": 2, "sum_bits": 6, "fraction_bits": 0, "if_neurons": False}
    dut = Lif(**shape)
    build = build_component(dut, "lif_2_6")
    with pytest.raises(RuntimeError, match=r"simulation of lif_2_6 failed \(1 of 1 tests failed\).*\n(.*\n)*.*assert"):
        simulate_component(build, "lif", **shape, latency=dut.latency + 1, count=50, seed=1)
