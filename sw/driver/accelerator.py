"""An accelerator on a board or in a simulation, and a network on it: images in, predictions out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hw.config import HardwareConfig
from hw.named_configs import CONFIGS
from sw.artifact.artifact import Artifact
from sw.compiler.compiler import compile_artifact
from sw.compiler.image_pack import pack_image
from sw.compiler.program import Program
from sw.driver.bus import Bus
from sw.driver.driver import built_fingerprint
from sw.driver.job_runner import JobRunner
from sw.driver.outcomes import Classification, Expectation, Throughput, ValidationTotals
from sw.driver.results import JobResult
from sw.errors import UserError
from sw.network import NetworkConfig

TIMEOUT = 60.0
"""Longest that a job may take where no cycles are predicted, in the unit of the bus's clock."""

MARGIN, GRACE = 10, 1.0
"""Where they are, it may take so many times as long, and so much more for the host's own affairs."""

LOWEST_FREQUENCY = 10e6
"""Hz that are assumed for a timeout where the accelerator's clock is not known."""


async def built_config(bus: Bus) -> HardwareConfig:
    """Named configuration that the accelerator on a bus was built from.

    Raises
    ------
    UserError
        If there is no accelerator of this version, or it has none of the named configurations.
    """
    fingerprint = await built_fingerprint(bus)
    for config in CONFIGS.values():
        if config.fingerprint == fingerprint:
            return config
    raise UserError(
        f"the device was built from a configuration without a name here: CONFIG reads 0x{fingerprint:08X}, none of "
        f"{', '.join(CONFIGS)}: give the .json file it was built from"
    )


class Accelerator:
    """Runs a network's images on an accelerator.

    Before the first image it makes sure of version and configuration, resets the accelerator, writes the program into
    its memory once and reads it back, and runs an image whose logits are known. After an error it resets the
    accelerator, and begins so again with the next images.

    Parameters
    ----------
    bus : Bus
        How it is reached.
    artifact : Artifact
        The network.
    config : HardwareConfig, optional
        What it was built from; by default the named configuration whose fingerprint it shows.
    expect : callable, optional
        Gives what is known of an image on the compiled network, `golden.expectation.expect`: for the self-test, and for
        timeouts, which are `MARGIN` times the predicted cycles at `frequency`, and `GRACE`. Without it there is no
        self-test, and `TIMEOUT` holds for every job.
    frequency : float, optional
        Clock cycles of the accelerator in a unit of the bus's clock: Hz, in a simulation 1. If it is not known,
        timeouts assume `LOWEST_FREQUENCY`.
    """

    def __init__(
        self,
        bus: Bus,
        artifact: Artifact,
        config: HardwareConfig | None = None,
        *,
        expect: Callable[[Artifact, Program], Expectation] | None = None,
        frequency: float | None = None,
    ):
        self._bus, self._artifact, self._config = bus, artifact, config
        self._expect, self._frequency = expect, frequency
        self._expected: Expectation | None = None
        self._program: Program | None = None
        self._runner: JobRunner | None = None
        self._ready = False

    @property
    def program(self) -> Program:
        """The compiled network; once it is prepared."""
        assert self._program is not None
        return self._program

    @property
    def network(self) -> NetworkConfig:
        """What runs on it."""
        return self._artifact.network

    @property
    def expected(self) -> Expectation | None:
        """What was known of the image of the self-test; once it is prepared."""
        return self._expected

    @property
    def timeout(self) -> float:
        """How long a job may take, in the unit of the bus's clock; once it is prepared."""
        if self._expected is None:
            return TIMEOUT
        return MARGIN * self._expected.cycles / (self._frequency or LOWEST_FREQUENCY) + GRACE

    async def prepare(self) -> None:
        """Check the device, load the program and test it, unless that is done; every other method begins so.

        Raises
        ------
        UserError
            If the device is another one, the network does not fit it or its memory, the memory does not keep the
            program, or the self-test fails.
        DeviceTimeout
            If it does not answer in time.
        """
        if self._ready:
            return
        runner = await self._compiled()
        await runner.driver.check()
        await runner.load(self.timeout)
        self._ready = True
        if self._expected is not None:
            await self._self_test(self._expected)

    async def _compiled(self) -> JobRunner:
        """The network, compiled for the device; what it needs of the memory is known to be there."""
        if self._runner is None:
            config = self._config or await built_config(self._bus)
            self._program = compile_artifact(self._artifact, config)
            self._runner = JobRunner(self._bus, self._program, self._artifact.network.classes)
            self._expected = self._expect(self._artifact, self._program) if self._expect else None
        return self._runner

    async def _self_test(self, expected: Expectation) -> None:
        (job,) = await self._run([self._packed(expected.image)])
        if job.logits != expected.logits:
            self._ready = False
            wrong = next(
                i for i, pair in enumerate(zip(job.logits, expected.logits, strict=True)) if pair[0] != pair[1]
            )
            raise UserError(
                f"the self-test failed: logit {wrong} of its image is {job.logits[wrong]}, not "
                f"{expected.logits[wrong]}: rebuild the bitstream for a clock that it meets, check the memory"
            )

    def _packed(self, image: NDArray[np.uint8]) -> bytes:
        words = pack_image(self._artifact, self.program.config, image, self.program.image_strips)
        return words.astype("<u8").tobytes()

    async def _run(
        self, images: Iterator[bytes] | list[bytes], *, counters: bool = False,
        on_result: Callable[[JobResult], None] = lambda _: None,
    ) -> list[JobResult]:  # fmt: skip
        assert self._runner is not None
        try:
            return await self._runner.run(images, self.timeout, counters=counters, on_result=on_result)
        except BaseException as error:
            self._ready = False
            if not isinstance(error, GeneratorExit):  # then nobody awaits any more
                with suppress(Exception):  # the first error is the one to tell; memory must not be written to, though
                    await self._runner.driver.reset(self.timeout)
            raise

    async def classify(
        self, images: ArrayLike, *, counters: bool = False, on_result: Callable[[JobResult], None] = lambda _: None
    ) -> Classification:
        """Classify images.

        Parameters
        ----------
        images : uint8 array or Tensor [n, channels, size, size]
            Raw pixels; event frames ``[n, T, channels, size, size]``.
        counters : bool
            Read the counters of the layers too.
        on_result : callable
            Told every result as it comes.

        Raises
        ------
        UserError
            If the images are not the network's, or as `prepare`; a `JobError` if the accelerator stops with a cause.
        DeviceTimeout
            If a job does not end in time; it has what the registers show.
        """
        await self.prepare()
        packed = map(self._packed, np.asarray(images))
        return Classification(tuple(await self._run(packed, counters=counters, on_result=on_result)))

    async def validate(
        self, images: ArrayLike, labels: ArrayLike, on_totals: Callable[[ValidationTotals], None] = lambda _: None
    ) -> ValidationTotals:
        """Count how many images are classified right.

        Parameters
        ----------
        images : uint8 array or Tensor [n, channels, size, size]
            As for `classify`.
        labels : integer array or Tensor [n]
            Their classes.
        on_totals : callable
            Told the running totals behind every image.

        Raises
        ------
        UserError
            As `classify`; also if there are not as many labels as images.
        """
        truth, totals = np.asarray(labels).tolist(), ValidationTotals()
        if len(truth) != len(np.asarray(images)):
            raise UserError(f"{len(truth)} labels for {len(np.asarray(images))} images: give one for each")

        def count(job: JobResult) -> None:
            nonlocal totals
            totals = totals.counted(job.prediction == truth[totals.images])
            on_totals(totals)

        await self.classify(images, on_result=count)
        return totals

    async def throughput(self, images: ArrayLike) -> Throughput:
        """Measure how fast images go through, at least one; they are packed before.

        Parameters
        ----------
        images : uint8 array or Tensor [n, channels, size, size]
            As for `classify`.

        Raises
        ------
        UserError
            As `classify`; also if there are none.
        """
        await self.prepare()
        assert self._runner is not None
        packed = [self._packed(image) for image in np.asarray(images)]
        if not packed:
            raise UserError("0 images have no throughput: give at least one")
        begun = self._bus.clock()
        jobs = await self._run(packed)
        elapsed = self._bus.clock() - begun
        return Throughput(
            images=len(jobs), elapsed=elapsed, cycles=float(np.mean([job.cycles for job in jobs])),
            image_bytes=self._runner.image_bytes, program_bytes=self._runner.program_bytes,
        )  # fmt: skip
