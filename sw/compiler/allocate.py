"""Places tensors in an on-chip memory: first fit over their lifetimes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lifetime:
    """A tensor to place.

    Attributes
    ----------
    name : str
    words : int
        Words per bank.
    first, last : int
        Step that writes it and last step that reads it; both need it whole.
    """

    name: str
    words: int
    first: int
    last: int


def first_fit(tensors: list[Lifetime]) -> tuple[dict[str, int], int]:
    """Place every tensor at the lowest address free during its life.

    Returns
    -------
    dict of str to int
        Address of each tensor.
    int
        Words needed.
    """
    placed: list[tuple[Lifetime, int]] = []
    for tensor in tensors:
        address = 0
        overlapping = sorted(
            (at, other.words) for other, at in placed if other.first <= tensor.last and tensor.first <= other.last
        )
        for at, words in overlapping:
            if address + tensor.words <= at:
                break
            address = max(address, at + words)
        placed.append((tensor, address))
    return {t.name: at for t, at in placed}, max((at + t.words for t, at in placed), default=0)
