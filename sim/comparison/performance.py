"""Cycles of the hardware and of the cycle model beside operations, whole and layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from golden.accounting.operations import LayerOperations
from golden.cycles.cycle_model import predict_cycles
from hw.host.registers import Counter
from sim.rtl import MEMORY_LATENCY
from sw.compiler.program import Program
from sw.driver.results import JobResult

WAITS = tuple(counter.name.removeprefix("WAIT_").lower() for counter in Counter if counter.name.startswith("WAIT_"))
"""Causes for which the hardware counts the cycles in which the array waits."""


def performance(program: Program, jobs: Sequence[JobResult], operations: Sequence[LayerOperations]) -> dict[str, Any]:
    """Entries ``cycles`` and ``layers`` of ``compare.json``, all per image.

    Parameters
    ----------
    program : Program
    jobs : sequence of JobResult
        What the hardware made of images, with the counters of its layers.
    operations : sequence of LayerOperations
        Of the same images, or `golden.accounting.operations.dense_operations`.
    """
    predicted = predict_cycles(program, MEMORY_LATENCY)
    counted = {layer.name: layer for layer in operations}
    layers = [
        _layer(name, _mean_counters(jobs, number), predicted.layers[name], counted.get(name), program)
        for number, name in enumerate(program.names)
    ]
    ideal = sum(layer["ideal_cycles"] for layer in layers)
    return {"cycles": _cycles([job.cycles for job in jobs], predicted.total, ideal), "layers": layers}


def _mean_counters(jobs: Sequence[JobResult], number: int) -> dict[str, float]:
    """Mean of each counter of a layer; empty without jobs."""
    measured = [asdict(job.layers[number]) for job in jobs]
    return {key: float(np.mean([layer[key] for layer in measured])) for key in (measured[0] if measured else ())}


def _layer(
    name: str, means: dict[str, float], predicted: int, counts: LayerOperations | None, program: Program
) -> dict[str, Any]:
    """One layer; the load of the image has no operations."""
    # Attention has an engine of its own beside the array, whose operations per cycle are meant.
    in_array = counts is not None and not name.endswith(".attention")
    ideal = counts.plane_sops / program.config.sops_per_cycle if counts is not None and in_array else 0.0
    cycles = means.get("cycles")
    return {
        "name": name,
        "planes": counts.planes if counts else 0,
        "dense_sops": counts.dense_sops if counts else 0,
        "executed_sops": counts.executed_sops if counts else 0.0,
        "cycles": cycles,
        "model_cycles": predicted,
        "ideal_cycles": ideal,
        "utilisation": ideal / cycles if cycles else None,
        "input_rate": counts.input_rate if counts else None,
        "engine_cycles": means.get("busy"),
        "waits": {cause: means.get(f"wait_{cause}") for cause in WAITS},
    }


def _cycles(totals: Sequence[int], predicted: int, ideal: float) -> dict[str, Any]:
    """The whole image."""
    mean = float(np.mean(totals)) if totals else None
    return {
        "rtl_mean": mean,
        "rtl_min": min(totals, default=None),
        "rtl_max": max(totals, default=None),
        "model": predicted,
        "ideal": ideal,
        "utilisation": ideal / mean if mean else None,
    }
