"""The exact truth about people in a picture: masks, boxes and joints with visibility, as COCO annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from graphs.layouts import COCO17
from har.records import FloatArray
from har.synth.body import N_COCO, Array
from har.synth.scenes.people import Figure
from har.synth.scenes.view import View
from har.synth.shapes import BoolArray

OUTSIDE, HIDDEN, SEEN = 0, 1, 2
_COVER = 1.5  # of the flesh about a joint: a surface that is nearer to the camera than this hides it
_COVER_M = 0.045  # clothes and the unevenness of limbs


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """What is known about one person in one picture.

    Attributes:
        track: the person's number in the scene, from 1.
        mask: (H, W) where the person is what is seen.
        xy: (17, 2) pixels, 0 outside the picture.
        visibility: (17,) 0 outside, 1 hidden, 2 seen.
    """

    track: int
    mask: BoolArray
    xy: FloatArray
    visibility: npt.NDArray[np.int8]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x, y, width, height of the mask, pixels."""
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        return int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def annotate(view: View, people: Mapping[int, Figure]) -> list[Annotation]:
    """Find what is seen of each person; those of whom nothing is seen are left out.

    Args:
        view: with the people drawn.
        people: who, by the number that their surfaces have in the view.
    """
    found = []
    for number, mask in zip(people, instance_masks(view, tuple(people)), strict=True):
        if mask.any():
            figure = people[number]
            xy, visibility = judge_joints(view, figure.points, figure.body.radius_m[:N_COCO])
            found.append(Annotation(number, mask, xy, visibility))
    return found


def instance_masks(view: View, owners: Sequence[int]) -> BoolArray:
    """Give (M, H, W) the pixels of each owner: those of which they have most of the rays, and at least half."""
    k = view.oversampling
    height, width = view.owner.shape[0] // k, view.owner.shape[1] // k
    owner = view.owner.reshape(height, k, width, k)
    if not owners:
        return np.zeros((0, height, width), dtype=bool)
    share = np.stack([(owner == number).sum(axis=(1, 3)) for number in owners])
    first = share.argmax(axis=0)
    return np.asarray((np.arange(len(owners))[:, None, None] == first) & (2 * share >= k * k))


def judge_joints(view: View, points: Array, radius_m: Array) -> tuple[FloatArray, npt.NDArray[np.int8]]:
    """Project the joints and compare their distance with that of the surface seen there.

    Args:
        view: with everything drawn.
        points: (P, 3) metres in the room, COCO's joints first.
        radius_m: (17,) of the flesh about each joint.
    """
    camera, k = view.camera, view.oversampling
    joints = points[:N_COCO]
    xy, _ = camera.project(joints)
    size = np.array([camera.width_px, camera.height_px])
    inside = np.asarray(((xy >= 0) & (xy < size)).all(axis=1))  # NaN, behind the camera, is not
    column, row = (np.where(inside[:, None], xy, 0.0) * k).astype(int).T
    surface_m = view.reach_m[row, column]
    distance_m = np.linalg.norm(joints - camera.position_m, axis=1)
    hidden = distance_m - surface_m > _COVER * radius_m + _COVER_M
    visibility = np.where(inside, np.where(hidden, HIDDEN, SEEN), OUTSIDE).astype(np.int8)
    return np.where(inside[:, None], xy, 0.0).astype(np.float32), visibility


def depth_mm(view: View) -> npt.NDArray[np.uint16]:
    """Give (H, W) the distance along the viewing direction in millimetres, of one ray of each pixel."""
    k = view.oversampling
    along = view.rays[::k, ::k] @ view.camera.axes[2].astype(np.float32)
    return np.asarray(np.clip(view.reach_m[::k, ::k] * along * 1000 + 0.5, 0, 65535).astype(np.uint16))


# -- COCO ------------------------------------------------------------------------------------------------------------

CATEGORY: dict[str, Any] = {
    "id": 1,
    "name": "person",
    "supercategory": "person",
    "keypoints": list(COCO17.joints),
    "skeleton": [[one + 1, other + 1] for one, other in COCO17.edges],
}


def as_coco(found: Annotation) -> dict[str, Any]:
    """Give an annotation in COCO's terms, without its ids."""
    joints = np.column_stack([found.xy.round(2), found.visibility])
    return {
        "category_id": 1,
        "bbox": list(found.box),
        "area": int(found.mask.sum()),
        "segmentation": {"size": list(found.mask.shape), "counts": run_lengths(found.mask)},
        "keypoints": [round(float(value), 2) for value in joints.ravel()],
        "num_keypoints": int((found.visibility > OUTSIDE).sum()),
        "iscrowd": 0,
        "track_id": found.track,
    }


def run_lengths(mask: BoolArray) -> list[int]:
    """Give COCO's uncompressed run lengths: down the columns, of 0 and 1 in turn, beginning with 0."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    bounds = np.concatenate([[0], edges, [flat.size]])
    lengths = [int(length) for length in np.diff(bounds)]
    return [0, *lengths] if flat[0] else lengths
