"""`har clips`: what a clip set holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from har.cli.output import JsonFile, wants_text, write_json

if TYPE_CHECKING:
    from har.clips import Clip

app = typer.Typer(help="Look into clip sets.")


@app.callback()
def begin() -> None:
    """Keep `show` a command of its own while it is the only one."""


@app.command(epilog="Example: har clips show sample_clips --preview clips.png")
def show(
    clips: Annotated[Path, typer.Argument(help="A clip set: the folder with clips.jsonl.")],
    preview: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw skeletons of the first clips into a picture.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Show how many clips a set holds of what, from whom, how long and under which licence."""
    from har.clips import read_clips

    found = read_clips(clips)
    summary = summarise(found)
    if preview is not None:
        from har.cli.preview import draw_clips

        draw_clips(found, file=preview)
        typer.echo(f"wrote {preview}", err=True)
    write_json(summary, file=json)
    if wants_text(json):
        typer.echo(_as_text(summary))


def summarise(clips: Sequence[Clip]) -> dict[str, Any]:
    """Count a set's clips by label, danger, subject, view, split, layout, rate, source and licence.

    Args:
        clips: the clips of one set.

    Returns:
        `n`, `minutes`, `n_untrimmed` and, for each property, how many clips have which value; for each
        stored split, how many are on which side. An untrimmed clip counts once under each label of its spans.
    """
    labels: Counter[str] = Counter()
    splits: dict[str, Counter[str]] = {}
    for clip in clips:
        names = {label for _, _, label in clip.spans} or {clip.label or "unlabelled"}
        labels.update(names)
        for name, side in clip.splits.items():
            splits.setdefault(name, Counter())[side] += 1
    return {
        "n": len(clips),
        "minutes": round(sum(clip.duration_s for clip in clips) / 60.0, 2),
        "n_untrimmed": sum(1 for clip in clips if clip.spans),
        "labels": _counts(labels),
        "danger": _counts(Counter("unknown" if clip.danger is None else str(clip.danger).lower() for clip in clips)),
        "subjects": _counts(Counter(clip.subject or "unknown" for clip in clips)),
        "views": _counts(Counter(clip.view or "unknown" for clip in clips)),
        "splits": {name: _counts(sides) for name, sides in sorted(splits.items())},
        "layouts": _counts(Counter(clip.layout for clip in clips)),
        "rates_hz": _counts(Counter(f"{clip.rate_hz:g}{'' if clip.rate_known else ' (assumed)'}" for clip in clips)),
        "sources": _counts(Counter(clip.source for clip in clips)),
        "licences": _counts(Counter(clip.licence for clip in clips)),
    }


def _counts(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def _as_text(summary: dict[str, Any]) -> str:
    most = 12  # values of one property that fit a screen
    lines = [f"{summary['n']} clips, {summary['minutes']:g} minutes, {summary['n_untrimmed']} untrimmed"]
    for name, counts in summary.items():
        if isinstance(counts, dict) and counts:
            shown = [_shown(value, n) for value, n in list(counts.items())[:most]]
            rest = [f"and {len(counts) - most} more"] if len(counts) > most else []
            lines.append(f"{name + ':':<10} {', '.join(shown + rest)}")
    return "\n".join(lines)


def _shown(value: str, count: int | dict[str, int]) -> str:
    """Write a value with its count; of a split, whose name is what --split takes, the counts of its sides."""
    if isinstance(count, int):
        return f"{value} {count}"
    return f"{value} ({', '.join(f'{side} {n}' for side, n in count.items())})"
