"""Named signals in the core that a testbench observes; nothing reads them, so synthesis drops them."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned

from hw.attention.attention import Attention
from hw.config import HardwareConfig
from hw.descriptor import ADDRESS_BITS, DESCRIPTOR
from hw.memory.spike_memory import SpikeMemory
from hw.neurons.head import LOGIT_BITS, Head
from hw.program.dispatcher import Dispatcher
from hw.writeback.writeback import Writeback

LAYER_BITS = DESCRIPTOR["layer"].width
CHUNK_BITS = 8
"""Width of a token chunk with its time chunk, in any configuration."""

CHANNEL_BITS = 12
"""Width of a channel of a head, in any configuration."""

CLASS_BITS = 8
"""Width of a class's index, in any configuration."""


def add_trace_points(m: Module, points: dict[str, tuple[Value, int]]) -> None:
    """Add a signal ``trace_<name>`` for every point, of so many bits."""
    for name, (value, width) in points.items():
        m.d.comb += Signal(unsigned(width), name=f"trace_{name}").eq(value)


def piece_points(config: HardwareConfig, writeback: Writeback) -> dict[str, tuple[Value, int]]:
    """Pieces of spikes as the neurons fire them, before pool and residual."""
    return {
        "neuron_valid": (writeback.piece_valid, 1),
        "neuron_layer": (writeback.layer, LAYER_BITS),
        "neuron_data": (writeback.piece_spikes, config.lanes * config.piece),
    }


def spike_points(
    config: HardwareConfig, spikes: SpikeMemory, writeback: Writeback, attention: Attention, attention_layer: Value
) -> dict[str, tuple[Value, int]]:
    """Writes into the spike memory. A load writes under the number 0."""
    by_attention_or_load = Mux(attention.write.valid, attention_layer, 0)
    layer = Mux(writeback.spike_write.valid, writeback.spike_layer, by_attention_or_load)
    return _write_points("spike", config, spikes, layer)


def residual_points(
    config: HardwareConfig, residual: SpikeMemory, writeback: Writeback
) -> dict[str, tuple[Value, int]]:
    """Writes into the residual memory."""
    return _write_points("residual", config, residual, writeback.residual_layer)


def token_points(config: HardwareConfig, writeback: Writeback) -> dict[str, tuple[Value, int]]:
    """Words of K and V."""
    token = writeback.token_write
    chunk = Cat(token.chunk, token.time_chunk) if config.time_chunks > 1 else token.chunk
    return {
        "token_valid": (token.valid, 1),
        "token_layer": (writeback.token_layer, LAYER_BITS),
        "token_value": (token.is_value, 1),
        "token_channel": (token.channel, CHANNEL_BITS),
        "token_chunk": (chunk, CHUNK_BITS),
        "token_data": (token.data, config.timesteps * config.chunk_tokens),
    }


def logit_points(head: Head, dispatcher: Dispatcher) -> dict[str, tuple[Value, int]]:
    """Finished logits."""
    return {
        "logit_valid": (head.valid, 1),
        "logit_layer": (dispatcher.neurons.descriptor.layer, LAYER_BITS),
        "logit_index": (head.index, CLASS_BITS),
        "logit_data": (head.logit, LOGIT_BITS),
    }


def _write_points(
    prefix: str, config: HardwareConfig, store: SpikeMemory, layer: Value
) -> dict[str, tuple[Value, int]]:
    write = store.write
    return {
        f"{prefix}_valid": (write.valid, 1),
        f"{prefix}_layer": (layer, LAYER_BITS),
        f"{prefix}_address": (write.address, ADDRESS_BITS),
        f"{prefix}_banks": (write.banks, config.positions),
        f"{prefix}_pieces": (write.pieces, config.word_pieces),
        f"{prefix}_data": (write.data, config.group_bits),
    }
