"""One step of the optimiser: eager, or on a CUDA device recorded once as a graph and replayed.

A step launches over a thousand small kernels, and a fast device waits for the interpreter that launches them. A
replayed graph launches them all at once. Its inputs and its learning rate are tensors that keep their place in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, AdamW, Optimizer

from sw.training.processes import Processes
from sw.training.recipe import Distillation

WARM_UP = 3
"""Steps that run eagerly before a graph is recorded, as CUDA libraries set themselves up in them."""


def adamw(model: nn.Module, weight_decay: float, device: torch.device) -> Optimizer:
    """AdamW, with decay on weights only."""
    if device.type == "cpu":
        return AdamW(_groups(model, weight_decay))
    rate = torch.zeros((), device=device)
    return AdamW(_groups(model, weight_decay), lr=rate, fused=True, capturable=True)


def descent(model: nn.Module, weight_decay: float, device: torch.device) -> Optimizer:
    """Stochastic gradient descent with Nesterov's momentum, with decay on weights only."""
    rate = 0.0 if device.type == "cpu" else torch.zeros((), device=device)
    return SGD(_groups(model, weight_decay), lr=rate, momentum=0.9, nesterov=True, fused=device.type == "cuda")


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay on weights only: not on norms, biases and scales of quantisers."""
    parameters = dict(model.named_parameters())
    decayed = [p for name, p in parameters.items() if p.ndim >= 2 and "_quant." not in name]
    others = [p for name, p in parameters.items() if p.ndim < 2 or "_quant." in name]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


@dataclass(frozen=True)
class Totals:
    """Sums over the steps since the last ones were taken.

    Attributes
    ----------
    loss : float
        Sum over images; not finite if any loss or gradient was not.
    correct, images : int
        Classified as the target says, and all.
    """

    loss: float
    correct: int
    images: int


class TrainStep:
    """Forward, backward, optimiser.

    Parameters
    ----------
    model : nn.Module
        Images ``[B, C, H, W]`` to logits ``[B, classes]``, on the processes' device.
    optimiser : Optimizer
        From `adamw` or `descent`.
    processes : Processes
        Who trains; gradients are averaged over them.
    bf16 : bool
        Run the model under bf16 autocast.
    teacher : tuple, optional
        A model to learn from, in eval mode, and how much.
    graph : bool
        Record a graph, on a CUDA device and in a single process.
    """

    def __init__(
        self,
        model: nn.Module,
        optimiser: Optimizer,
        processes: Processes,
        *,
        bf16: bool,
        teacher: tuple[nn.Module, Distillation] | None = None,
        graph: bool = True,
    ) -> None:
        self._model, self._optimiser, self._processes = model, optimiser, processes
        self._bf16, self._teacher = bf16, teacher
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._totals = torch.zeros(3, dtype=torch.float64, device=processes.device)
        self._record = graph and processes.device.type == "cuda" and processes.count == 1
        self._graph: torch.cuda.CUDAGraph | None = None
        self._done = 0
        self._images = self._targets = torch.empty(0)

    def __call__(self, images: Tensor, targets: Tensor, rate: float) -> None:
        """Learn from a batch at learning rate `rate`; see `sw.training.batches.Batches.batch` for the tensors."""
        for group in self._optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        if not self._record:
            self._learn(images, targets)
        elif self._graph is None:
            self._begin(images, targets)
        else:
            self._images.copy_(images)
            self._targets.copy_(targets)
            self._graph.replay()

    def take(self) -> Totals:
        """Totals over all processes since the last call; waits for the device."""
        loss, correct, images = self._processes.share_totals(self._totals).tolist()
        self._totals.zero_()
        return Totals(loss, int(correct), int(images))

    def _begin(self, images: Tensor, targets: Tensor) -> None:
        """A first step: eager, off the main stream, and after the last of them the recording."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._learn(images, targets)
        torch.cuda.current_stream().wait_stream(stream)
        self._done += 1
        if self._done == WARM_UP:
            self._images, self._targets = images.clone(), targets.clone()
            self._optimiser.zero_grad()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._learn(self._images, self._targets)

    def _learn(self, images: Tensor, targets: Tensor) -> None:
        kind = self._processes.device.type
        # Weights are cast anew in every step, so autocast need not remember them; a graph must not.
        with torch.autocast(kind, torch.bfloat16, enabled=self._bf16, cache_enabled=False):
            logits = self._model(images).float()
            loss = functional.cross_entropy(logits, targets)
            if self._teacher is not None:
                loss = self._distilled(loss, logits, images)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        self._processes.average(gradients)
        # A neuron whose current is not a number stays silent, so the loss alone can look healthy: gradients tell.
        unhealthy = nn.utils.get_total_norm(gradients) * 0
        self._optimiser.step()
        with torch.no_grad():
            count = len(images)
            correct = (logits.argmax(1) == targets.argmax(1)).sum()
            self._totals += torch.stack(
                (((loss + unhealthy) * count).double(), correct.double(), torch.full_like(loss, count).double())
            )

    def _distilled(self, loss: Tensor, logits: Tensor, images: Tensor) -> Tensor:
        """Mix the labels' loss with the distance from the teacher's softened probabilities (arXiv 1503.02531)."""
        assert self._teacher is not None
        teacher, how = self._teacher
        with torch.no_grad():
            wanted = functional.log_softmax(teacher(images).float() / how.temperature, dim=1)
        said = functional.log_softmax(logits / how.temperature, dim=1)
        distance = functional.kl_div(said, wanted, reduction="batchmean", log_target=True)
        return (1 - how.weight) * loss + how.weight * how.temperature**2 * distance
