"""The recorded image: what its file keeps comes back, and files of others are refused in a line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import sim.comparison.hardware as hardware
from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from hw.named_configs import TINY
from sim.comparison.decode import UNWRITTEN, Recorded
from sim.comparison.hardware import TracedImages, compare_hardware
from sim.comparison.mismatch import Mismatches
from sim.comparison.recorded_image import FORMAT, RecordedImage, load_recorded_image
from sim.rtl import RtlRun
from sim.runner import ImageResult
from sw.compiler.compiler import compile_artifact
from sw.data.sets import ImageSet
from sw.driver.results import JobResult
from sw.errors import UserError
from sw.network import NetworkConfig
from sw.tensor_file import tensor_file

SMALL = NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=16, depth=1, heads=2)
EVENTS = dataclasses.replace(SMALL, image_channels=2, event_bits=2, timesteps=10)
BEFORE = dataclasses.replace(SMALL, image_size=16, pools=3, pool_order="before")


def recorded(network: NetworkConfig) -> RecordedImage:
    """A random image as golden model and an RTL that equals it give it."""
    pixels = random_images(network, 1, seed=2)
    result = GoldenModel(random_artifact(network, 4, seed=1)).record(pixels)
    traced = TracedImages(1)
    traced.keep(0, 1, result)
    logits = result.logits[0].numpy()
    return RecordedImage(
        index=3, label=1, pixels=pixels[0].numpy(), golden=traced[0], rtl=traced[0], logits=logits,
        rtl_logits=logits, rtl_prediction=int(result.predictions[0]),
    )  # fmt: skip


def changed(recorded: Recorded, kind: str, layer: str, place: tuple[int, ...], value: int) -> Recorded:
    """One value is another."""
    values = getattr(recorded, kind)[layer].copy()
    values[place] = value
    return dataclasses.replace(recorded, **{kind: {**getattr(recorded, kind), layer: values}})


def written(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    with safe_open(path, framework="numpy") as stream:
        header = json.loads(stream.metadata()["spikeloom"])
        return header, {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118


@pytest.fixture
def image() -> RecordedImage:
    return recorded(SMALL)


@pytest.mark.parametrize("network", [SMALL, EVENTS, BEFORE], ids=["image", "ten steps of events", "pools before"])
def test_what_is_kept_comes_back(tmp_path, network):
    path, image = tmp_path / "recording.safetensors", recorded(network)
    image.save(path, {"artifact": "random"})
    header, tensors = written(path)
    assert header["run"] == {"artifact": "random"} and not any(name.startswith("rtl.s") for name in tensors)
    again = load_recorded_image(path, network)
    assert (again.index, again.label, again.prediction) == (3, 1, image.rtl_prediction)
    assert np.array_equal(again.pixels, image.pixels) and np.array_equal(again.logits, image.logits)
    assert not again.differs
    for side in (again.golden, again.rtl):
        pairs = list(image.golden.beside(side))
        layers = [layer for layer in network.layers() if layer.kind != "head"]
        assert len(pairs) == sum(1 + layer.pools_spikes + layer.residual for layer in layers)
        for layer, kind, kept, read in pairs:
            assert np.array_equal(kept, read), (layer, kind)


def test_rtl_values_are_kept_where_they_differ(tmp_path, image):
    path = tmp_path / "recording.safetensors"
    rtl = changed(image.rtl, "spikes", "conv1", (2, 1, 3, 4), UNWRITTEN)
    rtl = changed(rtl, "residuals", "rpe", (0, 0, 1, 1), 7)
    image = dataclasses.replace(image, label=None, rtl=rtl, rtl_logits=None, rtl_prediction=None)
    image.save(path, {})
    assert {name for name in written(path)[1] if name.startswith("rtl.")} == {"rtl.spikes.conv1", "rtl.residuals.rpe"}
    again = load_recorded_image(path, SMALL)
    assert again.label is None and again.rtl_logits is None and again.rtl_prediction is None and again.differs
    found = {
        (layer, kind): np.argwhere(golden != rtl).tolist()
        for layer, kind, golden, rtl in again.golden.beside(again.rtl)
        if not np.array_equal(golden, rtl)
    }
    assert found == {("conv1", "spikes"): [[2, 1, 3, 4]], ("rpe", "residuals"): [[0, 0, 1, 1]]}
    assert again.rtl.spikes["conv1"][2, 1, 3, 4] == UNWRITTEN and again.rtl.residuals["rpe"][0, 0, 1, 1] == 7


def test_spikes_take_a_bit(tmp_path, image):
    path = tmp_path / "recording.safetensors"
    image.save(path, {})
    tensors = written(path)[1]
    assert tensors["golden.spikes.conv0"].shape == (1, 2, 8, 8)
    neuron = image.golden.spikes["conv0"][:, 1, 2, 3]
    assert tensors["golden.spikes.conv0"][0, 1, 2, 3] == sum(int(spike) << t for t, spike in enumerate(neuron))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"version": 2}, "version is 2, this reader knows 1; run spikeloom compare again with this version"),
        ({"format": "spikeloom-artifact"}, "format is 'spikeloom-artifact', not 'spikeloom-recording'"),
        ({"index": -1}, "index must be 0 to 4,294,967,295, not -1"),
        ({"label": 5}, "label must be 0 to 4 or null, not 5"),
        ({"rtl_prediction": True}, "rtl_prediction must be 0 to 4 or null, not True"),
        ({"run": []}, r"run must be an object, not \[\]"),
        ({"colour": 1}, "header keys are colour, format"),
    ],
)
def test_header_wrong(tmp_path, image, header, message):
    path = tmp_path / "recording.safetensors"
    image.save(path, {})
    before, tensors = written(path)
    path.write_bytes(tensor_file(before | header, tensors))
    with pytest.raises(UserError, match=message) as refused:
        load_recorded_image(path, SMALL)
    assert "run spikeloom compare again" in str(refused.value) and "\n" not in str(refused.value)


TENSORS = [
    ({"golden.spikes.conv0": None}, "tensors missing for this network: golden.spikes.conv0"),
    ({"rtl.spikes.conv9": np.zeros(1, np.uint8)}, "tensors unknown for this network: rtl.spikes.conv9"),
    ({"image": np.zeros((1, 8, 9), np.uint8)},
     r"image must be uint8 \[1, 8, 8\] for this network, not \['uint8', 1, 8, 9\]"),
    ({"golden.logits": np.zeros(5)}, r"golden.logits must be int64 \[5\] for this network, not \['float64', 5\]"),
    ({"rtl.spikes.conv0": np.full((4, 2, 8, 8), 2, np.uint8)}, "rtl.spikes.conv0 must hold 0, 1 and 255, not 2"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), TENSORS)
def test_tensors_wrong(tmp_path, image, change, message):
    path = tmp_path / "recording.safetensors"
    image.save(path, {})
    header, tensors = written(path)
    path.write_bytes(tensor_file(header, {k: v for k, v in (tensors | change).items() if v is not None}))
    with pytest.raises(UserError, match=f"{message}; run spikeloom compare again"):
        load_recorded_image(path, SMALL)


def test_files_that_are_damaged_or_of_another_network_wrong(tmp_path, image):
    path = tmp_path / "recording.safetensors"
    with pytest.raises(UserError, match="no such file"):
        load_recorded_image(path, SMALL)
    image.save(path, {})
    with pytest.raises(UserError, match="for this network"):
        load_recorded_image(path, dataclasses.replace(SMALL, embed_dim=32))
    content = path.read_bytes()
    for at in (8, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(UserError, match=f"damaged or changed|not a whole safetensors file; {FORMAT.again}"):
            load_recorded_image(path, SMALL)
    path.write_bytes(content[:-1])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        load_recorded_image(path, SMALL)


@pytest.mark.parametrize(
    ("wrong", "chosen"), [((), 0), (("spikes",), 1), (("logits",), 1), (("prediction",), 1), (("failure",), 1)]
)
def test_the_first_image_that_differs_is_chosen(monkeypatch, wrong, chosen):
    """Three traced images, of which the second and the third are wrong in something, or none."""
    artifact, pixels = random_artifact(SMALL, 4, seed=1), random_images(SMALL, 4, seed=2)
    golden, traced = GoldenModel(artifact).record(pixels), TracedImages(3)
    traced.keep(0, 4, golden)

    def job(image: int) -> JobResult:
        logits, prediction = golden.logits[image].tolist(), int(golden.predictions[image])
        if image in (1, 2) and "logits" in wrong:
            logits[0] += 1
        return JobResult(
            cycles=1, logits=tuple(logits), prediction=(prediction + (image in (1, 2) and "prediction" in wrong)) % 5,
            layers=(), error="NONE", descriptors=0,
        )  # fmt: skip

    def found(program, number: int) -> Recorded:
        golden = traced[number]
        if number not in (1, 2) or "spikes" not in wrong:
            return golden
        return changed(golden, "spikes", "conv1", (0, 0, 0, 0), golden.spikes["conv1"][0, 0, 0, 0] ^ 1)

    monkeypatch.setattr(hardware, "read_trace", lambda path: int(path.name))
    monkeypatch.setattr(hardware, "decode_trace", found)
    images = tuple(
        ImageResult(
            image=number, job=job(number), timeout=number in (1, 2) and "failure" in wrong, fault=None, reset=False,
            elapsed=1, beats_read=1, record=None, jobs=1, seconds=0.0, activity=None,
            trace=Path(str(number)) if number < 3 else None,
        )
        for number in range(4)
    )  # fmt: skip
    data = ImageSet(images=pixels, labels=torch.arange(4), indices=torch.arange(4))
    mismatches = Mismatches()
    kept = compare_hardware(
        compile_artifact(artifact, TINY), data, RtlRun(images, 1.0, ()), golden.logits, traced, mismatches
    )
    assert kept is not None and (kept.index, kept.label, kept.differs) == (chosen, chosen, bool(wrong))
    assert (mismatches.first is None) == (not wrong)
    assert np.array_equal(kept.pixels, pixels[chosen].numpy())
    for _, _, expected, actual in traced[chosen].beside(kept.golden):
        assert np.array_equal(expected, actual)
