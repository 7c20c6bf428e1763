"""What the commands print about the committed models has room in a terminal of 80 columns: a layer is a line, and so is
a part of the hardware.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from spikeloom import cli
from spikeloom.commands.common import console
from spikeloom.commands.hardware.synth import resource_table
from sw.artifact.file import load
from sw.plain_console import PlainConsole

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.mark.parametrize("command", ["info", "energy", "statistics"])
@pytest.mark.parametrize("model", ["fashion-2-64", "cifar10-4-256"])
def test_every_layer_is_a_line_of_80_columns(capsys, monkeypatch, tmp_path, command, model):
    path = MODELS / f"{model}.spikeloom"
    arguments = {
        "info": [path],
        "energy": ["--model", path, "--images", 1, "--out", tmp_path / "energy.json"],
        "statistics": ["--model", path, "--images", 1, "--out", tmp_path / "statistics.json"],
    }
    names = {layer.name for layer in load(path).network.layers()}

    def rows(width):
        monkeypatch.setattr(console, "_width", width)
        assert cli.run([command, *map(str, arguments[command])]) == 0
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        return [line for line in lines if names & {*line[:2]}]

    wide, narrow = rows(10_000), rows(80)
    assert narrow == wide and {name for line in wide for name in line[:2]} >= names - {"head"}


def test_every_part_of_the_hardware_is_a_line_of_80_columns():
    large = {"lut": 15097, "lutram": 5167, "ff": 28216, "bram": 36.5, "uram": 36, "dsp": 0}
    entry = {"resources": large, "parts": {"core.program_reader": large}, "sops_per_cycle": 4096, "bram_kbit": 36}
    stream = io.StringIO()
    PlainConsole(file=stream, width=80).print(resource_table("large", "xcup", entry))
    row = ["15,097", "5,167", "28,216", "36.5", "36", "4.95"]
    lines = [line.split() for line in stream.getvalue().splitlines()]
    assert [line for line in lines if line[-1:] == ["4.95"]] == [["core.program_reader", *row], ["total", *row]]
