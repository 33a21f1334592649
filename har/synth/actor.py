"""Somebody who does one thing after another, in continuous time: where the actions of other modules come together.

What can be done is in `upright`, `seat`, `low`, `negatives` and `falling`, as functions of an actor.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter1d

from har.synth import postures
from har.synth.body import FEET, N_ANGLES, POINTS, TRUNK, A, Array, Body, P, lowest_m, place_points
from har.synth.contact import keep_limbs_above
from har.synth.motion import RATE_HZ, Motion, Style, Support, spans_of

FLOOR_CONTACT = tuple(i for i, name in enumerate(POINTS) if not name.endswith(("elbow", "wrist", "hand")))
_BLEND_S = 0.4  # over which a posture that physics ended in becomes the nearest one of joint angles alone
_SMOOTH_FRAMES = 1.5  # of a Gaussian over all angles: takes the corners off, 0.03 s


@dataclass(slots=True)
class Actor:
    """Somebody who does one action after another; `motion()` gives all of it.

    Args:
        body: proportions.
        style: way of moving.
        rng: source of every difference.
        room_m: half the side of the square to stay in when walking.
        seats: what the person sits and lies on at home; without any, a seat is wherever they sit down.
        door_m: (2,) where the person goes who leaves the room.
    """

    body: Body
    style: Style
    rng: np.random.Generator
    room_m: float = 1.6
    seats: tuple[Support, ...] = ()
    door_m: Array | None = None
    ease: Array = field(init=False)
    posture: Array = field(init=False)
    xy: Array = field(init=False)
    seat_m: float = field(init=False, default=0.0)
    _points: list[Array] = field(init=False, default_factory=list)
    _labels: list[str] = field(init=False, default_factory=list)
    supports: list[Support] = field(init=False, default_factory=list)
    episodes: list[tuple[float, str]] = field(init=False, default_factory=list)
    _tail: Array = field(init=False)  # (2, A) the last two postures
    _joins: bool = field(init=False, default=False)  # the next action has to join onto points made elsewhere

    def __post_init__(self) -> None:
        self.ease = postures.upright(self.rng, stoop_deg=self.style.stoop_deg)
        self.ease[A["yaw"]] = self.rng.uniform(-np.pi, np.pi)
        self.posture = self.ease.copy()
        self.xy = self.rng.uniform(-0.5, 0.5, 2) * self.room_m
        self._tail = np.stack([self.posture, self.posture])

    @property
    def duration_s(self) -> float:
        """Seconds acted so far."""
        return len(self._labels) / RATE_HZ

    @property
    def yaw_rad(self) -> float:
        """The present heading."""
        return float(self.posture[A["yaw"]])

    def motion(self) -> Motion:
        """Give everything that was acted."""
        return Motion(
            points=np.concatenate(self._points),
            labels=tuple(self._labels),
            rate_hz=RATE_HZ,
            supports=tuple(self.supports),
        )

    def begin(self, kind: str) -> None:
        """Note what begins now: one of `kinds.KINDS`."""
        if not self.episodes or self.episodes[-1][1] != kind:
            self.episodes.append((self.duration_s, kind))

    @property
    def spans(self) -> tuple[tuple[float, float, str], ...]:
        """(start_s, end_s, label) of what was acted so far."""
        return spans_of(self._labels, rate_hz=RATE_HZ)

    @property
    def last_label(self) -> str:
        """What was done last; empty before anything was."""
        return self._labels[-1] if self._labels else ""

    @property
    def last_points(self) -> Array:
        """(P, 3) of the last frame."""
        return np.asarray(self._points[-1][-1])

    @property
    def last_moments(self) -> tuple[Array, Array]:
        """The last two postures (2, A) and where the pelvis was in them (2, 3)."""
        if not self._points:
            self.act(np.repeat(self.posture[None], 2, axis=0), "stand", feet_hold=0.0)
        tail = np.concatenate([part[-2:] for part in self._points[-2:]])[-2:]
        pelvis_m = tail[:, P["pelvis"]]
        return self._tail, np.repeat(pelvis_m, 2, axis=0)[-2:] if len(pelvis_m) < 2 else pelvis_m

    def take_over(self, points: Array, labels: list[str], *, end: Array) -> None:
        """Add frames that were made elsewhere.

        Args:
            points: (T, P, 3) metres in the room, from the frame after the last one.
            labels: one a frame.
            end: (A,) the posture of the last of them; what is done next goes on from it without a jump.
        """
        n_fade = min(len(points), round(0.2 * RATE_HZ))
        fade = np.zeros(len(points))
        fade[:n_fade] = 1 - _eased(n_fade)
        start = place_points(self.body, self.posture[None])[0] + self.last_moments[1][1]
        points = points + (self._points[-1][-1] - start) * fade[:, None, None]
        self._points.append(points)
        self._labels += labels
        self.posture = end.copy()
        self._tail = np.stack([end, end])
        self.xy = points[-1, P["pelvis"], :2].copy()
        self._joins = True

    # -- laying down frames ------------------------------------------------------------------------------------------

    def act(
        self,
        angles: Array,
        labels: str | list[str],
        *,
        feet_hold: float | Array = 1.0,
        velocity: Array | None = None,
        support_m: float | Array | None = None,
        trunk_down: float | Array = 0.0,
        lift_m: float | Array = 0.0,
    ) -> None:
        """Add frames.

        Args:
            angles: (T, A) radians.
            labels: one for all frames, or one a frame.
            feet_hold: how much the feet keep their place on the floor; the pelvis does for the rest.
            velocity: (T, 2) m/s of what keeps its place.
            support_m: height of the seat or bed that carries the trunk, for all frames or (T,) one a frame; None
                where the floor carries.
            trunk_down: how much the trunk rests on the floor, 0 to 1; arms and legs then lie on it too instead of
                holding the trunk up.
            lift_m: how far off what carries, for somebody who jumps.
        """
        n_frames = len(angles)
        if not n_frames:
            return
        points = place_points(self.body, angles)
        trunk_m = lowest_m(self.body, points, among=TRUNK)
        if support_m is None:
            rise_m = -lowest_m(self.body, points, among=FLOOR_CONTACT) * (1 - trunk_down) - trunk_m * trunk_down
        else:
            rise_m = support_m - trunk_m
        points[:, :, 2] += (rise_m + lift_m)[:, None]
        feet = points[:, list(FEET), :2].mean(axis=1)
        hold = np.broadcast_to(np.asarray(feet_hold, dtype=np.float64), (n_frames,))[1:, None]
        shift = np.zeros((n_frames, 2))
        shift[1:] = -hold * np.diff(feet, axis=0)
        if velocity is not None:
            shift += velocity / RATE_HZ
        pelvis_xy = self.xy + np.cumsum(shift, axis=0)
        points[:, :, :2] += pelvis_xy[:, None]
        keep_limbs_above(points, self.body)
        if self._joins:
            self._fade_in(points)
        self._points.append(points)
        self._labels += [labels] * n_frames if isinstance(labels, str) else labels
        self._tail = np.concatenate([self._tail, angles[-2:]])[-2:]
        self.posture = angles[-1].copy()
        self.xy = pelvis_xy[-1].copy()

    def _fade_in(self, points: Array) -> None:
        """Let points begin where the last ones ended, and become themselves within a moment; changes `points`."""
        n_fade = min(len(points), round(_BLEND_S * RATE_HZ))
        offset = self._points[-1][-1] - points[0]
        points[:n_fade] += offset * (1 - _eased(n_fade))[:, None, None]
        self._joins = False

    def move(self, keys: list[tuple[float, Array]]) -> Array:
        """Give (T, A) angles from the present posture through (seconds to get there, posture) keys, eased."""
        steps = [self.posture, *(posture for _, posture in keys)]
        parts = []
        for (seconds, _), before, after in zip(keys, steps, steps[1:], strict=False):
            n_frames = max(2, round(seconds * RATE_HZ))
            share = np.arange(1, n_frames + 1)[:, None] / n_frames
            parts.append(before + (after - before) * (share * share * (3 - 2 * share)))
        return self.smooth(np.concatenate(parts))

    def smooth(self, angles: Array) -> Array:
        """Take the corners off (T, A) angles that go on from the present posture."""
        padded = np.concatenate([self.posture[None], angles])
        return np.asarray(gaussian_filter1d(padded, _SMOOTH_FRAMES, axis=0, mode="nearest")[1:])

    def sway(self, n_frames: int, *, degrees: float) -> Array:
        """Give (T, A) of slow small wandering of all angles that starts and ends at nothing."""
        noise = gaussian_filter1d(self.rng.standard_normal((n_frames, N_ANGLES)), 0.35 * RATE_HZ, axis=0, mode="wrap")
        noise *= np.deg2rad(degrees) / max(float(noise.std()), 1e-9)
        noise[:, [A["yaw"], A["spin"]]] *= 0.3
        noise[:, [A["head_twist"], A["head_side"]]] *= 3.0
        fade = np.clip(np.minimum(np.arange(n_frames), np.arange(n_frames)[::-1]) / (0.4 * RATE_HZ), 0, 1)
        return np.asarray(noise * fade[:, None])

    def seconds(self, fit_s: float) -> float:
        """How long this person takes for what takes a fit adult `fit_s`."""
        return fit_s / self.style.pace * float(self.rng.uniform(0.85, 1.2))

    def idle(self, duration_s: float, *, hands: tuple[str, ...], base: Array, restless: float) -> Array:
        """Give (T, A) of a posture held for a while, hands doing things now and then; ends in `base`."""
        keys: list[tuple[float, Array]] = []
        left_s = duration_s
        while left_s > 3.0:
            hold_s = float(self.rng.uniform(0.5, 2.5))
            if self.rng.random() < restless:
                doing = postures.with_hands(self.rng, base, str(self.rng.choice(hands)))
                doing[A["head_twist"]] += np.deg2rad(self.rng.uniform(-45, 45))
                doing[A["spine_twist"]] += np.deg2rad(self.rng.uniform(-15, 15))
                there_s = self.seconds(0.7)
                keys += [(there_s, doing), (hold_s, doing), (self.seconds(0.7), base)]
                left_s -= there_s + hold_s + keys[-1][0]
            else:
                keys.append((hold_s, base))
                left_s -= hold_s
        keys.append((max(left_s, 0.2), base))
        angles = self.move(keys)
        return np.asarray(angles + self.sway(len(angles), degrees=0.8))

    def facing(self, posture: Array) -> Array:
        """Give a posture turned to the present heading."""
        turned = posture.copy()
        turned[A["yaw"]] = self.yaw_rad
        return turned


def _eased(n_frames: int) -> Array:
    """Give (T,) from 0 to 1, eased."""
    share = np.linspace(0.0, 1.0, n_frames)
    return np.asarray(share * share * (3 - 2 * share))
