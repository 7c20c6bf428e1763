"""The command line: help, exit codes, errors of one line, nothing half-written."""

from __future__ import annotations

import errno
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from golden.random_artifact import random_artifact, random_images
from hw.named_configs import CONFIGS, TINY
from sim.comparison.report import COMPARISONS
from sim.faults import find_flip
from spikeloom import cli
from spikeloom.commands import project
from spikeloom.commands.docs import generated
from spikeloom.commands.hardware import fmax, synth
from spikeloom.commands.images import ImageChoice, images_for
from spikeloom.commands.reference import reference
from sw.artifact.accuracy import as_figures, counts
from sw.artifact.file import load, save
from sw.artifact.versions import VERSION
from sw.compiler.compiler import compile_artifact
from sw.compiler.program import DESCRIPTOR_WORDS, header_words
from sw.data.samples import load_sample
from sw.errors import UserError
from sw.network import NetworkConfig
from sw.synthesis.cells import FAMILIES, RESOURCES

ROOT = Path(__file__).resolve().parents[2]
NETWORK = NetworkConfig(image_size=16, image_channels=1, classes=5, embed_dim=32, depth=1, heads=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "random.spikeloom"
    save(random_artifact(NETWORK, 4, seed=7), path)
    return path


@pytest.fixture
def images(tmp_path):
    path = tmp_path / "images.npz"
    np.savez(path, images=random_images(NETWORK, 3, seed=8).numpy(), labels=np.array([0, 1, 2]))
    return path


def refused(capsys, *arguments):
    """Run a command that must be refused; its one line."""
    code = cli.run([str(argument) for argument in arguments])
    error = capsys.readouterr().err
    assert code == cli.EXIT_MENDABLE, error
    lines = [line for line in error.splitlines() if line.startswith("spikeloom: ")]
    assert len(lines) == 1 and "Traceback" not in error, error
    assert error.rstrip().endswith(lines[0])
    return lines[0]


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help(command, capsys):
    assert cli.run([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: spikeloom {command}")
    assert len(shown.split("\n\n")[1]) > 20 and "Options:" in shown


def test_help_lists_every_command_without_importing_what_they_need(capsys):
    assert cli.run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {command} " in shown for command in cli.COMMANDS)
    program = (
        "import sys; from spikeloom.cli import run; run(['--help']); print({'torch', 'amaranth'} & {*sys.modules})"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "set()"


def test_version(capsys):
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("spikeloom, version ")


def test_unknown_command_and_option(capsys):
    assert "No such command 'frobnicate'; see spikeloom --help" in refused(capsys, "frobnicate")
    assert "No such option '--frobnicate'; see spikeloom info --help" in refused(capsys, "info", "--frobnicate")


@pytest.mark.parametrize("command", [["info"], ["compare", "--model"], ["bench", "--speeds", "--model"]])
def test_missing_model(command, capsys, tmp_path):
    path = tmp_path / "none.spikeloom"
    assert "cannot read (no such file)" in refused(capsys, *command, path)


def test_foreign_file(capsys, tmp_path):
    path = tmp_path / "foreign.spikeloom"
    path.write_bytes(b"not an artifact" * 100)
    assert f"{path}: not a whole safetensors file" in refused(capsys, "info", path)


@pytest.mark.parametrize("part", [0, 7, 0.5, 0.999])
def test_truncated_artifact(part, capsys, tmp_path, model):
    content = model.read_bytes()
    path = tmp_path / "short.spikeloom"
    path.write_bytes(content[: part if isinstance(part, int) else int(len(content) * part)])
    assert "export the artifact again" in refused(capsys, "compare", "--model", path)


def test_unknown_configuration(capsys):
    line = refused(capsys, "verilog", "--config", "giant")
    assert "unknown configuration 'giant'; choose one of mini, tiny, base, large, huge" in line


def test_configuration_from_a_file(capsys, tmp_path):
    path = tmp_path / "mine.json"
    assert "cannot be read" in refused(capsys, "verilog", "--config", path)
    path.write_text("{")
    assert "mine.json: " in refused(capsys, "verilog", "--config", path)
    path.write_text(json.dumps({**TINY.to_dict(), "name": "mine", "positions": 3}))
    assert "positions must be 1, 2, 4 or 8, not 3" in refused(capsys, "verilog", "--config", path)
    path.write_text(json.dumps({"config": {**TINY.to_dict(), "positions": True, "x" * 999: 1}}))
    assert "unknown fields: x" in (line := refused(capsys, "verilog", "--config", path)) and len(line) < 300
    path.write_text("[" * 100_000)
    assert "more than 32 levels" in refused(capsys, "verilog", "--config", path)


@pytest.mark.parametrize("name", ["../../../x", "/x", "a*/ int evil; /*", "module", ""])
def test_a_name_in_a_configuration_leads_nowhere_else(name, capsys, tmp_path):
    path, out = tmp_path / "mine.json", tmp_path / "1" / "2" / "3"
    path.write_text(json.dumps({**TINY.to_dict(), "name": name}))
    assert f"{path}: name must" in refused(capsys, "verilog", "--config", path, "--no-lint", "--out", out)
    assert list(tmp_path.rglob("*")) == [path]


def test_unknown_data_set(capsys):
    line = refused(capsys, "data", "--dataset", "imagenet")
    assert "unknown data set 'imagenet'; choose one of fashion-mnist, mnist, cifar10" in line


def test_missing_data_folder(capsys, tmp_path):
    assert "does not exist" in refused(capsys, "data", "--data-dir", tmp_path / "none")


def test_network_too_large_for_the_hardware(capsys, tmp_path, images):
    path = tmp_path / "wide.spikeloom"
    wide = NetworkConfig(image_size=16, image_channels=1, classes=17, embed_dim=32, depth=1, heads=2)
    save(random_artifact(wide, 4, seed=1), path)
    line = refused(capsys, "compare", "--model", path, "--config", "tiny", "--data", images)
    assert "head needs 17 classes, the configuration has 16: use a larger configuration" in line


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((2, 1, 28, 28), np.uint8), "labels": np.zeros(2, int)}, "the network takes [1, 16, 16]"),
        ({"images": np.zeros((2, 1, 16, 16), np.float32), "labels": np.zeros(2, int)}, "images are float32"),
        ({"images": np.zeros((2, 16, 16), np.uint8), "labels": np.zeros(2, int)}, "must be uint8 [n, channels"),
        ({"images": np.zeros((2, 1, 16, 16), np.uint8), "labels": np.zeros(3, int)}, "labels are int64 [3]"),
        ({"images": np.zeros((2, 1, 16, 16), np.uint8)}, "must hold the arrays images and labels"),
    ],
)
def test_images_that_do_not_fit(arrays, message, capsys, tmp_path, model):
    path = tmp_path / "images.npz"
    np.savez(path, **arrays)
    assert message in refused(capsys, "compare", "--model", model, "--config", "tiny", "--data", path)


def test_random_weights_without_a_seed(capsys, tmp_path, model):
    for number, seed in enumerate((None, -1, "7", 1.0)):
        path = tmp_path / f"{number}.spikeloom"
        save(replace(load(model), provenance={} if seed is None else {"seed": seed}), path)
        assert "must have a seed from 0 on, not " in refused(capsys, "compare", "--model", path, "--config", "tiny")


def test_images_that_are_no_arrays(capsys, tmp_path, model):
    path = tmp_path / "images.npz"
    assert "cannot be read" in refused(capsys, "compare", "--model", model, "--data", path)
    path.write_bytes(b"PK\x03\x04 but no archive")
    assert "must hold the arrays" in refused(capsys, "compare", "--model", model, "--data", path)


def test_missing_tool(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    line = refused(capsys, "verilog", "--config", "tiny", "--out", tmp_path / "out")
    assert "perl is not on the PATH" in line and "install perl" in line
    assert not (tmp_path / "out").exists()


def test_output_folder_that_is_a_file(capsys, tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    refused(capsys, "verilog", "--config", "tiny", "--no-lint", "--out", path)
    assert path.read_text() == "mine" and list(tmp_path.iterdir()) == [path]


def test_training_needs_a_recipe(capsys, tmp_path):
    assert "cannot be read" in refused(capsys, "train", tmp_path / "none.toml")
    path = tmp_path / "recipe.toml"
    path.write_text("name = 1")
    assert "recipe" in refused(capsys, "train", path)


def test_export_needs_a_finished_run(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("sw.data.sets.load", lambda *_, **__: None)
    line = refused(capsys, "export", ROOT / "recipes" / "fashion-2-64.toml", "--run", tmp_path)
    assert "finish the training run first" in line
    assert not list(tmp_path.iterdir())


RECIPE = """
name = "small"
data = "mnist"
weight_bits = 4
batch_size = 100
precision = "fp32"
seed = 5

[network]
embed_dim = 16
depth = 1
heads = 2
timesteps = 2

[float_phase]
epochs = 1
learning_rate = 1e-3

[quantised_phase]
epochs = 1
learning_rate = 1e-4
"""


def test_training_ends_with_an_artifact(capsys, tmp_path, monkeypatch):
    sample = load_sample("mnist")
    monkeypatch.setattr("sw.data.sets.load", lambda *_, **__: sample)
    monkeypatch.setattr("sw.training.trainer.compile_neurons", lambda: False)
    recipe, out = tmp_path / "small.toml", tmp_path / "run"
    recipe.write_text(RECIPE)
    assert cli.run(["train", str(recipe), "--out", str(out)]) == 0
    artifact = load(out / "small.spikeloom")
    assert set(artifact.accuracy) == {"float", "quantised", "brevitas", "golden"}
    assert artifact.accuracy["golden"] == artifact.accuracy["brevitas"]
    assert {(entry["images"], entry["image_set"]) for entry in artifact.accuracy.values()} == {(300, "mnist sample")}
    assert artifact.provenance["command"] == f"spikeloom train {recipe}"
    assert artifact.provenance["seed"] == 5 and len(artifact.provenance["log"]) == 2
    assert {path.name for path in out.iterdir()} == {
        "checkpoint.pt", "log.csv", "curve.png", "float.pt", "quantised.pt", "small.spikeloom"
    }  # fmt: skip
    capsys.readouterr()
    assert "already holds a training run" in refused(capsys, "train", recipe, "--out", out)

    again = tmp_path / "again.spikeloom"
    assert cli.run(["export", str(recipe), "--run", str(out), "--out", str(again)]) == 0
    assert again.read_bytes() == (out / "small.spikeloom").read_bytes()

    continued = RECIPE.replace("[network]", f'start = "{again}"\n\n[network]')
    recipe.write_text(continued.replace("[float_phase]\nepochs = 1\nlearning_rate = 1e-3\n", ""))
    assert cli.run(["train", str(recipe), "--out", str(tmp_path / "more")]) == 0
    artifact = load(tmp_path / "more" / "small.spikeloom")
    assert set(artifact.accuracy) == {"quantised", "brevitas", "golden"} and len(artifact.provenance["log"]) == 1
    assert artifact.provenance["recipe"]["start"] == str(again)
    recipe.write_text(RECIPE)

    (out / "quantised.pt").write_bytes((out / "quantised.pt").read_bytes()[:1000])
    capsys.readouterr()
    assert "does not hold this recipe's model" in refused(
        capsys, "export", recipe, "--run", out, "--out", tmp_path / "third.spikeloom"
    )
    assert not (tmp_path / "third.spikeloom").exists()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (OSError(errno.ENOSPC, "No space left on device", "build/x"), "build/x: no space left on device; free some"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "/x: read-only file system; choose a place"),
        (UserError("value 3 is above the limit 2: lower it"), "value 3 is above the limit 2: lower it"),
        (UserError("the build failed, see x.log:\nline\nline"), "the build failed, see x.log"),
    ],
)
def test_interruptions_and_full_disks_are_one_line(error, message, capsys, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("sw.data.samples.make_samples", fail)
    assert message in refused(capsys, "samples")


def test_a_full_disk_is_seen_behind_any_error(capsys, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("PytorchStreamWriter failed writing file data.pkl: file write failed")

    monkeypatch.setattr("sw.data.samples.make_samples", fail)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    assert "no space left on device (RuntimeError); free some space" in refused(capsys, "samples")


def test_a_bug_is_not_dressed_up_as_the_users_mistake(monkeypatch):
    def fail(*_, **__):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "x")

    monkeypatch.setattr("sw.data.samples.make_samples", fail)
    with pytest.raises(FileNotFoundError):
        cli.run(["samples"])


def figures(mismatches):
    """Figures of the form that `sim.comparison.compare` gives."""
    layer = {
        "name": "conv0", "planes": 8, "dense_sops": 1000, "executed_sops": 12.5, "cycles": 100.0, "model_cycles": 100,
        "ideal_cycles": 80.0, "utilisation": 0.8, "input_rate": 0.25, "engine_cycles": 80.0,
        "waits": {"weights": 1.0, "drain": None},
    }  # fmt: skip
    load = {**layer, "name": "load", "planes": 0, "dense_sops": 0, "cycles": None, "input_rate": None}
    return {
        "artifact": "x", "image_set": "random", "images": {"rtl": 2, "golden": 3},
        "hardware": {
            "config": "tiny", "technology": "portable", "outputs": 8, "inputs": 4, "positions": 2, "timesteps": 4,
            "sops_per_cycle": 256,
        },
        "accuracy": {
            "float": None, "brevitas": as_figures(counts(9, 10, "mnist test set")),
            **dict.fromkeys(("golden", "rtl", "golden_on_rtl_images"), as_figures(counts(1, 2, "x.npz"))),
        },
        "mismatches": {**dict.fromkeys(COMPARISONS, 0), "golden_rtl_spikes": mismatches, "values_compared": 12345},
        "cycles": {
            "rtl_mean": 100.0, "rtl_min": 99, "rtl_max": 101, "model": 100, "ideal": 80.0, "utilisation": 0.8
        },
        "layers": [load, layer], "energy": {"counted_j": 1e-6, "paper_j": 2e-6},
        "simulation": {"build_s": 1.0, "run_s": 2.0, "cycles_per_s": 300000.0},
    }  # fmt: skip


@pytest.mark.parametrize("mismatch", [None, "image 0, conv0 spikes: time step 1, channel 2: golden 1, RTL 0"])
def test_compare_prints_writes_and_exits_by_the_outcome(mismatch, capsys, tmp_path, monkeypatch, model, images):
    from sim.comparison.compare import CompareReport

    seen = []

    def fake(options, progress):
        seen.append(options)
        progress("RTL simulation", 1, 2)
        return CompareReport(figures(7 if mismatch else 0), mismatch)

    monkeypatch.setattr("sim.comparison.compare.Comparison.run", fake)
    out = tmp_path / "out" / "compare.json"
    arguments = ["compare", "--model", model, "--config", "tiny", "--images", 2, "--traced", 1, "--data", images,
                 "--stalls", "--flip", "conv0.weight", "--out", out]  # fmt: skip
    assert cli.run([str(argument) for argument in arguments]) == (cli.EXIT_DIFFERENT if mismatch else 0)
    shown = capsys.readouterr().out
    assert "conv0" in shown and "12,345 values compared" in shown
    rows = [re.split(r" {2,}", line.strip()) for line in shown.splitlines()]
    assert ["Brevitas model, as the artifact records", "mnist test set", "10", "90.00%"] in rows
    assert ["float model, as the artifact records", "-", "-", "-"] in rows and ["RTL", "x.npz", "2", "50.00%"] in rows
    assert (mismatch in shown) if mismatch else ("no mismatch of any kind" in shown)
    written = json.loads(out.read_text())
    assert written["mismatches"]["golden_rtl_spikes"] == (7 if mismatch else 0)
    assert [path.name for path in out.parent.iterdir()] == ["compare.json"]
    (options,) = seen
    assert (options.images, options.traced, len(options.data), options.config) == (2, 1, 3, TINY)
    assert options.stall_percent > 0 and len(options.flips) == 1


def test_a_failed_comparison_leaves_the_old_figures(capsys, tmp_path, monkeypatch, model, images):
    def fail(*_):
        raise UserError("make is not on the PATH: install it")

    monkeypatch.setattr("sim.comparison.compare.Comparison.run", fail)
    out = tmp_path / "compare.json"
    out.write_text("old")
    refused(capsys, "compare", "--model", model, "--config", "tiny", "--data", images, "--out", out)
    assert out.read_text() == "old"


def test_info_shows_network_ranges_and_fit(capsys, model):
    assert cli.run(["info", str(model)]) == 0
    shown = capsys.readouterr().out
    assert "Spikformer-1-32, 2 heads, T = 4, 16x16x1 to 5 classes" in shown
    assert "block0.attention" in shown and "tiny: fits" in shown
    assert "residual stream: add, integers up to 4" in shown
    assert "neurons: lif, the last 2 convolutions' with a pool after them" in shown
    assert cli.run(["info", str(model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["network"]["embed_dim"] == 32


def test_info_renews_a_file_of_an_older_version(capsys, tmp_path, model):
    with safe_open(model, framework="numpy") as stream:
        header = json.loads(stream.metadata()["spikeloom"])
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    del header["sha256"]
    header["network"]["events"] = bool(header["network"].pop("event_bits"))
    old = tmp_path / "old.spikeloom"
    save_file(tensors, old, metadata={"spikeloom": json.dumps({**header, "version": 3})})
    assert cli.run(["info", str(old), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == VERSION
    assert old.read_bytes() != model.read_bytes()
    assert cli.run(["info", str(old), "--json", "--renew"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["version"] == VERSION
    assert f"written in version {VERSION}" in captured.err and old.read_bytes() == model.read_bytes()


def test_info_names_neuron_and_pool_order_that_the_machine_lacks(capsys, tmp_path):
    network = replace(NETWORK, neuron="if", pools=3, pool_order="before")
    save(random_artifact(network, 4, seed=7), tmp_path / "other.spikeloom")
    assert cli.run(["info", str(tmp_path / "other.spikeloom")]) == 0
    shown = capsys.readouterr().out
    assert "neurons: if, the last 3 convolutions' with a pool before them" in shown


def test_flips_name_bits_of_the_memory_image():
    artifact = random_artifact(NETWORK, 4, seed=7)
    program = compile_artifact(artifact, TINY)
    assert find_flip(program, "load.descriptor").beat == header_words(TINY)
    assert find_flip(program, "conv0.descriptor").beat == header_words(TINY) + DESCRIPTOR_WORDS
    channel = artifact.network.layers()[1].out_channels // 2
    parameters = program.steps_of("conv1")[0].address + DESCRIPTOR_WORDS
    for part in ("bias", "threshold"):
        flip = find_flip(program, f"conv1.{part}")
        assert flip.beat == parameters + channel and (flip.bit >= 32) == (part == "threshold")
    flip = find_flip(program, "conv1.weight")
    nibble = int(program.memory[flip.beat]) >> (flip.bit - 3) & 0xF
    # Slices of 8 outputs x 4 inputs x 4 bits are two words, input 0 of all outputs first; one slice per tap, tap 4 is
    # the kernel's middle.
    assert flip.beat == parameters + 8 + 4 * 2
    assert nibble == int(artifact.tensors["conv1"].weight[channel, 0, 1, 1]) & 0xF
    assert find_flip(program, "12:34").beat == 12


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv9.weight", "no layer 'conv9' to corrupt; there are load, conv0"),
        ("block0.attention.weight", "block0.attention has no weight"),
        ("load.bias", "load has no bias"),
        ("12", "BEAT:BIT"),
        ("1:64", "bits 0 to 63, not 64"),
    ],
)
def test_flip_wrong(text, message):
    with pytest.raises(UserError, match=message):
        find_flip(compile_artifact(random_artifact(NETWORK, 4, seed=7), TINY), text)


def test_reference_tables_are_up_to_date():
    for path, content in generated().items():
        assert path.read_bytes() == content, f"{path}: run spikeloom docs"
    for name in CONFIGS:
        assert f"`{name}`" in reference()


def resources(**changes):
    return {"lut": 1000, "lutram": 200, "ff": 500, "bram": 2.5, "uram": 0, "dsp": 0, **changes}


@pytest.fixture
def synthesised(monkeypatch, tmp_path):
    """`spikeloom synth` without Yosys; what it counts can be changed."""
    counts = resources()

    def fake(config, family, folder):
        return {
            "yosys": "0.70", "sops_per_cycle": config.sops_per_cycle, "bram_kbit": 36, "resources": dict(counts),
            "parts": {"(top)": resources(lut=0), "weight_array": dict(counts)},
        }  # fmt: skip

    monkeypatch.setattr(synth, "synthesis_entry", fake)
    monkeypatch.setattr(synth, "OUT", tmp_path / "synth.json")
    monkeypatch.setattr(synth, "BASELINE", tmp_path / "baseline.json")
    return counts


def test_synth_shows_parts_and_compares_with_the_baseline(synthesised, capsys, tmp_path):
    command = ["synth", "--config", "tiny", "--family", "xcup"]
    assert cli.run(command) == 0
    shown = capsys.readouterr().out
    assert "not compared, no baseline" in shown and "weight_array" in shown and "(top)" in shown
    assert cli.run([*command, "--update-baseline"]) == 0
    assert cli.run(command) == 0
    assert "tiny, xcup: every total as in the baseline" in capsys.readouterr().out
    synthesised["lut"] = 1015
    assert cli.run(command) == 0
    assert "logic LUTs 1,000 -> 1,015 (+1.5%)" in capsys.readouterr().out
    synthesised["lut"] = 1100
    assert cli.run(command) == cli.EXIT_DIFFERENT
    shown = " ".join(capsys.readouterr().out.split())
    assert "logic LUTs grew by more than 2%; if that is meant: spikeloom synth --config tiny --family xcup" in shown
    assert json.loads((tmp_path / "synth.json").read_text())["tiny"]["xcup"]["resources"]["lut"] == 1100


def test_synth_takes_configurations_and_families(synthesised, tmp_path):
    assert cli.run(["synth"]) == 0
    written = json.loads((tmp_path / "synth.json").read_text())
    assert {name: list(entry) for name, entry in written.items()} == {
        "tiny": ["xcup", "ecp5"], "base": ["xcup", "ecp5"]
    }  # fmt: skip
    own = tmp_path / "tiny.json"
    own.write_text(json.dumps({**TINY.to_dict(), "spike_words": 64}))
    assert cli.run(["synth", "--config", "tiny", "--update-baseline"]) == 0
    synthesised["lut"] = 5000
    assert cli.run(["synth", "--config", str(own)]) == 0, "a configuration of the user's has no baseline"


def test_committed_baselines_are_of_named_configurations():
    for config, families in json.loads(synth.BASELINE.read_text()).items():
        assert config in CONFIGS
        for family, entry in families.items():
            assert family in FAMILIES and set(entry["resources"]) == set(RESOURCES)


def test_fmax_writes_frequency_and_paths(capsys, monkeypatch, tmp_path):
    path = {
        "from": "neurons.descriptor", "to": "neurons.batch (CE)", "delay_ns": 15.9, "logic_ns": 6.0, "routing_ns": 9.9,
        "luts": 12, "carry_chains": 3, "arithmetic": ["neurons:10062"],
    }  # fmt: skip
    entry = {"fmax_mhz": 62.8, "median_mhz": 61.0, "seeds": {"1": 59.2, "2": 62.8}, "paths": [path]}
    monkeypatch.setattr(fmax, "measure_fmax", lambda config, seeds, *_: {**entry, "asked": [config.name, seeds]})
    monkeypatch.setattr(fmax, "OUT", tmp_path / "fmax.json")
    assert cli.run(["fmax", "--seeds", "2"]) == 0
    assert json.loads((tmp_path / "fmax.json").read_text())["mini"] == {**entry, "asked": ["mini", 2]}
    shown = capsys.readouterr().out
    assert "mini on ECP5: 62.8 MHz (by seed 1: 59.2, 2: 62.8)" in shown and "neurons.descriptor" in shown


@pytest.mark.parametrize(("code", "outcome"), [(0, 0), (1, 1), (2, None), (5, None)])
def test_test_command_passes_on_what_pytest_says(code, outcome, capsys, monkeypatch):
    commands = []

    def fake(command, _):
        commands.append(command)
        return code

    monkeypatch.setattr(project, "run_child", fake)
    if outcome is None:
        assert "pytest" in refused(capsys, "test", "-j", 1)
    else:
        assert cli.run(["test", "-j", "1", "-k", "attention"]) == outcome
        assert commands[0][-4:] == ["-m", "not long", "-k", "attention"]


def test_clean_keeps_training_runs_and_data(capsys, monkeypatch, tmp_path):
    for place in ("build/sim/x", "build/train/run/x", "data/cache/x", "hw/__pycache__/x", "hw/x.py"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("x")
    monkeypatch.setattr(project, "ROOT", tmp_path)
    monkeypatch.setattr(project, "BUILD", tmp_path / "build")
    assert cli.run(["clean"]) == 0
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["build/train/run/x", "data/cache/x", "hw/x.py"]


def test_commands_are_what_the_modules_hold():
    for name in cli.COMMANDS:
        command = cli.cli.get_command(click.Context(cli.cli), name)
        assert command is not None and command.name == name


def test_random_artifact_runs_on_random_images(capsys, tmp_path):
    path = tmp_path / "random.spikeloom"
    shape = ["--dim", "32", "--depth", "1", "--heads", "2", "--size", "8", "--channels", "1", "--timesteps", "2"]
    assert cli.run(["random", str(path), *shape]) == 0
    artifact = load(path)
    assert (artifact.network.embed_dim, artifact.network.timesteps, artifact.dataset) == (32, 2, "random")
    images = images_for(artifact, ImageChoice(count=3))
    assert images.images.shape == (3, 1, 8, 8)
    assert cli.run(["random", str(path), *shape, "--residual", "clamp"]) == 0
    assert load(path).network.residual_mode == "clamp"
    events = ["--event-bits", "3", "--channels", "2", "--scale", "0.25"]
    assert cli.run(["random", str(path), *shape, *events]) == 0
    network = load(path).network
    assert (network.event_bits, network.attention_scale, network.input_shape) == (3, 0.25, (2, 2, 8, 8))
    assert images_for(load(path), ImageChoice(count=3)).images.shape == (3, 2, 2, 8, 8)
    frames = tmp_path / "frames.npz"
    np.savez(frames, images=np.zeros((1, 3, 2, 8, 8), np.uint8), labels=np.zeros(1, int))
    with pytest.raises(UserError) as wrong:
        images_for(load(path), ImageChoice(file=frames))
    assert str(wrong.value) == (
        "the images are [3, 2, 8, 8], the network takes [2, 2, 8, 8] (time steps, channels, height, width): "
        "use images of that size, or another model"
    )
    np.savez(frames, images=np.full((1, 2, 2, 8, 8), 8, np.uint8), labels=np.zeros(1, int))
    with pytest.raises(UserError) as wrong:
        images_for(load(path), ImageChoice(file=frames))
    assert str(wrong.value) == (
        "frames.npz: the event frames hold a count of 8, the network takes 0 to 7 (3 event bits): clip them, or give "
        "it more event bits"
    )
    assert "'or' is not one of 'add', 'clamp', 'iand'" in refused(
        capsys, "random", tmp_path / "other.spikeloom", "--residual", "or"
    )
    assert "embed_dim must be divisible by 8 (conv0 has D/8 channels), not 33; see spikeloom random --help" in refused(
        capsys, "random", tmp_path / "other.spikeloom", "--dim", 33
    )
    assert "depth must be at most 126 in residual_mode add, whose integers reach 255 then, not 200" in refused(
        capsys, "random", tmp_path / "other.spikeloom", "--depth", 200
    )
    assert not (tmp_path / "other.spikeloom").exists()
    # A side that is no multiple of the areas of which random images are made.
    assert cli.run(["random", str(path), *shape, "--pools", "1", "--size", "6"]) == 0
    assert images_for(load(path), ImageChoice(count=3)).images.shape == (3, 1, 6, 6)


def test_random_artifact_of_a_network_of_the_paper(capsys, tmp_path):
    path = tmp_path / "random.spikeloom"
    smaller = ["--dim", "32", "--depth", "1", "--heads", "2", "--size", "32", "--pool-order", "before"]
    assert cli.run(["random", str(path), "--network", "spikformer-8-384", *smaller]) == 0
    network = load(path).network
    assert (network.classes, network.pools, network.linear_bias) == (1000, 4, "not-qkv")
    assert (network.embed_dim, network.depth, network.image_size, network.pool_order) == (32, 1, 32, "before")
    assert "unknown network 'vit'; choose one of spikformer-4-256, spikformer-2-384" in refused(
        capsys, "random", tmp_path / "other.spikeloom", "--network", "vit"
    )
