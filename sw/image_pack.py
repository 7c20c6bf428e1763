"""Packs images into the words that the accelerator loads: 3x3 patches, bit-planes, time-step lanes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hw.config import IMAGE_PLANES, MEMORY_BEAT_BITS, HardwareConfig
from sw.artifact import Artifact
from sw.errors import UserError

TAPS = 9


def pack_bits(bits: NDArray[np.uint8], word_bits: int) -> NDArray[np.uint64]:
    """Pack rows of bits into 64-bit beats, bit 0 first, each row padded to whole beats.

    Parameters
    ----------
    bits : uint8 array [rows, word_bits]
    word_bits : int

    Returns
    -------
    uint64 array [rows * ceil(word_bits / 64)]
    """
    beats = -(-word_bits // MEMORY_BEAT_BITS)
    padded = np.zeros((bits.shape[0], beats * MEMORY_BEAT_BITS), np.uint8)
    padded[:, :word_bits] = bits
    return np.packbits(padded, axis=1, bitorder="little").reshape(-1).view("<u8")


def pack_image(artifact: Artifact, config: HardwareConfig, image: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Pack one image.

    The first convolution becomes a matrix product: every position gets its 3x3 patch as ``9 * channels`` inputs (tap
    by tap, channels fastest, zero outside). Time-step lane ``t`` carries bit-planes ``t * passes + r`` of the signed
    8-bit inputs, so that all lanes together need ``8 / timesteps`` passes instead of 8.

    Parameters
    ----------
    artifact : Artifact
        Gives the image table and the shape.
    config : HardwareConfig
        Gives the word.
    image : uint8 array [channels, size, size]

    Returns
    -------
    uint64 array
        Words ``[r][slice][group]`` of ``[positions][timesteps][inputs]`` bits, inputs fastest, whole beats each.

    Raises
    ------
    UserError
        If the image's shape or type is another.
    """
    network = artifact.network
    expected = (network.image_channels, network.image_size, network.image_size)
    if image.dtype != np.uint8 or image.shape != expected:
        raise UserError(
            f"image is {image.dtype} {list(image.shape)}, the network takes uint8 {list(expected)}: "
            "give unsigned 8-bit pixels, channels first, of that size"
        )
    channels, size, _ = expected
    quantised = np.stack([artifact.image_table[c][image[c]] for c in range(channels)])
    padded = np.pad(quantised, ((0, 0), (1, 1), (1, 1)))
    patches = np.stack([padded[:, y : y + size, x : x + size] for y in range(3) for x in range(3)])
    inputs = patches.reshape(TAPS * channels, size * size).view(np.uint8)

    slices = -(-inputs.shape[0] // config.inputs)
    groups = -(-inputs.shape[1] // config.positions)
    full = np.zeros((slices * config.inputs, groups * config.positions), np.uint8)
    full[: inputs.shape[0], : inputs.shape[1]] = inputs
    planes = (full[None] >> np.arange(IMAGE_PLANES, dtype=np.uint8)[:, None, None]) & 1
    # [t, r, slice, i, group, p] -> [r, slice, group, p, t, i]
    shape = (config.timesteps, config.image_passes, slices, config.inputs, groups, config.positions)
    words: NDArray[np.uint8] = planes.astype(np.uint8).reshape(shape).transpose(1, 2, 4, 5, 0, 3)
    return pack_bits(words.reshape(-1, config.group_bits), config.group_bits)
