"""What every test begins with."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

torch.set_num_threads(1)  # what runs beside a test has the other cores; sums come out as on any machine


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Start every test with the same global random numbers, whatever ran before it in the process."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many networks the configurations of `test_random_pairs` refused: they are not among the pairs."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    calls = [report for report in reports if getattr(report, "when", "") == "call"]
    refused = [count for report in calls for name, count in report.user_properties if name == "refused"]
    if refused:
        terminalreporter.write_line(f"{len(refused)} random pairs, {sum(refused)} more were refused")
