"""Simulated skeleton clips: random people in random rooms, daily life and falls, as an estimator would see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from har.clips import Clip, write_clips
from har.synth.actor import Actor
from har.synth.body import random_body
from har.synth.daily import act_daily_life
from har.synth.film import aim_camera, cut_spans, frame_times, sample
from har.synth.incidents import act_aftermath, act_fall, draw_aftermath
from har.synth.kinds import DAILY, FALLS, NEGATIVES
from har.synth.motion import Motion, frail_style, random_style
from har.synth.negatives import act_negative
from har.synth.noise import observe, random_weather
from har.synth.room import furniture

LICENCE = "Apache-2.0"
FALL_SHARE = 0.4
NEGATIVE_SHARE = 0.35
FALL_SHARES = (0.22, 0.15, 0.16, 0.12, 0.08, 0.07, 0.06, 0.14)
"""Of the kinds of falls, in the order of `kinds.FALLS`."""
CLIPS_PER_BODY = 4
TEST_EVERY = 5  # bodies; the split "sim" holds these back
DURATION_S = (8.0, 20.0)
BEFORE_FALL_S = 1.5
"""Seen of what came before a fall, at least, where there was so much."""
RATES_HZ = (8.0, 10.0, 12.0, 15.0, 15.0, 18.0, 20.0, 25.0, 30.0, 30.0)


def simulate_clips(n: int, *, seed: int, kinds: Sequence[str] | None = None) -> Iterator[Clip]:
    """Simulate labelled clips, each untrimmed with spans; the same seed gives the same clips.

    Args:
        n: how many.
        seed: of everything random. Clips and bodies of different seeds are different people.
        kinds: which of `kinds.KINDS`, in turn; None for all in their usual shares. The kind ends each clip's id.

    Yields:
        COCO-17 clips in pixels of 8 to 20 s, `danger` true where somebody falls.

    Raises:
        ConfigError: MuJoCo, which moves those who fall, is not installed.
    """
    for index in range(n):
        yield simulate_clip(index, seed=seed, kind=kinds[index % len(kinds)] if kinds else None)


def write_synth_clips(
    out: str | Path,
    *,
    n: int,
    seed: int,
    kinds: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Simulate clips and write them as a clip set.

    Args:
        out: a folder that is not there yet, or empty.
        n: how many clips.
        seed: of everything random.
        kinds: see `simulate_clips`.
        progress: called with (done, n) after each clip.

    Returns:
        How many clips were written.

    Raises:
        ClipError: the folder holds something already.
    """
    return write_clips(out, _counted(simulate_clips(n, seed=seed, kinds=kinds), n=n, progress=progress))


def _counted(clips: Iterator[Clip], *, n: int, progress: Callable[[int, int], None] | None) -> Iterator[Clip]:
    for done, clip in enumerate(clips, start=1):
        yield clip
        if progress is not None:
            progress(done, n)


def simulate_clip(index: int, *, seed: int, kind: str | None = None) -> Clip:
    """Simulate one clip of a set, see `simulate_clips`; `kind` None draws one."""
    person = index // CLIPS_PER_BODY
    of_person = np.random.default_rng([seed, 1, person])
    body, style = random_body(of_person), random_style(of_person)
    rng = np.random.default_rng([seed, 2, index])
    duration_s = float(rng.uniform(*DURATION_S))
    kind = kind or draw_kind(rng)
    actor = Actor(body, frail_style(style) if kind == "walker" else style, rng, room_m=float(rng.uniform(1.0, 1.8)))
    if kind in FALLS:
        act_fall(actor, kind=kind, before_s=float(rng.uniform(1.5, max(2.0, duration_s - 6.0))))
        act_aftermath(actor, way=draw_aftermath(rng), duration_s=max(2.5, duration_s - actor.duration_s))
    elif kind in NEGATIVES:
        if kind != "wheelchair" and rng.random() < 0.5:
            act_daily_life(actor, duration_s=float(rng.uniform(1.0, 5.0)), on_feet=True)
        act_negative(actor, kind, duration_s=duration_s - actor.duration_s)
    else:
        act_daily_life(actor, duration_s=duration_s)
    clip_id = f"sim-{seed}-{index:05d}-{kind}"
    return _film(actor, duration_s=duration_s, clip_id=clip_id, kind=kind, person=person, seed=seed)


def draw_kind(rng: np.random.Generator) -> str:
    """Draw what a clip shows."""
    chance = rng.random()
    if chance < FALL_SHARE:
        return str(rng.choice(FALLS, p=FALL_SHARES))
    if chance < FALL_SHARE + NEGATIVE_SHARE:
        return str(rng.choice(NEGATIVES))
    return DAILY


def _film(actor: Actor, *, duration_s: float, clip_id: str, kind: str, person: int, seed: int) -> Clip:
    """See what was acted through a random camera and estimator."""
    rng, body, motion = actor.rng, actor.body, actor.motion()
    rate_hz = float(rng.choice(RATES_HZ))
    begin_s = _begin_s(motion, kind=kind, duration_s=duration_s)
    time_s = frame_times(rng, rate_hz=rate_hz, end_s=min(duration_s, float(motion.time_s[-1]) - begin_s))
    points, labels = sample(motion, begin_s + time_s)
    weather, boxes = random_weather(rng), furniture(motion.supports)
    camera = aim_camera(rng, points, kind=kind, boxes=boxes)
    joints = observe(points, labels, body=body, camera=camera, rate_hz=rate_hz, weather=weather, rng=rng, boxes=boxes)
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


def _begin_s(motion: Motion, *, kind: str, duration_s: float) -> float:
    """Give where a clip begins in what was acted: it shows the end, but the fall with what came before it, too."""
    if kind == DAILY:
        return 0.0
    begin_s = max(0.0, float(motion.time_s[-1]) - duration_s)
    falls = [start_s for start_s, _, label in motion.spans if label == "fall"]
    return min(begin_s, max(0.0, falls[-1] - BEFORE_FALL_S)) if falls else begin_s
