"""Who is who from frame to frame, and which poses are nobody."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from har.likeness import oks
from har.records import SEEN_SCORE, FloatArray, Pose, PoseFrame
from har.track import Tracker, TrackSettings, box_of, iou
from har.track import follow as follow_recording
from tests.builders import (
    HEIGHT_PX,
    START_S,
    WIDTH_PX,
    frames_of,
    lying_body,
    pose_frame,
    pose_of,
    standing_body,
    standing_person,
    walking_body,
)


def follow(tracker: Tracker, frames: Sequence[PoseFrame]) -> list[dict[int, tuple[float, float]]]:
    """Feed frames; give who was seen where (the middle of the box) in each."""
    seen = []
    for frame in frames:
        tracker.update(frame)
        seen.append({t.person: t.last.box.centre for t in tracker.tracks if t.last.time_s == frame.time_s})
    return seen


def people_of(seen: Sequence[dict[int, tuple[float, float]]]) -> set[int]:
    return {person for frame in seen for person in frame}


def test_somebody_who_stays_is_one_person_and_counts_after_a_quarter_of_a_second() -> None:
    tracker = Tracker()

    confirmed = [
        [t.confirmed for t in tracker.tracks] for f in standing_person(duration_s=2) if tracker.update(f) == []
    ]

    assert confirmed.index([True]) == pytest.approx(0.25 * 15, abs=1)
    assert [t.person for t in tracker.tracks] == [1]


@pytest.mark.parametrize("gap_s", [0.3, 1.0, 1.8])
def test_a_short_gap_keeps_the_person(gap_s: float) -> None:
    walk = walking_body(from_x_px=200, to_x_px=400, duration_s=6.0)
    frames = frames_of(walk, duration_s=6.0, hidden=[(2.0, 2.0 + gap_s)])

    seen = follow(Tracker(), frames)

    assert people_of(seen) == {1}
    assert list(seen[-1]) == [1]


def test_a_long_gap_ends_the_person_and_says_that_it_was_not_at_an_edge() -> None:
    tracker = Tracker()
    frames = frames_of(lambda _: standing_body(), duration_s=12.0, hidden=[(2.0, 9.0)])

    ended = [track for frame in frames for track in tracker.update(frame)]

    assert [(track.person, track.ended) for track in ended] == [(1, "gap")]
    assert [track.person for track in tracker.tracks] == [2]


@pytest.mark.parametrize(("x_px", "ended"), [(40.0, "edge"), (600.0, "edge"), (320.0, "gap")])
def test_a_track_knows_whether_it_ended_at_a_side_edge(x_px: float, ended: str) -> None:
    tracker = Tracker()
    frames = [*standing_person(duration_s=1.0, x_px=x_px), pose_frame([], at_s=4.0)]

    (track,) = [track for frame in frames for track in tracker.update(frame)]

    assert track.ended == ended


@pytest.mark.parametrize("rate_hz", [10.0, 15.0, 30.0])
@pytest.mark.parametrize("crossing_s", [3.0, 6.0])
def test_two_people_who_cross_keep_their_numbers(rate_hz: float, crossing_s: float) -> None:
    near = walking_body(from_x_px=100, to_x_px=540, duration_s=crossing_s, px_per_m=190, floor_y_px=460)
    far = walking_body(from_x_px=540, to_x_px=100, duration_s=crossing_s, px_per_m=120, floor_y_px=380)

    seen = follow(Tracker(), frames_of(near, far, duration_s=crossing_s, rate_hz=rate_hz))

    assert people_of(seen) == {1, 2}
    goes_right = 1 if seen[0][1][0] < seen[0][2][0] else 2
    assert seen[-1][goes_right][0] > 500
    assert seen[-1][3 - goes_right][0] < 140


def test_two_people_who_cross_while_one_hides_the_other_keep_their_numbers() -> None:
    near = walking_body(from_x_px=100, to_x_px=540, duration_s=4.0, px_per_m=190, floor_y_px=460)
    far = walking_body(from_x_px=540, to_x_px=100, duration_s=4.0, px_per_m=120, floor_y_px=380)
    frames = frames_of(near, far, duration_s=4.0)
    hidden = [pose_frame(f.poses[:1] if 1.7 < f.source_time_s < 2.3 else f.poses, at_s=f.source_time_s) for f in frames]

    seen = follow(Tracker(), hidden)

    assert people_of(seen) == {1, 2}
    goes_right = 1 if seen[0][1][0] < seen[0][2][0] else 2
    assert seen[-1][goes_right][0] > 500


@pytest.mark.parametrize("speed_px_s", [60.0, 90.0])
def test_two_seconds_behind_somebody_keep_the_number_though_the_walk_goes_on(speed_px_s: float) -> None:
    def going(at_s: float) -> FloatArray:
        return standing_body(x_px=80 + speed_px_s * at_s)

    frames = frames_of(going, lambda _: standing_body(x_px=320, px_per_m=170), duration_s=6.0)
    hidden = [pose_frame(f.poses[1:] if 1.9 < f.source_time_s < 3.9 else f.poses, at_s=f.source_time_s) for f in frames]

    seen = follow(Tracker(), hidden)

    assert people_of(seen) == {1, 2}
    walker = min(seen[0], key=lambda person: seen[0][person][0])
    assert seen[-1][walker][0] == pytest.approx(80 + 6 * speed_px_s, abs=15)


@pytest.mark.parametrize("hidden_s", [2.2, 3.0, 4.0])
def test_somebody_hidden_for_longer_is_known_again_where_they_stopped_but_has_to_be_confirmed_anew(
    hidden_s: float,
) -> None:
    frames = frames_of(lambda _: standing_body(), duration_s=8.0, hidden=[(2.0, 2.0 + hidden_s)])
    tracker = Tracker()

    ended, confirmed = list[str](), list[bool]()
    for frame in frames:
        ended += [track.ended for track in tracker.update(frame)]
        confirmed += [t.confirmed for t in tracker.tracks if t.last.time_s == frame.time_s]

    assert ended == ["gap"]
    assert [track.person for track in tracker.tracks] == [1]
    assert len(tracker.tracks[0].sightings) < 4.1 * 15  # none from before: nobody falls from then to now
    assert confirmed.count(False) == 2 * confirmed.index(True)


def test_somebody_of_another_size_elsewhere_is_somebody_new() -> None:
    tall = frames_of(lambda _: standing_body(x_px=250, px_per_m=190), duration_s=2.0)
    small = frames_of(lambda _: standing_body(x_px=480, px_per_m=90), duration_s=1.0, begin_s=4.5)

    seen = follow(Tracker(), [*tall, *small])

    assert people_of(seen[: len(tall)]) == {1}
    assert people_of(seen[len(tall) :]) == {2}


def test_who_leaves_and_who_comes_in_at_the_other_edge_are_two() -> None:
    leaving = frames_of(walking_body(from_x_px=320, to_x_px=620, duration_s=2.0), duration_s=2.0)
    coming = frames_of(walking_body(from_x_px=20, to_x_px=320, duration_s=2.0), duration_s=2.0, begin_s=2.5)

    seen = follow(Tracker(), [*leaving, *coming])

    assert people_of(seen[: len(leaving)]) == {1}
    assert people_of(seen[len(leaving) :]) == {2}


def test_a_fall_beside_somebody_who_stands_keeps_both_numbers() -> None:
    falling = frames_of(
        lambda t: standing_body(x_px=300, tilt_rad=float(np.clip(t - 1, 0, 0.6)) * 2.5),
        lambda _: standing_body(x_px=420, px_per_m=170),
        duration_s=3.0,
        rate_hz=10,
    )

    seen = follow(Tracker(), falling)

    assert people_of(seen) == {1, 2}
    faller = min(seen[0], key=lambda person: seen[0][person][0])
    assert seen[-1][faller][1] > seen[0][faller][1] + 60
    assert abs(seen[-1][3 - faller][1] - seen[0][3 - faller][1]) < 5


def test_a_pose_goes_on_with_the_person_rather_than_with_a_glimpse_of_a_moment_ago() -> None:
    lying = [lying_body(x_px=200)] * 15
    scrap = lying_body(x_px=200) * 0.2 + np.array([150, 300], dtype=np.float32)
    bodies = [*lying, scrap.astype(np.float32), *lying]

    seen = follow(Tracker(), [pose_frame([pose_of(body)], at_s=i / 15) for i, body in enumerate(bodies)])

    assert all(list(frame) == [1] for i, frame in enumerate(seen) if i != 15)


def test_a_second_different_pose_on_somebody_begins_nobody() -> None:
    xy = standing_body()
    turned = xy.copy()
    turned[5:] = xy[5:] + np.array([0, 60], dtype=np.float32) * (np.arange(12) % 2)[:, None]
    frames = [pose_frame([pose_of(xy), pose_of(turned, score=0.5)], at_s=i / 15) for i in range(15)]

    assert people_of(follow(Tracker(), frames)) == {1}


def test_a_person_forgotten_is_not_known_again() -> None:
    tracker = Tracker()
    frames = frames_of(lambda _: standing_body(), duration_s=7.0, hidden=[(2.0, 5.0)])

    for frame in frames:
        for track in tracker.update(frame):
            tracker.forget(track)

    assert [track.person for track in tracker.tracks] == [2]


def test_whoever_is_forgotten_gets_no_number_back_in_the_very_frame_in_which_they_ended() -> None:
    tracker = Tracker()
    frames = frames_of(lambda _: standing_body(), duration_s=6.0)

    for frame in [frame for frame in frames if not START_S + 2.0 <= frame.time_s < START_S + 4.5]:  # a camera stalls
        for track in tracker.update(frame):
            tracker.forget(track)

    assert [track.person for track in tracker.tracks] == [2]


@pytest.mark.parametrize("shrunk", [0.35, 0.45, 0.7])
def test_a_fall_towards_the_camera_of_which_most_is_missed_keeps_the_person(shrunk: float) -> None:
    def body(at_s: float) -> FloatArray:
        upright = standing_body()
        feet_px = upright[:, 1].max()
        share = 1 - (1 - shrunk) * float(np.clip((at_s - 2.0) / 0.8, 0, 1))
        shorter: FloatArray = np.stack([upright[:, 0], feet_px - share * (feet_px - upright[:, 1])], axis=1)
        return shorter.astype(np.float32)

    tracker = Tracker()
    for frame in frames_of(body, duration_s=6.0, hidden=[(2.0, 3.2)]):
        tracker.update(frame)

    assert [track.person for track in tracker.tracks] == [1]


def test_a_recording_gives_one_person_for_somebody_lost_and_known_again() -> None:
    frames = frames_of(lambda _: standing_body(), duration_s=7.0, hidden=[(2.0, 5.0)])

    (person,) = follow_recording(frames)

    assert person.confirmed
    assert sorted(person.sightings) == [i for i, frame in enumerate(frames) if frame.poses]


def test_a_pose_beyond_reach_is_somebody_else() -> None:
    frames = frames_of(lambda t: standing_body(x_px=150 if t < 2 else 480), duration_s=4.0)

    seen = follow(Tracker(), frames)

    assert set(seen[29]) == {1}
    assert set(seen[31]) == {2}


def test_a_lying_pose_in_another_corner_is_no_continuation_of_somebody_who_stands() -> None:
    frames = frames_of(lambda t: standing_body(x_px=520) if t < 2 else lying_body(x_px=60), duration_s=3.0)

    seen = follow(Tracker(), frames)

    assert people_of(seen[:29]) == {1}
    assert people_of(seen[31:]) == {2}


def test_a_fall_to_the_floor_stays_one_person() -> None:
    tilt = frames_of(lambda t: standing_body(tilt_rad=float(np.clip(t - 1, 0, 0.6)) * 2.5), duration_s=3.0, rate_hz=10)

    seen = follow(Tracker(), tilt)

    assert people_of(seen) == {1}


def test_who_left_at_the_edge_is_not_continued_by_a_ghost_inside_the_picture() -> None:
    leaving = walking_body(from_x_px=320, to_x_px=600, duration_s=2.0)
    left = frames_of(leaving, duration_s=2.0)
    ghost = frames_of(lambda _: standing_body(x_px=440), duration_s=1.0, begin_s=3.5)

    seen = follow(Tracker(), [*left, *ghost])

    assert people_of(seen[: len(left)]) == {1}
    assert 1 not in people_of(seen[len(left) :])


def test_who_left_at_the_edge_may_come_back_there() -> None:
    at_edge = frames_of(lambda _: standing_body(x_px=600), duration_s=4.0, hidden=[(1.0, 2.5)])

    seen = follow(Tracker(), at_edge)

    assert people_of(seen) == {1}


def test_tiny_poses_are_nobody() -> None:
    tiny = standing_person(px_per_m=0.18 * HEIGHT_PX / 1.6)

    seen = follow(Tracker(), tiny)

    assert people_of(seen) == set()


def test_somebody_followed_may_become_smaller_than_a_new_person_may_be() -> None:
    def going_away(at_s: float) -> FloatArray:
        return standing_body(px_per_m=150 - 25 * at_s)

    seen = follow(Tracker(), frames_of(going_away, duration_s=4.0))

    assert list(seen[-1]) == [1]
    assert 0.2 * HEIGHT_PX > 50 * 1.6


def test_two_poses_of_one_person_count_once_and_the_surer_one_is_kept() -> None:
    sure, unsure = pose_of(standing_body(), score=0.9), pose_of(standing_body(x_px=323), score=0.5)
    tracker = Tracker()

    for i in range(15):
        tracker.update(pose_frame([unsure, sure], at_s=i / 15))

    assert [t.person for t in tracker.tracks] == [1]
    assert tracker.tracks[0].last.pose is sure


def test_poses_without_area_or_sure_joints_are_nobody() -> None:
    point = pose_of(np.full((17, 2), 200, dtype=np.float32))
    line = pose_of(np.stack([np.full(17, 200), np.linspace(100, 400, 17)], axis=1).astype(np.float32))
    unsure = pose_of(standing_body(), score=SEEN_SCORE / 2)
    unknown = pose_of(np.full((17, 2), np.nan, dtype=np.float32))

    boxes = [box_of(pose) for pose in (point, line, unsure, unknown)]

    assert boxes == [None] * 4
    assert people_of(follow(Tracker(), [pose_frame([point, line, unsure, unknown], at_s=0.0)])) == set()


def test_somebody_half_outside_with_missing_joints_stays_the_same_person() -> None:
    xy = standing_body(x_px=10.0).copy()
    xy[13:] = np.nan
    assert xy[:, 0].min() < 0 or np.isnan(xy).any()
    tracker = Tracker()

    for i in range(30):
        tracker.update(pose_frame([pose_of(xy)], at_s=i / 15))

    assert [t.person for t in tracker.tracks] == [1]
    assert tracker.tracks[0].confirmed


def test_numbers_are_never_given_twice() -> None:
    tracker = Tracker()
    numbers: list[int] = []

    for visit in range(4):
        frames = frames_of(lambda _: standing_body(), duration_s=1.0, begin_s=10.0 * visit)
        numbers += sorted(people_of(follow(tracker, frames)))
        if visit == 2:
            tracker.reset()

    assert numbers == [1, 2, 3, 4]


def test_the_same_frames_give_the_same_tracks() -> None:
    frames = frames_of(
        walking_body(from_x_px=100, to_x_px=540, duration_s=4),
        walking_body(from_x_px=500, to_x_px=140, duration_s=4, px_per_m=120),
        duration_s=4.0,
    )

    assert follow(Tracker(), frames) == follow(Tracker(), frames)


def test_the_order_of_poses_in_a_frame_does_not_matter() -> None:
    frames = frames_of(
        lambda _: standing_body(x_px=180), lambda _: standing_body(x_px=460, px_per_m=130), duration_s=2.0
    )
    turned = [pose_frame(f.poses[:: 1 if i % 2 else -1], at_s=f.source_time_s) for i, f in enumerate(frames)]

    seen = follow(Tracker(), turned)

    assert len(people_of(seen)) == 2
    assert all(abs(frame[person][0] - seen[0][person][0]) < 20 for frame in seen for person in (1, 2))


def test_only_the_last_seconds_are_kept() -> None:
    tracker = Tracker()

    follow(tracker, standing_person(duration_s=30.0))

    assert len(tracker.tracks[0].sightings) == pytest.approx(8 * 15, abs=2)


def test_a_flicker_of_a_few_frames_is_never_a_person() -> None:
    frames = [pose_frame([pose_of(standing_body())] if i % 20 < 2 else [], at_s=i / 15) for i in range(150)]
    tracker = Tracker()

    confirmed = []
    for frame in frames:
        tracker.update(frame)
        confirmed += [track.person for track in tracker.tracks if track.confirmed]

    assert confirmed == []


def test_settings_decide_how_long_a_gap_may_be() -> None:
    frames = frames_of(lambda _: standing_body(), duration_s=4.0, hidden=[(1.0, 2.5)])

    seen = follow(Tracker(TrackSettings(max_gap_s=1.0, remember_s=1.0)), frames)

    assert people_of(seen) == {1, 2}


def test_likeness_is_one_for_the_same_pose_and_falls_with_distance() -> None:
    here = pose_of(standing_body())

    likeness = [oks(here, pose_of(standing_body(x_px=320 + dx))) for dx in (0, 5, 20, 300)]

    assert likeness[0] == pytest.approx(1.0)
    assert likeness == sorted(likeness, reverse=True)
    assert likeness[-1] < 1e-3


def test_boxes_overlap_as_counted_by_hand() -> None:
    left, right = box_of(pose_of(standing_body(x_px=300))), box_of(pose_of(standing_body(x_px=300 + 0.27 * 150)))
    assert left is not None
    assert right is not None

    assert iou(left, left) == pytest.approx(1.0)
    assert iou(left, right) == pytest.approx(1 / 3, abs=0.01)


COORDINATES = st.one_of(
    st.floats(-2000, 2000, width=32),
    st.sampled_from([float("nan"), float("inf"), float("-inf"), 1e30, -1e30, 1e6, 0.0]).map(
        lambda v: float(np.float32(v))
    ),
)
ANY_POSE = st.builds(
    Pose,
    xy=hnp.arrays(np.float32, (17, 2), elements=COORDINATES),
    score=hnp.arrays(np.float32, (17,), elements=st.one_of(st.floats(0, 1, width=32), st.just(float("nan")))),
)
USUAL_POSE = st.builds(
    lambda x, tilt: pose_of(standing_body(x_px=x, tilt_rad=tilt)), st.floats(-100, 740), st.floats(0, 3)
)


@pytest.mark.parametrize("far", [(1e20, 1e20), (np.inf, -np.inf)])
def test_coordinates_that_cannot_be_squared_or_added_make_no_noise(far: tuple[float, float]) -> None:
    one, other = standing_body().copy(), standing_body(x_px=100).copy()
    one[0], other[0] = far
    tracker = Tracker()

    for i in range(3):
        tracker.update(pose_frame([pose_of(one), pose_of(other)], at_s=i / 15))


@given(
    frames=st.lists(st.lists(st.one_of(ANY_POSE, USUAL_POSE), max_size=3), min_size=1, max_size=6),
    steps_s=st.lists(st.floats(0.01, 3.0), min_size=6, max_size=6),
)
@settings(max_examples=40, deadline=None)
def test_no_pose_whatever_stops_the_tracker(frames: list[list[Pose]], steps_s: list[float]) -> None:
    tracker = Tracker()
    at_s, given_out = 0.0, 0

    for poses, step_s in zip(frames, steps_s, strict=False):
        at_s += step_s
        tracker.update(pose_frame(poses, at_s=at_s))
        people = [t.person for t in tracker.tracks]

        assert len(set(people)) == len(people)
        assert all(np.isfinite(t.body_px) and t.last.time_s <= START_S + at_s for t in tracker.tracks)
        assert max(people, default=0) >= given_out or not people
        given_out = max(given_out, *people, 0)
        assert sum(t.last.time_s == START_S + at_s for t in tracker.tracks) <= len(poses)


def test_the_picture_of_the_builders_holds_their_people() -> None:
    joints = np.concatenate([standing_body(), lying_body()])

    assert (joints >= 0).all()
    assert (joints[:, 0] < WIDTH_PX).all()
    assert (joints[:, 1] < HEIGHT_PX).all()


def test_a_joint_guessed_far_outside_the_picture_does_not_make_the_body_longer() -> None:
    guessed = standing_body()
    guessed[15:] = [[WIDTH_PX * 1.4, HEIGHT_PX * 2.0], [-WIDTH_PX * 0.4, HEIGHT_PX * 2.0]]
    tracker, plain = Tracker(), Tracker()

    for step in range(10):
        tracker.update(pose_frame([pose_of(guessed)], at_s=step / 15))
        plain.update(pose_frame([pose_of(standing_body())], at_s=step / 15))

    assert tracker.tracks[0].body_px <= plain.tracks[0].body_px
    assert tracker.tracks[0].last.pose.score[15:].tolist() == [0.0, 0.0]
    assert not tracker.touches_edge(tracker.tracks[0].last.box, pose_frame([], at_s=1.0))
