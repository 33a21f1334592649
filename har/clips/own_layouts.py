"""Joint layouts that a clip set brings along: `layouts.json` beside the index, known to this process once read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from graphs.errors import LayoutError
from graphs.layouts import LAYOUTS, Layout
from graphs.own_layouts import describe_layout, is_own, read_layout
from har.errors import ClipError

LAYOUTS_NAME = "layouts.json"
MAX_LAYOUTS = 64
MAX_BYTES = 4 << 20


def read_layouts(folder: Path) -> tuple[Layout, ...]:
    """Read the layouts that a clip set brings along and make them known; none if it brings none.

    Raises:
        ClipError: the file is no list of layouts, or one of them is not what its name says.
    """
    path = folder / LAYOUTS_NAME
    if not path.is_file():
        return ()
    if path.stat().st_size > MAX_BYTES:
        raise ClipError(f"{path}: is larger than {MAX_BYTES >> 20} MiB. Import the set again.")
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ClipError(f"{path}: is not JSON ({error}). Import the set again.") from None
    entries = value.get("layouts") if isinstance(value, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_LAYOUTS:
        raise ClipError(f'{path}: must be an object with a list of at most {MAX_LAYOUTS} "layouts".')
    try:
        return tuple(read_layout(entry) for entry in entries)
    except LayoutError as error:
        raise ClipError(f"{path}: {error} Import the set again.") from None


def write_layouts(folder: Path, names: Iterable[str]) -> None:
    """Write those of the named layouts that are no common knowledge, besides those that are there; whole or not at all.

    Raises:
        ClipError: the file that is there does not fit, or there would be too many.
    """
    own = {name for name in names if is_own(name)}
    if not own:
        return
    own |= {each.name for each in read_layouts(folder)}
    if len(own) > MAX_LAYOUTS:
        raise ClipError(f"{folder}: {len(own)} layouts of its own are too many for one set. Make several sets.")
    partial = folder / f".{LAYOUTS_NAME}.partial"
    text = json.dumps({"layouts": [describe_layout(LAYOUTS[name]) for name in sorted(own)]}, indent=1)
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(folder / LAYOUTS_NAME)
