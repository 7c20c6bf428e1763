"""Files that are not understood are refused in one line: value, limit and remedy."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from sw.artifact.file import save
from sw.errors import UserError
from tests.sw.artifact.files import read, refusal, write

AGAIN = "export the artifact again with this version"


def test_file_wrong(path, tmp_path):
    assert refusal(tmp_path / "no.spikeloom") == "cannot read (no such file); give the path of an artifact"
    assert refusal(tmp_path) == "cannot read (a folder); give the path of an artifact"
    os.mkfifo(tmp_path / "pipe.spikeloom")
    assert refusal(tmp_path / "pipe.spikeloom") == "cannot read (not a file); give the path of an artifact"
    data = path.read_bytes()
    for wrong in (b"", b"PK\x03\x04" * 9, data[:7], data[:-1], data + b"x", data[:1000]):
        path.write_bytes(wrong)
        assert refusal(path) == "not a whole safetensors file; export the artifact again"


def test_foreign_safetensors_wrong(path):
    save_file({"a": np.zeros(2)}, path)
    assert refusal(path) == "no 'spikeloom' header, so not an artifact; export one from a trained model"


def test_suffix_and_folder_wrong(artifact, tmp_path):
    wrong = tmp_path / "a.safetensors"
    with pytest.raises(UserError) as refused:
        save(artifact, wrong)
    expected = f"{wrong}: an artifact's file name ends in .spikeloom, not .safetensors; rename it"
    assert str(refused.value) == expected
    (tmp_path / "file").write_text("")
    wrong = tmp_path / "file" / "a.spikeloom"
    with pytest.raises(UserError) as refused:
        save(artifact, wrong)
    expected = f"{wrong}: cannot write ({os.strerror(errno.EEXIST)}); free space or choose a writable folder"
    assert str(refused.value) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ("[" * 100_000, "more than 32 levels of lists and objects"),
    ],
)
def test_json_wrong(path, text, reason):
    _, tensors = read(path)
    save_file(tensors, path, metadata={"spikeloom": text})
    assert refusal(path) == f"the 'spikeloom' header is not JSON ({reason}); {AGAIN}"


HEADERS = [
    ({"format": "other"}, f"format is 'other', not 'spikeloom-artifact'; {AGAIN}"),
    ({"version": 6}, f"version is 6, this reader knows 1 to 5; {AGAIN}"),
    ({"version": 0}, f"version is 0, this reader knows 1 to 5; {AGAIN}"),
    ({"version": True}, f"version is True, this reader knows 1 to 5; {AGAIN}"),
    ({"version": None}, f"version is None, this reader knows 1 to 5; {AGAIN}"),
    ({"version": 1},
     f"network fields unknown: event_bits, linear_bias, neuron, pool_order, pools, residual_mode; {AGAIN}"),
    ({"version": 2}, f"network fields unknown: event_bits, linear_bias, neuron, pool_order; {AGAIN}"),
    ({"version": 4}, f"network fields missing: events; {AGAIN}"),
    ({"colour": 1, "shape": 2}, f"header keys unknown: colour, shape; {AGAIN}"),
    ({"ranges": ...}, f"header keys missing: ranges; {AGAIN}"),
    ({"weight_bits": 5}, "weight_bits must be one of 2, 3, 4, 8, not 5; quantise to one of these"),
    ({"weight_bits": "4"}, "weight_bits must be one of 2, 3, 4, 8, not '4'; quantise to one of these"),
    ({"bias_fraction_bits": 9}, "bias_fraction_bits must be 0 to 8, not 9; export with fewer fraction bits"),
    ({"bias_fraction_bits": -1}, "bias_fraction_bits must be 0 to 8, not -1; export with fewer fraction bits"),
    ({"image_scale": 0}, "image_scale must be a positive finite number, not 0; calibrate the image input"),
    ({"dataset": ""}, "dataset must be 1 to 200 printable characters, not ''; name the data set"),
    ({"class_names": "abc"}, f"class_names must be a list or null, not 'abc'; {AGAIN}"),
    ({"class_names": ["a"]}, "class_names holds 1 names for 3 classes; give one name for each class"),
    ({"class_names": [1, 2, 3]},
     "class_names must be 1 to 200 printable characters, not 1; give one name for each class"),
    ({"dataset": "a\x1b[2J"}, "dataset must be 1 to 200 printable characters, not 'a\\x1b[2J'; name the data set"),
    ({"image_scale": 10**400}, f"image_scale must be a positive finite number, not 1{'0' * 27}...{'0' * 29}; "
                               "calibrate the image input"),
    ({"accuracy": {"golden": {"correct": 5, "images": 1 << 32}}},
     "accuracy of golden must count at most 2,147,483,648 images, not 4294967296; evaluate it again"),
    ({"provenance": []}, "provenance must be a dict, not []; give plain JSON values"),
    ({"accuracy": {"golden": {"correct": 5, "images": 4}}},
     "accuracy of golden must count 0 <= correct <= images, not {'correct': 5, 'images': 4}; evaluate it again"),
    ({"ranges": 3}, f"ranges must be an object, not 3; {AGAIN}"),
    ({"ranges": {}}, "ranges missing: block0.attention, block0.fc1, block0.fc2, block0.k, block0.proj, block0.q, "
                     f"block0.v, conv0, conv1, conv2, conv3, head and 1 more; {AGAIN}"),
    ({"network": []}, f"network must be an object, not []; {AGAIN}"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), HEADERS)
def test_header_wrong(path, change, message):
    header, tensors = read(path)
    header = {key: value for key, value in (header | change).items() if value is not ...}
    write(path, header, tensors)
    assert refusal(path) == message


def test_header_that_is_a_list_wrong(path):
    write(path, [1], read(path)[1])
    assert refusal(path) == f"format is [1], not 'spikeloom-artifact'; {AGAIN}"


NETWORKS = [
    ({"depth": ...}, f"network fields missing: depth; {AGAIN}"),
    ({"width": 4}, f"network fields unknown: width; {AGAIN}"),
    ({"depth": "1"}, f"network depth must be of type int, not '1'; {AGAIN}"),
    ({"depth": 1.0}, f"network depth must be of type int, not 1.0; {AGAIN}"),
    ({"attention_scale": None}, f"network attention_scale must be of type float, not None; {AGAIN}"),
    ({"depth": 10**9}, f"network depth must be at most 256, not 1000000000; {AGAIN}"),
    ({"image_size": 1 << 63}, f"network image_size must be at most 2,048, not 9223372036854775808; {AGAIN}"),
    ({"timesteps": 17}, f"network timesteps must be 1 to 16, not 17; {AGAIN}"),
    ({"residual_mode": ...}, f"network fields missing: residual_mode; {AGAIN}"),
    ({"residual_mode": "or"}, f"network residual_mode must be add, clamp or iand, not 'or'; {AGAIN}"),
    ({"residual_mode": ["add"]}, f"network residual_mode must be add, clamp or iand, not ['add']; {AGAIN}"),
]


@pytest.mark.parametrize(("change", "message"), NETWORKS)
def test_network_wrong(path, change, message):
    header, tensors = read(path)
    network = header["network"] | change
    header["network"] = {key: value for key, value in network.items() if value is not ...}
    write(path, header, tensors)
    assert refusal(path) == message


def test_tensor_names_wrong(path):
    header, tensors = read(path)
    write(path, header, {name: value for name, value in tensors.items() if name != "conv1.bias"})
    assert refusal(path) == f"tensors missing: conv1.bias; {AGAIN}"
    write(path, header, tensors | {"head.threshold": np.ones(3, np.int64)})
    assert refusal(path) == f"tensors unknown: head.threshold; {AGAIN}"


def changed(value: np.ndarray, index: tuple[int, ...], new: float) -> np.ndarray:
    copy = value.copy()
    copy[index] = new
    return copy


TENSORS = [
    ("image.table", lambda x: x.astype(np.uint8), f"image.table must be int8, not uint8; {AGAIN}"),
    ("image.table", lambda x: x[:1].copy(), f"image.table must have shape [2, 256], not [1, 256]; {AGAIN}"),
    ("image.table", lambda x: changed(x, (0, 7), -128),
     "image.table holds -128, outside -127..127; quantise the image with a narrow range"),
    ("conv1.weight", lambda x: x.astype(np.int16), f"conv1.weight must be int8, not int16; {AGAIN}"),
    ("conv1.weight", lambda x: x[..., 0].copy(), f"conv1.weight must have shape [4, 2, 3, 3], not [4, 2, 3]; {AGAIN}"),
    ("conv1.weight", lambda x: changed(x, (0, 1, 2, 0), -8),
     "conv1.weight holds -8, outside -7..7 of 4-bit weights; quantise with a narrow range"),
    ("head.weight", lambda x: changed(x, (1, 1), 127),
     "head.weight holds 127, outside -7..7 of 4-bit weights; quantise with a narrow range"),
    ("rpe.bias", lambda x: x.astype(np.int64), f"rpe.bias must be int32, not int64; {AGAIN}"),
    ("rpe.threshold", lambda x: x.astype(np.int32), f"rpe.threshold must be int64, not int32; {AGAIN}"),
    ("rpe.threshold", lambda x: changed(x, (3,), 0),
     "rpe.threshold holds 0, below the limit 1; flip the channel's weights so that its scale is positive"),
    ("rpe.scale", lambda x: x.astype(np.float32), f"rpe.scale must be float64, not float32; {AGAIN}"),
    ("rpe.scale", lambda x: changed(x, (3,), -0.5),
     "rpe.scale holds -0.5, not a positive finite number; flip the channel's weights so that its scale is positive"),
    ("rpe.scale", lambda x: changed(x, (3,), np.inf),
     "rpe.scale holds inf, not a positive finite number; flip the channel's weights so that its scale is positive"),
    ("head.scale", lambda x: np.array([1.0, 2.0, 1.0]),
     "head.scale holds 1.0 and 2.0 but must be one value, as logits are compared as integers; "
     "quantise the head per tensor"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "message"), TENSORS)
def test_tensors_wrong(path, name, change, message):
    header, tensors = read(path)
    write(path, header, tensors | {name: change(tensors[name])})
    assert refusal(path) == message


def test_recorded_ranges_wrong(path):
    header, tensors = read(path)
    proven = header["ranges"]["conv2"]["accumulator_bits"]
    header["ranges"]["conv2"]["accumulator_bits"] += 1
    write(path, header, tensors)
    expected = f"accumulator_bits of conv2 is recorded as {proven + 1}, but its tensors prove {proven}; {AGAIN}"
    assert refusal(path) == expected
    del header["ranges"]["conv2"]["accumulator_bits"]
    write(path, header, tensors)
    assert refusal(path) == f"ranges of conv2 missing: accumulator_bits; {AGAIN}"
    header["ranges"]["conv2"] = 4
    write(path, header, tensors)
    assert refusal(path) == f"ranges of conv2 must be an object, not 4; {AGAIN}"
