"""From what was acted to what a camera saw: sampling in time, aiming a camera, the estimator's view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from har.clips import Span
from har.synth.body import N_COCO, Array, P
from har.synth.camera import Camera, look_at, random_camera
from har.synth.motion import Motion
from har.synth.noise import behind_boxes
from har.synth.shapes import Box

CAMERA_TRIES = 12
GOOD_VIEW = 0.85
"""Share of joints in the picture, times the size's shortfall, at which a camera is taken at once."""
UPRIGHT_SHARE = (0.25, 0.6)
"""Of the picture's height, that somebody upright should fill; the service turns down poses under 0.2."""
OUT_SHARE = 0.5
"""Of joints in the picture that a camera should have of somebody who walks in and out."""
FAR_SHARE = 0.15
"""Of the cameras are taken without regard to size; people in their pictures are small."""
_CLOSE_M = (0.6, 1.1)
"""From the path of somebody who comes close to the camera."""


def cut_spans(motion: Motion, *, begin_s: float, end_s: float) -> tuple[Span, ...]:
    """Give the spans of a part of a motion, on a clock that starts with the part."""
    parts = ((max(start, begin_s), min(end, end_s), label) for start, end, label in motion.spans)
    return tuple((start - begin_s, end - begin_s, label) for start, end, label in parts if end - start > 1e-6)


def frame_times(rng: np.random.Generator, *, rate_hz: float, end_s: float) -> Array:
    """Give (T,) capture times from 0 to at most `end_s`: even, or with the unrest of a network camera."""
    time_s = np.arange(int(end_s * rate_hz) + 1) / rate_hz
    if rng.random() < 0.5:
        time_s[1:-1] += rng.uniform(-0.2, 0.2, max(len(time_s) - 2, 0)) / rate_hz
    return time_s


def sample(motion: Motion, time_s: Array) -> tuple[Array, list[str]]:
    """Give points (T, P, 3) and labels (T,) of a motion at given times."""
    position = np.clip(time_s * motion.rate_hz, 0, len(motion.labels) - 1)
    before = np.minimum(position.astype(int), len(motion.labels) - 2)
    share = (position - before)[:, None, None]
    points = motion.points[before] * (1 - share) + motion.points[before + 1] * share
    return points, [motion.labels[i] for i in before]


def aim_camera(rng: np.random.Generator, points: Array, *, kind: str = "", boxes: Sequence[Box] = ()) -> Camera:
    """Draw a camera that has most of the joints in its picture and is not too far off; the best of some tries.

    Args:
        rng: source of the differences.
        points: (T, P, 3) metres, of what is to be seen.
        kind: what is done: for "in-out" the camera sees a part of the way only, for "close" it hangs near it.
        boxes: furniture and walls; the camera hangs where they do not hide most of what happens.
    """
    places = points[:, P["pelvis"], :2]
    if kind == "close":
        return _close_camera(rng, places)
    centre_m = 0.5 * (places.min(axis=0) + places.max(axis=0))
    if kind == "in-out":
        centre_m = places[int(rng.integers(len(places)))]
    wanted = 0.0 if rng.random() < FAR_SHARE else float(rng.uniform(*UPRIGHT_SHARE))
    best, best_share = random_camera(rng, centre_m), -1.0
    some = points[:: max(1, len(points) // 40), :N_COCO]
    for _ in range(CAMERA_TRIES):
        camera = random_camera(rng, centre_m)
        share = _in_view(camera, some, wanted=wanted, boxes=boxes)
        if kind == "in-out":
            share = 1.0 - abs(share - OUT_SHARE)
        if share > best_share:
            best, best_share = camera, share
        if share > GOOD_VIEW:
            break
    return best


def _in_view(camera: Camera, points: Array, *, wanted: float, boxes: Sequence[Box]) -> float:
    """Give the share of joints in the picture, times the size's shortfall of `wanted` of the picture's height."""
    xy, depth_m = camera.project(points)
    inside = (xy > 0).all(-1) & (xy[..., 0] < camera.width_px) & (xy[..., 1] < camera.height_px) & (depth_m > 0.6)
    inside &= ~behind_boxes(points, boxes, camera=camera)
    upright_px = 1.65 * camera.focal_px / max(float(np.median(depth_m)), 0.6)
    return float(inside.mean()) * min(1.0, upright_px / max(wanted * camera.height_px, 1e-9))


def _close_camera(rng: np.random.Generator, places: Array) -> Camera:
    """Hang a camera beside a place that somebody comes to, looking along most of the way there."""
    spot = places[int(rng.integers(len(places) // 4, max(len(places) // 4 + 1, 3 * len(places) // 4)))]
    towards = places.mean(axis=0) + rng.normal(0, 0.3, 2) - spot
    towards /= max(float(np.hypot(*towards)), 1e-6)
    hung = spot - towards * rng.uniform(*_CLOSE_M)
    target = spot + towards * 2.0
    return look_at(
        np.array([*hung, rng.uniform(1.1, 2.3)]),
        np.array([*target, rng.uniform(0.5, 1.1)]),
        field_of_view_deg=float(rng.uniform(60, 100)),
        roll_deg=float(rng.normal(0, 1.5)),
        distortion=float(rng.uniform(-0.12, 0.02)),
    )
