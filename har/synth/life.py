"""Long simulated life without a fall, and scenes with one: what false alarms and missed falls are counted on.

Seeds live in name spaces of their own: no person, room or camera of these is ever one of `clips.simulate_clips`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from har.synth.actor import Actor
from har.synth.body import random_body
from har.synth.daily import act_daily_life
from har.synth.film import aim_camera, sample
from har.synth.incidents import act_aftermath, act_fall, draw_aftermath
from har.synth.kinds import FALLS
from har.synth.motion import random_style
from har.synth.noise import observe, random_weather
from har.synth.recording import Episode, FallTruth, Recording

LIFE_SPACE, SCENE_SPACE = 11, 12  # `clips` uses 1 and 2
RATE_HZ = 15.0
LIFE_MIN = (10.0, 30.0)
SCENE_S = (20.0, 40.0)
AFTER_FALL_S = 12.0


def simulate_life(*, hours: float, seed: int, dense: bool = False) -> Iterator[Recording]:
    """Simulate long recordings of daily living without any fall.

    Args:
        hours: how much in all; the last recording is cut to fit.
        seed: of everything random.
        dense: hard negatives one after another instead of at the rate of a real day.

    Yields:
        Recordings of 10 to 30 minutes of one or two people, each in a room of its own.
    """
    left_s, index = hours * 3600.0, 0
    while left_s > 1.0:
        recording = _live(index, seed=seed, at_most_s=left_s)
        left_s -= recording.duration_s
        index += 1
        yield recording


def simulate_fall_scenes(n: int, *, seed: int) -> Iterator[Recording]:
    """Simulate scenes of 20 to 40 s with some life, one fall and at least 12 s after it.

    Args:
        n: how many; kinds of falls take turns.
        seed: of everything random.
    """
    for index in range(n):
        yield _fall(index, seed=seed)


def _live(index: int, *, seed: int, at_most_s: float) -> Recording:
    rng = np.random.default_rng([seed, LIFE_SPACE, index])
    duration_s = min(float(rng.uniform(*LIFE_MIN)) * 60.0, at_most_s)
    actor = Actor(random_body(rng), random_style(rng), rng, room_m=float(rng.uniform(1.0, 1.8)))
    act_daily_life(actor, duration_s=duration_s)
    return _film(actor, rng, duration_s=duration_s, name=f"life-{seed}-{index:04d}", kind="life")


def _fall(index: int, *, seed: int) -> Recording:
    rng = np.random.default_rng([seed, SCENE_SPACE, index])
    duration_s = float(rng.uniform(*SCENE_S))
    actor = Actor(random_body(rng), random_style(rng), rng, room_m=float(rng.uniform(1.0, 1.8)))
    kind = FALLS[index % len(FALLS)]
    ground_s = act_fall(actor, kind=kind, before_s=float(rng.uniform(4.0, duration_s - AFTER_FALL_S - 3.0)))
    act_aftermath(actor, way=draw_aftermath(rng, may_get_up=False),
                  duration_s=max(AFTER_FALL_S + 0.5, duration_s - actor.duration_s))  # fmt: skip
    name = f"scene-{seed}-{index:04d}-{kind}"
    return _film(actor, rng, duration_s=actor.duration_s, name=name, kind=kind, ground_s=ground_s)


def _film(
    actor: Actor, rng: np.random.Generator, *, duration_s: float, name: str, kind: str, ground_s: float = 0.0
) -> Recording:
    motion = actor.motion()
    time_s = np.arange(int(min(duration_s, float(motion.time_s[-1])) * RATE_HZ)) / RATE_HZ
    points, labels = sample(motion, time_s)
    camera = aim_camera(rng, points)
    joints = observe(points, labels, body=actor.body, camera=camera, rate_hz=RATE_HZ, weather=random_weather(rng),
                     rng=rng)  # fmt: skip
    falls = [(start, end) for start, end, label in motion.spans if label == "fall"] if kind != "life" else []
    return Recording(
        id=name,
        kind=kind,
        joints=joints[:, None],
        time_s=time_s,
        rate_hz=RATE_HZ,
        width_px=camera.width_px,
        height_px=camera.height_px,
        falls=tuple(FallTruth(start, ground_s, float(time_s[-1]), kind) for start, _ in falls[-1:]),
        episodes=(Episode(0.0, float(time_s[-1]), "daily"),),
    )
