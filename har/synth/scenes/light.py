"""Light in a room: a lamp with shadows, light from all sides, and a camera's own lamp at night."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from har.records import FloatArray
from har.synth.body import Array
from har.synth.camera import NEAR_M, Camera, look_at
from har.synth.scenes.view import View, open_view

_MAP_PX = 224
_SOFT_PX = 0.8  # how far apart the rays of one pixel look for the lamp: a soft edge once they are averaged
_CLEAR_M = 0.06  # nearer to what keeps the light off counts as lit: folds and joints of the same limb
KINDS = {"day": 0.5, "lamp": 0.25, "dim": 0.13, "infra-red": 0.12}
"""Share of rooms by their light."""


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """How a room is lit.

    Attributes:
        kind: a key of `KINDS`.
        lamp: where the lamp is and which part of the room it looks at, as a camera.
        lamp_rgb: (3,) strength of the lamp at a surface that faces it.
        sky_rgb: (3,) strength of the light from all sides.
        own_rgb: (3,) strength of the light that comes from the camera's side.
        own_reach_m: distance at which the camera's own light has fallen to a half; infinite without such a lamp.
    """

    kind: str
    lamp: Camera
    lamp_rgb: FloatArray
    sky_rgb: FloatArray
    own_rgb: FloatArray
    own_reach_m: float


def random_light(rng: np.random.Generator) -> Light:
    """Draw the light of a room: by day, by a lamp in the evening, dim, or a camera's infra-red lamp at night."""
    kind = str(rng.choice(tuple(KINDS), p=tuple(KINDS.values())))
    azimuth, height = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(35, 85))
    way = np.array([np.cos(height) * np.cos(azimuth), np.cos(height) * np.sin(azimuth), np.sin(height)])
    lamp = look_at(9.0 * way, np.array([0.0, 0.0, 0.3]), field_of_view_deg=48, width_px=_MAP_PX, height_px=_MAP_PX)
    warm = rng.uniform(-0.12, 0.12) if kind == "day" else rng.uniform(-0.05, 0.3)
    tint = np.array([1 + warm, 1.0, 1 - 1.2 * warm])
    hard = rng.uniform(0.1, 0.75)  # share of the lamp
    if kind == "infra-red":
        own = rng.uniform(0.6, 1.1)
        return Light(kind, lamp, _rgb(0.0), _rgb(rng.uniform(0.02, 0.12)), _rgb(own), float(rng.uniform(2.0, 5.0)))
    bright = rng.uniform(0.75, 1.25) if kind != "dim" else rng.uniform(0.08, 0.3)
    return Light(
        kind,
        lamp,
        _rgb(bright * hard * tint),
        _rgb(bright * (1 - hard) * (0.75 + 0.25 * tint)),
        _rgb(bright * rng.uniform(0.05, 0.3)),
        np.inf,
    )


def _rgb(value: float | Array) -> FloatArray:
    return np.broadcast_to(np.asarray(value, dtype=np.float32), (3,)).copy()


@dataclass(frozen=True, slots=True, eq=False)
class Lit:
    """The light on some surfaces of a view, apart for what a shadow can take away.

    Attributes:
        steady: (N, 3) RGB that no shadow takes.
        lamp: (N, 3) RGB that comes from the lamp.
        cell: (N,) index of the place in the lamp's picture.
        far_m: (N,) distance from the lamp.
    """

    steady: FloatArray
    lamp: FloatArray
    cell: npt.NDArray[np.intp]
    far_m: FloatArray

    def colour(self, shadows: View) -> FloatArray:
        """Give (N, 3) RGB under the shadows of what the lamp sees."""
        reaches = (shadows.reach_m.reshape(-1)[self.cell] + np.float32(_CLEAR_M)) > self.far_m
        return np.asarray(self.steady + self.lamp * reaches[:, None])


def light_up(view: View, light: Light, where: npt.NDArray[np.bool_]) -> Lit:
    """Light the surfaces of a view.

    Args:
        view: what is seen.
        light: of the room.
        where: (H, W) which rays.
    """
    colour, normal = view.colour[where], view.normal[where]
    reach, rays = view.reach_m[where], view.rays[where]
    spot = view.camera.position_m.astype(np.float32) + reach[:, None] * rays
    from_lamp = spot - light.lamp.position_m.astype(np.float32)
    far_m = np.sqrt(np.einsum("nc,nc->n", from_lamp, from_lamp))
    facing = np.maximum(-np.einsum("nc,nc->n", normal, from_lamp) / far_m, 0.0)
    towards = np.maximum(-np.einsum("nc,nc->n", normal, rays), 0.0)
    own = (0.35 + 0.65 * towards) / (1 + (reach / np.float32(light.own_reach_m)) ** 2)
    sky = 0.72 + 0.28 * normal[:, 2]
    steady = colour * (sky[:, None] * light.sky_rgb + own[:, None] * light.own_rgb)
    lamp = colour * (facing[:, None] * light.lamp_rgb)
    return Lit(steady, lamp, _cells(spot, light.lamp, where), far_m)


def _cells(spot: FloatArray, lamp: Camera, where: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Give (N,) where in the lamp's picture each spot lies; the rays of one pixel look a little apart."""
    seen = (spot - lamp.position_m.astype(np.float32)) @ lamp.axes.T.astype(np.float32)
    scale = np.float32(lamp.focal_px) / np.maximum(seen[:, 2], NEAR_M)
    row, column = np.nonzero(where)
    x = seen[:, 0] * scale + np.float32(0.5 * lamp.width_px) + (column % 2 - 0.5) * np.float32(2 * _SOFT_PX)
    y = seen[:, 1] * scale + np.float32(0.5 * lamp.height_px) + (row % 2 - 0.5) * np.float32(2 * _SOFT_PX)
    x, y = np.clip(x.astype(int), 0, lamp.width_px - 1), np.clip(y.astype(int), 0, lamp.height_px - 1)
    return np.asarray(y * lamp.width_px + x)


def open_shadows(light: Light) -> View:
    """Give the lamp's view of an empty space, for things to be drawn into; their colours do not matter."""
    return open_view(light.lamp, oversampling=1)
