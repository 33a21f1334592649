"""What finding poses costs, and how alike they are when the detector looks now and then instead of at every frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from har.bench.machine import describe_machine, measure_yardstick
from har.errors import ConfigError
from har.likeness import oks
from har.pose import BLAZEPOSE, MEDIAPIPE, Estimator, open_estimator
from har.pose.blazepose import BlazePose
from har.records import Frame, Pose
from har.sources import open_source
from har.sources.address import VIDEO_SUFFIXES

EVERY_FRAME = "blazepose, detector at every frame"
_MAX_PEOPLE = 2
_FEWEST_FRAMES = 20
"""With so many people in view, for the time of such a frame to be believed."""

_COLUMNS = {
    "ms a frame": 11, "as fast": 9, "a person more": 15, "sees somebody": 15, "OKS": 8, "lowest 5 %": 12, "missed": 8
}  # fmt: skip

Say = Callable[[str], None]


@dataclass(slots=True)
class _Tally:
    """What one estimator did so far."""

    seconds: list[float] = field(default_factory=list)
    people: list[int] = field(default_factory=list)
    similarity: list[float] = field(default_factory=list)
    missed: int = 0


def bench_pose(*, videos: Sequence[Path], frames: int, say: Say) -> dict[str, Any]:
    """Run all estimators side by side on the same pictures.

    Args:
        videos: files, or folders that are searched for videos.
        frames: of each video, from its beginning; 0 for all.
        say: called with a line of progress.

    Returns:
        "rows", one for each estimator: processor time a frame and for each further person, how many frames show
        somebody, and how alike its poses are (OKS) to those of our tracking with the detector at every frame.

    Raises:
        ConfigError: no video, or OpenVINO is not installed.
        SourceError: a video cannot be read.
    """
    files = [file for video in videos for file in _videos(video)]
    if not files:
        raise ConfigError(f"{', '.join(map(str, videos))}: no video there. Give video files or folders with videos.")
    yardstick = measure_yardstick()
    tallies = {name: _Tally() for name in (MEDIAPIPE, EVERY_FRAME, BLAZEPOSE)}
    n_frames = 0
    for number, file in enumerate(files, start=1):
        say(f"{number} of {len(files)}: {file.name}")
        n_frames += _watch(file, tallies, most=frames)
    return {
        "name": "pose",
        "machine": describe_machine(),
        "yardstick_gflops": yardstick,
        "videos": len(files),
        "frames": n_frames,
        "rows": [_row(name, tally, n_frames, tallies[MEDIAPIPE]) for name, tally in tallies.items()],
    }


def _videos(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file())
    return [path]


def _watch(video: Path, tallies: dict[str, _Tally], *, most: int) -> int:
    """Show a video's frames to all estimators, in turns; give how many frames there were."""
    estimators: dict[str, Estimator] = {
        MEDIAPIPE: open_estimator(MEDIAPIPE, max_people=_MAX_PEOPLE),
        EVERY_FRAME: BlazePose(max_people=_MAX_PEOPLE, every_frame=True),
        BLAZEPOSE: open_estimator(BLAZEPOSE, max_people=_MAX_PEOPLE),
    }
    n_frames = 0
    try:
        with open_source(str(video), camera="bench", paced=False) as source:
            for frame in source.frames():
                found = {name: _estimate(each, frame, tallies[name]) for name, each in estimators.items()}
                for name, poses in found.items():
                    _compare(poses, found[EVERY_FRAME], tallies[name])
                n_frames += 1
                if n_frames == most:
                    break
    finally:
        for each in estimators.values():
            each.close()
    return n_frames


def _estimate(estimator: Estimator, frame: Frame, tally: _Tally) -> tuple[Pose, ...]:
    began_s = time.process_time()
    poses = estimator.estimate(frame)
    tally.seconds.append(time.process_time() - began_s)
    tally.people.append(len(poses))
    return poses


def _compare(poses: Sequence[Pose], wanted: Sequence[Pose], tally: _Tally) -> None:
    for one in wanted:
        if poses:
            tally.similarity.append(max(oks(one, each) for each in poses))
        else:
            tally.missed += 1


def _row(name: str, tally: _Tally, n_frames: int, against: _Tally) -> dict[str, Any]:
    return {
        "estimator": name,
        "ms_per_frame": round(float(np.mean(tally.seconds)) * 1e3, 1),
        "times_as_fast": round(sum(against.seconds) / sum(tally.seconds), 2),
        "ms_per_further_person": _further_person_ms(tally),
        "frames_with_people": round(np.count_nonzero(tally.people) / max(n_frames, 1), 4),
        "oks_mean": round(float(np.mean(tally.similarity)), 4) if tally.similarity else None,
        "oks_p05": round(float(np.quantile(tally.similarity, 0.05)), 4) if tally.similarity else None,
        "poses_missed": tally.missed,
    }


def _further_person_ms(tally: _Tally) -> float | None:
    """Give how much longer the median frame takes with each person more; None where too few frames tell."""
    seconds, people = np.array(tally.seconds), np.array(tally.people)
    counts = [count for count in range(1, _MAX_PEOPLE + 1) if np.count_nonzero(people == count) >= _FEWEST_FRAMES]
    if len(counts) < 2:
        return None
    medians = [np.median(seconds[people == count]) for count in counts]
    return round(float(np.polyfit(counts, medians, 1)[0]) * 1e3, 1)


def as_text(result: dict[str, Any]) -> str:
    """Write the result for people."""
    machine = result["machine"]
    lines = [
        f"{machine['processor']}, load {machine['load']}; {result['frames']} frames of {result['videos']} videos",
        f"{'':42}" + "".join(f"{title:>{width}}" for title, width in _COLUMNS.items()),
    ]
    for row in result["rows"]:
        alike = "".join(
            f"{'-' if value is None else format(value, '.3f'):>{width}}"
            for value, width in ((row["oks_mean"], 8), (row["oks_p05"], 12))
        )
        more = row["ms_per_further_person"]
        lines.append(
            f"{row['estimator']:42}{row['ms_per_frame']:11.1f}{row['times_as_fast']:8.2f}x"
            f"{'-' if more is None else f'{more:.1f} ms':>15}"
            f"{row['frames_with_people']:15.1%}{alike}{row['poses_missed']:8}"
        )
    lines.append(f"OKS, and poses missed: against {EVERY_FRAME}")
    return "\n".join(lines)
