"""What the tests of components share: a clocked run, an external memory, the order in which neurons see a layer."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator

from hw.config import HardwareConfig
from hw.isa import Destination

CHANNEL_ORDER = (Destination.KEYS, Destination.VALUES, Destination.LOGITS)
"""Destinations whose batches come channel by channel."""


def simulate(dut: Elaboratable, bench: Callable[[Any], Any], *background: Callable[[Any], Any]) -> None:
    """Run `bench` to its end beside endless `background` processes.

    Processes drive their inputs at the start of a cycle and look at outputs by ``tick().sample(...)`` only, at its end:
    their order does not matter.
    """
    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    for process in background:
        simulator.add_testbench(process, background=True)
    simulator.add_testbench(bench)
    simulator.run()


class MemoryModel:
    """External memory behind a `MemoryPort`: answers in order, from the cycle after a request on.

    Parameters
    ----------
    port : interface
        The component's port.
    read : callable
        Beat by address.
    seed, request_rate, response_rate : int, float, float
        Chance of accepting a request and of offering a beat in a cycle; an offered beat stays until it is taken.
    """

    def __init__(
        self,
        port: Any,
        read: Callable[[int], int],
        *,
        seed: int = 0,
        request_rate: float = 1.0,
        response_rate: float = 1.0,
    ):
        self._port, self._read, self._rng = port, read, random.Random(seed)
        self._request_rate, self._response_rate = request_rate, response_rate
        self.requests: list[tuple[int, int]] = []
        """Address and beats of every burst accepted."""

    async def process(self, ctx: Any) -> None:
        request, response, rng = self._port.request, self._port.response, self._rng
        beats: deque[int] = deque()
        offered = False
        while True:
            accept = rng.random() < self._request_rate
            offered = offered or (bool(beats) and rng.random() < self._response_rate)
            ctx.set(request.ready, accept)
            ctx.set(response.valid, offered)
            ctx.set(response.payload, self._read(beats[0]) if offered else rng.getrandbits(64))
            _, _, valid, payload, ready = await ctx.tick().sample(request.valid, request.payload, response.ready)
            if offered and ready:
                beats.popleft()
                offered = False
            if accept and valid:
                self.requests.append((payload.address, payload.length + 1))
                beats.extend(range(payload.address, payload.address + payload.length + 1))


def random_stream(stream: Any, payloads: Sequence[int], *, seed: int, rate: float) -> Callable[[Any], Any]:
    """Process that sends `payloads`, each offered with chance `rate` and then held until it is taken."""

    async def process(ctx: Any) -> None:
        rng = random.Random(seed)
        for payload in payloads:
            while rng.random() >= rate:
                ctx.set(stream.valid, 0)
                await ctx.tick()
            ctx.set(stream.valid, 1)
            ctx.set(stream.payload, payload)
            while not (await ctx.tick().sample(stream.ready))[2]:
                pass
        ctx.set(stream.valid, 0)

    return process


def tile_fields(config: HardwareConfig, positions: int, tile_groups: int) -> dict[str, int]:
    """Descriptor fields that cut `positions` into tiles of `tile_groups` groups, the last one shorter."""
    groups = -(-positions // config.positions)
    tiles = -(-groups // tile_groups)
    return {
        "positions": positions,
        "groups": groups,
        "tiles": tiles,
        "tile_groups": tile_groups,
        "last_tile_groups": groups - (tiles - 1) * tile_groups,
    }


@dataclass(frozen=True)
class Batch:
    """One batch of `neurons` channels of a position group, as it leaves the partial sums.

    Attributes
    ----------
    cycle : int
        From the first batch of its tile.
    output_tile, tile, group, batch : int
        Where it is read: `group` inside the position tile, `batch` inside the output tile.
    first_channel, first_position : int
        What it is: its lowest channel and position of the layer.
    members : dict
        Fields of `batch_layout`.
    """

    cycle: int
    output_tile: int
    tile: int
    group: int
    batch: int
    first_channel: int
    first_position: int
    members: dict[str, int]


def word_cycles(config: HardwareConfig, fields: Mapping[str, Any]) -> int:
    """Cycles that the neurons give a word, or a channel batch."""
    if fields["destination"] in CHANNEL_ORDER:
        return fields["tile_groups"] + config.neurons
    return max(config.inputs // config.neurons, fields.get("residual_planes_out", 0))


def tile_batches(config: HardwareConfig, fields: Mapping[str, Any], output_tile: int, tile: int) -> Iterator[Batch]:
    """Batches of one tile of partial sums in the order of `Neurons`, from the loops that its docstring states."""
    per_word = config.inputs // config.neurons
    words = fields["last_tile_words"] if output_tile == fields["output_tiles"] - 1 else fields["tile_words"]
    groups = fields["last_tile_groups"] if tile == fields["tiles"] - 1 else fields["tile_groups"]
    if fields["destination"] in CHANNEL_ORDER:
        order = [(word, sub, group) for word in range(words) for sub in range(per_word) for group in range(groups)]
        pace = groups + config.neurons
    else:
        order = [(word, sub, group) for group in range(groups) for word in range(words) for sub in range(per_word)]
        pace = word_cycles(config, fields)
    tile_address = output_tile * fields["tile_words"] * fields["destination_slice_stride"]
    for word, sub, group in order:
        batch, at = word * per_word + sub, tile * fields["tile_groups"] + group
        members = {
            "valid": 1,
            "channel": output_tile * config.outputs + batch * config.neurons,
            "tile": tile,
            "first_group": int(group == 0),
            "last_group": int(group == groups - 1),
            "lanes": sum(
                1 << lane for lane in range(config.positions) if at * config.positions + lane < fields["positions"]
            ),
        }
        if fields["destination"] in CHANNEL_ORDER:
            cycle = batch * pace + group
        else:
            cycle = (group * words + word) * pace + sub
            members |= {
                "sub": sub,
                "word_end": int(sub == per_word - 1),
                "address": tile_address + word * fields["destination_slice_stride"] + at,
                "tile_address": tile_address,
            }
        yield Batch(
            cycle=cycle,
            output_tile=output_tile,
            tile=tile,
            group=group,
            batch=batch,
            first_channel=members["channel"],
            first_position=at * config.positions,
            members=members,
        )


def layer_batches(config: HardwareConfig, fields: Mapping[str, Any]) -> Iterator[Batch]:
    """Batches of a whole layer, tile after tile."""
    for output_tile in range(fields["output_tiles"]):
        for tile in range(fields["tiles"]):
            yield from tile_batches(config, fields, output_tile, tile)


def tile_duration(config: HardwareConfig, fields: Mapping[str, Any], output_tile: int, tile: int) -> int:
    """Cycles from the first batch of a tile to the first one of the next, if that waits."""
    words = fields["last_tile_words"] if output_tile == fields["output_tiles"] - 1 else fields["tile_words"]
    groups = fields["last_tile_groups"] if tile == fields["tiles"] - 1 else fields["tile_groups"]
    if fields["destination"] in CHANNEL_ORDER:
        return words * (config.inputs // config.neurons) * (groups + config.neurons)
    return groups * words * word_cycles(config, fields)
