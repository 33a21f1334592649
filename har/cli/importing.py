"""`har import`: a public skeleton set in, a clip set out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from har.cli.output import wants_text, write_json
from har.training.importers import ImportOptions, Ledger, import_set

MOST_SHOWN = 12


def import_clips(kind: str, path: Path, *, out: Path, options: ImportOptions, json_file: Path | None) -> None:
    """Import a set and say what came of it."""
    with _show_progress() as tell:
        ledger = Ledger(tell=tell)
        summary = import_set(kind, path, out=out, options=options, ledger=ledger)
    told = summary.as_dict(ledger)
    write_json({"path": str(out), "format": kind} | told, file=json_file)
    if wants_text(json_file):
        typer.echo(_as_text(told, out=out))


@contextmanager
def _show_progress() -> Iterator[Callable[[int, int], None]]:
    """Give what to call with what is done and what there is; a bar appears with the first call."""
    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True))
    task = bar.add_task("importing", total=None)

    def tell(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield tell
    finally:
        bar.stop()


def _as_text(told: Mapping[str, Any], *, out: Path) -> str:
    lines = [f"{told['n']} clips, {told['frames']} frames in {out}"]
    for name in ("labels", "subjects", "layouts", "rates"):
        lines.append(f"{name + ':':<10} {_counts(told[name])}")
    for name, sides in told["splits"].items():
        lines.append(f"split:     {name} ({_counts(sides)})")
    if told["with_missing_frames"]:
        lines.append(f"missing:   {told['with_missing_frames']} clips have frames without anybody; they stay empty")
    for each in told["left_out"]:
        lines.append(f"left out:  {each['n']}, {each['why']}: {', '.join(each['examples'])}")
    lines += [f"note:      {note}" for note in told["notes"]]
    lines.append(f"look at them with: har clips show {out} --preview clips.png")
    return "\n".join(lines)


def _counts(counts: Mapping[str, int]) -> str:
    shown = [f"{value} {n}" for value, n in list(counts.items())[:MOST_SHOWN]]
    return ", ".join([*shown, *([f"and {len(counts) - MOST_SHOWN} more"] if len(counts) > MOST_SHOWN else [])])
