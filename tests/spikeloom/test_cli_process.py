"""The command line as a process: exit codes, standard streams, signals, places to write to, names in its output."""

from __future__ import annotations

import errno
import functools
import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

from golden.random_artifact import random_artifact, random_images
from hw.named_configs import TINY
from sim.comparison.compare import CompareReport
from spikeloom import cli
from spikeloom.commands import common, project
from spikeloom.commands.common import console, progress_console
from spikeloom.commands.measuring import compare
from sw.artifact.file import save
from sw.claims import CLAIM, claimed
from sw.files import write_picture
from sw.interrupts import Terminated, interrupts_kept, termination_unwinds
from tests.spikeloom.command_line import NETWORK, figures, refused

ROOT = Path(__file__).resolve().parents[2]
LIGHT = ["-m", "spikeloom.cli", "docs", "--check"]
"""A command that prints a line and needs little."""


def process(arguments, *, shell="", **options):
    """Run Python in the checkout; `shell` is what follows the command in a shell, such as a redirection."""
    command = ["bash", "-c", f'"$@" {shell}', "-", sys.executable, *arguments]
    return subprocess.run(command, **{"cwd": ROOT, "text": True, "check": False, "capture_output": True, **options})


def test_a_reader_that_leaves_ends_the_command_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        for arguments in (LIGHT, ["-m", "spikeloom.cli", "--help"]):
            result = process(arguments, capture_output=False, stdout=gone, stderr=subprocess.PIPE)
            assert (result.returncode, result.stderr) == (cli.EXIT_UNREAD, "")


def test_a_closed_output_is_no_difference():
    result = process(LIGHT, shell=">&-")
    assert (result.returncode, result.stderr) == (0, "")


def test_letters_that_the_terminal_lacks_are_replaced(tmp_path):
    out = tmp_path / "größe" / "a.spikeloom"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    small = ["--size", "8", "--channels", "1", "--classes", "2", "--dim", "8", "--depth", "1", "--heads", "1"]
    result = process(["-m", "spikeloom.cli", "random", out, *small], env=environment)
    assert (result.returncode, result.stderr) == (0, "")
    assert "gr??e" in result.stdout and [path.name for path in out.parent.iterdir()] == ["a.spikeloom"]


def test_a_bug_has_an_exit_code_of_its_own_and_its_traceback():
    program = "import spikeloom.cli, spikeloom.commands.docs as docs; docs.shown = None; spikeloom.cli.main()"
    result = process(["-c", program, "docs", "--check"])
    assert result.returncode == cli.EXIT_BUG
    assert "Traceback" in result.stderr and "TypeError" in result.stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (EOFError("No data left in file"), "a file ends too early"),
        (MemoryError(), "out of memory; free some memory, or ask for fewer --jobs"),
        (Terminated("SIGTERM"), "ended by SIGTERM; nothing half-written is left"),
        (OSError(errno.EMFILE, "Too many open files", "x"), "x: too many open files; raise the limit"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x"), "x: file name too long; choose a place"),
    ],
)
def test_what_the_user_can_mend_is_one_line(error, message, capsys, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("sw.data.samples.make_samples", fail)
    line = refused(capsys, "samples")
    assert message in line and "interrupted" not in line


def test_a_damaged_archive_of_a_data_set_is_named(capsys, tmp_path):
    for content in (
        b"no gzip",
        gzip.compress(bytes(1000))[:-9],
        gzip.compress(bytes(1000))[:-8] + bytes(8),
        bytes.fromhex("1f8b0800000000000003") + b"damaged",
    ):
        for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
            (tmp_path / f"{name}-ubyte.gz").write_bytes(content)
        line = refused(capsys, "data", "--dataset", "mnist", "--data-dir", tmp_path)
        assert "-ubyte.gz: no whole .gz file" in line and "delete it" in line


def test_a_full_disk_is_named_where_build_is_a_disk_of_its_own(capsys, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise RuntimeError("ld returned 1 exit status")

    full = ROOT / "build"
    full.mkdir(exist_ok=True)
    monkeypatch.setattr("sw.data.samples.make_samples", fail)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=0 if place == full else 1 << 40))
    assert f"{full}: no space left on device (RuntimeError); free some space" in refused(capsys, "samples")


def test_a_full_disk_is_named_where_output_was_to_go(capsys, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("golden.random_artifact.random_artifact", fail)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda place: SimpleNamespace(free=0 if Path(place) == tmp_path else 1 << 40)
    )
    line = refused(capsys, "random", tmp_path / "a" / "b" / "x.spikeloom")
    assert f"{tmp_path}: no space left on device; free some space" in line


OUTPUTS = {
    "compare": ["--out"], "report": ["--out"], "energy": ["--out"], "statistics": ["--out"],
    "codesign": ["x.spikeloom", "--out"],
    "training-speed": ["--out"], "import": ["x.pt", "--out"], "random": [], "export": ["x.toml", "--out"],
    "train": ["x.toml", "--out"], "study": ["x.toml", "--out"], "verilog": ["--out"],
    "ip": ["--out"], "finn-reports": ["--out"],
}  # fmt: skip
FOLDERS = ("train", "study", "verilog", "ip", "finn-reports")


@pytest.mark.parametrize("command", OUTPUTS)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    below = refused(capsys, command, *OUTPUTS[command], tmp_path / "file" / "a" / "b.spikeloom")
    assert f"cannot be written: {tmp_path / 'file'} is a file; choose a path below a folder" in below
    other, kind = ("file", "folder") if command in FOLDERS else ("folder", "file")
    assert f"it is a {other}; name a {kind}" in refused(capsys, command, *OUTPUTS[command], tmp_path / other)
    assert "name has more than" in refused(capsys, command, *OUTPUTS[command], tmp_path / ("x" * 250))
    if command not in FOLDERS:
        assert "it is a device or pipe" in refused(capsys, command, *OUTPUTS[command], "/dev/null")
    assert (tmp_path / "file").read_text() == "mine" and len(list(tmp_path.iterdir())) == 2


def test_no_option_that_names_output_is_unchecked():
    assert set(OUTPUTS) == {
        name
        for name in cli.COMMANDS
        for option in (cli.cli.get_command(None, name) or pytest.fail(name)).params
        if option.name == "out"
    }


@pytest.mark.parametrize("name", ["../../outside", "", "a/b", "-x", ".."])
def test_a_recipe_whose_name_leads_elsewhere_is_refused(name, capsys, tmp_path):
    text = (ROOT / "recipes" / "fashion-2-64.toml").read_text().replace('"fashion-2-64"', f'"{name}"', 1)
    (tmp_path / "recipe.toml").write_text(text)
    assert (
        f"name must be 1 to 64 letters, digits, '.', '_' and '-', not one of the last three first, not {name!r}"
        in refused(capsys, "train", tmp_path / "recipe.toml")
    )


def test_a_tool_that_is_not_installed_is_no_failing_test(capsys, monkeypatch):
    monkeypatch.setattr(project.importlib.util, "find_spec", lambda _: None)
    assert "pytest is not installed" in refused(capsys, "test")
    assert "ruff is not installed" in refused(capsys, "lint")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_bare_except_swallows_no_signal(number):
    after = []
    with termination_unwinds(), pytest.raises((KeyboardInterrupt, Terminated)):  # noqa: SIM117
        with interrupts_kept():
            try:
                signal.raise_signal(number)
            except:  # noqa: E722
                after.append("swallowed")
    assert after == ["swallowed"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_while_brevitas_is_imported_is_kept(tmp_path):
    package = tmp_path / "brevitas"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\nexcept:\n    pass\n"
    )
    (package / "nn.py").write_text("raise SystemExit('went on')\n")
    for place in ("core/quant", "core/restrict_val", "core/scaling", "inject/enum", "quant/scaled_int", "nn"):
        (package / place).parent.mkdir(exist_ok=True)
        (package / f"{place}.py").write_text("def __getattr__(name):\n    return type(name, (), {})\n")
    program = (
        "import sys\ntry:\n    import sw.model.quantizers\nexcept KeyboardInterrupt:\n    sys.exit(42)\n"
        "except Exception as error:\n    print(repr(error))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    result = process(["-c", program], env=environment)
    assert result.returncode == 42, result.stdout + result.stderr


FAKE_MAKE = """#!/bin/sh
echo $$ > {marker}.new
mv {marker}.new {marker}
exec sleep 600
"""
BUILDING = """
import sys
import time
from pathlib import Path
import spikeloom.commands.reference
from sim.verilator.verilate import verilate
from spikeloom import cli
folder = Path(sys.argv.pop())
source = "module top(input clk); endmodule"
spikeloom.commands.reference.reference = lambda: verilate("top", {"top.v": source}, "top", folder=folder)
cli.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_build_that_is_ended_leaves_neither_files_nor_processes(number, tmp_path):
    programs, marker, folder = tmp_path / "bin", tmp_path / "marker", tmp_path / "sim"
    programs.mkdir()
    (programs / "make").write_text(FAKE_MAKE.format(marker=marker))
    (programs / "make").chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-c", BUILDING, "docs", str(folder)]
    ends = functools.partial(signal.signal, number, signal.SIG_DFL)  # nohup and shells may have it ignored
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stderr=subprocess.PIPE, preexec_fn=ends
    ) as child:
        while not marker.exists() and child.poll() is None:
            time.sleep(0.05)
        assert marker.exists(), child.communicate()
        make = int(marker.read_text())
        assert [path.name[:7] for path in folder.iterdir()] == [".build-"]
        child.send_signal(number)
        _, error = child.communicate()
    assert child.returncode == cli.EXIT_MENDABLE, error
    assert "nothing half-written is left" in error
    assert list(folder.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(make, 0)


@pytest.fixture
def comparison(monkeypatch, tmp_path):
    """`spikeloom compare` without the work, in a folder of its own; the folders it works in."""
    save(random_artifact(NETWORK, 4, seed=7), tmp_path / "random.spikeloom")
    np.savez(
        tmp_path / "images.npz", images=random_images(NETWORK, 3, seed=8).numpy(), labels=np.array([0, 1, 2])
    )  # fmt: skip
    folders = []

    def fake(options, progress):
        folders.append(options.folder)
        assert (options.folder / CLAIM).exists()
        return CompareReport(figures(0), None)

    monkeypatch.setattr("sim.comparison.compare.Comparison.run", fake)
    monkeypatch.setattr(compare, "BUILD", tmp_path / "build")
    arguments = ["compare", "--model", str(tmp_path / "random.spikeloom"), "--config", TINY.name, "--images", "2",
                 "--data", str(tmp_path / "images.npz")]  # fmt: skip
    return SimpleNamespace(folders=folders, build=tmp_path / "build", run=lambda: cli.run(arguments))


def test_a_comparison_beside_another_has_a_folder_and_figures_of_its_own(comparison, capsys):
    build = comparison.build
    with claimed(build / "compare"):
        assert comparison.run() == 0
    shown = capsys.readouterr()
    assert f"is in use by process {os.getpid()} since " in " ".join(shown.err.split())
    assert comparison.folders == [build / "compare-2"]
    assert (build / "compare-2.json").exists() and not (build / "compare.json").exists()
    assert comparison.run() == 0
    assert comparison.folders[1:] == [build / "compare"] and (build / "compare.json").exists()
    assert not list(build.rglob(f"{CLAIM}*"))


def test_clean_refuses_what_is_in_use_and_deletes_what_is_left(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(project, "ROOT", tmp_path)
    monkeypatch.setattr(project, "BUILD", tmp_path / "build")
    places = ("build/sim/.build-abc/x", "build/.compare.json.123", "build/compare-2/x", "build/.deleted-x/x")
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("x")
    with claimed(tmp_path / "build" / "compare-2"):
        assert f"compare-2 is in use by process {os.getpid()}" in refused(capsys, "clean")
        assert all((tmp_path / place).exists() for place in places)
    with claimed(tmp_path / "build" / "train" / "run"):
        assert cli.run(["clean"]) == 0
    assert [path.name for path in (tmp_path / "build").iterdir()] == ["train"]


MARKUP = "exp[lr=0.1]:cat:[/x]$a_$b[bold]"


def test_names_are_printed_as_they_are(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path(MARKUP.replace("/", "-")) / "m.spikeloom"
    save(random_artifact(NETWORK, 4, seed=7), path)
    assert cli.run(["info", str(path)]) == 0
    assert f"{path}: Spikformer" in capsys.readouterr().out
    console.print(MARKUP)
    table = project.Text.assemble((MARKUP, "bold"))
    console.print(table)
    with progress_console.status(MARKUP):
        pass
    assert capsys.readouterr().out.splitlines() == [MARKUP, MARKUP]


def test_only_one_file_makes_consoles_and_columns_of_text():
    markup = re.compile(r"\b(Console|TextColumn)\(|from_markup|markup=True|\[/\]|\[(bold|yellow|red|green)\b")
    for folder in ("golden", "hw", "sim", "spikeloom", "sw"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "plain_console.py":
                assert not markup.search(path.read_text(encoding="utf-8")), path


def test_pictures_have_names_as_they_are(tmp_path):
    figure = Figure()
    figure.add_subplot().set(title=r"runs/a$\x$/m.spikeloom")
    write_picture(tmp_path / "picture.png", figure)
    assert (tmp_path / "picture.png").stat().st_size


def test_consoles_are_plain():
    assert type(common.console) is type(common.progress_console)
    assert common.console.render_str(MARKUP).plain == MARKUP


def test_an_installed_copy_without_models_refuses_in_one_line(tmp_path):
    for package in ("golden", "hw", "sim", "spikeloom", "sw"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    result = process(["-m", "spikeloom.cli", "info"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    refusal = f"{tmp_path} is no checkout, whose models, samples and recipes commands use: clone it, make venv"
    assert (result.returncode, result.stderr) == (2, f"spikeloom: {refusal}\n")
