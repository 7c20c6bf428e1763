"""Emitted Verilog that several tests look at."""

from __future__ import annotations

import dataclasses
from functools import cache

from hw.named_configs import TINY
from hw.verilog.emit import accelerator_verilog

ALL_PARTS = dataclasses.replace(
    TINY, name="all-parts", outputs=8, inputs=16, weight_bits=8, memory_bits=128, time_chunks=2, tile_groups=32,
    attention_columns=4, attention_tables=4, spike_words=1024, residual_words=512,
)  # fmt: skip

verilog_of = cache(accelerator_verilog)
