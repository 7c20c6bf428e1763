"""Batches on several threads of one PyTorch thread each.

PyTorch splits every operation over its threads and makes them wait for each other, thousands of times an image. On a
machine that does other work besides, each wait lasts until the slowest thread gets its turn. Whole batches never wait.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
    """Results of `function` for `items`, in order, by as many threads as PyTorch has.

    If `function` raises, or the generator is closed, items that no thread has begun are dropped.

    Parameters
    ----------
    function : callable
        Runs in another thread; PyTorch lets other threads run while it computes.
    items : iterable
    """
    threads = torch.get_num_threads()
    executor = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from executor.map(function, items)
    finally:
        executor.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # the setting of a thread is also that of threads to come
