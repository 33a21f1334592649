"""People made in the test: COCO-17 skeletons that stand, walk, sit and fall, as frames of one camera."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from har.records import FloatArray, Pose, PoseFrame

START_S = 1_700_000_000.0
"""Capture time of the first frame: as large as real ones, so that rounding shows."""
WIDTH_PX, HEIGHT_PX = 640, 480
FLOOR_Y_PX = 420.0


# Metres from the feet, y down: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left before right.
UPRIGHT = np.array(
    [
        *[(0.00, -1.62), (0.03, -1.66), (-0.03, -1.66), (0.07, -1.64), (-0.07, -1.64)],
        *[(0.20, -1.42), (-0.20, -1.42), (0.25, -1.14), (-0.25, -1.14), (0.27, -0.88), (-0.27, -0.88)],
        *[(0.12, -0.92), (-0.12, -0.92), (0.12, -0.50), (-0.12, -0.50), (0.12, -0.08), (-0.12, -0.08)],
    ],
    dtype=np.float64,
)
_SEATED_DROP = np.array([0.42] * 11 + [0.42, 0.42, 0.0, 0.0, 0.0, 0.0])

Body = Callable[[float], FloatArray]
"""Gives (17, 2) joints in pixels at a time in seconds from the first frame."""


def standing_body(*, x_px: float = 320.0, px_per_m: float = 150.0, tilt_rad: float = 0.0,
                  floor_y_px: float = FLOOR_Y_PX) -> FloatArray:  # fmt: skip
    """(17, 2) joints of somebody upright, or turned about the feet to the right by `tilt_rad`."""
    turn = np.array([[np.cos(tilt_rad), -np.sin(tilt_rad)], [np.sin(tilt_rad), np.cos(tilt_rad)]])
    joints: FloatArray = (UPRIGHT @ turn.T * px_per_m + [x_px, floor_y_px]).astype(np.float32)
    return joints


def seated_body(*, x_px: float = 320.0, px_per_m: float = 150.0) -> FloatArray:
    """(17, 2) joints of somebody on a chair, seen from the front: hips, trunk and head 0.42 m lower."""
    joints: FloatArray = standing_body(x_px=x_px, px_per_m=px_per_m).copy()
    joints[:, 1] += (_SEATED_DROP * px_per_m).astype(np.float32)
    return joints


def lying_body(*, x_px: float = 320.0, px_per_m: float = 150.0) -> FloatArray:
    """(17, 2) joints of somebody level on the floor, feet at `x_px`, head to the right."""
    return standing_body(x_px=x_px, px_per_m=px_per_m, tilt_rad=np.pi / 2 - 0.05)


def pose_of(xy: FloatArray, *, score: float = 0.9) -> Pose:
    """A pose whose joints all have one score."""
    return Pose(xy=np.asarray(xy, dtype=np.float32), score=np.full(17, score, dtype=np.float32))


def pose_frame(poses: Sequence[Pose], *, at_s: float, camera: str = "hall", start_s: float = START_S) -> PoseFrame:
    """One frame, `at_s` after the first."""
    return PoseFrame(camera, start_s + at_s, at_s, WIDTH_PX, HEIGHT_PX, tuple(poses))


def frames_of(
    *bodies: Body,
    rate_hz: float = 15.0,
    duration_s: float,
    begin_s: float = 0.0,
    hidden: Sequence[tuple[float, float]] = (),
    noise_px: float = 0.7,
    seed: int = 0,
) -> list[PoseFrame]:
    """Frames of people who move; joints tremble a little, as an estimator's do.

    Args:
        bodies: one for each person.
        rate_hz: frames per second.
        duration_s: how long.
        begin_s: time of the first frame, from the run's start.
        hidden: times (from, to) without any pose.
        noise_px: standard deviation of the trembling.
        seed: of the trembling.
    """
    rng = np.random.default_rng(seed)
    frames = []
    for i in range(round(duration_s * rate_hz)):
        at_s = begin_s + i / rate_hz
        poses = [pose_of(body(at_s) + rng.normal(0, noise_px, (17, 2)).astype(np.float32)) for body in bodies]
        seen = not any(from_s <= at_s < to_s for from_s, to_s in hidden)
        frames.append(pose_frame(poses if seen else [], at_s=at_s))
    return frames


def standing_person(*, duration_s: float = 4.0, rate_hz: float = 15.0, x_px: float = 320.0,
                    px_per_m: float = 150.0) -> list[PoseFrame]:  # fmt: skip
    """Frames of somebody who stands still."""
    return frames_of(lambda _: standing_body(x_px=x_px, px_per_m=px_per_m), duration_s=duration_s, rate_hz=rate_hz)


def falling_body(*, fall_s: float = 3.0, x_px: float = 250.0, px_per_m: float = 150.0, lasting_s: float = 0.7,
                 up_s: float = float("inf")) -> Body:  # fmt: skip
    """Somebody who stands, falls sideways at `fall_s`, lies, and is on their feet again from `up_s` on."""

    def body(at_s: float) -> FloatArray:
        share = np.clip((at_s - fall_s) / lasting_s, 0, 1) * np.clip((up_s - at_s) / 1.0, 0, 1)
        return standing_body(x_px=x_px, px_per_m=px_per_m, tilt_rad=float(share**2) * (np.pi / 2 - 0.05))

    return body


def falling_person(*, duration_s: float = 12.0, rate_hz: float = 15.0, fall_s: float = 3.0) -> list[PoseFrame]:
    """Frames of somebody who stands, falls sideways at `fall_s`, and lies."""
    return frames_of(falling_body(fall_s=fall_s), duration_s=duration_s, rate_hz=rate_hz)


def walking_body(*, from_x_px: float, to_x_px: float, duration_s: float, px_per_m: float = 150.0,
                 floor_y_px: float = FLOOR_Y_PX) -> Body:  # fmt: skip
    """Somebody who walks across the picture, swinging legs and arms."""

    def body(at_s: float) -> FloatArray:
        share = min(max(at_s / duration_s, 0.0), 1.0)
        joints = standing_body(x_px=from_x_px + share * (to_x_px - from_x_px), px_per_m=px_per_m, floor_y_px=floor_y_px)
        swing = 0.15 * px_per_m * np.sin(2 * np.pi * at_s)
        joints[[9, 16], 0] += np.float32(swing)
        joints[[10, 15], 0] -= np.float32(swing)
        return joints

    return body
