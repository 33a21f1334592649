"""Falls found and false alerts in simulated life: hours of daily living without a fall, and scenes with one.

The people, rooms and cameras are of seeds that no training uses. Only the danger path runs, without the action network.
What is found out is written as it comes, so that a run that was broken off goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Any

import har
from har.bench.recordings import START_S, code_of
from har.bench.replay import Judge
from har.config import Config
from har.errors import ConfigError
from har.models.bundle import load_bundle
from har.synth.life import simulate_fall_scenes, simulate_life
from har.synth.recording import Episode, Recording
from har.training.replay import Raised, as_alert, as_row, judge
from har.training.truth import Fall, Truth

LIFE_CHUNK_H = 1.0
FALLS_CHUNK = 16
"""Scenes simulated together; kinds of falls take turns within them."""
_FIRST_SEED, _SEED_SPAN = 7_000_000, 10_000
"""Far from any seed that people train with; each chunk has one of its own."""
_UNDER_WAY_S = 10.0
_SCENE_S = 30.0

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of work for one process.

    Attributes:
        name: unique within a run.
        seed: of the simulation.
        hours: of life; 0 for scenes with falls.
        falls: number of scenes; 0 for life.
    """

    name: str
    seed: int
    hours: float = 0.0
    falls: int = 0

    @property
    def about_s(self) -> float:
        """About how many seconds it simulates."""
        return self.hours * 3600.0 + self.falls * _SCENE_S

    def recordings(self) -> Iterator[Recording]:
        """Simulate it."""
        if self.falls:
            return simulate_fall_scenes(self.falls, seed=self.seed)
        return simulate_life(hours=self.hours, seed=self.seed)


@dataclass(frozen=True, slots=True)
class LifePlan:
    """What is to be simulated and how it is judged.

    Attributes:
        bundle: path of the bundle.
        hours: of daily living.
        falls: scenes with a fall.
        seed: another one is other people in other rooms.
        rest_zones: tell the pipeline where the beds and sofas are, as a user may in the config.
    """

    bundle: Path
    hours: float
    falls: int
    seed: int
    rest_zones: bool

    def chunks(self) -> list[Chunk]:
        """Cut it into pieces; more hours or falls later leave the first pieces as they are."""
        base = _FIRST_SEED + self.seed * _SEED_SPAN
        chunks, left_h, left = list[Chunk](), self.hours, self.falls
        while left_h > 1e-9:
            hours = min(LIFE_CHUNK_H, left_h)
            left_h -= hours
            number = len(chunks)
            chunks.append(Chunk(f"life-{number:04d}-{hours:g}h", base + number, hours=hours))
        n_life = len(chunks)
        while left > 0:
            n = min(FALLS_CHUNK, left)
            left -= n
            number = len(chunks) - n_life
            chunks.append(Chunk(f"falls-{number:04d}-{n}", base + number, falls=n))
        return chunks


def run_life(
    plan: LifePlan, *, table: Path, jobs: int, tell: Callable[[float, float], None] = lambda done_s, all_s: None
) -> list[Row]:
    """Simulate and judge what the table does not hold yet.

    Args:
        plan: what to do.
        table: one JSON object a line; made if it is not there.
        jobs: processes at once; with 1 all is done in this one.
        tell: called with simulated seconds done and in all.

    Returns:
        The rows of all recordings of the plan.

    Raises:
        ConfigError: the table is of another run or cannot be written, or the bundle has no risk part.
    """
    chunks = plan.chunks()
    done = _read_table(table, head=_head(plan))
    left = [chunk for chunk in chunks if chunk.name not in done]
    all_s, done_s = sum(c.about_s for c in chunks), sum(c.about_s for c in chunks if c.name in done)
    tell(done_s, all_s)
    with _open_table(table, head=_head(plan)) as file:
        for chunk, rows in _work(plan, left, jobs=jobs):
            done[chunk.name] = rows
            file.write("".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))
            file.flush()
            os.fsync(file.fileno())
            done_s += chunk.about_s
            tell(done_s, all_s)
    return [row for chunk in chunks for row in done[chunk.name]]


def _head(plan: LifePlan) -> Row:
    """Give what makes rows comparable: the model, the seed, and all code between simulation and alert."""
    house = Path(har.__file__).parent
    files = sorted((house / "synth").glob("*.py"))
    files += sorted((house / "track").glob("*.py"))
    files += [house / name for name in ("windows.py", "alerts.py", "records.py", "service/pipeline.py")]
    files += sorted((house / "models").glob("risk*.py")) + sorted((house / "models").glob("confirm*.py"))
    files += [house / "models" / "posture.py", house / "training" / "replay.py", Path(__file__)]
    code = sha256("\n".join(code_of(file) for file in files).encode()).hexdigest()[:16]
    return {
        "model": load_bundle(plan.bundle).model_id,
        "seed": plan.seed,
        "rest_zones": plan.rest_zones,
        "tell_from": Config().danger.tell_from,
        "code": code,
    }


def default_table(plan: LifePlan, *, folder: Path) -> Path:
    """Give the table of a run that names none: the same run finds its own again."""
    key = sha256(json.dumps(_head(plan), sort_keys=True).encode()).hexdigest()[:16]
    return folder / f"life-{key}.jsonl"


def _read_table(table: Path, *, head: Row) -> dict[str, list[Row]]:
    """Read the chunks that are complete."""
    if not table.is_file():
        return {}
    lines = table.read_text(encoding="utf-8").splitlines()
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:  # the line at which the last run was broken off
            continue
    if not rows:
        return {}
    if rows[0] != head:
        differs = ", ".join(key for key in head if not isinstance(rows[0], dict) or rows[0].get(key) != head[key])
        raise ConfigError(f"{table}: holds another run ({differs} differs). Give another --table, or remove it.")
    chunks: dict[str, dict[str, Row]] = {}
    for row in rows[1:]:  # a chunk that was broken off and done again stands there twice: the last counts
        chunks.setdefault(row["chunk"], {})[row["recording"]] = row
    done = {name: list(mine.values()) for name, mine in chunks.items()}
    return {name: mine for name, mine in done.items() if len(mine) == mine[-1]["of"]}


def _open_table(table: Path, *, head: Row) -> IO[str]:
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        is_new = not table.is_file() or table.stat().st_size == 0
        file = table.open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{table}: cannot be written ({error.strerror}). Give another --table.") from None
    if is_new:
        file.write(json.dumps(head) + "\n")
        file.flush()
    elif not table.read_text(encoding="utf-8").endswith("\n"):
        file.write("\n")
    return file


def _work(plan: LifePlan, chunks: Sequence[Chunk], *, jobs: int) -> Iterator[tuple[Chunk, list[Row]]]:
    """Do chunks in so many processes; give each as it is done."""
    if jobs == 1 or len(chunks) < 2:
        judge_ = open_judge(plan.bundle)
        for chunk in chunks:
            yield chunk, judge_chunk(chunk, judge_, rest_zones=plan.rest_zones)
        return
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin, initargs=(plan.bundle,))
    try:
        waiting: dict[Future[list[Row]], Chunk] = {
            pool.submit(_judge_in_process, chunk, plan.rest_zones): chunk for chunk in chunks
        }
        while waiting:
            ready, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ready:
                yield waiting.pop(future), future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


_judge: Judge | None = None  # of a worker process


def _begin(bundle: Path) -> None:
    """Prepare a worker: one thread, and the bundle read once."""
    global _judge
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends its workers
    _judge = open_judge(bundle)


def _judge_in_process(chunk: Chunk, rest_zones: bool) -> list[Row]:
    assert _judge is not None, "the pool's initializer ran"
    return judge_chunk(chunk, _judge, rest_zones=rest_zones)


def open_judge(bundle: Path) -> Judge:
    """Open the danger path of a bundle, with one thread.

    Raises:
        ConfigError: it has no risk part.
    """
    import torch

    torch.set_num_threads(1)
    opened = load_bundle(bundle)
    risk = opened.risk_model
    if risk is None:
        raise ConfigError(
            f"{opened.model_id} has no risk part, so it finds no falls. Give a model trained on clips that tell of "
            "danger."
        )
    return Judge(opened.model_id, str(bundle), opened, risk, Config(), names_actions=False)


def judge_chunk(chunk: Chunk, judge_: Judge, *, rest_zones: bool) -> list[Row]:
    """Simulate a chunk and judge each recording of it."""
    rows = [judge_recording(recording, judge_, rest_zones=rest_zones) for recording in chunk.recordings()]
    return [{"chunk": chunk.name, "of": len(rows), **row} for row in rows]


def judge_recording(recording: Recording, judge_: Judge, *, rest_zones: bool) -> Row:
    """Run one recording through the danger path and hold it against its truth."""
    began_s = time.process_time()
    pipeline = judge_.pipeline(rest_zones=recording.rest_zones if rest_zones else ())
    events = [event for frame in recording.frames(start_s=START_S) for event in pipeline.update(frame)]
    events += pipeline.finish()
    cpu_s = time.process_time() - began_s
    falls = tuple(Fall(fall.start_s, fall.ground_s, fall.end_s, fall.kind) for fall in recording.falls)
    verdict = judge(events, Truth(falls), recording=recording.id, model=judge_.name, duration_s=recording.duration_s)
    row = as_row(verdict)
    del row["labels"], row["model"]
    for name, alerts in (("false_alerts", verdict.false_alerts), ("floor_alerts", verdict.floor_alerts)):
        row[name] = [as_alert(alert) | {"under_way": _under_way(recording.episodes, alert)} for alert in alerts]
    return row | {
        "kind": recording.kind,
        "rate_hz": round(recording.rate_hz, 2),
        "camera_height_m": round(recording.camera_height_m, 2),
        "episodes": _seconds(recording.episodes),
        "cpu_s": round(cpu_s, 3),
    }


def _under_way(episodes: Iterable[Episode], alert: Raised) -> str:
    """Name what was being done when an alert came, or shortly before: confirmation takes its time."""
    near = [e for e in episodes if e.start_s <= alert.at_s and e.end_s >= alert.at_s - _UNDER_WAY_S]
    special = [episode for episode in near if episode.kind != "daily"] or near
    return max(special, key=lambda episode: episode.start_s).kind if special else "daily"


def _seconds(episodes: Iterable[Episode]) -> Mapping[str, list[float]]:
    """Give how often and how long each thing was done: [times, seconds]."""
    done: dict[str, list[float]] = {}
    for episode in episodes:
        times, seconds = done.get(episode.kind, [0, 0.0])
        done[episode.kind] = [times + 1, round(seconds + episode.end_s - episode.start_s, 1)]
    return done
