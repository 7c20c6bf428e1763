"""An artifact's QONNX model and its file."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

from sw.artifact.artifact import Artifact
from sw.artifact.file import encode
from sw.data.sets import DATA_SETS
from sw.errors import UserError
from sw.files import write_asked_for
from sw.formats.qonnx.graph import OPSET, QONNX_DOMAIN, OnnxGraph
from sw.formats.qonnx.layers import LOGITS, LayerNodes
from sw.formats.qonnx.library import onnx
from sw.formats.qonnx.quant import quant_function
from sw.tensor_file import CHECKSUM

SUFFIX = ".onnx"

IR_VERSION = 8
"""Of the file: the first with functions, so that old tools read it."""

MOST_WEIGHTS = (2**31 - 2**24) // 4
"""A file of Protocol Buffers has less than 2 GiB; weights are float32, and the rest is small."""


def qonnx_model(artifact: Artifact, batch: int = 1) -> onnx.ModelProto:
    """The QONNX model of an artifact, with the shape of every tensor, checked.

    Parameters
    ----------
    artifact : Artifact
    batch : int
        Images that it takes at once; QONNX knows fixed shapes only.

    Raises
    ------
    UserError
        Naming the layer, if it cannot be said.
    """
    _check_size(artifact)
    network, graph = artifact.network, OnnxGraph()
    nodes = LayerNodes(graph, artifact, batch)
    nodes.add()
    first = network.layers()[0].source
    of_type = onnx.helper.make_tensor_value_info
    proto = onnx.helper.make_graph(
        graph.nodes,
        f"spikformer-{network.depth}-{network.embed_dim}",
        [of_type(first, onnx.TensorProto.UINT8, (batch, *network.input_shape))],
        [of_type(LOGITS, nodes.logits_type, (batch, network.classes))],
        graph.initializers,
    )
    proto.quantization_annotation.extend(graph.annotations)
    model = onnx.helper.make_model(
        proto,
        functions=[quant_function()],
        opset_imports=[onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(QONNX_DOMAIN, 1)],
        ir_version=IR_VERSION,
        producer_name="spikeloom",
        producer_version=version("spikeloom"),
    )
    onnx.helper.set_model_props(model, _metadata(artifact))
    onnx.checker.check_model(model, full_check=True)
    return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def write_qonnx(artifact: Artifact, path: Path) -> None:
    """Write the QONNX file of an artifact, for an image at a time, whole or not at all.

    Raises
    ------
    UserError
        Naming the layer, if it cannot be said; if the suffix is not ``.onnx`` or the file cannot be written.
    """
    if path.suffix != SUFFIX:
        raise UserError(f"{path}: an ONNX file's name ends in {SUFFIX}, not {path.suffix or 'nothing'}; rename it")
    content = qonnx_model(artifact).SerializeToString(deterministic=True)
    write_asked_for(path, content)


def _check_size(artifact: Artifact) -> None:
    sizes = {name: parameters.weight.size for name, parameters in artifact.tensors.items()}
    if sum(sizes.values()) > MOST_WEIGHTS:
        largest = max(sizes, key=lambda name: sizes[name])
        raise UserError(
            f"{largest}: its {sizes[largest]:,} weights, with the others {sum(sizes.values()):,}, are more than the "
            f"{MOST_WEIGHTS:,} that fit an ONNX file; choose a smaller network"
        )


def _metadata(artifact: Artifact) -> dict[str, str]:
    """What a graph does not say, as text."""
    header = json.loads(encode(artifact)[0])
    metadata = {
        "artifact": json.dumps({name: header[name] for name in ("format", "version", CHECKSUM)}),
        "network": json.dumps(header["network"]),
        "dataset": artifact.dataset,
        "image_scale": repr(artifact.image_scale),
        "logit_scale": repr(float(artifact.tensors["head"].scale[0]) / 2**artifact.bias_fraction_bits),
    }
    if artifact.dataset in DATA_SETS:
        known = DATA_SETS[artifact.dataset]
        metadata["normalisation"] = json.dumps({"mean": known.mean, "std": known.std})
    if artifact.class_names is not None:
        metadata["class_names"] = json.dumps(artifact.class_names)
    return metadata
