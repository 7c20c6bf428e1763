"""What the report is of, so that it can be made again: command, versions, hashes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from spikeloom.report.inputs import Inputs
from spikeloom.report.section import Exhibit, Section, Table


def section(inputs: Inputs) -> Section:
    """Where every figure comes from."""
    see = "With these the same figures come out again: the computations are exact, only the simulation's speed varies."
    exhibit = Exhibit(
        "provenance-of-figures", "Origin of the figures", see, Table(("what", "is"), tuple(_rows(inputs)))
    )
    return Section("provenance", "Provenance", (exhibit,))


def _rows(inputs: Inputs) -> Iterator[tuple[str, str]]:
    compare, artifact = inputs.compare, inputs.artifact
    origin, hardware, simulation = compare["provenance"], compare["hardware"], compare["simulation"]
    network, made = artifact.network, artifact.provenance
    yield "command", origin["command"]
    yield "begun", f"{datetime.fromisoformat(origin['date']):%Y-%m-%d %H:%M:%S} UTC"
    yield "model", origin["model"]
    yield "SHA-256 of the model's file", origin["model_sha256"]
    yield "made by", str(made.get("command") or made.get("made_by") or "unknown")
    yield (
        "network",
        (
            f"{network.depth} blocks of {network.embed_dim} channels, {network.heads} heads, {network.timesteps} time "
            f"steps, {network.tokens} tokens, {artifact.weight_bits}-bit weights, residual mode "
            f"{network.residual_mode}, {network.neuron} neurons"
        ),
    )
    yield "images", compare["image_set"]
    yield "configuration", f"{hardware['config']}, fingerprint {origin['config_fingerprint']}"
    yield "technology of the Verilog", hardware["technology"]
    yield "program", f"{origin['program_bytes']:,} bytes"
    yield "SHA-256 of the program", origin["program_sha256"]
    yield (
        "simulation",
        (
            f"{simulation['build_s']:.1f} s to build, {simulation['run_s']:.1f} s to run, "
            f"{simulation['cycles_per_s']:,.0f} cycles per second and process"
        ),
    )
    yield "versions", ", ".join(f"{name} {version}" for name, version in origin["versions"].items())
