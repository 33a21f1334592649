"""Make one window many: other people, other cameras, worse estimators.

Joints are hidden in numpy before a window is normalised, since what is seen decides origin and scale; the rest is done
in torch on normalised joints, on whatever device they are. All of it by the batch. Everybody in one window is turned
and stretched alike, so that people keep their places to each other; bones, bearing and size of movement are each
person's own.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphs.layouts import Layout, layout
from har.training.habits import LEAST_TURN_DEG, Array, Habits
from har.training.recipe import Recipe

BoolArray = npt.NDArray[np.bool_]

_LIMBS = {"arm": ("elbow", "wrist", "hand"), "leg": ("knee", "ankle", "foot", "heel")}


def augment(
    joints: Tensor,
    recipe: Recipe,
    generator: torch.Generator,
    *,
    owner: Tensor | None = None,
    habits: Habits | None = None,
    labels: Tensor | None = None,
) -> Tensor:
    """Change windows at random, each in a way of its own.

    Args:
        joints: (P, T, V, D + 1) from `har.windows.normalise`.
        recipe: how much of everything; its layout is that of the joints.
        generator: the only source of chance; may be of another device than the joints.
        owner: (P,) the window that each person is in, 0..N-1; None if each is alone.
        habits: of the set that the windows are of: they are then turned no farther than people stand there, and
            mirrored as often as their label is done with the other side; None turns and mirrors as the recipe says.
        labels: (N,) of the windows; needed with habits.

    Returns:
        (P, T, V, D + 1), a new tensor; joints not seen keep their score of 0.
    """
    if owner is None:
        owner = torch.arange(len(joints), device=joints.device)
    n_windows = int(owner[-1]) + 1 if len(owner) else 0
    share, turn = torch.full((n_windows,), recipe.flip, device=joints.device), 1.0
    if habits is not None and labels is not None:
        share = torch.from_numpy(mirror_shares(recipe, habits)).to(share)[labels]
        turn = turn_limit(recipe, habits) / recipe.yaw_deg if recipe.yaw_deg else 1.0
    joints = _flip(joints, recipe, generator, owner, share)
    joints = _other_people(joints, recipe, generator)
    joints = _turn_and_stretch(joints, recipe, generator, owner, n_windows, turn=turn)
    return _blur(joints, recipe, generator)


def mirror_shares(recipe: Recipe, habits: Habits) -> Array:
    """Give the share (K,) of each label's windows to mirror: as the recipe says if sides do not matter."""
    shares: Array = recipe.flip * 2 * habits.other_side
    return shares


def turn_limit(recipe: Recipe, habits: Habits) -> float:
    """Give the largest turn about the vertical, in degrees: as people stand, within what the recipe allows."""
    return min(max(habits.turn_deg, LEAST_TURN_DEG), recipe.yaw_deg)


def _uniform(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device).to(device)


def _normal(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device).to(device)


def _flip(joints: Tensor, recipe: Recipe, generator: torch.Generator, owner: Tensor, share: Tensor) -> Tensor:
    """Mirror windows, each as likely as its share (N,) says."""
    if not recipe.flip:
        return joints
    chosen = _uniform((len(share),), generator, joints.device) < share
    sign = torch.ones(joints.shape[-1], device=joints.device)
    sign[0] = -1
    mirrored = joints[:, :, list(layout(recipe.layout).mirror_order)] * sign
    return torch.where(chosen[owner][:, None, None, None], mirrored, joints)


def _other_people(joints: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Give each person longer and shorter bones, a bearing of their own, and larger or smaller movements."""
    p, _, v, _ = joints.shape
    dims, device, which = joints.shape[-1] - 1, joints.device, layout(recipe.layout)
    place = joints[..., :-1]
    if recipe.amplitude:
        size = torch.exp(_normal((p, 1, 1, 1), generator, device) * recipe.amplitude)
        mean = place.mean(dim=1, keepdim=True)
        place = mean + (place - mean) * size
    if recipe.bone_stretch or recipe.bone_turn_deg:
        bones = place - place[:, :, list(which.parents)]  # (P, T, V, D)
        length = _normal((p, v), generator, device) * recipe.bone_stretch
        length = torch.exp((length + length[:, list(which.mirror_order)]) / 2**0.5)  # left and right alike
        turn = _turns_about_any(_normal((p * v, 2 * dims - 3), generator, device) * math.radians(recipe.bone_turn_deg))
        change = turn.reshape(p, v, dims, dims) * length[..., None, None]
        bones = torch.einsum("pvde,ptve->ptvd", change, bones)
        ways = torch.from_numpy(which.ways).to(device)
        place = place[:, :, which.root, None] + torch.einsum("vw,ptwd->ptvd", ways, bones)
    return torch.cat([place, joints[..., -1:]], dim=-1)


def _turns_about_any(angles_rad: Tensor) -> Tensor:
    """Give the matrices that turn by (N, 3) rotation vectors, (N, 3, 3), or in the plane by (N, 1), (N, 2, 2)."""
    n, dims = len(angles_rad), 2 if angles_rad.shape[1] == 1 else 3
    first, second = ([1], [0]) if dims == 2 else ([2, 0, 1], [1, 2, 0])
    skew = angles_rad.new_zeros(n, dims, dims)
    skew[:, first, second], skew[:, second, first] = angles_rad, -angles_rad
    turn: Tensor = torch.linalg.matrix_exp(skew)
    return turn


def _turn_and_stretch(
    joints: Tensor, recipe: Recipe, generator: torch.Generator, owner: Tensor, n_windows: int, *, turn: float
) -> Tensor:
    """Stretch by one matrix for each window, then turn: in the picture, or where there is depth, as a camera would."""
    dims, device = joints.shape[-1] - 1, joints.device
    size = torch.exp(_normal((n_windows,), generator, device) * recipe.scale)
    shear = torch.exp(_normal((n_windows,), generator, device) * recipe.shear / 2)
    stretch = torch.stack([size * shear, size / shear, size * shear][:dims], dim=-1)  # (N, D)
    if dims == 2:
        matrix = _turn_about(2, _normal((n_windows,), generator, device) * math.radians(recipe.rotate_deg))[:, :2, :2]
    else:
        yaw = (2 * _uniform((n_windows,), generator, device) - 1) * math.radians(recipe.yaw_deg * turn)
        pitch = (2 * _uniform((n_windows,), generator, device) - 1) * math.radians(recipe.pitch_deg * turn)
        matrix = _turn_about(0, pitch) @ _turn_about(1, yaw)
    matrix = (matrix * stretch[:, None, :])[owner]  # (P, D, D)
    p, t, v, _ = joints.shape
    place = torch.bmm(joints[..., :-1].reshape(p, t * v, dims), matrix.transpose(1, 2)).reshape(p, t, v, dims)
    return torch.cat([place, joints[..., -1:]], dim=-1)


def _turn_about(axis: int, angle_rad: Tensor) -> Tensor:
    """Give the matrices (N, 3, 3) that turn about an axis: 0 is x, 1 the vertical, 2 the camera's line of sight."""
    one, other = [each for each in range(3) if each != axis]
    matrix = torch.eye(3, device=angle_rad.device).repeat(len(angle_rad), 1, 1)
    cos, sin = torch.cos(angle_rad), torch.sin(angle_rad)
    matrix[:, one, one], matrix[:, other, other] = cos, cos
    matrix[:, one, other], matrix[:, other, one] = -sin, sin
    return matrix


def _blur(joints: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Shake every joint in every frame, misplace it a little for the whole window, and fade the scores."""
    p, t, v, _ = joints.shape
    dims, device = joints.shape[-1] - 1, joints.device
    place, score = joints[..., :-1], joints[..., -1:]
    if recipe.noise:
        shaken = _normal((p, t, v, dims), generator, device) + _normal((p, 1, v, dims), generator, device)
        how_bad = _uniform((p, 1, 1, 1), generator, device) * 2 * (score > 0)  # some estimators are good
        place = place + shaken * how_bad * recipe.noise
    if recipe.score_fade:
        score = score * (1 - recipe.score_fade * _uniform((p, 1, 1, 1), generator, device))
    return torch.cat([place, score], dim=-1)


def mix_windows(
    joints: Tensor, targets: Tensor, recipe: Recipe, generator: torch.Generator, *, owner: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mix windows with others of as many people, joints and labels alike (Zhang et al. 2018, mixup).

    Args:
        joints: (P, T, V, D + 1).
        targets: (N, K) what is done in each window; rows sum to one.
        recipe: its `mixup` is the parameter of the Beta distribution of the shares; 0 gives everything back as it is.
        generator: the only source of chance.
        owner: (P,) the window that each person is in, rising; None if each is alone.

    Returns:
        Joints and targets of the same shapes. A joint that either window did not see has a score of 0.
    """
    if not recipe.mixup or not len(joints):
        return joints, targets
    device = joints.device
    if owner is None:
        owner = torch.arange(len(joints), device=device)
    n_people = torch.bincount(owner, minlength=len(targets))  # (N,)
    shuffled = torch.argsort(_uniform((len(targets),), generator, device))
    ranked = shuffled[torch.argsort(n_people[shuffled], stable=True)]  # shuffled among those of as many people
    partner = torch.empty_like(ranked)
    partner[ranked] = torch.roll(ranked, 1)
    partner = torch.where(n_people[partner] == n_people, partner, torch.arange(len(targets), device=device))
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    shares = np.random.default_rng(seed).beta(recipe.mixup, recipe.mixup, len(targets))
    share = torch.from_numpy(shares.astype(np.float32)).to(device)
    first = torch.cumsum(n_people, dim=0) - n_people
    other = joints[first[partner][owner] + torch.arange(len(owner), device=device) - first[owner]]
    own = share[owner][:, None, None, None]
    place = own * joints[..., :-1] + (1 - own) * other[..., :-1]
    score = torch.minimum(joints[..., -1:], other[..., -1:])
    return torch.cat([place, score], dim=-1), share[:, None] * targets + (1 - share[:, None]) * targets[partner]


def hide_joints(n_people: int, n_frames: int, recipe: Recipe, rng: np.random.Generator) -> BoolArray:
    """Choose joints that the estimator loses for a while: single ones, and parts that furniture hides.

    Args:
        n_people: P.
        n_frames: T.
        recipe: how many, and of which layout.
        rng: the only source of chance.

    Returns:
        (P, T, V), True where a joint is to be hidden.
    """
    parts = body_parts(layout(recipe.layout))  # (parts, V)
    loses_any = rng.random((n_people, 1)) < 0.5
    single = loses_any & (rng.random((n_people, parts.shape[1])) < recipe.joint_drop)
    part = (rng.random((n_people, 1)) < recipe.part_drop) & parts[rng.integers(len(parts), size=n_people)]
    stretches = [_stretch_of_frames(n_people, n_frames, rng)[:, :, None] for _ in range(2)]
    hidden: BoolArray = (stretches[0] & single[:, None]) | (stretches[1] & part[:, None])
    return hidden


def _stretch_of_frames(n_people: int, n_frames: int, rng: np.random.Generator) -> BoolArray:
    """Choose a stretch of a quarter of the frames at least, (P, T), for each person."""
    length = rng.uniform(0.25, 1, (n_people, 1)) * n_frames
    start = rng.random((n_people, 1)) * (n_frames - length)
    frame = np.arange(n_frames)
    return (frame >= start) & (frame < start + length)


def body_parts(which: Layout) -> BoolArray:
    """Give the parts that furniture or the body itself hides at once, (parts, V).

    Where the joints have the usual names: limbs, both of a kind, and the lower half. Where they do not: the branches of
    the skeleton, each from its tip to where it meets another.
    """
    parts: list[BoolArray] = []
    for names in _LIMBS.values():
        sides = [_joints_named(which, names, side) for side in ("left", "right")]
        parts += [*sides, sides[0] | sides[1]]
    named = np.stack([*parts, parts[-1] | _joints_named(which, ("hip",), "")])
    if named.any(axis=1).all():
        return named
    return _branches(which)


def _joints_named(which: Layout, names: tuple[str, ...], side: str) -> BoolArray:
    return np.array([side in joint and any(name in joint for name in names) for joint in which.joints])


def _branches(which: Layout) -> BoolArray:
    n_bones = np.bincount(np.array([joint for bone in which.bones for joint in bone], dtype=np.intp), minlength=1)
    tips = [joint for joint in range(which.n_joints) if n_bones[joint] <= 1]
    branches = np.zeros((len(tips), which.n_joints), dtype=np.bool_)
    for branch, tip in zip(branches, tips, strict=True):
        joint, before = tip, -1
        while not branch.all() and n_bones[joint] <= 2:
            branch[joint] = True
            ahead = [other for bone in which.bones if joint in bone for other in bone if other not in (joint, before)]
            if not ahead:
                break
            joint, before = ahead[0], joint
    parts = branches[~branches.all(axis=1)]
    return parts if len(parts) else branches[:1] & False  # a mere chain has no parts
