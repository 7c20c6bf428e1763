"""Training in several processes, as ``torchrun`` starts them: each takes a part of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from sw.errors import UserError


@dataclass(frozen=True)
class Processes:
    """Who trains.

    Attributes
    ----------
    device : torch.device
        Of this process.
    rank, count : int
        This process and all of them; process 0 writes what a run leaves behind.
    """

    device: torch.device
    rank: int = 0
    count: int = 1

    @classmethod
    def start(cls, device: str | None = None) -> Processes:
        """Join the processes that ``torchrun`` announces in the environment; without it this one is alone.

        Parameters
        ----------
        device : str, optional
            ``cpu`` or ``cuda``; by default CUDA where there is some, one device for each process of a machine.

        Raises
        ------
        UserError
            If there is no such device.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("PyTorch sees no CUDA device here; train with --device cpu, or install a build for yours")
        kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
        chosen = torch.device(kind, int(os.environ.get("LOCAL_RANK", "0"))) if kind == "cuda" else torch.device(kind)
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
            torch.backends.cudnn.benchmark = True  # shapes are few and stay
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return cls(chosen)
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if kind == "cuda" else "gloo")
        return cls(chosen, distributed.get_rank(), count)

    def name(self) -> str:
        """What trains: the device, and how many of them if there are several."""
        device = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        return device if self.count == 1 else f"{self.count} x {device}"

    def average(self, gradients: Iterable[Tensor]) -> None:
        """Replace gradients by their mean over all processes."""
        if self.count == 1:
            return
        tensors = list(gradients)
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(flat)
        flat /= self.count
        for tensor, mean in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def agree(self, flag: bool) -> bool:
        """Whether any process says so."""
        if self.count == 1:
            return flag
        votes = torch.tensor(int(flag), device=self.device)
        distributed.all_reduce(votes)
        return bool(votes)

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Process 0 does the body before the others: it fetches what they then find."""
        if self.rank > 0:
            self.wait()
        yield
        if self.rank == 0:
            self.wait()

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            distributed.barrier()

    def share_totals(self, totals: Tensor) -> Tensor:
        """Sum over all processes."""
        if self.count > 1:
            distributed.all_reduce(totals)
        return totals

    def share_buffers(self, model: nn.Module) -> None:
        """Give every process the batch norm statistics of process 0."""
        if self.count > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, 0)
