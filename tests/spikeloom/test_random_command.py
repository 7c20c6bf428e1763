"""`spikeloom random`: artifacts and images without training."""

from __future__ import annotations

import numpy as np
import pytest

from spikeloom import cli
from spikeloom.commands.images import ImageChoice, images_for
from sw.artifact.file import load
from sw.errors import UserError
from tests.spikeloom.command_line import refused


def test_random_artifact_runs_on_random_images(capsys, tmp_path):
    path = tmp_path / "random.spikeloom"
    shape = ["--dim", "32", "--depth", "1", "--heads", "2", "--size", "8", "--channels", "1", "--timesteps", "2"]
    assert cli.run(["random", str(path), *shape]) == 0
    artifact = load(path)
    assert (artifact.network.embed_dim, artifact.network.timesteps, artifact.dataset) == (32, 2, "random")
    images = images_for(artifact, ImageChoice(count=3))
    assert images.images.shape == (3, 1, 8, 8)
    assert cli.run(["random", str(path), *shape, "--residual", "clamp"]) == 0
    assert load(path).network.residual_mode == "clamp"
    events = ["--event-bits", "3", "--channels", "2", "--scale", "0.25"]
    assert cli.run(["random", str(path), *shape, *events]) == 0
    network = load(path).network
    assert (network.event_bits, network.attention_scale, network.input_shape) == (3, 0.25, (2, 2, 8, 8))
    assert images_for(load(path), ImageChoice(count=3)).images.shape == (3, 2, 2, 8, 8)
    frames = tmp_path / "frames.npz"
    np.savez(frames, images=np.zeros((1, 3, 2, 8, 8), np.uint8), labels=np.zeros(1, int))
    with pytest.raises(UserError) as wrong:
        images_for(load(path), ImageChoice(file=frames))
    assert str(wrong.value) == (
        "the images are [3, 2, 8, 8], the network takes [2, 2, 8, 8] (time steps, channels, height, width): "
        "use images of that size, or another model"
    )
    np.savez(frames, images=np.full((1, 2, 2, 8, 8), 8, np.uint8), labels=np.zeros(1, int))
    with pytest.raises(UserError) as wrong:
        images_for(load(path), ImageChoice(file=frames))
    assert str(wrong.value) == (
        "frames.npz: the event frames hold a count of 8, the network takes 0 to 7 (3 event bits): clip them, or give "
        "it more event bits"
    )
    assert "'or' is not one of 'add', 'clamp', 'iand'" in refused(
        capsys, "random", tmp_path / "other.spikeloom", "--residual", "or"
    )
    assert "embed_dim must be divisible by 8 (conv0 has D/8 channels), not 33; see spikeloom random --help" in refused(
        capsys, "random", tmp_path / "other.spikeloom", "--dim", 33
    )
    assert "depth must be at most 126 in residual_mode add, whose integers reach 255 then, not 200" in refused(
        capsys, "random", tmp_path / "other.spikeloom", "--depth", 200
    )
    assert not (tmp_path / "other.spikeloom").exists()
    # A side that is no multiple of the areas of which random images are made.
    assert cli.run(["random", str(path), *shape, "--pools", "1", "--size", "6"]) == 0
    assert images_for(load(path), ImageChoice(count=3)).images.shape == (3, 1, 6, 6)


def test_random_artifact_of_a_network_of_the_paper(capsys, tmp_path):
    path = tmp_path / "random.spikeloom"
    smaller = ["--dim", "32", "--depth", "1", "--heads", "2", "--size", "32", "--pool-order", "before"]
    assert cli.run(["random", str(path), "--network", "spikformer-8-384", *smaller]) == 0
    network = load(path).network
    assert (network.classes, network.pools, network.linear_bias) == (1000, 4, "not-qkv")
    assert (network.embed_dim, network.depth, network.image_size, network.pool_order) == (32, 1, 32, "before")
    assert "unknown network 'vit'; choose one of spikformer-4-256, spikformer-2-384" in refused(
        capsys, "random", tmp_path / "other.spikeloom", "--network", "vit"
    )
