"""Packs images into the words that the accelerator loads: 3x3 patches, bit-planes, positions in the time-step lanes."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hw.config import IMAGE_PLANES, HardwareConfig
from hw.integers import ceil_div
from sw.artifact.artifact import Artifact
from sw.data.image_table import check_counts, lookup
from sw.errors import UserError
from sw.layer import Layer

TAPS = 9
WORD_BITS = 64
"""Bits of the unsigned integers that memory images are made of."""


def pack_bits(bits: NDArray[np.uint8], row_bits: int, beat_bits: int = WORD_BITS) -> NDArray[np.uint64]:
    """Pack rows of bits into 64-bit integers, bit 0 first, each row padded to whole beats.

    Parameters
    ----------
    bits : uint8 array [rows, row_bits]
    row_bits : int
    beat_bits : int
        A multiple of 64.

    Returns
    -------
    uint64 array [rows * ceil(row_bits / beat_bits) * beat_bits / 64]
    """
    padded = np.zeros((bits.shape[0], ceil_div(row_bits, beat_bits) * beat_bits), np.uint8)
    padded[:, :row_bits] = bits
    return np.packbits(padded, axis=1, bitorder="little").reshape(-1).view("<u8")


def image_groups(config: HardwareConfig, positions: int) -> int:
    """Words of one plane and slice of so many positions: each holds ``positions * timesteps`` of them."""
    return ceil_div(positions, config.lanes)


def plane_words(config: HardwareConfig, layer: Layer, positions: int, time_chunks: int) -> int:
    """Words of one plane and slice of so many positions of the input.

    Event frames have as many words per position group as time chunks, like everything but an image.
    """
    if layer.source == "image":
        return image_groups(config, positions)
    return ceil_div(positions, config.positions) * time_chunks


def pack_image(
    artifact: Artifact, config: HardwareConfig, image: NDArray[np.uint8], strips: Sequence[range]
) -> NDArray[np.uint64]:
    """Pack one image.

    The first convolution becomes a matrix product: every position gets its 3x3 patch as ``9 * channels`` inputs (tap
    by tap, channels fastest, zero outside). The image is the same at every time step, so the time-step lanes carry
    further positions: lane ``t`` of group ``g`` holds the positions ``(g * timesteps + t) * positions`` and following.

    Event frames differ from time step to time step: the lanes carry them, and a position group has a word for each time
    chunk. They have as many planes as their counts have bits.

    Parameters
    ----------
    artifact : Artifact
        Gives the image table and the shape.
    config : HardwareConfig
        Gives the word.
    image : uint8 array [channels, size, size], of event frames [T, channels, size, size]
    strips : sequence of range
        Rows that are loaded together, in their order; they may overlap.

    Returns
    -------
    uint64 array
        Per strip words ``[plane][slice][group]`` (``[plane][slice][group][time chunk]``) of
        ``[positions][timesteps][inputs]`` bits, inputs fastest, whole beats each; the lowest plane first.

    Raises
    ------
    UserError
        If the image's shape or type is another, or counts are above the network's range.
    """
    network = artifact.network
    expected = network.input_shape
    if image.dtype != np.uint8 or image.shape != expected:
        raise UserError(
            f"image is {image.dtype} {list(image.shape)}, the network takes uint8 {list(expected)}: "
            "give unsigned 8-bit pixels, channels first, of that size"
        )
    try:
        check_counts(image, network)
    except ValueError as error:
        raise UserError(str(error)) from error
    frames = image if network.events else image[None]
    channels, size = frames.shape[1:3]
    quantised = lookup(artifact.image_table, frames).swapaxes(0, 1)
    padded = np.pad(quantised, ((0, 0), (0, 0), (1, 1), (1, 1)))
    patches = np.stack([padded[..., y : y + size, x : x + size] for y in range(3) for x in range(3)])
    inputs = patches.reshape(TAPS * channels, len(frames), size, size).view(np.uint8)
    pack = functools.partial(_pack_events, planes=network.event_bits) if network.events else _pack_strip
    return np.concatenate([pack(config, inputs[:, :, rows.start : rows.stop]) for rows in strips])


def _bit_planes(values: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """The lowest `count` bits of each value, along a first axis, the lowest first."""
    shifts = np.arange(count, dtype=np.uint8).reshape(-1, *[1] * values.ndim)
    return (values[None] >> shifts).astype(np.uint8) & np.uint8(1)


def _pack_events(config: HardwareConfig, inputs: NDArray[np.uint8], *, planes: int) -> NDArray[np.uint64]:
    """Pack the patches ``[inputs, T, rows, columns]`` of a strip of event frames."""
    flat = inputs.reshape(*inputs.shape[:2], -1)
    slices, chunks = ceil_div(flat.shape[0], config.inputs), ceil_div(flat.shape[1], config.timesteps)
    groups = ceil_div(flat.shape[2], config.positions)
    full = np.zeros((slices * config.inputs, chunks * config.timesteps, groups * config.positions), np.uint8)
    full[: flat.shape[0], : flat.shape[1], : flat.shape[2]] = flat
    # [plane, slice, i, chunk, t, group, p] -> [plane, slice, group, chunk, p, t, i]
    shape = (planes, slices, config.inputs, chunks, config.timesteps, groups, config.positions)
    words = _bit_planes(full, planes).reshape(shape).transpose(0, 1, 5, 3, 6, 4, 2)
    return pack_bits(words.reshape(-1, config.group_bits), config.group_bits, config.memory_bits)


def _pack_strip(config: HardwareConfig, inputs: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Pack the patches ``[inputs, 1, rows, columns]`` of a strip of an image."""
    inputs = inputs.reshape(len(inputs), -1)
    slices, groups = ceil_div(inputs.shape[0], config.inputs), image_groups(config, inputs.shape[1])
    full = np.zeros((slices * config.inputs, groups * config.lanes), np.uint8)
    full[: inputs.shape[0], : inputs.shape[1]] = inputs
    # [plane, slice, i, group, t, p] -> [plane, slice, group, p, t, i]
    shape = (IMAGE_PLANES, slices, config.inputs, groups, config.timesteps, config.positions)
    words = _bit_planes(full, IMAGE_PLANES).reshape(shape).transpose(0, 1, 3, 5, 4, 2)
    return pack_bits(words.reshape(-1, config.group_bits), config.group_bits, config.memory_bits)
