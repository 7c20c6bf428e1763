"""What an accelerator made of images, and how fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sw.driver.results import JobResult


@dataclass(frozen=True, eq=False)
class Expectation:
    """What is known of one image before it runs.

    Attributes
    ----------
    image : uint8 array [channels, size, size]
        Raw pixels, or event frames ``[T, channels, size, size]``.
    logits : tuple of int
        Of the golden model.
    cycles : int
        Of the cycle model.
    """

    image: NDArray[np.uint8]
    logits: tuple[int, ...]
    cycles: int


@dataclass(frozen=True)
class Classification:
    """What became of some images.

    Attributes
    ----------
    jobs : tuple of JobResult
        One for each image, in their order; `JobResult.layers` is empty unless counters were asked for.
    """

    jobs: tuple[JobResult, ...]

    @property
    def predictions(self) -> NDArray[np.int64]:
        """Classes ``[n]``."""
        return np.array([job.prediction for job in self.jobs], np.int64)

    @property
    def logits(self) -> NDArray[np.int64]:
        """Integers ``[n, classes]``."""
        return np.array([job.logits for job in self.jobs], np.int64)

    @property
    def cycles(self) -> NDArray[np.int64]:
        """Clock cycles of each image ``[n]``."""
        return np.array([job.cycles for job in self.jobs], np.int64)


@dataclass(frozen=True)
class ValidationTotals:
    """Running totals over a data set.

    Attributes
    ----------
    images, correct : int
        How many so far, and how many of them were classified right.
    """

    images: int = 0
    correct: int = 0

    @property
    def accuracy(self) -> float:
        """Share of correct predictions, 0 to 1; 0 without images."""
        return self.correct / self.images if self.images else 0.0

    def counted(self, correct: bool) -> ValidationTotals:
        """The totals with one image more."""
        return ValidationTotals(self.images + 1, self.correct + correct)


@dataclass(frozen=True)
class Throughput:
    """How fast images went through, the host's part included.

    Attributes
    ----------
    images : int
    elapsed : float
        From the first image's writing to the last result, in the unit of the bus's clock: seconds, in a simulation
        cycles.
    cycles : float
        Mean clock cycles of an image on the accelerator.
    image_bytes, program_bytes : int
        What the accelerator reads for an image: the packed image, and the program with its weights.
    """

    images: int
    elapsed: float
    cycles: float
    image_bytes: int
    program_bytes: int

    @property
    def rate(self) -> float:
        """Images in a unit of time, as measured."""
        return self.images / self.elapsed

    def device_rate(self, frequency: float) -> float:
        """Images per second at a clock (Hz) if the host took no time."""
        return frequency / self.cycles

    def bandwidth(self, frequency: float) -> float:
        """Bytes per second that the accelerator reads at a clock (Hz) while a job runs, on the average."""
        return (self.image_bytes + self.program_bytes) / self.cycles * frequency
