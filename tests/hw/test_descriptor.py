"""Descriptors: what the compiler packs is what the gateware reads."""

from __future__ import annotations

import dataclasses
import functools
import operator

import pytest
from amaranth.lib import enum
from hypothesis import given
from hypothesis import strategies as st

from hw.descriptor import DESCRIPTOR, DESCRIPTOR_BITS, DESCRIPTOR_CHECK, FIELDS, Descriptor, Opcode, encode

ENUMERATIONS = {
    name: shape
    for name, shape in DESCRIPTOR.members.items()
    if isinstance(shape, type) and issubclass(shape, enum.Enum)
}


def width(name: str) -> int:
    return DESCRIPTOR[name].width


@st.composite
def descriptors(draw: st.DrawFn) -> dict[str, int]:
    """Some of the fields, each with a value that fits; members of enumerations that exist."""
    fields = {}
    for name in draw(st.lists(st.sampled_from(FIELDS), unique=True)):
        if name in ENUMERATIONS:
            fields[name] = draw(st.sampled_from([member.value for member in ENUMERATIONS[name]]))
        else:
            fields[name] = draw(st.integers(0, (1 << width(name)) - 1))
    return fields


@given(descriptors())
def test_gateware_reads_what_was_encoded(fields):
    bits = encode(**fields)
    assert bits < 1 << DESCRIPTOR_BITS
    view = DESCRIPTOR.from_bits(bits & (1 << DESCRIPTOR.size) - 1)
    for name in FIELDS:
        value = getattr(view, name)
        assert getattr(value, "value", value) == fields.get(name, 0)


@given(descriptors())
def test_bytes_xor_to_the_check(fields):
    data = encode(**fields).to_bytes(DESCRIPTOR_BITS // 8, "little")
    assert functools.reduce(operator.xor, data) == DESCRIPTOR_CHECK


def test_members_may_be_given_for_numbers():
    for name, kind in ENUMERATIONS.items():
        for member in kind:
            assert encode(**{name: member}) == encode(**{name: member.value})


@given(descriptors())
def test_descriptor_holds_a_value_for_every_field(fields):
    descriptor = Descriptor(**fields)
    assert descriptor.fields == {**dict.fromkeys(FIELDS, 0), **fields}
    assert descriptor.encode() == encode(**fields)


def test_descriptor_takes_members_and_flags():
    descriptor = Descriptor(opcode=Opcode.WEIGHTS, pool=True, rows=3)
    assert (descriptor.opcode, descriptor.pool, descriptor.rows) == (Opcode.WEIGHTS, True, 3)
    assert descriptor.encode() == encode(opcode=2, pool=1, rows=3)
    assert Descriptor().opcode is Opcode.END


def test_descriptor_does_not_change():
    descriptor = Descriptor(rows=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        descriptor.rows = 4
    assert dataclasses.replace(descriptor, rows=4).rows == 4
    assert descriptor.rows == 3


@pytest.mark.parametrize("name", ["check", "bias", "size"])
def test_descriptor_has_no_other_field(name):
    with pytest.raises(TypeError, match=name):
        Descriptor(**{name: 0})


def test_fields_do_not_overlap():
    ends = 0
    for name in DESCRIPTOR.members:
        assert DESCRIPTOR[name].offset == ends
        ends += width(name)
    assert ends == DESCRIPTOR.size <= DESCRIPTOR_BITS


@pytest.mark.parametrize("name", FIELDS)
def test_largest_values_fit(name):
    assert encode(**{name: (1 << width(name)) - 1}) >> DESCRIPTOR[name].offset & 1


@pytest.mark.parametrize("name", FIELDS)
def test_value_wrong(name):
    most = (1 << width(name)) - 1
    for value in (most + 1, -1):
        with pytest.raises(ValueError) as refused:
            encode(**{name: value})
        assert str(refused.value) == f"descriptor field {name} holds 0 to {most}, not {value}"


@pytest.mark.parametrize("name", ["check", "bias", "size"])
def test_field_wrong(name):
    with pytest.raises(ValueError) as refused:
        encode(**{name: 0})
    assert str(refused.value) == f"a descriptor has no field {name!r} to set"
