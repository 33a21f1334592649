"""Who is who in simulated rooms with several people: IDF1, HOTA, id switches and fragmentations by kind of scene.

The metrics are TrackEval's. A pose is held against a true body by object keypoint similarity (OKS) over the true joints
that are seen, a joint not reported counting as 0: where one body is before another their boxes overlap by more than
half, and a box cannot say which of the two a pose is on; joints can.

Only tracks that count as people are judged, from their first pose on, as the service shows them. Of the truth, people
count while at least half of their joints are seen; a pose on somebody of whom less is seen is neither right nor wrong.
"best possible" is the score of a tracker that knows whose each pose is: what the poses themselves leave out.
"""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from har.bench.machine import describe_machine
from har.errors import ConfigError
from har.records import SEEN_SCORE, Pose
from har.synth.body import Array
from har.synth.crossings import KINDS, CrossingScene, simulate_crossings
from har.track import OKS_FALLOFF, follow

Say: TypeAlias = Callable[[str], None]
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
    judged = []
    for scene in simulate_crossings(scenes, seed=_FIRST_SEED + seed):
        judged.append(Judged(scene, tracks_of(scene)))
        if len(judged) % 20 == 0:
            say(f"{len(judged)} of {scenes} scenes")
    rows = [_row(kind, [each for each in judged if kind in (each.scene.kind, "all")]) for kind in (*KINDS, "all")]
    result = {
        "name": "tracking",
        "machine": describe_machine(),
        "scenes": scenes,
        "seed": seed,
        "similarity": f"OKS, a match from {SAME_OKS}",
        "rows": [row for row in rows if row["scenes"]],
        "each": [{"id": each.scene.id, **_scores([(each.scene, each.tracks)])} for each in judged],
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


def _row(kind: str, judged: Sequence[Judged]) -> dict[str, Any]:
    if not judged:
        return {"kind": kind, "scenes": 0}
    best = _scores([(each.scene, true_tracks(each.scene)) for each in judged])
    scores = _scores([(each.scene, each.tracks) for each in judged])
    return {"kind": kind, "scenes": len(judged), **scores, "best_idf1": best["idf1"], "best_hota": best["hota"]}


def _scores(pairs: Iterable[tuple[CrossingScene, Ids]]) -> dict[str, Any]:
    """Give TrackEval's scores of some scenes together; people and poses are added up, not scenes averaged."""
    from trackeval.metrics import CLEAR, HOTA, Identity

    quiet = {"PRINT_CONFIG": False, "THRESHOLD": SAME_OKS}
    metrics = {"hota": HOTA(), "identity": Identity(quiet), "clear": CLEAR(quiet)}
    found: dict[str, dict[int, Any]] = defaultdict(dict)
    n_people = n_tracks = 0
    for number, (scene, tracks) in enumerate(pairs):
        data = sequence_data(scene, tracks)
        n_people, n_tracks = n_people + data["num_gt_ids"], n_tracks + data["num_tracker_ids"]
        for name, metric in metrics.items():
            # `eval_sequence` is wrapped to print its time; what is wrapped is not.
            found[name][number] = metric.eval_sequence.__wrapped__(metric, data)
    hota, identity, clear = (metrics[name].combine_sequences(found[name]) for name in ("hota", "identity", "clear"))
    return {
        "people": n_people,
        "tracks": n_tracks,
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
    counted = scene.counted
    true_ids, found_ids, alike = list[Array](), list[Array](), list[Array]()
    for t, people in enumerate(tracks):
        there = np.flatnonzero(scene.visits[t] >= 0)
        oks = np.array([[oks_of(pose, scene.xy[t, m], seen=scene.seen[t, m]) for _, pose in people] for m in there])
        oks = oks.reshape(len(there), len(people))
        judged = counted[t, there]
        # As in the MOT challenge: what is on somebody who does not count is taken out, right or wrong.
        beside = oks[judged].max(axis=0, initial=0.0) < SAME_OKS
        ignored = beside & _near_uncounted(people, scene, t, there[~judged])
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


def _near_uncounted(people: Sequence[tuple[int, Pose]], scene: CrossingScene, t: int, others: Array) -> Array:
    """Say of each pose whether it is on somebody of whom too little is seen, hidden joints included."""
    every = np.ones(scene.xy.shape[2], dtype=bool)
    return np.array(
        [
            any(oks_of(pose, scene.xy[t, m], seen=every, reported=True) >= SAME_OKS / 2 for m in others)
            for _, pose in people
        ],
        dtype=bool,
    )


def oks_of(pose: Pose, xy: Array, *, seen: Array, reported: bool = False) -> float:
    """Object keypoint similarity of a pose and a true body, in [0, 1].

    COCO's, with the area of the box round the true joints.

    Args:
        pose: what was found.
        xy: (17, 2) true joints, pixels.
        seen: (17,) which of them count.
        reported: count only joints that the pose has, instead of 0 for those it has not.
    """
    has = (pose.score >= SEEN_SCORE) & np.isfinite(pose.xy).all(axis=1)
    joints = seen & has if reported else seen
    if not joints.any() or not np.isfinite(xy).all():
        return 0.0
    area = float(np.prod(np.maximum(np.ptp(xy, axis=0), 1.0)))
    squared = ((np.where(has[:, None], pose.xy, 1e9).astype(np.float64) - xy) ** 2).sum(axis=1)
    return float(np.exp(-squared[joints] / (2 * area * OKS_FALLOFF[joints].astype(np.float64) ** 2)).mean())


def _renumber(ids: Sequence[Array]) -> tuple[list[Array], int]:
    """Give ids counted from 0 without holes, and how many there are."""
    every = np.unique(np.concatenate(ids)) if ids else np.zeros(0, dtype=int)
    return [np.searchsorted(every, frame) for frame in ids], len(every)


def as_text(result: dict[str, Any]) -> str:
    """Write the result for people."""
    machine = result["machine"]
    lines = [
        f"{result['scenes']} simulated scenes of seed {result['seed']}, {result['similarity']}; {machine['processor']}",
        f"{'':12}{'scenes':>7}{'people':>7}{'tracks':>7}{'IDF1':>8}{'HOTA':>8}{'switches':>9}{'breaks':>7}"
        f"{'best possible IDF1, HOTA':>26}",
    ]
    for row in result["rows"]:
        best = f"{row['best_idf1']:.3f}, {row['best_hota']:.3f}"
        lines.append(
            f"{row['kind']:12}{row['scenes']:>7}{row['people']:>7}{row['tracks']:>7}{row['idf1']:>8.3f}"
            f"{row['hota']:>8.3f}{row['switches']:>9}{row['fragmentations']:>7}{best:>26}"
        )
    return "\n".join(lines)
