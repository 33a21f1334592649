"""What really happened in a recording: falls with the moment the body is down, and stretches of a label.

A truth file is CSV with `source,start_s,ground_s,end_s,kind`. A row with a `ground_s` is a fall; one without is
something else: with a `start_s` from there to `end_s`, without one the whole recording. A row's `source` is the end of
a recording's path, or the id of a clip.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from har.clips import Clip, Span
from har.errors import ConfigError

COLUMNS = ("source", "start_s", "ground_s", "end_s", "kind")
FALL_LABEL = "fall"
_HEADER = ",".join(COLUMNS)


@dataclass(frozen=True, slots=True)
class Fall:
    """One fall.

    Attributes:
        start_s: where it begins, seconds of the recording.
        ground_s: where the body is down.
        end_s: until when it may lie there: the next row, getting up, or the end of the recording.
        kind: what kind of fall; "fall" where nothing more is known.
    """

    start_s: float
    ground_s: float
    end_s: float
    kind: str = FALL_LABEL


@dataclass(frozen=True, slots=True)
class Truth:
    """All that is known of one recording.

    Attributes:
        falls: in order of time.
        spans: (start_s, end_s, what) of everything else, in order of time; `what` may be a label of the model.
    """

    falls: tuple[Fall, ...] = ()
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class TruthRow:
    """One row of a truth file.

    Attributes:
        source: the end of a recording's path, or a clip's id.
        start_s: where it begins, seconds; NaN for the beginning of the recording.
        ground_s: where the body is down; NaN where nobody falls.
        end_s: where it ends.
        kind: "fall" or what else it is.
        where: file and line, for messages.
    """

    source: str
    start_s: float
    ground_s: float
    end_s: float
    kind: str
    where: str = ""

    @property
    def is_fall(self) -> bool:
        """It tells of a fall."""
        return not math.isnan(self.ground_s)


def read_truth(path: Path) -> list[TruthRow]:
    """Read a truth file.

    Raises:
        ConfigError: it is missing, has other columns, or a row does not fit; the text names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
            if missing:
                raise ConfigError(f"{path}: no column {missing[0]!r}. The first line must be {_HEADER}.")
            rows = [_read_row(row, f"{path}, line {reader.line_num}") for row in reader]
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Give a CSV file: {_HEADER}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read as CSV ({error}). Give a UTF-8 text file: {_HEADER}.") from None
    if not rows:
        raise ConfigError(f"{path}: holds no row. Write one for each recording: {_HEADER}.")
    _check_overlaps(rows)
    return rows


def _read_row(row: Mapping[str | None, str | None], where: str) -> TruthRow:
    text = {name: (row.get(name) or "").strip() for name in COLUMNS}
    times = []
    for name in ("start_s", "ground_s", "end_s"):
        try:
            times.append(float(text[name]) if text[name] else math.nan)
        except ValueError:
            raise ConfigError(f"{where}: {name} is {text[name]!r}. Write seconds, or nothing.") from None
    start_s, ground_s, end_s = times
    if not text["source"] or not text["kind"]:
        raise ConfigError(f"{where}: source or kind is empty. Write {_HEADER}.")
    if not math.isfinite(end_s):
        raise ConfigError(f"{where}: end_s is missing. Write the second at which this ends.")
    if text["kind"] == FALL_LABEL and math.isnan(ground_s):
        raise ConfigError(f"{where}: a fall without ground_s. Write the second at which the body is down.")
    if not math.isnan(ground_s) and math.isnan(start_s):
        raise ConfigError(f"{where}: a fall without start_s. Write the second at which it begins.")
    known = [time_s for time_s in times if not math.isnan(time_s)]
    if known != sorted(known) or known[0] < 0 or known[-1] <= 0:
        raise ConfigError(f"{where}: times must rise from start_s over ground_s to end_s, got {known}.")
    return TruthRow(text["source"], start_s, ground_s, end_s, text["kind"], where)


def _check_overlaps(rows: Sequence[TruthRow]) -> None:
    """Refuse two rows of one source that tell of the same time."""
    of_source: dict[str, list[TruthRow]] = {}
    for row in rows:
        of_source.setdefault(row.source, []).append(row)
    for mine in of_source.values():
        mine.sort(key=_begin_s)
        for first, second in pairwise(mine):
            if _begin_s(second) < first.end_s - 1e-6:
                raise ConfigError(
                    f"{second.where}: {second.source} from {_begin_s(second):g} s overlaps the row before it in time, "
                    f"which ends at {first.end_s:g} s. Let each row end where the next begins."
                )


def _begin_s(row: TruthRow) -> float:
    return 0.0 if math.isnan(row.start_s) else row.start_s


def truth_of_rows(rows: Iterable[TruthRow]) -> Truth:
    """Put one recording's rows together."""
    rows = sorted(rows, key=_begin_s)
    return Truth(
        tuple(Fall(row.start_s, row.ground_s, row.end_s, row.kind) for row in rows if row.is_fall),
        tuple((_begin_s(row), row.end_s, row.kind) for row in rows if not row.is_fall),
    )


def truth_of_clip(clip: Clip) -> Truth | None:
    """Give what a clip itself says, its fall spans ending with the body on the ground; None if not all is told."""
    if clip.danger is None:
        return None
    starts = [start_s for start_s, _, label in clip.spans if label == FALL_LABEL]
    if clip.danger and not starts:
        return None
    last_s = float(clip.time_s[-1])
    falls = [
        Fall(start_s, ground_s, min([other for other in starts if other > start_s] + [last_s]))
        for start_s, ground_s, label in clip.spans
        if label == FALL_LABEL
    ]
    others = tuple(span for span in clip.spans if span[2] != FALL_LABEL)
    if not clip.spans and clip.label:
        others = ((float(clip.time_s[0]), last_s, clip.label),)
    return Truth(tuple(falls), others)


def match_rows(rows: Sequence[TruthRow], recordings: Sequence[str], *, folder: Path) -> list[Truth]:
    """Give the truth of each recording.

    Args:
        rows: all rows of a truth file.
        recordings: absolute paths with `/`, or ids of clips.
        folder: where the truth file lies: rows that name a file there that is not replayed are passed over.

    Returns:
        One truth for each recording, in their order.

    Raises:
        ConfigError: a row that names nothing, a recording that no row or that two sources name.
    """
    named: dict[str, list[str]] = {}
    for source in dict.fromkeys(row.source for row in rows):
        mine = [name for name in recordings if f"/{name}".endswith(f"/{source}")]
        where = next(row.where for row in rows if row.source == source)
        if not mine and not (folder / source).exists():
            raise ConfigError(
                f"{where}: {source} is none of the recordings given, nor a file beside the truth file. The column "
                "source must be the end of a recording's path, or the id of a clip."
            )
        if len(mine) > 1:
            raise ConfigError(
                f"{where}: {source} may be {mine[0]} or {mine[1]}. Write more of the path into the column source."
            )
        for name in mine:
            named.setdefault(name, []).append(source)
    for name in recordings:
        sources = named.get(name, [])
        if not sources:
            raise ConfigError(
                f"no row of the truth file tells of {name}. Add one; where nobody falls: "
                f"{Path(name).name},,,SECONDS,daily"
            )
        if len(sources) > 1:
            raise ConfigError(f"the truth file names {name} in two ways, {sources[0]} and {sources[1]}. Keep one.")
    return [truth_of_rows(row for row in rows if row.source == named[name][0]) for name in recordings]
