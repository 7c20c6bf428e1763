"""The configurations that have names: what is simulated, synthesised and measured."""

from __future__ import annotations

import dataclasses

from hw.config import HardwareConfig

TINY = HardwareConfig(
    name="tiny", outputs=8, inputs=4, positions=2, timesteps=4, neurons=2, program_beats=1024, tile_groups=16,
    attention_columns=2, attention_planes=7, spike_words=4096, residual_words=2048,
    token_chunks=4, head_channels=32,
)  # fmt: skip
"""256 operations per cycle: tests and small FPGAs."""

BASE = HardwareConfig(
    name="base", outputs=16, inputs=8, positions=1, timesteps=4, neurons=2, program_beats=2048,
    attention_columns=4, spike_words=16384, residual_words=4096, token_chunks=4,
)  # fmt: skip
"""512 operations per cycle: Spikformer-2-64 on 28x28 and 32x32 images."""

LARGE = HardwareConfig(
    name="large", outputs=16, inputs=32, positions=2, timesteps=4, neurons=2, weight_bits=8, memory_bits=128,
    program_beats=4096, attention_columns=4, attention_tables=4, spike_words=20480,
    residual_words=8192, token_chunks=4, max_layers=128, max_classes=1024,
)  # fmt: skip
"""4,096 operations per cycle."""

HUGE = HardwareConfig(
    name="huge", outputs=16, inputs=32, positions=4, timesteps=4, neurons=2, weight_bits=8, memory_bits=128,
    program_beats=4096, tile_groups=16, attention_columns=4, attention_tables=4,
    spike_words=10240, residual_words=4096, token_chunks=4, max_layers=128, max_classes=1024,
)  # fmt: skip
"""8,192 operations per cycle: the memories of `LARGE` beside twice its lanes."""

MINI = HardwareConfig(
    name="mini", outputs=4, inputs=4, positions=1, timesteps=4, neurons=1, program_beats=512, tile_groups=16,
    attention_columns=1, attention_planes=7, spike_words=2048, residual_words=1024, token_chunks=4,
    head_channels=16, max_layers=32,
)  # fmt: skip
"""64 operations per cycle: every part of the others, small enough that place and route takes minutes."""

BASE_ANY = dataclasses.replace(
    BASE,
    name="base-any",
    spike_words=20480,
    residual_words=8192,
    token_chunks=8,
    time_chunks=4,
    pool_before=True,
    if_neurons=True,
)
"""`BASE` with every option: up to 16 time steps, pools before neurons, neurons without leak. Spikformer-1-64 on event
frames of 128x128 fits it."""

LARGE_ANY = dataclasses.replace(LARGE, name="large-any", time_chunks=3, pool_before=True, if_neurons=True)
"""`LARGE` with every option; up to 12 time steps, for its thresholds are wider."""

CONFIGS = {config.name: config for config in (MINI, TINY, BASE, LARGE, HUGE, BASE_ANY, LARGE_ANY)}
"""Named configurations."""
