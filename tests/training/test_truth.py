"""Truth files: what is read, what is refused, and which recording a row tells of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from har.errors import ConfigError
from har.training.truth import Fall, Truth, match_rows, read_truth, truth_of_clip, truth_of_rows
from tests.training.builders import moving_clip

HEADER = "source,start_s,ground_s,end_s,kind\n"
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_rows(rows: str, *, header: str = HEADER) -> Path:
        path = tmp_path / "truth.csv"
        path.write_text(header + rows)
        return path

    return write_rows


def test_falls_and_stretches_of_one_recording_come_together(write: Write) -> None:
    rows = read_truth(write("a.mp4,4,5,20,fall\na.mp4,,,4,walk\na.mp4,20,20.5,30,fall backward\n"))

    truth = truth_of_rows(rows)

    assert truth == Truth((Fall(4, 5, 20), Fall(20, 20.5, 30, "fall backward")), ((0.0, 4.0, "walk"),))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("a.mp4,4,,20,fall\n", ("line 2", "without ground_s")),
        ("a.mp4,,5,20,fall\n", ("line 2", "without start_s")),
        ("a.mp4,4,5,,fall\n", ("line 2", "end_s is missing")),
        ("a.mp4,4,soon,20,fall\n", ("line 2", "ground_s is 'soon'")),
        ("a.mp4,6,5,20,fall\n", ("line 2", "must rise")),
        ("a.mp4,4,5,3,fall\n", ("line 2", "must rise")),
        ("a.mp4,-4,5,20,fall\n", ("line 2", "must rise")),
        (",4,5,20,fall\n", ("line 2", "source or kind is empty")),
        ("a.mp4,,,20,daily\na.mp4,4,5,20,fall\n", ("line 3", "overlaps", "20 s")),
        ("a.mp4,4,5,20,fall\nb.mp4,,,3,daily\na.mp4,19,19.5,30,fall\n", ("line 4", "overlaps")),
        ("", ("holds no row",)),
    ],
)
def test_a_row_that_does_not_fit_is_refused_with_its_line(write: Write, rows: str, told: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as error:
        read_truth(write(rows))

    assert all(part in str(error.value) for part in told), error.value


def test_other_columns_and_no_file_are_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no column 'ground_s'"):
        read_truth(write("a.mp4,1,2\n", header="source,start_s,end_s\n"))
    with pytest.raises(ConfigError, match=r"nowhere\.csv: cannot be read"):
        read_truth(tmp_path / "nowhere.csv")


def test_a_row_names_the_end_of_a_path_and_each_recording_needs_one(write: Write, tmp_path: Path) -> None:
    rows = read_truth(write("set/1.mp4,,,20,daily\nset/2.mp4,4,5,20,fall\n"))

    assert match_rows(rows, ["/data/set/2.mp4", "/data/set/1.mp4"], folder=tmp_path)[0].falls == (Fall(4, 5, 20),)
    with pytest.raises(ConfigError, match=r"no row of the truth file tells of /data/set/3\.mp4"):
        match_rows(rows, [f"/data/set/{n}.mp4" for n in (1, 2, 3)], folder=tmp_path)
    with pytest.raises(ConfigError, match=r"line 2: set/1\.mp4 may be /x/set/1\.mp4 or /y/set/1\.mp4"):
        match_rows(rows, ["/x/set/1.mp4", "/y/set/1.mp4", "/x/set/2.mp4"], folder=tmp_path)


def test_a_row_of_an_unknown_source_is_a_mistake_but_one_of_a_file_not_replayed_is_not(
    write: Write, tmp_path: Path
) -> None:
    rows = read_truth(write("1.mp4,,,20,daily\n2.mp4,,,20,daily\n"))

    with pytest.raises(ConfigError, match=r"line 3: 2\.mp4 is none of the recordings given"):
        match_rows(rows, ["/data/1.mp4"], folder=tmp_path)
    (tmp_path / "2.mp4").touch()
    assert len(match_rows(rows, ["/data/1.mp4"], folder=tmp_path)) == 1


def test_a_clip_tells_of_its_falls_by_its_spans_or_not_at_all() -> None:
    spans = ((0.0, 1.0, "stand"), (1.0, 1.6, "fall"), (1.6, 2.0, "lie"))
    clip = replace(moving_clip("c", "stand"), label=None, danger=True, spans=spans)

    assert truth_of_clip(clip) == Truth((Fall(1.0, 1.6, float(clip.time_s[-1])),), (spans[0], spans[2]))
    assert truth_of_clip(replace(clip, danger=None)) is None
    assert truth_of_clip(replace(clip, spans=())) is None
    daily = truth_of_clip(replace(clip, spans=(), label="walk", danger=False))
    assert daily is not None
    assert daily.falls == ()
    assert np.isclose(daily.spans[0][1], clip.time_s[-1])
