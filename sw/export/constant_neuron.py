"""Neurons whose output no input changes, and the smallest integers that give it.

A channel with pruned weights, or with a batch norm gain of next to nothing, has a bias and a threshold that dwarf all
that its weights can add: it never fires, or in every p-th time step, whatever comes in. Its numbers need widths that
no neuron has; its output needs neither them nor the weights.
"""

from __future__ import annotations


def constant_period(low: int, high: int, threshold: int, timesteps: int, *, leaky: bool) -> int | None:
    """How often a neuron fires, if that is the same for every input.

    A neuron behind its reset is as it was at the start (`sw.artifact.artifact`): with ``a_k = 2^k - 1``, without leak
    ``k``, it fires k steps later iff the weighted sum of the currents in between, at least ``a_k low`` and at most
    ``a_k high``, reaches the threshold. Both bounds are reached, so the answer is exact.

    Parameters
    ----------
    low, high : int
        Smallest and largest current ``C``, in units of ``2^-f``. Of any size.
    threshold : int
        In units of ``2^-(f+T)``, at least 1; without leak, of ``2^-f``. Of any size.
    timesteps : int
        Time steps ``T``.
    leaky : bool
        Whether the neuron leaks.

    Returns
    -------
    int or None
        It fires in every so many-th time step; 0 if never; None if it depends on the input.
    """
    for step in range(1, timesteps + 1):
        weight = _weight(step, timesteps, leaky)
        if weight * low >= threshold:
            return step
        if weight * high >= threshold:
            return None
    return 0


def constant_integers(period: int, timesteps: int, *, leaky: bool) -> tuple[int, int]:
    """Bias and threshold of a neuron without weights that fires in every `period`-th time step, never with 0."""
    return (1, _weight(period, timesteps, leaky)) if period else (0, 1)


def _weight(step: int, timesteps: int, leaky: bool) -> int:
    """Membrane that a current of 1 makes in so many steps, in units of the threshold."""
    return (1 << timesteps) - (1 << timesteps - step) if leaky else step
