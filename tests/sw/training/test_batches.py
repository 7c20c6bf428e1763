"""Training batches: every image once an epoch, parts of processes, targets, mixup."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sw.data.samples import load_sample
from sw.data.sets import data_set
from sw.network import NetworkConfig
from sw.training.batches import AT_ONCE, Batches
from sw.training.processes import Processes
from sw.training.recipe import Augmentation, Phase, Recipe

PLAIN = Phase(epochs=4, learning_rate=1e-3)
RECIPE = Recipe(
    name="batches", data="fashion-mnist", weight_bits=4, batch_size=64, float_phase=PLAIN, quantised_phase=PLAIN,
    network=NetworkConfig(image_size=28, image_channels=1, classes=10, embed_dim=16, depth=1, heads=2),
    label_smoothing=0.1,
)  # fmt: skip
CPU = Processes(torch.device("cpu"))


def batches(processes: Processes = CPU) -> Batches:
    return Batches(RECIPE, data_set("fashion-mnist"), load_sample("fashion-mnist"), processes)


def test_an_epoch_has_every_image_at_most_once_and_only_whole_batches():
    ours = batches()
    assert ours.steps == 300 // 64
    images = torch.cat([ours.batch(0, PLAIN, 0, step)[0] for step in range(ours.steps)])
    assert len(images) == 256
    assert len(images.flatten(1).unique(dim=0)) == 256


def test_epochs_and_phases_have_orders_of_their_own():
    ours = batches()
    first = ours.batch(0, PLAIN, 0, 0)[0]
    assert not torch.equal(first, ours.batch(0, PLAIN, 1, 0)[0])
    assert not torch.equal(first, ours.batch(1, PLAIN, 0, 0)[0])
    assert torch.equal(first, ours.batch(0, PLAIN, 0, 0)[0])


def test_processes_share_a_batch():
    whole = batches().batch(0, PLAIN, 0, 2)[0]
    parts = [batches(Processes(torch.device("cpu"), rank, 4)).batch(0, PLAIN, 0, 2)[0] for rank in range(4)]
    assert torch.equal(torch.cat(parts), whole)


def test_processes_augment_independently():
    phase = dataclasses.replace(PLAIN, augmentation=Augmentation(erase=1.0))
    zeros = [
        batches(Processes(torch.device("cpu"), rank, 2)).batch(0, phase, 0, 0)[0].eq(0) for rank in range(2)
    ]  # fmt: skip
    assert not torch.equal(*zeros)


def test_images_mirrored_by_turns_are_seen_both_ways_in_two_epochs():
    phase = dataclasses.replace(PLAIN, augmentation=Augmentation(flip=True, by_turns=True))
    recipe = dataclasses.replace(RECIPE, batch_size=300)
    everything = load_sample("fashion-mnist")
    ours = Batches(recipe, data_set("fashion-mnist"), everything, CPU)
    encoded = data_set("fashion-mnist").encode(everything.images).float() * data_set("fashion-mnist").image_scale

    def mirrored(number: int, epoch: int) -> set[int]:
        seen = {image.numpy().tobytes() for image in ours.batch(number, phase, epoch, 0)[0]}
        plain, turned = (
            {place for place, image in enumerate(images.contiguous()) if image.numpy().tobytes() in seen}
            for images in (encoded, encoded.flip(3))
        )
        assert plain.isdisjoint(turned) and len(plain | turned) == len(encoded)
        return turned

    first = mirrored(0, 0)
    assert 100 < len(first) < 200
    assert mirrored(0, 1) == set(range(300)) - first
    assert mirrored(0, 2) == first != mirrored(1, 0)


def test_targets_are_smoothed_labels():
    images, targets = batches().batch(0, PLAIN, 0, 0)
    assert images.dtype == torch.float32 and images.shape == (64, 1, 28, 28)
    assert targets.max(1).values.unique().tolist() == [pytest.approx(0.91)]
    assert torch.allclose(targets.sum(1), torch.ones(64))


def test_mixup_mixes_images_as_it_mixes_targets_and_ends_in_time():
    phase = dataclasses.replace(PLAIN, mixup=0.5, mixup_epochs=1)
    ours = batches()
    plain, labels = ours.batch(0, PLAIN, 0, 3)
    mixed, targets = ours.batch(0, phase, 0, 3)
    labels = labels.double()
    difference = labels - labels.flip(0)
    share = float(((targets - labels.flip(0)) * difference).sum() / difference.square().sum())
    assert 0 < share < 1
    assert torch.allclose(mixed, share * plain + (1 - share) * plain.flip(0), atol=1e-5)
    assert torch.equal(ours.batch(0, phase, 1, 3)[0], ours.batch(0, PLAIN, 1, 3)[0])


@pytest.mark.parametrize("start", [0, 1, 3])
def test_batches_changed_together_are_the_same_from_any_start(monkeypatch, start):
    monkeypatch.setitem(AT_ONCE, "cpu", 3)
    phase = dataclasses.replace(PLAIN, mixup=0.5, mixup_epochs=1, augmentation=Augmentation(shift=2, erase=0.5))
    whole, resumed = batches(), batches()
    expected = [whole.batch(0, phase, 0, step) for step in range(whole.steps)]
    for step in range(start, whole.steps):
        assert all(torch.equal(a, b) for a, b in zip(resumed.batch(0, phase, 0, step), expected[step], strict=True))
    images = torch.cat([batches().batch(0, PLAIN, 0, step)[0] for step in range(4)])
    assert len(images.flatten(1).unique(dim=0)) == 256
