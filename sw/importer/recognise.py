"""Which layout the keys of a state dictionary are of, and what is said of keys that are of none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hw.user_text import listed
from sw.errors import UserError
from sw.importer.layouts import LAYOUTS, Layout

DEAD = re.compile(r"(.*\.norm[12]\.(weight|bias)|.*\.num_batches_tracked|n_averaged)", re.DOTALL)
"""Keys that no forward pass reads: layer norms that the authors' blocks hold but never call, counters of batches and
of averaged models."""

COMMON = "head"
"""A module that tells nothing, for most networks have it."""

ROOTS = frozenset(module.partition(".")[0] for layout in LAYOUTS for module in layout.modules())
"""First parts of the keys of every layout."""

LISTED = 44
"""Characters of keys that a message names; the others are counted."""


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How near keys are to a layout.

    Attributes
    ----------
    layout : Layout
    shared : int
        Modules of the layout that the keys have, without `COMMON`.
    missing : tuple of str
        Modules of the layout that they have not.
    foreign : tuple of str
        Modules that the layout has not.
    """

    layout: Layout
    shared: int
    missing: tuple[str, ...]
    foreign: tuple[str, ...]


def likeness(keys: Iterable[str], layout: Layout) -> Likeness:
    """Compare keys with a layout by their modules: the shapes, the number of blocks and the biases are left open."""
    wanted = dict.fromkeys(layout.modules())
    read = (key for key in keys if not DEAD.fullmatch(key) and key not in layout.unused)
    found = dict.fromkeys(map(layout.module, read))
    return Likeness(
        layout=layout,
        shared=sum(module in wanted for module in found if module != COMMON),
        missing=tuple(module for module in wanted if module not in found),
        foreign=tuple(module for module in found if module not in wanted),
    )


def nearest(keys: Iterable[str]) -> Likeness:
    """The layout that shares most modules with the keys, and lacks fewest."""
    keys = list(keys)
    return max(
        (likeness(keys, layout) for layout in LAYOUTS),
        key=lambda like: (like.shared, -len(like.missing), -len(like.foreign)),
    )


def recognise(keys: Iterable[str]) -> Likeness:
    """The layout of the keys.

    Modules beyond those of the layout are not refused here, see `sw.importer.shape.check_tensors`.

    Raises
    ------
    UserError
        If it is not known, naming what was found and the nearest that is known, or if modules are missing.
    """
    keys = list(keys)
    like = nearest(keys)
    known = "see README.md for those that are"
    if not like.shared:
        modules = dict.fromkeys(re.sub(r"(?<![^.])\d+(?![^.])", "*", key.rpartition(".")[0] or key) for key in keys)
        raise UserError(f"the layout is not known, with tensors of {listed(modules, 2 * LISTED)}; {known}")
    if like.missing and like.foreign:
        raise UserError(
            f"the layout is not known, nearest is {like.layout.title}: without {listed(like.missing, LISTED)}, "
            f"with {listed(like.foreign, LISTED)}; {known}"
        )
    if like.missing:
        raise UserError(f"{like.layout.title} without {listed(like.missing, LISTED)}; give a whole checkpoint")
    return like
