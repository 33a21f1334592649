"""From danger scores to events: suspicion first, an alert after confirmation, one alert per incident.

One `DangerRule` watches one person. Suspicion comes from the risk model and is published as a danger event at once,
unless it is so weak that it waits for the confirming model in silence. It becomes an alert when the person is not up
again a few seconds later, seen or lost from sight, and the confirming model says that they came down as people fall;
without such a model, when they stayed down or were lost low and did not leave through an edge. Getting up ends the
danger without an alert. The floor timer needs no classifier: hips and head near the lowest point, counted from the
first time seen so. A danger ends when the person is up again, or has sat or rested for a while where people may. All
times are capture times.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from har.records import (
    AlertEvent,
    AlertKind,
    Change,
    DangerEvent,
    DangerKind,
    Event,
    Phase,
    Posture,
    Priority,
    Risk,
    Stance,
)

# A body counts as down with the trunk nearer to level than this (50 degrees; the published fixed rules use 45-60).
_LEVEL_TRUNK = 0.28
_UPRIGHT_TRUNK = 0.2
# Shoulders this far under where they were before the fall: sitting down on a chair lowers them by 0.2-0.25.
_DOWN_DROP = 0.33
_UP_DROP = 0.22
# Hips this far under where they were: bending and picking up move them by 0.13 at most on GMDCSA24's daily clips (and
# then for a moment), its falls by 0.14 (onto a bed) to 0.57.
_HIP_DROP = 0.1
_WIDE_BOX = 1.1
# Sitting on a chair the head is 0.75 of the body over the feet, sitting on the floor 0.5.
_OFF_FLOOR_HEAD_RISE = 0.6
# Nobody loses more than this of the way down by crouching or sitting: for a person lost on the way.
_LOST_DROP = 0.15
# Seen on the floor for this long, somebody out of sight is taken to be lying there still; for less, it was a glimpse.
_FLOOR_SURE_S = 3.0
# Who is half covered lies there still if the shoulders are no farther up than this.
_SAME_HEIGHT = 0.2
# A crouch or the lowest point of a squat lasts less; so whoever is low for less when the source ends is not in danger.
_END_AFTER_S = 0.7
_PRIORITY_RANK: dict[Priority, int] = {"low": 0, "medium": 1, "high": 2}
_KIND_PRIORITY: dict[AlertKind, Priority] = {"fall": "high", "floor": "high", "risk": "medium", "technical": "medium"}

TELL_FROM = 0.2
"""Probability from which a suspicion is told at once."""

Confirm: TypeAlias = Callable[[], float]
"""Gives how likely it is that somebody came down as people fall, if that is enough to confirm it; else 0."""


@dataclass(frozen=True, slots=True)
class DangerSettings:
    """When danger is suspected and when it becomes an alert.

    Attributes:
        threshold: probability from which danger is suspected.
        tell_from: probability from which a suspicion is told at once; a weaker one is told only if it is confirmed.
        confirm_s: how long somebody must stay down before the alert.
        down_share: share of that time in which they must have been down.
        up_s: how long somebody must be up for the danger to end.
        settled_s: how long somebody must sit upright, or rest where people may lie, for an alert's danger to end.
        undecided_s: a suspicion neither confirmed nor ended by then ends; where staying down confirms, not while the
            person is down just then.
        floor_after_s: time low on the floor before a floor alert; 0 for never.
        floor_gap_s: longest interruption that does not start the time on the floor again.
        timer_every_s: how often an open alert's time on the floor is told.
    """

    threshold: float = 0.5
    tell_from: float = TELL_FROM
    confirm_s: float = 2.5
    down_share: float = 0.7
    up_s: float = 0.6
    settled_s: float = 10.0
    undecided_s: float = 8.0
    floor_after_s: float = 60.0
    floor_gap_s: float = 5.0
    timer_every_s: float = 30.0


@dataclass(slots=True)
class Incident:
    """One danger of one person, from suspicion to end.

    Attributes:
        kind: kind so far; it may rise.
        since_s: capture time of the suspicion.
        probability: highest probability so far.
        told_probability: probability of the last danger event; None before the first.
        reason: why, in words.
        before: how high the body was before it began; None if nobody saw the person before they lay.
        place: where the person was last seen, pixels.
        body_px: the person's size, pixels.
        alert: id of the alert; None until it is raised.
        alert_s: capture time at which it was raised.
        told_s: capture time of the last word about the time on the floor.
        down_s: capture time from which the person is down, short breaks left out of account; None while not down.
        down_seen_s: capture time at which the person was last down.
        up_since_s: capture time from which the person is up; None while down or unknown.
        settled_since_s: capture time from which the person sits upright or rests; None while not.
    """

    kind: DangerKind
    since_s: float
    probability: float
    told_probability: float | None
    reason: str
    before: Stance | None
    place: tuple[float, float]
    body_px: float
    alert: str | None = None
    alert_s: float = 0.0
    told_s: float = 0.0
    down_s: float | None = None
    down_seen_s: float = 0.0
    up_since_s: float | None = None
    settled_since_s: float | None = None


class DangerRule:
    """Watches one person and says what has to be told.

    Args:
        settings: when danger is suspected and confirmed.
        camera: the camera's name.
        person: track id.
        model: "name@sha" of the bundle, for the events.
        new_id: makes an alert's id.
    """

    def __init__(self, settings: DangerSettings, *, camera: str, person: int, model: str,
                 new_id: Callable[[], str] = lambda: str(uuid.uuid4())) -> None:  # fmt: skip
        self._settings = settings
        self._camera, self._person, self._model = camera, person, model
        self._new_id = new_id
        self._readings: list[tuple[float, bool]] = []
        self._floor_since_s: float | None = None
        self._floor_seen_s = 0.0
        self._floor_shoulder_y = 0.0
        self.incident: Incident | None = None

    def update(self, posture: Posture, risk: Risk | None, *, source_time_s: float, resting: bool = False,
               confirm: Confirm | None = None) -> list[Event]:  # fmt: skip
        """Take one reading in.

        Args:
            posture: the person's posture now.
            risk: what the risk model says of the last window; None if it has no say yet.
            source_time_s: pts of the same frame.
            resting: the person is where people may lie (a bed): no danger begins here, and none is confirmed.
            confirm: says how likely the way down was a fall's; asked only a while after the suspicion, unless up again.
                None where nobody can say: then staying down is confirmation enough.

        Returns:
            What has to be told, in order; often nothing.
        """
        now_s = posture.time_s
        events: list[Event] = []
        if self.incident is None and risk is not None and risk.probability >= self._settings.threshold and not resting:
            self.incident = _begin(posture, risk)
            self._readings = []
            events += self._tell("new", posture, source_time_s)
        incident = self.incident
        if incident is not None:
            self._read(incident, posture, resting=resting)
            if risk is not None and risk.probability >= self._settings.threshold:
                events += self._learn_more(incident, risk, posture, source_time_s)
            events += self._progress(incident, posture, source_time_s, None if resting else confirm)
        events += self._watch_floor(posture, source_time_s, resting=resting)
        if incident is not None and self._is_over(incident, now_s, judged=confirm is not None):
            events += self._tell("end", posture, source_time_s)
            self.incident = None
            if incident.up_since_s is not None:
                self._floor_since_s = None
        return events

    @property
    def on_floor(self) -> bool:
        """The floor timer runs."""
        return self._floor_since_s is not None

    @property
    def told_danger(self) -> float:
        """The probability of danger that was told last; 0 while there is none."""
        return (self.incident.told_probability or 0.0) if self.incident is not None else 0.0

    def is_same(self, posture: Posture) -> bool:
        """Say whether somebody seen near here may be this person, lost from sight: down in danger, or on the floor.

        Of somebody in danger, whoever stands there is a helper; of somebody on the floor without danger, it is
        themselves, got up again.
        """
        if self.incident is not None:
            return _is_down(self.incident, posture)
        return self.on_floor

    def finish(
        self, posture: Posture, *, source_time_s: float, why: str, confirm: Confirm | None = None
    ) -> list[Event]:
        """Say what has to be told when nothing more will be seen of this person.

        Args:
            posture: the last that is known.
            source_time_s: pts of the last frame.
            why: "source_ended", "camera_lost", or "left" for a person who walked out of the picture.
            confirm: says how likely the way down was a fall's; None where nobody can say.
        """
        incident = self.incident
        if incident is None:
            return []
        if incident.alert is None and why != "left" and self.probably_down() and _agrees(confirm, incident):
            return self._raise_alert(incident, posture, source_time_s, change_reason=why)
        if incident.alert is None or why == "left":
            events = self._tell("end", posture, source_time_s)
            self.incident = None
            return events
        return []

    def _learn_more(self, incident: Incident, risk: Risk, posture: Posture, source_time_s: float) -> list[Event]:
        """Keep the strongest evidence; a way down that was seen after all turns "risk" into "fall"."""
        if risk.probability > incident.probability:
            incident.probability, incident.reason = risk.probability, risk.reason
        if incident.kind != "risk" or risk.kind != "fall":
            return []
        incident.kind, incident.reason = "fall", risk.reason
        if incident.alert is None:
            return self._tell("update", posture, source_time_s)
        return [self._alert(incident, posture, source_time_s, change="kind")]

    def _read(self, incident: Incident, posture: Posture, *, resting: bool) -> None:
        """Note whether the person is down, up or settled now."""
        now_s = posture.time_s
        # Once confirmed, somebody is down until they are up again or sit, whichever way they lie to the camera.
        confirmed = incident.alert is not None and not _is_up(incident, posture) and not _is_seated(posture)
        down = (confirmed or _is_down(incident, posture)) and not resting
        self._readings.append((now_s, down))
        self._readings = [r for r in self._readings if r[0] >= now_s - self._settings.confirm_s - 1.0]
        if down:
            incident.down_s = now_s if incident.down_s is None else incident.down_s
            incident.down_seen_s = now_s
        elif now_s - incident.down_seen_s > self._settings.floor_gap_s:
            incident.down_s = None
        if down or not posture.found:
            incident.up_since_s = None
        elif _is_up(incident, posture):
            incident.up_since_s = now_s if incident.up_since_s is None else incident.up_since_s
        if down or not (resting or _is_seated(posture)):
            incident.settled_since_s = None
        elif incident.settled_since_s is None:
            incident.settled_since_s = now_s
        incident.place, incident.body_px = posture.place, posture.body_px

    def _progress(self, incident: Incident, posture: Posture, source_time_s: float,
                  confirm: Confirm | None) -> list[Event]:  # fmt: skip
        """Confirm a suspicion, or tell how long an alert's person is down."""
        now_s = posture.time_s
        if incident.alert is None:
            if self._confirmed(incident, now_s, confirm):
                return self._raise_alert(incident, posture, source_time_s, change_reason=None)
            if incident.told_probability is None or incident.probability >= incident.told_probability + 0.1:
                return self._tell("update", posture, source_time_s)
            return []
        if incident.down_s is not None and now_s - incident.told_s >= self._settings.timer_every_s:
            incident.told_s = now_s
            return [self._alert(incident, posture, source_time_s, change="timer")]
        return []

    def _confirmed(self, incident: Incident, now_s: float, confirm: Confirm | None) -> bool:
        """Say whether a suspicion has become an alert: by the confirming model, or without one by staying down.

        Seen from above, who falls away from the camera does not come lower in the picture; so the model, which knows
        the whole way, is asked about everybody who is not up again.
        """
        if now_s - incident.since_s < self._settings.confirm_s or incident.up_since_s is not None:
            return False
        if confirm is not None:
            return _agrees(confirm, incident)
        recent = [down for time_s, down in self._readings if time_s >= now_s - self._settings.confirm_s]
        return bool(recent) and recent[-1] and sum(recent) >= self._settings.down_share * len(recent)

    def probably_down(self) -> bool:
        """Say whether a suspicion that can no longer be confirmed is more likely true than not."""
        down = [down for _, down in self._readings]
        long_enough = bool(down) and self._readings[-1][0] - self._readings[0][0] >= _END_AFTER_S
        return long_enough and down[-1] and 2 * sum(down) > len(down)

    def _is_over(self, incident: Incident, now_s: float, *, judged: bool) -> bool:
        up_s = now_s - incident.up_since_s if incident.up_since_s is not None else 0.0
        settled_s = now_s - incident.settled_since_s if incident.settled_since_s is not None else 0.0
        if incident.alert is not None:
            return up_s >= 3 * self._settings.up_s or settled_s >= self._settings.settled_s
        is_down_now = bool(self._readings) and self._readings[-1][1]
        # The confirming model knows the last seconds: what it did not confirm by then it never will.
        undecided = now_s - incident.since_s > self._settings.undecided_s and (judged or not is_down_now)
        return up_s >= self._settings.up_s or undecided

    def _watch_floor(self, posture: Posture, source_time_s: float, *, resting: bool) -> list[Event]:
        """Run the floor timer: it needs no classifier and no fall that anybody saw."""
        limit_s, now_s = self._settings.floor_after_s, posture.time_s
        if limit_s <= 0 or resting:
            self._floor_since_s = None
            return []
        if posture.found and is_on_floor(posture):
            self._floor_since_s = now_s if self._floor_since_s is None else self._floor_since_s
            self._floor_seen_s, self._floor_shoulder_y = now_s, posture.shoulder_y
        elif self._still_on_floor(posture):
            pass
        elif now_s - self._floor_seen_s > self._settings.floor_gap_s:
            self._floor_since_s = None
        if self._floor_since_s is None or now_s - self._floor_since_s < limit_s:
            return []
        return self._floor_alert(posture, source_time_s, since_s=self._floor_since_s)

    def _still_on_floor(self, posture: Posture) -> bool:
        """Say whether somebody seen lying on the floor is still there as far as one can know.

        Out of sight, the last posture seen is what is known: under a blanket or behind a table nobody gets up unseen.
        The same goes for somebody of whom head or hips are covered and the shoulders are as low as they were.
        """
        if self._floor_since_s is None:
            return False
        if posture.found:
            risen = (self._floor_shoulder_y - posture.shoulder_y) / posture.body_px
            return not posture.whole and risen < _SAME_HEIGHT
        seen_for_s = self._floor_seen_s - self._floor_since_s
        return self.incident is not None or (not posture.at_edge and seen_for_s >= _FLOOR_SURE_S)

    def _floor_alert(self, posture: Posture, source_time_s: float, *, since_s: float) -> list[Event]:
        """Raise a floor alert, once; or none if a fall's alert already tells of this person."""
        events: list[Event] = []
        reason = f"low on the floor for {posture.time_s - since_s:.0f} s"
        if self.incident is None:
            self.incident = Incident("floor", since_s, 1.0, None, reason, None, posture.place, posture.body_px,
                                     down_s=since_s, down_seen_s=posture.time_s)  # fmt: skip
            events += self._tell("new", posture, source_time_s)
        incident = self.incident
        if incident.alert is None:
            # What was suspected meanwhile began on the floor: the timer knows better since when, and how they lie.
            incident.kind, incident.reason, incident.probability = "floor", reason, 1.0
            incident.before, incident.down_s, incident.down_seen_s = None, since_s, posture.time_s
            incident.since_s = min(incident.since_s, since_s)
            events += self._raise_alert(incident, posture, source_time_s, change_reason=None)
        return events

    def _raise_alert(self, incident: Incident, posture: Posture, source_time_s: float, *,
                     change_reason: str | None) -> list[Event]:  # fmt: skip
        incident.alert = self._new_id()
        incident.alert_s = incident.told_s = posture.time_s
        if incident.down_s is None:
            incident.down_s, incident.down_seen_s = incident.since_s, posture.time_s
        alert = self._alert(incident, posture, source_time_s, change="state")
        return [*self._tell("update", posture, source_time_s), replace(alert, change_reason=change_reason)]

    def _alert(self, incident: Incident, posture: Posture, source_time_s: float, *, change: Change) -> AlertEvent:
        floor_s = posture.time_s - incident.down_s if incident.down_s is not None else 0.0
        return AlertEvent(
            alert=incident.alert or "", state="raised", change=change,
            kind=incident.kind, priority=_priority(incident, floor_s=floor_s, settings=self._settings),
            camera=self._camera, person=self._person, since_s=incident.since_s, time_s=posture.time_s,
            source_time_s=source_time_s, floor_s=floor_s, probability=incident.probability, reason=incident.reason,
            model=self._model,
        )  # fmt: skip

    def _tell(self, phase: Phase, posture: Posture, source_time_s: float) -> list[Event]:
        """Give the danger event, unless the suspicion is too weak to be told; the first that is told is new."""
        incident = self.incident
        assert incident is not None
        if incident.told_probability is None:
            weak = incident.probability < self._settings.tell_from and incident.alert is None
            if weak or phase == "end":
                return []
            phase = "new"
        incident.told_probability = incident.probability
        event = DangerEvent(
            camera=self._camera, person=self._person, phase=phase, kind=incident.kind,
            probability=incident.probability, reason=incident.reason, since_s=incident.since_s,
            time_s=posture.time_s, source_time_s=source_time_s, model=self._model, alert=incident.alert,
        )  # fmt: skip
        return [event]


def _agrees(confirm: Confirm | None, incident: Incident) -> bool:
    """Ask the confirming model, if there is one; an alert is as sure as the surer of both models."""
    if confirm is None:
        return True
    probability = confirm()
    incident.probability = max(incident.probability, probability)
    return probability > 0


def is_down(posture: Posture, *, before: Stance) -> bool:
    """Say whether a person is still down.

    Bending, picking up and tying shoes bring the shoulders down; a fall brings the hips down too.

    Args:
        posture: the posture now; of a person out of sight, the last one known.
        before: how high the body was before.
    """
    drop = (posture.shoulder_y - before.shoulder_y) / posture.body_px
    if not posture.found:
        return not posture.at_edge and (drop > _LOST_DROP or posture.trunk_angle > _LEVEL_TRUNK)
    if (posture.hip_y - before.hip_y) / posture.body_px < _HIP_DROP:
        return False
    if posture.trunk_angle > _LEVEL_TRUNK or posture.aspect > _WIDE_BOX:
        return drop > _LOST_DROP or posture.aspect > _WIDE_BOX
    return drop > _DOWN_DROP


def is_up(posture: Posture, *, before: Stance) -> bool:
    """Say whether a person is up again: trunk upright, shoulders nearly where they were, and seen."""
    return (
        posture.found
        and posture.trunk_angle < _UPRIGHT_TRUNK
        and posture.aspect < 1.0
        and (posture.shoulder_y - before.shoulder_y) / posture.body_px < _UP_DROP
    )


def is_on_floor(posture: Posture) -> bool:
    """Say whether hips and head are both near the lowest point seen, or were when the person was last seen."""
    lying = posture.trunk_angle > _LEVEL_TRUNK or posture.aspect > _WIDE_BOX
    return lying and posture.head_rise < 0.5 and posture.hip_rise < 0.35


def _is_down(incident: Incident, posture: Posture) -> bool:
    if incident.before is None:
        return is_on_floor(posture)
    return is_down(posture, before=incident.before)


def _is_up(incident: Incident, posture: Posture) -> bool:
    if incident.before is None:
        return _is_seated(posture)
    return is_up(posture, before=incident.before)


def _is_seated(posture: Posture) -> bool:
    """Say whether somebody seen sits upright, on something higher than the floor, or stands."""
    upright = posture.trunk_angle < _UPRIGHT_TRUNK and posture.aspect < 1.0
    return posture.found and upright and posture.head_rise > _OFF_FLOOR_HEAD_RISE


def is_in(place: tuple[float, float], zones: Sequence[Sequence[tuple[float, float]]]) -> bool:
    """Say whether a point lies in one of some polygons (even-odd rule).

    Args:
        place: (x, y).
        zones: polygons, each a sequence of corners in the same unit.
    """
    return any(_inside(place, zone) for zone in zones)


def _inside(place: tuple[float, float], corners: Sequence[tuple[float, float]]) -> bool:
    x, y = place
    inside = False
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
            inside = not inside
    return inside


def _begin(posture: Posture, risk: Risk) -> Incident:
    return Incident(risk.kind, posture.time_s, risk.probability, None, risk.reason, risk.before,
                    posture.place, posture.body_px)  # fmt: skip


def _priority(incident: Incident, *, floor_s: float, settings: DangerSettings) -> Priority:
    """Give an alert's priority; a long time on the floor raises it."""
    priority = _KIND_PRIORITY[incident.kind]
    long_lie = settings.floor_after_s > 0 and floor_s >= settings.floor_after_s
    return max(priority, "high" if long_lie else "low", key=lambda p: _PRIORITY_RANK[p])
