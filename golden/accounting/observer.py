"""What all measurements of a golden run have in common: totals over its images, added up layer by layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Generic, TypeVar

from golden.walk import LayerActivity
from sw.network import NetworkConfig

Entry = TypeVar("Entry")
"""What is reported of a layer or a tensor."""


class RunningTotals(ABC, Generic[Entry]):
    """An observer for `GoldenModel.run` or `stream` that adds up what it measures, batch by batch.

    Parameters
    ----------
    network : NetworkConfig
        The network that is observed.

    Attributes
    ----------
    images : int
        Images measured so far.

    Examples
    --------
    >>> counter = OperationCounter(model.network)  # doctest: +SKIP
    >>> model.run(images, observers=(counter,))  # doctest: +SKIP
    >>> counter.report()  # doctest: +SKIP
    """

    def __init__(self, network: NetworkConfig):
        self.network = network
        self.images = 0

    def __call__(self, activity: LayerActivity) -> None:
        """Add one layer of one batch."""
        if activity.layer.reads_input:
            self.images += activity.inputs[0].shape[1]
        self._add(activity)

    def report(self) -> tuple[Entry, ...]:
        """What was measured of every layer or tensor that it is measured of, in order of execution.

        Raises
        ------
        ValueError
            If no image was measured yet.
        """
        if not self.images:
            raise ValueError("images measured must be at least 1, not 0: run the model with this observer first")
        return tuple(self._entries())

    @abstractmethod
    def _add(self, activity: LayerActivity) -> None:
        """Add one layer of one batch to the totals."""

    @abstractmethod
    def _entries(self) -> Iterable[Entry]:
        """Yield the entries of a report, of at least one image."""
