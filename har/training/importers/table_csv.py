"""Our own CSV: one row for each frame of each person; the column names say which joints there are.

See docs/formats.md. Columns of joints are `<joint>_x`, `<joint>_y` and, if there are any, `<joint>_z` and
`<joint>_score`, the same for every joint. `frame` (a whole number) or `time_s` is needed; `clip`, `person`, `label`,
`danger`, `subject`, `view`, `camera` and `split` may be there. Lines that begin with `#` before the column names hold
`key: value`: `layout`, `edges` (a-b, b-c, ...), `units`, `up`, `rate_hz`, `width_px`, `height_px`, `source`.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphs.own_layouts import FoundLayout
from har.clips import UNITS, UPS, Clip, Span
from har.errors import ClipError
from har.training.importers.ledger import ImportOptions, Ledger
from har.training.importers.making import (
    ClipFacts,
    Numbers,
    SetFacts,
    describe_set,
    find_files,
    known_layout,
    layout_of_names,
    make_clip,
)
from har.training.importers.tables import read_text
from har.training.importers.units import guess_units, read_up

_COLUMNS = ("clip", "frame", "time_s", "person", "label", "danger", "subject", "view", "camera", "split")
_KEYS = ("layout", "edges", "units", "up", "rate_hz", "width_px", "height_px", "source")
_AXES = ("x", "y", "z", "score")
_DANGERS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
MAX_SPREAD = 1000
"""Frame numbers further apart than this many times their count are no frame numbers."""
MAX_PEOPLE = 16


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    text: Mapping[str, str]
    joints: Numbers  # (V, C)


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A file: what its comments say, its joints and their axes, and its rows by clip."""

    file: Path
    said: Mapping[str, str]
    joints: tuple[str, ...]
    axes: tuple[str, ...]
    clips: Mapping[str, list[_Row]]


def read_csv(path: Path, options: ImportOptions, ledger: Ledger) -> Iterator[Clip]:
    """Give the clips of a CSV file or of all in a folder.

    Raises:
        ClipError: a file does not fit; the text names file and line.
    """
    files = find_files(path, "*.csv")
    for number, file in enumerate(files):
        ledger.tell(number, len(files))
        sheet = _read_sheet(file)
        of_set, rate_hz = _describe(sheet, options, ledger)
        for name, rows in sheet.clips.items():
            clip = _make(name, rows, sheet, of_set, rate_hz, ledger)
            if clip is not None:
                yield clip
    ledger.tell(len(files), len(files))


def _read_sheet(file: Path) -> _Sheet:
    lines = read_text(file, what="CSV with a row a frame and person").splitlines()
    said: dict[str, str] = {}
    n_comments = 0
    for line in lines:
        if line.strip() and not line.startswith("#"):
            break
        n_comments += 1
        key, colon, value = line.lstrip("#").partition(":")
        if key.strip() in _KEYS and colon:
            said[key.strip()] = value.strip()
    reader = csv.reader(lines[n_comments:])
    try:
        header = [name.strip() for name in next(reader, [])]
        joints, axes = _read_header(header, f"{file}, line {n_comments + 1}")
        clips: dict[str, list[_Row]] = {}
        for values in reader:
            if values:
                row = _read_row(values, header, joints, axes, file, n_comments + reader.line_num)
                clips.setdefault(row.text.get("clip") or file.stem, []).append(row)
    except csv.Error as error:
        raise ClipError(f"{file}, line {n_comments + reader.line_num}: is no CSV ({error}).") from None
    if not clips:
        raise ClipError(f"{file}: has no row below the column names. Write one row for each frame and person.")
    return _Sheet(file, said, joints, axes, clips)


def _read_header(header: Sequence[str], where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if twice := [name for name in header if header.count(name) > 1]:
        raise ClipError(f"{where}: column {twice[0]!r} comes twice. Name every column once.")
    if not {"frame", "time_s"} & set(header):
        raise ClipError(f"{where}: needs a column frame or time_s, found {', '.join(header[:6]) or 'nothing'}.")
    axes_of: dict[str, list[str]] = {}
    for name in header:
        joint = re.fullmatch(r"(.+)_(x|y|z|score)", name)
        if joint is None and name not in _COLUMNS:
            known = ", ".join(_COLUMNS)
            raise ClipError(f"{where}: unknown column {name!r:.60}. Known: {known}, and <joint>_x, _y, _z, _score.")
        if joint is not None:
            axes_of.setdefault(joint[1], []).append(joint[2])
    if not axes_of:
        raise ClipError(f"{where}: has no column of a joint. Name them <joint>_x, <joint>_y, ...")
    some = sorted(next(iter(axes_of.values())), key=_AXES.index)
    for joint_name, axes in axes_of.items():
        if sorted(axes, key=_AXES.index) != some or not {"x", "y"} <= set(axes):
            raise ClipError(
                f"{where}: joint {joint_name!r} has {', '.join(axes)}; every joint needs x, y and the same."
            )
    return tuple(axes_of), tuple(some)


def _read_row(
    values: Sequence[str], header: Sequence[str], joints: Sequence[str], axes: Sequence[str], file: Path, line: int
) -> _Row:
    where = f"{file}, line {line}"
    if len(values) != len(header):
        raise ClipError(f"{where}: {len(values)} values for {len(header)} columns. Write one for each.")
    text = dict(zip(header, (value.strip() for value in values), strict=True))
    numbers = np.array([[_number(text, f"{joint}_{axis}", where) for axis in axes] for joint in joints])
    return _Row(line, {name: text[name] for name in _COLUMNS if name in text}, numbers)


def _number(text: Mapping[str, str], name: str, where: str) -> float:
    """Read a cell; an empty one means that the joint was not seen."""
    try:
        value = float(text[name] or "nan")
    except ValueError:
        value = math.inf
    if math.isinf(value):
        raise ClipError(
            f"{where}: {name} is {text[name][:40]!r}. Write a number, or nothing where a joint is not seen."
        )
    return value


def _describe(sheet: _Sheet, options: ImportOptions, ledger: Ledger) -> tuple[SetFacts, float | None]:
    said, where = sheet.said, str(sheet.file)
    sample = np.stack([row.joints for rows in sheet.clips.values() for row in rows[:500]])
    units_sample = sample[..., :-1] if "score" in sheet.axes else sample
    units = said.get("units") or guess_units(units_sample)
    if "units" not in said:
        ledger.note(f"{sheet.file.name}: units are not stated; taken to be {units!r} by the size of the numbers")
    found = _layout(sheet, options, units=units, sample=sample, ledger=ledger)
    up = said.get("up") or read_up("", units_sample, sheet.joints, units=units)[0]
    if units not in UNITS or up not in UPS:
        raise ClipError(f"{where}: units must be one of {', '.join(UNITS)} and up one of {', '.join(UPS)}.")
    if "z" in sheet.axes and units in ("px", "norm"):
        raise ClipError(f"{where}: {units} has x, y and score only. Leave out the z columns, or write other units.")
    if "score" in sheet.axes and "z" not in sheet.axes and units not in ("px", "norm"):
        raise ClipError(f"{where}: a score in {units} needs z too. Leave out the score columns, or write other units.")
    rate = said.get("rate_hz")
    if rate is not None and not (re.fullmatch(r"\d+(\.\d+)?", rate) and 0 < float(rate) <= 1000):
        raise ClipError(f"{where}: rate_hz must be above 0 and at most 1000, got {rate[:40]!r}.")
    rate_hz = options.rate_hz or (float(rate) if rate else None)
    labels = [row.text.get("label") or None for rows in sheet.clips.values() for row in rows]
    source = said.get("source") or sheet.file.stem
    of_set = describe_set(found, options, units=units, up=up, source=source, rate_hz=rate_hz, labels=labels)
    return of_set, rate_hz


def _layout(sheet: _Sheet, options: ImportOptions, *, units: str, sample: Numbers, ledger: Ledger) -> FoundLayout:
    name = options.layout or sheet.said.get("layout")
    if name is not None:
        return known_layout(name, n_joints=len(sheet.joints), where=str(sheet.file))
    place = {joint: number for number, joint in enumerate(sheet.joints)}
    edges: list[tuple[int, int]] = []
    for pair in filter(None, (text.strip() for text in sheet.said.get("edges", "").split(","))):
        ends = [end.strip() for end in pair.split("-")]
        if len(ends) != 2 or not set(ends) <= set(place):
            raise ClipError(f"{sheet.file}: edges: {pair[:60]!r} is not two joints of the columns with a - between.")
        edges.append((place[ends[0]], place[ends[1]]))
    up = sheet.said.get("up") or read_up("", sample, sheet.joints, units=units)[0]
    try:
        return layout_of_names(sheet.joints, edges, sample, up=up, where=str(sheet.file), ledger=ledger)
    except ClipError as error:
        cure = "" if edges else ' Write the bones in a first line such as "# edges: neck-head, neck-hip".'
        raise ClipError(f"{error}{cure}") from None


def _make(
    name: str, rows: Sequence[_Row], sheet: _Sheet, of_set: SetFacts, rate_hz: float | None, ledger: Ledger
) -> Clip | None:
    keys = [_key(row, sheet.file) for row in rows]
    times = sorted(set(keys))
    by_frame = "time_s" not in rows[0].text
    if by_frame:
        if times[-1] - times[0] > MAX_SPREAD * len(rows):
            raise ClipError(f"{sheet.file}: clip {name!r}: frames go from {times[0]:g} to {times[-1]:g}. Number them.")
        times = [float(number) for number in range(int(times[0]), int(times[-1]) + 1)]
    place = {time: frame for frame, time in enumerate(times)}
    people = list(dict.fromkeys(row.text.get("person", "") for row in rows))
    if len(people) > MAX_PEOPLE:
        raise ClipError(f"{sheet.file}: clip {name!r} has {len(people)} people, at most {MAX_PEOPLE} are read.")
    joints = np.full((len(times), len(people), len(sheet.joints), len(sheet.axes)), np.nan)
    filled: dict[tuple[int, str], int] = {}
    for row, key in zip(rows, keys, strict=True):
        who = row.text.get("person", "")
        if (before := filled.setdefault((place[key], who), row.line)) != row.line:
            raise ClipError(
                f"{sheet.file}, line {row.line}: the same frame and person as in line {before}. Number the people in a "
                "column person, and the clips in a column clip."
            )
        joints[place[key], people.index(who)] = row.joints
    first_s = times[0] if by_frame else 0.0
    time_s = np.array([(time - first_s) / of_set.rate_hz if by_frame else time for time in times])
    if not by_frame and rate_hz is None and len(times) > 1:
        rate_hz = round((len(times) - 1) / (times[-1] - times[0]), 3)
    label, spans = _labels([(time_s[place[key]], row) for row, key in zip(rows, keys, strict=True)], of_set.rate_hz)
    facts = ClipFacts(
        id=name,
        label=label,
        spans=spans,
        danger=_danger(rows, sheet.file),
        subject=_one(rows, "subject", sheet.file),
        view=_one(rows, "view", sheet.file),
        camera=_one(rows, "camera", sheet.file),
        splits=_split(rows, sheet.file),
        width_px=_size(sheet, "width_px"),
        height_px=_size(sheet, "height_px"),
        rate_hz=rate_hz,
        time_s=time_s,
    )
    return make_clip(joints, facts, of_set, ledger)


def _key(row: _Row, file: Path) -> float:
    name = "time_s" if "time_s" in row.text else "frame"
    text = row.text[name]
    pattern = r"-?\d+(\.\d+)?([eE]-?\d+)?" if name == "time_s" else r"\d{1,9}"
    if not re.fullmatch(pattern, text):
        kind = "seconds" if name == "time_s" else "a whole number"
        raise ClipError(f"{file}, line {row.line}: {name} must be {kind}, found {text[:40]!r}.")
    return float(text)


def _labels(rows: Sequence[tuple[float, _Row]], rate_hz: float) -> tuple[str | None, tuple[Span, ...]]:
    """Give one label of a clip, or its stretches if it changes in between."""
    told = sorted(((time_s, row.text.get("label") or None) for time_s, row in rows), key=lambda each: each[0])
    names = {label for _, label in told}
    if len(names) == 1:
        return names.pop(), ()
    times = sorted({time_s for time_s, _ in told})
    next_s = dict(zip(times, [*times[1:], times[-1] + 1 / rate_hz], strict=True))
    spans: list[Span] = []
    for time_s, label in told:
        if spans and spans[-1][2] == label and spans[-1][1] >= time_s:
            spans[-1] = (spans[-1][0], max(spans[-1][1], next_s[time_s]), label)
        elif label is not None and (not spans or spans[-1][1] <= time_s):
            spans.append((time_s, next_s[time_s], label))
    return None, tuple(spans)


def _one(rows: Sequence[_Row], name: str, file: Path) -> str | None:
    """Give what a column says of a clip; it must say one thing only."""
    first: _Row | None = None
    for row in rows:
        if row.text.get(name):
            if first is not None and row.text[name] != first.text[name]:
                raise ClipError(
                    f"{file}, line {row.line}: {name} is {row.text[name][:40]!r}, line {first.line} has "
                    f"{first.text[name][:40]!r} for the same clip. Give each a clip of its own."
                )
            first = first or row
    return first.text[name] if first is not None else None


def _split(rows: Sequence[_Row], file: Path) -> dict[str, str]:
    side = _one(rows, "split", file)
    if side not in (None, "train", "test"):
        raise ClipError(f"{file}, line {rows[0].line}: split must be train or test, found {side[:40]!r}.")
    return {"official": side} if side else {}


def _danger(rows: Sequence[_Row], file: Path) -> bool | None:
    text = _one(rows, "danger", file)
    if text is None:
        return None
    if text.lower() not in _DANGERS:
        raise ClipError(f"{file}, line {rows[0].line}: danger must be true or false, found {text[:40]!r}.")
    return _DANGERS[text.lower()]


def _size(sheet: _Sheet, name: str) -> int | None:
    text = sheet.said.get(name)
    if text is not None and not re.fullmatch(r"\d{1,6}", text):
        raise ClipError(f"{sheet.file}: {name} must be a whole number of pixels, found {text[:40]!r}.")
    return int(text) if text else None
