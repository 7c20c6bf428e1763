"""The figures of merit: targets, the form of the file, and that nothing is made up."""

from __future__ import annotations

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from spikeloom import cli
from spikeloom.commands.measuring import bench as command
from spikeloom.measure import figures
from spikeloom.measure.figures import MEASUREMENTS, TARGETS, Lab, NetworkRun, figure, program_bytes_delivered
from sw.errors import UserError
from sw.named_networks import SPIKFORMER_4_256

NAMES = [
    "utilisation_4_256", "cycles_4_256_iand", "lut_per_sop_per_cycle", "frames_per_s_per_klut", "ecp5_fmax_mhz",
    "sim_cycles_per_s", "sim_build_s", "membrane_bits", "weight_fetch_ratio",
]  # fmt: skip


class FakeLab(Lab):
    """A lab whose apparatus has been replaced by fixed results."""

    def __init__(self, *_, **fields):
        super().__init__(None, lambda _: nullcontext())
        job = SimpleNamespace(cycles=500_000)
        image = SimpleNamespace(job=job, **{"beats_read": 4992 // 16, **fields})
        rtl = SimpleNamespace(images=(image,), cycles=510_000, seconds=3.0)
        program = SimpleNamespace(memory=SimpleNamespace(nbytes=4000), config=figures.LARGE, image_words=125)
        artifact = SimpleNamespace(network=SPIKFORMER_4_256)
        self._runs = dict.fromkeys(("add", "iand"), NetworkRun(artifact, program, rtl))
        self.simulator = (None, 70.0)
        self.synthesis = {"resources": {"lut": 15_000, "lutram": 5_000}, "lut_per_sop_per_cycle": 20_000 / 4096}

    def verilog(self):
        return ""


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """The command with measurements that take no time."""
    monkeypatch.setattr(figures, "Lab", FakeLab)
    monkeypatch.setattr(command, "BUILD", tmp_path)
    monkeypatch.setattr(command, "OUT", tmp_path / "bench.json")
    monkeypatch.setattr(figures, "kept_membrane_bits", lambda *_: 0)
    monkeypatch.setattr(FakeLab, "folder", tmp_path)
    monkeypatch.setattr(figures, "measure_fmax", lambda *_: {"fmax_mhz": 64.0})
    return tmp_path / "bench.json"


def test_names_are_those_of_the_targets():
    assert list(MEASUREMENTS) == list(TARGETS) == NAMES


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [("utilisation_4_256", 0.9, 0.89), ("cycles_4_256_iand", 455_000, 455_001), ("membrane_bits", 0, 1)],
)
def test_a_target_is_met_at_its_limit(name, good, bad):
    assert TARGETS[name].met(good) and not TARGETS[name].met(bad)


def test_figures_follow_from_what_was_run():
    lab = FakeLab()
    # 631,104 cycles is the ideal of Spikformer-4-256 without attention at 4,096 operations per cycle.
    assert MEASUREMENTS["utilisation_4_256"](lab) == pytest.approx(631_104 / 500_000, rel=1e-4)
    assert MEASUREMENTS["cycles_4_256_iand"](lab) == 500_000
    assert MEASUREMENTS["frames_per_s_per_klut"](lab) == pytest.approx(300e6 / 500_000 / 20)
    assert MEASUREMENTS["sim_cycles_per_s"](lab) == pytest.approx(170_000)
    assert MEASUREMENTS["sim_build_s"](lab) == 70.0


def test_fetched_bytes_are_those_the_memory_delivered():
    lab = FakeLab(beats_read=10_000 // 16)  # beats of 16 bytes; the image takes 1000 bytes of them
    assert program_bytes_delivered(lab.run("add")) == 9000
    assert MEASUREMENTS["weight_fetch_ratio"](lab) == 9000 / 4000


@pytest.mark.parametrize("name", NAMES)
def test_the_form_of_a_figure(name):
    entry = figure(name, 1.5)
    assert len({"at_least", "at_most"} & set(entry)) == 1
    assert {*entry} - {"at_least", "at_most"} == {"value", "unit", "aim", "command"}
    assert entry["value"] == 1.5 and entry["command"] == f"spikeloom bench --only {name}"


def test_bench_writes_and_marks_every_figure(quick, capsys):
    assert cli.run(["bench"]) == 0
    written = json.loads(quick.read_text())
    assert list(written) == NAMES
    assert written["sim_build_s"] == {
        "value": 70.0, "unit": "s", "at_most": 120, "aim": 60, "command": "spikeloom bench --only sim_build_s"
    }  # fmt: skip
    assert written["membrane_bits"]["value"] == 0
    shown = capsys.readouterr().out
    assert shown.count("MISSED") == 2 and shown.count(" met ") == 7


def test_bench_says_what_could_not_be_measured(quick, capsys, monkeypatch):
    def fail(_):
        raise UserError("no simulator")

    monkeypatch.setitem(MEASUREMENTS, "sim_build_s", fail)
    assert cli.run(["bench", "--only", "sim_build_s"]) == 0
    assert json.loads(quick.read_text())["sim_build_s"]["value"] is None
    assert "sim_build_s could not be measured: no simulator" in capsys.readouterr().out


def test_check_fails_on_a_missed_target_only(quick):
    assert cli.run(["bench", "--check", "--only", "ecp5_fmax_mhz"]) == cli.EXIT_DIFFERENT
    assert cli.run(["bench", "--only", "ecp5_fmax_mhz"]) == 0
    assert cli.run(["bench", "--check", "--only", "membrane_bits", "--only", "sim_build_s"]) == 0
    assert cli.run(["bench", "--check", "--only", "weight_fetch_ratio"]) == 0
    assert set(json.loads(quick.read_text())) == {
        "ecp5_fmax_mhz", "membrane_bits", "sim_build_s", "weight_fetch_ratio"
    }  # fmt: skip


def test_unknown_figure_is_refused(quick, capsys):
    assert cli.run(["bench", "--only", "watts"]) == cli.EXIT_MENDABLE
    assert "unknown figure 'watts'; choose from utilisation_4_256, " in capsys.readouterr().err
    assert not quick.exists()


@pytest.mark.parametrize("arguments", [["--model", "x.spikeloom"], ["--config", "tiny"]])
def test_figures_are_of_a_fixed_network_and_machine(arguments, quick, capsys):
    assert cli.run(["bench", *arguments]) == cli.EXIT_MENDABLE
    assert "--model and --config go with --speeds" in capsys.readouterr().err
