"""`spikeloom report`: one page to look at, made from one comparison."""

from __future__ import annotations

from pathlib import Path

import click

from spikeloom.commands.common import console, out_option, shown
from sw.checkout import BUILD


@click.command()
@click.option(
    "--compare", "figures", type=click.Path(path_type=Path), default=BUILD / "compare.json", metavar="FILE",
    help="Figures of the comparison to show.  [default: build/compare.json]",
)  # fmt: skip
@out_option("report.html", "Where the page goes.")
def report(figures: Path, out: Path) -> None:
    """Write a page about a comparison: one HTML file that opens in a browser, from disk and without a network.

    It shows what `spikeloom compare` found, layer by layer, and what other commands have left in build: synthesis,
    training logs, figures of merit. A part whose figures are missing says which command makes them.
    """
    from spikeloom.report.inputs import read_inputs
    from spikeloom.report.page import page
    from sw.files import write_atomically

    html = page(read_inputs(figures))
    write_atomically(out, html)
    console.print(f"report: {shown(out)} ({len(html.encode()) / 1e6:.1f} MB), open it in a browser")
