"""What the tests of commands share."""

from __future__ import annotations

from sim.comparison.report import COMPARISONS
from spikeloom import cli
from sw.artifact.accuracy import as_figures, counts
from sw.network import NetworkConfig

NETWORK = NetworkConfig(image_size=16, image_channels=1, classes=5, embed_dim=32, depth=1, heads=2)
"""Of the fixture `model`."""


def refused(capsys, *arguments):
    """Run a command that must be refused; its one line."""
    code = cli.run([str(argument) for argument in arguments])
    error = capsys.readouterr().err
    assert code == cli.EXIT_MENDABLE, error
    lines = [line for line in error.splitlines() if line.startswith("spikeloom: ")]
    assert len(lines) == 1 and "Traceback" not in error, error
    assert error.rstrip().endswith(lines[0])
    return lines[0]


def refusal(capsys, *arguments: object) -> str:
    """The one line where nothing else is said, without the program's name."""
    assert cli.run([*map(str, arguments)]) == cli.EXIT_MENDABLE
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("spikeloom: ")


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
