from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from har.clips import read_clips
from har.synth import life
from har.synth.camera import look_at
from har.synth.clips import simulate_clips
from har.synth.home import Home, random_home, rest_zones
from har.synth.kinds import FALLS, KINDS
from har.synth.life import AFTER_FALL_S, simulate_fall_scenes, simulate_life
from har.synth.motion import Support
from har.synth.record_files import write_recordings
from har.synth.recording import Recording
from har.training.truth import read_truth


@pytest.fixture(scope="module")
def hours() -> list[Recording]:
    return [*simulate_life(hours=0.1, seed=3), *simulate_life(hours=0.05, seed=4, dense=True)]


@pytest.fixture(scope="module")
def scenes() -> list[Recording]:
    return list(simulate_fall_scenes(8, seed=3))


def test_life_lasts_as_long_as_asked_for_and_holds_no_fall(hours: list[Recording]) -> None:
    assert sum(recording.duration_s for recording in hours) == pytest.approx(0.15 * 3600, rel=0.01)
    for recording in hours:
        assert recording.kind == "life"
        assert not recording.falls
        assert {episode.kind for episode in recording.episodes} <= set(KINDS) - set(FALLS)


def test_dense_life_has_more_hard_negatives_than_a_real_day(hours: list[Recording]) -> None:
    real, dense = (
        sum(episode.kind != "daily" for episode in recording.episodes) / recording.duration_s
        for recording in (hours[0], hours[-1])
    )

    assert dense > 2 * real


def test_the_same_seed_lives_the_same_life(hours: list[Recording]) -> None:
    again = next(simulate_life(hours=0.05, seed=4, dense=True))

    np.testing.assert_array_equal(again.joints, hours[-1].joints)
    assert again.episodes == hours[-1].episodes


def test_frames_give_the_joints_as_a_camera_would(hours: list[Recording]) -> None:
    recording = hours[0]

    frames = list(recording.frames(camera="hall", start_s=1000.0))

    assert len(frames) == len(recording.time_s)
    assert frames[0].time_s == 1000.0
    assert all(one.time_s < two.time_s for one, two in pairwise(frames))
    n_poses = sum(len(frame.poses) for frame in frames)
    assert n_poses == np.isfinite(recording.joints[:, :, 0, 0]).sum()
    assert n_poses > 0.5 * len(frames)


def test_every_scene_has_one_fall_of_its_kind_with_time_after_it(scenes: list[Recording]) -> None:
    assert [scene.kind for scene in scenes] == list(FALLS)
    for scene in scenes:
        (fall,) = scene.falls
        assert fall.kind == scene.kind
        assert 0 < fall.start_s < fall.ground_s
        assert scene.duration_s - fall.ground_s >= AFTER_FALL_S - 0.5
        assert 15.0 < scene.duration_s < 75.0


def test_seeds_of_clips_scenes_and_life_never_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[tuple[int, ...]] = []
    real = np.random.default_rng

    def noted(key: list[int]) -> np.random.Generator:
        if isinstance(key, list):
            keys.append(tuple(key))
        return real(key)

    monkeypatch.setattr(np.random, "default_rng", noted)
    list(simulate_clips(1, seed=5))
    clips = set(keys)
    keys.clear()
    list(simulate_fall_scenes(1, seed=5))
    next(simulate_life(hours=0.003, seed=5))

    assert clips
    assert keys
    assert not clips & set(keys)
    assert {key[1] for key in keys} == {life.LIFE_SPACE, life.SCENE_SPACE}


def test_furniture_stands_within_the_walls_and_apart() -> None:
    rng = np.random.default_rng(0)

    homes: list[Home] = [random_home(rng) for _ in range(30)]

    for home in homes:
        assert home.seats
        for seat in home.seats:
            assert (np.abs([seat.x_m, seat.y_m]) < home.half_m).all()
        for one, two in pairwise(home.seats):
            assert np.hypot(one.x_m - two.x_m, one.y_m - two.y_m) > 0.5
        assert (np.abs(home.camera.position_m[:2]) <= home.half_m).all()
        assert (np.abs(home.door_m) > home.half_m).any()


def test_a_rest_zone_is_where_the_bed_is_in_the_picture() -> None:
    camera = look_at(np.array([4.0, 0.0, 2.4]), np.array([0.0, 0.0, 0.5]), field_of_view_deg=70)
    bed = Support("bed", 0.0, 0.0, 0.5, 0.0)

    (zone,) = rest_zones((bed, Support("chair", 1.0, 1.0, 0.45, 0.0)), camera)

    middle, _ = camera.project(np.array([-0.26, 0.0, 0.6]))
    x, y = middle / (camera.width_px, camera.height_px)
    xs, ys = zip(*zone, strict=True)
    assert min(xs) < x < max(xs)
    assert min(ys) < y < max(ys)
    assert all(0 <= value <= 1 for corner in zone for value in corner)


def test_written_recordings_come_with_a_truth_that_can_be_read(tmp_path: Path, scenes: list[Recording]) -> None:
    n_written = write_recordings(tmp_path / "set", scenes[:2], source="a test")

    clips, truth = read_clips(tmp_path / "set"), list(read_truth(tmp_path / "set" / "truth.csv"))
    assert n_written == len(clips) == len(truth) == 2
    assert [row.source for row in truth] == [clip.id for clip in clips]
    assert truth[0].ground_s == pytest.approx(scenes[0].falls[0].ground_s, abs=0.01)
    assert all(clip.danger for clip in clips)


def test_an_hour_of_life_takes_far_less_than_an_hour() -> None:
    begin_s = time.process_time()
    recording = next(simulate_life(hours=0.05, seed=9))
    spent_s = time.process_time() - begin_s

    # A day in ten minutes of one core is a ratio of 144; slow machines get half of that here.
    assert recording.duration_s / spent_s > 72


def test_recordings_tell_how_high_their_camera_hangs(hours: list[Recording], scenes: list[Recording]) -> None:
    heights = [recording.camera_height_m for recording in (*hours, *scenes)]

    assert all(0.5 < height < 4 for height in heights)
    assert len(set(heights)) > len(heights) / 2
