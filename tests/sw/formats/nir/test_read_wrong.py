"""A NIR file is not trusted: whatever is not a Spikformer's graph is refused with node, value and limit."""

from __future__ import annotations

import copy

import h5py
import nir
import numpy as np
import pytest

from golden.random_artifact import random_artifact
from sw.errors import UserError
from sw.formats.nir import untrusted
from sw.formats.nir.read import read_nir
from sw.formats.nir.wiring import arrays
from sw.formats.nir.write import write_nir
from sw.network import NetworkConfig

AGAIN = "export it again, or import the checkpoint that it was made of"
NETWORK = NetworkConfig(image_size=8, image_channels=3, classes=3, embed_dim=8, depth=1, heads=2, mlp_ratio=1)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("nir") / "whole.nir"
    write_nir(random_artifact(NETWORK, 4, seed=7), path)
    return path


@pytest.fixture(scope="module")
def whole(written):
    return nir.read(written)


def write_wrong(graph, folder):
    nir.write(folder / "wrong.nir", graph, compression=None)
    return folder / "wrong.nir"


def refusal(path) -> str:
    with pytest.raises(UserError) as refused:
        read_nir(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")


def put(node, part, value, index=...):
    def change(graph):
        array = np.array(getattr(graph.nodes[node], part))
        array[index] = value
        setattr(graph.nodes[node], part, array)

    return change


def replace(node, value):
    return lambda graph: graph.nodes.__setitem__(node, value)


FIRST = (0, 0, 0, 0)
ROUND = "round it to one"
OTHER = "a Spikformer here has only Input, Output, Conv2d, LIF, IF, I, Threshold, Scale, SumPool2d"
GRAPHS = {
    "weight no integer": (put("conv1", "weight", 1.5, FIRST),
        f"node 'conv1': weight holds 1.5, which makes 1.5 in the artifact, not an integer of -127..127; {ROUND}"),
    "weight nan": (put("conv1", "weight", np.nan, FIRST),
        f"node 'conv1': weight holds nan, which makes nan in the artifact, not an integer of -127..127; {ROUND}"),
    "weight beyond int8": (put("head", "weight", -128, FIRST),
        f"node 'head': weight holds -128.0, which makes -128.0 in the artifact, not an integer of -127..127; {ROUND}"),
    "weight beyond its bits": (put("block0.q", "weight", 8, FIRST),
        "block0.q.weight holds 8, outside -7..7 of 4-bit weights; quantise with a narrow range"),
    "bias no fraction": (put("rpe", "bias", 0.3, 1),
        "node 'rpe': bias holds 0.3, which makes 4.8 in the artifact, not an integer of -2147483647..2147483647; "
        f"{ROUND}"),
    "bias too large": (put("rpe", "bias", 2.0**40, 1),
        "node 'rpe': bias holds 1099511627776.0, which makes 17592186044416.0 in the artifact, not an integer of "
        f"-2147483647..2147483647; {ROUND}"),
    "threshold of one position": (put("conv2.neuron", "v_threshold", 4, (1, 2, 3)),
        "node 'conv2.neuron': v_threshold of channel 1 holds 0.001953125 and 4.0; the neurons of a channel share one "
        "threshold"),
    "threshold no half": (put("conv2.neuron", "v_threshold", 4, 1),
        "node 'conv2.neuron': v_threshold holds 4.0, which makes 1024.5 in the artifact, not an integer of "
        f"-4503599627370496..4503599627370496; {ROUND}"),
    "threshold below one": (put("conv2.neuron", "v_threshold", -0.5 / 256, 1),
        "conv2.threshold holds 0, below the limit 1; flip the channel's weights so that its scale is positive"),
    "weight of another shape": (lambda graph: setattr(graph.nodes["conv1"], "weight", np.zeros((2, 1, 5, 5))),
        f"node 'conv1': weight must have shape [2, 1, 3, 3], not [2, 1, 5, 5]; {AGAIN}"),
    "weight of bytes": (lambda graph: setattr(graph.nodes["conv1"], "weight", np.zeros((2, 1, 3, 3), bool)),
        f"node 'conv1': weight must be numbers, not 'bool'; {AGAIN}"),
    "conv without a bias": (lambda graph: setattr(graph.nodes["conv1"], "bias", np.zeros(3)),
        f"node 'conv1': bias must have shape [2], not [3]; {AGAIN}"),
    "other time constant": (put("conv0.neuron", "tau", 4e-4),
        f"node 'conv0.neuron': tau holds 0.0004 where the network has 0.0002; {AGAIN}"),
    "other reset": (put("block0.attention.neuron", "v_reset", 0.5, (3, 1, 1)),
        f"node 'block0.attention.neuron': v_reset holds 0.5 where the network has 0.0; {AGAIN}"),
    "other attention threshold": (put("block0.attention.neuron", "v_threshold", 3.5),
        f"node 'block0.attention.neuron': v_threshold holds 3.5 where the network has 3.96875; {AGAIN}"),
    "other leak": (put("block0.fc2.neuron", "v_leak", 1, (0, 0, 0)),
        f"node 'block0.fc2.neuron': v_leak holds 1.0 where the network has 0.0; {AGAIN}"),
    "other stride": (lambda graph: setattr(graph.nodes["rpe"], "stride", (2, 2)),
        f"node 'rpe': stride holds 2 where the network has 1; {AGAIN}"),
    "other window": (put("conv3.window", "padding", 0),
        f"node 'conv3.window': padding holds 0 where the network has 1; {AGAIN}"),
    "other products": (put("block0.attention.sum", "weight", 0, (3, 3, 0, 0)),
        f"node 'block0.attention.sum': weight holds 0.0 where the network has -1.0; {AGAIN}"),
    "other grid": (lambda graph: setattr(graph.nodes["conv1"], "input_shape", (9, 9)),
        f"node 'conv1': input_shape holds 9 where the network has 8; {AGAIN}"),
    "other input": (replace("input", nir.Input(np.array([1, 8, 8]))),
        f"node 'input': input_type holds 1 where the network has 3; {AGAIN}"),
    "other ports": (replace("output", nir.Output(np.array([5]))),
        f"node 'output': output_type must have shape [3], not [1]; {AGAIN}"),
    "convolution missing": (lambda graph: graph.nodes.pop("block0.fc1"),
        f"node 'block0.fc1' (Conv2d) is missing; {AGAIN}"),
    "neuron missing": (lambda graph: graph.nodes.pop("rpe.neuron"), f"node 'rpe.neuron' (LIF) is missing; {AGAIN}"),
    "residual missing": (lambda graph: graph.nodes.pop("rpe.residual"), f"nodes missing: rpe.residual; {AGAIN}"),
    "unknown node": (replace("extra", nir.Scale(np.ones(2))), f"nodes unknown: extra; {AGAIN}"),
    "other kind": (replace("conv0.neuron", nir.IF(np.ones((1, 8, 8)), np.ones((1, 8, 8)))),
        f"node 'conv0.neuron' must be of type LIF, not IF; {AGAIN}"),
    "other kind of a pool": (replace("conv3.pool", nir.Scale(np.ones((8, 2, 2)))),
        f"node 'conv3.pool' must be of type Threshold, not Scale; {AGAIN}"),
    "foreign node": (replace("conv3.window", nir.AvgPool2d(np.array([3, 3]), np.array([2, 2]), np.array([1, 1]))),
        f"node 'conv3.window' is of type 'AvgPool2d', and {OTHER}; {AGAIN}"),
    "subgraph": (replace("rpe", nir.NIRGraph({"input": nir.Input(np.ones(1)), "output": nir.Output(np.ones(1))},
                                             [("input", "output")])),
        f"node 'rpe' is of type 'NIRGraph', and {OTHER}; {AGAIN}"),
    "edge missing": (lambda graph: graph.edges.remove(("rpe.residual", "block0.k")),
        f"edges missing: rpe.residual -> block0.k; {AGAIN}"),
    "cycle": (lambda graph: graph.edges.append(("conv1.neuron", "conv0")),
        f"edges too many: conv1.neuron -> conv0; {AGAIN}"),
    "edge to nowhere": (lambda graph: graph.edges.append(("conv1", "no\nwhere")),
        f"edges too many: conv1 -> no\\nwhere; {AGAIN}"),
    "edge twice": (lambda graph: graph.edges.append(("conv1", "conv1.neuron")),
        f"edge conv1 -> conv1.neuron is there twice; {AGAIN}"),
    "no metadata": (lambda graph: graph.metadata.clear(),
        "metadata without 'spikeloom': a graph says neither time steps nor units nor how pixels become its input, so "
        f"only graphs that Spikeloom wrote can be read; {AGAIN}"),
    "other time step": (lambda graph: graph.metadata.__setitem__("dt", 1e-3),
        "metadata 'dt' must be 0.0001, not "),
    "other time steps": (lambda graph: graph.metadata.pop("timesteps"),
        f"metadata 'timesteps' must be 4, not None; {AGAIN}"),
    "no header": (lambda graph: graph.metadata["spikeloom"].pop("header"),
        f"metadata 'spikeloom' without 'header' or 'scale'; {AGAIN}"),
    "header no JSON": (lambda graph: graph.metadata["spikeloom"].__setitem__("header", "{"),
        "the 'spikeloom' header is not JSON (Expecting property name"),
    "no scale": (lambda graph: graph.metadata["spikeloom"]["scale"].pop("rpe"),
        "rpe.scale must be float64, not object; export the artifact again with this version"),
    "no table": (lambda graph: graph.metadata["spikeloom"].pop("image.table"),
        "image.table must be int8, not object; export the artifact again with this version"),
    "table out of range": (lambda graph: graph.metadata["spikeloom"]["image.table"].__setitem__((0, 0), -128),
        "image.table holds -128, outside -127..127; quantise the image with a narrow range"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(GRAPHS))
def test_graph_wrong(whole, tmp_path, name):
    change, expected = GRAPHS[name]
    graph = copy.deepcopy(whole)
    change(graph)
    assert refusal(write_wrong(graph, tmp_path)).startswith(expected)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"version": 5', '"version": 6', "version is 6, this reader knows 1 to 5; "),
        ('"bias_fraction_bits": 4', '"bias_fraction_bits": 9', "bias_fraction_bits must be 0 to 8, not 9; "),
        ('"heads": 2', '"heads": 3', "network embed_dim 8 must be divisible by heads, not 3; "),
        ('"heads": 2', '"heads": 4', "node 'block0.attention.k': weight must have shape [16, 8, 1, 1], not [32, 8,"),
        ('"depth": 1', '"depth": 2', "node 'block1.q' (Conv2d) is missing; "),
        (
            '"timesteps": 4',
            '"timesteps": 3',
            "metadata 'timesteps' must be 3, not ",
        ),
        ('"neuron": "lif"', '"neuron": "if"', "node 'conv0.neuron' must be of type IF, not LIF; "),
        ('"residual_mode": "add"', '"residual_mode": "iand"', "nodes missing: block0.fc2.negative, "),
        ('"pool_order": "after"', '"pool_order": "before"', "conv2: its pool takes the largest of nine currents"),
        ('"weight_bits": 4', '"weight_bits": 2', "conv0.weight holds "),
    ],
)
def test_header_that_is_not_of_the_graph_wrong(whole, tmp_path, old, new, expected):
    graph = copy.deepcopy(whole)
    own = graph.metadata["spikeloom"]
    assert old in own["header"]
    own["header"] = own["header"].replace(old, new)
    assert refusal(write_wrong(graph, tmp_path)).startswith(expected)


def test_graph_of_another_tool_is_refused_with_its_node(tmp_path):
    one = np.ones(4)
    nodes = {"fc": nir.Affine(np.ones((4, 3)), one), "lif": nir.CubaLIF(one, one, one, one, one)}
    assert (
        refusal(write_wrong(nir.NIRGraph(nodes, [("fc", "lif")]), tmp_path))
        == f"node 'fc' is of type 'Affine', and {OTHER}; {AGAIN}"
    )


def soft_link(file):
    del file["node/nodes/conv0/weight"]
    file["node/nodes/conv0/weight"] = h5py.SoftLink("/node/nodes/conv1/weight")


def external_link(file):
    del file["node/nodes/conv0/weight"]
    file["node/nodes/conv0/weight"] = h5py.ExternalLink("/etc/passwd", "/")


def external_values(file):
    del file["node/nodes/conv0/weight"]
    file["node/nodes/conv0"].create_dataset("weight", (1, 3, 3, 3), "u1", external=[("/etc/passwd", 0, 27)])


def virtual_values(file):
    del file["node/nodes/conv0/weight"]
    layout = h5py.VirtualLayout((1, 3, 3, 3), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "x", (1, 3, 3, 3))
    file["node/nodes/conv0"].create_virtual_dataset("weight", layout)


def vast_claim(file):
    file["node/nodes/conv0"].create_dataset("much", (1 << 40,), "f8", chunks=(1 << 20,), compression="gzip")


def loop(file):
    file["node/nodes/conv0/again"] = file["node"]


FILES = {
    "soft link": (soft_link, f"'weight' is a link to somewhere else, which is not followed; {AGAIN}"),
    "external link": (external_link, f"'weight' is a link to somewhere else, which is not followed; {AGAIN}"),
    "values in another file": (external_values, f"'weight' has its values in another file, which is not read; {AGAIN}"),
    "virtual values": (virtual_values, f"'weight' has its values in another file, which is not read; {AGAIN}"),
    "vast claim": (vast_claim, f"'much' claims 8,796,093,022,208 bytes, the file has 0 for it; {AGAIN}"),
    "loop": (loop, f"more than 262,144 objects, or 8 groups in each other; {AGAIN}"),
    "complex numbers": (lambda file: file["node/nodes/conv0"].create_dataset("c", data=1j),
                        f"'c' holds 'complex128', not numbers or text; {AGAIN}"),
    "a type": (lambda file: file["node"].__setitem__("kind", np.dtype("f8")),
               f"'kind' is neither group nor array; {AGAIN}"),
    "no node": (lambda file: file.__delitem__("node"), f"HDF5, but without the group 'node' of NIR; {AGAIN}"),
    "no nodes": (lambda file: file["node"].__delitem__("nodes"), f"no graph with nodes; {AGAIN}"),
    "nodes no group": (lambda file: (file["node"].__delitem__("nodes"), file["node"].__setitem__("nodes", 3)),
                       f"no graph with nodes; {AGAIN}"),
    "no edges": (lambda file: file["node"].__delitem__("edges"),
                 f"edges must be pairs of names, not an array of shape []; {AGAIN}"),
    "no type": (lambda file: file["node/nodes/rpe"].__delitem__("type"),
                f"node 'rpe' is of type None, and {OTHER}; {AGAIN}"),
    "no weight": (lambda file: file["node/nodes/rpe"].__delitem__("weight"),
                  f"node 'rpe' is no whole Conv2d (TypeError); {AGAIN}"),
    "unknown part": (lambda file: file["node/nodes/rpe"].__setitem__("colour", 3),
                     f"node 'rpe' is no whole Conv2d (TypeError); {AGAIN}"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(FILES))
def test_file_wrong(written, tmp_path, name):
    change, expected = FILES[name]
    path = tmp_path / "wrong.nir"
    path.write_bytes(written.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    assert refusal(path).startswith(expected)


def test_cut_file_wrong(written, tmp_path):
    whole = written.read_bytes()
    for length in (8, 100, 2048, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.nir").write_bytes(whole[:length])
        assert refusal(tmp_path / "cut.nir").startswith("not a whole NIR file (")
    assert refusal(tmp_path / "none.nir").startswith("not a whole NIR file (FileNotFoundError)")


def test_much_wrong(written, monkeypatch):
    numbers = sum(value.size for node in nir.read(written).nodes.values() for value in arrays(node))
    monkeypatch.setattr(untrusted, "LARGEST_GRAPH", numbers - 1000)
    assert refusal(written).endswith(f" bytes of text, at most {numbers - 1000:,} and 67,108,864; {AGAIN}")
    monkeypatch.undo()
    monkeypatch.setattr(untrusted, "LARGEST_TEXT", 1000)
    assert " bytes of text, at most 268,435,456 and 1,000; " in refusal(written)
