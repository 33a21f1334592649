"""Who is who in simulated rooms with several people: IDF1, HOTA, id switches and fragmentations by kind of scene.

The metrics are TrackEval's. A pose is held against a true body by object keypoint similarity (OKS) over the true joints
that are seen, a joint not reported counting as 0: where one body is before another their boxes overlap by more than
half, and a box cannot say which of the two a pose is on; joints can.

Only tracks that count as people are judged, from their first pose on, as the service shows them. Of the truth, people
count while at least half of their joints are seen and they are no smaller than the service takes people to be; a pose
on somebody who does not count is neither right nor wrong.
"best possible" is the score of a tracker that knows whose each pose is: what the poses themselves leave out.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from har.bench.machine import describe_machine
from har.errors import ConfigError
from har.likeness import OKS_FALLOFF
from har.records import SEEN_SCORE, Pose
from har.synth.body import Array
from har.synth.crossings import KINDS, CrossingScene, simulate_crossings
from har.synth.noise import BoolArray
from har.track import TrackSettings, follow

Say: TypeAlias = Callable[[str], None]
Ints: TypeAlias = npt.NDArray[np.int64]
Ids: TypeAlias = "list[list[tuple[int, Pose]]]"
"""For each frame, who is where: an id and a pose."""

SAME_OKS = 0.5
"""From which a pose is on a body."""
_INSTALL = ".venv/bin/pip install -c constraints.txt -e '.[evaluate]'"
_FIRST_SEED = 5_000_000


@dataclass(frozen=True, slots=True)
class Judged:
    """One scene with the tracks that were found in it.

    Attributes:
        scene: poses and truth.
        tracks: who the tracker says is where.
    """

    scene: CrossingScene
    tracks: Ids


@dataclass(frozen=True, slots=True)
class Scored:
    """What TrackEval says of one scene.

    Attributes:
        n_people: who count in it.
        n_tracks: that were judged.
        found: by metric.
    """

    n_people: int
    n_tracks: int
    found: dict[str, Any]


def bench_tracking(*, scenes: int, seed: int, say: Say) -> tuple[dict[str, Any], list[Judged]]:
    """Follow people through simulated scenes and judge it.

    Args:
        scenes: how many; kinds take turns.
        seed: another one is other people in other rooms.
        say: called with a line of progress.

    Returns:
        The result, with "rows" by kind and "all"; the scenes with their tracks.

    Raises:
        ConfigError: TrackEval is not installed.
    """
    check_trackeval()
    scorer, judged, scored, best = _Scorer(), list[Judged](), list[Scored](), list[Scored]()
    for scene in simulate_crossings(scenes, seed=_FIRST_SEED + seed):
        judged.append(Judged(scene, tracks_of(scene)))
        scored.append(scorer.score(scene, judged[-1].tracks))
        best.append(scorer.score(scene, true_tracks(scene)))
        if len(judged) % 20 == 0:
            say(f"{len(judged)} of {scenes} scenes")
    rows = []
    for kind in (*KINDS, "all"):
        chosen = [number for number, each in enumerate(judged) if kind in (each.scene.kind, "all")]
        if chosen:
            possible = scorer.together([best[number] for number in chosen])
            possible = {"best_idf1": possible["idf1"], "best_hota": possible["hota"]}
            scores = scorer.together([scored[number] for number in chosen])
            rows.append({"kind": kind, "scenes": len(chosen), **scores, **possible})
    result = {
        "name": "tracking",
        "machine": describe_machine(),
        "scenes": scenes,
        "seed": seed,
        "similarity": f"OKS, a match from {SAME_OKS}",
        "rows": rows,
        "each": [{"id": j.scene.id, **scorer.together([each])} for j, each in zip(judged, scored, strict=True)],
    }
    return result, judged


def check_trackeval() -> None:
    """Check that the metrics are there.

    Raises:
        ConfigError: they are not.
    """
    if importlib.util.find_spec("trackeval") is None:
        raise ConfigError(f"TrackEval, which has the tracking metrics, is not installed. Install it: {_INSTALL}")


def tracks_of(scene: CrossingScene) -> Ids:
    """Follow everybody through a scene as the service does; give those who counted as people, from their first pose."""
    found: Ids = [[] for _ in scene.frames]
    for person, followed in enumerate(follow(scene.frames)):
        for number, sighting in followed.sightings.items() if followed.confirmed else ():
            found[number].append((person, sighting.pose))
    return found


def true_tracks(scene: CrossingScene) -> Ids:
    """Give the poses under the true ids; those of people out of the picture are left out."""
    return [
        [(int(visits[m]), pose) for m, pose in zip(whose, frame.poses, strict=True) if visits[m] >= 0]
        for frame, whose, visits in zip(scene.frames, scene.whose, scene.visits, strict=True)
    ]


class _Scorer:
    """TrackEval's metrics of scenes, each computed once, and of many scenes together."""

    def __init__(self) -> None:
        from trackeval.metrics import CLEAR, HOTA, Identity

        quiet = {"PRINT_CONFIG": False, "THRESHOLD": SAME_OKS}
        self._metrics = {"hota": HOTA(), "identity": Identity(quiet), "clear": CLEAR(quiet)}

    def score(self, scene: CrossingScene, tracks: Ids) -> Scored:
        """Judge one scene."""
        data = sequence_data(scene, tracks)
        # `eval_sequence` is wrapped to print its time; what is wrapped is not.
        found = {name: metric.eval_sequence.__wrapped__(metric, data) for name, metric in self._metrics.items()}
        return Scored(data["num_gt_ids"], data["num_tracker_ids"], found)

    def together(self, scored: Sequence[Scored]) -> dict[str, Any]:
        """Judge scenes together: people and poses are added up, not scenes averaged."""
        hota, identity, clear = (
            metric.combine_sequences({number: each.found[name] for number, each in enumerate(scored)})
            for name, metric in self._metrics.items()
        )
        return {
            "people": sum(each.n_people for each in scored),
            "tracks": sum(each.n_tracks for each in scored),
            "idf1": round(float(identity["IDF1"]), 4),
            "hota": round(float(np.mean(hota["HOTA"])), 4),
            "assa": round(float(np.mean(hota["AssA"])), 4),
            "deta": round(float(np.mean(hota["DetA"])), 4),
            "switches": int(clear["IDSW"]),
            "fragmentations": int(clear["Frag"]),
        }


def sequence_data(scene: CrossingScene, tracks: Ids) -> dict[str, Any]:
    """Give what TrackEval's metrics take: ids without holes, and similarities, frame by frame.

    Args:
        scene: with the truth.
        tracks: who is said to be where.
    """
    counted = scene.counted & _large_enough(scene)
    true_ids, found_ids, alike = list[Ints](), list[Ints](), list[Array]()
    for t, people in enumerate(tracks):
        there = np.flatnonzero(scene.visits[t] >= 0)
        poses = [pose for _, pose in people]
        oks = oks_of(poses, scene.xy[t, there], joints=scene.seen[t, there])
        judged = counted[t, there]
        # As in the MOT challenge: what is on somebody who does not count is taken out, right or wrong. Most of such a
        # body is not seen, so all joints that the pose has are compared, and it need not be as near.
        beside = oks[judged].max(axis=0, initial=0.0) < SAME_OKS
        on_others = oks_of(poses, scene.xy[t, there[~judged]], joints=None).max(axis=0, initial=0.0) >= SAME_OKS / 2
        ignored = beside & on_others
        true_ids.append(scene.visits[t, there[judged]])
        found_ids.append(np.array([i for (i, _), out in zip(people, ignored, strict=True) if not out], dtype=int))
        alike.append(oks[judged][:, ~ignored])
    true, n_true = _renumber(true_ids)
    found, n_found = _renumber(found_ids)
    return {
        "num_timesteps": len(tracks),
        "num_gt_ids": n_true,
        "num_tracker_ids": n_found,
        "num_gt_dets": sum(len(ids) for ids in true),
        "num_tracker_dets": sum(len(ids) for ids in found),
        "gt_ids": true,
        "tracker_ids": found,
        "similarity_scores": alike,
    }


def _large_enough(scene: CrossingScene) -> BoolArray:
    """Say of everybody (T, M) whether they are as large in the picture as the service takes people to be."""
    with np.errstate(invalid="ignore"):
        longer_side = np.ptp(scene.xy, axis=2).max(axis=-1)
    return np.asarray(longer_side >= TrackSettings().min_side * scene.frames[0].height_px)


def oks_of(poses: Sequence[Pose], xy: Array, *, joints: BoolArray | None) -> Array:
    """Object keypoint similarity (N, M) in [0, 1] of true bodies and poses: COCO's, with the area of the true box.

    Args:
        poses: M of them.
        xy: (N, 17, 2) true joints, pixels.
        joints: (N, 17) which count; one that a pose has not got counts as 0. None: those that the pose has.
    """
    if not poses or not len(xy):
        return np.zeros((len(xy), len(poses)))
    found = np.stack([pose.xy for pose in poses]).astype(np.float64)
    has = (np.stack([pose.score for pose in poses]) >= SEEN_SCORE) & np.isfinite(found).all(axis=2)
    area = np.maximum(np.ptp(xy, axis=1), 1.0).prod(axis=-1)  # (N,)
    squared = ((np.where(has[..., None], found, 0.0) - xy[:, None]) ** 2).sum(axis=-1)  # (N, M, 17)
    near = np.exp(-squared / (2 * area[:, None, None] * OKS_FALLOFF.astype(np.float64) ** 2))
    count = np.broadcast_to(has if joints is None else joints[:, None], near.shape)
    alike = (near * (count & has)).sum(axis=-1) / np.maximum(count.sum(axis=-1), 1)
    return np.asarray(np.nan_to_num(alike))


def _renumber(ids: Sequence[Ints]) -> tuple[list[Ints], int]:
    """Give ids counted from 0 without holes, and how many there are."""
    every = np.unique(np.concatenate(ids)) if ids else np.zeros(0, dtype=int)
    return [np.asarray(np.searchsorted(every, frame)) for frame in ids], len(every)


def as_text(result: dict[str, Any]) -> str:
    """Write the result for people."""
    machine = result["machine"]
    columns = f"{'':12}{'scenes':>7}{'people':>7}{'tracks':>7}{'IDF1':>8}{'HOTA':>8}{'switches':>9}{'breaks':>7}"
    lines = [
        f"{result['scenes']} simulated scenes of seed {result['seed']}, {result['similarity']}; {machine['processor']}",
        f"{columns}{'best possible IDF1, HOTA':>26}",
    ]
    for row in result["rows"]:
        best = f"{row['best_idf1']:.3f}, {row['best_hota']:.3f}"
        lines.append(
            f"{row['kind']:12}{row['scenes']:>7}{row['people']:>7}{row['tracks']:>7}{row['idf1']:>8.3f}"
            f"{row['hota']:>8.3f}{row['switches']:>9}{row['fragmentations']:>7}{best:>26}"
        )
    return "\n".join(lines)
