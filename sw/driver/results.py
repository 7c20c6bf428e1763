"""What a job leaves: in the registers, and as a record in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hw.host.registers import RECORD_LINE_WORDS, ErrorCause, Record
from sw.errors import UserError


def error_name(code: int) -> str:
    """Name of an error cause; a number the map does not know stays a number."""
    try:
        return ErrorCause(code).name
    except ValueError:
        return f"UNKNOWN_{code}"


def signed(word: int) -> int:
    """A 32-bit word as the signed number it holds."""
    return word - (1 << 32) if word >> 31 else word


@dataclass(frozen=True)
class LayerCounters:
    """Hardware counters of one descriptor, see `hw.host.registers.Counter`.

    Attributes
    ----------
    cycles, busy, wait_weights, wait_drain, wait_data, wait_attention, wait_load, spikes : int
    """

    cycles: int
    busy: int
    wait_weights: int
    wait_drain: int
    wait_data: int
    wait_attention: int
    wait_load: int
    spikes: int


@dataclass(frozen=True)
class JobResult:
    """What one job left in the registers.

    Attributes
    ----------
    prediction : int
        Class with the largest logit.
    logits : tuple of int
        Signed logits, one per class.
    cycles : int
        Clock cycles of the job.
    error : str
        Name of the `hw.host.registers.ErrorCause`; ``NONE`` if the job ran to its end.
    descriptors : int
        Descriptors taken.
    layers : tuple of LayerCounters
        By the number of the layer.
    """

    prediction: int
    logits: tuple[int, ...]
    cycles: int
    error: str
    descriptors: int
    layers: tuple[LayerCounters, ...]

    def to_dict(self) -> dict[str, Any]:
        """Fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> JobResult:
        """Inverse of `to_dict`."""
        layers = tuple(LayerCounters(**layer) for layer in fields["layers"])
        return cls(**{**fields, "logits": tuple(fields["logits"]), "layers": layers})


@dataclass(frozen=True)
class ResultRecord:
    """What one job left in memory, see `hw.host.registers.Record`.

    Attributes
    ----------
    job : int
        Jobs ended so far, this one included; changes when the record is complete.
    prediction, cycles, descriptors : int
        As in the registers.
    error : str
        Name of the `hw.host.registers.ErrorCause`.
    logits : tuple of int
        Signed logits.
    """

    job: int
    prediction: int
    cycles: int
    descriptors: int
    error: str
    logits: tuple[int, ...]

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> ResultRecord:
        """Inverse of `dataclasses.asdict`, by way of JSON."""
        return cls(**{**fields, "logits": tuple(fields["logits"])})

    @classmethod
    def from_words(cls, words: Sequence[int], classes: int) -> ResultRecord:
        """Take a record apart.

        Parameters
        ----------
        words : sequence of int
            Unsigned 32-bit words from the record's address on.
        classes : int
            Logits to take.
        """
        return cls(
            job=words[Record.JOB], prediction=words[Record.PREDICTION], cycles=words[Record.CYCLES],
            descriptors=words[Record.DESCRIPTORS], error=error_name(words[Record.ERROR]),
            logits=tuple(signed(word) for word in words[RECORD_LINE_WORDS : RECORD_LINE_WORDS + classes]),
        )  # fmt: skip


def check_record(record: ResultRecord, result: JobResult, jobs: int) -> None:
    """Compare the record of a job with what the registers show.

    Parameters
    ----------
    record : ResultRecord
    result : JobResult
    jobs : int
        The register JOBS.

    Raises
    ------
    UserError
        If they are not the same: the first difference.
    """
    shown = {**asdict(result), "job": jobs}
    for name, found in asdict(record).items():
        if found != shown[name]:
            raise UserError(
                f"the result record in memory has {name} {found}, the registers {shown[name]}: "
                "check the memory's address and the caches"
            )
