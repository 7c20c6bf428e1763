"""`spikeloom import` from checkpoint to artifact, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from golden.model import GoldenModel
from golden.random_artifact import random_images
from spikeloom import cli
from sw.artifact.file import load
from sw.data.samples import load_sample
from tests.sw.importer.checkpoints import KINDS, checkpoint, lively, network


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def saved(tmp_path, kind, **more):
    path = tmp_path / "model.pth"
    torch.save({"state_dict": checkpoint(lively(network(kind)), kind), **more}, path)
    return path


@pytest.fixture
def images(tmp_path):
    path, sample = tmp_path / "images.npz", load_sample("cifar10")
    np.savez(path, images=sample.images[:4].numpy(), labels=sample.labels[:4].numpy())
    return path


def refused(capsys, *arguments):
    code = cli.run(["import", *map(str, arguments)])
    error = capsys.readouterr().err
    assert code == cli.EXIT_MENDABLE and "Traceback" not in error, error
    return error.rstrip().splitlines()[-1].removeprefix("spikeloom: ")


def events_of(path, kind):
    """A file of event frames for a network of a layout, and what of them no tensor tells."""
    frames = random_images(network(kind), 4, seed=2)
    np.savez(path, images=frames.numpy(), labels=np.arange(4))
    return frames, ["--dataset", "frames", "--size", "32", "--timesteps", "4"]


def test_every_layout_becomes_an_artifact(capsys, tmp_path, kind, images):
    out = tmp_path / "new" / "model.spikeloom"
    sample, name, where = load_sample("cifar10").first(4), "cifar10", ["--dataset", "cifar10"]
    pixels, labels = sample.images, sample.labels
    if network(kind).events:
        (pixels, where), labels, name = events_of(images, kind), torch.arange(4), "frames"
    where += ["--heads", "2", "--calibrate", images]
    assert cli.run(["import", *map(str, [saved(tmp_path, kind), "--out", out, "--bits", "8", *where])]) == 0
    shown = capsys.readouterr().out
    artifact = load(out)
    assert artifact.network == network(kind) and artifact.weight_bits == 8 and artifact.dataset == name
    assert artifact.provenance["layout"] == kind and artifact.provenance["checkpoint"] == "model.pth"
    assert len(artifact.provenance["checkpoint_sha256"]) == 64 and artifact.provenance["calibration_images"] == 4
    assert ("ignored, for nothing reads them: block.0.norm1.weight" in shown) == (kind != "spikingjelly")
    assert all(layer.name in shown for layer in artifact.network.layers()[:-1])
    golden = GoldenModel(artifact).run(pixels)
    correct = int((golden.predictions == labels).sum())
    assert artifact.accuracy["golden"] == {"correct": correct, "images": 4, "image_set": "images.npz"}
    assert artifact.provenance["calibration_set"] == "images.npz"
    assert "accuracy on 4 images of images.npz: float " in shown and "predictions are equal" in shown


def test_the_committed_sample_serves_where_it_fits(capsys, tmp_path):
    out = tmp_path / "model.spikeloom"
    path = saved(tmp_path, "authors-cifar")
    assert cli.run(["import", str(path), "--out", str(out), "--heads", "2", "--images", "6"]) == 0
    assert "accuracy on 6 images of cifar10 sample: " in capsys.readouterr().out
    artifact = load(out)
    assert artifact.provenance["calibration_images"] == 6 and artifact.accuracy["float"]["images"] == 6
    assert artifact.weight_bits == 4 and artifact.class_names[3] == "cat"


def test_without_images_nothing_is_calibrated_or_measured(capsys, tmp_path):
    out = tmp_path / "model.spikeloom"
    path = saved(tmp_path, "authors-imagenet")
    where = ["--dataset", "mine", "--size", "48", "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25", "--heads", "4"]
    assert cli.run(["import", str(path), "--out", str(out), *where, "--timesteps", "2"]) == 0
    assert "no images: nothing was calibrated or measured; give --calibrate" in capsys.readouterr().out
    artifact = load(out)
    assert artifact.provenance["calibration_images"] == 0
    assert artifact.accuracy == {} and artifact.dataset == "mine"
    assert (artifact.network.image_size, artifact.network.heads, artifact.network.timesteps) == (48, 4, 2)


@pytest.mark.parametrize(
    ("options", "assumed"),
    [
        (["--heads", "2"], ["T = 4 (--timesteps)", "images of CIFAR-10 (--dataset)"]),
        (["--heads", "2", "--timesteps", "4", "--dataset", "cifar10"], []),
        (["--heads", "2", "--timesteps", "2", "--dataset", "imagenet", "--size", "32"], [
            "means 0.485, 0.456, 0.406 (--mean)", "deviations 0.229, 0.224, 0.225 (--std)",
        ]),
    ],
)  # fmt: skip
def test_every_default_that_no_tensor_tells_is_named(capsys, tmp_path, options, assumed):
    path = saved(tmp_path, "authors-cifar")
    assert said(capsys, path, tmp_path, options) == (
        [f"assumed, for no tensor tells: {', '.join(assumed)}"] if assumed else []
    )


def test_what_is_assumed_of_event_frames_is_named(capsys, tmp_path):
    path = saved(tmp_path, "authors-dvs")
    assert said(capsys, path, tmp_path, ["--heads", "2"]) == [
        "assumed, for no tensor tells: T = 16 (--timesteps), event frames of cifar10-dvs (--dataset), 128 pixels "
        "a side (--size), counts up to 255 (--event-bits)"
    ]
    given = ["--heads", "2", "--timesteps", "4", "--dataset", "mine", "--size", "32", "--event-bits", "3"]
    assert said(capsys, path, tmp_path, given) == []


def test_counts_above_the_bits_are_refused(capsys, tmp_path):
    path, frames = saved(tmp_path, "authors-dvs"), tmp_path / "frames.npz"
    pixels, where = events_of(frames, "authors-dvs")
    assert refused(
        capsys, path, "--out", tmp_path / "x.spikeloom", "--heads", 2, "--event-bits", 3, *where, "--calibrate", frames
    ) == (
        f"frames.npz: the event frames hold a count of {pixels.max()}, the network takes 0 to 7 (3 event bits): clip "
        "them, or give it more event bits"
    )


def test_heads_that_are_assumed_are_named(capsys, tmp_path):
    path = tmp_path / "model.pth"
    torch.save(checkpoint(lively(network("spikingjelly", embed_dim=256, depth=4, heads=8)), "spikingjelly"), path)
    assert said(capsys, path, tmp_path, ["--dataset", "cifar10"]) == [
        "assumed, for no tensor tells: 8 heads (--heads), T = 4 (--timesteps)"
    ]


def said(capsys, path, tmp_path, options):
    """Remarks on what was assumed, of a command that ends before anything is computed."""
    wrong = ["--calibrate", "nothing", "--out", str(tmp_path / "model.spikeloom")]
    assert cli.run(["import", str(path), *options, *wrong]) == cli.EXIT_MENDABLE
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("assumed")]


def test_of_several_weights_the_taken_are_named_and_others_can_be(capsys, tmp_path):
    average = checkpoint(lively(network("authors-cifar"), seed=1), "authors-cifar")
    path, out = saved(tmp_path, "authors-cifar", state_dict_ema=average), tmp_path / "model.spikeloom"
    start = ["import", str(path), "--out", str(out), "--images", "1", "--heads", "2"]
    artifacts = {}
    for name, other in (("state_dict", "state_dict_ema"), ("state_dict_ema", "state_dict")):
        assert cli.run([*start, "--weights", name]) == 0
        assert f"several weights: {name} taken, not {other}; --weights KEY takes others" in capsys.readouterr().out
        artifacts[name] = load(out)
        assert artifacts[name].provenance["weights"] == name
    assert any(
        (a != b).any() for a, b in zip(*(each.flat_tensors().values() for each in artifacts.values()), strict=True)
    )
    assert cli.run(start) == 0
    assert load(out).provenance["weights"] == "state_dict"
    assert "--weights is 'ema', but the file holds state_dict, state_dict_ema; give one of these, or none" in refused(
        capsys, path, "--out", out, "--weights", "ema"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"--dataset": "random"}, "digits and '.', '_', '+', '-', and not random, not"),
        ({"--dataset": "../x"}, "digits and '.', '_', '+', '-', and not random, not '../x'"),
        ({"--dataset": "[/red]" * 500}, "--dataset must be 1 to 48 letters, digits"),
        ({"--dataset": ""}, "--dataset must be 1 to 48 letters, digits"),
        ({"--std": "1e-320,1,1"}, "must be at least 1/255, one step of a pixel; give that of the training"),
        ({"--mean": "nan,0,0"}, "--mean (nan, 0.0, 0.0) and --std (0.5, 0.5, 0.5) must be of pixels in 0..1"),
        ({"--mean": ",".join("9" * 5000)}, "--mean has 5000 numbers and --std 3; give one for each channel"),
        ({"--mean": "x" * 5000}, "is not a list of numbers such as 0.485,0.456,0.406"),
        ({"--size": "0"}, "image_size must be at least 1, not 0"),
        ({"--calibrate": "x" * 5000}, "xxx...xxx"),
    ],
)  # fmt: skip
def test_images_described_wrong(capsys, tmp_path, options, message):
    path, out = saved(tmp_path, "authors-imagenet"), tmp_path / "new" / "model.spikeloom"
    given = {
        "--dataset": "mine",
        "--size": "32",
        "--mean": "0.5,0.5,0.5",
        "--std": "0.5,0.5,0.5",
        "--heads": "2",
    } | options
    found = refused(capsys, path, "--out", out, *(text for pair in given.items() for text in pair))
    assert message in found
    assert len(found) < 300 and not out.parent.exists()


def test_command_wrong(capsys, tmp_path, images):
    path, out = saved(tmp_path, "authors-cifar"), tmp_path / "model.spikeloom"
    assert refused(capsys, tmp_path / "none.pth", "--out", out).endswith(
        "none.pth: cannot be read (no such file or directory); give the path of a checkpoint"
    )
    assert "model.pth: no tensor tells the attention heads" in refused(capsys, path, "--out", out)
    assert "model.pth: embed_dim 16 must be divisible by heads, not 3" in refused(
        capsys, path, "--out", out, "--heads", 3
    )
    assert "model.pth: timesteps must be 1 to 16, not 0" in refused(
        capsys, path, "--out", out, "--heads", 2, "--timesteps", 0
    )
    assert "--calibrate is 'mnist'; give an .npz file of images and labels, or cifar10 itself" in refused(
        capsys, path, "--out", out, "--heads", 2, "--calibrate", "mnist"
    )
    assert "'a,b' is not a list of numbers" in refused(capsys, path, "--out", out, "--mean", "a,b")
    with np.load(images) as arrays:
        np.savez(images, images=arrays["images"], labels=np.arange(4) + 7)
    assert "the labels are 7 to 10, the network has classes 0 to 9" in refused(
        capsys, path, "--out", out, "--heads", 2, "--calibrate", images
    )
    np.savez(images, images=np.zeros((1, 3, 28, 28), np.uint8), labels=np.zeros(1, np.int64))
    assert "the images are [3, 28, 28], the network takes [3, 32, 32]" in refused(
        capsys, path, "--out", out, "--heads", 2, "--calibrate", images
    )
    assert f"--data-dir {tmp_path} would not be read: it goes with --calibrate and the data set's name" in refused(
        capsys, path, "--out", out, "--heads", 2, "--data-dir", tmp_path
    )
    assert "an artifact's file name ends in .spikeloom, not .bin" in refused(
        capsys, path, "--out", tmp_path / "x.bin", "--heads", 2, "--images", 1
    )
    assert not out.exists()
