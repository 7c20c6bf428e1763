"""`spikeloom training-speed`: images per second of training on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from spikeloom.commands.common import console, out_option, progress_console, shown, write_json
from sw.tables import compact_table


@click.command("training-speed")
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True, help="Images of a step.")
@click.option("--steps", type=click.IntRange(1), default=3, show_default=True, help="Steps of each model in a round.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Rounds; their median counts.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="What trains.  [default: a GPU if there is one]")
@out_option("training-speed.json", "Where the figures go.")
def training_speed(batch: int, steps: int, rounds: int, device: str | None, out: Path) -> None:
    """Time whole training steps of Spikformer-4-256 in bf16, float and with 4-bit weights.

    If SpikingJelly 2.0 is installed its Spikformer of the same size is timed in the same run: pip install --no-deps
    spikingjelly==2.0.0 loguru==0.7.3 h5py==3.16.0. The models take turns, and the median of the rounds counts. The
    share of peak is dense operations over the rate of a large bf16 matrix product. A GPU wants a larger batch, such as
    256, and more steps.
    """
    from sw.training.memory import keep_memory

    keep_memory()
    import torch

    from spikeloom.measure.training_speed import training_speeds
    from sw.training.processes import Processes

    processes = Processes.start(device)
    with progress_console.status(f"timing training on {processes.name()}"):
        speeds = training_speeds(processes, batch=batch, steps=steps, rounds=rounds)
    title = f"{processes.name()}, batch {batch}, torch {torch.__version__}"
    table = compact_table("model", "images/s", "share of peak", title=title)
    for speed in speeds:
        table.add_row(speed.name, f"{speed.images_per_s:,.1f}", f"{speed.of_peak:.1%}")
    console.print(table)
    if not any("SpikingJelly" in speed.name for speed in speeds):
        console.print("SpikingJelly is not installed: nothing to compare with (see --help)")
    write_json(
        out,
        {
            "device": processes.name(),
            "torch": str(torch.__version__),
            "batch": batch,
            "steps": steps,
            "rounds": rounds,
            "speeds": [asdict(speed) for speed in speeds],
        },
    )
    console.print(shown(out))
