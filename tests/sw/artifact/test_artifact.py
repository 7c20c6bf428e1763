"""An artifact keeps the integer contract or is refused in one line when it is made."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from math import ceil

import numpy as np
import pytest

from sw.errors import UserError
from tests.sw.artifact.files import NETWORK


def test_the_table_of_event_frames_holds_counts_of_so_many_bits(artifact):
    for bits, table in ((1, np.minimum(np.arange(256), 2)), (3, np.arange(256))):
        with pytest.raises(UserError) as refused:
            dataclasses.replace(
                artifact, network=dataclasses.replace(artifact.network, event_bits=bits),
                image_table=np.tile(table.astype(np.uint8), (2, 1)),
            )  # fmt: skip
        assert str(refused.value) == (
            f"image.table holds {table.max()}, but counts of {bits} event bits are 0 to {2**bits - 1}; "
            "map every count to one of them"
        )


def test_the_table_is_signed_for_images_and_unsigned_for_event_frames(artifact):
    with pytest.raises(UserError, match=r"^image\.table must be uint8, not int8; "):
        dataclasses.replace(artifact, network=dataclasses.replace(artifact.network, event_bits=8))
    with pytest.raises(UserError, match=r"^image\.table must be int8, not uint8; "):
        dataclasses.replace(artifact, image_table=np.zeros((2, 256), np.uint8))


def test_thresholds_of_random_artifacts_follow_from_their_scales(artifact):
    unit = 2 ** (NETWORK.timesteps + artifact.bias_fraction_bits)
    for parameters in artifact.tensors.values():
        if parameters.threshold is not None:
            for threshold, scale in zip(parameters.threshold, parameters.scale, strict=True):
                assert ceil(unit / Fraction(float(scale))) == threshold


def test_values_wrong(artifact):
    with pytest.raises(UserError, match=r"^layers missing: conv0; "):
        tensors = {name: value for name, value in artifact.tensors.items() if name != "conv0"}
        dataclasses.replace(artifact, tensors=tensors)
    with pytest.raises(UserError, match=r"^head\.threshold must be absent, the head has no neuron; leave it out$"):
        head = dataclasses.replace(artifact.tensors["head"], threshold=np.ones(3, np.int64))
        dataclasses.replace(artifact, tensors=artifact.tensors | {"head": head})
    with pytest.raises(UserError, match=r"^conv0\.threshold must be int64, not NoneType; "):
        conv0 = dataclasses.replace(artifact.tensors["conv0"], threshold=None)
        dataclasses.replace(artifact, tensors=artifact.tensors | {"conv0": conv0})
    with pytest.raises(UserError, match=r"^conv0\.weight must be int8, not list; "):
        conv0 = dataclasses.replace(artifact.tensors["conv0"], weight=[1])  # type: ignore[arg-type]
        dataclasses.replace(artifact, tensors=artifact.tensors | {"conv0": conv0})
    with pytest.raises(
        UserError, match=r"^provenance is not plain JSON \(Object of type set is not JSON serializable\);"
    ):
        dataclasses.replace(artifact, provenance={"a": {1}})
    with pytest.raises(UserError, match=r"^provenance is not plain JSON \(Out of range float values"):
        dataclasses.replace(artifact, provenance={"a": float("nan")})
