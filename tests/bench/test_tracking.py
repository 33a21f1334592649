"""The bench of who is who: its numbers on scenes whose answer is known."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from har.bench.tracking import Judged, _Scorer, as_text, bench_tracking, oks_of, sequence_data, tracks_of, true_tracks
from har.bench.tracking_preview import draw_scenes
from har.errors import ConfigError
from har.records import FloatArray, Pose
from har.synth.crossings import CrossingScene, simulate_crossings
from tests.builders import pose_frame, pose_of, standing_body


def _scene(bodies: list[list[FloatArray]], *, seen: float = 1.0) -> CrossingScene:
    """Make a scene of frames with these bodies, each found exactly."""
    xy = np.stack([np.stack(frame) for frame in bodies]).astype(np.float64)
    n_frames, n_people = xy.shape[:2]
    order = tuple(range(n_people))
    some = np.zeros((n_frames, n_people, 17), dtype=bool)
    some[..., : round(17 * seen)] = True
    return CrossingScene(
        id="made", kind="crossing", whose=(order,) * n_frames, xy=xy,
        visits=np.tile(np.arange(n_people), (n_frames, 1)),
        frames=tuple(pose_frame([pose_of(b) for b in frame], at_s=i / 15) for i, frame in enumerate(bodies)),
        seen=some, rate_hz=15.0, labels=(("stand",) * n_people,) * n_frames,
    )  # fmt: skip


TWO = [[standing_body(x_px=150), standing_body(x_px=450)]] * 20


def test_true_tracks_on_exact_poses_are_perfect() -> None:
    scene = _scene(TWO)

    score = _Scorer().together([_Scorer().score(scene, true_tracks(scene))])

    assert (score["idf1"], score["hota"], score["switches"], score["people"]) == (1.0, 1.0, 0, 2)


def test_numbers_exchanged_half_way_cost_half_of_idf1_and_two_switches() -> None:
    scene = _scene(TWO)
    tracks = true_tracks(scene)
    tracks[10:] = [[(1 - who, pose) for who, pose in frame] for frame in tracks[10:]]

    score = _Scorer().together([_Scorer().score(scene, tracks)])

    assert (score["idf1"], score["switches"]) == (0.5, 2)


def test_a_pose_on_somebody_of_whom_too_little_is_seen_is_neither_right_nor_wrong() -> None:
    scene = _scene(TWO, seen=0.3)

    data = sequence_data(scene, true_tracks(scene))

    assert (data["num_gt_dets"], data["num_tracker_dets"]) == (0, 0)


def test_a_pose_on_nobody_is_wrong() -> None:
    scene = _scene(TWO)
    tracks = [[*frame, (9, pose_of(standing_body(x_px=300)))] for frame in true_tracks(scene)]

    assert sequence_data(scene, tracks)["num_tracker_dets"] == 60


def test_only_people_who_were_confirmed_are_judged_and_then_from_their_first_pose() -> None:
    scene = _scene(TWO)

    tracks = tracks_of(scene)

    assert [len(frame) for frame in tracks] == [2] * 20
    assert tracks_of(_scene(TWO[:2])) == [[], []]


def test_similarity_of_a_pose_is_one_where_it_is_right_and_a_missing_joint_counts_as_nothing() -> None:
    xy = standing_body()
    half = Pose(xy, np.where(np.arange(17) < 8, 0.9, 0.0).astype(np.float32))
    every = np.ones((1, 17), dtype=bool)

    alike = oks_of([pose_of(xy), half, pose_of(standing_body(x_px=500))], xy[None].astype(np.float64), joints=every)

    assert alike[0] == pytest.approx([1.0, 8 / 17, 0.0], abs=1e-3)


def test_without_trackeval_there_is_one_line_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(ConfigError, match=r"pip install -c constraints.txt -e '\.\[evaluate\]'"):
        bench_tracking(scenes=1, seed=0, say=print)


def test_the_bench_tells_scores_by_kind_and_draws_them(tmp_path: Path) -> None:
    result, judged = bench_tracking(scenes=4, seed=0, say=lambda line: None)

    draw_scenes(judged, [each["idf1"] for each in result["each"]], file=tmp_path / "tracks.png")

    assert [row["kind"] for row in result["rows"]] == ["crossing", "occlusion", "leave", "fall", "all"]
    assert all(0.5 < row["idf1"] <= 1.0 for row in result["rows"])
    assert "IDF1" in as_text(result)
    assert (tmp_path / "tracks.png").stat().st_size > 10_000


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    scene = next(iter(simulate_crossings(1, seed=1)))

    with pytest.raises(ConfigError, match="cannot be written"):
        draw_scenes([Judged(scene, true_tracks(scene))], [1.0], file=tmp_path / "no" / "tracks.png")
