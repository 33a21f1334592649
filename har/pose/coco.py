"""COCO keypoint annotations: pictures with the people in them, read with care and written for others.

Also read, because they are COCO files with other joints: PoseTrack18 (head_bottom and head_top instead of eyes), JHMDB
(15 joints) and COCO-WholeBody (its first 17). A joint goes where its name says; one that the file lacks is "not
annotated" (visibility 0).
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from graphs.layouts import COCO17
from har.errors import AnnotationError, ShapeError
from har.records import FloatArray, ImageArray

Mask: TypeAlias = "Mapping[str, Any] | Sequence[Sequence[float]]"
"""A COCO segmentation: run lengths ({"size": [h, w], "counts": ...}) or polygons ([[x, y, x, y, ...], ...])."""

BODY_SHARE_OF_BOX = 0.53
"""Mean share of a person's box that the body fills, for annotations without `area` (as xtcocotools reckons)."""

_WHOLE_BODY_JOINTS = 133
_FARTHEST = 1e7  # pixels or seconds; whatever is beyond is no picture's
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One annotated person in a picture.

    Attributes:
        box: (4,) float32 x, y, width, height in pixels, origin top left.
        xy: (17, 2) float32, pixels; 0 where visibility is 0.
        visibility: (17,) int8: 0 not annotated, 1 hidden, 2 seen.
        mask: the outline as COCO writes it, or None.
        area_px: square pixels of the body (of its mask, not of its box).
        crowd: a group that nobody took apart: neither a hit nor a miss.
        track: the same person over time, or None.
    """

    box: FloatArray
    xy: FloatArray
    visibility: npt.NDArray[np.int8]
    mask: Mask | None
    area_px: float
    crowd: bool = False
    track: int | None = None

    def __post_init__(self) -> None:
        shapes = (self.box.shape, self.xy.shape, self.visibility.shape)
        if shapes != ((4,), (COCO17.n_joints, 2), (COCO17.n_joints,)):
            raise ShapeError(f"a person has a box (4,), xy (17, 2) and visibility (17,), got {shapes}.")


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One annotated picture.

    Attributes:
        id: its number in the annotation file.
        file: where it lies.
        width_px: its width as the annotations know it.
        height_px: its height.
        people: everybody annotated; may be empty.
        video: the scene or video it was taken from, or None.
        time_s: its time in there, seconds, or None.
    """

    id: int
    file: Path
    width_px: int
    height_px: int
    people: tuple[Person, ...] = ()
    video: str | None = None
    time_s: float | None = None


def read_pictures(annotations: Path, images: Path | None = None) -> list[Picture]:
    """Read a COCO keypoint file, in its order of pictures.

    People whose box has no area are left out, and a warning tells how many; other kinds of thing are passed over.

    Args:
        annotations: the JSON file.
        images: folder that its file names start from; None looks beside the file, in `images` there, and one and two
            folders up.

    Raises:
        AnnotationError: the file is no such file, a field is missing or wrong, or a picture is not there.
    """
    reader = _Reader(annotations, _read_json(annotations))
    people = reader.people()
    pictures = reader.pictures(_folders(annotations, images), people)
    if reader.n_flat:
        _log.warning("%s: %d people left out, their boxes have no area", annotations, reader.n_flat)
    return pictures


def load_image(picture: Picture) -> ImageArray:
    """Read a picture's pixels as RGB, the right way up.

    Pictures that carry a turn (EXIF) are turned, unless the annotations were made on the unturned one, which their
    width and height tell.

    Returns:
        (H, W, 3) uint8 of the size that the annotations know.

    Raises:
        AnnotationError: the file cannot be read as a picture or has another size.
    """
    wanted = (picture.width_px, picture.height_px)
    try:
        with Image.open(picture.file) as stored:
            turned = ImageOps.exif_transpose(stored)
            shown = stored if turned.size != wanted and stored.size == wanted else turned
            image = np.asarray(shown.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise AnnotationError(f"{picture.file}: cannot be read as a picture ({_one_line(error)}).") from None
    if image.shape[1::-1] != wanted:
        raise AnnotationError(
            f"{picture.file}: is {image.shape[1]} x {image.shape[0]} pixels, but its annotations say "
            f"{wanted[0]} x {wanted[1]}. Give the pictures that were annotated."
        )
    return image


def write_pictures(pictures: Sequence[Picture], annotations: Path) -> None:
    """Write pictures as a COCO keypoint file; file names start from its folder where the pictures lie below it."""
    folder = annotations.resolve().parent
    content = {
        "images": [_image_fields(picture, folder) for picture in pictures],
        "annotations": [
            {"id": number, "image_id": picture.id, **_person_fields(person)}
            for number, (picture, person) in enumerate(
                ((picture, person) for picture in pictures for person in picture.people), start=1
            )
        ],
        "categories": [
            {
                "id": 1,
                "name": "person",
                "supercategory": "person",
                "keypoints": list(COCO17.joints),
                "skeleton": [[one + 1, other + 1] for one, other in COCO17.edges],
            }
        ],
    }
    annotations.write_text(json.dumps(content))


def _image_fields(picture: Picture, folder: Path) -> dict[str, Any]:
    file = picture.file.resolve()
    fields: dict[str, Any] = {
        "id": picture.id,
        "file_name": str(file.relative_to(folder) if file.is_relative_to(folder) else file),
        "width": picture.width_px,
        "height": picture.height_px,
    }
    if picture.video is not None:
        fields["video"] = picture.video
    if picture.time_s is not None:
        fields["time_s"] = picture.time_s
    return fields


def _person_fields(person: Person) -> dict[str, Any]:
    joints = np.column_stack([np.where(person.visibility[:, None] > 0, person.xy, 0), person.visibility])
    fields: dict[str, Any] = {
        "category_id": 1,
        "bbox": [round(float(value), 2) for value in person.box],
        "keypoints": [round(float(value), 2) for value in joints.ravel()],
        "num_keypoints": int((person.visibility > 0).sum()),
        "area": round(person.area_px, 2),
        "iscrowd": int(person.crowd),
    }
    if person.mask is not None:
        fields["segmentation"] = _plain_mask(person.mask)
    if person.track is not None:
        fields["track_id"] = person.track
    return fields


def _plain_mask(mask: Mask) -> Any:
    """Give a mask as JSON can hold it: pycocotools writes run lengths as bytes."""
    if isinstance(mask, Mapping) and isinstance(mask.get("counts"), bytes):
        return {**mask, "counts": mask["counts"].decode("ascii")}
    return mask


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise AnnotationError(f"{file}: cannot be read ({error.strerror or error}).") from None
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{file}: is not JSON ({_one_line(error)}).") from None
    lacking = [
        name
        for name in ("images", "annotations")
        if not isinstance(content, dict) or not isinstance(content.get(name), list)
    ]
    if lacking:
        raise AnnotationError(
            f"{file}: is no COCO annotation file, it has no list {' and no list '.join(map(repr, lacking))}."
        )
    return dict(content)


def _folders(annotations: Path, images: Path | None) -> tuple[Path, ...]:
    """Give the folders that file names may start from, the likeliest first."""
    if images is not None:
        return (images,)
    beside = annotations.absolute().parent
    return (beside, beside / "images", beside.parent, beside.parent / "images", beside.parent.parent)


class _Reader:
    """Turns the parts of one annotation file into pictures, and names the part that is wrong."""

    def __init__(self, file: Path, content: Mapping[str, Any]) -> None:
        self._file = file
        self._images: list[Any] = content["images"]
        self._annotations: list[Any] = content["annotations"]
        self._joints = self._joints_by_kind(content.get("categories", []))
        self.n_flat = 0
        """People left out so far because their box has no area."""

    def people(self) -> dict[int, list[Person]]:
        """Read all people by the id of their picture."""
        seen = set[str]()
        people: dict[int, list[Person]] = {}
        for number, fields in enumerate(self._annotations):
            where = self._named("annotation", number, fields)
            if "id" in fields:
                if _shown(fields["id"]) in seen:
                    self._refuse(where, "its id is used twice")
                seen.add(_shown(fields["id"]))
            picture = self._integer(where, fields, "image_id")
            person = self._person(where, fields)
            found = people.setdefault(picture, [])
            if person is not None:
                found.append(person)
        return people

    def pictures(self, folders: Sequence[Path], people: Mapping[int, Sequence[Person]]) -> list[Picture]:
        """Read all pictures and give them their people."""
        pictures = [
            self._picture(self._named("image", number, fields), fields, folders, people)
            for number, fields in enumerate(self._images)
        ]
        often, count = Counter(picture.id for picture in pictures).most_common(1)[0] if pictures else (0, 0)
        if count > 1:
            self._refuse(f"image {often}", "its id is used twice")
        for picture in pictures:
            sizes = [person.mask["size"] for person in picture.people if isinstance(person.mask, Mapping)]
            if any(size != [picture.height_px, picture.width_px] for size in sizes):
                self._refuse(f"image {picture.id}", "a segmentation of somebody in it has another size than the image")
        if strange := sorted(set(people) - {picture.id for picture in pictures}):
            self._refuse(f"image {strange[0]}", f"{len(people[strange[0]])} annotations, but it is not in 'images'")
        missing = [picture.file for picture in pictures if not _is_file(picture.file)]
        if missing:
            raise AnnotationError(
                f"{self._file}: {len(missing)} of {len(pictures)} pictures are not there, the first is {missing[0]}. "
                "Give the folder that the file names start from."
            )
        return pictures

    def _picture(
        self, where: str, fields: Mapping[str, Any], folders: Sequence[Path], people: Mapping[int, Sequence[Person]]
    ) -> Picture:
        name = fields.get("file_name")
        if not isinstance(name, str) or not name:
            self._refuse(where, "has no file_name")
        identity = self._integer(where, fields, "id")
        width_px, height_px = (self._integer(where, fields, side) for side in ("width", "height"))
        if min(width_px, height_px) < 1:
            self._refuse(where, f"cannot be {width_px} x {height_px} pixels")
        video = next((str(fields[key]) for key in ("video", "scene", "vid_id") if fields.get(key) is not None), None)
        time_s = None if fields.get("time_s") is None else self._number(where, fields, "time_s")
        files = [folder / name for folder in folders]
        return Picture(
            id=identity,
            file=next((file for file in files if _is_file(file)), files[0]),
            width_px=width_px,
            height_px=height_px,
            people=tuple(people.get(identity, ())),
            video=video,
            time_s=time_s,
        )

    def _person(self, where: str, fields: Mapping[str, Any]) -> Person | None:
        """Read one annotation; None for another kind of thing, and for a box without area."""
        kind = fields.get("category_id", next(iter(self._joints)))
        if not isinstance(kind, int) or kind not in self._joints:
            return None
        box = self._numbers(where, fields, "bbox")
        if len(box) != 4 or min(box[2:]) < 0:
            self._refuse(where, f"its bbox must be x, y, width, height, not {box}")
        xy, visibility = self._placed(where, self._numbers(where, fields, "keypoints"), self._joints[kind])
        if box[2] * box[3] == 0:
            self.n_flat += 1
            return None
        has_area = fields.get("area") is not None
        area_px = self._number(where, fields, "area") if has_area else BODY_SHARE_OF_BOX * box[2] * box[3]
        if area_px < 0:
            self._refuse(where, f"its area cannot be {area_px:g}")
        return Person(
            box=np.array(box, np.float32),
            xy=xy,
            visibility=visibility,
            mask=self._mask(where, fields.get("segmentation")),
            area_px=area_px,
            crowd=bool(fields.get("iscrowd", False)),
            track=None if fields.get("track_id") is None else self._integer(where, fields, "track_id"),
        )

    def _mask(self, where: str, mask: Any) -> Mask | None:
        """Check that an outline is run lengths or polygons; whether they fit the picture, who draws them sees."""
        if not mask:
            return None
        if isinstance(mask, dict):
            size, counts = mask.get("size"), mask.get("counts")
            runs = isinstance(counts, str) or (isinstance(counts, list) and all(map(_is_number, counts)))
            fits = isinstance(size, list) and len(size) == 2 and all(map(_is_number, size)) and runs
        else:
            fits = isinstance(mask, list) and all(
                isinstance(ring, list) and len(ring) >= 6 and len(ring) % 2 == 0 and all(map(_is_number, ring))
                for ring in mask
            )
        if not fits:
            self._refuse(where, "its segmentation is neither run lengths nor polygons of at least three points")
        return mask  # type: ignore[no-any-return]

    def _placed(
        self, where: str, values: Sequence[float], joints: Sequence[str]
    ) -> tuple[FloatArray, npt.NDArray[np.int8]]:
        """Put x, y, visibility of each joint where COCO-17 has it."""
        n_joints = len(values) / 3
        if n_joints != len(joints) and not (n_joints == _WHOLE_BODY_JOINTS and tuple(joints) == COCO17.joints):
            self._refuse(where, f"its keypoints are {len(values)} numbers, {len(joints)} joints need {3 * len(joints)}")
        xy, visibility = np.zeros((COCO17.n_joints, 2), np.float32), np.zeros(COCO17.n_joints, np.int8)
        for name, x, y, seen in zip(joints, values[::3], values[1::3], values[2::3], strict=False):
            if seen not in (0, 1, 2):
                self._refuse(where, f"the visibility of its {name} is {seen:g}; it must be 0, 1 or 2")
            if seen and name in COCO17.joints:
                xy[COCO17.joints.index(name)] = x, y
                visibility[COCO17.joints.index(name)] = int(seen)
        return xy, visibility

    def _joints_by_kind(self, categories: Any) -> dict[int, tuple[str, ...]]:
        """Give the joints' names of the kinds that have any; files without names mean COCO's own."""
        if not isinstance(categories, list) or not categories:
            return {1: COCO17.joints}
        kinds: dict[int, tuple[str, ...]] = {}
        for number, fields in enumerate(categories):
            where = self._named("category", number, fields)
            names = fields.get("keypoints")
            if names is None and fields.get("name") == "person":
                names = COCO17.joints
            if names is None:
                continue
            if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
                self._refuse(where, "its keypoints must be a list of names")
            kinds[self._integer(where, fields, "id")] = tuple(_plain_name(name) for name in names)
        if not any(set(names) & set(COCO17.joints) for names in kinds.values()):
            raise AnnotationError(
                f"{self._file}: no category has joints that are known. Their names must be among: "
                f"{', '.join(COCO17.joints)}."
            )
        return kinds

    def _named(self, kind: str, number: int, fields: Any) -> str:
        """Say which part it is: by its id where it has one."""
        if not isinstance(fields, dict):
            self._refuse(f"{kind} number {number + 1}", "is no table of fields")
        return f"{kind} {_shown(fields['id'])}" if "id" in fields else f"{kind} number {number + 1}"

    def _integer(self, where: str, fields: Mapping[str, Any], name: str) -> int:
        if name not in fields:
            self._refuse(where, f"has no {name}")
        value = fields[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            self._refuse(where, f"its {name} must be a whole number, not {_shown(value)}")
        return int(value)

    def _number(self, where: str, fields: Mapping[str, Any], name: str) -> float:
        if not _is_number(fields[name]):
            self._refuse(where, f"its {name} must be a number, not {_shown(fields[name])}")
        return float(fields[name])

    def _numbers(self, where: str, fields: Mapping[str, Any], name: str) -> list[float]:
        values = fields.get(name)
        if values is None:
            self._refuse(where, f"has no {name}")
        if not isinstance(values, list) or not all(map(_is_number, values)):
            self._refuse(where, f"its {name} must be a list of numbers")
        return [float(value) for value in values]

    def _refuse(self, where: str, why: str) -> NoReturn:
        raise AnnotationError(f"{self._file}: {where}: {why}.")


def _is_number(value: Any) -> bool:
    """Tell whether it is a number that a picture can hold; NaN is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _FARTHEST


def _plain_name(name: str) -> str:
    """Give a joint's name as COCO writes it: "Left Shoulder" and "shoulder_left" are left_shoulder."""
    words = name.lower().replace("-", "_").replace(" ", "_").split("_")
    return "_".join(words[-1:] + words[:-1] if words[-1] in ("left", "right") else words)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than the disk takes
        return False


def _shown(value: Any, *, most: int = 40) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
