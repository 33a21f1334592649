"""The page of `har pose evaluate`: the figures side by side, and the worst failures drawn."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from graphs.layouts import COCO17
from har import __version__
from har.bench.pose_failures import Failure, as_jpeg, draw_failure, worst_failures
from har.bench.pose_quality import PCK_AT, PDJ_AT, Answers, how_measured
from har.errors import ConfigError
from har.pose.coco import Picture
from har.training.report.words import percent

PAGE, FIGURES = "index.html", "report.json"
MOST_FAILURES = 8
"""Missed people, and poses on nobody, that are drawn of each estimator."""
_SHOWN_PX = 480


def write_page(
    folder: Path,
    result: Mapping[str, Any],
    pictures: Sequence[Picture],
    answers: Sequence[Answers],
    *,
    command: str,
    now: datetime | None = None,
) -> Path:
    """Write the page and all figures to a folder; the page holds parts of the pictures.

    Args:
        folder: made if it is not there.
        result: as of `har.bench.pose_quality.judge`.
        pictures: what was judged by.
        answers: of each contender, in the order of the result's rows.
        command: what was typed.
        now: when; the clock's time if None.

    Returns:
        The page.

    Raises:
        ConfigError: the folder cannot be written.
        AnnotationError: a picture cannot be read any more.
    """
    failures = {each.contender.name: worst_failures(pictures, each, most=MOST_FAILURES) for each in answers}
    made = (now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
    sections = [
        _top(result, made),
        _quality(result),
        _joints(result),
        *(_failures(name, found) for name, found in failures.items()),
        _method(result, command=command, made=made),
    ]
    style = files("har.training.report").joinpath("style.css").read_text(encoding="utf-8")
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>How good are these pose estimators?</title>\n<style>\n{style}</style></head>\n<body><main>\n"
        + "\n".join(sections)
        + "\n</main></body></html>\n"
    )
    figures = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PAGE).write_text(page, encoding="utf-8")
        (folder / FIGURES).write_text(figures, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror}). Give --report another folder.") from None
    return folder / PAGE


def _top(result: Mapping[str, Any], made: str) -> str:
    rows = sorted(result["rows"], key=lambda row: row["keypoints"]["AP"] or 0, reverse=True)
    first = rows[0]
    lead = f"{escape(first['estimator'])} is the best here: AP {percent(first['keypoints']['AP'], 1)}"
    counted = first["tall_found"]
    if counted["n"]:
        low, high = counted["interval"]
        lead += (
            f", {counted['found']} of {counted['n']} people taller than 100 px found (95 % interval {percent(low)} to "
            f"{percent(high)})"
        )
    return (
        "<h1>How good are these pose estimators?</h1>"
        f'<p class="under">Judged by {result["pictures"]} pictures with {result["people"]} annotated people. '
        f'{escape(made)}.</p><p class="lead">{lead}.</p>'
        '<div class="caution"><p>This page shows parts of the annotated pictures. Do not pass it on where the '
        "pictures may not be.</p></div>"
    )


def _quality(result: Mapping[str, Any]) -> str:
    head = ["estimator", "AP", "AP50", "AP75", "AR", "box AP", "mask AP"]
    head += [f"PDJ@{at:g}" for at in PDJ_AT] + [f"PCK@{at:g}" for at in PCK_AT]
    head += ["taller people found", "poses", "on nobody", "ms a frame"]
    lines = []
    for row in result["rows"]:
        found, mask = row["tall_found"], row["mask"]["AP"] if row["mask"] else None
        shares = [row["keypoints"][name] for name in ("AP", "AP50", "AP75", "AR")] + [row["box"]["AP"], mask]
        shares += [row["pdj"][f"{at:g}"] for at in PDJ_AT] + [row["pck"][f"{at:g}"] for at in PCK_AT]
        cells = [percent(each, 1) for each in shares]
        cells.append(f"{found['found']} of {found['n']}: {percent(found['share'])}")
        cells += [str(row["guesses"]), str(row["on_nobody"]), f"{row['ms_per_frame'] or 0:.1f}"]
        lines.append((row["estimator"], cells))
    return f"<h2>Side by side</h2>{_table(head, lines)}"


def _joints(result: Mapping[str, Any]) -> str:
    head = ["joint", *(row["estimator"] for row in result["rows"])]
    lines = [
        (name.replace("_", " "), [percent(row["joint_oks"][name], 1) for row in result["rows"]])
        for name in COCO17.joints
    ]
    return (
        f"<h2>Joint by joint</h2><p>Mean OKS of the joint; of people without a pose it is 0.</p>{_table(head, lines)}"
    )


def _table(head: Sequence[str], lines: Sequence[tuple[str, Sequence[str]]]) -> str:
    first, *others = head
    top = f"<th>{escape(first)}</th>" + "".join(f'<th class="n">{escape(each)}</th>' for each in others)
    body = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(f'<td class=n>{escape(cell)}</td>' for cell in cells)}</tr>"
        for name, cells in lines
    )
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def _failures(name: str, failures: Sequence[Failure]) -> str:
    title = f"<h2>The worst failures of {escape(name)}</h2>"
    if not failures:
        return f"{title}<p>There is none: everybody is found, and every pose lies on somebody.</p>"
    drawn = "".join(_figure(failure) for failure in failures)
    return (
        f"{title}<p>The largest people missed, then the surest poses on nobody. The truth is blue, guesses are orange; "
        f'the thick box is what went wrong.</p><div class="pair">{drawn}</div>'
    )


def _figure(failure: Failure) -> str:
    data = base64.b64encode(as_jpeg(draw_failure(failure))).decode()
    return (
        f'<figure><img alt="{escape(failure.told)}" width="{_SHOWN_PX}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{escape(failure.told)}</figcaption></figure>"
    )


def _method(result: Mapping[str, Any], *, command: str, made: str) -> str:
    told = "".join(f"<li>{escape(line)}</li>" for line in how_measured(result))
    return (
        f'<h2>How this was measured</h2><ul class="findings">{told}</ul><p class="note">All figures are in {FIGURES}, '
        f"as fractions.</p><footer><code>{escape(command)}</code><br>har {escape(__version__)}, {escape(made)}. Not a "
        "medical device.</footer>"
    )
