"""Somebody who stands, walks, sits, bends, lies, gets up and falls: one action after another, in continuous time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter1d

from har.synth import postures
from har.synth.body import FEET, N_ANGLES, POINTS, TRUNK, A, Array, Body, lowest_m, place_points
from har.synth.contact import keep_limbs_above
from har.synth.falls import landing, make_fall
from har.synth.gait import walk_angles
from har.synth.motion import RATE_HZ, Motion, Style, Support
from har.synth.postures import leg, set_angles

_FLOOR_CONTACT = tuple(i for i, name in enumerate(POINTS) if not name.endswith(("elbow", "wrist", "hand")))
_BED_SHIFT_M = 0.22  # from the edge, where one sits, to where one lies
_SMOOTH_FRAMES = 1.5  # of a Gaussian over all angles: takes the corners off, 0.03 s


@dataclass(slots=True)
class Actor:
    """Somebody who does one action after another; `motion()` gives all of it.

    Args:
        body: proportions.
        style: way of moving.
        rng: source of every difference.
        room_m: half the side of the square to stay in when walking.
    """

    body: Body
    style: Style
    rng: np.random.Generator
    room_m: float = 1.6
    ease: Array = field(init=False)
    posture: Array = field(init=False)
    xy: Array = field(init=False)
    seat_m: float = field(init=False, default=0.0)
    _points: list[Array] = field(init=False, default_factory=list)
    _labels: list[str] = field(init=False, default_factory=list)
    _supports: list[Support] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.ease = postures.upright(self.rng, stoop_deg=self.style.stoop_deg)
        self.ease[A["yaw"]] = self.rng.uniform(-np.pi, np.pi)
        self.posture = self.ease.copy()
        self.xy = self.rng.uniform(-0.5, 0.5, 2) * self.room_m

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
            supports=tuple(self._supports),
        )

    # -- laying down frames ------------------------------------------------------------------------------------------

    def _act(
        self,
        angles: Array,
        labels: str | list[str],
        *,
        feet_hold: float | Array = 1.0,
        velocity: Array | None = None,
        support_m: float | Array | None = None,
        trunk_down: float | Array = 0.0,
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
        """
        n_frames = len(angles)
        if not n_frames:
            return
        points = place_points(self.body, angles)
        trunk_m = lowest_m(self.body, points, among=TRUNK)
        if support_m is None:
            lift_m = -lowest_m(self.body, points, among=_FLOOR_CONTACT) * (1 - trunk_down) - trunk_m * trunk_down
        else:
            lift_m = support_m - trunk_m
        points[:, :, 2] += lift_m[:, None]
        feet = points[:, list(FEET), :2].mean(axis=1)
        hold = np.broadcast_to(np.asarray(feet_hold, dtype=np.float64), (n_frames,))[1:, None]
        shift = np.zeros((n_frames, 2))
        shift[1:] = -hold * np.diff(feet, axis=0)
        if velocity is not None:
            shift += velocity / RATE_HZ
        pelvis_xy = self.xy + np.cumsum(shift, axis=0)
        points[:, :, :2] += pelvis_xy[:, None]
        keep_limbs_above(points, self.body)
        self._points.append(points)
        self._labels += [labels] * n_frames if isinstance(labels, str) else labels
        self.posture = angles[-1].copy()
        self.xy = pelvis_xy[-1].copy()

    def _move(self, keys: list[tuple[float, Array]]) -> Array:
        """Give (T, A) angles from the present posture through (seconds to get there, posture) keys, eased."""
        steps = [self.posture, *(posture for _, posture in keys)]
        parts = []
        for (seconds, _), before, after in zip(keys, steps, steps[1:], strict=False):
            n_frames = max(2, round(seconds * RATE_HZ))
            share = np.arange(1, n_frames + 1)[:, None] / n_frames
            parts.append(before + (after - before) * (share * share * (3 - 2 * share)))
        return self._smooth(np.concatenate(parts))

    def _smooth(self, angles: Array) -> Array:
        padded = np.concatenate([self.posture[None], angles])
        return np.asarray(gaussian_filter1d(padded, _SMOOTH_FRAMES, axis=0, mode="nearest")[1:])

    def _sway(self, n_frames: int, *, degrees: float) -> Array:
        """Give (T, A) of slow small wandering of all angles that starts and ends at nothing."""
        noise = gaussian_filter1d(self.rng.standard_normal((n_frames, N_ANGLES)), 0.35 * RATE_HZ, axis=0, mode="wrap")
        noise *= np.deg2rad(degrees) / max(float(noise.std()), 1e-9)
        noise[:, [A["yaw"], A["spin"]]] *= 0.3
        noise[:, [A["head_twist"], A["head_side"]]] *= 3.0
        fade = np.clip(np.minimum(np.arange(n_frames), np.arange(n_frames)[::-1]) / (0.4 * RATE_HZ), 0, 1)
        return np.asarray(noise * fade[:, None])

    def _seconds(self, fit_s: float) -> float:
        """How long this person takes for what takes a fit adult `fit_s`."""
        return fit_s / self.style.pace * float(self.rng.uniform(0.85, 1.2))

    def _idle(self, duration_s: float, *, hands: tuple[str, ...], base: Array, restless: float) -> Array:
        """Give (T, A) of a posture held for a while, hands doing things now and then; ends in `base`."""
        keys: list[tuple[float, Array]] = []
        left_s = duration_s
        while left_s > 3.0:
            hold_s = float(self.rng.uniform(0.5, 2.5))
            if self.rng.random() < restless:
                doing = postures.with_hands(self.rng, base, str(self.rng.choice(hands)))
                doing[A["head_twist"]] += np.deg2rad(self.rng.uniform(-45, 45))
                doing[A["spine_twist"]] += np.deg2rad(self.rng.uniform(-15, 15))
                there_s = self._seconds(0.7)
                keys += [(there_s, doing), (hold_s, doing), (self._seconds(0.7), base)]
                left_s -= there_s + hold_s + keys[-1][0]
            else:
                keys.append((hold_s, base))
                left_s -= hold_s
        keys.append((max(left_s, 0.2), base))
        angles = self._move(keys)
        return np.asarray(angles + self._sway(len(angles), degrees=0.8))

    # -- upright -----------------------------------------------------------------------------------------------------

    def stand(self, duration_s: float) -> None:
        """Stand, shift the weight, use the hands."""
        hands = ("in front", "folded", "on hips", "behind", "drink", "phone", "reach out", "reach up", "face", "wave")
        base = self._facing(self.ease)
        self._act(self._idle(duration_s, hands=hands, base=base, restless=0.55), "stand")

    def exercise(self, duration_s: float) -> None:
        """Move the arms up and down while standing."""
        base = self._facing(self.ease)
        raised = postures.with_hands(self.rng, base, str(self.rng.choice(("both up", "arms wide", "reach up"))))
        keys: list[tuple[float, Array]] = []
        while sum(seconds for seconds, _ in keys) < duration_s:
            keys += [(self._seconds(0.9), raised), (self._seconds(0.9), base)]
        self._act(self._move(keys), "stand")

    def turn(self, degrees: float) -> None:
        """Turn on the spot with small steps."""
        n_frames = round(self._seconds(0.4 + abs(degrees) / 110) * RATE_HZ)
        share = np.arange(1, n_frames + 1) / n_frames
        angles = self._steps(np.full(n_frames, 0.25))
        angles[:, A["yaw"]] = self.yaw_rad + np.deg2rad(degrees) * share * share * (3 - 2 * share)
        self._act(self._smooth(angles), "walk" if abs(degrees) > 60 else "stand", feet_hold=0.0)

    def face(self, heading_deg: float) -> None:
        """Turn on the spot to a heading in the room."""
        self.turn((heading_deg - np.rad2deg(self.yaw_rad) + 180) % 360 - 180)

    def walk(self, duration_s: float) -> None:
        """Walk about the room from one place to the next."""
        left_s = duration_s
        while left_s > 0.6:
            target = self.rng.uniform(-self.room_m, self.room_m, 2)
            if np.hypot(*(target - self.xy)) < 1.0:
                continue
            left_s -= self.walk_to(float(target[0]), float(target[1]), at_most_s=left_s)

    def walk_to(self, x_m: float, y_m: float, *, at_most_s: float = 60.0) -> float:
        """Walk straight to a place, turning towards it on the first steps.

        Returns:
            Seconds taken.
        """
        way = np.array([x_m, y_m]) - self.xy
        heading = float(np.arctan2(way[1], way[0]))
        turn_rad = (heading - self.yaw_rad + np.pi) % (2 * np.pi) - np.pi
        if abs(turn_rad) > 1.2:
            self.turn(float(np.rad2deg(turn_rad)))
            turn_rad = 0.0
        speed_m_s = self.style.walk_m_s * float(self.rng.uniform(0.8, 1.15))
        duration_s = min(at_most_s, float(np.hypot(*way)) / speed_m_s + 0.5)
        n_frames = max(10, round(duration_s * RATE_HZ))
        time_s = np.arange(1, n_frames + 1) / RATE_HZ
        ramp = np.clip(np.minimum(time_s, time_s[-1] + 1 / RATE_HZ - time_s) / 0.5, 0, 1)
        speeds = speed_m_s * ramp * ramp * (3 - 2 * ramp)
        share = np.clip(time_s / min(0.9, time_s[-1]), 0, 1)
        yaw = heading - turn_rad * (1 - share * share * (3 - 2 * share))
        angles = self._steps(speeds)
        angles[:, A["yaw"]] = yaw + (self.yaw_rad + turn_rad - heading)  # headings may differ by whole turns
        velocity = speeds[:, None] * np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
        self._act(self._smooth(angles), "walk", feet_hold=0.0, velocity=velocity)
        return n_frames / RATE_HZ

    def _steps(self, speed_m_s: Array) -> Array:
        phase_rad = float(self.rng.uniform(0, 2 * np.pi))
        base = self._facing(self.ease)
        return walk_angles(base, body=self.body, style=self.style, speed_m_s=speed_m_s, phase_rad=phase_rad)

    def _facing(self, posture: Array) -> Array:
        """Give a posture turned to the present heading."""
        turned = posture.copy()
        turned[A["yaw"]] = self.yaw_rad
        return turned

    # -- sitting -----------------------------------------------------------------------------------------------------

    def sit_down(self, *, quick: bool = False, furniture: str = "chair") -> None:
        """Sit down on a chair or the edge of a bed behind the person; `quick` is dropping into it."""
        sitting = postures.seated(self.rng, self._facing(self.ease))
        lean = self._facing(self.posture + 0.45 * (sitting - self.posture))
        lean[A["pitch"]] = np.deg2rad(self.rng.uniform(15, 40))
        lean[A["spine_flex"]] += np.deg2rad(12)
        fit_s = 0.32 if quick else 0.75
        angles = self._move([(self._seconds(fit_s), lean), (self._seconds(fit_s), sitting)])
        self._act(angles, "sit down")
        self._note_seat(furniture)

    def start_seated(self, *, furniture: str = "chair") -> None:
        """Begin the clip on a chair."""
        self.posture = postures.seated(self.rng, self._facing(self.ease))
        self._note_seat(furniture)

    def _note_seat(self, furniture: str) -> None:
        points = place_points(self.body, self.posture[None])
        lift_m = -lowest_m(self.body, points, among=_FLOOR_CONTACT)
        self.seat_m = float((lift_m + lowest_m(self.body, points, among=TRUNK))[0])
        x_m, y_m = (float(value) for value in self.xy)
        self._supports.append(Support(furniture, x_m, y_m, self.seat_m, self.yaw_rad))

    def sit(self, duration_s: float) -> None:
        """Stay seated and use the hands; lean now and then."""
        base = self.posture.copy()
        hands = ("in front", "folded", "drink", "phone", "table", "face", "reach out", "knees", "reach up")
        angles = self._idle(duration_s, hands=hands, base=base, restless=0.6)
        if self.rng.random() < 0.3 and duration_s > 3.0:
            lean = np.sin(np.pi * np.arange(len(angles)) / len(angles)) ** 2 * np.deg2rad(self.rng.uniform(10, 35))
            for name in ("pitch", "left_hip_flex", "right_hip_flex"):
                angles[:, A[name]] += lean
        self._act(angles, "sit", feet_hold=0.0, support_m=self.seat_m)

    def tie_shoes(self) -> None:
        """Bend forward to the feet while seated; still sitting."""
        base = self.posture.copy()
        down = set_angles(base, {"pitch": 42, "spine_flex": 48, "arm_flex": 118, "elbow": 12, "arm_abd": 2})
        for side in postures.SIDES:
            down[A[f"{side}_hip_flex"]] += np.deg2rad(42) - base[A["pitch"]]
        hold_s = float(self.rng.uniform(1.0, 3.0))
        angles = self._move([(self._seconds(1.0), down), (hold_s, down), (self._seconds(1.0), base)])
        self._act(angles + self._sway(len(angles), degrees=1.2), "sit", feet_hold=0.0, support_m=self.seat_m)

    def stand_up(self) -> None:
        """Rise from the chair."""
        ease = self._facing(self.ease)
        lean = self.posture.copy()
        forward = np.deg2rad(self.rng.uniform(18, 38))
        for name in ("pitch", "left_hip_flex", "right_hip_flex"):
            lean[A[name]] += forward
        rising = self.posture + 0.55 * (ease - self.posture)
        rising[A["pitch"]] = 0.7 * forward
        keys = [(self._seconds(0.55), lean), (self._seconds(0.55), rising), (self._seconds(0.6), ease)]
        self._act(self._move(keys), "stand up")
        self.seat_m = 0.0

    # -- down to the floor and up again ------------------------------------------------------------------------------

    def bend(self, kind: str | None = None) -> None:
        """Pick something up: "stoop", "squat" or "kneel" on one knee; None draws one."""
        base = self._facing(self.ease)
        chosen = kind or str(self.rng.choice(("stoop", "squat", "kneel"), p=(0.6, 0.22, 0.18)))
        if chosen == "stoop":
            down = postures.stooping(self.rng, base, depth=float(self.rng.uniform(0.55, 1.0)))
        elif chosen == "squat":
            down = postures.squatting(self.rng, base)
        else:
            down = postures.half_kneeling(self.rng, base, side=str(self.rng.choice(postures.SIDES)))
        hold_s = float(self.rng.uniform(0.2, 2.5))
        angles = self._move([(self._seconds(1.0), down), (hold_s, down), (self._seconds(1.0), base)])
        self._act(angles + self._sway(len(angles), degrees=0.8), "bend")

    def squats(self) -> None:
        """Do two to five squats for exercise."""
        base = self._facing(self.ease)
        down = postures.with_hands(self.rng, postures.squatting(self.rng, base), "reach out")
        keys = [(self._seconds(0.9), posture) for _ in range(self.rng.integers(2, 6)) for posture in (down, base)]
        self._act(self._move(keys), "bend")

    def sit_on_floor(self) -> None:
        """Sit down on the floor on purpose, by way of a squat or the knees."""
        base = self._facing(self.ease)
        way = postures.squatting(self.rng, base) if self.rng.random() < 0.5 else postures.kneeling(self.rng, base)
        sitting = postures.on_floor_seat(self.rng, base)
        self._act(self._move([(self._seconds(1.3), way), (self._seconds(1.2), sitting)]), "sit down")
        self.seat_m = 0.0

    def rest_on_floor(self, duration_s: float) -> None:
        """Stay sitting on the floor."""
        hands = ("in front", "drink", "phone", "reach out", "knees")
        angles = self._idle(duration_s, hands=hands, base=self.posture.copy(), restless=0.5)
        self._act(angles, "sit", feet_hold=0.0)

    def lie_down(self, kind: str | None = None) -> None:
        """Lie down on purpose, slowly: from the edge of the bed if seated on one, else by way of knees and seat.

        Args:
            kind: one of `postures.LYING`; None draws one.
        """
        chosen = kind or str(self.rng.choice(postures.LYING, p=(0.4, 0.05, 0.2, 0.2, 0.15)))
        if self.seat_m > 0:
            self._lie_down_on_bed(chosen)
            return
        base = self._facing(self.ease)
        if self.posture[A["pitch"]] > -0.05:
            self._act(self._move([(self._seconds(1.4), postures.kneeling(self.rng, base))]), "bend")
            self._act(self._move([(self._seconds(1.3), postures.on_floor_seat(self.rng, base))]), "sit down")
        end = postures.lying(self.rng, base, chosen)
        way = self.posture + 0.5 * (end - self.posture)
        way[A["spin"]] = 0.0
        angles = self._move([(self._seconds(1.2), way), (self._seconds(1.4), end)])
        labels = _switched(len(angles), "sit", "lie", share=0.5)
        self._act(angles, labels, feet_hold=0.0, trunk_down=_rising(len(angles)))

    def _lie_down_on_bed(self, kind: str) -> None:
        aside = self.posture.copy()
        turn = float(self.rng.choice((-1.0, 1.0))) * np.pi / 2
        end = postures.lying(self.rng, self._facing(self.ease), "supine" if kind == "prone" else kind)
        end[A["yaw"]] += turn
        spin = end[A["spin"]]
        aside += 0.5 * (end - aside)
        aside[A["spin"]] = 0.0
        flat = end.copy()
        flat[A["spin"]] = 0.4 * spin
        keys = [(self._seconds(1.3), aside), (self._seconds(1.3), flat), (self._seconds(0.8), end)]
        angles = self._move(keys)
        velocity = self._across_bed(len(angles), distance_m=-_BED_SHIFT_M)
        labels = _switched(len(angles), "sit", "lie", share=0.5)
        self._act(angles, labels, feet_hold=0.0, velocity=velocity, support_m=self.seat_m)

    def _bed_yaw_rad(self) -> float:
        """The way that somebody faces who sits on the edge of the bed last used."""
        return self._supports[-1].yaw_rad

    def _across_bed(self, n_frames: int, *, distance_m: float) -> Array:
        """Give (T, 2) of the velocity that moves the pelvis towards the edge of the bed, or away from it."""
        way = np.array([np.cos(self._bed_yaw_rad()), np.sin(self._bed_yaw_rad())])
        return np.repeat(way[None] * distance_m * RATE_HZ / n_frames, n_frames, axis=0)

    def start_lying(self, *, bed: bool) -> None:
        """Begin the clip lying on a bed or on the floor."""
        if bed:
            self.start_seated(furniture="bed")
            self.xy = self.xy - _BED_SHIFT_M * np.array([np.cos(self.yaw_rad), np.sin(self.yaw_rad)])
            self.posture[A["yaw"]] += float(self.rng.choice((-1.0, 1.0))) * np.pi / 2
        self.posture = postures.lying(self.rng, self._facing(self.ease), str(self.rng.choice(postures.LYING)))

    def lie(self, duration_s: float, *, still: float = 0.6) -> None:
        """Stay lying with small movements of arms, legs and head.

        Args:
            duration_s: how long.
            still: share of the time without any movement.
        """
        base = self.posture.copy()
        keys: list[tuple[float, Array]] = []
        left_s = duration_s
        while left_s > 2.0:
            part_s = float(self.rng.uniform(0.6, 2.0))
            change = np.zeros(N_ANGLES)
            if self.rng.random() > still:
                side, lift = str(self.rng.choice(postures.SIDES)), float(np.deg2rad(self.rng.uniform(-8, 30)))
                pair = ("hip_flex", "knee") if self.rng.random() < 0.5 else ("arm_abd", "elbow")
                change[[A[f"{side}_{name}"] for name in pair]] = lift, 2 * lift
                change[A["head_twist"]] = np.deg2rad(self.rng.uniform(-20, 20))
            keys.append((part_s, base + change))
            left_s -= part_s
        keys.append((max(left_s, 0.3), base))
        angles = self._move(keys)
        support_m = self.seat_m if self.seat_m > 0 else None
        self._act(
            angles + self._sway(len(angles), degrees=0.4), "lie", feet_hold=0.0, support_m=support_m, trunk_down=1.0
        )

    def roll_over(self) -> None:
        """Turn over from the back to a side, or back."""
        end = self.posture.copy()
        end[A["spin"]] = 0.0 if abs(end[A["spin"]]) > 0.7 else np.deg2rad(self.rng.choice((-80.0, 80.0)))
        support_m = self.seat_m if self.seat_m > 0 else None
        self._act(self._move([(self._seconds(1.2), end)]), "lie", feet_hold=0.0, support_m=support_m, trunk_down=1.0)

    def get_up(self) -> None:
        """Get up from lying: from a bed by its edge, from the floor by sitting or by hands and knees."""
        base = self._facing(self.ease)
        if self.seat_m > 0:
            turn = self._bed_yaw_rad() - self.yaw_rad
            base[A["yaw"]] += (turn + np.pi) % (2 * np.pi) - np.pi
            sitting = postures.seated(self.rng, base)
            angles = self._move([(self._seconds(2.0), sitting)])
            labels = _switched(len(angles), "lie", "sit", share=0.5)
            velocity = self._across_bed(len(angles), distance_m=_BED_SHIFT_M)
            self._act(angles, labels, feet_hold=0.0, velocity=velocity, support_m=self.seat_m)
            self.sit(0.4)
            self.stand_up()
            return
        face_down = self.posture[A["pitch"]] > 0.5
        way = postures.all_fours(self.rng, base) if face_down else postures.on_floor_seat(self.rng, base)
        angles = self._move([(self._seconds(1.8), way)])
        labels = _switched(len(angles), "lie", "stand up", share=0.3)
        self._act(angles, labels, feet_hold=0.0, trunk_down=1.0 - _rising(len(angles)))
        kneeling = postures.half_kneeling(self.rng, base, side=str(self.rng.choice(postures.SIDES)))
        keys = [(self._seconds(1.4), kneeling), (self._seconds(1.5), base)]
        self._act(self._move(keys), "stand up", feet_hold=0.6)

    def fall(self, *, direction: str, slump: bool = False, speed_m_s: float = 0.0) -> None:
        """Fall from whatever is being done and lie there.

        Args:
            direction: one of `falls.DIRECTIONS`.
            slump: whether the knees give way slowly.
            speed_m_s: forward speed when tripping, 0 when standing.
        """
        start = self.posture.copy()
        supine = postures.lying(self.rng, self._facing(self.ease), "supine")
        end = landing(self.rng, supine, direction=direction)
        if speed_m_s > 0:
            for name, value in leg(str(self.rng.choice(postures.SIDES)), thigh=25, shin=-35).items():
                start[A[name]] = np.deg2rad(value)
            trip = self._move([(0.18, start)])
            self._act(trip, "fall", feet_hold=0.0, velocity=self._gliding(len(trip), speed_m_s, until_s=9.0))
        fall = make_fall(
            self.rng,
            self.posture.copy(),
            end,
            direction=direction,
            slump=slump,
            stature_m=self.body.stature_m,
            rate_hz=RATE_HZ,
        )
        velocity = self._gliding(len(fall.postures), speed_m_s, until_s=fall.ground_frame / RATE_HZ)
        # The first 0.2 s after the impact are the fall's end; the rest of the rebound is lying.
        n_fall = fall.ground_frame + 1 + round(0.2 * RATE_HZ)
        labels = ["fall"] * n_fall + ["lie"] * (len(fall.postures) - n_fall)
        self._act(
            fall.postures, labels, feet_hold=fall.feet_hold, velocity=velocity, trunk_down=1.0 - fall.feet_hold**2
        )
        self.seat_m = 0.0

    def roll_out_of_bed(self) -> None:
        """Roll over the edge of the bed, drop freely and lie on the floor."""
        edge = self._bed_yaw_rad() - self.yaw_rad
        side = float(np.sign(np.sin(edge)) or 1.0) * (-1.0 if self.posture[A["pitch"]] > 0 else 1.0)  # 1: to the left
        end = self.posture.copy()
        end[A["spin"]] += side * np.deg2rad(self.rng.uniform(60, 120))
        n_roll, drop_s = round(self.rng.uniform(0.5, 0.9) * RATE_HZ), float(np.sqrt(2 * self.seat_m / 9.81))
        angles = self._move([(n_roll / RATE_HZ + drop_s, end), (0.5, end)])
        airborne_s = np.clip((np.arange(len(angles)) - n_roll) / RATE_HZ, 0, drop_s)
        heights = self.seat_m - 0.5 * 9.81 * airborne_s**2
        n_fall = n_roll + round(drop_s * RATE_HZ)
        velocity = np.zeros((len(angles), 2))
        velocity[:n_fall] = self._across_bed(n_fall, distance_m=0.75)
        labels = ["fall"] * n_fall + ["lie"] * (len(angles) - n_fall)
        self._act(angles, labels, feet_hold=0.0, velocity=velocity, support_m=np.maximum(heights, 0.0))
        self.seat_m = 0.0

    def _gliding(self, n_frames: int, speed_m_s: float, *, until_s: float) -> Array:
        """Give (T, 2) of the speed of walking on, which dies out on the ground."""
        time_s = np.arange(n_frames) / RATE_HZ
        speed = 0.6 * speed_m_s * np.exp(-np.clip(time_s - 0.5 * until_s, 0, None) / 0.15)
        return np.asarray(speed[:, None] * np.array([np.cos(self.yaw_rad), np.sin(self.yaw_rad)]))


def _rising(n_frames: int) -> Array:
    """Give (T,) from 0 to 1, eased."""
    share = np.linspace(0.0, 1.0, n_frames)
    return np.asarray(share * share * (3 - 2 * share))


def _switched(n_frames: int, before: str, after: str, *, share: float) -> list[str]:
    n_before = round(n_frames * share)
    return [before] * n_before + [after] * (n_frames - n_before)
