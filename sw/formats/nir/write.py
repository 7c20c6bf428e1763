"""An artifact's NIR file: its graph, and as metadata what a graph does not say.

The graph's metadata hold `dt` and `timesteps`, what goes in and what comes out in words, and under ``spikeloom`` the
header of the artifact's file as it is (`sw.artifact.file`), the table from pixels to the input's integers, and each
layer's scale: with these and the integers in the nodes the artifact is whole again, and its checksum shows it.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from sw.artifact.artifact import Artifact
from sw.artifact.file import encode
from sw.artifact.versions import IMAGE_TABLE
from sw.errors import UserError
from sw.files import write_asked_for
from sw.formats.nir.graph import wire
from sw.formats.nir.library import nir
from sw.formats.nir.primitives import DT
from sw.tensor_file import HEADER_KEY

SUFFIX = ".nir"

HEADER, SCALE = "header", "scale"
"""Names in the metadata."""


def graph_of(artifact: Artifact) -> Any:
    """The `nir.NIRGraph` of an artifact, with its shapes inferred and checked by NIR.

    Raises
    ------
    UserError
        Naming the layer, if NIR cannot say it.
    """
    wiring = wire(artifact)
    return nir.NIRGraph(nodes=wiring.nodes, edges=wiring.edges, metadata=_metadata(artifact))


def write_nir(artifact: Artifact, path: Path) -> None:
    """Write the NIR file of an artifact, whole or not at all.

    Raises
    ------
    UserError
        Naming the layer, if NIR cannot say it; if the suffix is not ``.nir`` or the file cannot be written.
    """
    if path.suffix != SUFFIX:
        raise UserError(f"{path}: a NIR file's name ends in {SUFFIX}, not {path.suffix or 'nothing'}; rename it")
    content = io.BytesIO()
    nir.write(content, graph_of(artifact))
    write_asked_for(path, content.getvalue())


def _metadata(artifact: Artifact) -> dict[str, Any]:
    network = artifact.network
    header, tensors = encode(artifact)
    each = "event frames, one each time step" if network.events else "the same image at every time step"
    return {
        "dt": DT,
        "timesteps": network.timesteps,
        "integration": "forward Euler, in float64: v += dt / tau * (v_leak - v + r * i); IF and I: v += dt * r * i",
        "input": f"integers of the artifact's {IMAGE_TABLE} [channels, height, width], {each}",
        "output": "v of head.logits after the last time step: timesteps times the logits; the largest is the class",
        HEADER_KEY: {
            HEADER: header,
            IMAGE_TABLE: tensors[IMAGE_TABLE],
            SCALE: {name: parameters.scale for name, parameters in artifact.tensors.items()},
        },
    }
