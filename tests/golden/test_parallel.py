"""Batches run on several threads give the results of one, in order, and leave nothing behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from golden.evaluate import evaluate
from golden.model import GoldenModel
from golden.parallel import in_parallel
from golden.random_artifact import random_artifact, random_images
from sw.network import NetworkConfig

NETWORK = NetworkConfig(image_size=8, image_channels=3, classes=3, embed_dim=16, depth=2, heads=2)


@pytest.fixture(autouse=True)
def three_threads(one_thread: None) -> Iterator[None]:
    torch.set_num_threads(3)
    yield


def test_evaluate_equals_one_thread():
    artifact, images = random_artifact(NETWORK, 4, seed=21), random_images(NETWORK, 50, seed=22)
    torch.set_num_threads(1)
    expected = GoldenModel(artifact).run(images).predictions
    torch.set_num_threads(3)
    precision = torch.get_float32_matmul_precision()
    done: list[int] = []
    result = evaluate(artifact, images, expected, batch_size=3, bar=False, progress=done.append)
    assert torch.equal(result.predictions, expected)
    assert done == [*range(3, 49, 3), 50] and result.correct == 50
    assert torch.get_num_threads() == 3 and torch.get_float32_matmul_precision() == precision
    counted = evaluate(artifact, images, expected, batch_size=3, bar=False, count_operations=True)
    whole = evaluate(artifact, images, expected, batch_size=50, bar=False, count_operations=True)
    assert counted.operations == whole.operations


def test_results_come_in_order_from_threads_of_one_thread_each():
    def slower_first(number: int) -> tuple[int, int, int]:
        time.sleep(0.05 if number == 0 else 0)
        return number, torch.get_num_threads(), threading.get_ident()

    numbers, inside, idents = zip(*in_parallel(slower_first, range(20)), strict=True)
    assert numbers == tuple(range(20))
    assert set(inside) == {1} and threading.get_ident() not in idents
    assert torch.get_num_threads() == 3


def test_an_error_drops_what_has_not_begun():
    begun: list[int] = []

    def fail_late(number: int) -> int:
        begun.append(number)
        time.sleep(0.01)
        if number == 5:
            raise RuntimeError("of item 5")
        return number

    with pytest.raises(RuntimeError, match="of item 5"):
        list(in_parallel(fail_late, range(1000)))
    assert len(begun) < 100
    assert torch.get_num_threads() == 3


def test_closing_drops_what_has_not_begun():
    begun: list[int] = []

    def note(number: int) -> int:
        begun.append(number)
        time.sleep(0.01)
        return number

    before = set(threading.enumerate())  # whoever runs tests beside this one may have threads of its own
    results = in_parallel(note, range(1000))
    assert next(results) == 0
    results.close()
    assert len(begun) < 100
    assert set(threading.enumerate()) <= before
