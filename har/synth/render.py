"""Pictures of a simulated person in a room: shaded limbs with clothes, a face and a shadow, seen in perspective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.ndimage import gaussian_filter

from har.records import ImageArray
from har.synth.body import Array, Body, P
from har.synth.camera import Camera
from har.synth.motion import Support
from har.synth.room import LIGHT, SIZE_M, Backdrop, make_backdrop
from har.synth.shapes import BoolArray, Limb, hit_limb

Colour: TypeAlias = tuple[float, float, float]
Window: TypeAlias = tuple[slice, slice]
_SHADOW_CELL_M = 0.02
_SIDES = (("left", 1.0), ("right", -1.0))


@dataclass(frozen=True, slots=True)
class Look:
    """How somebody looks; RGB, 0 to 1."""

    skin: Colour = (0.87, 0.67, 0.55)
    hair: Colour = (0.36, 0.30, 0.26)
    top: Colour = (0.62, 0.16, 0.18)
    trousers: Colour = (0.16, 0.20, 0.34)
    shoes: Colour = (0.13, 0.11, 0.10)


class Renderer:
    """Draws one person, frame by frame, before a room that is rendered once.

    Args:
        camera: which sees it.
        body: the person's proportions.
        look: the person's colours.
        supports: chairs and beds in the room.
        oversampling: rays along each side of a pixel; 2 gives smooth edges.
    """

    def __init__(
        self, camera: Camera, body: Body, *, look: Look, supports: tuple[Support, ...] = (), oversampling: int = 2
    ) -> None:
        self._camera = camera
        self._body = body
        self._look = look
        self._oversampling = oversampling
        self._room: Backdrop = make_backdrop(camera, supports, oversampling=oversampling)
        self._empty = self._shrink(self._room.colour)

    def draw(self, points: Array, *, things: tuple[Limb, ...] = ()) -> ImageArray:
        """Give the picture of one moment.

        Args:
            points: (P, 3) metres in the room.
            things: further shapes, such as what a hand holds; painted "thing".

        Returns:
            (H, W, 3) uint8, RGB.
        """
        limbs = [*make_limbs(points, self._body), *things]
        picture = self._empty.copy()
        window = self._whole_window(limbs)
        if window is None:
            return picture
        colour, reach_m = self._room.colour[window].copy(), self._room.reach_m[window].copy()
        self._cast_shadow(colour, limbs, window)
        for limb in limbs:
            self._draw_limb(colour, reach_m, limb, window)
        k = self._oversampling
        rows, columns = (slice(part.start // k, part.stop // k) for part in window)
        picture[rows, columns] = self._shrink(colour)
        return picture

    def _shrink(self, colour: Array) -> ImageArray:
        """Average the rays of each pixel."""
        k = self._oversampling
        height, width = colour.shape[0] // k, colour.shape[1] // k
        small = colour.reshape(height, k, width, k, 3).mean(axis=(1, 3))
        return np.asarray(np.clip(small * 255 + 0.5, 0, 255).astype(np.uint8))

    def _whole_window(self, limbs: list[Limb]) -> Window | None:
        """Give the rows and columns of whole pixels that the person and the shadow may touch."""
        ends = [end for limb in limbs for end in (limb.start_m, limb.end_m)]
        shadow = [np.array([*_on_floor(end), 0.0]) for end in ends]
        window = self._window(np.stack([*ends, *shadow]), 0.35)
        if window is None:
            return None
        k = self._oversampling
        rows, columns = (slice(part.start // k * k, -(-part.stop // k) * k) for part in window)
        return rows, columns

    def _window(self, xyz_m: Array, radius_m: float) -> Window | None:
        """Give the rows and columns that spheres about (N, 3) points may touch."""
        xy_px, depth_m = self._camera.project(xyz_m)
        if np.isnan(xy_px).any():
            return None
        margin = 1.2 * self._camera.focal_px * radius_m / np.maximum(depth_m - radius_m, 0.1)[:, None] + 2
        low = np.floor((xy_px - margin).min(axis=0) * self._oversampling).astype(int)
        high = np.ceil((xy_px + margin).max(axis=0) * self._oversampling).astype(int)
        height, width = self._room.reach_m.shape
        left, top = np.maximum(low, 0)
        right, bottom = np.minimum(high, (width, height))
        return (slice(top, bottom), slice(left, right)) if right > left and bottom > top else None

    def _draw_limb(self, colour: Array, reach_m: Array, limb: Limb, whole: Window) -> None:
        """Draw one limb into the cut-out `whole`; changes `colour` and `reach_m`."""
        ends = np.stack([limb.start_m, limb.end_m])
        window = self._window(ends, max(limb.start_radius_m, limb.end_radius_m))
        if window is None:
            return
        rays = self._room.rays[window].reshape(-1, 3)
        inner = _relative(window, whole)
        reach, normal, local = hit_limb(limb, origin_m=self._camera.position_m, rays=rays)
        nearer = reach < reach_m[inner].reshape(-1)
        if not nearer.any():
            return
        base = PAINTS[limb.paint](local[nearer], limb, self._look)
        shaded = np.clip(base * _light(normal[nearer], rays[nearer])[:, None], 0, 1)
        mask = nearer.reshape(reach_m[inner].shape)
        colour[inner][mask] = shaded
        reach_m[inner][mask] = reach[nearer]

    def _cast_shadow(self, colour: Array, limbs: list[Limb], whole: Window) -> None:
        """Darken the floor where the body keeps the light off; changes `colour`."""
        shadow = _shadow_map(limbs)
        spot = self._room.floor_xy_m[whole]
        floor = np.isfinite(spot[..., 0])
        cell = ((spot[floor] + np.array(SIZE_M[:2]) / 2) / _SHADOW_CELL_M).astype(int)
        cell = np.clip(cell, 0, np.array(shadow.shape) - 1)
        colour[floor] *= (1 - 0.62 * shadow[cell[:, 0], cell[:, 1]])[:, None]


def _relative(window: Window, whole: Window) -> Window:
    """Give a window counted from the corner of a larger one."""
    rows, columns = (
        slice(part.start - outer.start, part.stop - outer.start) for part, outer in zip(window, whole, strict=True)
    )
    return rows, columns


def _light(normal: Array, rays: Array) -> Array:
    """Lamp from above, light from all sides (less from below), a little from the camera's side."""
    lamp = np.maximum(normal @ LIGHT, 0.0)
    sky = 0.5 + 0.5 * normal[:, 2]
    facing = np.maximum(-np.einsum("nc,nc->n", normal, rays), 0.0)
    return np.asarray(0.30 + 0.45 * lamp + 0.16 * sky + 0.22 * facing)


def _on_floor(point_m: Array) -> Array:
    """Give the (2,) place where a point's shadow falls."""
    return np.asarray(point_m[:2] - LIGHT[:2] / LIGHT[2] * max(point_m[2], 0.0))


def _shadow_map(limbs: list[Limb]) -> Array:
    """Give (X, Y) how much of the light is kept off each cell of the floor, softer the higher the limb is."""
    size = (int(SIZE_M[0] / _SHADOW_CELL_M), int(SIZE_M[1] / _SHADOW_CELL_M))
    near, far = np.zeros(size), np.zeros(size)
    for limb in limbs:
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            point_m = limb.start_m + share * (limb.end_m - limb.start_m)
            radius = (limb.start_radius_m + share * (limb.end_radius_m - limb.start_radius_m)) / _SHADOW_CELL_M
            x, y = (_on_floor(point_m) + np.array(SIZE_M[:2]) / 2) / _SHADOW_CELL_M
            left, top = max(int(x - radius), 0), max(int(y - radius), 0)
            right, bottom = min(int(x + radius) + 2, size[0]), min(int(y + radius) + 2, size[1])
            if right <= left or bottom <= top:
                continue
            grid_x, grid_y = np.ogrid[left:right, top:bottom]
            disc = (grid_x - x) ** 2 + (grid_y - y) ** 2 <= radius**2
            (near if point_m[2] < 0.35 else far)[left:right, top:bottom][disc] = 1.0
    return np.asarray(np.maximum(gaussian_filter(near, 2.0), 0.75 * gaussian_filter(far, 5.0)))


# -- the person ------------------------------------------------------------------------------------------------------


def _unit(vector: Array) -> Array:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))


def _frame(up: Array, left: Array) -> Array:
    """Give (3, 3) rows forward, left, up from a direction up and one roughly to the left."""
    up = _unit(up)
    left = _unit(left - (left @ up) * up)
    return np.stack([np.cross(left, up), left, up])


def make_limbs(points: Array, body: Body) -> list[Limb]:
    """Clothe the points of one moment with shapes.

    Args:
        points: (P, 3) metres in the room.
        body: proportions and thickness.
    """
    at = {name: points[index] for name, index in P.items()}
    scale = body.stature_m / 1.75
    return [
        *_trunk_limbs(at, scale=scale, girth=body.girth),
        *_head_limbs(at, scale=scale),
        *(limb for side, sign in _SIDES for limb in _arm_limbs(at, side, scale=scale, sign=sign)),
        *(limb for side, _ in _SIDES for limb in _leg_limbs(at, side, scale=scale, girth=body.girth)),
    ]


def _trunk_limbs(at: Mapping[str, Array], *, scale: float, girth: float) -> list[Limb]:
    hips, shoulders = at["left_hip"] - at["right_hip"], at["left_shoulder"] - at["right_shoulder"]
    low = _frame(at["belly"] - at["pelvis"], hips)
    middle = _frame(at["chest"] - at["belly"], hips + shoulders)
    high = _frame(at["neck"] - at["chest"], shoulders)
    wide = 0.5 * (1 + girth)  # the frame of bones does not grow with the flesh
    top = at["neck"] - 0.115 * scale * high[2]
    seat = at["pelvis"] - 0.02 * scale * low[2]
    limbs = [
        Limb(seat, at["belly"], 0.158 * scale * wide, 0.146 * scale * girth, "trousers", low, 0.76),
        Limb(at["belly"], at["chest"], 0.150 * scale * girth, 0.160 * scale * wide, "top", middle, 0.74),
        Limb(at["chest"], top, 0.160 * scale * wide, 0.150 * scale * wide, "top", high, 0.70),
    ]
    yoke = [0.96 * at[f"{side}_shoulder"] + 0.04 * at["neck"] - 0.012 * scale * high[2] for side, _ in _SIDES]
    limbs += [Limb(at["neck"] - 0.035 * scale * high[2], end, 0.066 * scale, 0.060 * scale, "top", high, 0.9)
              for end in yoke]  # fmt: skip
    return limbs


def _head_limbs(at: Mapping[str, Array], *, scale: float) -> list[Limb]:
    axes = _frame(at["head_top"] - at["head"], at["left_ear"] - at["right_ear"])
    forward, _, up = axes
    centre = at["head"] + 0.004 * scale * up
    skull, jaw = centre + 0.026 * scale * up, centre - 0.048 * scale * up + 0.012 * scale * forward
    nose_root = at["nose"] - 0.018 * scale * forward + 0.020 * scale * up
    neck = Limb(at["neck"] - 0.01 * up, centre - 0.05 * up - 0.012 * scale * forward, 0.058 * scale, 0.052 * scale,
                "skin", axes)  # fmt: skip
    ears = [Limb(at[f"{side}_ear"] + 0.012 * scale * up, at[f"{side}_ear"] - 0.014 * scale * up, 0.016 * scale,
                 0.011 * scale, "skin", axes) for side, _ in _SIDES]  # fmt: skip
    hair = Limb(skull - 0.014 * scale * forward + 0.006 * scale * up, skull - 0.032 * scale * (forward + up),
                0.090 * scale, 0.082 * scale, "hair", axes)  # fmt: skip
    return [
        neck,
        Limb(skull, jaw, 0.086 * scale, 0.060 * scale, "face", axes, 1.14),
        hair,
        Limb(nose_root, at["nose"] - 0.008 * scale * forward, 0.008 * scale, 0.014 * scale, "skin", axes),
        *ears,
    ]


def _arm_limbs(at: Mapping[str, Array], side: str, *, scale: float, sign: float) -> list[Limb]:
    shoulder, elbow, wrist, hand = (at[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist", "hand"))
    axes = _frame(wrist - elbow, np.cross(wrist - elbow, elbow - shoulder) + 1e-6)
    cuff = shoulder + 0.62 * (elbow - shoulder)
    palm, along = wrist + 0.45 * (hand - wrist), _unit(hand - wrist)
    thumb_root = wrist + 0.2 * (hand - wrist)
    across = _unit(np.cross(along, axes[1]) + 1e-6)
    return [
        Limb(shoulder, cuff, 0.062 * scale, 0.053 * scale, "top", axes),
        Limb(shoulder + 0.3 * (elbow - shoulder), elbow, 0.046 * scale, 0.039 * scale, "skin", axes),
        Limb(elbow, elbow + 0.3 * (wrist - elbow), 0.039 * scale, 0.042 * scale, "skin", axes),
        Limb(elbow + 0.3 * (wrist - elbow), wrist, 0.042 * scale, 0.027 * scale, "skin", axes),
        Limb(wrist, palm, 0.028 * scale, 0.036 * scale, "skin", _frame(along, across), 0.6),
        Limb(palm, hand, 0.034 * scale, 0.018 * scale, "skin", _frame(along, across), 0.6),
        Limb(thumb_root, thumb_root + 0.055 * scale * _unit(along + 0.9 * sign * across), 0.014 * scale, 0.011 * scale,
             "skin", axes),
    ]  # fmt: skip


def _leg_limbs(at: Mapping[str, Array], side: str, *, scale: float, girth: float) -> list[Limb]:
    hip, knee, ankle = (at[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
    heel, toe = at[f"{side}_heel"], at[f"{side}_toe"]
    axes = _frame(hip - knee, at["left_hip"] - at["right_hip"])
    calf = knee + 0.3 * (ankle - knee)
    foot = _frame(np.cross(toe - heel, np.cross(ankle - heel, toe - heel)), at["left_hip"] - at["right_hip"])
    thick = scale * (0.4 + 0.6 * girth)
    return [
        Limb(hip, knee, 0.092 * thick, 0.060 * thick, "trousers", axes),
        Limb(knee, calf, 0.059 * thick, 0.061 * thick, "trousers", axes),
        Limb(calf, ankle, 0.061 * thick, 0.046 * thick, "trousers", axes),
        Limb(ankle, heel, 0.042 * scale, 0.034 * scale, "shoes", axes),
        Limb(heel, toe, 0.034 * scale, 0.030 * scale, "shoes", foot),
        Limb(ankle, heel + 0.6 * (toe - heel), 0.040 * scale, 0.032 * scale, "shoes", foot),
    ]


# -- surfaces --------------------------------------------------------------------------------------------------------


def _plain(colour: Colour, local: Array) -> Array:
    return np.repeat(np.array(colour)[None], len(local), axis=0)


def _paint_cloth(colour: Colour, local: Array) -> Array:
    """Cloth with soft folds across the limb."""
    folds = np.sin(local[:, 2] * 55 + 2.2 * np.sin(local[:, 1] * 31 + local[:, 0] * 17))
    return np.asarray(np.array(colour) * (1 + 0.07 * folds)[:, None])


def _within(local: Array, *, y: float, z: float, half_y: float, half_z: float) -> BoolArray:
    """Give which points of the front of the head lie in an ellipse; metres of an average head."""
    inside = ((local[:, 1] - y) / half_y) ** 2 + ((local[:, 2] - z) / half_z) ** 2 < 1
    return np.asarray(inside & (local[:, 0] > 0.02))


def _paint_face(local: Array, limb: Limb, look: Look) -> Array:
    """Skin with brows, eyes, cheeks and a mouth; the local origin is the middle of the skull."""
    spot = local * (0.086 / limb.start_radius_m)
    colour = _plain(look.skin, spot)
    skin = np.array(look.skin)
    for side in (-1.0, 1.0):
        y = 0.033 * side
        colour[_within(spot, y=y, z=-0.012, half_y=0.021, half_z=0.015)] = skin * 0.80
        colour[_within(spot, y=y, z=-0.013, half_y=0.016, half_z=0.0085)] = (0.95, 0.95, 0.94)
        colour[_within(spot, y=y, z=-0.013, half_y=0.0078, half_z=0.0085)] = (0.13, 0.10, 0.08)
        colour[_within(spot, y=y, z=0.007, half_y=0.022, half_z=0.0048)] = np.array(look.hair) * 0.7
        colour[_within(spot, y=0.045 * side, z=-0.052, half_y=0.014, half_z=0.012)] *= (1.04, 0.95, 0.95)
        colour[_within(spot, y=0.007 * side, z=-0.046, half_y=0.0045, half_z=0.003)] = skin * 0.55
    colour[_within(spot, y=0.0, z=-0.078, half_y=0.025, half_z=0.0085)] = (0.70, 0.33, 0.32)
    colour[_within(spot, y=0.0, z=-0.078, half_y=0.022, half_z=0.002)] = (0.35, 0.14, 0.14)
    colour[_within(spot, y=0.0, z=-0.063, half_y=0.012, half_z=0.003)] = skin * 0.84
    return np.asarray(colour)


def _paint_hair(local: Array, limb: Limb, look: Look) -> Array:
    strands = np.sin(local[:, 1] * 420 + 4 * np.sin(local[:, 2] * 60))
    return np.asarray(np.array(look.hair) * (1 + 0.12 * strands)[:, None])


PAINTS: Mapping[str, Callable[[Array, Limb, Look], Array]] = {
    "skin": lambda local, limb, look: _plain(look.skin, local),
    "top": lambda local, limb, look: _paint_cloth(look.top, local),
    "trousers": lambda local, limb, look: _paint_cloth(look.trousers, local),
    "shoes": lambda local, limb, look: _plain(look.shoes, local),
    "thing": lambda local, limb, look: _plain((0.93, 0.78, 0.20), local),
    "face": _paint_face,
    "hair": _paint_hair,
}
