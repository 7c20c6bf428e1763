"""A notebook for a board with PYNQ: load the bitstream, classify images, look at the counters."""

from __future__ import annotations

import json
from pprint import pformat

from hw.config import HardwareConfig
from sw.ip.boards import BOARDS

FOLDERS = ", ".join(f"`{board.name}`" for board in BOARDS)

CELLS = (
    "# Spikeloom {config} with PYNQ\n\n"
    "Before you begin: run `boards/<board>.tcl` in Vivado, copy this folder to the board (the script has put bitstream "
    "and `.hwh` into one of {folders} in it), and clone Spikeloom there. `docs/deploy.md` says what else it needs.",
    """
import sys
from pathlib import Path

BOARD = "{board}"
CHECKOUT = Path.home() / "spikeloom"
ARTIFACT = CHECKOUT / "models" / "fashion-2-64.spikeloom"
SAMPLE = CHECKOUT / "data" / "samples" / "fashion-mnist.npz"
BITFILE = Path(BOARD) / "{core}.bit"
sys.path.insert(0, str(CHECKOUT))
""",
    "What the bitstream holds, by its `.hwh`: the registers of the accelerator, and where they are.",
    """
from pynq import Overlay

overlay = Overlay(str(BITFILE), download=False)
overlay.ip_dict["spikeloom"]
""",
    "Load it. Version and configuration of bitstream, driver and artifact are compared before the first image.",
    """
from hw.config import HardwareConfig
from sw.artifact.file import load
from sw.driver.accelerator import Accelerator
from sw.driver.pynq_bus import open_pynq

config = HardwareConfig.from_dict(
    {fields}
)
bus = open_pynq(BITFILE, interrupts=True)
accelerator = Accelerator(bus, load(ARTIFACT), config)
""",
    "Classify the first images of the committed sample.",
    """
import numpy as np

with np.load(SAMPLE) as sample:
    images, labels = sample["images"][:16], sample["labels"][:16]
found = await accelerator.classify(images, counters=True)
print("predicted", found.predictions.tolist())
print("labels   ", labels.tolist())
print("cycles   ", found.cycles.tolist())
""",
    "Where the cycles of the first image went, layer by layer.",
    """
print(" " * 16, *(f"{{title:>9}}" for title in ("cycles", "busy", "waits", "spikes")))
for name, layer in zip(accelerator.program.names, found.jobs[0].layers):
    waits = layer.wait_weights + layer.wait_drain + layer.wait_data + layer.wait_attention + layer.wait_load
    print(f"{{name:16}}", *(f"{{count:9,}}" for count in (layer.cycles, layer.busy, waits, layer.spikes)))
""",
    "Give the memory back.",
    """
bus.close()
""",
)
"""Text of the cells; those that begin with a line break are code."""


def notebook(config: HardwareConfig, core: str) -> str:
    """Text of the notebook, in version 4.5 of its format.

    Parameters
    ----------
    config : HardwareConfig
        The one that was built.
    core : str
        Name of bitstream and ``.hwh`` in the folder of each board.
    """
    fields = pformat(config.to_dict(), width=100, sort_dicts=False).replace("\n", "\n    ")
    cells = []
    for number, text in enumerate(CELLS):
        filled = text.strip().format(
            config=config.name, folders=FOLDERS, board=BOARDS[0].name, core=core, fields=fields
        )
        cell: dict[str, object] = {"cell_type": "code" if text.startswith("\n") else "markdown", "id": f"cell-{number}"}
        cell |= {"metadata": {}, "source": filled.splitlines(keepends=True)}
        cells.append(cell | ({"execution_count": None, "outputs": []} if cell["cell_type"] == "code" else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells, "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip
    return json.dumps(content, indent=1) + "\n"
