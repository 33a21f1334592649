"""Poses in, events out: a fall, daily life, people lost and found, and labels that do not flicker."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from itertools import count, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from har.alerts import DangerSettings
from har.clips import Clip
from har.models.bundle import load_bundle
from har.models.risk import RiskModel
from har.models.risk_features import FEATURES
from har.models.shipped import find_bundle
from har.records import ActionEvent, ActionScores, AlertEvent, DangerEvent, Event, FloatArray, Pose, PoseFrame
from har.service.pipeline import ActionModel, Pipeline, PipelineSettings
from har.synth.clips import simulate_clips
from tests.builders import (
    HEIGHT_PX,
    START_S,
    WIDTH_PX,
    falling_body,
    falling_person,
    frames_of,
    lying_body,
    pose_frame,
    pose_of,
    seated_body,
    standing_body,
    standing_person,
    walking_body,
)


@pytest.fixture(scope="session")
def risk() -> RiskModel:
    """The shipped risk model: what these tests promise is promised of what people run."""
    risk = load_bundle(find_bundle(None)).risk_model
    assert risk is not None
    return risk


class Script:
    """An action model that says what it is told to, every fourth frame of each person; the last answer stays."""

    EVERY = 4

    def __init__(self, labels: Iterable[str], *, n_labels: Sequence[str] = ("walk", "sit", "lie")) -> None:
        self._labels, self._all = list(labels), n_labels
        self.seen: dict[Hashable, list[float]] = {}
        self.forgotten: list[Hashable] = []
        self.batches: list[list[Hashable]] = []
        self._due: list[tuple[Hashable, float]] = []

    def see(self, person: Hashable, joints: FloatArray, *, time_s: float, **size_px: int | None) -> None:
        assert joints.shape == (17, 3)
        times = self.seen.setdefault(person, [])
        times.append(time_s)
        if len(times) % self.EVERY == 0:
            self._due.append((person, time_s))

    def forget(self, person: Hashable) -> None:
        self.forgotten.append(person)

    def answers(self) -> list[tuple[Hashable, float, ActionScores]]:
        due, self._due = self._due, []
        if not due:
            return []
        self.batches.append([person for person, _ in due])
        label = self._labels.pop(0) if len(self._labels) > 1 else self._labels[0]
        shares = dict.fromkeys(self._all, 0.05) | {label: 0.9}
        top = tuple(sorted(shares.items(), key=lambda item: -item[1]))
        return [(person, time_s, ActionScores(label, 0.9, top)) for person, time_s in due]


def at_threshold(risk: RiskModel | None) -> PipelineSettings:
    """Suspect danger from the model's own threshold on, as the service does."""
    return PipelineSettings(danger=DangerSettings(threshold=risk.threshold if risk is not None else 1.0))


def new_pipeline(risk: RiskModel | None = None, *, actions: ActionModel | None = None,
                 settings: PipelineSettings | None = None) -> Pipeline:  # fmt: skip
    numbers = count(1)
    return Pipeline("hall", actions=actions, risk=risk, model_id="test@0", settings=settings or at_threshold(risk),
                    new_id=lambda: f"alert-{next(numbers)}")  # fmt: skip


def play(pipeline: Pipeline, frames: Iterable[PoseFrame]) -> list[Event]:
    return [event for frame in frames for event in pipeline.update(frame)]


def kinds(events: Sequence[Event]) -> list[str]:
    """Tell dangers and alerts in short, leaving out what only says more of the same."""
    return [e.phase if isinstance(e, DangerEvent) else f"alert {e.change}" for e in events
            if (isinstance(e, DangerEvent) and e.phase != "update") or isinstance(e, AlertEvent)]  # fmt: skip


def alerts(events: Sequence[Event]) -> list[AlertEvent]:
    return [e for e in events if isinstance(e, AlertEvent)]


def labels(events: Sequence[Event]) -> list[str]:
    return [e.label for e in events if isinstance(e, ActionEvent)]


def frames_of_clip(clip: Clip) -> list[PoseFrame]:
    assert clip.width_px is not None
    assert clip.height_px is not None
    frames = []
    for at_s, people in zip(clip.time_s.tolist(), clip.joints, strict=True):
        poses = tuple(Pose(one[:, :2], one[:, 2]) for one in people if np.isfinite(one[:, 0]).any())
        frames.append(PoseFrame("hall", START_S + at_s, at_s, clip.width_px, clip.height_px, poses))
    return frames


@cache
def unseen_clips() -> list[Clip]:
    """Clips of people that the model was not fitted on."""
    falls = simulate_clips(4, seed=11, kinds=("fall-forward", "fall-backward", "fall-sideways", "fall-collapse"))
    return [*falls, *simulate_clips(24, seed=12, kinds=("daily",))]


# -- falls -----------------------------------------------------------------------------------------------------------


def test_a_fall_gives_danger_at_once_and_one_alert_a_few_seconds_later(risk: RiskModel) -> None:
    pipeline = new_pipeline(risk)

    events = play(pipeline, falling_person(fall_s=3.0, duration_s=10.0))

    assert kinds(events) == ["new", "alert state"]
    danger, alert = events[0], alerts(events)[0]
    assert isinstance(danger, DangerEvent)
    assert 3.0 < danger.source_time_s < 4.5
    assert danger.source_time_s + 2.0 < alert.source_time_s < 8.0
    assert alert.kind == "fall"
    assert "dropped" in alert.reason
    assert (alert.person, alert.camera, alert.model) == (1, "hall", "test@0")
    assert pipeline.finish() == []


def _least_height(clip: Clip) -> float:
    """Least height of the body's box, as a share of the picture's height."""
    heights_px = np.ptp(clip.joints[:, 0, :, 1], axis=1)
    return float(np.nanmin(heights_px)) / (clip.height_px or 1)


def test_simulated_falls_are_found_and_simulated_calm_is_left_alone(risk: RiskModel) -> None:
    falls = [clip for clip in unseen_clips() if clip.danger][:4]
    calm = [clip for clip in unseen_clips() if {label for *_, label in clip.spans} <= {"stand", "walk", "sit"}]
    # Seen from straight above, somebody who walks is as short as somebody who lies: no camera to watch falls with.
    calm = [clip for clip in calm if _least_height(clip) > 0.3][:3]
    assert len(calm) == 3

    alarmed = []
    for clip in [*falls, *calm]:
        pipeline = new_pipeline(risk)
        events = play(pipeline, frames_of_clip(clip)) + pipeline.finish()
        alarmed.append(bool(alerts(events)))

    assert alarmed == [True] * 4 + [False] * 3


def test_walking_standing_and_sitting_down_give_no_danger(risk: RiskModel) -> None:
    def body(at_s: float) -> FloatArray:
        share = np.float32(np.clip((at_s - 6.0) / 1.2, 0, 1))
        standing, seated = standing_body(x_px=400.0), seated_body(x_px=400.0)
        return standing + share * (seated - standing)

    walk = frames_of(walking_body(from_x_px=150, to_x_px=400, duration_s=4.0), duration_s=4.0)

    events = play(new_pipeline(risk), [*walk, *frames_of(body, duration_s=16.0, begin_s=4.0)])

    assert alerts(events) == []


def test_getting_up_in_time_ends_the_danger_without_an_alert(risk: RiskModel) -> None:
    frames = frames_of(falling_body(fall_s=3.0, up_s=5.5), duration_s=12.0)

    events = play(new_pipeline(risk), frames)

    assert kinds(events) in (["new", "end"], [])
    assert alerts(events) == []


@pytest.mark.parametrize("scene", ["fall", "fall and up"])
def test_frame_rates_change_nothing_in_what_is_told(risk: RiskModel, scene: str) -> None:
    body = falling_body(fall_s=3.0, up_s=12.0 if scene == "fall and up" else np.inf)

    told = {
        rate_hz: kinds(play(new_pipeline(risk), frames_of(body, duration_s=18.0, rate_hz=rate_hz)))
        for rate_hz in (10.0, 15.0, 30.0)
    }

    assert told[10.0] == told[15.0] == told[30.0]
    assert told[15.0] == ["new", "alert state", *(["end"] if scene == "fall and up" else [])]


def test_the_same_frames_give_the_same_events(risk: RiskModel) -> None:
    frames = falling_person()

    assert play(new_pipeline(risk), frames) == play(new_pipeline(risk), frames)


def test_events_hang_on_capture_time_alone_whenever_the_run_began(risk: RiskModel) -> None:
    frames = falling_person()
    later = [replace(frame, time_s=frame.time_s + 86_400.0) for frame in frames]

    here, there = play(new_pipeline(risk), frames), play(new_pipeline(risk), later)

    assert [e.source_time_s for e in here if isinstance(e, DangerEvent | AlertEvent)] == [
        e.source_time_s for e in there if isinstance(e, DangerEvent | AlertEvent)
    ]


def test_in_a_rest_zone_no_danger_begins(risk: RiskModel) -> None:
    everywhere = replace(at_threshold(risk), rest_zones=(((0, 0), (1, 0), (1, 1), (0, 1)),))

    assert play(new_pipeline(risk, settings=everywhere), falling_person()) == []


def test_the_one_who_falls_is_named_and_not_the_one_beside(risk: RiskModel) -> None:
    frames = frames_of(lambda _: standing_body(x_px=80.0, px_per_m=130), falling_body(x_px=260.0), duration_s=9.0)
    pipeline = new_pipeline(risk)

    events = play(pipeline, frames)

    who = {person: track.last.box for person, track, _, _ in pipeline.people()}
    (alert,) = alerts(events)
    assert alert.person is not None
    assert who[alert.person].width > who[alert.person].height


# -- the end of the source -------------------------------------------------------------------------------------------


def test_a_fall_at_the_very_end_is_an_alert_that_says_why(risk: RiskModel) -> None:
    pipeline = new_pipeline(risk)
    events = play(pipeline, falling_person(fall_s=3.0, duration_s=5.2))
    assert kinds(events) == ["new"]

    end = pipeline.finish()

    (alert,) = alerts(end)
    assert alert.change_reason == "source_ended"
    assert alert.source_time_s == pytest.approx(5.2, abs=0.1)


def test_after_the_end_everybody_is_forgotten(risk: RiskModel) -> None:
    pipeline = new_pipeline(risk)
    play(pipeline, falling_person(duration_s=5.2))

    first, second = pipeline.finish(), pipeline.finish()

    assert first
    assert second == []
    assert pipeline.people() == []


def test_a_pipeline_that_saw_nothing_has_nothing_to_say_at_the_end() -> None:
    assert new_pipeline().finish() == []


def test_who_comes_after_a_lost_camera_is_somebody_new(risk: RiskModel) -> None:
    pipeline = new_pipeline(risk)
    play(pipeline, standing_person(duration_s=2.0))
    pipeline.finish("camera_lost")

    play(pipeline, frames_of(lambda _: standing_body(), duration_s=2.0, begin_s=30.0))

    assert [person for person, *_ in pipeline.people()] == [2]


# -- lost and found --------------------------------------------------------------------------------------------------


def test_somebody_lost_while_falling_gives_an_alert(risk: RiskModel) -> None:
    frames = frames_of(falling_body(fall_s=3.0), duration_s=12.0, hidden=[(3.8, 99.0)])

    events = play(new_pipeline(risk), frames)

    assert kinds(events) == ["new", "alert state"]


def test_somebody_who_walks_out_at_the_side_gives_none(risk: RiskModel) -> None:
    frames = frames_of(walking_body(from_x_px=320, to_x_px=625, duration_s=3.0), duration_s=10.0, hidden=[(3.0, 99.0)])
    pipeline = new_pipeline(risk)

    events = play(pipeline, frames)

    assert alerts(events + pipeline.finish()) == []


@pytest.mark.parametrize("lost_s", [1.0, 5.0, 30.0])
def test_somebody_lost_on_the_floor_and_found_again_is_still_one_incident(risk: RiskModel, lost_s: float) -> None:
    frames = frames_of(falling_body(fall_s=3.0), duration_s=20.0 + lost_s, hidden=[(8.0, 8.0 + lost_s)])

    events = play(new_pipeline(risk), frames)

    assert kinds([e for e in events if not isinstance(e, AlertEvent) or e.change == "state"]) == ["new", "alert state"]
    assert {e.person for e in events if isinstance(e, DangerEvent | AlertEvent)} == {1}


def test_somebody_found_again_is_drawn_under_the_number_that_the_alert_names(risk: RiskModel) -> None:
    pipeline = new_pipeline(risk)

    play(pipeline, frames_of(falling_body(fall_s=3.0), duration_s=16.0, hidden=[(8.0, 12.0)]))

    assert [person for person, *_ in pipeline.people()] == [1]


def test_getting_up_after_being_lost_and_found_ends_the_danger(risk: RiskModel) -> None:
    frames = frames_of(falling_body(fall_s=3.0, up_s=20.0), duration_s=30.0, hidden=[(8.0, 13.0)])

    events = play(new_pipeline(risk), frames)

    assert kinds(events) == ["new", "alert state", "end"]


@pytest.mark.parametrize("comes_s", [8.0, 10.0])
def test_a_visitor_beside_somebody_lost_on_the_floor_does_not_end_the_danger(risk: RiskModel, comes_s: float) -> None:
    fallen = frames_of(falling_body(fall_s=3.0, x_px=150.0), duration_s=20.0, hidden=[(7.0, 99.0)])
    visitor = frames_of(lambda _: standing_body(x_px=560.0), duration_s=8.0, begin_s=comes_s)
    frames = [*[f for f in fallen if f.source_time_s < comes_s], *visitor]

    events = play(new_pipeline(risk), frames)

    assert kinds(events) == ["new", "alert state"]


@pytest.mark.parametrize("beside_px", [150.0, 250.0])
def test_a_carer_who_stands_where_somebody_was_lost_is_not_taken_for_them(risk: RiskModel, beside_px: float) -> None:
    fallen = frames_of(falling_body(fall_s=3.0, x_px=150.0), duration_s=7.0, hidden=[(4.5, 99.0)])
    carer = frames_of(lambda _: standing_body(x_px=288.0 + beside_px), duration_s=8.0, begin_s=7.0)
    pipeline = new_pipeline(risk)

    events = play(pipeline, [*fallen, *carer])

    assert kinds(events) == ["new", "alert state"]
    assert [person for person, *_ in pipeline.people()] == [2]


# -- one incident, one alert -----------------------------------------------------------------------------------------


def alert_ids(events: Sequence[Event]) -> list[str]:
    return [e.alert for e in alerts(events) if e.change == "state"]


def scraps(xy: FloatArray) -> Pose:
    """A pose of which only the legs and one wrist are seen: no body to read a posture from."""
    score = np.full(17, 0.05, dtype=np.float32)
    score[[9, 13, 14, 15, 16]] = 0.9
    return Pose(xy=np.asarray(xy, dtype=np.float32), score=score)


def kneeling_body(*, x_px: float, px_per_m: float = 150.0) -> FloatArray:
    """Somebody on their knees, bent over: hips 0.45 m, shoulders and head 0.8 m lower and forwards."""
    joints = standing_body(x_px=x_px, px_per_m=px_per_m).copy()
    joints[:11] += np.array([-0.45, 0.75], dtype=np.float32) * px_per_m
    joints[11:13, 1] += 0.45 * px_per_m
    joints[13:15, 1] += 0.42 * px_per_m
    joints[15:17, 0] += 0.35 * px_per_m
    return joints


@pytest.mark.parametrize("lost_s", [3.65, 3.8])
def test_somebody_of_whom_only_scraps_are_seen_after_a_fall_gives_an_alert(risk: RiskModel, lost_s: float) -> None:
    frames = falling_person(fall_s=3.0, duration_s=12.0)
    torn = [replace(f, poses=(scraps(f.poses[0].xy),)) if f.source_time_s > lost_s else f for f in frames]
    pipeline = new_pipeline(risk)

    events = play(pipeline, torn)

    assert kinds(events) == ["new", "alert state"]


def test_a_suspicion_too_weak_to_be_told_is_not_drawn_either(risk: RiskModel) -> None:
    weak = PipelineSettings(danger=DangerSettings(threshold=1e-9, tell_from=1.0, floor_after_s=0.0))
    assert risk.confirm is not None
    pipeline = new_pipeline(replace(risk, confirm=replace(risk.confirm, threshold=1.0)), settings=weak)

    events = play(pipeline, falling_person(fall_s=3.0, duration_s=5.0))

    assert kinds(events) == []
    assert [danger for *_, danger in pipeline.people()] == [0.0]


def test_a_floor_alert_is_one_alert_though_the_pose_comes_and_goes() -> None:
    hidden = [(70.0, 75.0), (120.0, 140.0)]
    frames = frames_of(lambda _: lying_body(x_px=250.0), duration_s=230.0, rate_hz=8.0, hidden=hidden)

    events = play(new_pipeline(None), frames)

    assert alert_ids(events) == ["alert-1"]
    assert {e.person for e in events if isinstance(e, DangerEvent | AlertEvent)} == {1}


def test_a_helper_who_kneels_and_rises_again_does_not_end_the_danger_of_the_fallen(risk: RiskModel) -> None:
    fall = falling_body(fall_s=3.0, x_px=150.0)

    def helper(at_s: float) -> FloatArray:
        if at_s < 9.0:
            return walking_body(from_x_px=580, to_x_px=420, duration_s=9.0)(at_s)
        share = np.float32(np.clip((at_s - 9.0) / 1.0, 0, 1) * np.clip((16.0 - at_s) / 1.0, 0, 1))
        return standing_body(x_px=420.0) + share * (kneeling_body(x_px=420.0) - standing_body(x_px=420.0))

    both = frames_of(fall, helper, duration_s=90.0)
    frames = [replace(f, poses=f.poses[1:]) if 11.0 < f.source_time_s < 12.5 else f for f in both]

    events = play(new_pipeline(risk), frames)

    assert alert_ids(events) == ["alert-1"]
    fallen = [event for event in events if isinstance(event, DangerEvent) and event.person == 1]
    assert "end" not in kinds(fallen)


def test_a_carer_who_comes_and_kneels_where_somebody_was_lost_is_not_taken_for_them(risk: RiskModel) -> None:
    fallen = frames_of(falling_body(fall_s=3.0, x_px=150.0), duration_s=9.0, hidden=[(4.5, 99.0)])

    def carer(at_s: float) -> FloatArray:
        if at_s < 12.0:
            return standing_body(x_px=600.0 - 70.0 * (at_s - 9.0))
        share = np.float32(np.clip(at_s - 12.0, 0, 1) * np.clip(17.0 - at_s, 0, 1))
        return standing_body(x_px=390.0) + share * (kneeling_body(x_px=390.0) - standing_body(x_px=390.0))

    pipeline = new_pipeline(risk)
    events = play(pipeline, [*fallen, *frames_of(carer, duration_s=15.0, begin_s=9.0)])

    assert alert_ids(events)[:1] == ["alert-1"]
    assert [e.person for e in events if isinstance(e, DangerEvent) and e.phase == "end" and e.alert] == []


@pytest.mark.parametrize("away_s", [1.0, 40.0])
def test_a_camera_that_comes_back_finds_the_same_incident(risk: RiskModel, away_s: float) -> None:
    pipeline = new_pipeline(risk)
    body = falling_body(fall_s=3.0)
    events = play(pipeline, frames_of(body, duration_s=10.0))

    events += pipeline.finish("camera_lost")
    assert pipeline.people() == []
    events += play(pipeline, frames_of(body, duration_s=80.0, begin_s=10.0 + away_s, rate_hz=8.0))

    assert alert_ids(events) == ["alert-1"]


def test_a_camera_that_stays_away_for_long_brings_nothing_old_back(risk: RiskModel) -> None:
    pipeline = new_pipeline(risk)
    play(pipeline, frames_of(falling_body(fall_s=3.0), duration_s=10.0))
    pipeline.finish("camera_lost")

    events = play(pipeline, frames_of(lambda _: standing_body(), duration_s=5.0, begin_s=5000.0))

    assert events == []


def test_times_that_go_back_begin_anew_and_stop_nothing(risk: RiskModel) -> None:
    pipeline = new_pipeline(risk)
    play(pipeline, frames_of(falling_body(fall_s=3.0), duration_s=10.0))

    events = play(pipeline, frames_of(falling_body(fall_s=-997.0), duration_s=10.0, begin_s=-1000.0))

    assert alert_ids(events) == ["alert-2"]


def test_somebody_who_lies_at_the_edge_is_one_incident_though_the_pose_comes_and_goes(risk: RiskModel) -> None:
    fall = falling_body(fall_s=3.0, x_px=400.0)
    frames = frames_of(fall, duration_s=90.0, hidden=[(9.0, 13.0), (20.0, 24.0)])

    events = play(new_pipeline(risk), frames)

    assert alert_ids(events) == ["alert-1"]
    assert "end" not in kinds(events)


def test_who_lies_down_in_a_rest_zone_and_is_lost_under_the_blanket_gives_no_alert(risk: RiskModel) -> None:
    zones = (((0.58, 0.0), (1.0, 0.0), (1.0, 1.0), (0.58, 1.0)),)
    bed = PipelineSettings(danger=DangerSettings(threshold=0.05), rest_zones=zones)  # suspicious of everything
    frames = frames_of(falling_body(fall_s=3.0, x_px=250.0), duration_s=16.0, hidden=[(4.0, 99.0)])
    pipeline = new_pipeline(risk, settings=bed)

    events = play(pipeline, frames)

    assert kinds(events + pipeline.finish()) == ["new", "end"]


# -- the floor timer -------------------------------------------------------------------------------------------------


def test_somebody_lying_for_a_minute_raises_a_floor_alert_without_any_model() -> None:
    frames = frames_of(lambda t: standing_body() if t < 3 else lying_body(x_px=250.0), duration_s=70.0, rate_hz=10.0)

    events = play(new_pipeline(None), frames)

    told = alerts(events)
    assert [(alert.kind, alert.change) for alert in told] == [("floor", "state")]
    assert told[0].source_time_s == pytest.approx(63.0, abs=1.0)


def test_the_floor_timer_survives_a_second_without_a_pose() -> None:
    frames = frames_of(lambda _: lying_body(x_px=250.0), duration_s=65.0, rate_hz=10.0, hidden=[(30.0, 31.0)])

    events = play(new_pipeline(None), frames)

    assert alerts(events)[0].source_time_s == pytest.approx(60.0, abs=1.0)


def test_the_floor_timer_survives_three_seconds_without_a_pose() -> None:
    frames = frames_of(lambda _: lying_body(x_px=250.0), duration_s=65.0, rate_hz=10.0, hidden=[(30.0, 33.0)])

    events = play(new_pipeline(None), frames)

    assert alerts(events)[0].source_time_s == pytest.approx(60.0, abs=1.0)


def test_somebody_who_gets_up_while_out_of_sight_and_comes_back_walking_raises_no_floor_alert() -> None:
    lying = frames_of(lambda _: lying_body(x_px=250.0), duration_s=30.0, rate_hz=10.0)
    back = frames_of(
        walking_body(from_x_px=250, to_x_px=450, duration_s=40.0), duration_s=80.0, begin_s=40.0, rate_hz=10.0
    )
    gone = [pose_frame([], at_s=30.0 + i / 10) for i in range(100)]
    pipeline = new_pipeline(None)

    events = play(pipeline, [*lying, *gone, *back])

    assert alerts(events + pipeline.finish()) == []


# -- actions ---------------------------------------------------------------------------------------------------------


def test_the_first_label_of_a_person_comes_within_a_second() -> None:
    events = play(new_pipeline(actions=Script(["walk"])), standing_person(duration_s=3.0))

    (event,) = [e for e in events if isinstance(e, ActionEvent)]
    assert event.label == "walk"
    assert 0.2 <= event.source_time_s <= 1.0
    assert (event.person, event.camera, event.model) == (1, "hall", "test@0")
    assert event.top[0][0] == "walk"
    assert event.score == event.top[0][1] == pytest.approx(0.9)


def test_a_label_is_told_once_and_not_with_each_window() -> None:
    assert labels(play(new_pipeline(actions=Script(["walk"])), standing_person(duration_s=8.0))) == ["walk"]


def test_a_single_odd_window_changes_no_label() -> None:
    script = Script(["walk", "walk", "walk", "walk", "sit", "walk", "walk"])

    assert labels(play(new_pipeline(actions=script), standing_person(duration_s=6.0))) == ["walk"]


def test_a_label_that_holds_replaces_the_old_one_soon() -> None:
    script = Script(["walk"] * 4 + ["sit"])

    events = [e for e in play(new_pipeline(actions=script), standing_person(duration_s=6.0))
              if isinstance(e, ActionEvent)]  # fmt: skip

    assert [e.label for e in events] == ["walk", "sit"]
    assert events[1].since_s <= events[1].time_s
    assert 4 * 0.26 < events[1].source_time_s - events[0].source_time_s < 4 * 0.26 + 1.5


@given(script=st.lists(st.sampled_from(["walk", "sit", "lie"]), min_size=1, max_size=20))
@settings(max_examples=12, deadline=None)
def test_no_label_lasts_less_than_half_a_second(script: list[str]) -> None:
    events = play(new_pipeline(actions=Script(script)), standing_person(duration_s=8.0))

    changes = [e for e in events if isinstance(e, ActionEvent)]
    assert all(b.time_s - a.time_s >= 0.53 - 1e-6 for a, b in pairwise(changes))
    assert all(b.label != a.label for a, b in pairwise(changes))


def test_everybody_in_view_is_shown_to_the_model_and_named_together() -> None:
    script = Script(["walk"])
    frames = frames_of(lambda _: standing_body(x_px=160), lambda _: standing_body(x_px=480), duration_s=3.0)

    play(new_pipeline(actions=script), frames)

    assert list(script.seen) == [("hall", 1), ("hall", 2)]
    assert all(len(times) == len(frames) for times in script.seen.values())
    assert all(len(batch) == 2 for batch in script.batches)


def test_the_model_is_shown_the_track_from_its_beginning_and_each_pose_once() -> None:
    script = Script(["walk"])
    frames = standing_person(duration_s=2.0)

    play(new_pipeline(actions=script), frames)

    assert script.seen["hall", 1] == [frame.time_s for frame in frames]


def test_whoever_is_out_of_sight_is_not_shown_and_is_forgotten() -> None:
    script = Script(["walk"])
    frames = frames_of(lambda _: standing_body(), duration_s=6.0, hidden=[(2.0, 99.0)])

    play(new_pipeline(actions=script), frames)

    assert max(script.seen["hall", 1]) - START_S < 2.0
    assert script.forgotten == [("hall", 1)]


def test_the_model_forgets_everybody_when_the_source_ends() -> None:
    script = Script(["walk"])
    pipeline = new_pipeline(actions=script)
    play(pipeline, standing_person(duration_s=2.0))

    pipeline.finish()

    assert script.forgotten == [("hall", 1)]


def test_actions_of_several_cameras_can_be_asked_for_together() -> None:
    script = Script(["walk"])
    hall, kitchen = (Pipeline(name, actions=script, risk=None, model_id="test@0") for name in ("hall", "kitchen"))
    told = []

    for frame in standing_person(duration_s=2.0):
        for pipeline, shown in ((hall, frame), (kitchen, replace(frame, camera="kitchen"))):
            assert not labels(pipeline.look(shown))
            pipeline.show(shown)
        answers = script.answers()
        told += hall.name(answers) + kitchen.name(answers)

    assert sorted((event.camera, event.label) for event in told if isinstance(event, ActionEvent)) == [
        ("hall", "walk"), ("kitchen", "walk")
    ]  # fmt: skip
    assert {len(batch) for batch in script.batches} == {2}


# -- anything at all -------------------------------------------------------------------------------------------------

COORDINATES = st.one_of(st.floats(-1000, 2000, width=32), st.sampled_from([float("nan"), float("inf"), 0.0, -1e5, 1e5]))
ANY_POSE = st.builds(
    Pose,
    xy=hnp.arrays(np.float32, (17, 2), elements=COORDINATES),
    score=hnp.arrays(np.float32, (17,), elements=st.one_of(st.floats(0, 1, width=32), st.just(float("nan")))),
)


def test_poses_with_unknown_joints_never_stop_the_pipeline(risk: RiskModel) -> None:
    rng = np.random.default_rng(0)
    pipeline = new_pipeline(risk, actions=Script(["walk", "sit"]))

    for frame in falling_person(duration_s=8.0):
        xy = frame.poses[0].xy.copy()
        xy[rng.random(17) < 0.5] = np.nan
        pipeline.update(replace(frame, poses=(pose_of(xy), pose_of(np.full((17, 2), np.nan, dtype=np.float32)))))

    pipeline.finish()


@given(
    poses=st.lists(st.lists(ANY_POSE, max_size=2), min_size=1, max_size=5),
    steps_s=st.lists(st.floats(0.02, 2.5), min_size=5, max_size=5),
)
@settings(max_examples=25, deadline=None)
def test_no_pose_whatever_stops_the_pipeline(risk: RiskModel, poses: list[list[Pose]], steps_s: list[float]) -> None:
    pipeline = new_pipeline(risk, actions=Script(["walk"]))
    play(pipeline, standing_person(duration_s=1.5))
    at_s = 1.5

    for people, step_s in zip(poses, steps_s, strict=False):
        at_s += step_s
        pipeline.update(pose_frame(people, at_s=at_s))

    pipeline.finish()


def test_half_a_minute_of_an_empty_room_says_nothing(risk: RiskModel) -> None:
    empty = [pose_frame([], at_s=i / 15) for i in range(450)]

    assert play(new_pipeline(risk, settings=PipelineSettings(danger=DangerSettings(threshold=0.01))), empty) == []


def test_the_risk_model_under_test_is_a_real_one(risk: RiskModel) -> None:
    assert risk.mean.shape == (len(FEATURES),)
    assert (WIDTH_PX, HEIGHT_PX) == (640, 480)
