"""Firing rates and residual integers equal counts over recorded tensors."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from golden.accounting.firing import FiringStatistics
from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from sw.network import NetworkConfig

IMAGES = 3


def network(residual_mode="add", timesteps=4, event_bits=0):
    return NetworkConfig(
        image_size=12, image_channels=2, classes=3, embed_dim=16, depth=2, heads=2, timesteps=timesteps,
        residual_mode=residual_mode, event_bits=event_bits,
    )  # fmt: skip


def measured(shape, batch_size=IMAGES):
    model, images = GoldenModel(random_artifact(shape, 4, seed=31)), random_images(shape, IMAGES, seed=32)
    statistics = FiringStatistics(shape)
    for _ in model.stream(images, batch_size, observers=(statistics,)):
        pass
    return statistics, model.record(images)


@pytest.mark.parametrize(("timesteps", "event_bits"), [(1, 0), (4, 0), (6, 1), (6, 3)])
def test_rates_by_layer_and_time_step_equal_the_spikes(timesteps, event_bits):
    shape = network(timesteps=timesteps, event_bits=event_bits)
    statistics, result = measured(shape)
    report = {layer.name: layer for layer in statistics.report()}
    assert list(report) == list(result.spikes) == [layer.name for layer in shape.layers() if layer.kind != "head"]
    for name, spikes in result.spikes.items():
        values = spikes.numpy()
        fired = [int(step.sum()) for step in values]
        assert report[name].neurons == values[0, 0].size
        assert report[name].rates == tuple(count / (IMAGES * values[0, 0].size) for count in fired), name
        assert report[name].spikes == sum(fired) / IMAGES
        assert report[name].rate == pytest.approx(float(values.mean()), rel=1e-12)
        if name in result.pooled:
            pooled = result.pooled[name].numpy()
            expected = tuple(int(step.sum()) / (IMAGES * pooled[0, 0].size) for step in pooled)
            assert report[name].pooled_rates == expected
            assert sum(expected) > sum(report[name].rates), "an OR of spikes fires more often than they do"
        else:
            assert report[name].pooled_rates is None


@pytest.mark.parametrize(("mode", "largest"), [("add", [2, 3, 4, 5, 6]), ("clamp", [2, 3, 3, 3, 3]), ("iand", [1] * 5)])
def test_residual_integers_are_counted_up_to_the_largest_possible(mode, largest):
    statistics, result = measured(network(mode))
    counts = {layer.name: layer.residual_counts for layer in statistics.report() if layer.residual_counts is not None}
    assert list(counts) == list(result.residuals)
    for (name, residual), top in zip(result.residuals.items(), largest, strict=True):
        expected = Counter(residual.flatten().tolist())
        assert counts[name] == tuple(expected[integer] for integer in range(top + 1)), name
        assert sum(counts[name]) == residual.numel()


def test_batches_add_up():
    assert measured(network(), batch_size=1)[0].report() == measured(network())[0].report()


def test_figures_are_plain_json_values():
    statistics, _ = measured(network())
    (rpe,) = (layer for layer in statistics.report() if layer.name == "rpe")
    figures = rpe.to_dict()
    assert set(figures) == {"name", "neurons", "spikes", "rates", "pooled_rates", "residual_counts"}
    assert not any(isinstance(value, np.generic) for value in (*figures["rates"], *figures["residual_counts"]))


def test_report_before_measuring_wrong():
    with pytest.raises(ValueError, match=r"^images measured must be at least 1, not 0: run the model with this obs"):
        FiringStatistics(network()).report()
