"""Simulated scenes on disk: pictures, COCO annotations and, where wanted, depth; in several processes at once."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from PIL import Image

from har.errors import ConfigError
from har.synth.scenes.acting import SEQUENCE_FRAMES, SEQUENCE_HZ
from har.synth.scenes.scene import SHOTS_PER_ROOM, Shot, film_room, photograph_room
from har.synth.scenes.truth import CATEGORY, as_coco

ANNOTATIONS, IMAGES, DEPTH = "annotations.json", "images", "depth"
LICENCE = "Apache-2.0"
_PLAN, _ROOMS = "plan.json", "rooms"  # while a set grows


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written.

    Attributes:
        n: how many pictures.
        seed: of everything random; the first pictures of a larger set are those of a smaller one.
        width_px: of the pictures.
        height_px: of the pictures.
        depth: whether depth pictures are written too.
        sequences: whether they are moving scenes instead of single pictures.
    """

    n: int
    seed: int
    width_px: int
    height_px: int
    depth: bool = False
    sequences: bool = False

    @property
    def per_room(self) -> int:
        """How many pictures are made of each room."""
        return SEQUENCE_FRAMES if self.sequences else SHOTS_PER_ROOM

    @property
    def n_rooms(self) -> int:
        """How many rooms that takes."""
        return -(-self.n // self.per_room)


def write_scenes(
    out: Path, plan: Plan, *, jobs: int, resume: bool = False, progress: Callable[[float], None] | None = None
) -> dict[str, int]:
    """Write a set of simulated pictures; `out` is not there before all of it is written.

    Until then it grows as `.<out>.partial` beside it, which stays if the run is broken off. What one version of the
    program began, another does not go on with.

    Args:
        out: gets `images/`, `annotations.json` and perhaps `depth/`.
        plan: what to write; the same plan gives the same bytes with any number of processes.
        jobs: processes.
        resume: go on with what a run of the same plan left.
        progress: called with the number of pictures written since the last call.

    Returns:
        How many "pictures", "people" and "empty" pictures there are.

    Raises:
        ConfigError: `out` is there already, or a process broke down; something was begun there and is not to be
            resumed, or cannot be, since it had another plan.
    """
    if out.exists():
        raise ConfigError(f"{out}: is there already. Choose another --out, or delete it first.")
    partial = partial_folder(out)
    if partial.exists():
        _require_same(partial, plan, resume=resume)
    _begin(partial, plan)
    found: list[list[dict[str, Any]]] = []
    for of_room in _work(partial, plan, jobs=jobs):
        found += of_room
        if progress is not None:
            progress(len(of_room))
    (partial / ANNOTATIONS).write_text(json.dumps(_coco(found, plan)) + "\n", encoding="utf-8")
    partial.replace(out)
    shutil.rmtree(out / _ROOMS)
    (out / _PLAN).unlink()
    n_people = [len(people) for people in found]
    return {"pictures": len(found), "people": sum(n_people), "empty": n_people.count(0)}


def partial_folder(out: Path) -> Path:
    """Give the folder in which a set grows."""
    return out.parent / f".{out.name}.partial"


def _require_same(partial: Path, plan: Plan, *, resume: bool) -> None:
    """Say with a ConfigError why what was begun cannot be gone on with."""
    if not resume:
        raise ConfigError(f"{partial}: a run was broken off there, or is under way. Go on with --resume, or delete it.")
    try:
        was: object = json.loads((partial / _PLAN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        was = None
    if was != _facts(plan):
        raise ConfigError(
            f"{partial}: was begun with other options, or by another version. Give the same options, or delete it."
        )


def _begin(partial: Path, plan: Plan) -> None:
    """Make the folder in which a set grows."""
    for name in (IMAGES, _ROOMS, *((DEPTH,) if plan.depth else ())):
        (partial / name).mkdir(parents=True, exist_ok=True)
    _write(partial / _PLAN, _facts(plan))


def _facts(plan: Plan) -> dict[str, Any]:
    """Give what pictures depend on: the plan, and the program that draws them."""
    program = hashlib.sha256()
    for file in sorted(Path(__file__).parents[1].rglob("*.py")):
        program.update(file.read_bytes())
    return {**asdict(plan), "program": program.hexdigest()}


def _write(file: Path, content: object) -> None:
    """Write JSON all at once."""
    unfinished = file.with_suffix(".new")
    unfinished.write_text(json.dumps(content), encoding="utf-8")
    unfinished.replace(file)


def _work(folder: Path, plan: Plan, *, jobs: int) -> Iterator[list[list[dict[str, Any]]]]:
    """Write the pictures of each room; give their annotations in the order of the rooms."""
    if jobs == 1 or plan.n_rooms == 1:
        for room in range(plan.n_rooms):
            yield _write_room(folder, plan, room)
        return
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_leave_interrupts)
    try:
        waiting = [pool.submit(_write_room, folder, plan, room) for room in range(plan.n_rooms)]
        for future in waiting:
            yield future.result()
    except BrokenProcessPool:
        raise ConfigError(
            "a process that draws scenes ended all at once, perhaps for lack of memory. Try --jobs 1 --resume."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts() -> None:
    """Let the main process end its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _write_room(folder: Path, plan: Plan, room: int) -> list[list[dict[str, Any]]]:
    """Write the pictures of a room, unless they are there; give the annotations of each."""
    kept = folder / _ROOMS / f"{room:06d}.json"
    if kept.is_file():
        found: list[list[dict[str, Any]]] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    first = room * plan.per_room
    n_shots = min(plan.per_room, plan.n - first)
    make = film_room if plan.sequences else photograph_room
    shots = make(room, n_shots=n_shots, seed=plan.seed, width_px=plan.width_px, height_px=plan.height_px)
    found = []
    for number, shot in enumerate(shots, start=first):
        _write_shot(folder, number, shot, depth=plan.depth)
        found.append([as_coco(person) for person in shot.people])
    _write(kept, found)  # after the pictures
    return found


def _write_shot(folder: Path, number: int, shot: Shot, *, depth: bool) -> None:
    Image.fromarray(shot.image).save(folder / IMAGES / _file_name(number), quality=shot.quality)
    if depth:
        Image.fromarray(shot.depth_mm).save(folder / DEPTH / f"{Path(_file_name(number)).stem}.png")


def _file_name(number: int) -> str:
    return f"{number + 1:06d}.jpg"


def _coco(found: list[list[dict[str, Any]]], plan: Plan) -> dict[str, Any]:
    """Give the annotation file; ids count from 1, because COCO's own evaluation takes 0 for "none"."""
    images = [_picture(number, plan) for number in range(len(found))]
    annotations: list[dict[str, Any]] = []
    for number, people in enumerate(found):
        for person in people:
            annotations.append({"id": len(annotations) + 1, "image_id": number + 1, **person})
    about = {"description": f"har synth scenes, seed {plan.seed}", "license": LICENCE}
    return {"info": about, "images": images, "annotations": annotations, "categories": [CATEGORY]}


def _picture(number: int, plan: Plan) -> dict[str, Any]:
    scene, shot = divmod(number, plan.per_room)
    picture = {
        "id": number + 1,
        "file_name": _file_name(number),
        "width": plan.width_px,
        "height": plan.height_px,
        "scene": f"{plan.seed}-{scene:05d}",
    }
    return picture | {"time_s": round(shot / SEQUENCE_HZ, 3)} if plan.sequences else picture
