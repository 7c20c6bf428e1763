"""What the accelerator takes on an FPGA, module by module, as `spikeloom synth` counted it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plotly.graph_objects import Figure, Treemap

from spikeloom.report.inputs import Inputs
from spikeloom.report.section import Exhibit, Plot, Section, Table
from spikeloom.report.style import COLOURS, ON_COLOURS, SERIES
from sw.synthesis.cells import FAMILIES, RESOURCES, luts
from sw.synthesis.report import CORE, read_entries

PART_COLOURS = {
    "weight_array": "array", "walker": "array", "attention": "attention", "neurons": "neurons", "head": "neurons",
    "image_load": "load", "writeback": "data", "program_reader": "weights",
}  # fmt: skip
"""Parts of the core that have a colour of their own elsewhere in the page."""


def section(inputs: Inputs) -> Section:
    """A treemap for every family that the configuration was synthesised for, or how to do that."""
    config = inputs.compare["hardware"]["config"]
    families = read_entries(inputs.build / "synth.json").get(config, {})
    exhibits = tuple(_exhibit(config, name, families[name]) for name in FAMILIES if name in families)
    return Section("resources", "Resources", exhibits, "" if exhibits else f"make synth CONFIG={config}")


def _exhibit(config: str, family: str, entry: Mapping[str, Any]) -> Exhibit:
    title, total, parts = FAMILIES[family].title, luts(entry["resources"]), entry["parts"]
    largest = sorted(parts, key=lambda name: -luts(parts[name]))[:3]
    shares = ", ".join(f"{_last(name)} {luts(parts[name]) / total:.0%}" for name in largest)
    return Exhibit(
        f"resources-{family}",
        f"LUTs of {config} on {title}",
        f"An area for every module, as large as its share of {total:,} LUTs, inside the module that holds it; the "
        f"largest parts are {shares}. Select a module to see what is in it.",
        Plot(_treemap(config, entry["modules"]), height=520),
        f"Treemap of {total:,} LUTs by module: {shares}.",
        _table(entry),
    )


def _treemap(config: str, modules: Mapping[str, Mapping[str, float]]) -> Figure:
    """Modules within modules; each area is the module's own LUTs and those of all that is in it."""
    paths = sorted({".".join(name.split(".")[:depth]) for name in modules for depth in range(1, name.count(".") + 2)})
    own = {path: luts(modules.get(path, dict.fromkeys(RESOURCES, 0))) for path in paths}
    holders = ["" if "." not in path else path.rpartition(".")[0] for path in paths]
    figure = Figure(
        Treemap(
            ids=["", *paths], labels=[config, *map(_last, paths)], parents=[None, *holders],
            values=[0, *own.values()], branchvalues="remainder", maxdepth=4,
            marker={
                "colors": [COLOURS["wait"], *(_colour(path) for path in paths)],
                "line": {"width": 1, "color": "rgba(255, 255, 255, 0.7)"},
            },
            hovertemplate="%{id}<br>%{value:,} LUTs, %{percentRoot} of all<extra></extra>", textinfo="label+value",
            textfont={"color": ON_COLOURS},
        )
    )  # fmt: skip
    figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0}, uniformtext={"minsize": 9, "mode": "hide"})
    return figure


def _colour(path: str) -> str:
    """Of the part that a module belongs to; what surrounds the parts, and those without a colour, grey."""
    words = path.split(".")
    part = words[1] if words[0] == CORE and len(words) > 1 else ""
    return COLOURS[PART_COLOURS[part]] if part in PART_COLOURS else SERIES[-1]


def _last(path: str) -> str:
    return path.rpartition(".")[2].replace("_", " ")


def _table(entry: Mapping[str, Any]) -> Table:
    """Parts and total; resources that nothing takes have no column."""
    used = [name for name in RESOURCES if entry["resources"][name]]
    rows = [*sorted(entry["parts"].items(), key=lambda item: -luts(item[1])), ("total", entry["resources"])]
    columns = ("part", *(f"{RESOURCES[name]}" for name in used))
    return Table(columns, tuple((part, *(counts[name] for name in used)) for part, counts in rows))
