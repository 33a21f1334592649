"""COCO's keypoint JSON: `images`, `annotations` with `keypoints` (x, y, v of each joint) and the joints' `categories`.

Images become clips where they say of which video they are: by `video_id` or `vid_id` (as PoseTrack18 does), by a
`videos` list, or by the folder of `file_name`; images that say nothing are one clip if they are of one size. They are
put in order by `frame_id` (or `frame_index`), else by the numbers in their names. People go by `track_id`, or else by
who is nearest. Labels come from `label` or `action` of the video or image, or from a table (--labels FILE.csv).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from graphs.own_layouts import FoundLayout
from har.clips import Clip
from har.errors import ClipError
from har.training.importers.ledger import ASSUMED_RATE_HZ, ImportOptions, Ledger
from har.training.importers.making import ClipFacts, Numbers, describe_set, known_layout, layout_of_names, make_clip
from har.training.importers.people import follow, lay_out
from har.training.importers.pyskl import LAYOUT_OF
from har.training.importers.tables import ClipRow, read_clip_table, read_json

Entry: TypeAlias = Mapping[str, Any]

MAX_FRAMES = 100_000
MAX_SPREAD = 1000
"""Frame numbers further apart than this many times their count are no frame numbers."""
_VIDEO_KEYS, _FRAME_KEYS, _LABEL_KEYS = ("video_id", "vid_id"), ("frame_id", "frame_index"), ("label", "action")
_WHAT = "COCO keypoint JSON"


def read_coco(path: Path, options: ImportOptions, ledger: Ledger) -> Iterator[Clip]:
    """Give the clips of a COCO keypoint file.

    Raises:
        ClipError: the file does not fit; the text names the image or annotation.
    """
    content = read_json(path, what=_WHAT)
    images, annotations = (_entries(content, name, path) for name in ("images", "annotations"))
    by_image, joints_of = _keypoints(annotations, path)
    found, is_visibility = _layout(content, by_image, path, options, ledger)
    table = read_clip_table(options.labels) if options.labels is not None else {}
    of_set = describe_set(
        found, options, units="px", up="-y", source=path.stem, labels=[row.label for row in table.values()]
    )
    clips = _by_clip(images, path)
    videos = {str(entry.get("id")): entry for entry in content.get("videos") or () if isinstance(entry, dict)}
    for number, (name, frames) in enumerate(clips.items()):
        ledger.tell(number, len(clips))
        rate_hz = options.rate_hz or _fps(videos.get(name, {}))
        order = _in_order(frames, f"{path}: clip {name}")
        bodies = _bodies(
            [by_image.get(_id(frame), []) for _, frame in order], joints_of, is_visibility=is_visibility, path=path
        )
        facts = _facts(name, frames[0], videos.get(name, {}), table.get(name))
        joints = lay_out(bodies, n_frames=len(order), clip_id=facts.id, ledger=ledger)
        if joints is None:
            ledger.leave_out(facts.id, why="nobody in any frame")
            continue
        time_s = np.array([index for index, _ in order], dtype=np.float64) / (rate_hz or ASSUMED_RATE_HZ)
        clip = make_clip(joints, _timed(facts, time_s, rate_hz), of_set, ledger)
        if clip is not None:
            yield clip
    ledger.tell(len(clips), len(clips))


def _entries(content: Any, name: str, path: Path) -> list[Entry]:
    entries = content.get(name) if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise ClipError(f"{path}: has no list of {name}. Give {_WHAT}.")
    return entries


def _id(entry: Entry) -> str:
    return str(entry.get("id"))


def _keypoints(annotations: Sequence[Entry], path: Path) -> tuple[dict[str, list[Entry]], dict[int, Numbers]]:
    """Give the annotations of each image, and the keypoints (V, 3) of each annotation."""
    by_image: dict[str, list[Entry]] = {}
    joints_of: dict[int, Numbers] = {}
    for number, annotation in enumerate(annotations):
        values = annotation.get("keypoints")
        if values is None or annotation.get("iscrowd"):
            continue
        where = f"{path}: annotation {annotation.get('id', number)!r:.40}"
        if not isinstance(values, list) or not values or len(values) % 3:
            raise ClipError(f"{where}: keypoints must be x, y, v of each joint, a multiple of 3 numbers.")
        try:
            joints = np.array(values, dtype=np.float32).reshape(-1, 3)
        except (TypeError, ValueError, OverflowError):
            raise ClipError(f"{where}: keypoints must be numbers.") from None
        joints_of[id(annotation)] = joints
        by_image.setdefault(str(annotation.get("image_id")), []).append(annotation)
    if not joints_of:
        raise ClipError(f"{path}: no annotation has keypoints. Give {_WHAT}, not boxes or masks.")
    sizes = Counter(len(joints) for joints in joints_of.values())
    if len(sizes) > 1:
        raise ClipError(f"{path}: annotations have {' and '.join(map(str, sorted(sizes)))} joints. Part the file.")
    return by_image, joints_of


def _layout(
    content: Any, by_image: Mapping[str, Sequence[Entry]], path: Path, options: ImportOptions, ledger: Ledger
) -> tuple[FoundLayout, bool]:
    """Give the layout, by the names in the categories if these are there, and whether visibility is 0, 1, 2."""
    some = [each for found in by_image.values() for each in found]
    values = np.array([each["keypoints"] for each in some], dtype=np.float64).reshape(len(some), -1, 3)
    is_visibility = bool(np.isin(values[..., 2], (0, 1, 2)).all())
    n_joints = values.shape[1]
    used = {each.get("category_id") for each in some}
    categories = [
        each
        for each in content.get("categories") or ()
        if isinstance(each, dict) and isinstance(each.get("keypoints"), list) and each.get("id") in used
    ]
    if len(categories) > 1:
        names = ", ".join(str(each.get("name"))[:40] for each in categories)
        raise ClipError(f"{path}: its people are of several kinds ({names}). Make a file of each.")
    if options.layout is None and categories:
        names_of_joints = [str(name) for name in categories[0]["keypoints"]]
        if len(names_of_joints) != n_joints:
            raise ClipError(f"{path}: the category names {len(names_of_joints)} joints, annotations have {n_joints}.")
        sample = np.where(values[..., 2:] > 0, values, np.nan)
        edges = _edges(categories[0].get("skeleton"), path, n_joints=n_joints)
        found = layout_of_names(names_of_joints, edges, sample, up="-y", where=str(path), ledger=ledger)
    else:
        layout = options.layout or LAYOUT_OF.get(n_joints, f"of {n_joints} joints")
        found = known_layout(layout, n_joints=n_joints, where=str(path))
    return found, is_visibility


def _edges(skeleton: Any, path: Path, *, n_joints: int) -> list[tuple[int, int]]:
    """Give pairs from 0; COCO counts from 1."""
    pairs = skeleton if isinstance(skeleton, list) else []
    if not all(isinstance(p, list) and len(p) == 2 and all(type(joint) is int for joint in p) for p in pairs):
        raise ClipError(f"{path}: the category's skeleton must be a list of pairs of joints.")
    first = 0 if any(0 in pair for pair in pairs) else 1
    return [(a - first, b - first) for a, b in pairs]


def _by_clip(images: Sequence[Entry], path: Path) -> dict[str, list[Entry]]:
    clips: dict[str, list[Entry]] = {}
    for image in images:
        named = next((str(image[key]) for key in _VIDEO_KEYS if image.get(key) is not None), None)
        folder = PurePosixPath(str(image.get("file_name", ""))).parent.as_posix()
        clips.setdefault(named or (folder if folder != "." else ""), []).append(image)
    if "" in clips:
        sizes = {(image.get("width"), image.get("height")) for image in clips[""]}
        if len(sizes) > 1:
            raise ClipError(
                f"{path}: its images are of different sizes and name no video, so they have no order in time. Give "
                "each image a video_id and a frame_id."
            )
        if path.stem in clips:
            raise ClipError(f"{path}: some images name the video {path.stem!r}, some none. Name one for each.")
    return {name or path.stem: frames for name, frames in clips.items()}


def _in_order(frames: Sequence[Entry], where: str) -> list[tuple[int, Entry]]:
    """Give frames with their numbers, the first being 0."""
    key = next((key for key in _FRAME_KEYS if all(type(frame.get(key)) is int for frame in frames)), None)
    if key is not None:
        numbered = sorted(((int(frame[key]), frame) for frame in frames), key=lambda each: each[0])
    else:
        names = sorted(frames, key=lambda frame: _natural(str(frame.get("file_name", ""))))
        numbered = list(enumerate(names))
    numbers = [number for number, _ in numbered]
    if twice := [a for a, b in pairwise(numbers) if a == b]:
        raise ClipError(f"{where}: frame {twice[0]} comes twice. Give every image of a video a frame_id of its own.")
    spread = numbers[-1] - numbers[0]
    if len(numbers) > MAX_FRAMES or spread > MAX_SPREAD * len(numbers):
        raise ClipError(f"{where}: its frames are numbered {numbers[0]} to {numbers[-1]}. Number them from 0.")
    return [(number - numbers[0], frame) for number, frame in numbered]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _bodies(
    frames: Sequence[Sequence[Entry]], joints_of: Mapping[int, Numbers], *, is_visibility: bool, path: Path
) -> list[dict[int, Numbers]]:
    given = [(index, each) for index, found in enumerate(frames) for each in found]
    joints = {id(each): _scored(joints_of[id(each)], is_visibility=is_visibility) for _, each in given}
    if not all(each.get("track_id") is not None for _, each in given):
        return follow([[joints[id(each)] for each in found] for found in frames])
    bodies: dict[str, dict[int, Numbers]] = {}
    for index, each in given:
        place = bodies.setdefault(str(each["track_id"]), {})
        if index in place:
            image = str(each.get("image_id"))[:40]
            raise ClipError(
                f"{path}: image {image}: track_id {str(each['track_id'])[:40]} comes twice. Name each once."
            )
        place[index] = joints[id(each)]
    return list(bodies.values())


def _scored(joints: Numbers, *, is_visibility: bool) -> Numbers:
    """Give x, y, score; joints that nobody marked are NaN, hidden ones that were guessed count half."""
    scored = joints.astype(np.float32)
    scored[joints[:, 2] <= 0] = np.nan
    scored[:, 2] = scored[:, 2] / 2 if is_visibility else np.clip(scored[:, 2], 0, 1)
    return scored


def _facts(name: str, image: Entry, video: Entry, row: ClipRow | None) -> ClipFacts:
    label = next((each[key] for each in (video, image) for key in _LABEL_KEYS if isinstance(each.get(key), str)), None)
    size = [image.get(key) for key in ("width", "height")]
    width_px, height_px = (value if type(value) is int and value > 0 else None for value in size)
    return ClipFacts(
        id=name,
        label=(row.label if row else None) or label or None,
        subject=row.subject if row else None,
        view=row.view if row else None,
        splits={"official": row.split} if row and row.split else {},
        width_px=width_px,
        height_px=height_px,
    )


def _timed(facts: ClipFacts, time_s: npt.NDArray[np.float64], rate_hz: float | None) -> ClipFacts:
    return replace(facts, time_s=time_s, rate_hz=rate_hz)


def _fps(video: Entry) -> float | None:
    fps = video.get("fps")
    return float(fps) if isinstance(fps, int | float) and 0 < fps <= 1000 else None
