"""What the commands print about the committed models has room in a terminal of 80 columns: a layer is a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikeloom import cli
from spikeloom.commands.common import console
from sw.artifact.file import load

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
