"""Long simulated life without a fall, and scenes with one: what false alarms and missed falls are counted on.

Seeds live in name spaces of their own: no person, room or camera of these is ever one of `clips.simulate_clips`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from har.records import FloatArray
from har.synth.actor import Actor
from har.synth.body import Array, random_body
from har.synth.camera import Camera
from har.synth.daily import act_daily_life
from har.synth.film import aim_camera, sample
from har.synth.home import Home, random_home, rest_zones
from har.synth.incidents import act_aftermath, act_fall, draw_aftermath
from har.synth.kinds import FALLS
from har.synth.motion import frail_style, random_style
from har.synth.noise import ghost, observe, random_weather
from har.synth.recording import Episode, FallTruth, Recording
from har.synth.residents import live
from har.synth.room import furniture
from har.synth.shapes import Box
from har.synth.upright import stand, walk_on

LIFE_SPACE, SCENE_SPACE = 11, 12  # `clips` uses 1 and 2
RATE_HZ = 15.0
LIFE_MIN = (10.0, 30.0)
SCENE_S = (20.0, 40.0)
AFTER_FALL_S = 12.0
TWO_PEOPLE_SHARE = 0.3
BYSTANDER_SHARE = 0.25
WHEELCHAIR_SHARE = 0.07
WALKER_SHARE = 0.15
GHOSTS_PER_HOUR = (0.0, 4.0)
_CHUNK_FRAMES = 4000  # observed together: a quarter of an hour would need a gigabyte


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
        recording = _live(index, seed=seed, at_most_s=left_s, dense=dense)
        left_s -= recording.duration_s + 1 / RATE_HZ
        index += 1
        yield recording


def simulate_fall_scenes(n: int, *, seed: int) -> Iterator[Recording]:
    """Simulate scenes of 20 to 40 s, at times a few more, with some life, one fall and at least 12 s after it.

    Args:
        n: how many; kinds of falls take turns.
        seed: of everything random.

    Yields:
        Scenes in which nobody gets up again; the first person is the one who falls.

    Raises:
        ConfigError: MuJoCo, which moves those who fall, is not installed.
    """
    for index in range(n):
        yield _fall(index, seed=seed)


def _live(index: int, *, seed: int, at_most_s: float, dense: bool) -> Recording:
    rng = np.random.default_rng([seed, LIFE_SPACE, index])
    duration_s = min(float(rng.uniform(*LIFE_MIN)) * 60.0, at_most_s)
    home = random_home(rng)
    n_people = 2 if len(home.seats) >= 2 and rng.random() < TWO_PEOPLE_SHARE else 1
    actors = []
    for person in range(n_people):
        style = random_style(rng)
        actor = Actor(
            random_body(rng),
            frail_style(style) if rng.random() < WALKER_SHARE else style,
            rng,
            room_m=float(home.half_m.min()) - 0.7,
            seats=home.seats[person::n_people],
            door_m=home.door_m,
        )
        camera_m = home.camera.position_m[:2]
        in_wheelchair = bool(rng.random() < WHEELCHAIR_SHARE)
        live(actor, duration_s=duration_s + 1.0, dense=dense, camera_m=camera_m, in_wheelchair=in_wheelchair)
        actors.append(actor)
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    people = [_observe(actor, rng, time_s, camera=home.camera, boxes=home.boxes, home=home) for actor in actors]
    people.append(_ghosts(rng, people, camera=home.camera))
    return Recording(
        id=f"life-{seed}-{index:04d}",
        kind="life",
        joints=np.stack(people, axis=1),
        time_s=time_s,
        rate_hz=RATE_HZ,
        width_px=home.camera.width_px,
        height_px=home.camera.height_px,
        episodes=_episodes(actors, end_s=float(time_s[-1])),
        rest_zones=home.rest_zones,
        camera_height_m=float(home.camera.position_m[2]),
    )


def _fall(index: int, *, seed: int) -> Recording:
    rng = np.random.default_rng([seed, SCENE_SPACE, index])
    duration_s = float(rng.uniform(*SCENE_S))
    kind = FALLS[index % len(FALLS)]
    actor = Actor(random_body(rng), random_style(rng), rng, room_m=float(rng.uniform(1.0, 1.8)))
    ground_s = act_fall(actor, kind=kind, before_s=float(rng.uniform(3.0, max(4.0, duration_s - AFTER_FALL_S - 5.0))))
    after_s = max(AFTER_FALL_S + 0.5, duration_s - actor.duration_s)
    act_aftermath(actor, way=draw_aftermath(rng, may_get_up=False), duration_s=after_s)
    motion = actor.motion()
    time_s = np.arange(int(float(motion.time_s[-1]) * RATE_HZ)) / RATE_HZ
    boxes = furniture(motion.supports)
    camera = aim_camera(rng, sample(motion, time_s)[0], boxes=boxes)
    people = [_observe(actor, rng, time_s, camera=camera, boxes=boxes)]
    if rng.random() < BYSTANDER_SHARE:
        people.append(_bystander(rng, time_s, camera=camera, boxes=boxes))
    start_s = next(start for start, _, label in reversed(motion.spans) if label == "fall")
    return Recording(
        id=f"scene-{seed}-{index:04d}-{kind}",
        kind=kind,
        joints=np.stack(people, axis=1),
        time_s=time_s,
        rate_hz=RATE_HZ,
        width_px=camera.width_px,
        height_px=camera.height_px,
        falls=(FallTruth(start_s, ground_s, float(time_s[-1]), kind),),
        episodes=_episodes([actor], end_s=float(time_s[-1])),
        rest_zones=rest_zones(motion.supports, camera),
        camera_height_m=float(camera.position_m[2]),
    )


def _bystander(rng: np.random.Generator, time_s: Array, *, camera: Camera, boxes: Sequence[Box]) -> FloatArray:
    """Observe somebody else in the room, who goes on with their day."""
    actor = Actor(random_body(rng), random_style(rng), rng, room_m=2.0)
    if rng.random() < 0.5:
        act_daily_life(actor, duration_s=float(time_s[-1]) + 1.0, on_feet=True)
    while actor.duration_s < time_s[-1] + 1.0:
        walk_on(actor, float(rng.uniform(1.0, 2.5)))
        stand(actor, float(rng.uniform(1.0, 8.0)))
    return _observe(actor, rng, time_s, camera=camera, boxes=boxes)


def _observe(
    actor: Actor, rng: np.random.Generator, time_s: Array, *, camera: Camera, boxes: Sequence[Box],
    home: Home | None = None,
) -> FloatArray:  # fmt: skip
    """Give the joints (T, 17, 3) of one person; none while out of the room."""
    motion, weather = actor.motion(), random_weather(rng)
    parts = []
    for start in range(0, len(time_s), _CHUNK_FRAMES):
        points, labels = sample(motion, time_s[start : start + _CHUNK_FRAMES])
        joints = observe(points, labels, body=actor.body, camera=camera, rate_hz=RATE_HZ, weather=weather, rng=rng,
                         boxes=boxes)  # fmt: skip
        if home is not None:
            outside = (np.abs(points[:, 0, :2]) > home.half_m + 0.15).any(axis=1)
            joints[outside] = (np.nan, np.nan, 0.0)
        parts.append(joints)
    return np.concatenate(parts)


def _ghosts(rng: np.random.Generator, people: list[FloatArray], *, camera: Camera) -> FloatArray:
    """Give poses (T, 17, 3) that the estimator finds on things, for seconds, now and then."""
    n_frames = len(people[0])
    joints = np.full((n_frames, 17, 3), np.nan, dtype=np.float32)
    joints[..., 2] = 0.0
    seen = np.flatnonzero(np.isfinite(people[0][:, 0, 0]))
    n_ghosts = rng.poisson(rng.uniform(*GHOSTS_PER_HOUR) * n_frames / RATE_HZ / 3600.0) if len(seen) else 0
    for _ in range(n_ghosts):
        start, n = int(rng.integers(n_frames)), 1 + int(rng.exponential(4.0) * RATE_HZ)
        pose = people[0][seen[rng.integers(len(seen))]]
        stop = min(start + n, n_frames)
        joints[start:stop] = ghost(rng, pose, n_frames=stop - start, camera=camera)
    return joints


def _episodes(actors: list[Actor], *, end_s: float) -> tuple[Episode, ...]:
    found = []
    for person, actor in enumerate(actors):
        starts = [*(start_s for start_s, _ in actor.episodes), end_s]
        for (start_s, kind), stop_s in zip(actor.episodes, starts[1:], strict=True):
            if start_s < min(stop_s, end_s):
                found.append(Episode(start_s, min(stop_s, end_s), kind, person))
    return tuple(sorted(found, key=lambda episode: episode.start_s))
