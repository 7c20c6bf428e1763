"""The exported graph gives the golden model's every spike and logit, in QONNX and in other tools for ONNX."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.qonnx_to_qcdq import QuantToQCDQ
from qonnx.util.cleanup import cleanup_model
from qonnx.util.inference_cost import inference_cost

from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from spikeloom.commands.common import MODEL
from sw.artifact.file import load
from sw.data.samples import load_sample
from sw.formats.qonnx.write import qonnx_model
from tests.sw.formats.qonnx.networks import IMAGE, NETWORKS, each_artifact

COMMITTED = ("fashion-2-64", "cifar10-2-128")
"""Models that run on many images."""


def evaluate(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """Logits by ONNX Runtime, which takes `Quant` from the file."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (entry,) = session.get_inputs()
    return session.run(None, {entry.name: images})[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_qonnx_gives_every_integer_of_the_golden_model(name):
    artifact = each_artifact(name)
    images = random_images(artifact.network, 2, seed=8)
    golden = GoldenModel(artifact).record(images)
    model = qonnx_model(artifact, len(images))
    (entry,) = model.graph.input
    tensors = execute_onnx(ModelWrapper(model), {entry.name: images.numpy()}, return_full_exec_context=True)
    assert len(golden.spikes) == 5 + 7 * artifact.network.depth
    for kind, recorded in (("spikes", golden.spikes), ("pooled", golden.pooled), ("residual", golden.residuals)):
        for layer, expected in recorded.items():
            assert np.array_equal(tensors[f"{layer}.{kind}"].reshape(expected.shape), expected), f"{kind} of {layer}"
    assert np.array_equal(tensors["logits"], golden.logits)


@pytest.mark.parametrize("name", NETWORKS)
def test_runtimes_that_do_not_know_qonnx_give_the_logits(name):
    artifact = each_artifact(name)
    images = random_images(artifact.network, 3, seed=9)
    expected = GoldenModel(artifact).run(images).logits
    model = qonnx_model(artifact, len(images))
    (entry,) = model.graph.input
    assert np.array_equal(evaluate(model, images.numpy()), expected)
    assert np.array_equal(ReferenceEvaluator(model).run(None, {entry.name: images.numpy()})[0], expected)


def test_the_committed_model_gives_the_logits_of_its_images():
    artifact, images = load(MODEL), load_sample("fashion-mnist").images[:16]
    assert np.array_equal(evaluate(qonnx_model(artifact, 16), images.numpy()), GoldenModel(artifact).run(images).logits)


@pytest.mark.long
@pytest.mark.parametrize("name", COMMITTED)
def test_qonnx_gives_the_logits_of_256_images(name):
    artifact = load(MODEL.with_stem(name))
    images = load_sample(artifact.dataset).images[:256]
    assert len(images) == 256
    model = ModelWrapper(qonnx_model(artifact, 32))
    for batch in images.split(32):
        (logits,) = execute_onnx(model, {"image": batch.numpy()}).values()
        assert np.array_equal(logits, GoldenModel(artifact).run(batch).logits)


def test_every_tensor_has_a_type_and_a_shape():
    for name in NETWORKS:
        model = qonnx_model(each_artifact(name), 2)
        onnx.checker.check_model(model, full_check=True)
        known = {value.name: value.type.tensor_type for value in (*model.graph.value_info, *model.graph.output)}
        for node in model.graph.node:
            for output in node.output:
                assert known[output].elem_type and all(dim.dim_value > 0 for dim in known[output].shape.dim), output


def test_integers_beyond_float32_are_in_float64():
    graph = qonnx_model(each_artifact("long")).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}
    assert {types[name] for name in ("conv0", "block0.attention.steps")} == {onnx.TensorProto.FLOAT}
    assert {types[name] for name in ("rpe.current", "block0.q.steps", "head", "logits")} == {onnx.TensorProto.DOUBLE}


def test_qonnx_sees_the_bits_of_weights_and_spikes():
    cost = inference_cost(ModelWrapper(qonnx_model(random_artifact(IMAGE, 4, seed=7))), discount_sparsity=False)[
        "total_cost"
    ]
    weights = sum(layer.out_channels * layer.in_channels * layer.taps for layer in IMAGE.layers() if layer.has_weights)
    assert cost["mem_w_INT4"] == cost["total_mem_w_elems"] == weights
    conv0, *others = (layer for layer in IMAGE.layers() if layer.has_weights)
    of_spikes = sum(
        IMAGE.timesteps * layer.positions * layer.out_channels * layer.in_channels * layer.taps
        for layer in others
        if layer.input_max == 1
    )
    assert cost["op_mac_BINARY_INT4"] == of_spikes
    assert cost["op_mac_INT8_INT4"] == conv0.positions * conv0.out_channels * conv0.in_channels * conv0.taps


def test_the_clean_up_of_qonnx_and_its_lowering_to_qcdq_keep_the_logits():
    artifact = random_artifact(IMAGE, 4, seed=7)
    images = random_images(IMAGE, 2, seed=8)
    clean = cleanup_model(ModelWrapper(qonnx_model(artifact, 2)))
    lowered = clean.transform(QuantToQCDQ()).model
    assert sum(node.op_type == "DequantizeLinear" for node in lowered.graph.node) == len(artifact.tensors)
    assert {opset.domain for opset in lowered.opset_import} == {""} and not lowered.functions
    assert np.array_equal(evaluate(lowered, images.numpy()), GoldenModel(artifact).run(images).logits)


def test_a_changed_weight_changes_the_logits():
    """What these tests compare does depend on the weights in the file."""
    artifact, images = load(MODEL), load_sample("fashion-mnist").images[:2]
    model = qonnx_model(artifact, 2)
    (weight,) = (constant for constant in model.graph.initializer if constant.name == "head.weight.integers")
    values = onnx.numpy_helper.to_array(weight).copy()
    values[0] += 1
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    assert not np.array_equal(evaluate(model, images.numpy()), GoldenModel(artifact).run(images).logits)
