"""Write a report to a folder: the page, the pictures beside it, and all figures as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from har import __version__
from har.clips import Clip
from har.errors import ConfigError
from har.models.bundle import Bundle
from har.training.report.measure import Mistake
from har.training.report.page import Provenance, make_page
from har.training.report.pictures import as_png, draw_confusion, draw_strip

PAGE, FIGURES, CONFUSION, STRIP = "index.html", "report.json", "confusion.png", "worst-{:02d}.png"


def write_report(
    folder: Path,
    result: Mapping[str, Any],
    *,
    bundle: Bundle,
    clips: Sequence[Clip],
    command: str,
    same_data: bool,
    now: datetime | None = None,
) -> Path:
    """Write a report; files of an older report in the folder are replaced.

    Args:
        folder: made if it is not there.
        result: as of `har.training.report.measure.measure`.
        bundle: what was judged.
        clips: what it was judged by.
        command: what was typed.
        same_data: whether the clips are exactly those that the bundle learnt from.
        now: when; the clock's time if None.

    Returns:
        The page.

    Raises:
        ConfigError: the folder cannot be written.
    """
    by_id = {clip.id: clip for clip in clips}
    confusion = as_png(draw_confusion(result["clips"]["confusion"]))
    strips = [as_png(draw_strip(by_id[row["clip"]], Mistake(**row))) for row in result["worst"]]
    about = Provenance(
        made=(now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        command=command,
        version=__version__,
        card=bundle.card,
        metrics=bundle.metrics,
        same_data=same_data,
    )
    page = make_page(result, confusion=confusion, strips=strips, about=about)
    figures = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    written = {PAGE: page.encode(), FIGURES: figures.encode(), CONFUSION: confusion}
    written |= {STRIP.format(number): strip for number, strip in enumerate(strips, start=1)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(STRIP.replace("{:02d}", "*")):
            old.unlink()
        for name, content in written.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror}). Give --report another folder.") from None
    return folder / PAGE


def check_folder(folder: Path) -> None:
    """Make the folder of a report before the long work begins.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror}). Give --report another folder.") from None
