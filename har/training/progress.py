"""Show a training run on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from har.training.loop import Progress


@contextmanager
def show_progress(console: Console | None = None) -> Iterator[Callable[[Progress], None]]:
    """Draw a bar with pass, loss, accuracy and time left on stderr; give what to call after every step."""
    columns = (
        TextColumn("pass {task.fields[epoch]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]} accuracy {task.fields[top1]} validation {task.fields[check]}"),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console or Console(stderr=True)) as bar:
        task = bar.add_task("training", total=None, epoch="", loss="-", top1="-", check="-", speed="")

        def tell(progress: Progress) -> None:
            bar.update(
                task,
                total=progress.n_steps,
                completed=progress.step,
                epoch=f"{progress.epoch}/{progress.n_epochs}",
                loss=f"{progress.loss:.3f}",
                top1=f"{progress.top1:.1%}",
                check=f"{progress.check['top1']:.1%}" if progress.check else "-",
                speed=f"{progress.windows_per_s:.0f} windows/s",
            )

        yield tell
