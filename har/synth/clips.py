"""Simulated skeleton clips: random people in random rooms, daily life and falls, as an estimator would see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from har.clips import Clip, Span, write_clips
from har.synth.actor import Actor
from har.synth.body import N_COCO, Array, Body, P, random_body
from har.synth.camera import Camera, random_camera
from har.synth.daily import act_daily_life
from har.synth.incidents import act_aftermath, act_fall, draw_aftermath
from har.synth.kinds import DAILY, FALLS
from har.synth.motion import Motion, random_style
from har.synth.noise import observe, random_weather

LICENCE = "Apache-2.0"
FALL_SHARE = 0.4
FALL_SHARES = (0.22, 0.15, 0.16, 0.12, 0.08, 0.07, 0.06, 0.14)
"""Of the kinds of falls, in the order of `kinds.FALLS`."""
CLIPS_PER_BODY = 4
TEST_EVERY = 5  # bodies; the split "sim" holds these back
DURATION_S = (8.0, 20.0)
RATES_HZ = (8.0, 10.0, 12.0, 15.0, 15.0, 18.0, 20.0, 25.0, 30.0, 30.0)
CAMERA_TRIES = 12
GOOD_VIEW = 0.8
"""Share of joints in the picture, times the size's shortfall, at which a camera is taken at once."""
UPRIGHT_SHARE = 0.3
"""Of the picture's height, that somebody upright should fill; the service turns down poses under 0.2."""


def simulate_clips(n: int, *, seed: int) -> Iterator[Clip]:
    """Simulate labelled clips, each untrimmed with spans; the same seed gives the same clips.

    Args:
        n: how many.
        seed: of everything random. Clips and bodies of different seeds are different people.

    Yields:
        COCO-17 clips in pixels of 8 to 20 s, `danger` true where somebody falls.
    """
    for index in range(n):
        yield _simulate_clip(index, seed=seed)


def write_synth_clips(out: str | Path, *, n: int, seed: int, progress: Callable[[int, int], None] | None = None) -> int:
    """Simulate clips and write them as a clip set.

    Args:
        out: a folder that is not there yet, or empty.
        n: how many clips.
        seed: of everything random.
        progress: called with (done, n) after each clip.

    Returns:
        How many clips were written.

    Raises:
        ClipError: the folder holds something already.
    """
    return write_clips(out, _counted(simulate_clips(n, seed=seed), n=n, progress=progress))


def _counted(clips: Iterator[Clip], *, n: int, progress: Callable[[int, int], None] | None) -> Iterator[Clip]:
    for done, clip in enumerate(clips, start=1):
        yield clip
        if progress is not None:
            progress(done, n)


def _simulate_clip(index: int, *, seed: int) -> Clip:
    person = index // CLIPS_PER_BODY
    of_person = np.random.default_rng([seed, 1, person])
    body, style = random_body(of_person), random_style(of_person)
    rng = np.random.default_rng([seed, 2, index])
    duration_s = float(rng.uniform(*DURATION_S))
    actor = Actor(body, style, rng, room_m=float(rng.uniform(1.0, 1.8)))
    kind = DAILY
    if rng.random() < FALL_SHARE:
        kind = str(rng.choice(FALLS, p=FALL_SHARES))
        before_s = float(rng.uniform(1.5, max(2.0, duration_s - 6.0)))
        act_fall(actor, kind=kind, before_s=before_s)
        act_aftermath(actor, way=draw_aftermath(rng), duration_s=max(2.5, duration_s - actor.duration_s))
    else:
        act_daily_life(actor, duration_s=duration_s)
    motion = actor.motion()
    return _film(
        motion, body=body, rng=rng, duration_s=duration_s, clip_id=f"sim-{seed}-{index:05d}-{kind}", person=person,
        seed=seed,
    )  # fmt: skip


def _film(
    motion: Motion, *, body: Body, rng: np.random.Generator, duration_s: float, clip_id: str, person: int, seed: int
) -> Clip:
    """See a motion through a random camera and estimator."""
    rate_hz = float(rng.choice(RATES_HZ))
    begin_s = max(0.0, float(motion.time_s[-1]) - duration_s)
    time_s = frame_times(rng, rate_hz=rate_hz, end_s=min(duration_s, float(motion.time_s[-1])))
    points, labels = sample(motion, begin_s + time_s)
    camera = aim_camera(rng, points)
    joints = observe(points, labels, body=body, camera=camera, rate_hz=rate_hz, weather=random_weather(rng), rng=rng)
    spans = cut_spans(motion, begin_s=begin_s, end_s=begin_s + float(time_s[-1]))
    return Clip(
        id=clip_id,
        joints=joints[:, None],
        time_s=time_s,
        danger=any(label == "fall" for *_, label in spans),
        spans=spans,
        subject=f"sim{seed:04d}-{person:04d}" if seed else f"sim{person:04d}",
        camera="simulated",
        splits={"sim": "test" if person % TEST_EVERY == TEST_EVERY - 1 else "train"},
        rate_hz=rate_hz,
        rate_known=True,
        source=f"har synth clips, seed {seed}",
        licence=LICENCE,
        width_px=camera.width_px,
        height_px=camera.height_px,
    )


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


def aim_camera(rng: np.random.Generator, points: Array) -> Camera:
    """Draw a camera that has most of the joints in its picture and is not too far off; the best of some tries."""
    centre_m = 0.5 * (points[:, P["pelvis"], :2].min(axis=0) + points[:, P["pelvis"], :2].max(axis=0))
    best, best_share = random_camera(rng, centre_m), -1.0
    some = points[:: max(1, len(points) // 40), :N_COCO]
    for _ in range(CAMERA_TRIES):
        camera = random_camera(rng, centre_m)
        xy, depth_m = camera.project(some)
        inside = (xy > 0).all(-1) & (xy[..., 0] < camera.width_px) & (xy[..., 1] < camera.height_px) & (depth_m > 0.6)
        upright_px = 1.65 * camera.focal_px / max(float(np.median(depth_m)), 0.6)
        share = float(inside.mean()) * min(1.0, upright_px / (UPRIGHT_SHARE * camera.height_px))
        if share > best_share:
            best, best_share = camera, share
        if share > GOOD_VIEW:
            break
    return best
