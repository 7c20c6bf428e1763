"""Artifact files as somebody would read and write them who knows the format, and refusals of wrong ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from sw.artifact.file import load
from sw.errors import UserError
from sw.network import NetworkConfig
from sw.tensor_file import checksum

NETWORK = NetworkConfig(image_size=8, image_channels=2, classes=3, embed_dim=16, depth=1, heads=2)


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and tensors of a file."""
    with safe_open(path, framework="numpy") as stream:
        header = json.loads(stream.metadata()["spikeloom"])
        return header, {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118


def write(path: Path, header: object, tensors: dict[str, np.ndarray]) -> None:
    """Write a file with a checksum that is right where there must be one."""
    if isinstance(header, dict):
        header = {key: value for key, value in header.items() if key != "sha256"}
        if header.get("version") not in (1, 2, 3):
            header["sha256"] = checksum(header, tensors)
    save_file(tensors, path, metadata={"spikeloom": json.dumps(header)})


def refusal(path: Path) -> str:
    """What `load` says of the file at `path`, without its name."""
    with pytest.raises(UserError) as refused:
        load(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")
