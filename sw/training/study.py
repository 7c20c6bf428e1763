"""Studies: a TOML file that names a recipe and variants of it, each a recipe of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hw.user_text import listed, quoted
from sw.errors import UserError
from sw.training.fields import read_table
from sw.training.recipe import FILE_NAME, FILE_NAME_RULE, Recipe, load_recipe, recipe_of

KEYS = ("recipe", "variants")
"""Keys of a study's file."""

LONGEST_PATH = 200
"""Characters of the path of a recipe."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """Variants to train and compare.

    Attributes
    ----------
    name : str
        The file's name without suffix.
    variants : dict of str to Recipe
        In the file's order; a variant's recipe has the variant's name.
    """

    name: str
    variants: dict[str, Recipe]


def load_study(path: Path) -> Study:
    """Read and check a study.

    Parameters
    ----------
    path : Path
        TOML file with ``recipe``, the path of the recipe that variants change, relative to the file's folder, and a
        table ``variants.NAME`` for each of them, whose keys replace the recipe's. Tables in it are merged with the
        recipe's of the same name; an empty one is the recipe as it is.

    Raises
    ------
    UserError
        Naming the file, the variant, the key, its value and what it may be.
    """
    table = read_table(path, "study")
    try:
        if unknown := sorted(set(table) - set(KEYS)):
            raise UserError(f"unknown key {listed(unknown[:1], 40)}; known are {', '.join(KEYS)}")
        recipe, variants = table.get("recipe"), table.get("variants", {})
        if not isinstance(recipe, str) or len(recipe) > LONGEST_PATH:
            raise UserError(
                f"recipe must be the path of a recipe, relative to the study's folder, not {quoted(recipe)}"
            )
        if not isinstance(variants, dict) or not variants:
            raise UserError(f"variants must be at least one table [variants.NAME], not {quoted(variants)}")
        place = path.parent / recipe
        load_recipe(place)  # what is wrong in the recipe is not any variant's fault
        base = read_table(place, "recipe")
        return Study(name=path.stem, variants={name: _variant(base, name, own) for name, own in variants.items()})
    except UserError as error:
        raise UserError(f"study {path}: {error}") from error


def same_float_run(one: Recipe, other: Recipe) -> bool:
    """Whether all phases of two recipes but the quantised one are the same run."""
    alike = replace(other, name=one.name, weight_bits=one.weight_bits, quantised_phase=one.quantised_phase)
    return alike == one


def _variant(base: dict[str, Any], name: str, own: Any) -> Recipe:
    if not FILE_NAME.fullmatch(name):
        raise UserError(f"variant {quoted(name)} cannot name a folder: use {FILE_NAME_RULE}")
    if not isinstance(own, dict):
        raise UserError(f"variants.{name} must be a table, not {quoted(own)}")
    if "name" in own:
        raise UserError(
            f"variant {name}: its name is that of its table, not {quoted(own['name'])}; leave the key name out"
        )
    try:
        return recipe_of(_merged(base, {**own, "name": name}))
    except UserError as error:
        raise UserError(f"variant {name}: {error}") from error


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """A table with another's values in place of its own; tables in both are merged."""
    merged = {**base, **own}
    for key, value in own.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = _merged(base[key], value)
    return merged
