"""What a pose estimator makes of a body: hidden joints, jitter, lost frames, swapped sides, bad limbs, lag.

Magnitudes come from BlazePose (full, VIDEO mode) on 17 clips of GMDCSA24 and UP-Fall, first 220 frames each:
- jitter about a smoothed track, robust standard deviation in trunk lengths: 0.003 to 0.006 for somebody who stands
  still, 0.006 to 0.03 lying, 0.01 to 0.06 moving (upper bounds: real movement is in it);
- scores: face, shoulders and hips 0.94 to 1.0 even when turned away; visible limbs 0.9 to 1.0; hidden elbows 0.05 to
  0.3, wrists 0.05 to 0.4, knees and ankles 0.3 to 0.6 (medians), the lowest tenths 0.02 to 0.3;
- share of frames with a pose: upright 0.99 to 1.0, falling 0.88 to 0.96, lying 0.81 to 0.99; it varies by room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from har.records import FloatArray
from har.synth.body import N_COCO, POINTS, Array, Body, P
from har.synth.camera import Camera
from har.synth.shapes import Box

BoolArray: TypeAlias = npt.NDArray[np.bool_]

TRUNK_SHARE = 0.288  # of the stature

_COVERS = (  # (from, to, factor of the flesh's radius): what hides joints behind it
    ("chest", "pelvis", 1.25),
    ("head", "neck", 1.0),
    *((f"{side}_{a}", f"{side}_{b}", 1.0) for side in ("left", "right")
      for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))),
)  # fmt: skip
_COVER_ENDS = np.array([[P[a], P[b]] for a, b, _ in _COVERS])
_COVER_FACTOR = np.array([factor for *_, factor in _COVERS])
_OWN = np.array(  # (joint, cover): the joint belongs to that part, or sits at its end
    [[POINTS[j] in (a, b) or (b == "pelvis" and POINTS[j].endswith(("hip", "shoulder"))) or (a == "head" and j < 5)
      for a, b, _ in _COVERS] for j in range(N_COCO)]
)  # fmt: skip
_HIDDEN_DEPTH_M = 0.07  # a cover must be nearer to the camera than the joint by this

_BOX_DEPTH_M = 0.10
_FOREGROUND_SHARE = 0.15

_SEEN_LOGIT = np.array([6.0] * 5 + [6.0, 6.0] + [3.6] * 2 + [3.2] * 2 + [6.0, 6.0] + [4.0] * 2 + [4.0] * 2)
_HIDDEN_LOGIT = np.array([4.0] * 5 + [3.8, 3.8] + [-1.7] * 2 + [-1.5] * 2 + [4.2, 4.2] + [-0.3] * 2 + [-0.4] * 2)
_OUTSIDE_LOGIT = -2.5

_LEFT_RIGHT = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15])
_LIMBS = ((7, 9), (8, 10), (13, 15), (14, 16))


@dataclass(frozen=True, slots=True)
class Weather:
    """How hard one clip is for the estimator.

    Attributes:
        roughness: factor of all position errors; 1 is a clear picture.
        lag_s: time constant of the estimator's own smoothing.
        upright_loss: share of frames without a pose while upright.
        falling_loss: share while falling.
        lying_loss: share while lying.
        mean_loss_s: how long a pose stays lost.
        swaps_hz: how often left and right are confused.
        bad_limbs_hz: how often a limb goes astray; four times as often when lying.
        ghosts_hz: how often the pose jumps to a piece of furniture for a moment; eight times as often when lying.
    """

    roughness: float
    lag_s: float
    upright_loss: float
    falling_loss: float
    lying_loss: float
    mean_loss_s: float
    swaps_hz: float
    bad_limbs_hz: float
    ghosts_hz: float = 0.0


def random_weather(rng: np.random.Generator) -> Weather:
    """Draw the conditions of a clip: mostly good, with rooms in which poses of lying people are often lost."""
    hard = rng.random() < 0.3
    return Weather(
        roughness=float(np.exp(rng.normal(0, 0.35))),
        lag_s=float(rng.choice((0.0, rng.uniform(0.01, 0.09)))),
        upright_loss=float(rng.uniform(0, 0.01) + 0.04 * (rng.random() < 0.1)),
        falling_loss=float(rng.uniform(0, 0.3) if hard else rng.uniform(0, 0.06)),
        lying_loss=float(rng.uniform(0.15, 0.9) if hard else rng.uniform(0, 0.08)),
        mean_loss_s=float(rng.uniform(0.15, 1.5)),
        swaps_hz=float(rng.uniform(0, 0.08)),
        bad_limbs_hz=float(rng.uniform(0, 0.15)),
        ghosts_hz=float(rng.uniform(0, 0.02) if rng.random() < 0.4 else 0.0),
    )


def observe(
    points: Array, labels: list[str], *, body: Body, camera: Camera, rate_hz: float, weather: Weather,
    rng: np.random.Generator, boxes: Sequence[Box] = (), behind: BoolArray | None = None, foreground: bool = True,
) -> FloatArray:  # fmt: skip
    """Give the COCO-17 joints that an estimator would report.

    Args:
        points: (T, P, 3) metres in the room, one body.
        labels: (T,) what is done.
        body: whose points they are.
        camera: through which they are seen.
        rate_hz: frames per second.
        weather: how hard the clip is.
        rng: source of the noise.
        boxes: furniture that may stand in front.
        behind: (T, 17) joints that something else hides, such as other people.
        foreground: whether something may stand in front that nothing is told of.

    Returns:
        (T, 17, 3) x and y in pixels and score; x and y NaN and the score 0 in frames without a pose.
    """
    xy_px, depth_m = camera.project(points)
    behind_camera = np.asarray(np.isnan(xy_px).any(axis=(1, 2)))
    xy_px = np.where(behind_camera[:, None, None], -1e3, xy_px)
    exact = xy_px[:, :N_COCO]
    trunk_px = camera.focal_px * TRUNK_SHARE * body.stature_m / np.maximum(depth_m[:, P["pelvis"]], 0.3)
    hidden = _behind_itself(xy_px, depth_m, body=body, camera=camera)
    covered = behind_boxes(points[:, :N_COCO], boxes, camera=camera)
    if foreground:
        covered |= _behind_something(rng, exact, camera=camera)
    if behind is not None:
        covered |= behind
    hidden |= covered
    outside = _outside(exact, camera=camera)
    down = np.array([label in ("lie", "fall") for label in labels])
    xy = exact + trunk_px[:, None, None] * _position_error(
        rng, exact / trunk_px[:, None, None], hidden=hidden | outside, down=down, rate_hz=rate_hz, weather=weather
    )
    score = _scores(rng, hidden=hidden, outside=outside, rate_hz=rate_hz)
    _spoil_limbs(rng, xy, score, trunk_px=trunk_px, down=down, rate_hz=rate_hz, weather=weather)
    _swap_sides(rng, xy, score, rate_hz=rate_hz, weather=weather)
    _jump_to_ghosts(rng, xy, score, down=down, rate_hz=rate_hz, weather=weather, camera=camera)
    if weather.lag_s > 0:
        keep = float(np.exp(-1.0 / (rate_hz * weather.lag_s)))
        xy, _ = lfilter([1 - keep], [1, -keep], xy, axis=0, zi=keep * xy[:1])
    unseen = outside | covered
    lost = _lost_frames(rng, labels, outside=unseen, rate_hz=rate_hz, weather=weather)
    joints = np.concatenate([xy, score[..., None]], axis=-1).astype(np.float32)
    joints[lost | behind_camera] = (np.nan, np.nan, 0.0)
    return joints


def _behind_itself(xy_px: Array, depth_m: Array, *, body: Body, camera: Camera) -> BoolArray:
    """Give (T, 17) whether a joint lies behind another part of its own body."""
    covers = _covers(xy_px[:, :N_COCO], depth_m[:, :N_COCO], xy_px, depth_m, body=body, camera=camera)
    return np.asarray((covers & ~_OWN).any(axis=-1))


def behind_body(joints: Array, points: Array, *, body: Body, camera: Camera) -> BoolArray:
    """Give (T, 17) whether a joint of somebody lies behind the body of somebody else.

    Args:
        joints: (T, 17, 3) metres in the room, of the one.
        points: (T, P, 3) metres, of the other.
        body: the other's.
        camera: through which they are seen.
    """
    with np.errstate(invalid="ignore"):  # behind the camera there are no pixels, and nothing is hidden there
        return np.asarray(_covers(*camera.project(joints), *camera.project(points), body=body, camera=camera).any(-1))


def _covers(joint_px: Array, joint_m: Array, xy_px: Array, depth_m: Array, *, body: Body, camera: Camera) -> BoolArray:
    """Give (T, 17, K) whether a joint (T, 17, 2), (T, 17) deep, lies behind a part of a body (T, P, 2), (T, P)."""
    start, end = xy_px[:, None, _COVER_ENDS[:, 0]], xy_px[:, None, _COVER_ENDS[:, 1]]  # (T, 1, K, 2)
    joint = joint_px[:, :, None]  # (T, 17, 1, 2)
    way = end - start
    share = np.einsum("tjkc,tjkc->tjk", joint - start, np.broadcast_to(way, (*way.shape[:1], N_COCO, *way.shape[2:])))
    share /= np.maximum((way**2).sum(-1), 1e-9)
    share = np.clip(share, 0.0, 1.0)  # (T, 17, K)
    miss = joint - start - share[..., None] * way
    distance_px = np.sqrt(np.einsum("tjkc,tjkc->tjk", miss, miss))
    start_m, end_m = depth_m[:, None, _COVER_ENDS[:, 0]], depth_m[:, None, _COVER_ENDS[:, 1]]
    cover_m = start_m + share * (end_m - start_m)
    radius_m = body.radius_m[_COVER_ENDS].mean(axis=1) * _COVER_FACTOR
    inside = distance_px < 0.9 * radius_m * camera.focal_px / np.maximum(cover_m, 0.2)
    return np.asarray(inside & (cover_m < joint_m[:, :, None] - _HIDDEN_DEPTH_M))


def behind_boxes(joints: Array, boxes: Sequence[Box], *, camera: Camera) -> BoolArray:
    """Give (T, 17) whether a box stands between the camera and a joint (T, 17, 3)."""
    hidden = np.zeros(joints.shape[:2], dtype=bool)
    for box in boxes:
        origin = box.turn @ (camera.position_m - box.centre_m)
        way = (joints - camera.position_m) @ box.turn.T
        length_m = np.linalg.norm(way, axis=-1)
        safe = np.where(np.abs(way) < 1e-9, 1e-9, way)
        one, two = (-box.half_m - origin) / safe, (box.half_m - origin) / safe
        enter, leave = np.minimum(one, two).max(axis=-1), np.maximum(one, two).min(axis=-1)
        # What one sits or lies on does not hide the joints just above it.
        hidden |= (enter < leave) & (enter > 0) & (enter < 1.0 - _BOX_DEPTH_M / length_m)
    return hidden


def _behind_something(rng: np.random.Generator, xy_px: Array, *, camera: Camera) -> BoolArray:
    """Give (T, 17) whether something in the foreground, a rectangle at the picture's lower edge, hides a joint."""
    if rng.random() > _FOREGROUND_SHARE:
        return np.zeros(xy_px.shape[:2], dtype=bool)
    left_px = rng.uniform(-0.2, 0.7) * camera.width_px
    right_px = left_px + rng.uniform(0.2, 0.6) * camera.width_px
    top_px = np.nanquantile(xy_px[..., 1], rng.uniform(0.55, 0.95))
    return np.asarray((xy_px[..., 0] > left_px) & (xy_px[..., 0] < right_px) & (xy_px[..., 1] > top_px))


def _outside(xy_px: Array, *, camera: Camera) -> BoolArray:
    inside = (xy_px > 0).all(axis=-1) & (xy_px[..., 0] < camera.width_px) & (xy_px[..., 1] < camera.height_px)
    return np.asarray(~inside)


def _wander(rng: np.random.Generator, shape: tuple[int, ...], *, tau_s: float, rate_hz: float) -> Array:
    """Give noise of unit variance along the first axis, correlated over `tau_s`."""
    keep = float(np.exp(-1.0 / (rate_hz * tau_s)))
    kick = rng.standard_normal(shape)
    kick[0] /= np.sqrt(1 - keep * keep)
    return np.asarray(lfilter([np.sqrt(1 - keep * keep)], [1, -keep], kick, axis=0))


def _position_error(
    rng: np.random.Generator, xy_trunk: Array, *, hidden: BoolArray, down: BoolArray, rate_hz: float, weather: Weather
) -> Array:
    """Give (T, 17, 2) errors in trunk lengths: a slow bias of each joint and a quick jitter, both worse in motion."""
    speed = np.linalg.norm(np.gradient(xy_trunk, axis=0), axis=-1) * rate_hz if len(xy_trunk) > 1 else 0 * hidden
    quick = (0.004 + 0.006 * np.minimum(speed, 5.0) + 0.006 * down[:, None]) * np.where(hidden, 3.0, 1.0)
    slow = np.where(hidden, 0.11, 0.03) * (1.0 + 0.5 * down[:, None])
    slow = gaussian_filter1d(slow, 0.12 * rate_hz, axis=0)  # a joint slides off when it gets hidden, without a jump
    jitter = rng.standard_normal(xy_trunk.shape) * quick[..., None]
    bias = _wander(rng, xy_trunk.shape, tau_s=0.9, rate_hz=rate_hz) * slow[..., None]
    whole = _wander(rng, (len(xy_trunk), 1, 2), tau_s=0.6, rate_hz=rate_hz) * 0.012
    return np.asarray(weather.roughness * (jitter + bias + whole))


def _scores(rng: np.random.Generator, *, hidden: BoolArray, outside: BoolArray, rate_hz: float) -> Array:
    """Give (T, 17) scores in [0, 1]."""
    logit = np.where(hidden, _HIDDEN_LOGIT, _SEEN_LOGIT)
    logit = np.where(outside, np.minimum(logit, _OUTSIDE_LOGIT), logit)
    logit = gaussian_filter1d(logit.astype(np.float64), 0.15 * rate_hz, axis=0)
    logit = logit + 0.9 * _wander(rng, logit.shape, tau_s=0.7, rate_hz=rate_hz)
    return np.asarray(1.0 / (1.0 + np.exp(-logit)))


def _bursts(rng: np.random.Generator, n_frames: int, *, per_s: Array, mean_s: float, rate_hz: float) -> list[slice]:
    """Draw stretches of frames that begin at `per_s` (T,) times a second and last `mean_s` on average."""
    starts = np.flatnonzero(rng.random(n_frames) < per_s / rate_hz)
    return [slice(s, s + 1 + int(rng.exponential(mean_s) * rate_hz)) for s in starts]


def _spoil_limbs(
    rng: np.random.Generator, xy: Array, score: Array, *, trunk_px: Array, down: BoolArray, rate_hz: float,
    weather: Weather,
) -> None:  # fmt: skip
    """Let a limb stick to the other one or to something else for a moment; changes `xy` and `score`."""
    per_s = weather.bad_limbs_hz * np.where(down, 4.0, 1.0)
    for part in _bursts(rng, len(xy), per_s=per_s, mean_s=0.3, rate_hz=rate_hz):
        near, far = _LIMBS[rng.integers(len(_LIMBS))]
        if rng.random() < 0.5:
            xy[part, [near, far]] = xy[part, [_LEFT_RIGHT[near], _LEFT_RIGHT[far]]]
        else:
            away = rng.normal(0, 0.35, 2) * trunk_px[part, None]
            xy[part, near] += 0.5 * away
            xy[part, far] += away
        score[part, [near, far]] *= rng.uniform(0.3, 0.95)


def _swap_sides(rng: np.random.Generator, xy: Array, score: Array, *, rate_hz: float, weather: Weather) -> None:
    """Exchange left and right for a moment, of the whole body or of the legs; changes `xy` and `score`."""
    per_s = np.full(len(xy), weather.swaps_hz)
    for part in _bursts(rng, len(xy), per_s=per_s, mean_s=0.35, rate_hz=rate_hz):
        order = _LEFT_RIGHT.copy()
        if rng.random() < 0.5:
            order[:11] = np.arange(11)
        xy[part] = xy[part][:, order]
        score[part] = score[part][:, order]


def _jump_to_ghosts(
    rng: np.random.Generator, xy: Array, score: Array, *, down: BoolArray, rate_hz: float, weather: Weather,
    camera: Camera,
) -> None:  # fmt: skip
    """Let the whole pose stand on a thing elsewhere for a moment; changes `xy` and `score`."""
    per_s = weather.ghosts_hz * np.where(down, 8.0, 1.0)
    for part in _bursts(rng, len(xy), per_s=per_s, mean_s=0.5, rate_hz=rate_hz):
        shape = xy[rng.integers(len(xy))]
        place = rng.uniform((0.1, 0.3), (0.9, 0.9)) * (camera.width_px, camera.height_px)
        still = (shape - shape.mean(axis=0)) * rng.uniform(0.3, 0.9) + place
        xy[part] = still + rng.normal(0, 1.0, xy[part].shape)
        score[part] *= rng.uniform(0.4, 0.95)


def ghost(rng: np.random.Generator, pose: FloatArray, *, n_frames: int, camera: Camera) -> FloatArray:
    """Give a pose (T, 17, 3) that stands on a thing and trembles, in the shape of a pose (17, 3) seen before."""
    xy = pose[:, :2] - np.nanmean(pose[:, :2], axis=0)
    place = rng.uniform((0.1, 0.3), (0.9, 0.9)) * (camera.width_px, camera.height_px)
    trembling = rng.normal(0, 0.004 * camera.height_px, (n_frames, *xy.shape))
    still = xy * rng.uniform(0.3, 0.9) + place + trembling
    score = np.broadcast_to(pose[:, 2] * rng.uniform(0.4, 0.9), still.shape[:2])
    return np.concatenate([still, score[..., None]], axis=-1).astype(np.float32)


def _lost_frames(
    rng: np.random.Generator, labels: list[str], *, outside: BoolArray, rate_hz: float, weather: Weather
) -> BoolArray:
    """Give (T,) whether the pose is lost: a two-state chain whose share of loss follows what is done."""
    share_of = {"fall": weather.falling_loss, "lie": weather.lying_loss}
    share = np.array([share_of.get(label, weather.upright_loss) for label in labels])
    share = np.maximum(share, np.where(outside.mean(axis=1) > 0.6, 0.9, 0.0))
    found_again = min(1.0, 1.0 / (rate_hz * weather.mean_loss_s))
    lost = np.zeros(len(labels), dtype=bool)
    state = False
    chance = rng.random(len(labels))
    for frame, p in enumerate(share):
        going = min(1.0, found_again * p / max(1.0 - p, 0.05))
        state = chance[frame] >= found_again * (0.3 if p > 0.5 else 1.0) if state else chance[frame] < going
        lost[frame] = state
    return lost
