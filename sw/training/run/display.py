"""What a training run shows on a console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from sw.plain_console import text_column
from sw.training.run.checkpoint import Progress


class Display:
    """Lines and progress bars of a run.

    Parameters
    ----------
    console : Console
    silent : bool
        Show nothing: of several processes one speaks.
    """

    def __init__(self, console: Console, *, silent: bool) -> None:
        self._console, self._silent = console, silent

    def say(self, text: str) -> None:
        """Print a line."""
        if not self._silent:
            self._console.print(text, highlight=False, soft_wrap=True)

    @contextmanager
    def epoch(self, title: str, progress: Progress, steps: int) -> Iterator[Callable[[], None]]:
        """Show a bar over an epoch of so many steps; the function it yields moves it to where `progress` is."""
        name, rate = text_column("{task.description}"), text_column("{task.fields[rate]}")
        columns = (name, BarColumn(), rate, TimeRemainingColumn())
        # A log file gets one line per epoch.
        silent = self._silent or not self._console.is_terminal
        with Bar(*columns, console=self._console, transient=True, disable=silent) as bar:
            task = bar.add_task(title, total=steps, completed=progress.step, rate="")

            def show() -> None:
                rate = f"{progress.seen / progress.seconds:.0f} images/s, loss {progress.loss_sum / progress.seen:.3f}"
                bar.update(task, completed=progress.step, rate=rate)

            yield show
