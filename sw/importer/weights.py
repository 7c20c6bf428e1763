"""Which tensors of a checkpoint are the network's: training scripts wrap them, and keep averages beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from hw.user_text import listed, quoted
from sw.errors import UserError
from sw.importer.recognise import ROOTS, nearest

DEPTH = 4
"""Dictionaries within dictionaries that are looked into."""

WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Parts of a key that torch's wrappers of a module put in: data parallel, compiled, sharded, recomputed."""

AVERAGED = re.compile(r"(?<![a-z])(ema|swa|avg|averaged?)(?![a-z])", re.IGNORECASE)
"""In the name of weights that are a running mean of the trained ones."""

SAVE_AGAIN = "save the weights alone, torch.save(model.state_dict(), ...), and import that"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One state dictionary of a checkpoint.

    Attributes
    ----------
    name : str
        The keys under which it is kept and what all of its own keys begin with, with dots between; empty where there
        is neither.
    tensors : dict of str to Tensor
        Without wrappers and that beginning.
    known : bool
        Whether no module of a known layout is missing.
    others : tuple of str
        Names of further weights in the file that a known layout has too.
    """

    name: str
    tensors: dict[str, Tensor]
    known: bool
    others: tuple[str, ...] = ()


def choose_weights(content: Any, name: str | None = None) -> Weights:
    """Find a network's state dictionary in what a checkpoint file holds.

    Parameters
    ----------
    content : any
        A state dictionary, or dictionaries that hold some.
    name : str, optional
        Which, if there are several; by default the first that is no average of others.

    Raises
    ------
    UserError
        If there are no tensors, none of that name, or tensors of which it is not clear what they are for.
    """
    if not isinstance(content, Mapping):
        raise UserError(f"holds {type(content).__name__}, not a state dictionary; {SAVE_AGAIN}")
    found = [weights for place, tensors in _tables(content, (), set()) for weights in _split(place, tensors)]
    if not found:
        raise UserError(f"no tensors among its keys ({listed(map(str, content), 60) or 'nothing'}); {SAVE_AGAIN}")
    candidates = [weights for weights in found if weights.known] or found
    if name is not None:
        chosen = next((weights for weights in found if weights.name == name), None)
        if chosen is None:
            names = listed([shown_name(weights.name) for weights in candidates], 100)
            raise UserError(f"--weights is {quoted(name)}, but the file holds {names}; give one of these, or none")
    else:
        chosen = max(candidates, key=lambda weights: (not AVERAGED.search(weights.name), _size(weights)))
    others = tuple(weights.name for weights in candidates if weights is not chosen and weights.known)
    return Weights(name=chosen.name, tensors=chosen.tensors, known=chosen.known, others=others)


def shown_name(name: str) -> str:
    """Name of weights for the user."""
    return name or "those on top"


def _size(weights: Weights) -> int:
    """Tensors, where no layout is known: what a network holds is more than what is kept beside it."""
    return 0 if weights.known else len(weights.tensors)


def _tables(
    content: Mapping[Any, Any], place: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Dictionaries with tensors under names: each once, for a checkpoint may hold one twice, or itself."""
    if id(content) in seen or len(place) > DEPTH:
        return
    seen.add(id(content))
    named = [(key, value) for key, value in content.items() if isinstance(key, str)]  # an optimiser's are numbers
    tensors = {key: value for key, value in named if isinstance(value, Tensor)}
    if tensors:
        yield place, tensors
    for key, value in named:
        if isinstance(value, Mapping):
            yield from _tables(value, (*place, key), seen)


def _split(place: tuple[str, ...], tensors: dict[str, Tensor]) -> list[Weights]:
    """Networks of one dictionary: those whose keys begin alike and are of a known layout, otherwise all as one."""
    plain = {".".join(part for part in key.split(".") if part not in WRAPPERS): value for key, value in tensors.items()}
    if len(plain) < len(tensors):  # the same network with and without a wrapper
        plain = tensors
    beginnings = {_before_root(key) for key in plain} - {None}
    groups: dict[str, list[str]] = {}
    for key in plain:
        own = _before_root(key)
        if own is None:  # such as a position embedding
            own = max((start for start in beginnings if start and key.startswith(start)), key=len, default="")
        groups.setdefault(own, []).append(key)
    whole = [start for start, keys in groups.items() if _is_known(key.removeprefix(start) for key in keys)]
    beside = [key for start, keys in groups.items() if start not in whole for key in keys]
    found = []
    for start in whole:
        mine = {key.removeprefix(start): plain[key] for key in groups[start]}
        rest = {f"{key} beside {start}" if key in mine else key: plain[key] for key in beside}
        found.append(_weights(place, start, mine | rest, known=True))
    if not whole:
        start = _common_start(plain)
        if not nearest(key.removeprefix(start) for key in plain).shared:
            start = ""
        found.append(_weights(place, start, {key.removeprefix(start): plain[key] for key in plain}, known=False))
    return found


def _weights(place: tuple[str, ...], start: str, tensors: dict[str, Tensor], *, known: bool) -> Weights:
    return Weights(name=".".join([*place, *start.split(".")[:-1]]), tensors=tensors, known=known)


def _is_known(keys: Iterable[str]) -> bool:
    like = nearest(keys)
    return bool(like.shared) and not like.missing


def _before_root(key: str) -> str | None:
    """What is before the first part that a layout begins with; None if no part is."""
    parts = key.split(".")
    at = next((i for i, part in enumerate(parts) if part in ROOTS), None)
    return None if at is None else "".join(f"{part}." for part in parts[:at])


def _common_start(keys: Iterable[str]) -> str:
    """First parts that all keys share, up to one that a layout begins with."""
    split = [key.split(".")[:-1] for key in keys]
    start = ""
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1 or parts[0] in ROOTS:
            break
        start += f"{parts[0]}."
    return start
