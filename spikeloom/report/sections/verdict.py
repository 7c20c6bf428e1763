"""What was compared with what, and how often it differed."""

from __future__ import annotations

from sim.comparison.report import COMPARISONS
from spikeloom.report.inputs import Inputs
from spikeloom.report.section import Exhibit, Section, Table
from spikeloom.report.words import plural


def section(inputs: Inputs) -> Section:
    """Mismatches by kind."""
    mismatches, images = inputs.compare["mismatches"], inputs.compare["images"]
    rows = tuple(
        (title, mismatches[name], "equal" if not mismatches[name] else "differs")
        for name, title in COMPARISONS.items()
        if images["brevitas"] or not name.startswith("brevitas")
    )
    first = inputs.compare["first_mismatch"]
    see = (
        f"{plural(images['rtl'], 'image')} ran through the Verilog, {plural(images['golden'], 'image')} through the "
        f"golden model, {plural(images['brevitas'], 'image')} spike by spike through the Brevitas model; "
    )
    see += "nothing differs." if first is None else f"they differ first at {first}."
    exhibit = Exhibit("mismatches", "Mismatches by kind", see, Table(("comparison", "mismatches", "verdict"), rows))
    return Section("verdict", "Verdict", (exhibit,))
