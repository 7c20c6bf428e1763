"""The committed samples."""

from __future__ import annotations

import pytest
import torch

from sw.data import samples
from sw.data.sets import DATA_SETS, ImageSet, data_set
from sw.errors import UserError


@pytest.mark.parametrize("name", list(DATA_SETS))
def test_committed_sample_is_balanced(name):
    sample, info = samples.load_sample(name), data_set(name)
    assert sample.images.shape == (300, info.image_channels, info.image_size, info.image_size)
    assert (sample.images.dtype, sample.labels.dtype) == (torch.uint8, torch.int64)
    assert sample.labels.bincount().tolist() == [30] * 10
    assert (sample.indices.diff() > 0).all()
    assert (samples.SAMPLES / f"{name}.npz").stat().st_size < 1_200_000


def test_missing_sample_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"sample .*mnist\.npz is missing"):
        samples.load_sample("mnist", folder=tmp_path)


def test_samples_are_the_first_test_images_of_every_class(tmp_path, monkeypatch):
    whole = ImageSet(
        images=torch.arange(700, dtype=torch.int64).to(torch.uint8).view(-1, 1, 1, 1),
        labels=torch.arange(700) * 7 % 10,
        indices=torch.arange(700),
    )
    monkeypatch.setattr(samples, "load", lambda *_, **__: whole)
    paths = samples.make_samples(out=tmp_path)
    first = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in samples.make_samples(out=tmp_path)] == first
    sample = samples.load_sample("mnist", folder=tmp_path)
    assert torch.equal(sample.indices, torch.arange(300))
    assert torch.equal(sample.labels, whole.labels[:300])
