"""Studies: how variants come of a recipe, and every refusal."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sw.errors import UserError
from sw.training.recipe import load_recipe
from sw.training.study import Study, load_study

STUDIES = sorted((Path(__file__).resolve().parents[3] / "recipes" / "studies").glob("*.toml"))

RECIPE = """
name = "small"
data = "mnist"
weight_bits = 4
batch_size = 50
network = {embed_dim = 16, depth = 1, heads = 2}
float_phase = {epochs = 2, learning_rate = 1e-3, augmentation = {shift = 1, flip = true}}
quantised_phase = {epochs = 1, learning_rate = 1}
"""

STUDY = """
recipe = "../small.toml"

[variants.plain]

[variants.wide]
weight_bits = 8

[variants.gated]
network = {residual_mode = "iand"}
float_phase.augmentation.shift = 2
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "studies").mkdir()
    (tmp_path / "small.toml").write_text(RECIPE)
    return tmp_path


def load(folder: Path, text: str) -> Study:
    path = folder / "studies" / "choices.toml"
    path.write_text(text)
    return load_study(path)


def test_variants_are_the_recipe_with_their_own_keys(folder):
    study = load(folder, STUDY)
    base = load_recipe(folder / "small.toml")
    assert study.name == "choices" and list(study.variants) == ["plain", "wide", "gated"]
    assert study.variants["plain"] == dataclasses.replace(base, name="plain")
    assert study.variants["wide"] == dataclasses.replace(base, name="wide", weight_bits=8)
    augmentation = dataclasses.replace(base.float_phase.augmentation, shift=2)
    assert study.variants["gated"] == dataclasses.replace(
        base,
        name="gated",
        network=dataclasses.replace(base.network, residual_mode="iand"),
        float_phase=dataclasses.replace(base.float_phase, augmentation=augmentation),
    )


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_committed_studies_are_valid(path):
    variants = load_study(path).variants
    settings = [{**recipe.to_dict(), "name": None} for recipe in variants.values()]
    assert all(settings.count(one) == 1 for one in settings), "two variants are the same"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('recipe = "../small.toml"', "", "recipe must be the path of a recipe, relative to .*, not None"),
        ("../small.toml", "small.toml", r"recipe .*studies/small\.toml cannot be read \(No such file or directory\)"),
        ('recipe = "../small.toml"', 'recipe = "../small.toml"\nbase = 1', "unknown key base; known are recipe, varia"),
        (STUDY, 'recipe = "../small.toml"', r"variants must be at least one table \[variants.NAME\], not {}"),
        (STUDY, 'recipe = "../small.toml"\nvariants = 3', r"at least one table \[variants.NAME\], not 3"),
        ("[variants.plain]", "[variants]\nplain = 4", "variants.plain must be a table, not 4"),
        ("[variants.plain]", '[variants."a/b"]', "variant 'a/b' cannot name a folder: use 1 to 64 letters, digits"),
        ("[variants.plain]", '[variants.".."]', r"variant '\.\.' cannot name a folder"),
        ("[variants.plain]", '[variants.""]', "variant '' cannot name a folder"),
        ("[variants.plain]", "[variants." + 65 * "a" + "]", "cannot name a folder: use 1 to 64"),
        ("weight_bits = 8", 'name = "x"', "variant wide: its name is that of its table, not 'x'; leave the key name"),
        ("weight_bits = 8", "weight_bit = 8", "variant wide: unknown key weight_bit; known are name, data"),
        ("weight_bits = 8", "weight_bits = 5", "variant wide: weight_bits must be .*, not 5"),
        ("weight_bits = 8", "network = 8", "variant wide: network must be a table, not 8"),
        ("weight_bits = 8", "network.deep = 8", "variant wide: unknown key network.deep; known are embed_dim, depth"),
        ("weight_bits = 8", "network.heads = 3", r"variant wide: \[network\]: embed_dim 16 must be divisible by heads"),
        ("weight_bits = 8", "weight_bits =", "is not valid TOML"),
    ],
)  # fmt: skip
def test_a_wrong_study_is_refused(folder, old, new, message):
    assert old in STUDY
    with pytest.raises(UserError, match=message) as error:
        load(folder, STUDY.replace(old, new))
    assert "studies/choices.toml" in str(error.value) and "\n" not in str(error.value)


def test_what_is_wrong_in_the_recipe_is_no_variants_fault(folder):
    (folder / "small.toml").write_text(RECIPE.replace("heads = 2", "heads = 3"))
    with pytest.raises(UserError, match=r"recipe .*small\.toml: \[network\]: embed_dim 16 must be") as error:
        load(folder, STUDY)
    assert "variant " not in str(error.value)


def test_a_missing_study_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"study .*none\.toml cannot be read \(No such file or directory\)"):
        load_study(tmp_path / "none.toml")
