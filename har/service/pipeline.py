"""The path of a frame, readable aloud: poses, people, windows, scores, events.

One `Pipeline` serves one camera and touches nothing outside itself: the same frames give the same events on any
machine at any load. Where the poses come from is `har.service.camera`; where the events go is `har.service.app`.
"""

from __future__ import annotations

import uuid
from bisect import bisect_left
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

import numpy as np

from har.alerts import Confirm, DangerRule, DangerSettings, is_in, is_on_floor
from har.config import Config
from har.models.confirm_features import CONFIRM_WINDOW_S
from har.models.posture import assess_fall, assess_risk, read_posture
from har.models.risk import RiskModel
from har.models.risk_features import RISK_WINDOW_S, BodyTrace, trace_body
from har.models.unknown import UNKNOWN
from har.records import ActionEvent, ActionScores, Event, FloatArray, PoseFrame, Posture
from har.track import Track, Tracker, TrackSettings
from har.windows import resample

DANGER_RATE_HZ = 15.0
DANGER_EVERY_S = 0.2
END_CONFIRM_SHARE = 0.5
"""Of the confirming threshold that is enough for an alert when the source ends: what follows will not be seen."""
# A label must win twice in a row before it is told: with an answer every 0.27 s, nothing flickers for less than 0.5 s.
_LABEL_WINS = 2
_ACTION_MEMORY = 0.5
# How long somebody lost on the floor is waited for, and how near the new track must begin, in body lengths.
_LOST_WAIT_S = 600.0
_LOST_NEAR = 1.0
_UNSEEN_S = 0.3
# Two poses seen at once are two people; for a moment they may be two poses of one.
_TOGETHER_S = 0.5


Polygons: TypeAlias = tuple[tuple[tuple[float, float], ...], ...]


class ActionModel(Protocol):
    """Names the actions of everybody in view, frame by frame; several cameras may share one.

    The service's is `har.models.actions.ActionStream`, on one of `har.models.engines`.
    """

    def see(
        self, person: Hashable, joints: FloatArray, *, time_s: float, width_px: int | None, height_px: int | None
    ) -> None:
        """Take in one pose (V, 3) of somebody: x, y in pixels and score."""
        ...

    def forget(self, person: Hashable) -> None:
        """Forget somebody who left."""
        ...

    def answers(self) -> list[tuple[Hashable, float, ActionScores]]:
        """Name what those do who have been seen: who, at what capture time, what."""
        ...


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """What one camera's pipeline is told.

    Attributes:
        danger: when danger is suspected and confirmed.
        track: what counts as one person.
        rest_zones: polygons in fractions of the picture where people may lie.
    """

    danger: DangerSettings = field(default_factory=DangerSettings)
    track: TrackSettings = field(default_factory=TrackSettings)
    rest_zones: Polygons = ()

    @classmethod
    def of(
        cls, config: Config, *, risk: RiskModel | None, floor_after_s: float, rest_zones: Polygons = ()
    ) -> PipelineSettings:
        """Give what the user wants of danger; the threshold of suspicion is the model's unless the user has one."""
        wanted = config.danger
        own = risk.threshold if risk is not None else 1.0
        danger = DangerSettings(
            threshold=own if wanted.threshold is None else wanted.threshold,
            tell_from=wanted.tell_from,
            confirm_s=wanted.confirm_s,
            floor_after_s=floor_after_s,
        )
        return cls(danger=danger, rest_zones=rest_zones)


@dataclass(slots=True)
class _Person:
    """What is remembered of one person beside the track."""

    person: int
    rule: DangerRule
    track: Track
    came_from: tuple[float, float]  # where the track began, pixels
    danger_due_s: float = 0.0
    posture: Posture | None = None
    danger: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)
    label: str = ""
    rival: str = ""
    rival_wins: int = 0
    rival_since_s: float = 0.0
    lost_s: float | None = None


class Pipeline:
    """Turns one camera's poses into events.

    Args:
        camera: the camera's name.
        actions: names actions; None for danger only.
        risk: the risk model; None for a bundle without one (then only the floor timer raises alerts).
        model_id: "name@sha" of the bundle.
        settings: thresholds, times, zones.
        new_id: makes an alert's id.
    """

    def __init__(self, camera: str, *, actions: ActionModel | None, risk: RiskModel | None, model_id: str,
                 settings: PipelineSettings | None = None,
                 new_id: Callable[[], str] = lambda: str(uuid.uuid4())) -> None:  # fmt: skip
        self.camera = camera
        self._actions, self._risk, self._model_id = actions, risk, model_id
        self._settings = settings or PipelineSettings()
        self._new_id = new_id
        self.tracker = Tracker(self._settings.track)
        self._people: dict[int, _Person] = {}
        self._shown: set[Hashable] = set()  # those whom the action model knows
        self._last: PoseFrame | None = None

    def update(self, frame: PoseFrame) -> list[Event]:
        """Take one frame's poses in and give what has to be told.

        Args:
            frame: the next frame of this camera, in order of capture time.
        """
        events = self.look(frame)
        self.show(frame)
        return events + (self.name(self._actions.answers()) if self._actions is not None else [])

    def look(self, frame: PoseFrame) -> list[Event]:
        """Follow people and their danger; what else `update` does is left to the caller, for all cameras together."""
        events: list[Event] = []
        if self._last is not None and frame.time_s < self._last.time_s:  # a clock was set back between two connections
            events += self.finish("camera_lost")
            self._people = {}
        ended = self.tracker.update(frame)
        self._last = frame
        events += self._leave(ended, frame)
        for track in self.tracker.tracks:
            seen_now = track.last.time_s == frame.time_s
            if seen_now and track.confirmed and track.person not in self._people:
                self._meet(track)
        for key in list(self._people):
            if key in self._people:
                events += self._watch(self._people[key], frame)
        return events

    def name(self, answers: Sequence[tuple[Hashable, float, ActionScores]]) -> list[Event]:
        """Tell what people do, by answers of the action model; those of other cameras are left out."""
        events: list[Event] = []
        known = {self._key(person): person for person in self._people.values()}
        for key, time_s, scores in answers:
            person = known.get(key)
            if person is not None and self._last is not None:
                events += self._tell_action(person, scores, time_s, self._last)
        return events

    def finish(self, why: str = "source_ended") -> list[Event]:
        """Give what has to be told when the source ends or the camera is lost, and begin anew.

        When a camera is lost, those who lay are waited for: found there again, it is the same incident.

        Args:
            why: "source_ended" or "camera_lost".
        """
        events: list[Event] = []
        people, self._people = self._people, {}
        self.tracker.reset()
        for key, person in people.items():
            if self._last is None or person.posture is None:
                continue
            posture = replace(person.posture, time_s=self._last.time_s)
            confirm = self._confirmer(person, self._last, share=END_CONFIRM_SHARE)
            events += person.rule.finish(posture, source_time_s=self._last.source_time_s, why=why, confirm=confirm)
            if why == "camera_lost" and _is_missed(person):
                person.lost_s = self._last.time_s if person.lost_s is None else person.lost_s
                self._people[key] = person
        shown, self._shown = self._shown, set()
        if self._actions is not None:
            for each in shown:
                self._actions.forget(each)
        return events

    def people(self) -> list[tuple[int, Track, str, float]]:
        """Give everybody in view for drawing: the number that events name, track, last label, danger told in [0, 1]."""
        return [(p.person, p.track, p.label, p.rule.told_danger) for p in self._people.values() if p.lost_s is None]

    def dangers(self) -> dict[int, float]:
        """Give the probability of danger in the last window of everybody in view."""
        return {p.person: p.danger for p in self._people.values() if p.lost_s is None}

    def _meet(self, track: Track) -> None:
        """Begin to watch a new person."""
        rule = DangerRule(
            self._settings.danger,
            camera=self.camera,
            person=track.person,
            model=self._model_id,
            new_id=self._new_id,
        )
        self._people[track.person] = _Person(track.person, rule, track, track.sightings[0].box.centre)

    def _go_on_with_lost(self, person: _Person, posture: Posture) -> None:
        """Take somebody low for the one who was lost in danger just here: the same incident, not a second one.

        Whoever is out of sight is still down. So somebody upright there is a helper, and so is somebody low who came
        from elsewhere or was seen beside them.
        """
        for key, other in self._people.items():
            last_s = other.track.last.time_s
            if (
                other is not person
                and posture.time_s - last_s >= _UNSEEN_S
                and person.track.started_s > last_s - _TOGETHER_S
                and _is_near(other, person.came_from, body_px=posture.body_px)
                and _is_near(other, posture.place, body_px=posture.body_px)
                and other.rule.is_same(posture)
            ):
                del self._people[key]
                self.tracker.forget(other.track)
                person.person, person.rule = other.person, other.rule
                return

    def _leave(self, ended: Sequence[Track], frame: PoseFrame) -> list[Event]:
        """Let go of people who left; wait for those who were lost in danger or on the floor."""
        events: list[Event] = []
        for track in ended:
            person = self._people.get(track.person)
            if person is None or person.posture is None:
                self._people.pop(track.person, None)
            elif not _is_missed(person) or (track.ended == "edge" and not is_on_floor(person.posture)):
                del self._people[track.person]
                posture = replace(person.posture, time_s=frame.time_s)
                events += person.rule.finish(posture, source_time_s=frame.source_time_s, why="left")
            else:
                person.lost_s = frame.time_s
                self.tracker.forget(track)  # whoever appears there is held against the danger, not only the place
        return events

    def _watch(self, person: _Person, frame: PoseFrame) -> list[Event]:
        """Read one person's posture and danger, five times a second."""
        if frame.time_s < person.danger_due_s - 1e-6:
            return []
        person.danger_due_s = frame.time_s + DANGER_EVERY_S
        body = self._trace(person, frame) if person.lost_s is None else None
        if body is None:
            return self._wait_for(person, frame)
        body_px = person.track.body_px
        at_edge = self.tracker.touches_edge(person.track.last.box, frame)
        posture = read_posture(body, time_s=frame.time_s, body_px=body_px, at_edge=at_edge)
        person.posture = posture
        if person.rule.incident is None:
            self._go_on_with_lost(person, posture)
        risk = None
        if self._risk is not None:
            risk = assess_risk(body, self._risk, width_px=frame.width_px, height_px=frame.height_px)
        person.danger = risk.probability if risk is not None else 0.0
        resting = self._is_resting(posture, frame)
        confirm = self._confirmer(person, frame)
        return person.rule.update(posture, risk, source_time_s=frame.source_time_s, resting=resting, confirm=confirm)

    def _confirmer(self, person: _Person, frame: PoseFrame, *, share: float = 1.0) -> Confirm | None:
        """Give what tells how likely somebody came down as people fall, by their last seconds; None without a model.

        Args:
            person: who.
            frame: the last frame.
            share: of the confirming model's threshold that is enough.
        """
        model = self._risk.confirm if self._risk is not None else None
        if model is None:
            return None

        def confirm() -> float:
            window = _window(person.track, end_s=frame.time_s, rate_hz=DANGER_RATE_HZ, frame=frame,
                             n_frames=round(CONFIRM_WINDOW_S * DANGER_RATE_HZ))  # fmt: skip
            body = trace_body(window, rate_hz=DANGER_RATE_HZ)
            probability = 0.0 if body is None else assess_fall(body, model)
            return probability if probability >= share * model.threshold else 0.0

        return confirm

    def _trace(self, person: _Person, frame: PoseFrame) -> BodyTrace | None:
        """Trace a person's body over the last seconds; None if none of their poses shows a body."""
        window = _window(person.track, end_s=frame.time_s, rate_hz=DANGER_RATE_HZ, frame=frame,
                         n_frames=round(RISK_WINDOW_S * DANGER_RATE_HZ))  # fmt: skip
        return trace_body(window, rate_hz=DANGER_RATE_HZ)

    def _is_resting(self, posture: Posture, frame: PoseFrame) -> bool:
        place = (posture.place[0] / frame.width_px, posture.place[1] / frame.height_px)
        return is_in(place, self._settings.rest_zones)

    def _wait_for(self, person: _Person, frame: PoseFrame) -> list[Event]:
        """Go on with the danger of somebody out of sight where they fell, or of whom only scraps are seen."""
        if person.posture is None:
            return []
        lost_s = frame.time_s - person.lost_s if person.lost_s is not None else 0.0
        events: list[Event] = []
        if lost_s <= _LOST_WAIT_S:
            at_edge = self.tracker.touches_edge(person.track.last.box, frame)
            posture = replace(person.posture, time_s=frame.time_s, found=False, at_edge=at_edge)
            resting = self._is_resting(posture, frame)
            confirm = self._confirmer(person, frame)
            events = person.rule.update(
                posture, None, source_time_s=frame.source_time_s, resting=resting, confirm=confirm
            )
        if person.lost_s is not None and (lost_s > _LOST_WAIT_S or not _is_missed(person)):
            self._people = {key: p for key, p in self._people.items() if p is not person}
        return events

    def show(self, frame: PoseFrame) -> None:
        """Show the action model everybody who is in view, and let it forget the others."""
        if self._actions is None:
            return
        in_view = {self._key(p): p.track for p in self._people.values() if p.lost_s is None}
        for key in self._shown - in_view.keys():
            self._shown.discard(key)
            self._actions.forget(key)
        for key, track in in_view.items():
            new = key not in self._shown  # a person is met after some sightings of their track
            self._shown.add(key)
            for sighting in track.sightings if new else track.sightings[-1:]:
                if new or sighting.time_s == frame.time_s:
                    joints = np.concatenate([sighting.pose.xy, sighting.pose.score[:, None]], axis=1)
                    self._actions.see(
                        key, joints, time_s=sighting.time_s, width_px=frame.width_px, height_px=frame.height_px
                    )

    def _key(self, person: _Person) -> Hashable:
        """Name somebody among the people of all cameras."""
        return self.camera, person.track.person

    def _tell_action(self, person: _Person, scores: ActionScores, time_s: float, last: PoseFrame) -> list[Event]:
        """Smooth the scores over time and tell a change of label once it has held."""
        for label, score in scores.top:
            old = person.scores.get(label, score)
            person.scores[label] = _ACTION_MEMORY * old + (1 - _ACTION_MEMORY) * score
        ranked = sorted(person.scores.items(), key=lambda item: -item[1])
        best = UNKNOWN if ranked[0][1] < scores.unknown_below else ranked[0][0]
        if best == person.label:
            person.rival, person.rival_wins = "", 0
            return []
        if best != person.rival:
            person.rival, person.rival_wins, person.rival_since_s = best, 0, time_s
        person.rival_wins += 1
        if person.rival_wins < _LABEL_WINS and person.label:
            return []
        person.label, person.rival, person.rival_wins = best, "", 0
        return [ActionEvent(self.camera, person.person, best, ranked[0][1], tuple(ranked[:3]), person.rival_since_s,
                            time_s, last.source_time_s - (last.time_s - time_s), self._model_id)]  # fmt: skip


def _window(track: Track, *, end_s: float, rate_hz: float, n_frames: int, frame: PoseFrame) -> FloatArray:
    """Put a track's last poses on an even time grid that ends now."""
    first_s = end_s - n_frames / rate_hz - 0.5
    recent = track.sightings[bisect_left(track.sightings, first_s, key=lambda s: s.time_s) :]
    if not recent:
        empty = np.full((n_frames, len(track.last.pose.score), 3), np.nan, dtype=np.float32)
        empty[..., 2] = 0.0
        return empty
    joints = np.stack([np.concatenate([s.pose.xy, s.pose.score[:, None]], axis=1) for s in recent])
    return resample(np.array([s.time_s for s in recent]), joints, rate_hz=rate_hz, end_s=end_s, n_frames=n_frames,
                    width_px=frame.width_px, height_px=frame.height_px)  # fmt: skip


def _is_missed(person: _Person) -> bool:
    """Say whether somebody is waited for when out of sight: in danger, or on the floor."""
    return person.rule.incident is not None or person.rule.on_floor


def _is_near(lost: _Person, place: tuple[float, float], *, body_px: float) -> bool:
    """Say whether a place is where somebody was lost."""
    if lost.posture is None:
        return False
    offset = np.subtract(place, lost.posture.place)
    return float(np.hypot(*offset)) < _LOST_NEAR * max(lost.posture.body_px, body_px)
