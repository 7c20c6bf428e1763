"""`import spikeloom`: its example runs as it stands, and its names are those it lists."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

import spikeloom
from golden.random_artifact import random_artifact, random_images
from spikeloom.measure.finn_reports import rtlsim_performance
from sw.checkout import ROOT

NETWORK = spikeloom.NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=32, depth=1, heads=2)


def test_the_example_runs_from_a_checkout(monkeypatch, capsys):
    assert spikeloom.__doc__ is not None
    _, _, rest = spikeloom.__doc__.partition("::\n\n")
    example = textwrap.dedent("\n".join(line for line in rest.splitlines() if line.startswith("    ") or not line))
    monkeypatch.chdir(ROOT)
    exec(compile(example, "example", "exec"), {})
    shown = capsys.readouterr().out
    assert "LayerCounters(cycles=" in shown and shown.endswith("base.v base.json spikeloom.h\n")


def test_every_listed_name_is_there_and_no_other():
    assert set(spikeloom.__all__) == set(spikeloom._PLACES) <= set(dir(spikeloom))
    for name in spikeloom.__all__:
        assert getattr(spikeloom, name) is not None
    with pytest.raises(AttributeError, match="module 'spikeloom' has no attribute 'simulation'"):
        _ = spikeloom.simulation


def test_the_import_takes_nothing_with_it():
    program = "import sys, spikeloom; print({'torch', 'amaranth', 'numpy', 'cocotb'} & {*sys.modules})"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_images_are_compared_in_every_spike_whatever_holds_them(tmp_path: Path):
    artifact, images = random_artifact(NETWORK, 4, seed=3), random_images(NETWORK, 2, seed=4)
    golden = spikeloom.GoldenModel(artifact).run(images)
    rtl = spikeloom.simulate(artifact, images.numpy(), spikeloom.BASE, folder=tmp_path / "rtl")
    assert rtl.logits.tolist() == golden.logits.tolist()
    assert rtl.predictions.tolist() == golden.predictions.tolist()
    predicted = spikeloom.predict_cycles(spikeloom.compile(artifact, spikeloom.BASE), memory_latency=20)
    assert [job.cycles for job in rtl.jobs] == [predicted.total] * 2
    assert [{name: layer.cycles for name, layer in one.items()} for one in rtl.counters] == [predicted.layers] * 2
    path = tmp_path / "random.spikeloom"
    spikeloom.save(artifact, path)
    report = spikeloom.compare(path, images, spikeloom.BASE, folder=tmp_path / "compare")
    assert report.mismatch is None and report.figures["artifact"] == str(path)
    assert report.figures["images"] == {"rtl": 2, "golden": 2, "brevitas": 2}
    assert report.figures["accuracy"]["rtl"] is None, "tensors have no labels"
    program = spikeloom.compile(artifact, spikeloom.BASE)
    finn = rtlsim_performance(report.figures, program, clock_mhz=100)
    assert (finn["N"], finn["cycles"]) == (2, sum(job.cycles for job in rtl.jobs))
    read = sum(image.beats_read for image in rtl.images) * program.config.memory_bits // 8
    assert finn["DRAM_in_bandwidth[MB/s]"] == pytest.approx(read / finn["cycles"] * 100, rel=1e-12)


def test_images_wrong(tmp_path: Path):
    artifact = random_artifact(NETWORK, 4, seed=3)
    for run in (spikeloom.simulate, spikeloom.compare):
        with pytest.raises(ValueError, match=r"^images must have shape \[B, 1, 8, 8\], not \[1, 3, 8, 8\]$"):
            run(artifact, torch.zeros(1, 3, 8, 8, dtype=torch.uint8), spikeloom.BASE, folder=tmp_path)
        with pytest.raises(ValueError, match=r"^images must be uint8 pixels, not torch\.float32$"):
            run(artifact, torch.zeros(1, 1, 8, 8), spikeloom.BASE, folder=tmp_path)
