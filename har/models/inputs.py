"""What a network is shown of a skeleton: its joints, its bones, their motion, or several of these side by side."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from graphs.layouts import Layout, layout
from har.errors import ShapeError

JOINT_AND_BONE = "joint+bone"
"""What the first bundles were trained on, and what a bundle that names no input means."""

DISTANCE = "distance"

_Part = Callable[[Tensor, Tensor, Layout], Tensor]


def features(joints: Tensor, *, layout_name: str, kind: str = JOINT_AND_BONE) -> Tensor:
    """Make a network's input of joints.

    Args:
        joints: (N, T, V, D + 1) body-centred coordinates and score; NaN where nothing is known.
        layout_name: their layout.
        kind: keys of `PARTS`, joined by "+".

    Returns:
        (N, T, V, C), finite; C is `n_channels`. Most parts of a kind are D numbers and a score: "joint", the
        coordinates; "bone", the vector from the parent joint, with the lower score of its ends, zero at the root;
        "motion", the way since the frame before, with the lower score of both, zero at the first frame; "bone motion",
        the motion of the bones. "distance" is V numbers, how far each joint is from every other, which no camera's
        side changes (Yang et al. 2019, "Make skeleton-based action recognition model smaller, faster and better",
        section 3.1). What is unknown is zero with score zero, and so is all made of it.

    Raises:
        ShapeError: joints are not (N, T, V, D + 1) of that layout, or the kind is not known.
    """
    which = layout(layout_name)
    if joints.ndim != 4 or joints.shape[2] != which.n_joints or joints.shape[3] < 3:
        raise ShapeError(
            f"joints of {layout_name!r} must be (N, T, {which.n_joints}, C) with C of 3 or more, "
            f"got {tuple(joints.shape)}."
        )
    known = joints.isfinite().all(dim=-1, keepdim=True)  # (N, T, V, 1)
    joints = torch.where(known, joints, 0.0)  # (N, T, V, D+1)
    return torch.cat([part(joints, known, which) for part in _parts(kind)], dim=-1)  # (N, T, V, parts*(D+1))


def n_channels(kind: str, *, layout_name: str, dims: int) -> int:
    """Give the channels of an input: V for distances, `dims` coordinates and a score for each other part.

    Raises:
        ShapeError: the kind is not known.
        LayoutError: the layout is not known.
    """
    _parts(kind)
    n_joints = layout(layout_name).n_joints
    return sum(n_joints if name == DISTANCE else dims + 1 for name in kind.split("+"))


def n_dims(kind: str, *, layout_name: str, channels: int) -> int:
    """Give the coordinates of a joint, 2 or 3, of which an input of so many channels is made.

    Raises:
        ShapeError: the kind is not known, or is distances alone, or no number of coordinates gives these channels.
        LayoutError: the layout is not known.
    """
    for dims in (2, 3):
        if n_channels(kind, layout_name=layout_name, dims=dims) == channels:
            return dims
    raise ShapeError(f"{channels} channels are not those of {kind!r} in two or three dimensions.")


def _parts(kind: str) -> tuple[_Part, ...]:
    names = kind.split("+")
    if not set(names) <= set(PARTS) or len(set(names)) < len(names):
        raise ShapeError(f'the input {kind!r} is not known. Join some of {", ".join(PARTS)} by "+".')
    if names == [DISTANCE]:
        raise ShapeError(f'{DISTANCE!r} alone does not tell two dimensions from three. Join another part to it by "+".')
    return tuple(PARTS[name] for name in names)


def _joint(joints: Tensor, known: Tensor, which: Layout) -> Tensor:
    return joints


def _bone(joints: Tensor, known: Tensor, which: Layout) -> Tensor:
    parents = joints[:, :, list(which.parents)]  # (N, T, V, D+1)
    score = torch.minimum(joints[..., -1:], parents[..., -1:])  # (N, T, V, 1)
    whole = known & known[:, :, list(which.parents)]  # (N, T, V, 1)
    bone = torch.where(whole, joints[..., :-1] - parents[..., :-1], 0.0)  # (N, T, V, D)
    return torch.cat([bone, score], dim=-1)  # (N, T, V, D+1)


def _motion(joints: Tensor, known: Tensor, which: Layout) -> Tensor:
    return _change(joints, known)


def _bone_motion(joints: Tensor, known: Tensor, which: Layout) -> Tensor:
    return _change(_bone(joints, known, which), known & known[:, :, list(which.parents)])


def _change(values: Tensor, known: Tensor) -> Tensor:
    """Give what changed since the frame before, and the lower of both scores."""
    before = torch.cat([values[:, :1], values[:, :-1]], dim=1)  # (N, T, V, D+1)
    both = known & torch.cat([known[:, :1], known[:, :-1]], dim=1)  # (N, T, V, 1)
    moved = torch.where(both, values[..., :-1] - before[..., :-1], 0.0)  # (N, T, V, D)
    return torch.cat([moved, torch.minimum(values[..., -1:], before[..., -1:])], dim=-1)  # (N, T, V, D+1)


def _distance(joints: Tensor, known: Tensor, which: Layout) -> Tensor:
    n, t, v, _ = joints.shape
    place = joints[..., :-1].reshape(n * t, v, -1)
    away = torch.linalg.vector_norm(place[:, :, None] - place[:, None], dim=-1).reshape(n, t, v, v)
    return torch.where(known & known.transpose(2, 3), away, 0.0)  # (N, T, V, V)


PARTS: dict[str, _Part] = {
    "joint": _joint,
    "bone": _bone,
    "motion": _motion,
    "bone motion": _bone_motion,
    DISTANCE: _distance,
}
"""What an input may be made of; several are joined by "+" and lie side by side in that order."""
