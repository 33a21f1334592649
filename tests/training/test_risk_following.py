"""Long recordings, cut by the tracker into what the service would know of each person."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest

from har.clips import Clip
from har.training.risk import cut_risk_windows, follow_clips
from har.training.risk.streams import read_in_processes
from tests.training.test_risk import FALL_S, GROUND_S, clips_of, day_of, fall_of


def room_of(*clips: Clip) -> Clip:
    """One recording of several people who are there at the same time, each in a slot of their own."""
    n_frames = min(len(clip.time_s) for clip in clips)
    joints = np.concatenate([clip.joints[:n_frames] for clip in clips], axis=1)
    return replace(clips[0], id="room", subject="room", joints=joints, time_s=clips[0].time_s[:n_frames])


def test_each_person_is_followed_whatever_slot_their_poses_stand_in() -> None:
    walking, sitting = day_of("B")[1], day_of("A")[0]
    apart = sitting.joints.copy()
    apart[..., 0] += 230
    room = room_of(walking, replace(sitting, joints=apart))
    swapped = room.joints.copy()
    swapped[10:40] = swapped[10:40, ::-1]

    for joints in (room.joints, swapped):
        followed = list(follow_clips([replace(room, joints=joints)]))

        assert [clip.id for clip in followed] == ["room#0", "room#1"]
        middles = sorted(float(np.nanmean(clip.joints[..., 0])) for clip in followed)
        wanted = sorted(float(np.nanmean(room.joints[:, m, :, 0])) for m in (0, 1))
        assert middles == pytest.approx(wanted, abs=3)
        assert {clip.subject for clip in followed} == {"room"}


def test_somebody_away_for_long_comes_back_as_somebody_else_and_is_watched_a_while_after_they_left() -> None:
    walking = day_of("B")[1]
    gone = walking.joints.copy()
    gone[20:65] = [np.nan, np.nan, 0.0]

    followed = list(follow_clips([replace(walking, joints=gone)]))

    assert [len(clip.time_s) for clip in followed] == [75, 10]
    assert np.isnan(followed[0].joints[20:, ..., 0]).all()
    assert followed[1].time_s[0] == pytest.approx(walking.time_s[65])


def test_of_a_recording_of_a_fall_only_the_one_who_falls_is_given() -> None:
    fall, sitting = fall_of("A"), day_of("A")[0]
    beside = np.broadcast_to(sitting.joints[-1:], fall.joints.shape).copy()
    beside[..., 0] += 230
    room = replace(fall, id="room", joints=np.concatenate([beside, fall.joints], axis=1))

    (faller,) = follow_clips([room])

    assert float(np.nanmean(faller.joints[..., 0])) == pytest.approx(float(np.nanmean(fall.joints[..., 0])), abs=3)
    assert (FALL_S, GROUND_S, "fall") in faller.spans


def test_recordings_are_learnt_from_beside_the_clips_and_say_so() -> None:
    alone, both = cut_risk_windows(clips_of(2)), cut_risk_windows(clips_of(2), [fall_of("R"), *day_of("R")])

    assert alone is not None
    assert both is not None
    assert len(both.danger) > len(alone.danger)
    assert int(both.fall.max()) == int(alone.fall.max()) + 1
    assert sum(stream.recorded for stream in both.streams) == 3
    assert not any(stream.recorded for stream in alone.streams)


@pytest.fixture
def _no_reading_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("har.training.risk.streams._READ_HERE_FRAMES", 100)


@pytest.mark.usefixtures("_no_reading_here")
def test_several_processes_read_clips_and_recordings_as_one_does_in_their_order() -> None:
    recordings = [replace(clip, id=f"room{n}") for n, clip in enumerate([*day_of("A"), *day_of("B"), fall_of("C")])]
    clips = [fall_of("D"), *day_of("D")]
    told: list[float] = []

    alone = list(read_in_processes(clips, recordings))
    shared = list(read_in_processes(clips, iter(recordings), jobs=2, tell=told.append))

    assert [stream.clip.id for stream in shared] == [stream.clip.id for stream in alone]
    assert len(alone) == len(clips) + len(recordings)
    assert [stream.recorded for stream in shared] == [False] * len(clips) + [True] * len(recordings)
    for one, other in zip(alone, shared, strict=True):
        assert [reading.time_s for reading in one.readings] == [reading.time_s for reading in other.readings]
        assert str(one.readings[-1]) == str(other.readings[-1])
    assert told == pytest.approx(np.cumsum([clip.duration_s / 3600 for clip in recordings]))


@pytest.mark.usefixtures("_no_reading_here")
def test_processes_that_read_recordings_are_gone_when_nobody_asks_for_more() -> None:
    streams = read_in_processes([], [*day_of("A"), *day_of("B"), *day_of("C")], jobs=2)

    for _ in range(4):
        next(streams)
    assert len(multiprocessing.active_children()) == 2
    streams.close()

    assert multiprocessing.active_children() == []
