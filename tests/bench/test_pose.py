"""What finding poses costs: every estimator on the same pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from har.bench.pose import as_text, bench_pose
from har.errors import ConfigError

CLIP = Path(__file__).parents[2] / "sample_clips/fall_in_room.mp4"


@pytest.mark.slow
def test_all_estimators_see_the_one_person_of_the_sample_clip() -> None:
    result = bench_pose(videos=[CLIP], frames=40, say=lambda line: None)

    assert result["frames"] == 40
    rows = {row["estimator"]: row for row in result["rows"]}
    assert list(rows) == ["mediapipe", "blazepose, detector at every frame", "blazepose"]
    assert all(row["frames_with_people"] > 0.8 for row in rows.values())
    assert rows["blazepose"]["oks_mean"] > 0.9
    assert rows["blazepose"]["ms_per_frame"] < rows["blazepose, detector at every frame"]["ms_per_frame"]
    assert all(row["ms_per_further_person"] is None for row in rows.values())  # there is only one person
    assert "a person more" in as_text(result)


def test_a_folder_without_videos_has_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no video there"):
        bench_pose(videos=[tmp_path], frames=10, say=lambda line: None)
