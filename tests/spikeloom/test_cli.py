"""The command line: help, exit codes, errors of one line, nothing half-written."""

from __future__ import annotations

import errno
import json
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

from golden.random_artifact import random_artifact
from hw.named_configs import CONFIGS, TINY
from spikeloom import cli
from spikeloom.commands import project
from spikeloom.commands.docs import generated
from spikeloom.commands.reference import reference
from sw.artifact.file import load, save
from sw.artifact.versions import VERSION
from sw.errors import UserError
from sw.network import NetworkConfig
from tests.spikeloom.command_line import NETWORK, refused

ROOT = Path(__file__).resolve().parents[2]


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


def test_reference_tables_are_up_to_date():
    for path, content in generated().items():
        assert path.read_bytes() == content, f"{path}: run spikeloom docs"
    for name in CONFIGS:
        assert f"`{name}`" in reference()


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
