"""Artifacts survive the file bit for bit; anything not understood is refused in one line."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import itertools
import json
import os
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from golden.random_artifact import random_artifact
from sw.artifact.artifact import Artifact, checksum, load, save
from sw.artifact.ranges import accumulator_range, membrane_range, signed_bits
from sw.errors import UserError
from sw.network import NetworkConfig

NETWORK = NetworkConfig(image_size=8, image_channels=2, classes=3, embed_dim=16, depth=1, heads=2)
AGAIN = "export the artifact again with this version"
MODELS = sorted((Path(__file__).resolve().parents[3] / "models").glob("*.spikeloom"))


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    made = random_artifact(NETWORK, 4, seed=1)
    return dataclasses.replace(
        made,
        class_names=("shirt", "coat", "Schläppchen"),
        accuracy={"float": {"correct": 3, "images": 4}},
        provenance={"seed": 1, "versions": {"torch": "2"}},
    )


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with safe_open(path, framework="numpy") as stream:
        header = json.loads(stream.metadata()["spikeloom"])
        return header, {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118


def write(path: Path, header: object, tensors: dict[str, np.ndarray]) -> None:
    """Write a file as somebody would who knows the format, with a checksum that is right where there must be one."""
    if isinstance(header, dict):
        header = {key: value for key, value in header.items() if key != "sha256"}
        if header.get("version") not in (1, 2, 3):
            header["sha256"] = checksum(header, tensors)
    save_file(tensors, path, metadata={"spikeloom": json.dumps(header)})


@pytest.fixture
def path(artifact, tmp_path) -> Path:
    save(artifact, tmp_path / "a.spikeloom")
    return tmp_path / "a.spikeloom"


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as refused:
        load(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_round_trip(artifact, path):
    loaded = load(path)
    assert loaded.header() == artifact.header()
    ours, theirs = artifact.flat_tensors(), loaded.flat_tensors()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert value.dtype == theirs[name].dtype and np.array_equal(value, theirs[name]), name


def test_version_1_adds_to_the_residual(artifact, path):
    header, tensors = read(path)
    for field in ("residual_mode", "pools", "events", "pool_order", "linear_bias", "neuron"):
        del header["network"][field]
    write(path, header | {"version": 1}, tensors)
    assert load(path).header() == artifact.header()


def test_version_2_reads_images_and_pools_after_its_neurons(artifact, path):
    header, tensors = read(path)
    for field in ("events", "pool_order", "linear_bias", "neuron"):
        del header["network"][field]
    write(path, header | {"version": 2}, tensors)
    assert load(path).header() == artifact.header()
    assert not artifact.network.events


def test_events_survive(tmp_path):
    network = dataclasses.replace(NETWORK, events=True)
    save(random_artifact(network, 4, seed=1), tmp_path / "a.spikeloom")
    loaded = load(tmp_path / "a.spikeloom")
    assert loaded.network == network
    assert set(np.unique(loaded.image_table)) == {0, 1}


def test_events_are_0_or_1(artifact):
    with pytest.raises(UserError) as refused:
        dataclasses.replace(artifact, network=dataclasses.replace(artifact.network, events=True))
    worst = artifact.image_table[~np.isin(artifact.image_table, (0, 1))][0]
    assert str(refused.value) == (
        f"image.table holds {worst}, but events are 0 or 1; map every pixel value to one of them"
    )


@pytest.mark.parametrize("mode", ["clamp", "iand"])
def test_residual_mode_survives(mode, tmp_path):
    network = dataclasses.replace(NETWORK, residual_mode=mode)
    save(random_artifact(network, 4, seed=1), tmp_path / "a.spikeloom")
    assert load(tmp_path / "a.spikeloom").network == network


def test_pool_order_biases_and_neuron_survive(tmp_path):
    network = dataclasses.replace(NETWORK, pool_order="before", linear_bias="none", neuron="if")
    save(random_artifact(network, 4, seed=1), tmp_path / "a.spikeloom")
    assert load(tmp_path / "a.spikeloom").network == network


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_committed_models_are_of_this_version(path, tmp_path):
    save(load(path), tmp_path / path.name)
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert load(path).network.residual_mode == "add"


def test_every_flipped_bit_is_refused_or_means_the_same(artifact, path):
    data, meant = path.read_bytes(), (artifact.header(), artifact.flat_tensors())
    start = 8 + int.from_bytes(data[:8], "little")
    rng = np.random.default_rng(1)
    accepted = 0
    for bit in [*rng.integers(0, 8 * start, 200), *rng.integers(8 * start, 8 * len(data), 200)]:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            loaded = load(path)
        except UserError as error:
            assert len(str(error).removeprefix(str(path))) < 250
            continue
        accepted += 1
        assert bit < 8 * start and loaded.header() == meant[0]
        for name, value in loaded.flat_tensors().items():
            assert np.array_equal(value, meant[1][name])
    assert accepted < 10  # white space, and capitals in an escape


def test_values_in_their_ranges_that_are_not_those_written_wrong(path):
    header, tensors = read(path)
    for change in ({"weight_bits": 8}, {"dataset": "mnist"}, {"image_scale": 0.5}, {"provenance": {}}, {"sha256": 0}):
        save_file(tensors, path, metadata={"spikeloom": json.dumps(header | change)})
        assert refusal(path).startswith("damaged or changed: sha256 of header and tensors is ")
    for name in ("conv0.scale", "image.table", "conv1.bias"):
        save_file(tensors | {name: np.flip(tensors[name]).copy()}, path, metadata={"spikeloom": json.dumps(header)})
        assert refusal(path).startswith("damaged or changed: sha256 of header and tensors is ")


def test_an_older_version_is_remarked_once(artifact, path, caplog):
    header, tensors = read(path)
    write(path, header | {"version": 3}, tensors)
    for _ in range(3):
        assert load(path).header() == artifact.header()
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: version 3 of the format has no checksum, so damage may go unnoticed; renew it: "
        f"spikeloom info --renew {path}"
    ]
    save(load(path), path)
    caplog.clear()
    load(path)
    assert not caplog.records


def test_the_checksum_is_what_the_documentation_says(path):
    header, tensors = read(path)
    recorded = header.pop("sha256")
    described = {}
    for name, value in tensors.items():
        described[name] = [value.dtype.name, list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
    text = json.dumps({"tensors": described, "header": header}, sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == recorded


def test_same_artifact_same_bytes(artifact, path, tmp_path):
    save(load(path), tmp_path / "b.spikeloom")
    assert path.read_bytes() == (tmp_path / "b.spikeloom").read_bytes()


def test_saving_replaces_the_file_and_leaves_nothing_else(artifact, path):
    save(random_artifact(NETWORK, 8, seed=2), path)
    assert load(path).weight_bits == 8
    assert [entry.name for entry in path.parent.iterdir()] == ["a.spikeloom"]


def test_thresholds_of_random_artifacts_follow_from_their_scales(artifact):
    unit = 2 ** (NETWORK.timesteps + artifact.bias_fraction_bits)
    for parameters in artifact.tensors.values():
        if parameters.threshold is not None:
            for threshold, scale in zip(parameters.threshold, parameters.scale, strict=True):
                assert ceil(unit / Fraction(float(scale))) == threshold


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
    ({"version": 5}, f"version is 5, this reader knows 1 to 4; {AGAIN}"),
    ({"version": 0}, f"version is 0, this reader knows 1 to 4; {AGAIN}"),
    ({"version": True}, f"version is True, this reader knows 1 to 4; {AGAIN}"),
    ({"version": None}, f"version is None, this reader knows 1 to 4; {AGAIN}"),
    ({"version": 1}, f"network fields unknown: events, linear_bias, neuron, pool_order, pools, residual_mode; {AGAIN}"),
    ({"version": 2}, f"network fields unknown: events, linear_bias, neuron, pool_order; {AGAIN}"),
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


def test_values_wrong(artifact):
    with pytest.raises(UserError, match=r"^layers missing: conv0; "):
        tensors = {name: value for name, value in artifact.tensors.items() if name != "conv0"}
        dataclasses.replace(artifact, tensors=tensors)
    with pytest.raises(UserError, match=r"^head\.threshold must be absent, the head has no neuron; leave it out$"):
        head = dataclasses.replace(artifact.tensors["head"], threshold=np.ones(3, np.int64))
        dataclasses.replace(artifact, tensors=artifact.tensors | {"head": head})
    with pytest.raises(UserError, match=r"^conv0\.threshold must be int64, not NoneType; "):
        conv0 = dataclasses.replace(artifact.tensors["conv0"], threshold=None)
        dataclasses.replace(artifact, tensors=artifact.tensors | {"conv0": conv0})
    with pytest.raises(UserError, match=r"^conv0\.weight must be int8, not list; "):
        conv0 = dataclasses.replace(artifact.tensors["conv0"], weight=[1])  # type: ignore[arg-type]
        dataclasses.replace(artifact, tensors=artifact.tensors | {"conv0": conv0})
    with pytest.raises(
        UserError, match=r"^provenance is not plain JSON \(Object of type set is not JSON serializable\);"
    ):
        dataclasses.replace(artifact, provenance={"a": {1}})
    with pytest.raises(UserError, match=r"^provenance is not plain JSON \(Out of range float values"):
        dataclasses.replace(artifact, provenance={"a": float("nan")})


@given(st.integers(-(2**40), 2**40), st.integers(0, 2**40))
def test_signed_bits_are_the_fewest_that_hold_both(low, span):
    high = low + span
    bits = signed_bits(low, high)
    assert -(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1)
    assert bits == 1 or not (-(2 ** (bits - 2)) <= low and high < 2 ** (bits - 2))


@given(st.lists(st.integers(-127, 127), min_size=1, max_size=6), st.integers(-128, 0), st.integers(0, 127))
def test_accumulator_range_is_reached(weights, low, high):
    smallest, largest = accumulator_range(np.array([weights], np.int8), low, high)
    assert smallest[0] == sum(min(w * low, w * high) for w in weights)
    assert largest[0] == sum(max(w * low, w * high) for w in weights)


@pytest.mark.parametrize(("leaky", "threshold"), [(True, 33), (False, 8)])
def test_membrane_range_is_reached(leaky, threshold):
    """T = 3, currents -4..5, threshold 33 = ceil(8 * 4.1), without leak 8: every bound by enumeration."""
    seen = []
    for currents in itertools.product(range(-4, 6), repeat=3):
        membrane = 0
        for t, current in enumerate(currents, start=1):
            membrane += current * (2 ** (t - 1) if leaky else 1)
            seen.append(membrane)
            membrane = 0 if membrane * (2 ** (3 - t) if leaky else 1) >= threshold else membrane
    bounds = membrane_range(np.array([-4]), np.array([5]), np.array([threshold]), 3, leaky=leaky)
    assert bounds == (min(seen), max(seen))
