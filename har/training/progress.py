"""Show a training run on a terminal, and keep its curves for TensorBoard."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from har.errors import ConfigError
from har.training.conditions import Progress


@contextmanager
def show_progress(console: Console | None = None) -> Iterator[Callable[[Progress], None]]:
    """Draw a bar with network, pass, loss, accuracy and time left on stderr; give what to call after every step.

    Where stderr is no terminal, each pass is a line.
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda progress: console.print(as_line(progress), highlight=False) if progress.is_pass_end else None
        return
    columns = (
        TextColumn("{task.fields[where]}"),
        BarColumn(),
        TextColumn("loss {task.fields[loss]} accuracy {task.fields[top1]} validation {task.fields[check]}"),
        TextColumn("{task.fields[speed]} {task.fields[left]}"),
    )
    with Bar(*columns, console=console) as bar, _log_above():
        task = bar.add_task("training", total=None, where="preparing", loss="-", top1="-", check="-", speed="", left="")

        def tell(progress: Progress) -> None:
            bar.update(
                task,
                total=progress.n_steps,
                completed=progress.step,
                where=_where(progress),
                loss=f"{progress.loss:.3f}",
                top1=f"{progress.top1:.1%}",
                check=_validation(progress),
                speed=f"{progress.windows_per_s:.0f} windows/s",
                left=f"{duration(progress.left_s)} left",
            )

        yield tell


@contextmanager
def _log_above() -> Iterator[None]:
    """Let log lines scroll by above the bar instead of through it."""
    handlers = [
        each
        for each in logging.getLogger().handlers
        if isinstance(each, logging.StreamHandler) and each.stream is sys.__stderr__
    ]
    for handler in handlers:
        handler.setStream(sys.stderr)  # by now the bar's
    try:
        yield
    finally:
        for handler in handlers:
            handler.setStream(sys.__stderr__)


def as_line(progress: Progress) -> str:
    """Tell where a run stands in one line."""
    passes = progress.epoch - (progress.step < progress.n_steps)
    return (
        f"{_where(progress, passes)} loss {progress.loss:.3f} accuracy {progress.top1:.1%} "
        f"validation {_validation(progress)} {progress.windows_per_s:.0f} windows/s {duration(progress.left_s)} left"
    )


def _where(progress: Progress, passes: int | None = None) -> str:
    stream = f"network {progress.stream}/{progress.n_streams} {progress.kind} " if progress.n_streams > 1 else ""
    return f"{stream}pass {progress.epoch if passes is None else passes}/{progress.n_epochs}"


def _validation(progress: Progress) -> str:
    return f"{progress.check['top1']:.1%}" if progress.check else "-"


def duration(seconds: float) -> str:
    """Give a time for people: 12 s, 3 min 20 s, 2 h 5 min."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@contextmanager
def keep_curves(folder: Path | None) -> Iterator[Callable[[Progress], None]]:
    """Write loss, accuracy and learning rate of every pass for TensorBoard; give what to call after every step.

    Args:
        folder: where; None writes nothing.

    Raises:
        ConfigError: TensorBoard is not installed.
    """
    if folder is None:
        yield lambda progress: None
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            "TensorBoard is not installed. Run `pip install tensorboard`, or leave --tensorboard out."
        ) from None
    writer = SummaryWriter(str(folder))

    def tell(progress: Progress) -> None:
        if not progress.is_pass_end:
            return
        curves = {"loss": progress.loss, "accuracy": progress.top1, "learning rate": progress.learning_rate}
        if progress.check:
            curves |= {"validation accuracy": progress.check["top1"], "validation macro F1": progress.check["macro_f1"]}
        for name, value in curves.items():
            writer.add_scalar(f"{name}/{progress.kind}", value, progress.step)
        writer.flush()

    try:
        yield tell
    finally:
        writer.close()
