"""Joint layouts as data, and the maps between them.

Left and right: a joint's name says the side of the person's own body. Sensors differ in where they put x. In a picture
of somebody who faces the camera, the person's left has the larger x; layouts whose data keep to that are "anatomical".
The Kinect SDK lets x grow to the sensor's own left, so there the person's left has the smaller x: "mirrored".
`to_image_axes` turns every layout into the first kind; `map_joints` never touches coordinates but to average them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import Any, Literal, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from graphs.errors import LayoutError

Joints = TypeVar("Joints", bound=npt.NDArray[np.floating[Any]])
Pair: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """The joints of one kind of skeleton and how they hang together.

    Attributes:
        name: its key in `LAYOUTS`.
        joints: joint names in the order of the arrays.
        bones: (child, parent) joint indices: a tree over all joints.
        centre: the joint, or the joints whose mean is, the middle of the hips (of the trunk where hips are missing).
        links: further edges that belong to the graph but not to the tree, e.g. from hip to hip.
        handedness: "anatomical" if the left joints of somebody facing the camera have the larger x, else "mirrored".
        y_axis: whether y grows "up" or "down" in data of this layout.

    Raises:
        LayoutError: the bones are not a tree over all joints, an index is out of range, or a name comes twice.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[Pair, ...]
    centre: tuple[int, ...]
    links: tuple[Pair, ...] = ()
    handedness: Literal["anatomical", "mirrored"] = "anatomical"
    y_axis: Literal["up", "down"] = "down"

    def __post_init__(self) -> None:
        if len(set(self.joints)) != len(self.joints) or not all(self.joints):
            raise LayoutError(f"layout {self.name!r}: every joint needs a name of its own.")
        indices = [index for pair in self.edges for index in pair] + list(self.centre)
        if not self.centre or min(indices) < 0 or max(indices) >= self.n_joints:
            raise LayoutError(f"layout {self.name!r}: joint indices must lie in 0..{self.n_joints - 1}.")
        children = {child for child, _ in self.bones}
        if len(self.bones) != self.n_joints - 1 or len(children) != len(self.bones):
            raise LayoutError(f"layout {self.name!r}: every joint but one needs exactly one bone to a parent.")
        for joint in range(self.n_joints):
            self._climb(joint)

    def _climb(self, joint: int) -> None:
        """Walk from a joint to the root; more steps than joints means a ring."""
        parents = dict(self.bones)
        for _ in range(self.n_joints):
            if joint not in parents:
                return
            joint = parents[joint]
        raise LayoutError(f"layout {self.name!r}: the bones above joint {self.joints[joint]!r} form a ring.")

    @property
    def n_joints(self) -> int:
        """Number of joints, V."""
        return len(self.joints)

    @property
    def edges(self) -> tuple[Pair, ...]:
        """All undirected edges: bones, then links."""
        return self.bones + self.links

    @cached_property
    def root(self) -> int:
        """The joint without a parent."""
        return next(iter(set(range(self.n_joints)) - {child for child, _ in self.bones}))

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """The parent of each joint; the root is its own parent."""
        parents = dict(self.bones)
        return tuple(parents.get(joint, joint) for joint in range(self.n_joints))

    @cached_property
    def ways(self) -> npt.NDArray[np.float32]:
        """(V, V): 1 where the way from the root to a joint (row) goes along the bone of a joint (column), else 0.

        Times the bones, each from parent to child, it gives the joints as seen from the root.
        """
        ways = np.zeros((self.n_joints, self.n_joints), dtype=np.float32)
        for joint in range(self.n_joints):
            on_the_way = joint
            while on_the_way != self.root:
                ways[joint, on_the_way] = 1
                on_the_way = self.parents[on_the_way]
        return ways

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """(left, right) joint indices of every pair of joints."""
        index = {name: position for position, name in enumerate(self.joints)}
        others = {name: name.replace("left", "right") for name in self.joints if "left" in name}
        return tuple((index[name], index[other]) for name, other in others.items() if other in index)

    @cached_property
    def mirror_order(self) -> tuple[int, ...]:
        """For each joint the index of its other side; joints in the middle keep theirs."""
        order = list(range(self.n_joints))
        for left, right in self.pairs:
            order[left], order[right] = right, left
        return tuple(order)


def _chain(*joints: int) -> tuple[Pair, ...]:
    """Bones along a limb, from the joint nearest the root outwards."""
    return tuple((child, parent) for parent, child in pairwise(joints))


def _both(names: str) -> tuple[str, ...]:
    """Name both sides of each: "eye ear" -> left_eye, right_eye, left_ear, right_ear."""
    return tuple(f"{side}_{name}" for name in names.split() for side in ("left", "right"))


def _limb(names: str, side: str) -> tuple[str, ...]:
    """Name one side the Kinect and NiTE way: "hip knee", "left" -> hip_left, knee_left."""
    return tuple(f"{name}_{side}" for name in names.split())


COCO17 = Layout(
    name="coco17",
    joints=("nose", *_both("eye ear shoulder elbow wrist hip knee ankle")),
    bones=(*_chain(0, 1, 3), *_chain(0, 2, 4), *_chain(0, 5, 7, 9), *_chain(0, 6, 8, 10),
           *_chain(5, 11, 13, 15), *_chain(6, 12, 14, 16)),
    centre=(11, 12),
    links=((5, 6), (11, 12)),
)  # fmt: skip
BLAZEPOSE33 = Layout(
    name="blazepose33",
    joints=("nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
            "left_ear", "right_ear", "mouth_left", "mouth_right",
            *_both("shoulder elbow wrist pinky index thumb hip knee ankle heel foot_index")),
    bones=(*_chain(0, 1, 2, 3, 7), *_chain(0, 4, 5, 6, 8), (9, 0), (10, 0),
           *_chain(0, 11, 13, 15, 17), (19, 15), (21, 15), *_chain(0, 12, 14, 16, 18), (20, 16), (22, 16),
           *_chain(11, 23, 25, 27, 29), (31, 27), *_chain(12, 24, 26, 28, 30), (32, 28)),
    centre=(23, 24),
    links=((9, 10), (11, 12), (23, 24), (17, 19), (18, 20), (29, 31), (30, 32)),
)  # fmt: skip
OPENPOSE18 = Layout(
    name="openpose18",
    joints=("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
            "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
            "right_eye", "left_eye", "right_ear", "left_ear"),
    bones=(*_chain(1, 0, 14, 16), *_chain(0, 15, 17), *_chain(1, 2, 3, 4), *_chain(1, 5, 6, 7),
           *_chain(1, 8, 9, 10), *_chain(1, 11, 12, 13)),
    centre=(8, 11),
)  # fmt: skip
NTU25 = Layout(
    name="ntu25",
    joints=("spine_base", "spine_mid", "neck", "head", *_limb("shoulder elbow wrist hand", "left"),
            *_limb("shoulder elbow wrist hand", "right"), *_limb("hip knee ankle foot", "left"),
            *_limb("hip knee ankle foot", "right"), "spine_shoulder",
            *_limb("hand_tip thumb", "left"), *_limb("hand_tip thumb", "right")),
    bones=(*_chain(0, 1, 20, 2, 3), *_chain(20, 4, 5, 6, 7, 22, 21), *_chain(20, 8, 9, 10, 11, 24, 23),
           *_chain(0, 12, 13, 14, 15), *_chain(0, 16, 17, 18, 19)),
    centre=(0,),
    handedness="mirrored",
    y_axis="up",
)  # fmt: skip
KINECT20 = Layout(
    name="kinect20",
    joints=("hip_center", "spine", "shoulder_center", "head", *_limb("shoulder elbow wrist hand", "left"),
            *_limb("shoulder elbow wrist hand", "right"), *_limb("hip knee ankle foot", "left"),
            *_limb("hip knee ankle foot", "right")),
    bones=(*_chain(0, 1, 2, 3), *_chain(2, 4, 5, 6, 7), *_chain(2, 8, 9, 10, 11),
           *_chain(0, 12, 13, 14, 15), *_chain(0, 16, 17, 18, 19)),
    centre=(0,),
    handedness="mirrored",
    y_axis="up",
)  # fmt: skip
NITE15 = Layout(
    name="nite15",
    joints=("head", "neck", *_limb("shoulder elbow hand", "right"), *_limb("shoulder elbow hand", "left"), "torso",
            *_limb("hip knee foot", "right"), *_limb("hip knee foot", "left")),
    bones=(*_chain(8, 1, 0), *_chain(1, 2, 3, 4), *_chain(1, 5, 6, 7), *_chain(8, 9, 10, 11), *_chain(8, 12, 13, 14)),
    centre=(9, 12),
    y_axis="up",
)  # fmt: skip
JHMDB15 = Layout(
    name="jhmdb15",
    joints=("neck", "belly", "face", "shoulder_right", "shoulder_left", "hip_right", "hip_left", "elbow_right",
            "elbow_left", "knee_right", "knee_left", "wrist_right", "wrist_left", "ankle_right", "ankle_left"),
    bones=(*_chain(1, 0, 2), *_chain(0, 3, 7, 11), *_chain(0, 4, 8, 12), *_chain(1, 5, 9, 13), *_chain(1, 6, 10, 14)),
    centre=(5, 6),
)  # fmt: skip
H36M17 = Layout(  # joint 9 is called "nose", "neck_base" or "neck/nose", depending on who writes
    name="h36m17",
    joints=("root", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "spine", "thorax",
            "nose", "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow",
            "right_wrist"),
    bones=(*_chain(0, 1, 2, 3), *_chain(0, 4, 5, 6), *_chain(0, 7, 8, 9, 10), *_chain(8, 11, 12, 13),
           *_chain(8, 14, 15, 16)),
    centre=(0,),
)  # fmt: skip

LAYOUTS: dict[str, Layout] = {
    each.name: each for each in (COCO17, BLAZEPOSE33, OPENPOSE18, NTU25, KINECT20, NITE15, JHMDB15, H36M17)
}


def layout(name: str) -> Layout:
    """Give the layout of that name.

    Raises:
        LayoutError: there is none; the text lists those there are.
    """
    if name not in LAYOUTS:
        raise LayoutError(f"unknown joint layout {name!r}. Known layouts: {', '.join(sorted(LAYOUTS))}.")
    return LAYOUTS[name]


# What a joint is anatomically, where its name does not say so by itself. "neck" is the point between the shoulders.
_MEANING = {
    ("ntu25", "spine_base"): "mid_hip",
    ("ntu25", "spine_mid"): "spine",
    ("ntu25", "neck"): "upper_neck",
    ("ntu25", "spine_shoulder"): "neck",
    ("kinect20", "hip_center"): "mid_hip",
    ("kinect20", "shoulder_center"): "neck",
    ("nite15", "torso"): "spine",
    ("jhmdb15", "belly"): "spine",
    ("jhmdb15", "face"): "head",
    ("h36m17", "root"): "mid_hip",
    ("h36m17", "thorax"): "neck",
    ("h36m17", "head"): "head_top",
    ("blazepose33", "left_foot_index"): "left_foot",
    ("blazepose33", "right_foot_index"): "right_foot",
}
# How a point that a source lacks is made from others: the mean of the first set that it can give. A face whose parts
# are unknown shrinks to the head; hand and foot stand in for wrist and ankle and the other way round.
_STAND_IN: dict[str, tuple[tuple[str, ...], ...]] = {
    "neck": (("left_shoulder", "right_shoulder"),),
    "mid_hip": (("left_hip", "right_hip"),),
    "spine": (("neck", "mid_hip"),),
    "head": (("left_ear", "right_ear"), ("nose", "head_top"), ("nose",)),
    "head_top": (("head",),),
    "nose": (("head",),),
    **{f"{side}_{part}": (("head",),) for side in ("left", "right") for part in ("eye", "ear")},
    **{
        f"{side}_{there}": ((f"{side}_{instead}",),)
        for side in ("left", "right")
        for there, instead in (("hand", "wrist"), ("wrist", "hand"), ("foot", "ankle"), ("ankle", "foot"))
    },
}


def meaning(which: Layout, joint: str) -> str:
    """Say what a joint of a layout is anatomically, whatever it is called there: "left_hip", "neck"."""
    side, stem = joint.rpartition("_")[2], joint.rpartition("_")[0]
    named = f"{side}_{stem}" if side in ("left", "right") else joint
    return _MEANING.get((which.name, joint), named)


def _weights(point: str, given: dict[str, int], tried: frozenset[str] = frozenset()) -> dict[int, float] | None:
    """Weights of source joints whose sum is the point; None where the source cannot give it."""
    if point in given:
        return {given[point]: 1.0}
    for parts in () if point in tried else _STAND_IN.get(point, ()):
        found = [_weights(part, given, tried | {point}) for part in parts]
        if all(found):
            total: dict[int, float] = {}
            for weights in found:
                for index, weight in (weights or {}).items():
                    total[index] = total.get(index, 0.0) + weight / len(found)
            return total
    return None


@cache
def _map(source: str, target: str) -> tuple[dict[int, float], ...] | None:
    """For each target joint its weights over the source's joints; None where one cannot be made."""
    given = {meaning(layout(source), joint): index for index, joint in enumerate(layout(source).joints)}
    rows = [_weights(meaning(layout(target), joint), given) for joint in layout(target).joints]
    return None if None in rows else tuple(row for row in rows if row is not None)


def maps_from(source: str) -> tuple[str, ...]:
    """List the layouts that a layout can be mapped to.

    Raises:
        LayoutError: the layout is not known.
    """
    layout(source)
    return tuple(sorted(target for target in LAYOUTS if _map(source, target) is not None))


def map_joints(joints: Joints, source: str, target: str) -> Joints:
    """Turn joints of one layout into those of another.

    A joint that the source lacks becomes the mean of its neighbours in all channels, score included (the neck is the
    mean of the shoulders); if one of these is NaN, so is the mean. Axes stay as they are: see `to_image_axes`.

    Args:
        joints: (..., V, C) in the source's order.
        source: name of their layout.
        target: name of the layout wanted.

    Returns:
        (..., V', C), a new array of the same type.

    Raises:
        LayoutError: a layout is not known, the array does not fit, or there is no such map; the text says what exists.
    """
    _check_fit(joints, source)
    rows = _map(source, layout(target).name)
    if rows is None:
        raise LayoutError(
            f"no map from {source!r} to {target!r}: {source!r} lacks joints that cannot be made from others. "
            f"{source!r} can be mapped to: {', '.join(maps_from(source))}."
        )
    mapped = cast("Joints", np.take(joints, [next(iter(row)) for row in rows], axis=-2))
    for position, row in enumerate(rows):
        if len(row) > 1:
            mapped[..., position, :] = sum(weight * joints[..., index, :] for index, weight in row.items())
    return mapped


def swap_sides(joints: Joints, name: str) -> Joints:
    """Exchange left and right joints of (..., V, C), leaving coordinates as they are.

    Raises:
        LayoutError: the layout is not known or the array does not fit it.
    """
    _check_fit(joints, name)
    return cast("Joints", np.take(joints, layout(name).mirror_order, axis=-2))


def mirror_joints(joints: Joints, name: str, *, about_x: float = 0.0) -> Joints:
    """Reflect a body left to right: x changes sign about a vertical line and left and right joints change places.

    Args:
        joints: (..., V, C), x in channel 0.
        name: their layout.
        about_x: the line's x: 0 for centred joints, half the width for pixels.

    Returns:
        A new array of the same shape and type.

    Raises:
        LayoutError: the layout is not known or the array does not fit it.
    """
    mirrored = swap_sides(joints, name)
    mirrored[..., 0] = 2 * about_x - mirrored[..., 0]
    return mirrored


def to_image_axes(joints: Joints, name: str) -> Joints:
    """Turn a layout's own axes into those of an unmirrored picture: x to the right, y down.

    Args:
        joints: (..., V, C) with x, y (and z) in the first channels, about any origin.
        name: their layout.

    Returns:
        A new array; somebody facing the camera has the left joints at the larger x.

    Raises:
        LayoutError: the layout is not known or the array does not fit it.
    """
    _check_fit(joints, name)
    turned = joints.copy()
    if layout(name).handedness == "mirrored":
        turned[..., 0] *= -1
    if layout(name).y_axis == "up":
        turned[..., 1] *= -1
    return turned


def _check_fit(joints: npt.NDArray[Any], name: str) -> None:
    n_joints = layout(name).n_joints
    if joints.ndim < 2 or joints.shape[-2] != n_joints or joints.shape[-1] < 2:
        raise LayoutError(f"joints of {name!r} must be (..., {n_joints}, C) with C of 2 or more, got {joints.shape}.")
