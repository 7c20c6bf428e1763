"""Tensors that live at the same time never share a word."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from sw.compiler.allocate import Lifetime, first_fit


@st.composite
def lifetimes(draw: st.DrawFn) -> list[Lifetime]:
    """Tensors in any order, each read in or after the step that writes it."""
    made = []
    for index in range(draw(st.integers(0, 12))):
        first = draw(st.integers(0, 10))
        made.append(Lifetime(f"t{index}", draw(st.integers(1, 40)), first, first + draw(st.integers(0, 5))))
    return made


def live_together(a: Lifetime, b: Lifetime) -> bool:
    return bool({*range(a.first, a.last + 1)} & {*range(b.first, b.last + 1)})


def words(tensor: Lifetime, places: dict[str, int]) -> set[int]:
    return {*range(places[tensor.name], places[tensor.name] + tensor.words)}


@given(lifetimes())
def test_live_tensors_do_not_overlap(tensors):
    places, needed = first_fit(tensors)
    assert places.keys() == {tensor.name for tensor in tensors}
    for a, b in combinations(tensors, 2):
        if live_together(a, b):
            assert not words(a, places) & words(b, places)
    assert needed == max((places[t.name] + t.words for t in tensors), default=0)
    assert all(place >= 0 for place in places.values())


@given(lifetimes())
def test_every_tensor_lies_as_low_as_its_elders_allow(tensors):
    places, _ = first_fit(tensors)
    for index, tensor in enumerate(tensors):
        taken = set()
        for elder in tensors[:index]:
            if live_together(elder, tensor):
                taken |= words(elder, places)
        for lower in range(places[tensor.name]):
            assert taken & {*range(lower, lower + tensor.words)}


def test_chain_alternates_and_reuses_a_gap():
    chain = [Lifetime("a", 10, 0, 1), Lifetime("b", 4, 1, 2), Lifetime("c", 8, 2, 3), Lifetime("d", 3, 3, 4)]
    assert first_fit(chain) == ({"a": 0, "b": 10, "c": 0, "d": 8}, 14)


def test_a_tensor_that_is_never_read_again_holds_its_step():
    tensors = [Lifetime("a", 5, 1, 1), Lifetime("b", 5, 1, 1), Lifetime("c", 5, 2, 2)]
    assert first_fit(tensors) == ({"a": 0, "b": 5, "c": 0}, 10)


def test_nothing_needs_nothing():
    assert first_fit([]) == ({}, 0)
