"""Classifiers of danger, judged alike."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from har.bench.risk import NETWORK, PLAIN, SERVED, as_page, as_text, bench_risk
from har.bench.risk_sets import LE2I_FILE, le2i_clips, upfall_clips
from har.training.truth import read_truth

DATA = Path(os.environ.get("HAR_DATA", Path(__file__).parents[2] / "../shared/data"))


@pytest.mark.slow
def test_every_classifier_is_judged_on_every_set_and_the_network_only_on_people_it_has_not_seen() -> None:
    said: list[str] = []

    result = bench_risk(say=said.append, n_learn=40, n_unseen=20)

    rows = {(row["set"], row["classifier"]): row for row in result["rows"]}
    sets = {name for name, _ in rows}
    assert {name.partition(",")[0] for name in sets} == {"GMDCSA24", "simulated people of another seed"}
    assert all((name, method) in rows for name in sets for method in (SERVED, PLAIN))
    assert [name for name, method in rows if method.startswith(NETWORK)] == ["simulated people of another seed"]
    gmdcsa = rows["GMDCSA24, person left out", SERVED]
    assert gmdcsa["falls"] == 11
    assert gmdcsa["auc"] > 0.85
    assert all(0 <= row["ece"] <= 1 and row["log_loss"] > 0 for row in result["rows"])
    text = as_text(result)
    assert "11 falls" in text
    assert as_page(result).count("<svg") == 3


@pytest.mark.data
def test_the_joints_of_le2i_lie_as_a_body_does() -> None:
    if not (DATA / LE2I_FILE).is_file():
        pytest.skip(f"{LE2I_FILE} is not there")

    clips = le2i_clips(DATA)

    assert (len(clips), sum(fell for _, fell in clips)) == (67, 25)
    begins = np.stack([clip.joints[:5, 0, [0, 5, 11, 13, 15, 9], 1] for clip, _ in clips])
    nose, shoulder, hip, knee, ankle, wrist = np.median(begins, axis=(0, 1)).tolist()
    assert nose < shoulder < hip < knee < ankle
    assert abs(wrist - hip) < abs(wrist - shoulder)  # hands hang at the hips


@pytest.mark.data
@pytest.mark.weights
@pytest.mark.slow
def test_up_fall_gives_a_clip_for_every_video_with_its_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (DATA / "fall_times.csv").is_file():
        pytest.skip("UP-Fall is not there")
    rows = [row for row in read_truth(DATA / "fall_times.csv") if row.source.startswith("upfall_video/")]
    # six of them: all would take eight minutes
    some = [row for row in rows if Path(row.source).name.startswith(("A01", "A08_S1_T1"))]
    monkeypatch.setattr("har.bench.risk_sets.read_truth", lambda path: some)

    clips = upfall_clips(DATA)

    assert (len(rows), sum(row.is_fall for row in rows)) == (44, 20)
    assert {clip.id for clip in clips} == {Path(row.source).stem for row in some}
    assert [len(clip.spans) for clip in clips] == [int(row.is_fall) for row in some]
    assert {clip.subject for clip in clips} == {"T1-C1", "T1-C2", "T2-C1", "T2-C2"}
