"""Small text files beside a set: names of labels by number, labels of clips by name."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from har.errors import ClipError

MAX_TEXT_BYTES = 256 << 20


def read_text(path: Path, *, what: str) -> str:
    """Read a text file.

    Raises:
        ClipError: it is not there, too large, or not UTF-8.
    """
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise ClipError(f"{path}: is larger than {MAX_TEXT_BYTES >> 20} MiB, too much for {what}. Split it.")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ClipError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from None
    except UnicodeDecodeError as error:
        raise ClipError(f"{path}: is no text (byte {error.start} is not UTF-8). Give {what}.") from None


def read_json(path: Path, *, what: str) -> Any:
    """Read a JSON file.

    Raises:
        ClipError: it is not there, too large, or not JSON.
    """
    try:
        return json.loads(read_text(path, what=what))
    except ValueError as error:
        raise ClipError(f"{path}: is not JSON ({error}). Give {what}.") from None
    except RecursionError:
        raise ClipError(f"{path}: is nested too deeply to be {what}.") from None


def read_names(path: Path) -> list[str]:
    """Read the names of labels in the order of their numbers: one a line; a number before it ("12. wave") is dropped.

    Raises:
        ClipError: the file cannot be read, is empty, or names one label twice.
    """
    lines = [line.strip() for line in read_text(path, what="one label a line").splitlines()]
    names = [re.sub(r"^A?\d+\s*[.:,)\t]\s*", "", line).strip().strip('"') for line in lines if line]
    if not names:
        raise ClipError(f"{path}: is empty. Write one label a line, in the order of their numbers.")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ClipError(f"{path}: label {twice[0]!r} comes twice. Name every label once.")
    return names


@dataclass(frozen=True, slots=True)
class ClipRow:
    """What a table says of one clip."""

    label: str | None
    subject: str | None
    view: str | None
    split: str | None


def read_clip_table(path: Path) -> dict[str, ClipRow]:
    """Read a table of clips: CSV with `clip,label` and, if known, `subject`, `view`, `split` (train or test).

    Raises:
        ClipError: the file or a row does not fit; the text names the line.
    """
    reader = csv.DictReader(read_text(path, what="CSV with clip,label").splitlines())
    rows: dict[str, ClipRow] = {}
    try:
        if not {"clip", "label"} <= set(reader.fieldnames or ()):
            raise ClipError(f"{path}, line 1: needs the columns clip and label; it may have subject, view and split.")
        for row in reader:
            text = {key: (value or "").strip() or None for key, value in row.items() if isinstance(key, str)}
            where = f"{path}, line {reader.line_num}"
            if text["clip"] is None or text["clip"] in rows:
                raise ClipError(f"{where}: clip {text['clip'] or 'is empty'!r} or comes twice. Write one row a clip.")
            if text.get("split") not in (None, "train", "test"):
                raise ClipError(f"{where}: split must be train or test, got {text['split']!r}.")
            rows[text["clip"]] = ClipRow(text["label"], text.get("subject"), text.get("view"), text.get("split"))
    except csv.Error as error:
        raise ClipError(f"{path}, line {reader.line_num}: is no CSV ({error}).") from None
    return rows
