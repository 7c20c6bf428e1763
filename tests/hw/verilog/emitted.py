"""Emitted Verilog that several tests look at."""

from __future__ import annotations

import dataclasses
import re
from functools import cache

from hw.config import HardwareConfig
from hw.named_configs import TINY
from hw.parts.technology import Technology
from hw.verilog.description import TOP
from sim.runner import BUILD_FOLDER, emitted_verilog

ALL_PARTS = dataclasses.replace(
    TINY, name="all-parts", outputs=8, inputs=16, weight_bits=8, memory_bits=128, time_chunks=2, tile_groups=32,
    attention_columns=4, attention_tables=4, spike_words=8192, residual_words=512, pool_before=True,
    if_neurons=True,
)  # fmt: skip
"""With every option, and with UltraRAM in a cascade, where there is any."""


@cache
def verilog_of(config: HardwareConfig, technology: Technology = Technology.PORTABLE) -> str:
    """Verilog of a configuration as it is simulated, emitted once."""
    return emitted_verilog(config, BUILD_FOLDER, technology)


def declared_ports(verilog: str) -> dict[str, tuple[str, int]]:
    """Direction and width by name, of the top module."""
    body = verilog[verilog.index(f"module {TOP}(") :].split("endmodule", 1)[0]
    ports = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", body, re.MULTILINE)
    return {name: (direction, int(high or 0) + 1) for direction, high, name in ports}
