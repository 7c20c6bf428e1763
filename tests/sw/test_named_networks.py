"""The paper's configurations have the paper's sizes."""

from __future__ import annotations

import pytest
import torch

from golden.accounting.operations import paper_macs
from sw.errors import UserError
from sw.model.spikformer import Spikformer
from sw.named_networks import NAMED_NETWORKS, named_network

PARAMETERS = {
    "spikformer-4-256": 4_155_178,
    "spikformer-2-384": 5_765_050,
    "spikformer-4-384": 9_324_730,
    "spikformer-8-384": 16_816_024,
    "spikformer-6-512": 23_373_352,
    "spikformer-8-512": 29_689_384,
    "spikformer-10-512": 36_005_416,
    "spikformer-8-768": 66_338_632,
    "spikformer-2-256": 2_566_666,  # the paper's table says 2.57 million
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_the_papers(name):
    with torch.device("meta"):
        model = Spikformer(named_network(name))
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]


def test_every_network_is_tested_and_named_after_its_shape():
    assert NAMED_NETWORKS.keys() == PARAMETERS.keys()
    for name, network in NAMED_NETWORKS.items():
        assert name == f"spikformer-{network.depth}-{network.embed_dim}"
        assert network.tokens == (64 if network.image_size in (32, 128) else 196)
        assert network.events == (network.image_channels == 2)


@pytest.mark.parametrize(
    ("name", "macs"),
    [("spikformer-4-256", 418_217_984), ("spikformer-4-384", 934_035_456), ("spikformer-8-512", 8_358_920_192)],
)
def test_dense_macs_are_the_papers(name, macs):
    assert paper_macs(named_network(name)) == macs


def test_name_wrong():
    with pytest.raises(UserError, match=r"^unknown network 'spikformer-3-256'; choose one of spikformer-4-256, "):
        named_network("spikformer-3-256")
