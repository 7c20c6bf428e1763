"""What every test begins with."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Start every test with the same global random numbers, whatever ran before it in the process."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
