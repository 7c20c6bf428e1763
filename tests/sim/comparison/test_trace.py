"""The trace parser on written traces."""

from __future__ import annotations

import numpy as np
import pytest

from sim.comparison.trace import read_trace

TRACE = """\
n 01 00f1
n 02 8000
s 02 0001f 2 1 00f1
n 02 0180
r 03 fffff 3 1 ffff
t 04 1 00a 02 000000000000000000000000000000ff
l 05 00 fffffff6
l 05 01 00000007
"""


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "trace.txt"
    path.write_text(TRACE)
    return read_trace(path)


def test_events_are_sorted_by_kind_in_order(trace):
    assert {kind: len(events) for kind, events in trace.items()} == {
        "neuron": 3, "spike": 1, "residual": 1, "token": 1, "logit": 2,
    }  # fmt: skip
    assert trace["neuron"].layer.tolist() == [1, 2, 2]
    assert trace["neuron"].data.tolist() == [[0xF1, 0], [0, 0x80], [0x80, 1]]
    assert trace["spike"].fields == {"address": np.array([0x1F]), "banks": np.array([2]), "pieces": np.array([1])}
    assert trace["token"].fields == {"value": np.array([1]), "channel": np.array([10]), "chunk": np.array([2])}


def test_bits_come_lowest_first(trace):
    bits = trace["neuron"].of_layer(1).bits(2, 2, 4)
    assert bits.shape == (1, 2, 2, 4)
    assert bits.tolist() == [[[[1, 0, 0, 0], [1, 1, 1, 1]], [[0, 0, 0, 0], [0, 0, 0, 0]]]]
    assert trace["token"].bits(128).sum() == 8


def test_logits_are_signed(trace):
    assert trace["logit"].signed().tolist() == [-10, 7]


def test_empty_trace_has_every_kind(tmp_path):
    path = tmp_path / "trace.txt"
    path.write_text("")
    events = read_trace(path)
    assert all(len(part) == 0 for part in events.values())
    assert events["neuron"].bits(2, 4, 8).shape == (0, 2, 4, 8)
    assert events["logit"].signed().shape == (0,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n 01 00f1\nx 02\n", "line 2 is not an event"),
        ("n 01 00f1\nn 01 0", "the last line is cut off"),
        ("n 01 00f1\nn 01 0\n", "neuron events of different lengths"),
        ("n 01 00xg\n", "a neuron event is not hexadecimal numbers for layer, data"),
        ("s 01 00001 00\n", "a spike event is not hexadecimal numbers for layer, address, banks, pieces, data"),
    ],
)
def test_trace_wrong(tmp_path, text, message):
    path = tmp_path / "trace.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_trace(path)


def test_word_wrong(trace):
    with pytest.raises(ValueError, match=r"a neuron word has 16 bits, not 32"):
        trace["neuron"].bits(2, 4, 4)
    with pytest.raises(ValueError, match="a token word has 128 bits, more than an integer"):
        trace["token"].signed()
