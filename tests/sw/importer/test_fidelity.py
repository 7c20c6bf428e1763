"""The float model gives the spikes of other people's codes, recorded by tests/data/record.py."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from sw.importer.float_model import float_model
from sw.importer.shape import check_tensors, find_layout, network_of
from sw.model.spikformer import Spikformer, Trace

VECTORS = Path(__file__).resolve().parents[2] / "data"
KINDS = ("authors-cifar", "authors-imagenet", "authors-dvs", "cml", "spikingjelly")


class Vectors:
    """One recording."""

    def __init__(self, kind: str) -> None:
        with safe_open(VECTORS / f"{kind}.safetensors", framework="pt") as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (no iterator)
            self.about = json.loads(stream.metadata()["about"])
        self.state = {name.removeprefix("state."): value for name, value in tensors.items() if name[:6] == "state."}
        self.logits = tensors["logits"]
        self.inputs = tensors["images"].double()
        self.events = self.inputs.ndim == 5
        if not self.events:
            mean, std = (torch.tensor(self.about[key], dtype=torch.float64).reshape(3, 1, 1) for key in ("mean", "std"))
            self.inputs = (self.inputs / 255 - mean) / std
        self.spikes = {
            name: torch.from_numpy(np.unpackbits(tensors[f"spikes.{name}"].numpy(), count=int(np.prod(shape)))).reshape(
                shape
            )
            for name, shape in self.about["shapes"].items()
        }

    def model(self) -> Spikformer:
        found = find_layout(self.state)
        network = network_of(
            found,
            image_size=self.inputs.shape[-1],
            heads=self.about["heads"],
            timesteps=self.about["timesteps"],
            event_bits=8 if self.events else 0,
        )
        check_tensors(found.layout, network, self.state)
        return float_model(found.layout, network, self.state).double()


@pytest.mark.parametrize("kind", KINDS)
def test_every_spike_and_logit_of_the_other_code(kind):
    vectors, trace = Vectors(kind), Trace()
    with torch.no_grad():
        logits = vectors.model()(vectors.inputs, trace)
    assert trace.spikes.keys() == vectors.spikes.keys()
    for name, spikes in vectors.spikes.items():
        assert torch.equal(trace.spikes[name], spikes), name
        # What two orders of summation differ by could flip no neuron; attention's sums are exact, ties included.
        assert trace.margin[name] > 1e-9 or name.endswith("attention"), name
    torch.testing.assert_close(logits, vectors.logits, rtol=0, atol=1e-10)


def test_the_recordings_are_of_what_the_codes_differ_in():
    """Counts above 1 and an attention scale of 1/4; pools before the neurons."""
    dvs, cml = Vectors("authors-dvs"), Vectors("cml")
    assert dvs.inputs.max() > 7 and dvs.model().config.attention_scale == 0.25
    assert cml.model().config.pool_order == "before"
    for vectors, change in ((dvs, {"attention_scale": 0.125}), (cml, {"pool_order": "after"})):
        model = vectors.model()
        with torch.no_grad():
            logits = model.as_network(dataclasses.replace(model.config, **change))(vectors.inputs)
        assert (logits - vectors.logits).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_the_recording_tells_a_wrong_model(kind):
    """One weight that is off shows in the spikes and in the logits."""
    vectors = Vectors(kind)
    first = next(value for value in vectors.state.values() if value.shape[2:] == (3, 3) and value.shape[1] < 4)
    first[1, 0, 1, 1] += 1 / 8
    trace = Trace()
    with torch.no_grad():
        logits = vectors.model()(vectors.inputs, trace)
    assert not torch.equal(trace.spikes["conv0"], vectors.spikes["conv0"])
    assert (logits - vectors.logits).abs().max() > 1e-5
