"""Consumers of what a program reader takes apart."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR
from hw.host.registers import ErrorCause
from hw.named_configs import TINY
from hw.program.reader import ProgramReader
from tests.hw.benches import Inputs, MemoryModel, simulate
from tests.hw.programs import Layer, assemble, enclosed

ADDRESS = 3000
SMALL = dataclasses.replace(TINY, name="small", program_beats=256)


def descriptors_of(layers: list[Layer]) -> list[int]:
    """Their bits, less those behind the last field."""
    return [layer.descriptor & (1 << DESCRIPTOR.size) - 1 for layer in layers]


class Bench:
    """Consumers of one reader.

    Weights are taken in runs of `chunk` beats with pauses of up to `pause` cycles between them; a descriptor after up
    to `pause` cycles; an output tile is drained up to `pause` cycles after its last weight.
    """

    def __init__(
        self,
        config: HardwareConfig,
        *,
        seed: int = 0,
        pause: int = 0,
        chunk: int = 1,
        memory_rate: float = 1.0,
        **memory,
    ):
        self.config, self.pause, self.chunk, self.rng = config, pause, chunk, random.Random(seed)
        self.dut = ProgramReader(config)
        self.stream: list[int] = []
        self.memory = MemoryModel(
            self.dut.memory, self.read, seed=seed, request_rate=memory_rate, response_rate=memory_rate, **memory
        )
        self.drain = self.accept = True
        """Whether output tiles are drained, and descriptors accepted, at all."""
        self.tiles_before = 0
        """Output tiles of earlier jobs whose parameters were written: buffers alternate across jobs."""
        self.interrupted = False
        """Jobs were interrupted: any buffer may be the first one."""
        self.parameters: list[tuple[int, int]] = []
        self.clear()

    def clear(self) -> None:
        self.tiles_before += len(self.parameters) // self.config.parameter_beats
        self.descriptors: list[int] = []
        self.parameters = []
        self.weights: list[tuple[int, int]] = []
        self.errors: list[ErrorCause] = []
        # Cycles from `start`.
        self.offered: list[int] = []
        self.accepted: list[int] = []
        self.written: list[int] = []
        self.taken: list[int] = []
        self.drained: list[int] = []
        self.failed: list[int] = []
        self.ready_from: list[int] = []
        """Of every run of weights."""

    def read(self, address: int) -> int:
        """Beats behind the program are none of it."""
        place = address - ADDRESS
        return self.stream[place] if place < len(self.stream) else 0

    async def job(
        self, ctx: Any, layers: list[Layer], *, stream: list[int] | None = None, length: int | None = None,
        program: list[int] | None = None, behind: int = 0, limit: int,
    ) -> None:  # fmt: skip
        """Start and run until all of the program came, or for `limit` cycles after the last thing that came.

        `stream` is what lies between header and CRC in place of the layers, `program` all of it.
        """
        dut, rng = self.dut, self.rng
        self.clear()
        stream = assemble(self.config, layers) if stream is None else stream
        self.stream = enclosed(self.config, stream, behind=behind) if program is None else program
        per_tile = [len(layer.delivered()) // len(layer.weights) for layer in layers for _ in layer.weights]
        ends = [sum(per_tile[: tile + 1]) for tile in range(len(per_tile))]
        expected = (len(layers), sum(len(p) for layer in layers for p in layer.parameters), ends[-1] if ends else 0)
        self.ready_from = [1 + rng.randint(0, self.pause)]
        left, is_offered, pause, quiet = self.chunk, False, 0, 0
        ctx.set(dut.address, ADDRESS)
        ctx.set(dut.length, len(self.stream) if length is None else length)
        ctx.set(dut.start, 1)
        cycle = 0
        inputs = Inputs(ctx, dut.descriptor.ready, dut.weights.ready, dut.output_tile_drained)
        ticks = aiter(
            ctx.tick().sample(
                dut.descriptor.valid, dut.descriptor.payload.as_value(),
                dut.parameters.valid, dut.parameters.index, dut.parameters.data,
                dut.weights.valid, dut.weights.payload, dut.unsigned_weights, dut.failed, dut.error,
            )
        )  # fmt: skip
        while quiet < limit:
            weights_ready = cycle >= self.ready_from[-1]
            tile = len(self.drained)
            drain = (
                self.drain and tile < len(ends) and len(self.taken) >= ends[tile] and rng.randint(0, self.pause) == 0
            )
            # Without pauses a descriptor is accepted in the first cycle of its offer.
            accept = self.accept and (self.pause == 0 or (is_offered and pause == 0))
            pause -= is_offered
            inputs.drive(accept, weights_ready, drain)
            _, _, offered, descriptor, write, index, data, valid, payload, low, failed, error = await anext(ticks)
            quiet += 1
            if not cycle:
                ctx.set(dut.start, 0)
            if cycle:  # what was running before ends with `start`
                if offered and not is_offered:
                    self.offered.append(cycle)
                    pause = rng.randint(0, self.pause)
                is_offered = bool(offered)
                if offered and accept:
                    self.descriptors.append(descriptor)
                    self.accepted.append(cycle)
                    is_offered, quiet = False, 0
                if write:
                    self.parameters.append((index, data))
                    self.written.append(cycle)
                    quiet = 0
                if valid and weights_ready:
                    self.weights.append((payload, low))
                    self.taken.append(cycle)
                    left, quiet = left - 1, 0
                    if left == 0:
                        left = self.chunk
                        self.ready_from.append(cycle + 1 + rng.randint(0, self.pause))
                if drain:
                    self.drained.append(cycle)
                if failed:
                    self.errors.append(ErrorCause(error))
                    self.failed.append(cycle)
            cycle += 1
            if layers and (len(self.descriptors), len(self.parameters), len(self.weights)) == expected:
                break
        inputs.drive(0, 0, 0)

    def run(self, layers: list[Layer], limit: int = 1500, **options: Any) -> None:
        async def process(ctx: Any) -> None:
            await self.job(ctx, layers, limit=limit, **options)

        simulate(self.dut, process, self.memory.process)

    def expected_parameters(self, layers: list[Layer]) -> list[tuple[int, int]]:
        buffer = 1 << (self.config.parameter_beats - 1).bit_length()
        tiles = [tile for layer in layers for tile in layer.parameters]
        if self.interrupted and self.parameters:
            self.tiles_before = self.parameters[0][0] // buffer
        return [
            (number % 2 * buffer + n, beat)
            for number, tile in enumerate(tiles, self.tiles_before)
            for n, beat in enumerate(tile)
        ]

    def assert_complete(self, layers: list[Layer]) -> None:
        assert self.errors == []
        assert self.descriptors == descriptors_of(layers)
        assert self.parameters == self.expected_parameters(layers)
        assert self.weights == [beat for layer in layers for beat in layer.delivered()]

    def assert_prefix(self, layers: list[Layer]) -> None:
        """What came is a beginning of the program."""
        assert self.descriptors == descriptors_of(layers)[: len(self.descriptors)]
        assert self.parameters == self.expected_parameters(layers)[: len(self.parameters)]
        weights = [beat for layer in layers for beat in layer.delivered()]
        assert self.weights == weights[: len(self.weights)]
