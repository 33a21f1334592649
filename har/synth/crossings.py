"""Rooms with two to four people who get in each other's way, seen by one camera, with who is who beside the poses.

Four kinds take turns: "crossing" (people walk past each other, stop, turn back), "occlusion" (somebody stops behind
somebody else or behind a cupboard, hidden wholly for at most two seconds), "leave" (somebody goes out at the picture's
edge, somebody else comes in there or at the other edge) and "fall" (somebody falls while others walk past). What the
estimator makes of them is in `crowd`. Seeds live in a name space of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, count

import numpy as np

from har.records import FloatArray, Pose, PoseFrame
from har.synth.actor import Actor
from har.synth.body import A, Array, P, random_body
from har.synth.camera import SIZES_PX, Camera, look_at
from har.synth.crowd import Member, Sight, look, observe_together, overlap
from har.synth.film import sample
from har.synth.incidents import act_aftermath, act_fall, draw_aftermath
from har.synth.motion import Motion, random_style
from har.synth.noise import BoolArray, random_weather
from har.synth.room import furniture
from har.synth.seat import sit, start_seated
from har.synth.shapes import Box
from har.synth.upright import stand, walk_to

KINDS = ("crossing", "occlusion", "leave", "fall")
SPACE = 21  # of seeds; `life` uses 11 and 12
RATES_HZ = (10.0, 15.0, 15.0, 25.0)
BEFORE_S, AFTER_S = 6.0, 7.0
"""Of a scene, before and after the moment that it is about."""
COUNTED_SHARE = 0.5
"""Of the joints that must be seen of somebody for a pose to be expected."""
HIDDEN_SHARE = 0.2
"""Of the joints seen: with fewer somebody is hidden wholly."""
HIDDEN_AT_MOST_S = 2.0
AWAY_S = 2.0
"""Who was out of the picture for longer is a new visitor: nothing in a skeleton tells that they were here before."""
_APART_M = 0.45  # between the middles of two people
_FALLS = ("fall-forward", "fall-backward", "fall-sideways", "fall-collapse")
_LEAD_S = 20.0  # acted before and after, so that everybody does something all the time


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CrossingScene:
    """One scene: the poses as an estimator gives them, and the truth.

    Attributes:
        id: unique for its seed.
        kind: one of `KINDS`.
        frames: the poses, in no particular order in each frame.
        whose: for each frame the person (0..M-1) that each pose belongs to; of a mixed one, whose trunk it mostly is.
        visits: (T, M) the true id of everybody in the picture; -1 while out of it.
        xy: (T, M, 17, 2) the true joints, pixels.
        seen: (T, M, 17) the joint is in the picture and nothing is before it.
        rate_hz: frames per second.
        labels: (T, M) what is done.
    """

    id: str
    kind: str
    frames: tuple[PoseFrame, ...]
    whose: tuple[tuple[int, ...], ...]
    visits: Array
    xy: Array
    seen: BoolArray
    rate_hz: float
    labels: tuple[tuple[str, ...], ...]

    @property
    def counted(self) -> BoolArray:
        """(T, M) so much is seen of somebody that a pose may be expected."""
        return np.asarray((self.visits >= 0) & (self.seen.mean(axis=-1) >= COUNTED_SHARE))


def simulate_crossings(n: int, *, seed: int) -> Iterator[CrossingScene]:
    """Simulate scenes of 13 s with two to four people.

    Args:
        n: how many; kinds take turns.
        seed: of everything random.

    Raises:
        ConfigError: MuJoCo, which moves those who fall, is not installed.
    """
    for index in range(n):
        kind = KINDS[index % len(KINDS)]
        for attempt in count():
            rng = np.random.default_rng([seed, SPACE, index, attempt])
            scene = _draw(rng, kind=kind, name=f"{kind}-{seed}-{index:03d}")
            if scene is not None:
                yield scene
                break


# -- the stage -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Stage:
    """Where a scene plays: places are given by bearing and distance from the camera, which is moved to fit them.

    Attributes:
        rng: source of the differences.
        camera: which looks.
        middle_m: from the point under the camera to the middle of what happens.
        tangent: of half the angle of view.
        cast: everybody's motion and when it begins, on the scene's clock; zero is the moment that it is about.
        boxes: furniture.
    """

    rng: np.random.Generator
    camera: Camera
    middle_m: float
    tangent: float
    cast: list[tuple[Actor, Motion, float]] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)

    def place(self, bearing: float, away_m: float) -> Array:
        """Give a place (2,) on the floor: -1 and 1 are near the left and the right edge of the picture."""
        return np.array([away_m, -bearing * self.tangent * away_m])

    def actor(self, place: Array, *, towards: Array) -> Actor:
        """Put somebody new somewhere, facing a place."""
        actor = Actor(random_body(self.rng), random_style(self.rng), self.rng)
        actor.xy = place.copy()
        way = towards - place
        actor.posture[A["yaw"]] = np.arctan2(way[1], way[0])
        return actor

    def enter(self, actor: Actor, *, moment_s: float, at_s: float = 0.0) -> None:
        """Let somebody's own `moment_s` be the scene's `at_s`."""
        motion = actor.motion()
        self.cast.append((actor, motion, at_s - moment_s))
        self.boxes += furniture(motion.supports)

    def walk(self, *way: Array, at_s: float = 0.0, pause_s: float = 0.0) -> None:
        """Let somebody walk from the first place to the second, be there at `at_s`, and go on to the last."""
        actor = self.actor(way[0], towards=way[1])
        stand(actor, _LEAD_S)
        walk_to(actor, *_xy(way[1]), stops=pause_s > 0)
        moment_s = actor.duration_s
        if pause_s > 0:
            stand(actor, pause_s)
        for place in way[2:]:
            walk_to(actor, *_xy(place))
        stand(actor, _LEAD_S)
        self.enter(actor, moment_s=moment_s, at_s=at_s)


def _xy(place: Array) -> tuple[float, float]:
    return float(place[0]), float(place[1])


def _random_stage(rng: np.random.Generator) -> _Stage:
    """Hang a camera between breast height and the ceiling; people fill about half of the picture's height."""
    width_px, height_px = SIZES_PX[rng.integers(len(SIZES_PX))]
    tangent = float(np.tan(np.deg2rad(rng.uniform(50, 95)) / 2))
    upright_share = float(rng.uniform(0.3, 0.65))
    middle_m = float(np.clip(1.65 * 0.5 * width_px / tangent / (upright_share * height_px), 2.4, 6.0))
    camera = look_at(
        np.array([0.0, 0.0, rng.uniform(1.2, 2.7)]),
        np.array([middle_m, 0.0, rng.uniform(0.6, 1.0)]),
        field_of_view_deg=float(np.rad2deg(2 * np.arctan(tangent))),
        width_px=width_px,
        height_px=height_px,
        roll_deg=float(rng.normal(0, 1.5)),
        distortion=float(rng.uniform(-0.12, 0.0)),
    )
    return _Stage(rng, camera, middle_m, tangent)


# -- what happens ----------------------------------------------------------------------------------------------------


def _cross(stage: _Stage) -> None:
    """Two people meet on one line of sight, from opposite sides, or one overtakes; some stop there and turn back."""
    rng = stage.rng
    bearing = float(rng.uniform(-0.35, 0.35))
    near_m = stage.middle_m - float(rng.uniform(0.3, 0.9))
    lanes = (near_m, near_m + float(rng.uniform(0.6, 1.6)))
    first_side = float(rng.choice((-1, 1)))
    same_way = rng.random() < 0.2
    for number, away_m in enumerate(lanes):
        side = first_side * (1 if same_way or not number else -1)
        start, end = _sides(stage, side, away_m)
        if rng.random() < 0.25:
            end = start
        pause_s = float(rng.uniform(0.2, 1.5)) if rng.random() < 0.35 else 0.0
        stage.walk(start, stage.place(bearing, away_m), end, at_s=float(rng.normal(0, 0.2)), pause_s=pause_s)
    _add_others(stage, int(rng.integers(3)))


def _sides(stage: _Stage, side: float, away_m: float) -> tuple[Array, Array]:
    """Give where somebody comes from and goes to, in the picture or out of it, not quite on a level."""
    rng = stage.rng
    return (
        stage.place(side * float(rng.uniform(0.6, 1.3)), away_m + float(rng.normal(0, 0.25))),
        stage.place(-side * float(rng.uniform(0.6, 1.3)), away_m + float(rng.normal(0, 0.25))),
    )


def _hide(stage: _Stage) -> None:
    """Somebody stops behind somebody who stands, or behind a cupboard, and goes on or back."""
    rng = stage.rng
    bearing = float(rng.uniform(-0.5, 0.5))
    near_m = stage.middle_m - float(rng.uniform(0.2, 0.8))
    far_m = near_m + float(rng.uniform(0.5, 1.1))
    start, end = _sides(stage, float(rng.choice((-1, 1))), far_m)
    end = start if rng.random() < 0.3 else end
    pause_s = float(rng.uniform(0.2, 1.8)) if rng.random() < 0.7 else 0.0
    stage.walk(start, stage.place(bearing, far_m), end, at_s=-pause_s / 2, pause_s=pause_s)
    if rng.random() < 0.5:
        spot = stage.place(bearing, near_m)
        actor = stage.actor(spot, towards=stage.place(float(rng.uniform(-1, 1)), near_m))
        stand(actor, 2 * _LEAD_S)
        stage.enter(actor, moment_s=_LEAD_S)
    else:
        half_m = np.array([0.2, float(rng.uniform(0.25, 0.6)), float(rng.uniform(0.75, 1.0))])
        spot = stage.place(bearing, near_m)
        centre_m = np.array([*spot, half_m[2]])
        yaw = float(np.arctan2(spot[1], spot[0]))
        stage.boxes.append(Box(centre_m, half_m, yaw, (0.45, 0.31, 0.20)))
        before_m = near_m - float(rng.uniform(0.5, 0.8))
        stage.walk(*_with_middle(stage, bearing, before_m), at_s=float(rng.uniform(-2.5, 2.5)))
    _add_others(stage, int(rng.integers(2)))


def _with_middle(stage: _Stage, bearing: float, away_m: float) -> tuple[Array, Array, Array]:
    start, end = _sides(stage, float(stage.rng.choice((-1, 1))), away_m)
    return start, stage.place(bearing, away_m), end


def _come_and_go(stage: _Stage) -> None:
    """Somebody walks out at an edge; then somebody else comes in there or at the other edge, or they come back."""
    rng = stage.rng
    side = float(rng.choice((-1, 1)))
    away_m = stage.middle_m + float(rng.uniform(-0.5, 0.5))
    outside = stage.place(1.6 * side, away_m)
    inside = stage.place(float(rng.uniform(-0.5, 0.5)), away_m)
    back = rng.random() < 0.2
    stage.walk(inside, outside, *([inside] if back else []), pause_s=float(rng.uniform(0.5, 5.0)) if back else 0.0)
    their_m = away_m + float(rng.uniform(0.5, 0.9)) * float(rng.choice((-1, 1)))
    their_side = side if rng.random() < 0.6 else -side
    edge, goal = stage.place(1.1 * their_side, their_m), stage.place(float(rng.uniform(-0.5, 0.5)), their_m)
    stage.walk(stage.place(1.8 * their_side, their_m), edge, goal, at_s=float(rng.uniform(-0.5, 4.5)))
    _add_others(stage, int(rng.integers(3)))


def _fall_beside(stage: _Stage) -> None:
    """Somebody falls while somebody else walks past, before or behind them."""
    rng = stage.rng
    spot = stage.place(float(rng.uniform(-0.4, 0.4)), stage.middle_m)
    actor = stage.actor(np.zeros(2), towards=np.ones(2))
    ground_s = act_fall(actor, kind=str(rng.choice(_FALLS)), before_s=BEFORE_S + 1.0)
    act_aftermath(actor, way=draw_aftermath(rng, may_get_up=False), duration_s=AFTER_S + 1.0)
    motion = actor.motion()
    at = sample(motion, np.array([ground_s]))[0][0, P["pelvis"], :2]
    moved = Motion(_moved(motion.points, by=spot - at), motion.labels, motion.rate_hz)
    stage.cast.append((actor, moved, -ground_s))
    for support in motion.supports:
        for box in furniture((support,)):
            stage.boxes.append(Box(box.centre_m + np.array([*(spot - at), 0.0]), box.half_m, box.yaw_rad, box.colour))
    lane_m = stage.middle_m + float(rng.uniform(0.7, 1.1)) * float(rng.choice((-1, 1)))
    stage.walk(*_with_middle(stage, float(rng.uniform(-0.5, 0.5)), lane_m), at_s=float(rng.uniform(-1.5, 3.0)))
    _add_others(stage, int(rng.integers(3)))


def _moved(points: Array, *, by: Array) -> Array:
    return np.asarray(points + np.array([by[0], by[1], 0.0]))


def _add_others(stage: _Stage, n: int) -> None:
    """Add a bystander on a chair, somebody who stands, or somebody else who walks through."""
    rng = stage.rng
    for what in rng.choice(("sits", "stands", "walks"), size=n, replace=False):
        away_m = stage.middle_m + float(rng.uniform(-1.0, 2.0))
        if what == "walks":
            way = _with_middle(stage, float(rng.uniform(-0.5, 0.5)), away_m)
            stage.walk(*way, at_s=float(rng.uniform(-3.0, 4.0)))
            continue
        spot = stage.place(float(rng.uniform(-0.8, 0.8)), away_m)
        actor = stage.actor(spot, towards=stage.place(float(rng.uniform(-1, 1)), stage.middle_m))
        if what == "sits":
            start_seated(actor)
            sit(actor, 2 * _LEAD_S)
        else:
            stand(actor, 2 * _LEAD_S)
        stage.enter(actor, moment_s=_LEAD_S)


_PLOTS: Mapping[str, Callable[[_Stage], None]] = {
    "crossing": _cross, "occlusion": _hide, "leave": _come_and_go, "fall": _fall_beside,
}  # fmt: skip


# -- from what happens to poses and truth ----------------------------------------------------------------------------


def _draw(rng: np.random.Generator, *, kind: str, name: str) -> CrossingScene | None:
    """Draw a scene; None if it does not show what its kind is about, or people walk through each other."""
    stage = _random_stage(rng)
    _PLOTS[kind](stage)
    rate_hz = float(rng.choice(RATES_HZ))
    time_s = np.arange(round((BEFORE_S + AFTER_S) * rate_hz)) / rate_hz - BEFORE_S
    people = []
    for actor, motion, begins_s in stage.cast:
        points, labels = sample(motion, time_s - begins_s)
        people.append(Member(actor.body, points, labels))
    if not _apart(people):
        return None
    sight = look(people, camera=stage.camera, boxes=stage.boxes)
    visits = _visits(np.asarray(sight.inside.any(axis=-1)), rate_hz=rate_hz)
    if not _shows(kind, sight, visits, people, rate_hz=rate_hz):
        return None
    joints = observe_together(people, sight, camera=stage.camera, rate_hz=rate_hz, weather=random_weather(rng),
                              rng=rng, boxes=stage.boxes)  # fmt: skip
    frames, whose = _frames(rng, joints, time_s + BEFORE_S, camera=stage.camera)
    done = tuple(zip(*(member.labels for member in people), strict=True))
    return CrossingScene(id=name, kind=kind, frames=frames, whose=whose, visits=visits, xy=sight.xy,
                         seen=sight.seen, rate_hz=rate_hz, labels=done)  # fmt: skip


def _apart(people: list[Member]) -> bool:
    """Say whether nobody walks through anybody."""
    places = [member.points[:, P["pelvis"], :2] for member in people]
    return all(
        float(np.linalg.norm(one - other, axis=1).min()) > _APART_M
        for one, other in combinations(places, 2)
    )  # fmt: skip


def _visits(present: BoolArray, *, rate_hz: float) -> Array:
    """Give (T, M) ids: a new one for whoever was out of the picture for long; -1 while out."""
    visits = np.full(present.shape, -1)
    following = 0
    for m in range(present.shape[1]):
        last = None
        for t in np.flatnonzero(present[:, m]):
            if last is None or t - last > AWAY_S * rate_hz:
                following += 1
            visits[t, m] = following - 1
            last = t
    return visits


def _shows(kind: str, sight: Sight, visits: Array, people: list[Member], *, rate_hz: float) -> bool:
    """Say whether a scene shows what it is about, and nobody is hidden for longer than a tracker is asked to bear."""
    share = sight.seen.mean(axis=-1)  # (T, M)
    counted = (visits >= 0) & (share >= COUNTED_SHARE)
    hidden = sight.inside.all(axis=-1) & (share < HIDDEN_SHARE)
    longest_s = _longest(hidden) / rate_hz
    if counted.any(axis=0).sum() < 2 or longest_s > HIDDEN_AT_MOST_S:
        return False
    if kind == "crossing":
        both = counted[:, 0] & counted[:, 1]
        return bool((overlap(sight.xy[both, 0], sight.xy[both, 1]) > 0.3).any())
    if kind == "occlusion":
        return longest_s >= 0.5
    if kind == "leave":
        gone = counted[0, 0] and not sight.inside[:, 0].any(axis=-1).all()
        return bool(gone and counted[-1, 1] and not sight.inside[0, 1].any())
    down = np.array([label == "fall" for label in people[0].labels])
    return bool(down.any() and share[down, 0].mean() > COUNTED_SHARE)


def _longest(hidden: BoolArray) -> int:
    """Give the most frames in a row in which somebody is hidden, of a (T, M) array."""
    longest, now = 0, np.zeros(hidden.shape[1], dtype=int)
    for row in hidden:
        now = (now + 1) * row
        longest = max(longest, int(now.max()))
    return longest


def _frames(
    rng: np.random.Generator, joints: FloatArray, time_s: Array, *, camera: Camera
) -> tuple[tuple[PoseFrame, ...], tuple[tuple[int, ...], ...]]:
    """Give the poses as a camera's process would, people in any order, and whose they are."""
    frames, whose = [], []
    there = ~np.isnan(joints[:, :, 0, 0])
    for t, at_s in enumerate(time_s.tolist()):
        order = tuple(int(m) for m in rng.permutation(np.flatnonzero(there[t])))
        poses = tuple(Pose(xy=joints[t, m, :, :2], score=joints[t, m, :, 2]) for m in order)
        frames.append(PoseFrame("sim", at_s, at_s, camera.width_px, camera.height_px, poses))
        whose.append(order)
    return tuple(frames), tuple(whose)
