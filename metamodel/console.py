"""What a person sees while a stage runs: progress on stderr, results on stdout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rich.console import Console

# Called with what is being worked on, how much is done, and how much there is.
OnProgress: TypeAlias = Callable[[str, int, int], None]


# What the result tables need; a pipe or a log file has no width of its own.
TABLE_COLUMNS = 108


def stdout_console() -> Console:
    """Return the console for results."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=TABLE_COLUMNS)


def stderr_console() -> Console:
    """Return the console for progress and errors."""
    from rich.console import Console

    return Console(stderr=True)


@contextmanager
def stage_progress(stage: str, *, quiet: bool = False) -> Iterator[OnProgress | None]:
    """Draw a progress bar for a stage; without a terminal, print one line when the stage ends.

    Args:
        stage: Name shown before the bar.
        quiet: Show nothing.
    """
    if quiet:
        yield None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("[bold]{task.fields[stage]:<10}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=stderr_console()) as bars:
        task = bars.add_task("", total=None, stage=stage)

        def on_progress(label: str, done: int, total: int) -> None:
            bars.update(task, description=label, completed=done, total=total)

        yield on_progress
