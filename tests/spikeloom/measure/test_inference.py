"""The speed of inference is measured with and without SpikingJelly."""

from __future__ import annotations

import sys
from contextlib import nullcontext

import pytest
import torch

from spikeloom.measure import inference, speeds
from sw.network import NetworkConfig

TINY = NetworkConfig(image_size=8, image_channels=3, classes=3, embed_dim=16, depth=1, heads=2)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "SPIKFORMER_4_256", TINY)
    monkeypatch.setattr(inference, "ROUNDS", 1)


def test_golden_model_alone_where_spikingjelly_is_missing(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "spikingjelly", None)
    threads = torch.get_num_threads()
    golden, spikingjelly = inference.seconds_per_image()
    assert golden > 0 and spikingjelly is None
    assert torch.get_num_threads() == threads


def test_both_take_turns_on_one_thread(small, monkeypatch):
    threads_seen: list[int] = []
    shapes: list[torch.Size] = []

    def spikformer(images: torch.Tensor) -> torch.Tensor:
        threads_seen.append(torch.get_num_threads())
        shapes.append(images.shape)
        return images

    monkeypatch.setattr(inference, "spikingjelly_spikformer", lambda network: spikformer)
    golden, spikingjelly = inference.seconds_per_image()
    assert golden > 0 and spikingjelly is not None and spikingjelly > 0
    assert threads_seen == [1, 1] and shapes == [torch.Size([32, 3, 8, 8])] * 2


@pytest.mark.parametrize(("spikingjelly", "values"), [(None, [50]), (0.06, [50, pytest.approx(50 / 3), 3])])
def test_reports_images_per_second_and_the_ratio(monkeypatch, spikingjelly, values):
    monkeypatch.setattr(speeds, "seconds_per_image", lambda: (0.02, spikingjelly))
    rows = speeds.measure_inference("again", lambda text: nullcontext())
    assert [row.value for row in rows] == values
    assert {row.command for row in rows} == {"again"}
