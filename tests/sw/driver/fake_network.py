"""A network on the device in plain Python, and what that makes of its images."""

from __future__ import annotations

from golden.random_artifact import random_artifact, random_images
from hw.named_configs import MINI
from sw.compiler.compiler import compile_artifact
from sw.compiler.image_pack import pack_image
from sw.driver.accelerator import Accelerator
from sw.driver.bus import Bus
from sw.driver.outcomes import Expectation
from sw.network import NetworkConfig
from tests.sw.driver.fake_device import FakeDevice, logits_of

NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=32, depth=1, heads=2)
ARTIFACT = random_artifact(NETWORK, 4, seed=3)
PROGRAM = compile_artifact(ARTIFACT, MINI)
IMAGES = random_images(NETWORK, 7, seed=4)


def packed(image) -> bytes:
    return pack_image(ARTIFACT, MINI, image.numpy(), PROGRAM.image_strips).tobytes()


def answers(images) -> list[list[int]]:
    """What the device makes of images."""
    return [logits_of(PROGRAM.memory.tobytes(), packed(image), NETWORK.classes) for image in images]


def known(artifact, program) -> Expectation:
    return Expectation(IMAGES[6].numpy(), tuple(answers(IMAGES[6:])[0]), 900)


def device(**options) -> FakeDevice:
    bus = FakeDevice(MINI, **options)
    bus.image_bytes, bus.classes = len(packed(IMAGES[0])), NETWORK.classes
    return bus


def accelerator(bus: Bus, **options) -> Accelerator:
    return Accelerator(bus, ARTIFACT, **{"expect": known, "frequency": 1.0, **options})
