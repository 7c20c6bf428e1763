"""When the counts of the layers are filed: what `hw.counters.Counters` states, for times that are known."""

from __future__ import annotations

from collections.abc import Sequence

Labels = Sequence[tuple[int, int]]
"""Layers that a part is in: the first cycle of each, and its number."""


def counted_layers(parts: Sequence[Labels], counters: Sequence[int]) -> list[list[tuple[int, int]]]:
    """Layers that each part counts for, given those that it is in.

    A part files its counts when it goes on to another layer, one every second cycle, those of the first part first. If
    its last ones are not filed yet, it counts for the layer before until they are.

    Parameters
    ----------
    parts : sequence of Labels
        In the order in which they are served; each begins with what it is in when the job starts.
    counters : sequence of int
        How many each of them files.

    Returns
    -------
    list of list of tuple of int
        Of each part the first cycle in which it counts for a layer, and the layer's number.
    """
    found = [[labels[0]] for labels in parts]
    upcoming = [list(labels[:0:-1]) for labels in parts]  # the next one last
    inside = [labels[0][1] for labels in parts]
    left, writing, cycle = [0] * len(parts), False, 0
    while True:
        if not any(left) and all(now == counted[-1][1] for now, counted in zip(inside, found, strict=True)):
            following = min((labels[-1][0] for labels in upcoming if labels), default=None)
            if following is None:
                return found
            cycle, writing = max(cycle, following), writing and following <= cycle
        for part, labels in enumerate(upcoming):
            while labels and labels[-1][0] <= cycle:
                inside[part] = labels.pop()[1]
        leaves = None if writing else next((part for part, counts in enumerate(left) if counts), None)
        for part, counted in enumerate(found):
            if not left[part] and inside[part] != counted[-1][1]:
                counted.append((cycle, inside[part]))
                left[part] = counters[part]
        if leaves is not None:
            left[leaves] -= 1
        writing, cycle = leaves is not None, cycle + 1


def counted_elsewhere(labels: Labels, counted: Labels) -> set[tuple[int, int]]:
    """Layers of a part and others that some of their cycles are counted for.

    Parameters
    ----------
    labels : sequence of tuple of int
        Layers that the part is in.
    counted : sequence of tuple of int
        Layers that it counts for, see `counted_layers`.
    """
    pairs = set()
    for index, (first, layer) in enumerate(labels):
        end = labels[index + 1][0] if index + 1 < len(labels) else None
        for place, (since, other) in enumerate(counted):
            until = counted[place + 1][0] if place + 1 < len(counted) else None
            if other != layer and (end is None or since < end) and (until is None or until > first):
                pairs.add((layer, other))
    return pairs
