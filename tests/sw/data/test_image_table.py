"""Pixels are looked up in their channel's row, whatever library holds them and whatever axes come first."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sw.data.image_table import lookup


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 5), (2, 6, 3, 4, 5), (1, 4, 4)])
def test_every_pixel_is_looked_up_in_the_row_of_its_channel(shape):
    rng = np.random.default_rng(len(shape))
    pixels = rng.integers(0, 256, shape).astype(np.uint8)
    table = rng.integers(-127, 128, (shape[-3], 256)).astype(np.int8)
    expected = np.array([table[place[-3], pixel] for place, pixel in np.ndenumerate(pixels)]).reshape(shape)
    found = lookup(table, pixels)
    assert found.dtype == np.int8 and np.array_equal(found, expected)
    tensor = lookup(torch.tensor(table), torch.tensor(pixels).long())
    assert tensor.dtype == torch.int8 and np.array_equal(tensor.numpy(), expected)
