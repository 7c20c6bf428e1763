"""Files of arrays: what they claim is checked before memory is taken, and nothing in them runs."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sw.data import npz
from sw.data.npz import read_arrays
from sw.errors import UserError

IMAGES = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
LABELS = np.array([1, 0])
NAMES = ("images", "labels")
REMEDY = "; it must hold the arrays images and labels (numpy.savez)"


def member(header: bytes, data: bytes, *, version: int = 1) -> bytes:
    """A member of an archive with a header of one's own."""
    return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2 if version == 1 else 4, "little") + header + data


def header(shape: str, descr: str = "'|u1'") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()


def write(path: Path, images: bytes, *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    buffer = io.BytesIO()
    np.save(buffer, LABELS)
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("images.npy", images)
        archive.writestr("labels.npy", buffer.getvalue())
    return path


def refusal(path: Path, names: tuple[str, ...] = NAMES) -> str:
    with pytest.raises(UserError) as refused:
        read_arrays(path, names)
    message = str(refused.value)
    assert message.startswith(f"{path}: ") and len(message.removeprefix(str(path))) < 250 and message.isprintable()
    assert "pickle" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_saved(save, tmp_path):
    path = tmp_path / "a.npz"
    save(path, images=IMAGES, labels=LABELS.astype(">i4"), other=np.array([None]))
    arrays = read_arrays(path, NAMES)
    assert list(arrays) == ["images", "labels"]
    assert np.array_equal(arrays["images"], IMAGES) and arrays["images"].dtype == np.uint8
    assert np.array_equal(arrays["labels"], LABELS)
    np.savez(path, images=np.asfortranarray(IMAGES), labels=LABELS)
    assert np.array_equal(read_arrays(path, NAMES)["images"], IMAGES)


def test_objects_are_neither_read_nor_advised(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.array([print], object), labels=LABELS)
    assert refusal(tmp_path / "a.npz") == f"images holds Python objects, not numbers{REMEDY}"


@pytest.mark.parametrize(
    "shape",
    ["(8000000000,)", "(2, 3, 4, 4000000000)", f"({2**63},)", f"({2**64}, {2**64})", "(-1, 96)", "(95,)", "(97,)"],
)
def test_a_shape_that_the_file_does_not_hold_is_refused_before_memory_is_taken(shape, tmp_path):
    path = write(tmp_path / "a.npz", member(header(shape), IMAGES.tobytes()))
    tracemalloc.start()
    try:
        message = refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert message.startswith("images claims shape [") and message.endswith(f"but 96 bytes follow{REMEDY}")


def test_an_array_that_unpacks_to_more_than_its_file_can_hold_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "ALWAYS_ALLOWED", 1 << 20)
    path = write(tmp_path / "a.npz", member(header(f"({8 << 20},)"), bytes(8 << 20)))
    tracemalloc.start()
    try:
        message = refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 19
    finally:
        tracemalloc.stop()
    assert message.startswith("images unpacks to 8,388,") and "in the file at most 1,048,576" in message
    stored = write(tmp_path / "b.npz", member(header(f"({2 << 20},)"), bytes(2 << 20)), method=zipfile.ZIP_STORED)
    assert read_arrays(stored, NAMES)["images"].size == 2 << 20


def test_an_archive_that_lies_about_what_it_unpacks_to_is_refused(tmp_path):
    path = write(tmp_path / "a.npz", member(header("(2, 3, 4, 4)"), bytes(1 << 20)))
    content = path.read_bytes()
    true, claimed = (len(member(header("(2, 3, 4, 4)"), bytes(count))).to_bytes(4, "little") for count in (1 << 20, 96))
    assert content.count(true) == 2
    path.write_bytes(content.replace(true, claimed))
    assert refusal(path) == f"not a whole .npz file{REMEDY}"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (b"", "damaged (ValueError)"),
        (b"\x93NUMPY", "damaged (ValueError)"),
        (member(b"", b""), "images has a damaged header"),
        (member(b"{" * 9000, b""), "images has a damaged header"),
        (member(b"9" * 60000, b""), "images has a damaged header"),
        (member(header("(96,)", "'|O'"), bytes(96)), "images holds Python objects, not numbers"),
        (member(header(f"({2**62},)", "'|S0'"), b""), "images holds '|S0', not numbers"),
        (member(header("(96,)", "[('a', '|u1')]"), bytes(96)), "images holds \"[('a', 'u1')]\", not numbers"),
        (member(b"('\n", b""), "images has a damaged header"),
        (member(header("(96, )") + b"  8", bytes(96)), "images has a damaged header"),
        (member(header("(1, " * 200 + ")" * 200), bytes(96)), "images has a damaged header"),
        (member(header("(" + "1, " * 100 + ")"), bytes(1)), "damaged (ValueError)"),
        (member(header("(96,)"), bytes(96), version=3), "images has version 3.0 of NumPy's format, not 1.0 or 2.0"),
    ],
)
def test_arrays_wrong(images, message, tmp_path):
    assert refusal(write(tmp_path / "a.npz", images)) == f"{message}{REMEDY}"


def test_files_wrong(tmp_path):
    assert refusal(tmp_path / "no.npz") == "cannot be read (No such file or directory); check the path"
    assert refusal(tmp_path) == "cannot be read (Is a directory); check the path"
    path = tmp_path / "a.npz"
    for content in (b"", b"PK\x03\x04 but no archive", b"cposix\nsystem\n."):
        path.write_bytes(content)
        assert refusal(path) == f"not a whole .npz file{REMEDY}"
    with path.open("wb") as stream:
        np.save(stream, IMAGES)
    assert refusal(path) == f"not a whole .npz file{REMEDY}"
    np.savez(path, **{f"a{number}" * 30: LABELS for number in range(40)})
    message = refusal(path)
    assert message.startswith("no array images, it holds a0a0") and message.endswith(f" more{REMEDY}")
    write(path, member(header("(96,)"), bytes(96)), method=zipfile.ZIP_BZIP2)
    assert refusal(path) == f"images is packed by method 12, not stored or deflated{REMEDY}"
