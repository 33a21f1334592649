"""The people of a clip in one frame of axes: x right in the picture, y down, z away from the camera."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from graphs import LayoutError, map_joints, to_image_axes
from har.clips import Clip
from har.errors import ClipError
from har.records import FloatArray

PICTURE_UNITS = ("px", "norm")
INFERRED_SCORE = 0.5
"""Least score of a joint with depth. Sensors and what converts their files write 0 for joints that were inferred from
the others, such as every spine and neck of MSR-Action3D: known less well, but known."""
SECOND_PERSON_SHARE = 0.1
"""Of the frames; whoever is seen in fewer is a ghost or walks by."""


def has_depth(clip: Clip) -> bool:
    """Say whether a clip's joints have a z of their own."""
    return clip.units not in PICTURE_UNITS and clip.joints.shape[-1] >= 3


def people_joints(clip: Clip, *, layout: str, dims: int = 2, persons: int = 1) -> FloatArray:
    """Give the joints of the people seen most, in the axes of a picture and in the layout wanted.

    Axes are right-handed: x to the right in the picture, y down, z away from the camera. Scores that a clip lacks are 1
    where the joint is known; all-zero joints are not known, as sensors write them for bodies that they lost. A score of
    0 means not known in a picture, and inferred where there is depth.

    Args:
        clip: of any layout, units and axes.
        layout: wanted.
        dims: 2 drops the depth, 3 needs it.
        persons: at most; all but the first must be seen in a tenth of the frames.

    Returns:
        (M, T, V, dims + 1) float32, coordinates and score, NaN and 0 where not seen; the one seen most comes first.

    Raises:
        ClipError: the clip's joints cannot be mapped to the layout, or it has no depth.
    """
    if dims == 3 and not has_depth(clip):
        raise ClipError(f"clip {clip.id!r}: has no depth. Use a recipe with dims = 2, or leave this clip out.")
    joints = _in_picture(clip, dims=dims)  # (T, M, V, D+1)
    n_seen = (joints[..., -1] > 0).sum(axis=-1)  # (T, M)
    order = np.argsort(-n_seen.sum(axis=0), kind="stable")
    often = (n_seen > 0).mean(axis=0) >= SECOND_PERSON_SHARE
    chosen = [int(order[0]), *(int(each) for each in order[1:persons] if often[each])]
    flat = joints[:, chosen].transpose(1, 0, 2, 3)
    if clip.layout != layout:
        try:
            flat = map_joints(flat, clip.layout, layout)
        except LayoutError as error:
            raise ClipError(f"clip {clip.id!r}: {error}") from None
    return np.ascontiguousarray(flat)


def _in_picture(clip: Clip, *, dims: int) -> FloatArray:
    """Give coordinates and score (T, M, V, dims + 1) of a clip's joints."""
    joints = clip.joints
    n_channels = joints.shape[-1]
    deep = has_depth(clip)
    place = joints[..., : 3 if deep else 2]
    if clip.up == "+z":
        place = np.stack([joints[..., 0], -joints[..., 2], joints[..., 1]], axis=-1) if deep else place
    elif clip.up == "+y":
        place = to_image_axes(place, clip.layout)
        place[..., 1] = -joints[..., 1]
    if clip.units == "norm" and clip.width_px and clip.height_px:
        place = place * np.array([clip.width_px, clip.height_px], dtype=np.float32)
    known = np.isfinite(place).all(axis=-1) & _was_seen(joints[..., : place.shape[-1]])
    score_channel = 3 if deep else 2
    score = np.nan_to_num(joints[..., score_channel]) if n_channels > score_channel else np.ones(known.shape)
    if deep:
        score = np.maximum(score, INFERRED_SCORE)
    seen = known & (score > 0)
    result = np.full((*joints.shape[:-1], dims + 1), np.nan, dtype=np.float32)
    result[..., :dims] = np.where(seen[..., None], place[..., :dims], np.nan)
    result[..., dims] = np.where(seen, np.clip(score, 0, 1), 0)
    return result


def _was_seen(places: FloatArray) -> npt.NDArray[np.bool_]:
    """Say of joints (T, M, V, D) whether they are more than the zeros that sensors write for lost bodies."""
    lost = ~(np.nan_to_num(places) != 0).any(axis=(-1, -2))  # (T, M)
    return np.asarray(~lost[..., None])
