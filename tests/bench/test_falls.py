"""The benchmark of real falls: what each row means, and what may never be learnt from."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from har.bench.falls import _fit_folds, _subject, _totals, _truth, bench_falls
from har.bench.recordings import PoseSettings, code_of, video_frames
from har.clips import write_clips
from har.errors import ConfigError
from har.training.replay import Moment, judge
from har.training.truth import Fall, TruthRow, read_truth
from tests.sources.builders import write_video
from tests.training.builders import moving_clip

WALKING = TruthRow("upfall_video/A06_S1_T1_C1.mp4", math.nan, math.nan, 4.0, "daily")
FALLING = TruthRow("upfall_video/A01_S1_T1_C1.mp4", 1.0, 1.5, 10.0, "fall")


def test_a_daily_video_of_up_fall_is_all_of_one_label_and_a_fall_is_a_fall() -> None:
    assert _truth(WALKING).spans == ((0.0, 4.0, "walk"),)
    assert _truth(FALLING).falls == (Fall(1.0, 1.5, 10.0),)


def test_totals_tell_daily_living_apart_with_the_bound_of_its_rate() -> None:
    moments = [Moment(float(second), ((1, "walk" if second else "stand", 0.0),)) for second in range(4)]
    verdicts = [
        judge([], _truth(row), recording=row.source, model="m", duration_s=3600.0, moments=moments)
        for row in (WALKING, FALLING)
    ]

    figures = _totals([WALKING, FALLING], verdicts, labels=("walk", "stand"))

    assert (figures["falls"], figures["missed"], figures["minutes_of_daily_living"]) == (1, 1, 60.0)
    assert figures["false_per_hour_of_daily_living_95"] == [0.0, pytest.approx(3.0, abs=0.01)]
    assert figures["label_share_upfall"] == {"walk": pytest.approx(2 / 3, abs=1e-3)}


def test_up_fall_is_never_learnt_from(tmp_path: Path) -> None:
    write_clips(tmp_path / "set", [replace(moving_clip("c1", "walk"), source="UP-Fall Detection")])

    with pytest.raises(ConfigError, match="clip 'c1' is of UP-Fall, which is measured on"):
        _fit_folds([tmp_path / "set"], [], say=lambda line: None)


def test_only_people_of_gmdcsa24_are_left_out() -> None:
    assert _subject("gmdcsa24_video/Subject 2/Fall/12.mp4") == "gmdcsa2"
    assert _subject(FALLING.source) == ""


@pytest.mark.weights
@pytest.mark.slow
def test_poses_are_found_once_for_the_same_content_estimator_and_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("har.bench.recordings.cache_folder", lambda: tmp_path / "cache")
    write_video(tmp_path / "a.mp4", [n / 10 for n in range(6)])
    first = video_frames(tmp_path / "a.mp4", pose=PoseSettings())
    (tmp_path / "a.mp4").rename(tmp_path / "b.mp4")
    kept = list((tmp_path / "cache" / "poses").iterdir())

    again = video_frames(tmp_path / "b.mp4", pose=PoseSettings())
    monkeypatch.setattr("har.bench.recordings.estimator_digest", lambda name: "another estimator")
    video_frames(tmp_path / "b.mp4", pose=PoseSettings())

    assert [frame.time_s for frame in again] == [frame.time_s for frame in first]
    assert len(kept) == 1
    assert len(list((tmp_path / "cache" / "poses").iterdir())) == 2


def test_comments_and_docstrings_do_not_count_as_code_but_numbers_do(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        (tmp_path / "m.py").write_text(text)
        return code_of(tmp_path / "m.py")

    plain = digest("def f(x):\n    return x + 1\n")

    assert digest('"""Doc."""\n\n\ndef f(x):\n    """Say."""\n    return x + 1  # why\n') == plain
    assert digest("def f(x):\n    return x + 2\n") != plain


@pytest.mark.data
@pytest.mark.weights
@pytest.mark.slow
def test_real_falls_of_other_people_are_found(har_data: Path) -> None:
    rows = [row for row in read_truth(har_data / "fall_times.csv") if "upfall_video/A01_S1_T1" in row.source]

    result = bench_falls(data=har_data, say=lambda line: None, rows=rows)

    assert {"name", "machine", "rows"} <= set(result)
    assert [row["found"] for row in result["rows"]] == [True, True]
    assert result["totals"]["false_alerts"] == 0
