"""From danger to one alert: suspicion at once, confirmation by lying still, and the floor timer that needs neither."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from har.alerts import Confirm, DangerRule, DangerSettings, is_down, is_in, is_on_floor, is_up
from har.records import AlertEvent, DangerEvent, Event, Posture, Risk, Stance

START_S = 1_700_000_000.0
STEP_S = 0.2

STANDING = Posture(time_s=0.0, found=True, trunk_angle=0.03, aspect=0.35, shoulder_y=150.0, hip_y=225.0,
                   head_rise=0.95, hip_rise=0.55, place=(300.0, 250.0), body_px=250.0, at_edge=False)  # fmt: skip
LYING = replace(STANDING, trunk_angle=0.48, aspect=2.5, shoulder_y=325.0, hip_y=337.0, head_rise=0.12, hip_rise=0.1)
SITTING = replace(STANDING, trunk_angle=0.08, aspect=0.6, shoulder_y=212.0, hip_y=262.0, head_rise=0.8, hip_rise=0.45)
LOST = replace(LYING, found=False)
LOST_AT_EDGE = replace(LOST, at_edge=True)

BEFORE = Stance(shoulder_y=150.0, hip_y=225.0)
FALL = Risk(0.9, "fall", "hips dropped 0.6 body lengths in 0.5 s, trunk level", before=BEFORE)
CALM = Risk(0.05, "fall", "unusual movement", before=BEFORE)

Scene = Sequence[tuple[float, Posture, Risk | None]]
"""Parts of a scene: how long, how somebody holds themselves, what the risk model says."""


def new_rule(**settings_: float) -> DangerRule:
    numbers = count(1)
    return DangerRule(DangerSettings(**settings_), camera="hall", person=7, model="test@0",
                      new_id=lambda: f"alert-{next(numbers)}")  # fmt: skip


def play(rule: DangerRule, scene: Scene, *, resting: Callable[[float], bool] = lambda at_s: False,
         step_s: float = STEP_S, begin_s: float = 0.0, confirm: Confirm | None = None) -> list[Event]:  # fmt: skip
    """Feed a scene, one reading each `step_s` of capture time."""
    events: list[Event] = []
    at_s, end_s = begin_s, begin_s
    for duration_s, posture, risk in scene:
        end_s += duration_s
        while at_s < end_s - 1e-9:
            now = replace(posture, time_s=START_S + at_s)
            events += rule.update(now, risk, source_time_s=at_s, resting=resting(at_s), confirm=confirm)
            at_s += step_s
    return events


def kinds(events: Sequence[Event]) -> list[str]:
    """Tell events in short: a danger's phase, an alert's change."""
    return [e.phase if isinstance(e, DangerEvent) else f"alert {e.change}" for e in events
            if isinstance(e, DangerEvent | AlertEvent)]  # fmt: skip


def alerts(events: Sequence[Event]) -> list[AlertEvent]:
    return [e for e in events if isinstance(e, AlertEvent)]


def dangers(events: Sequence[Event]) -> list[DangerEvent]:
    return [e for e in events if isinstance(e, DangerEvent)]


FALLEN: Scene = [(3.0, STANDING, CALM), (1.0, LYING, FALL), (9.0, LYING, CALM)]


def test_a_fall_and_lying_still_gives_danger_at_once_and_then_one_alert() -> None:
    events = play(new_rule(), FALLEN)

    assert kinds(events) == ["new", "update", "alert state"]
    new, update, alert = events
    assert isinstance(new, DangerEvent)
    assert isinstance(update, DangerEvent)
    assert isinstance(alert, AlertEvent)
    assert new.source_time_s == pytest.approx(3.0)
    assert alert.source_time_s == pytest.approx(5.5, abs=0.2)
    assert (new.alert, update.alert, alert.alert) == (None, "alert-1", "alert-1")
    assert (alert.state, alert.kind, alert.priority, alert.change_reason) == ("raised", "fall", "high", None)
    assert alert.since_s == new.since_s == START_S + new.source_time_s
    assert alert.reason == FALL.reason
    assert (alert.camera, alert.person, alert.model) == ("hall", 7, "test@0")


def test_somebody_upright_gives_no_danger() -> None:
    assert play(new_rule(), [(60.0, STANDING, CALM)]) == []


def test_probability_under_the_threshold_gives_no_danger() -> None:
    scene: Scene = [(10.0, LYING, replace(FALL, probability=0.79))]

    assert play(new_rule(threshold=0.8), scene) == []


@pytest.mark.parametrize("down_s", [0.6, 1.4])
def test_getting_up_in_time_ends_the_danger_without_an_alert(down_s: float) -> None:
    scene: Scene = [(3.0, STANDING, CALM), (down_s, LYING, FALL), (6.0, STANDING, CALM)]

    events = play(new_rule(), scene)

    assert kinds(events) == ["new", "end"]
    assert alerts(events) == []


def test_a_higher_probability_is_told_once_it_is_worth_telling() -> None:
    rising = [(0.4, LYING, replace(FALL, probability=p)) for p in (0.6, 0.63, 0.75, 0.76, 0.9)]

    events = play(new_rule(), rising)

    assert [round(e.probability, 2) for e in dangers(events)] == [0.6, 0.75, 0.9]


def test_somebody_lost_low_down_and_not_at_an_edge_gives_an_alert() -> None:
    events = play(new_rule(), [(3.0, STANDING, CALM), (0.4, LYING, FALL), (6.0, LOST, None)])

    assert kinds(events) == ["new", "update", "alert state"]


def test_somebody_lost_at_an_edge_gives_none() -> None:
    rule = new_rule()

    events = play(
        rule, [(3.0, STANDING, CALM), (0.4, replace(STANDING, at_edge=True), FALL), (1.6, LOST_AT_EDGE, None)]
    )
    events += rule.finish(replace(LOST_AT_EDGE, time_s=START_S + 5.0), source_time_s=5.0, why="left")

    assert kinds(events) == ["new", "end"]


@pytest.mark.parametrize("why", ["source_ended", "camera_lost"])
def test_a_suspicion_of_somebody_down_becomes_an_alert_when_the_source_ends(why: str) -> None:
    rule = new_rule()
    play(rule, [(3.0, STANDING, CALM), (1.0, LYING, FALL)])

    events = rule.finish(replace(LYING, time_s=START_S + 4.0), source_time_s=4.0, why=why)

    (alert,) = alerts(events)
    assert alert.change_reason == why
    assert alert.state == "raised"


def test_a_suspicion_of_somebody_on_their_feet_ends_with_the_source() -> None:
    rule = new_rule()
    play(rule, [(3.0, STANDING, CALM), (0.4, STANDING, FALL)])

    events = rule.finish(replace(STANDING, time_s=START_S + 3.4), source_time_s=3.4, why="source_ended")

    assert kinds(events) == ["end"]


def test_an_alert_already_raised_is_not_raised_again_when_the_source_ends() -> None:
    rule = new_rule()
    play(rule, FALLEN)

    assert rule.finish(replace(LYING, time_s=START_S + 13.0), source_time_s=13.0, why="source_ended") == []


def test_nothing_is_told_at_the_end_of_somebody_without_danger() -> None:
    rule = new_rule()
    play(rule, [(3.0, STANDING, CALM)])

    assert rule.finish(replace(STANDING, time_s=START_S + 3.0), source_time_s=3.0, why="source_ended") == []


def test_a_suspicion_never_decided_ends_by_itself() -> None:
    sitting_down: Scene = [(3.0, STANDING, CALM), (1.0, SITTING, FALL), (30.0, SITTING, CALM)]

    events = play(new_rule(undecided_s=8.0), sitting_down)

    assert kinds(events) == ["new", "end"]
    assert events[-1].time_s == pytest.approx(START_S + 3.0 + 8.0, abs=0.5)


def test_the_floor_timer_needs_no_classifier() -> None:
    events = play(new_rule(), [(5.0, STANDING, None), (80.0, LYING, None)])

    assert kinds(events)[:3] == ["new", "update", "alert state"]
    (alert,) = [e for e in alerts(events) if e.change == "state"]
    assert (alert.kind, alert.priority) == ("floor", "high")
    assert alert.source_time_s == pytest.approx(65.0, abs=0.3)
    assert alert.floor_s == pytest.approx(60.0, abs=0.3)
    assert alert.since_s == pytest.approx(START_S + 5.0, abs=0.3)
    assert "on the floor" in alert.reason


def test_the_floor_timer_counts_from_the_first_frame_seen_lying() -> None:
    events = play(new_rule(), [(80.0, LYING, None)])

    assert alerts(events)[0].source_time_s == pytest.approx(60.0, abs=0.3)


def test_where_people_may_lie_no_danger_begins_and_no_timer_runs() -> None:
    events = play(new_rule(), [(2.0, LYING, FALL), (200.0, LYING, CALM)], resting=lambda at_s: True)

    assert events == []


def test_rolling_out_of_a_bed_starts_the_timer_on_the_floor() -> None:
    events = play(new_rule(), [(200.0, LYING, CALM)], resting=lambda at_s: at_s < 100.0)

    assert alerts(events)[0].source_time_s == pytest.approx(160.0, abs=0.3)


@pytest.mark.parametrize("between", [STANDING, SITTING, LOST])
def test_the_floor_timer_survives_three_seconds_of_something_else(between: Posture) -> None:
    events = play(new_rule(), [(30.0, LYING, None), (3.0, between, None), (40.0, LYING, None)])

    assert alerts(events)[0].source_time_s == pytest.approx(60.0, abs=0.3)


def test_the_floor_timer_begins_anew_after_standing() -> None:
    events = play(new_rule(), [(50.0, LYING, None), (8.0, STANDING, None), (65.0, LYING, None)])

    assert alerts(events)[0].source_time_s == pytest.approx(58.0 + 60.0, abs=0.5)


def test_the_floor_timer_can_be_turned_off() -> None:
    assert play(new_rule(floor_after_s=0), [(300.0, LYING, None)]) == []


def test_sitting_on_the_floor_upright_is_not_lying() -> None:
    on_the_floor = replace(SITTING, head_rise=0.45, hip_rise=0.05, trunk_angle=0.05, aspect=0.9)

    assert play(new_rule(), [(300.0, on_the_floor, None)]) == []


def test_an_alert_tells_of_the_time_on_the_floor_now_and_then_under_one_name() -> None:
    events = play(new_rule(), [(3.0, STANDING, CALM), (1.0, LYING, FALL), (99.0, LYING, CALM)])

    told = alerts(events)
    assert {alert.alert for alert in told} == {"alert-1"}
    assert [alert.change for alert in told] == ["state", "timer", "timer", "timer"]
    times_s = [alert.time_s for alert in told]
    assert [b - a for a, b in pairwise(times_s)] == pytest.approx([30.0] * 3, abs=0.3)
    assert [alert.floor_s for alert in told] == sorted(alert.floor_s for alert in told)


def test_a_long_time_on_the_floor_raises_the_priority_of_a_possible_fall() -> None:
    possible = replace(FALL, kind="risk")

    events = play(new_rule(), [(3.0, STANDING, CALM), (1.0, LYING, possible), (99.0, LYING, CALM)])

    assert [alert.priority for alert in alerts(events)] == ["medium", "medium", "high", "high"]
    assert {alert.alert for alert in alerts(events)} == {"alert-1"}


def test_a_possible_fall_that_is_then_seen_to_be_one_becomes_a_fall_under_the_same_name() -> None:
    scene: Scene = [
        (3.0, STANDING, CALM),
        (4.0, LYING, replace(FALL, kind="risk", probability=0.6)),
        (1.0, LYING, FALL),
    ]

    events = play(new_rule(), scene)

    told = alerts(events)
    assert [(alert.kind, alert.change) for alert in told] == [("risk", "state"), ("fall", "kind")]
    assert [alert.priority for alert in told] == ["medium", "high"]
    assert {alert.alert for alert in alerts(events)} == {"alert-1"}


def test_getting_up_after_an_alert_ends_the_danger_once() -> None:
    events = play(new_rule(), [*FALLEN, (20.0, STANDING, CALM)])

    assert kinds(events) == ["new", "update", "alert state", "end"]
    assert dangers(events)[-1].alert == "alert-1"


@pytest.mark.parametrize("fell", [True, False])
def test_getting_up_after_more_than_a_minute_gives_no_second_alert(fell: bool) -> None:
    down: Scene = [(1.0, LYING, FALL if fell else CALM), (89.0, LYING, CALM)]

    events = play(new_rule(), [(3.0, STANDING, CALM), *down, (30.0, STANDING, CALM)])

    assert [alert.alert for alert in alerts(events) if alert.change == "state"] == ["alert-1"]
    assert kinds(events)[-1] == "end"
    assert kinds(events).count("new") == 1


def test_two_falls_of_one_person_are_two_alerts() -> None:
    events = play(new_rule(), [*FALLEN, (20.0, STANDING, CALM), *FALLEN])

    assert [alert.alert for alert in alerts(events)] == ["alert-1", "alert-2"]
    assert kinds(events) == ["new", "update", "alert state", "end", "new", "update", "alert state"]


def test_a_danger_told_again_and_again_is_one_incident() -> None:
    scene: Scene = [(3.0, STANDING, CALM), (60.0, LYING, FALL)]

    events = play(new_rule(floor_after_s=0), scene)

    assert kinds(events).count("new") == 1
    assert kinds(events).count("alert state") == 1


@pytest.mark.parametrize("step_s", [1 / 30, 0.1, 0.2, 0.25])
def test_how_often_somebody_is_looked_at_does_not_change_what_is_told(step_s: float) -> None:
    scene: Scene = [*FALLEN, (60.0, LYING, CALM), (20.0, STANDING, CALM)]

    events = play(new_rule(), scene, step_s=step_s)

    assert kinds(events)[:3] == ["new", "update", "alert state"]
    assert kinds(events).count("alert timer") == 2
    assert alerts(events)[0].source_time_s == pytest.approx(5.5, abs=0.3)


def test_only_capture_time_counts_not_when_it_is_told() -> None:
    early = play(new_rule(), FALLEN)
    late = play(new_rule(), FALLEN)

    assert early == late


def test_clocks_that_begin_elsewhere_shift_events_and_change_nothing_else() -> None:
    now = play(new_rule(), FALLEN)
    later = play(new_rule(), FALLEN, begin_s=1000.0)

    assert kinds(now) == kinds(later)
    assert [e.source_time_s + 1000.0 for e in dangers(now)] == pytest.approx([e.source_time_s for e in dangers(later)])


LYING_BEFORE = Stance(LYING.shoulder_y, LYING.hip_y)


def test_a_floor_alert_tells_the_whole_time_on_the_floor_whatever_was_suspected_meanwhile() -> None:
    turning_over = replace(FALL, before=LYING_BEFORE, reason="unusual movement")

    events = play(new_rule(), [(55.0, LYING, CALM), (10.0, LYING, turning_over)])

    (alert,) = alerts(events)
    assert (alert.kind, alert.change) == ("floor", "state")
    assert alert.floor_s == pytest.approx(60.0, abs=0.3)
    assert alert.since_s == pytest.approx(START_S, abs=0.3)
    assert alert.reason == "low on the floor for 60 s"


def test_a_suspicion_is_not_confirmed_by_lying_where_people_may_lie() -> None:
    rule = new_rule()

    events = play(
        rule, [(3.0, STANDING, CALM), (1.0, LYING, FALL), (7.0, LYING, CALM)], resting=lambda at_s: at_s > 3.5
    )
    events += rule.finish(replace(LYING, time_s=START_S + 11.0), source_time_s=11.0, why="source_ended")

    assert kinds(events) == ["new", "end"]


def test_a_suspicion_does_not_run_out_while_the_person_is_down() -> None:
    events = play(new_rule(undecided_s=8.0), [(3.0, STANDING, CALM), (6.5, SITTING, FALL), (9.0, LYING, CALM)])

    assert kinds(events) == ["new", "update", "alert state"]


def test_helped_into_a_chair_after_a_fall_the_danger_ends_and_a_second_fall_is_told() -> None:
    events = play(new_rule(), [*FALLEN, (60.0, SITTING, CALM), (1.0, LYING, FALL), (9.0, LYING, CALM)])

    assert kinds(events) == ["new", "update", "alert state", "end", "new", "update", "alert state"]
    assert [alert.alert for alert in alerts(events)] == ["alert-1", "alert-2"]
    assert dangers(events)[2].source_time_s == pytest.approx(13.0 + 10.0, abs=0.5)


def test_sitting_up_on_the_floor_does_not_end_the_danger() -> None:
    on_the_floor = replace(SITTING, shoulder_y=250.0, hip_y=330.0, head_rise=0.45, hip_rise=0.05, aspect=0.9)

    seen_falling = play(new_rule(), [*FALLEN, (25.0, on_the_floor, CALM)])
    found_lying = play(new_rule(), [(65.0, LYING, CALM), (25.0, on_the_floor, CALM)])

    assert kinds(seen_falling) == ["new", "update", "alert state", "alert timer"]
    assert kinds(found_lying)[:3] == ["new", "update", "alert state"]
    assert "end" not in kinds(found_lying)


def test_one_upright_reading_before_being_lost_at_an_edge_does_not_end_an_alerts_danger() -> None:
    events = play(new_rule(), [*FALLEN, (STEP_S, STANDING, CALM), (10.0, LOST_AT_EDGE, None)])

    assert kinds(events) == ["new", "update", "alert state"]


def test_walking_out_of_the_picture_after_an_alert_ends_the_danger() -> None:
    rule = new_rule()
    play(rule, FALLEN)

    events = rule.finish(replace(STANDING, time_s=START_S + 13.0), source_time_s=13.0, why="left")

    (end,) = dangers(events)
    assert (end.phase, end.alert) == ("end", "alert-1")


def test_somebody_with_a_floor_alert_is_known_again_when_seen_lying_there() -> None:
    rule = new_rule()
    play(rule, [(65.0, LYING, None)])

    assert rule.is_same(LYING)
    assert not rule.is_same(STANDING)


def test_readings_of_posture_as_a_person_would_read_them() -> None:
    assert is_up(STANDING, before=BEFORE)
    assert not is_down(STANDING, before=BEFORE)
    assert is_down(LYING, before=BEFORE)
    assert is_on_floor(LYING)
    assert is_down(LOST, before=BEFORE)
    assert not is_down(LOST_AT_EDGE, before=BEFORE)
    assert not is_up(LOST, before=BEFORE)
    assert not is_down(SITTING, before=BEFORE)


def test_tying_shoes_brings_the_shoulders_down_and_not_the_hips_so_it_is_not_down() -> None:
    tying_shoes = replace(STANDING, trunk_angle=0.9, aspect=0.7, shoulder_y=300.0, hip_y=232.0, head_rise=0.35)

    assert not is_down(tying_shoes, before=BEFORE)
    assert not is_up(tying_shoes, before=BEFORE)
    assert not is_on_floor(SITTING)


def test_a_zone_holds_what_lies_within_its_corners() -> None:
    bed = [(0.1, 0.5), (0.5, 0.5), (0.5, 0.9), (0.1, 0.9)]
    corner = [(0.8, 0.8), (1.0, 0.8), (0.8, 1.0)]

    inside = [is_in(place, [bed, corner]) for place in ((0.3, 0.7), (0.3, 0.4), (0.82, 0.85), (0.99, 0.99))]

    assert inside == [True, False, True, False]
    assert not is_in((0.5, 0.5), [])


POSTURES = st.sampled_from([STANDING, SITTING, LYING, LOST, LOST_AT_EDGE])
RISKS = st.sampled_from([None, CALM, FALL, replace(FALL, kind="risk", probability=0.6),
                         *(replace(FALL, probability=weak) for weak in (0.08, 0.15, 0.25))])  # fmt: skip


@given(
    scene=st.lists(st.tuples(st.floats(0.2, 40.0), POSTURES, RISKS), max_size=12),
    threshold=st.sampled_from([0.07, 0.5]),
    says=st.sampled_from([None, 0.0, 0.97]),
    why=st.sampled_from(["source_ended", "camera_lost", "left"]),
)
@settings(max_examples=200, deadline=None)
def test_whatever_happens_danger_begins_before_it_ends_and_an_incident_has_one_alert(
    scene: Scene, threshold: float, says: float | None, why: str
) -> None:
    rule, confirm = new_rule(threshold=threshold), None if says is None else lambda: says
    events = play(rule, scene, confirm=confirm)
    last = replace(scene[-1][1] if scene else STANDING, time_s=START_S + 1e4)
    events += rule.finish(last, source_time_s=1e4, why=why, confirm=confirm)

    open_, raised = False, None
    for event in events:
        if isinstance(event, DangerEvent):
            assert event.phase == "new" if not open_ else event.phase != "new"
            raised = None if event.phase == "new" else raised
            open_ = event.phase != "end"
        elif isinstance(event, AlertEvent):
            assert open_
            assert (event.change == "state") == (raised is None)
            raised = raised or event.alert
            assert event.alert == raised
    ids = [alert.alert for alert in alerts(events) if alert.change == "state"]
    assert len(set(ids)) == len(ids)


def test_an_alert_needs_the_confirming_model_to_agree_and_it_is_asked_only_when_somebody_stays_down() -> None:
    asked: list[float] = []

    def play_with(answer: float) -> list[Event]:
        rule, events = new_rule(), []
        for step in range(65):
            at_s = step * STEP_S
            posture = STANDING if at_s < 3.0 else LYING
            confirm = partial(_answer, asked, at_s, answer)
            events += rule.update(replace(posture, time_s=START_S + at_s), FALL if 3.0 <= at_s < 4.0 else CALM,
                                  source_time_s=at_s, confirm=confirm)  # fmt: skip
        return events

    agreed = play_with(0.95)
    first_asked_s = asked[0]
    refused = play_with(0.0)

    assert kinds(agreed) == ["new", "update", "alert state"]
    assert first_asked_s == pytest.approx(5.5, abs=0.2)
    assert alerts(refused) == []


@pytest.mark.parametrize(("says", "told"), [(0.0, []), (0.97, ["new", "alert state"])])
def test_a_weak_suspicion_is_told_only_if_it_is_confirmed_and_then_with_what_the_model_says(
    says: float, told: list[str]
) -> None:
    rule, events = new_rule(threshold=0.05, floor_after_s=0.0), []
    for step in range(70):
        at_s = step * STEP_S
        posture = replace(STANDING if at_s < 3.0 else LYING, time_s=START_S + at_s)
        risk = replace(FALL, probability=0.1 if 3.0 <= at_s < 4.0 else 0.01)
        events += rule.update(posture, risk, source_time_s=at_s, confirm=lambda: says)

    assert kinds(events) == told
    assert {event.probability for event in events if isinstance(event, (AlertEvent, DangerEvent))} <= {says}


def test_whoever_is_suspected_in_silence_is_told_of_by_the_floor_timer_or_when_the_source_ends() -> None:
    def suspected(says: float, *, floor_after_s: float) -> tuple[DangerRule, list[Event]]:
        rule = new_rule(threshold=0.05, floor_after_s=floor_after_s)
        weak = replace(FALL, probability=0.1)
        return rule, play(rule, [(1.0, STANDING, CALM), (7.0, LYING, weak)], confirm=lambda: says)

    rule, quiet = suspected(0.0, floor_after_s=0.0)
    last = replace(LYING, time_s=START_S + 8.0)
    at_the_end = rule.finish(last, source_time_s=8.0, why="source_ended", confirm=lambda: 0.6)
    left = suspected(0.0, floor_after_s=0.0)[0].finish(last, source_time_s=8.0, why="left", confirm=lambda: 0.6)
    _, on_floor = suspected(0.0, floor_after_s=5.0)

    assert (quiet, left) == ([], [])
    assert kinds(at_the_end) == ["new", "alert state"]
    assert kinds(on_floor) == ["new", "alert state"]
    assert {event.kind for event in on_floor if isinstance(event, AlertEvent | DangerEvent)} == {"floor"}


@pytest.mark.parametrize("tell_from", [0.05, 0.0])
def test_a_suspicion_is_told_from_where_the_settings_say(tell_from: float) -> None:
    rule, events = new_rule(threshold=0.02, tell_from=tell_from), []
    for step, probability in enumerate([0.0, 0.03, 0.06, 0.06, *[0.0] * 10]):
        posture = replace(LYING if 1 <= step < 4 else STANDING, time_s=START_S + step * STEP_S)
        events += rule.update(posture, replace(FALL, probability=probability), source_time_s=step * STEP_S)

    assert kinds(events) == ["new", "end"]
    assert events[0].probability == (0.06 if tell_from else 0.03)


def test_a_suspicion_that_grows_is_new_when_it_is_strong_enough_to_be_told() -> None:
    rule, events = new_rule(threshold=0.05), []
    for step, probability in enumerate([0.01, 0.06, 0.12, 0.25, 0.6, 0.01, *[0.01] * 9]):
        posture = replace(LYING if probability >= 0.05 else STANDING, time_s=START_S + step * STEP_S)
        risk = replace(FALL, probability=probability)
        events += rule.update(posture, risk, source_time_s=step * STEP_S, confirm=lambda: 0.0)

    assert kinds(events) == ["new", "update", "end"]
    assert [event.probability for event in events if isinstance(event, DangerEvent)] == [0.25, 0.6, 0.6]


FALLEN_AWAY = replace(STANDING, trunk_angle=0.7, aspect=1.0, shoulder_y=225.0, hip_y=190.0, head_rise=0.4)
"""Fallen away from a camera high up: the head comes down in the picture, the hips rise."""


def test_whoever_fell_away_from_the_camera_is_confirmed_by_the_model_and_down_until_up_again() -> None:
    def events_of(after: Posture, *, answer: float) -> list[Event]:
        rule, events = new_rule(timer_every_s=5.0, floor_after_s=0.0), []
        for step in range(100):
            at_s = step * STEP_S
            posture = STANDING if at_s < 3.0 else FALLEN_AWAY if at_s < 14.0 else after
            events += rule.update(replace(posture, time_s=START_S + at_s), FALL if 3.0 <= at_s < 4.0 else CALM,
                                  source_time_s=at_s, confirm=lambda: answer)  # fmt: skip
        return events

    assert kinds(events_of(FALLEN_AWAY, answer=0.95))[:4] == ["new", "update", "alert state", "alert timer"]
    assert alerts(events_of(FALLEN_AWAY, answer=0.95))[-1].floor_s > 12.0
    assert kinds(events_of(STANDING, answer=0.95))[-1] == "end"
    assert kinds(events_of(FALLEN_AWAY, answer=0.0)) == ["new", "end"]


def test_what_the_confirming_model_did_not_confirm_in_time_runs_out_though_the_person_lies() -> None:
    rule, events = new_rule(undecided_s=8.0), []
    for step in range(70):
        at_s = step * STEP_S
        posture = replace(LYING if at_s >= 3.0 else STANDING, time_s=START_S + at_s)
        risk = FALL if 3.0 <= at_s < 4.0 else CALM
        events += rule.update(posture, risk, source_time_s=at_s, confirm=lambda: 0.0)

    assert kinds(events) == ["new", "end"]
    assert events[-1].source_time_s == pytest.approx(11.0, abs=0.5)


def _answer(asked: list[float], at_s: float, answer: float) -> float:
    asked.append(at_s)
    return answer


@pytest.mark.parametrize(("down_s", "confirmed", "n_alerts"), [(0.4, 0.5, 0), (1.2, 0.5, 1), (1.2, 0.0, 0)])
def test_when_the_source_ends_somebody_low_for_a_moment_or_by_their_own_will_is_no_alert(
    down_s: float, confirmed: float, n_alerts: int
) -> None:
    rule = new_rule()
    play(rule, [(3.0, STANDING, CALM), (down_s, LYING, FALL)])
    end_s = 3.0 + down_s

    events = rule.finish(
        replace(LYING, time_s=START_S + end_s), source_time_s=end_s, why="source_ended", confirm=lambda: confirmed
    )

    assert len(alerts(events)) == n_alerts


def test_the_floor_timer_goes_on_under_a_blanket_and_out_of_sight() -> None:
    covered = replace(LYING, whole=False, hip_rise=1.0, trunk_angle=0.0)

    for hidden in (covered, LOST):
        events = play(new_rule(), [(5.0, STANDING, None), (10.0, LYING, None), (60.0, hidden, None)])

        assert [alert.kind for alert in alerts(events)] == ["floor"]


def test_a_glimpse_of_somebody_low_who_is_then_lost_starts_no_timer() -> None:
    assert play(new_rule(), [(5.0, STANDING, None), (1.0, LYING, None), (120.0, LOST, None)]) == []
    assert play(new_rule(), [(5.0, STANDING, None), (10.0, LYING, None), (120.0, LOST_AT_EDGE, None)]) == []


def test_somebody_half_covered_who_sits_up_is_not_on_the_floor_any_more() -> None:
    sat_up = replace(SITTING, whole=False, hip_rise=1.0)

    assert play(new_rule(), [(5.0, STANDING, None), (10.0, LYING, None), (120.0, sat_up, None)]) == []


def test_somebody_standing_where_a_person_lay_without_danger_may_be_the_same_and_a_helper_if_there_is_danger() -> None:
    on_floor, in_danger = new_rule(), new_rule()
    play(on_floor, [(10.0, LYING, None)])
    play(in_danger, FALLEN)

    assert on_floor.is_same(STANDING)
    assert not in_danger.is_same(STANDING)
    assert not new_rule().is_same(LYING)
