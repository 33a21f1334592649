"""Show the training of a pose estimator on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from har.training.pose.loop import Progress
from har.training.progress import duration


@contextmanager
def show_progress(console: Console | None = None) -> Iterator[Callable[[Progress], None]]:
    """Draw a bar with pass, all losses, validation and time left on stderr; give what to call after every step.

    Where stderr is no terminal, each pass is a line.
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield (
            lambda progress: (
                console.print(as_line(progress), highlight=False, soft_wrap=True) if progress.is_pass_end else None
            )
        )
        return
    columns = (TextColumn("{task.fields[where]}"), BarColumn(), TextColumn("{task.fields[facts]}"))
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("training", total=None, where="preparing", facts="")

        def tell(progress: Progress) -> None:
            where = f"pass {progress.epoch}/{progress.n_epochs}"
            bar.update(task, total=progress.n_steps, completed=progress.step, where=where, facts=_facts(progress))

        yield tell


def as_line(progress: Progress) -> str:
    """Tell where a run stands in one line."""
    passes = progress.epoch - (progress.step < progress.n_steps)
    return f"pass {passes}/{progress.n_epochs} {_facts(progress)}"


def _facts(progress: Progress) -> str:
    losses = " ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
    check = " ".join(f"{name} {value:.3f}" for name, value in progress.check.items())
    speed = f"{progress.per_s:.0f} {progress.unit}/s {duration(progress.left_s)} left"
    return f"loss {losses} " + (f"validation {check} " if check else "") + speed
