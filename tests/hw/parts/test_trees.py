"""The adder tree: exact for any number of terms, stated width and latency."""

from __future__ import annotations

import random

import pytest
from amaranth.hdl import Module, Shape
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.parts.adder_tree import tree_sum, tree_sum_latency
from tests.hw.pipelines import run_pipeline


class Summed(wiring.Component):
    """`tree_sum` with ports; one register behind a combinational tree, so that it is a pipeline."""

    def __init__(self, shapes: list[Shape], *, registered: bool, width: int | None = None):
        self._registered, self._width = registered, width
        self.latency = tree_sum_latency(len(shapes)) if registered else 1
        self.sum_shape = None
        terms = data.StructLayout({f"term{i}": shape for i, shape in enumerate(shapes)})
        super().__init__({"terms": In(terms), "total": Out(Shape(32, signed=True))})

    def elaborate(self, platform):
        m = Module()
        terms = [self.terms[name] for name, _ in self.terms.shape()]
        total = tree_sum(m, terms, name="total", registered=self._registered, width=self._width)
        self.sum_shape = Shape.cast(total.shape())
        domain = m.d.comb if self._registered else m.d.sync
        domain += self.total.eq(total)
        return m


def sums_of(dut: Summed, sets: list[list[int]]) -> list[int]:
    members = [{"terms": {f"term{i}": value for i, value in enumerate(one)}} for one in sets]
    return run_pipeline(dut, members, lambda ctx: ctx.get(dut.total))


@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize("terms", [2, 3, 5, 8, 11])
def test_sums_of_mixed_shapes(terms, registered):
    rng = random.Random(terms)
    shapes = [Shape(rng.randint(1, 6), signed=bool(i % 2)) for i in range(terms)]
    bounds = [(-(1 << s.width - 1), (1 << s.width - 1) - 1) if s.signed else (0, (1 << s.width) - 1) for s in shapes]
    sets = [[rng.randint(*bound) for bound in bounds] for _ in range(50)]
    sets += [[bound[side] for bound in bounds] for side in (0, 1)]
    assert sums_of(Summed(shapes, registered=registered), sets) == [sum(one) for one in sets]


def test_grows_one_bit_per_level_up_to_the_stated_width():
    for width, expected in ((None, 7), (5, 5)):
        dut = Summed([Shape(4)] * 8, registered=True, width=width)
        sets = [[1, 2, 3, 4, 5, 6, 7, 3], [0] * 8]
        assert sums_of(dut, sets) == [31, 0]
        assert dut.sum_shape == Shape(expected)


def test_no_terms_wrong():
    with pytest.raises(ValueError, match=r"an adder tree needs at least one term \(total\)"):
        tree_sum(Module(), [], name="total", registered=True)
