"""Random pairs of a network and a hardware configuration, drawn from everything that both of them accept.

The limits of a configuration (memories, widths, counts) are drawn around what a first network needs: often exactly
that, for faults sit at the edges. What does not fit must be refused in one clear line; it is drawn again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from torch import Tensor

from golden.cycles.cycle_model import predict_cycles
from golden.random_artifact import random_artifact, random_images
from hw.config import MAX_TIMESTEPS, HardwareConfig
from sw.artifact.artifact import Artifact
from sw.compiler.compiler import compile_artifact
from sw.compiler.fit import check_fit
from sw.compiler.program import Program
from sw.errors import UserError
from sw.network import NetworkConfig

NETWORKS = 4
"""Pairs of one configuration: a simulator takes longer to build than a network to run."""

MOST_CYCLES = 40_000
"""Of an image, so that a pair takes seconds."""

MOST_OPERATIONS = 512
"""Of a configuration per cycle, so that its simulator is built in well under a minute."""

SMALL_MACHINES = 3
"""The first configurations, those of the suite, have a quarter of that."""

LONGEST_REFUSAL = 300

ROOMY = {
    "accumulator_bits": 18, "program_beats": 4096, "attention_planes": 12, "spike_words": 1 << 16,
    "residual_words": 1 << 14, "token_chunks": 64, "head_channels": 128, "max_layers": 128, "max_classes": 64,
}  # fmt: skip
"""Limits that no network drawn here comes up against."""


@dataclass(frozen=True)
class Pair:
    """A network on a configuration that takes it.

    Attributes
    ----------
    config : HardwareConfig
    artifact : Artifact
    program : Program
    images : uint8 Tensor [n, ...]
        One or two.
    latency : int
        Of the external memory.
    refused : int
        Networks drawn before that the configuration refused.
    """

    config: HardwareConfig
    artifact: Artifact
    program: Program
    images: Tensor
    latency: int
    refused: int


class Refusals:
    """Counts what is refused, and sees that it is refused well."""

    def __init__(self) -> None:
        self.count = 0

    def accepts(self, try_it: Callable[[], Any]) -> bool:
        """Whether it is accepted."""
        try:
            try_it()
        except UserError as error:
            text = str(error)
            assert text and "\n" not in text and len(text) < LONGEST_REFUSAL, text
            self.count += 1
            return False
        return True


def random_pair(seed: int) -> Pair:
    """Draw a pair; `NETWORKS` successive seeds share a configuration, each another network.

    The same seed gives the same pair on any machine.
    """
    number, index = divmod(seed, NETWORKS)
    config, first = random_machine(number)
    rng, refusals = np.random.default_rng([number, index + 1]), Refusals()
    latency = int(rng.choice([2, 3, 20, rng.integers(2, 60), rng.integers(60, 300)]))
    network, bits = first.network, first.weight_bits
    for attempt in range(1000):
        if index or attempt:
            network, bits = mutated(rng, first.network, first.weight_bits)
        artifact = first if index == attempt == 0 else make_artifact(network, bits, config, int(rng.integers(1 << 30)))
        programs: list[Program] = []
        if not refusals.accepts(functools.partial(_compile, artifact, config, programs)):
            continue
        cycles = predict_cycles(programs[0], latency).total
        if cycles <= MOST_CYCLES:
            images = random_images(network, 1 + (2 * cycles <= MOST_CYCLES), int(rng.integers(1 << 30)))
            return Pair(config, artifact, programs[0], images, latency, refusals.count)
    raise AssertionError(f"no network fits configuration {number}")


@functools.lru_cache(maxsize=2)
def random_machine(number: int) -> tuple[HardwareConfig, Artifact]:
    """Draw a configuration and a first network that it takes."""
    rng = np.random.default_rng([number, 0])
    while True:
        shape = random_shape(rng, number)
        network, bits = random_network(rng, shape.max_timesteps, shape.weight_bits)
        artifact = make_artifact(network, bits, shape, int(rng.integers(1 << 30)))
        try:
            if predict_cycles(compile_artifact(artifact, shape), 20).total <= MOST_CYCLES:
                return tightened(rng, shape, artifact), artifact
        except UserError:
            continue


def random_shape(rng: Generator, number: int) -> HardwareConfig:
    """Draw the shape of a configuration, with limits that are no limits."""
    while True:
        inputs = int(rng.choice([4, 4, 8, 8, 16, 32]))
        outputs = int(rng.choice([inputs * k for k in (1, 1, 2, 3, 5)] + [inputs >> k for k in (1, 1, 2, 3)]))
        fields: dict[str, Any] = {
            "name": f"random{number}", "inputs": inputs, "outputs": outputs,
            "positions": int(rng.choice([1, 1, 2, 2, 4, 8])), "timesteps": int(rng.choice([1, 2, 4, 4, 8])),
            "neurons": int(2 ** rng.integers(0, 5)), "weight_bits": int(rng.choice([4, 8])),
            "bias_fraction_bits": int(rng.integers(0, 7)), "memory_bits": int(rng.choice([64, 128])),
            "tile_groups": int(rng.choice([16, 32])), "attention_columns": int(inputs >> rng.integers(0, 6)),
            "attention_tables": int(rng.choice([2, 4])), "time_chunks": int(rng.choice([1, 1, 2, 3, 4, 8, 16])),
            "pool_before": bool(rng.random() < 0.5), "if_neurons": bool(rng.random() < 0.5), **ROOMY,
        }  # fmt: skip
        operations = inputs * outputs * fields["positions"] * fields["timesteps"]
        if operations > (MOST_OPERATIONS if number >= SMALL_MACHINES else MOST_OPERATIONS // 4):
            continue
        for fields["accumulator_bits"] in range(ROOMY["accumulator_bits"], 7, -1):
            try:
                return HardwareConfig(**fields)
            except ValueError:
                continue


def random_network(rng: Generator, most_timesteps: int, most_bits: int) -> tuple[NetworkConfig, int]:
    """Draw a network and the bits of its weights."""
    pools = int(rng.integers(1, 5))
    dim = int(rng.choice([8, 8, 16, 16, 24, 32, 48]))
    network = NetworkConfig(
        image_size=int(rng.choice([1, 2, 2, 3, 3, 4, 5, 7])) << pools,
        image_channels=int(rng.integers(1, 4)),
        classes=int(rng.choice([1, 2, 3, 10, rng.integers(1, 50)])),
        embed_dim=dim,
        depth=int(rng.choice([1, 1, 2, 3])),
        heads=int(rng.choice([heads for heads in range(1, dim + 1) if dim % heads == 0 and dim // heads <= 64])),
        timesteps=int(rng.integers(1, min(most_timesteps, MAX_TIMESTEPS) + 1)),
        mlp_ratio=int(rng.integers(1, 5)),
        attention_scale=float(rng.choice([0.0625, 0.125, 0.25, 0.5])),
        residual_mode=str(rng.choice(["add", "clamp", "iand"])),  # type: ignore[arg-type]
        pools=pools,
        event_bits=int(rng.choice([*[0] * 12, 1, 1, 3, 8])),
        pool_order=str(rng.choice(["after", "after", "before"])),  # type: ignore[arg-type]
        neuron=str(rng.choice(["lif", "lif", "if"])),  # type: ignore[arg-type]
    )
    return network, int(rng.choice([2, 3, 4] if most_bits == 4 else [2, 4, 8, 8]))


def mutated(rng: Generator, network: NetworkConfig, bits: int) -> tuple[NetworkConfig, int]:
    """Another network, of which most is as before."""
    while True:
        other, other_bits = random_network(rng, MAX_TIMESTEPS, 8)
        fields = [field.name for field in dataclasses.fields(other) if rng.random() < 0.3]
        with contextlib.suppress(ValueError):  # where it is no longer divisible
            mixed = dataclasses.replace(network, **{field: getattr(other, field) for field in fields})
            return mixed, other_bits if rng.random() < 0.3 else bits


def tightened(rng: Generator, config: HardwareConfig, artifact: Artifact) -> HardwareConfig:
    """Limits around what a network needs, most of them exactly that."""

    def fits(config: HardwareConfig) -> bool:
        return Refusals().accepts(functools.partial(check_fit, artifact, config))

    def compiles(config: HardwareConfig) -> bool:
        return Refusals().accepts(functools.partial(compile_artifact, artifact, config))

    inputs = config.inputs
    limits: dict[str, tuple[Callable[[HardwareConfig], bool], Sequence[int]]] = {
        "accumulator_bits": (fits, range(8, config.accumulator_bits + 1)),
        "attention_planes": (fits, range(1, 13)),
        "token_chunks": (fits, range(1, 65)),
        "head_channels": (fits, range(inputs, 129, inputs)),
        "max_layers": (fits, range(1, 129)),
        "max_classes": (fits, range(1, 65)),
        "program_beats": (compiles, [256, 512, 1024, 2048, 4096]),
        "residual_words": (compiles, range(1, ROOMY["residual_words"] + 1)),
    }
    for field, (accepts, values) in limits.items():
        least = _least(config, field, values, accepts)
        slack = values[min(values.index(least) + int(rng.integers(0, 9)), len(values) - 1)]
        config = dataclasses.replace(config, **{field: least if rng.random() < 0.6 else slack})
    # Whole, in the smallest strips that there are, or anything in between.
    whole = compile_artifact(artifact, config).spike_words
    least = _least(config, "spike_words", range(1, whole + 1), compiles)
    between = int(rng.integers(least, whole + 1))
    return dataclasses.replace(config, spike_words=int(rng.choice([least, whole, between])))


def _least(config: HardwareConfig, field: str, values: Sequence[int], accepts: Callable[[HardwareConfig], bool]) -> int:
    """The least value with which the configuration takes the network; it does with the last one."""
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        try:
            accepted = accepts(dataclasses.replace(config, **{field: values[middle]}))
        except ValueError:
            accepted = False
        low, high = (low, middle) if accepted else (middle + 1, high)
    return values[high]


def make_artifact(network: NetworkConfig, bits: int, config: HardwareConfig, seed: int) -> Artifact:
    """Random weights, with the configuration's fraction of a bias."""
    images = random_images(network, 2, seed)
    return random_artifact(network, bits, seed, images, bias_fraction_bits=config.bias_fraction_bits)


def _compile(artifact: Artifact, config: HardwareConfig, into: list[Program]) -> None:
    into.append(compile_artifact(artifact, config))
