"""The report's sections: every plot has data, and figures are those of the comparison."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from golden.accounting.energy import counted_j, paper_j
from spikeloom.report.inputs import read_inputs
from spikeloom.report.section import Plot, Table
from spikeloom.report.sections import accuracies, cycles, energy, firing, provenance, verdict
from spikeloom.report.sections.accuracies import interval
from spikeloom.report.summary import summary


def cells(table: Table, heading: str) -> list:
    return [row[table.columns.index(heading)] for row in table.rows]


def test_every_section_has_something_to_show_and_every_plot_has_data(inputs):
    for module in (verdict, accuracies, cycles, energy, firing, provenance):
        section = module.section(inputs)
        assert section.exhibits and not section.missing
        for exhibit in section.exhibits:
            assert exhibit.title and exhibit.see.endswith(".")
            if isinstance(exhibit.content, Plot):
                assert exhibit.alternative
                assert exhibit.content.figure.data
                for trace in exhibit.content.figure.data:
                    values = trace.z if trace.type == "heatmap" else trace.x
                    assert np.isfinite(np.asarray(values, dtype=float)).any(), (exhibit.name, trace.name)
            else:
                assert exhibit.content.rows


def test_the_verdict_of_an_equal_run(inputs):
    head = summary(inputs.compare)
    compared = inputs.compare["mismatches"]["values_compared"]
    assert head.equal and head.first == ""
    assert head.verdict == f"Brevitas model, golden model and RTL agree in all {compared:,} values compared."
    assert head.title == "random on tiny"
    assert [figure.value for figure in head.figures][1] == f"{inputs.compare['cycles']['rtl_min']:,}"
    (exhibit,) = verdict.section(inputs).exhibits
    assert set(cells(exhibit.content, "mismatches")) == {0} and set(cells(exhibit.content, "verdict")) == {"equal"}


def test_the_verdict_of_a_corrupted_run_says_where(corrupted):
    inputs = read_inputs(corrupted, corrupted.parent)
    head = summary(inputs.compare)
    assert not head.equal
    assert head.first.startswith("image 0, conv2 spikes: time step ") and "golden" in head.first
    assert head.verdict.endswith(f"of {inputs.compare['mismatches']['values_compared']:,} values compared differ.")
    (exhibit,) = verdict.section(inputs).exhibits
    assert head.first in exhibit.see
    assert "differs" in cells(exhibit.content, "verdict") and "equal" in cells(exhibit.content, "verdict")


def test_models_that_did_not_run_are_not_called_equal(inputs):
    images = {**inputs.compare["images"], "brevitas": 0}
    without = replace(inputs, compare={**inputs.compare, "images": images})
    assert summary(without.compare).verdict.startswith("Golden model and RTL agree")
    (exhibit,) = verdict.section(without).exhibits
    assert not [row for row in exhibit.content.rows if "Brevitas" in row[0]]


def test_the_parts_of_a_layers_cycles_add_up(inputs):
    layers = [layer for layer in inputs.compare["layers"] if layer["cycles"]]
    for layer in layers:
        spent = cycles.spending(layer)
        assert all(value >= 0 for value in spent.values())
        assert sum(spent.values()) == pytest.approx(layer["cycles"], abs=1e-6), layer["name"]
        assert spent["work"] / layer["cycles"] == pytest.approx(layer["utilisation"] or 0)
    absolute, relative = cycles.section(inputs).exhibits
    drawn = sum(sum(trace.x) for trace in absolute.content.figure.data)
    assert drawn == pytest.approx(sum(layer["cycles"] for layer in layers))
    assert sum(sum(trace.x) for trace in relative.content.figure.data) == pytest.approx(len(layers))


def test_cycles_without_a_result_are_those_of_the_model(inputs):
    layers = [
        {**layer, "cycles": None, "utilisation": None, "engine_cycles": None} for layer in inputs.compare["layers"]
    ]
    layers = [{**layer, "waits": dict.fromkeys(layer["waits"])} for layer in layers]
    totals = {**inputs.compare["cycles"], **dict.fromkeys(("rtl_mean", "rtl_min", "rtl_max", "utilisation"))}
    failed = replace(inputs, compare={**inputs.compare, "layers": layers, "cycles": totals})
    (exhibit,) = cycles.section(failed).exhibits
    assert set(cells(exhibit.content, "cycles in RTL")) == {"-"}
    assert sum(cells(exhibit.content, "cycle model")) > 0
    assert "no image ended" in summary(failed.compare).figures[1].note


def test_energy_is_that_of_the_comparison(inputs):
    operations = energy.measured_operations(inputs.artifact.network, inputs.compare["layers"])
    found = inputs.compare["energy"]
    assert counted_j(inputs.artifact.network, operations) == pytest.approx(found["counted_j"], rel=1e-12)
    assert paper_j(inputs.artifact.network, operations) == pytest.approx(found["paper_j"], rel=1e-12)
    by_operation, by_energy, totals = energy.section(inputs).exhibits
    paper, counted = (sum(trace.x) for trace in by_energy.content.figure.data)
    assert (paper, counted) == pytest.approx((found["paper_j"] * 1e9, found["counted_j"] * 1e9))
    assert cells(totals.content, "µJ")[0] == f"{found['paper_j'] * 1e6:.2f}"
    assert len(by_operation.table.rows) == len(operations)


def test_firing_rates_and_residual_integers(inputs):
    rates, residuals = firing.section(inputs).exhibits
    (heat,) = rates.content.figure.data
    assert np.asarray(heat.z).tolist() == [layer["rates"] for layer in inputs.compare["firing"]]
    assert rates.table.columns[-4:] == ("t = 1", "t = 2", "t = 3", "t = 4")
    shares = np.asarray([trace.x for trace in residuals.content.figure.data], dtype=float)
    assert shares.sum(axis=0) == pytest.approx(np.ones(shares.shape[1]))
    assert cells(residuals.table, "after") == ["rpe", "block0.proj", "block0.fc2"]


def test_intervals_hold_the_accuracy_and_shrink_with_images():
    assert interval(10, 10)[1] == 1.0 and interval(10, 10)[0] == pytest.approx(0.7225, abs=1e-4)
    for correct, images in ((0, 5), (5, 10), (9116, 10_000)):
        low, high = interval(correct, images)
        assert 0 <= low <= correct / images <= high <= 1
    assert interval(9, 10)[0] < interval(900, 1000)[0]


def test_accuracies_that_nobody_knows_leave_a_table(inputs):
    unknown = dict.fromkeys(inputs.compare["accuracy"])
    (exhibit,) = accuracies.section(replace(inputs, compare={**inputs.compare, "accuracy": unknown})).exhibits
    assert isinstance(exhibit.content, Table) and set(cells(exhibit.content, "accuracy")) == {None}
