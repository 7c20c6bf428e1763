"""`spikeloom run`: images through an accelerator on a board."""

from __future__ import annotations

import dataclasses
import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

from spikeloom.boards import BOARDS, SIMULATION, Way, check_way, open_board
from spikeloom.commands.common import MODEL, ConfigType, console, hold, progress_console, shown
from spikeloom.commands.images import ImageChoice, measured_images, measuring_options
from sw.plain_console import text_column
from sw.tables import compact_table

if TYPE_CHECKING:
    from hw.config import HardwareConfig
    from sw.data.sets import ImageSet
    from sw.driver.accelerator import Accelerator
    from sw.driver.outcomes import Classification, Throughput, ValidationTotals

SIMULATED_IMAGES = 16
"""Images on the simulation, if no number is given."""

THROUGHPUT_IMAGES = 100
"""Images at most that the throughput is measured over, on a board."""

SHOWN_PREDICTIONS = 10
"""Predictions in the table; all are in the JSON."""


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path), default=MODEL)
@click.option(
    "--board", type=click.Choice(BOARDS), default=SIMULATION, show_default=True, metavar="NAME",
    help=f"Where to run: {', '.join(BOARDS)}.",
)  # fmt: skip
@click.option("--port", metavar="PORT", help="Serial port of the board, such as /dev/ttyUSB0.")
@click.option(
    "--baud", type=click.IntRange(1), default=1_000_000, show_default=True, help="Speed of the port, as it was built."
)
@click.option("--bitstream", type=click.Path(path_type=Path), metavar="FILE.bit", help="Loaded by PYNQ.")
@click.option("--uio", metavar="NAME", help="UIO device of the loaded bitstream, such as uio0.")
@click.option("--buffer", default="udmabuf0", show_default=True, metavar="NAME", help="The u-dma-buf beside it.")
@click.option(
    "--config", type=ConfigType(), metavar="NAME|FILE.json",
    help="Configuration of the bitstream.  [default: the named one that it shows; base in a simulation]",
)  # fmt: skip
@click.option("--clock", type=click.FloatRange(0, min_open=True), metavar="MHZ", help="Clock of the accelerator.")
@measuring_options
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON, and nothing else.")
def run(
    artifact: Path,
    board: str,
    port: str | None,
    baud: int,
    bitstream: Path | None,
    uio: str | None,
    buffer: str,
    config: HardwareConfig | None,
    clock: float | None,
    choice: ImageChoice,
    as_json: bool,
) -> None:
    """Classify images on a board: predictions, accuracy, throughput, counters of every layer.

    ARTIFACT is models/fashion-2-64.spikeloom if none is named. Version and configuration of the bitstream are checked,
    the program is written and read back, and an image whose logits the golden model gives is run before the others.
    """
    from golden.expectation import expect
    from hw.named_configs import BASE
    from sw.artifact.file import load
    from sw.compiler.compiler import compile_artifact
    from sw.driver.accelerator import Accelerator
    from sw.driver.bus import run_blocking

    way = Way(port=port, baud=baud, bitstream=bitstream, uio=uio, buffer=buffer)
    check_way(board, way)
    network = load(artifact)
    data = measured_images(network, choice)
    if board == SIMULATION:
        config = config or BASE
        if choice.count is None and len(data) > SIMULATED_IMAGES:
            data = data.first(SIMULATED_IMAGES)
            progress_console.print(f"a simulation takes its time: the first {len(data)} images; --images for more")
    if config is not None:
        compile_artifact(network, config)  # refused before anything is opened
    bus = hold(closing(open_board(board, way, config)))
    hertz = None if clock is None else clock * 1e6
    accelerator = Accelerator(bus, network, config, expect=expect, frequency=1.0 if board == SIMULATION else hertz)
    run_blocking(accelerator.prepare())
    found, totals = _classify(accelerator, data)
    timed = data.first(1 if board == SIMULATION else THROUGHPUT_IMAGES)  # cycles are the same for every image
    speed = run_blocking(accelerator.throughput(timed.images))
    figures = {
        "artifact": shown(artifact),
        "board": board,
        "config": accelerator.program.config.name,
        "image_set": data.name,
        "images": len(data),
        **({"correct": totals.correct, "accuracy": totals.accuracy} if data.labelled else {}),
        "throughput": throughput_figures(speed, hertz, simulated=board == SIMULATION),
        **_performance(accelerator, found),
        "predictions": found.predictions.tolist(),
        "logits": found.logits.tolist(),
    }
    if as_json:
        click.echo(json.dumps(figures, indent=2))
        return
    from sim.comparison.report import layer_table

    console.print(
        f"{figures['artifact']} on {board} ({figures['config']}): self-test passed, {len(data):,} images of {data.name}"
    )
    console.print(prediction_table(found, data, network.class_names))
    console.print(layer_table(figures, "hardware"))
    console.print(throughput_table(figures["throughput"]))
    if data.labelled:
        console.print(f"accuracy: {totals.accuracy:.2%} ({totals.correct:,} of {totals.images:,})")


def _classify(accelerator: Accelerator, data: ImageSet) -> tuple[Classification, ValidationTotals]:
    """Classify with a bar that shows the running totals."""
    from sw.driver.bus import run_blocking
    from sw.driver.outcomes import ValidationTotals
    from sw.driver.results import JobResult

    totals, labels = ValidationTotals(), data.labels.tolist()
    columns = (text_column("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=progress_console) as bars:
        task = bars.add_task("images", total=len(data))

        def on_result(job: JobResult) -> None:
            nonlocal totals
            totals = totals.counted(job.prediction == labels[totals.images])
            text = f"{totals.correct:,} correct, {totals.accuracy:.2%}" if data.labelled else "images"
            bars.update(task, completed=totals.images, description=text)

        found = run_blocking(accelerator.classify(data.images, counters=True, on_result=on_result))
    return found, totals


def _performance(accelerator: Accelerator, found: Classification) -> dict[str, Any]:
    """Cycles of the image and of every layer, as `compare` has them."""
    from golden.accounting.operations import dense_operations
    from sim.comparison.performance import performance

    return performance(accelerator.program, found.jobs, dense_operations(accelerator.network))


def throughput_figures(speed: Throughput, hertz: float | None, *, simulated: bool) -> dict[str, Any]:
    """How fast it was; what is not known is None.

    Parameters
    ----------
    speed : Throughput
    hertz : float, optional
        Clock of the accelerator.
    simulated : bool
        Whether the bus's clock counts cycles.
    """
    return {
        **dataclasses.asdict(speed),
        "images_per_s": None if simulated else speed.rate,
        "clock_hz": hertz,
        "device_images_per_s": None if hertz is None else speed.device_rate(hertz),
        "device_bytes_per_s": None if hertz is None else speed.bandwidth(hertz),
    }


def throughput_table(figures: dict[str, Any]) -> Table:
    """The throughput; what needs a clock is left out where none is known."""
    table = compact_table("throughput", f"images: {figures['images']}")
    table.add_row("cycles per image", f"{figures['cycles']:,.0f}")
    table.add_row("bytes read per image: image, program", f"{figures['image_bytes']:,}, {figures['program_bytes']:,}")
    if figures["images_per_s"] is not None:
        table.add_row("images per second, host included", f"{figures['images_per_s']:,.1f}")
    if figures["clock_hz"] is not None:
        at = f"at {figures['clock_hz'] / 1e6:g} MHz"
        table.add_row(f"images per second of the accelerator {at}", f"{figures['device_images_per_s']:,.1f}")
        table.add_row(f"memory bandwidth {at}", f"{figures['device_bytes_per_s'] / 1e6:,.1f} MB/s")
    return table


def prediction_table(found: Classification, data: ImageSet, names: tuple[str, ...] | None) -> Table:
    """The first predictions."""
    table = compact_table("image", "prediction", *(("label",) if data.labelled else ()), texts=3)
    for number, prediction in enumerate(found.predictions[:SHOWN_PREDICTIONS].tolist()):
        classes = (prediction, int(data.labels[number]))[: 1 + data.labelled]
        table.add_row(str(int(data.indices[number])), *(names[one] if names else str(one) for one in classes))
    return table
