"""Reads the trace of one image: what the accelerator's neurons fired and what was written where.

The testbench writes one line per event, all numbers in hexadecimal: a letter for the kind, the layer, the kind's
address fields, and the data word. Lines of one kind are equally long, so a whole kind is decoded at once.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "n": ("neuron", ()),
    "s": ("spike", ("address", "banks", "pieces")),
    "r": ("residual", ("address", "banks", "pieces")),
    "t": ("token", ("value", "channel", "chunk")),
    "l": ("logit", ("index",)),
}
"""Letter of a line, its kind, and its fields between the layer and the data."""


@dataclass(frozen=True)
class Events:
    """Events of one kind, in the order in which they happened.

    Attributes
    ----------
    kind : str
        ``neuron`` (pieces of spikes before the pool), ``spike`` and ``residual`` (writes to those memories), ``token``
        (K and V words of the attention) or ``logit``.
    layer : int64 array [n]
        Number of the layer, as in `sw.compiler.program.Program.names`.
    fields : dict of str to int64 array [n]
        ``address``, ``banks`` and ``pieces``, or ``value`` (0 K, 1 V), ``channel`` and ``chunk``, or ``index``.
    data : uint8 array [n, bytes]
        Data words, the lowest byte first.
    """

    kind: str
    layer: NDArray[np.int64]
    fields: dict[str, NDArray[np.int64]]
    data: Bytes

    def __len__(self) -> int:
        return len(self.layer)

    def of_layer(self, layer: int) -> Events:
        """The events of one descriptor."""
        return self._chosen(self.layer == layer)

    def part(self, first: int, count: int) -> Events:
        """So many events from `first` on."""
        return self._chosen(slice(first, first + count))

    def _chosen(self, chosen: NDArray[np.bool_] | slice) -> Events:
        fields = {name: values[chosen] for name, values in self.fields.items()}
        return Events(self.kind, self.layer[chosen], fields, self.data[chosen])

    def bits(self, *shape: int) -> Bytes:
        """The words as bits.

        Parameters
        ----------
        *shape : int
            Dimensions of a word, the last one fastest (in the lowest bits): ``positions, timesteps, inputs`` for
            spike words, ``timesteps, chunk_tokens`` for token words.

        Returns
        -------
        uint8 array [n, *shape]
            0 or 1.

        Raises
        ------
        ValueError
            If a word has fewer bits.
        """
        width = int(np.prod(shape))
        if len(self) and width > self.data.shape[1] * 8:
            raise ValueError(f"a {self.kind} word has {self.data.shape[1] * 8} bits, not {width} = {shape}")
        if not len(self):
            return np.zeros((0, *shape), dtype=np.uint8)
        return np.unpackbits(self.data, axis=1, bitorder="little")[:, :width].reshape(-1, *shape)

    def signed(self) -> NDArray[np.int64]:
        """Data words of up to 64 bits as signed integers of their whole bytes, for logits."""
        size = self.data.shape[1]
        if size > 8:
            raise ValueError(f"a {self.kind} word has {size * 8} bits, more than an integer")
        fill = np.where(self.data[:, -1:] >= 0x80, 0xFF, 0).astype(np.uint8) if size else self.data
        words = np.concatenate([self.data, np.repeat(fill, 8 - size, axis=1)], axis=1)
        return np.ascontiguousarray(words).view("<i8").reshape(-1)


def read_trace(path: Path) -> dict[str, Events]:
    """Read a trace file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of str to Events
        By kind; every kind is there, if empty.

    Raises
    ------
    ValueError
        If a line is not an event; names its number.
    """
    text = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    if len(text) and (not len(ends) or ends[-1] != len(text) - 1):
        raise ValueError(f"{path}: the last line is cut off")
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64) if len(ends) else np.zeros(0, dtype=np.int64)
    letters = text[starts]
    unknown = ~np.isin(letters, [ord(letter) for letter in KINDS])
    if unknown.any():
        raise ValueError(f"{path}: line {int(np.argmax(unknown)) + 1} is not an event")
    return {
        kind: _decode(path, kind, names, text, *(edge[letters == ord(letter)] for edge in (starts, ends)))
        for letter, (kind, names) in KINDS.items()
    }


def _decode(
    path: Path, kind: str, names: tuple[str, ...], text: Bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> Events:
    if not len(starts):
        empty = np.zeros(0, dtype=np.int64)
        return Events(kind, empty, dict.fromkeys(names, empty), np.zeros((0, 0), dtype=np.uint8))
    length = int(ends[0] - starts[0])
    if (ends - starts != length).any():
        raise ValueError(f"{path}: {kind} events of different lengths")
    lines = text[starts[:, None] + np.arange(length)]
    gaps = [*np.flatnonzero(lines[0] == ord(" ")), length]
    columns = [_digits(lines[:, begin + 1 : end]) for begin, end in itertools.pairwise(gaps)]
    if len(columns) != len(names) + 2 or any((column > 15).any() for column in columns):
        raise ValueError(f"{path}: a {kind} event is not hexadecimal numbers for layer, {', '.join([*names, 'data'])}")
    layer, *fields, data = columns
    return Events(kind, _integers(layer), dict(zip(names, map(_integers, fields), strict=True)), _words(data))


def _digits(characters: Bytes) -> Bytes:
    """Values of hexadecimal digits, 255 for anything else."""
    table = np.full(256, 255, dtype=np.uint8)
    table[list(b"0123456789abcdef")] = range(16)
    return table[characters]


def _integers(digits: Bytes) -> NDArray[np.int64]:
    weights = 16 ** np.arange(digits.shape[1] - 1, -1, -1, dtype=np.int64)
    return np.asarray((digits * weights).sum(axis=1), dtype=np.int64)


def _words(digits: Bytes) -> Bytes:
    if digits.shape[1] % 2:
        digits = np.concatenate([np.zeros((len(digits), 1), dtype=np.uint8), digits], axis=1)
    return np.ascontiguousarray((digits[:, 0::2] << 4 | digits[:, 1::2])[:, ::-1])
