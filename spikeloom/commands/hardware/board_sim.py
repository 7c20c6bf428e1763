"""`spikeloom board-sim`: a board's system in simulation, the host's code behind its serial pins."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spikeloom.commands.common import ConfigType, console, hold, model_option, progress_console
from spikeloom.commands.hardware.bitstream import board_option, chosen_board
from spikeloom.commands.images import ImageChoice, measured_images, measuring_options
from sw.checkout import BUILD
from sw.claims import claimed, using
from sw.tables import compact_table

if TYPE_CHECKING:
    from hw.config import HardwareConfig

IMAGES = 16
FOLDER = BUILD / "board-sim"


@click.command("board-sim")
@board_option()
@click.option(
    "--config", type=ConfigType(), metavar="NAME|FILE.json", help="Hardware configuration.  [default: the board's]"
)
@model_option()
@measuring_options
def board_sim(board: str, config: HardwareConfig | None, model: Path, choice: ImageChoice) -> int:
    """Classify images on a simulated board, 16 if no number is given, and compare with the golden model.

    The system is the Verilog that `spikeloom bitstream` builds; what a host does to it goes through its two serial
    wires, bit by bit, at a quarter of the clock in baud. Minutes. Exit code 1 if a logit differs.
    """
    from golden.model import GoldenModel
    from sim.board.run import run_on_board
    from sw.artifact.file import load

    chosen, config = chosen_board(board, config)
    artifact = load(model)
    data = measured_images(artifact, dataclasses.replace(choice, count=choice.count or IMAGES))
    hold(using(BUILD / "sim"))
    hold(claimed(FOLDER, progress_console.print))
    with progress_console.status(f"{config.name} on {chosen.title}: {len(data)} images through its serial pins"):
        run = run_on_board(chosen, model, data.images.numpy(), config, FOLDER, jobs=2)
    golden = GoldenModel(artifact).run(data.images)
    table = compact_table("image", "label", "prediction", "golden", "cycles", title=f"{config.name} on {chosen.title}")
    for row in zip(
        data.indices.tolist(), data.labels.tolist(), run.found.predictions.tolist(), golden.predictions.tolist(),
        run.found.cycles.tolist(), strict=True,
    ):  # fmt: skip
        table.add_row(*(f"{number:,}" for number in row))
    console.print(table)
    cycles = float(run.found.cycles.mean())
    console.print(
        f"{cycles:,.0f} cycles per image (cycle model: {run.model_cycles:,}): "
        f"{chosen.clock_hz / cycles:.1f} frames/s at {chosen.clock_hz / 1e6:g} MHz, beside the link"
    )
    console.print(f"{run.link_cycles:,} cycles in all, the link's at a quarter of the clock in baud among them")
    if run.found.logits.tolist() != golden.logits.tolist():
        console.print("MISMATCH: logits differ from the golden model's")
        return 1
    console.print("equal: every logit is the golden model's")
    return 0
