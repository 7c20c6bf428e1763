"""An IP core whose Verilog is emitted once for all tests of this folder."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from hw.config import HardwareConfig
from hw.named_configs import MINI
from hw.parts.technology import Technology
from hw.verilog.c_header import c_header
from hw.verilog.emit import EmittedTexts
from sw.ip import package
from sw.ip.package import ip_files
from tests.hw.verilog.emitted import verilog_of


@pytest.fixture(scope="package", autouse=True)
def emitted_once() -> Iterator[None]:
    """Take what simulations use; that it is the same every time is a test of its own, tests/hw/verilog/test_emit.py."""

    def emit(config: HardwareConfig) -> EmittedTexts:
        description = json.dumps({"config": config.to_dict()}) + "\n"
        return EmittedTexts(config.name, verilog_of(config), description, c_header(config))

    def accelerator_verilog(config: HardwareConfig, *, technology: Technology) -> str:
        return verilog_of(config, technology)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "emit", emit)
        patch.setattr(package, "accelerator_verilog", accelerator_verilog)
        yield


@pytest.fixture(scope="package")
def files(emitted_once: None) -> dict[str, str]:
    """Texts of `MINI` with primitives of UltraScale+."""
    return ip_files(MINI)
