"""Post-training quantisation, and what it is measured by."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import Tensor, nn

from golden.model import GoldenModel
from golden.random_artifact import random_images
from hw.named_configs import LARGE
from spikeloom.measure.agreement import measure_agreement
from sw.compiler.compiler import compile_artifact
from sw.data.samples import load_sample
from sw.data.sets import data_set
from sw.errors import UserError
from sw.export.deployed import run_deployed
from sw.export.fold import export_artifact
from sw.importer.images import ImageOptions, image_format
from sw.importer.layouts import LAYOUTS
from sw.importer.quantise import calibrate_norms, quantise
from sw.importer.shape import Found
from sw.model.spikformer import Spikformer, SpikingLayer, Trace
from tests.sw.importer.checkpoints import KINDS, lively, network

DATA = data_set("cifar10")
DVS = next(layout for layout in LAYOUTS if layout.events)


EVENTS = image_format(
    ImageOptions(name="frames", size=32), Found(layout=DVS, fields={"image_channels": 2, "classes": 10, "pools": 4})
)


def grid(count: int) -> Tensor:
    """Images as a quantised model reads them."""
    return DATA.encode(load_sample("cifar10").images[:count]).float() * DATA.image_scale


@pytest.mark.parametrize(
    ("kind", "bits"),
    [*((kind, 4) for kind in KINDS), ("spikingjelly", 8), ("authors-cifar", 2), ("authors-cifar", 3)],
)
def test_the_artifact_is_the_quantised_model_in_integers(kind, bits):
    """Golden model, and Brevitas in float64, from a float model of each layout; also where pools come first."""
    data, images = DATA, load_sample("cifar10").images[:4]
    if network(kind).events:
        data, images = EVENTS, random_images(network(kind), 4, seed=1)
    calibration = data.encode(images).float() * data.image_scale
    artifact = export_artifact(quantise(lively(network(kind)), bits, data.image_scale, calibration), data)
    assert (artifact.weight_bits, artifact.network) == (bits, network(kind))
    images = images[:2]
    golden = GoldenModel(artifact).record(images)
    logits, trace = run_deployed(artifact, images)
    assert golden.spikes.keys() == trace.spikes.keys()
    for name, spikes in trace.spikes.items():
        assert torch.equal(golden.spikes[name], spikes), name
    assert all(torch.equal(golden.residuals[name], residual) for name, residual in trace.residual.items())
    assert torch.equal(logits.argmax(dim=1), golden.predictions)
    # A pool before the neurons leaves neurons for its output only.
    sides = {"authors-cifar": 16, "authors-imagenet": 4, "authors-dvs": 4, "cml": 8, "spikingjelly": 2}
    assert golden.spikes["conv3"].shape[-1] == sides[kind]


def test_dead_channels_of_a_checkpoint_fit_the_hardware():
    """Pruned weights, gains of next to nothing and of nothing, and a head of zeros."""
    model = lively(network("authors-cifar", embed_dim=32))
    for module in model.modules():
        if isinstance(module, SpikingLayer):
            norm = module.norm
            module.weights.weight.data[0], norm.running_mean[0] = 0, 0
            norm.weight.data[1:4] *= torch.tensor([1e-4, 1e-17, 0.0])
            norm.bias.data[0:4] = torch.tensor([1.7, -0.5, 30.0, 1.2])
            if module.weights.bias is not None:
                module.weights.bias.data[0] = 0
    model.head.weight.data.zero_()
    artifact = export_artifact(quantise(model, 4, DATA.image_scale, grid(4)), DATA)
    assert compile_artifact(artifact, LARGE).memory.size
    images = load_sample("cifar10").images[:2]
    golden = GoldenModel(artifact).record(images)
    logits, trace = run_deployed(artifact, images)
    for name, spikes in trace.spikes.items():
        assert torch.equal(golden.spikes[name], spikes), name
    rates = golden.spikes["conv1"][:, :, :4].float().mean(dim=(1, 3, 4))
    assert rates.T.tolist() == [[0.0, 1.0, 0.0, 1.0], [0.0] * 4, [1.0] * 4, [0.0, 0.0, 1.0, 0.0]]
    torch.testing.assert_close(logits[0], model.head.bias.double(), rtol=0, atol=1e-4)


def test_eight_bits_are_nearer_than_four():
    model, images = lively(network("authors-cifar")), load_sample("cifar10")
    shares = []
    for bits in (4, 8):
        artifact = export_artifact(quantise(model, bits, DATA.image_scale), DATA)
        layers = measure_agreement(model, artifact, DATA, images.images[:4], images.labels[:4]).layers
        shares.append([layer.share for layer in layers.values()])
    assert sum(shares[0]) < sum(shares[1]) and min(shares[1]) > 0.9


def currents(model: Spikformer, images: Tensor) -> dict[str, Tensor]:
    """Currents of every layer with a batch norm, channels first."""
    caught: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, out, name=name: caught.update({name: out}))
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    ]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return {name: value.transpose(0, 1).flatten(1).double() for name, value in caught.items()}


def test_calibration_gives_currents_the_mean_and_deviation_of_the_float_model():
    model, images = lively(network("authors-cifar")), grid(12)  # one batch, so for each layer exactly
    before = {name: value.clone() for name, value in model.state_dict().items()}
    quantised = quantise(model, 4, DATA.image_scale, images)
    plain = currents(quantise(model, 4, DATA.image_scale), images)
    ours, theirs = currents(quantised, images), currents(model, images)
    assert len(theirs) == 5 + 6 * 2
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name].mean(dim=1), value.mean(dim=1), rtol=0, atol=1e-4)
        torch.testing.assert_close(ours[name].std(dim=1), value.std(dim=1), rtol=2e-2, atol=0)
        assert (plain[name].mean(dim=1) - value.mean(dim=1)).abs().max() > 1e-3, name
    assert not any(module._forward_pre_hooks for each in (model, quantised) for module in each.modules())
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


def test_calibration_changes_nothing_where_rounding_changed_nothing():
    """However far the images are from what the running statistics were taken of."""
    model, images = lively(network("spikingjelly")), grid(40)
    same = copy.deepcopy(model)
    calibrate_norms(model, same, images)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(same.state_dict()[name], value, rtol=1e-5, atol=1e-6)


def test_agreement_counts_spikes_and_predictions():
    model, sample = lively(network("authors-cifar")), load_sample("cifar10")
    images, labels = sample.images[:20], sample.labels[:20]  # more than one batch
    artifact = export_artifact(quantise(model, 4, DATA.image_scale), DATA)
    result = measure_agreement(model, artifact, DATA, images, labels)
    trace, golden = Trace(), GoldenModel(artifact).record(images)
    with torch.no_grad():
        predictions = model(DATA.normalised(images), trace).argmax(dim=1)
    assert result.images == 20
    assert result.float_correct == (predictions == labels).sum()
    assert result.golden_correct == (golden.predictions == labels).sum()
    assert result.equal_predictions == (predictions == golden.predictions).sum()
    assert result.lost == 5 * (result.float_correct - result.golden_correct)
    for name, layer in result.layers.items():
        ours, theirs = trace.spikes[name], golden.spikes[name]
        assert (layer.neurons, layer.equal) == (ours.numel(), (ours == theirs).sum())
        assert (layer.float_spikes, layer.golden_spikes) == (ours.sum(), theirs.sum())


def found(channels: int = 3, classes: int = 10, pools: int = 2) -> Found:
    return Found(layout=LAYOUTS[0], fields={"image_channels": channels, "classes": classes, "pools": pools})


def test_usual_data_sets_need_no_name():
    assert image_format(ImageOptions(), found()) == DATA
    imagenet = image_format(ImageOptions(), found(3, 1000, 4))
    assert (imagenet.name, imagenet.image_size, imagenet.image_scale) == ("imagenet", 224, 1 / 32)
    assert imagenet.image_table().abs().max() < 127  # no pixel is clipped


def test_a_data_set_of_options():
    options = ImageOptions(name="mine", size=48, mean=(0.5, 0.25), std=(0.25, 0.5))
    data = image_format(options, found(2, 7))
    assert (data.name, data.image_size, data.image_channels, len(data.class_names)) == ("mine", 48, 2, 7)
    pixels = torch.tensor([0, 255]).to(torch.uint8).reshape(1, 1, 1, 2).expand(1, 2, 1, 2)
    expected = torch.tensor([[-2.0, 2.0], [-0.5, 1.5]]).reshape(1, 2, 1, 2)
    assert torch.equal(data.normalised(pixels), expected)
    assert torch.equal(data.encode(pixels) * data.image_scale, expected)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({}, (3, 100), "no tensor tells the data set of a network of 3 image channels and 100 classes: give --dataset, "
         "and for one that is not built in --size, --mean and --std"),
        ({"name": "mine"}, (3, 10), "mine is not a built-in data set: give --size, --mean and --std of its images"),
        ({"name": "cifar10", "size": 64}, (3, 10), "--size, --mean and --std of cifar10 are known; leave them out, or "
         "give --dataset another name"),
        ({"name": "mnist"}, (3, 10), "the checkpoint reads 3 image channels, but MNIST has 1; give the data set it was "
         "trained on"),
        ({"name": "cifar10"}, (3, 100), "the checkpoint has 100 classes, but CIFAR-10 10; give the data set it was "
         "trained on"),
        ({"name": "m", "size": 8, "mean": (0.5,), "std": (0.2, 0.2)}, (1, 3), "--mean has 1 numbers and --std 2; give "
         "one for each channel"),
        ({"name": "m", "size": 8, "mean": (125.0,), "std": (60.0,)}, (1, 3), "--mean (125.0,) and --std (60.0,) must "
         "be of pixels in 0..1; divide those of 0..255 by 255"),
    ],
)  # fmt: skip
def test_images_wrong(options, kind, message):
    with pytest.raises(UserError) as refused:
        image_format(ImageOptions(**options), found(*kind))
    assert str(refused.value) == message


def found_events(channels=2, classes=10):
    return Found(layout=DVS, fields={"image_channels": channels, "classes": classes, "pools": 4})


def test_event_frames_are_those_of_the_paper_or_of_options():
    data = image_format(ImageOptions(), found_events())
    assert (data.name, data.image_size, data.image_channels, data.event_bits) == ("cifar10-dvs", 128, 2, 8)
    assert data.class_names == DATA.class_names and data.image_scale == 1
    mine = image_format(ImageOptions(name="gestures", size=64, event_bits=3), found_events(classes=11))
    assert (mine.image_size, mine.event_bits, mine.class_names[-1]) == (64, 3, "10")
    counts = torch.tensor([0, 7, 8, 255]).to(torch.uint8).reshape(1, 1, 2, 2).expand(2, 2, 2, 2)
    assert mine.encode(counts)[0, 0].flatten().tolist() == [0, 7, 7, 7]
    assert torch.equal(mine.normalised(counts), counts.float())


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({}, {"classes": 11}, "no tensor tells the data set of a network of 2 image channels and 11 classes: give "
         "--dataset, and for one that is not built in --size"),
        ({"name": "mine"}, {}, "mine is not a known data set: give --size of its event frames"),
        ({"name": "cifar10"}, {}, "cifar10 holds images, but the checkpoint reads event frames; give its own data "
         "set"),
        ({"mean": (0.5, 0.5)}, {}, "--mean and --std are of images, event frames are read as they are; leave them out"),
    ],
)  # fmt: skip
def test_event_frames_wrong(options, shape, message):
    with pytest.raises(UserError) as refused:
        image_format(ImageOptions(**options), found_events(**shape))
    assert str(refused.value) == message


def test_event_bits_of_images_wrong():
    with pytest.raises(UserError) as refused:
        image_format(ImageOptions(event_bits=3), found())
    assert str(refused.value) == (
        "--event-bits is of event frames, but the authors' CIFAR code reads images; leave it out"
    )


def test_float_models_only_differ_in_their_biases():
    for choice in ("all", "not-qkv", "none"):
        model = Spikformer(dataclasses.replace(network("authors-cifar"), linear_bias=choice))
        biased = {name.split(".")[1] for name, _ in model.named_parameters() if name.endswith("weights.bias")}
        assert (
            biased == {"all": {*"qkv", "proj", "fc1", "fc2"}, "not-qkv": {"proj", "fc1", "fc2"}, "none": set()}[choice]
        )
