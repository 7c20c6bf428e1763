"""`spikeloom report`: writes one file, and refuses figures that are missing, damaged or of something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spikeloom import cli
from spikeloom.measure.compare_file import PROVENANCE, VERSION, read_compare, sealed
from spikeloom.report.inputs import read_inputs


def run(*arguments) -> int:
    return cli.run([str(argument) for argument in arguments])


def refused(capsys, *arguments) -> str:
    code, error = run("report", *arguments), capsys.readouterr().err
    assert code == cli.EXIT_MENDABLE and error.startswith("spikeloom: ") and error.count("\n") == 1, error
    return error


def test_report_writes_one_file(equal, tmp_path, capsys):
    out = tmp_path / "new" / "report.html"
    assert run("report", "--compare", equal, "--out", out) == 0
    assert str(out) in capsys.readouterr().out
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    assert out.read_text(encoding="utf-8").rstrip().endswith("</html>")


def test_without_a_comparison_there_is_no_report(tmp_path, capsys):
    error = refused(capsys, "--compare", tmp_path / "compare.json", "--out", tmp_path / "report.html")
    assert "no such file; run make compare" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[:-30], "holds no figures of a comparison"),
        (lambda text: "[]", "holds no figures of a comparison"),
        (lambda text: '{"layers": {}}', "holds no figures of a comparison"),
        (lambda text: text.replace('"values_compared": ', '"values_compared": 1'), "was changed since it was written"),
        (lambda text: text.replace('"firing"', '"fire"'), "was changed since it was written"),
        (lambda text: text.replace(f'"version": {VERSION}', '"version": 999'), "is of version 999, this one"),
        (lambda text: text.replace(f'"version": {VERSION}, ', ""), "is of an older Spikeloom, this one"),
    ],
)  # fmt: skip
def test_figures_that_are_damaged_or_of_another_version_are_refused(equal, tmp_path, capsys, damage, words):
    file, out = tmp_path / "compare.json", tmp_path / "report.html"
    text = equal.read_text()
    file.write_text(damage(text))
    assert file.read_text() != text
    out.write_text("old")
    error = refused(capsys, "--compare", file, "--out", out)
    assert words in error and "run make compare" in error
    assert out.read_text() == "old"


def changed(equal: Path, tmp_path: Path, **origin: str) -> Path:
    figures = {key: value for key, value in read_compare(equal).items() if key not in ("version", "sha256")}
    file = tmp_path / "compare.json"
    file.write_text(json.dumps(sealed({**figures, "provenance": {**figures["provenance"], **origin}})))
    return file


def test_a_model_that_is_gone_or_another_one_is_refused(equal, tmp_path, capsys):
    gone = changed(equal, tmp_path, model=str(tmp_path / "gone.spikeloom"))
    assert "gone.spikeloom, cannot be read" in refused(capsys, "--compare", gone, "--out", tmp_path / "report.html")
    other = changed(equal, tmp_path, model_sha256="0" * 64)
    assert "has changed since it was compared" in refused(capsys, "--compare", other, "--out", tmp_path / "report.html")


def test_what_another_run_left_in_the_folder_is_not_shown(equal, tmp_path):
    assert read_inputs(equal).folder == equal.parent / "compare"
    assert (read_inputs(equal).folder / PROVENANCE).exists()
    later = read_inputs(changed(equal, tmp_path, date="2001-01-01T00:00:00+00:00"))
    assert not later.folder.exists()
