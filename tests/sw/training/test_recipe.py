"""Recipes: what is read, and every refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from sw.errors import UserError
from sw.training.recipe import Augmentation, load_recipe

RECIPES = sorted((Path(__file__).resolve().parents[3] / "recipes").glob("*.toml"))

GOOD = """
name = "tiny"
data = "mnist"
weight_bits = 4
batch_size = 50
network = {embed_dim = 16, depth = 1, heads = 2}
float_phase = {epochs = 2, learning_rate = 1e-3}
quantised_phase = {epochs = 1, learning_rate = 1}
"""


def load(tmp_path: Path, text: str):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return load_recipe(path)


def test_network_may_be_one_of_the_papers_with_changes(tmp_path):
    named = GOOD.replace("{embed_dim = 16, depth = 1, heads = 2}", '{name = "spikformer-2-384", timesteps = 2}')
    config = load(tmp_path, named).network
    assert (config.embed_dim, config.depth, config.heads, config.timesteps) == (384, 2, 12, 2)
    assert (config.image_size, config.image_channels) == (28, 1)  # of the data set
    with pytest.raises(UserError, match="unknown network 'spikformer-1-1'; choose one of"):
        load(tmp_path, named.replace("2-384", "1-1"))


def test_defaults_and_network(tmp_path):
    recipe = load(tmp_path, GOOD)
    assert (recipe.seed, recipe.precision, recipe.float_phase.augmentation) == (1, "bf16", Augmentation())
    assert recipe.quantised_phase.learning_rate == 1.0
    config = recipe.network
    assert (config.image_size, config.image_channels, config.classes, config.embed_dim) == (28, 1, 10, 16)
    assert config.residual_mode == "add"
    assert recipe.to_dict()["network.embed_dim"] == 16
    assert recipe.to_dict()["quantised_phase.augmentation.shift"] == 0


def test_residual_mode_and_neuron_reach_the_network(tmp_path):
    text = GOOD.replace("heads = 2", 'heads = 2, residual_mode = "iand", neuron = "if"')
    network = load(tmp_path, text).network
    assert (network.residual_mode, network.neuron) == ("iand", "if")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_committed_recipes_are_valid(path):
    assert load_recipe(path).name == path.stem


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("weight_bits = 4", "weight_bits = 5", "weight_bits must be one of 2, 3, 4, 8, not 5"),
        ("weight_bits = 4", "weight_bits = '4'", "weight_bits must be of type int, not '4'"),
        ("weight_bits = 4", "", "key weight_bits is missing"),
        ("batch_size = 50", "batch_size = 0", "batch_size must be 1 to 65536, not 0"),
        ("batch_size = 50", "batch_size = true", "batch_size must be of type int, not True"),
        ("batch_size = 50", "batch = 50", "unknown key batch; known are name, data"),
        ("depth = 1", "deep = 1", "unknown key network.deep; known are embed_dim, depth"),
        ("heads = 2", "heads = 3", r"\[network\]: embed_dim 16 must be divisible by heads, not 3"),
        ("heads = 2", "heads = 2, residual_mode = 'or'", "residual_mode must be one of add, clamp, iand, not 'or'"),
        ("epochs = 2", "epochs = 0", "float_phase.epochs must be 1 to 10000, not 0"),
        ("epochs = 1,", "epochs = 1, warmup_epochs = 2,", "quantised_phase.warmup_epochs must be 0 to 1, not 2"),
        ("epochs = 2", "epochs = 2, single_step_epochs = 2", "float_phase.single_step_epochs must be 0 to 1, not 2"),
        ('"mnist"', '"mnits"', "unknown data set 'mnits'; choose one of fashion-mnist, mnist, cifar10"),
        ('name = "tiny"', 'name = "tiny"\nprecision = "fp16"', "precision must be one of bf16, fp32, not 'fp16'"),
        (
            "epochs = 2",
            "epochs = 2, augmentation = {by_turns = true}",
            "float_phase.augmentation.by_turns must be false without flip, or flip must be true",
        ),
        ("float_phase = {epochs = 2, learning_rate = 1e-3}", "", "key float_phase is missing, and there is no start"),
        ("epochs = 2", "epochs = 2, augmentation = 1", "float_phase.augmentation must be a table, not 1"),
        (
            "epochs = 2",
            "epochs = 2, augmentation = {erase = 2}",
            "float_phase.augmentation.erase must be 0 to 1, not 2",
        ),
        ('name = "tiny"', "name = tiny", "is not valid TOML"),
        ('name = "tiny"', 'name = "../../../x"', "name must be 1 to 64 letters, .*, not '../../../x'"),
        ('name = "tiny"', 'name = ""', "name must be 1 to 64 letters, .*, not ''"),
        ("epochs = 2", f"epochs = 0x{'f' * 450}", r"float_phase.epochs must be 1 to 10000, not \d+\.\.\.\d+$"),
        (
            "learning_rate = 1}",
            f"learning_rate = 0x{'f' * 450}}}",
            r"must be of type float, not \d+\.\.\.\d+$",
        ),
        ("learning_rate = 1}", "learning_rate = nan}", "quantised_phase.learning_rate must be 1e-09 to 1, not nan"),
        ("batch_size = 50", f"batch_size = '{'x' * 450}'", r"batch_size must be of type int, not 'x{20,30}\.\.\.x+'$"),
        ("batch_size = 50", f"{'x' * 450} = 1", r"unknown key x{37}\.\.\.; known are"),
        ("batch_size = 50", "batch_size = " + "[\n" * 5000, "is not valid TOML: too many brackets in each other"),
        ("batch_size = 50", "9" * 5000, "is not valid TOML: a line of more than 500 characters"),
        ("batch_size = 50", "# comment\n" * 7000, "is not valid TOML: larger than 65,536 bytes"),
    ],
)
def test_wrong_recipe_is_refused(tmp_path, old, new, message):
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path, GOOD.replace(old, new))
    assert "recipe.toml" in str(error.value) and len(str(error.value)) - len(str(tmp_path)) < 250
    assert "\n" not in str(error.value)


def test_teacher_has_no_single_step_epochs(tmp_path):
    path = next(path for path in RECIPES if path.stem == "cifar10-4-256")
    text = path.read_text().replace("[teacher.phase]", "[teacher.phase]\nsingle_step_epochs = 1")
    with pytest.raises(UserError, match=r"teacher\.phase\.single_step_epochs must be 0, not 1"):
        load(tmp_path, text)


def test_missing_recipe_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.toml cannot be read \(No such file or directory\)"):
        load_recipe(tmp_path / "none.toml")
