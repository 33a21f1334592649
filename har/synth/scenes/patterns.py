"""Colours and patterns of walls, floors, furniture and clothes: paints of points in metres."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from har.synth.scenes.view import Floats, Paint

Colour: TypeAlias = tuple[float, float, float]

SKINS: tuple[Colour, ...] = (
    (0.94, 0.79, 0.70), (0.87, 0.67, 0.55), (0.78, 0.57, 0.45), (0.66, 0.46, 0.33), (0.52, 0.34, 0.23),
    (0.38, 0.24, 0.16), (0.25, 0.16, 0.11),
)  # fmt: skip
"""From the lightest to the darkest; what is drawn lies between two neighbours."""
HAIRS: tuple[Colour, ...] = (
    (0.86, 0.85, 0.83), (0.66, 0.65, 0.64), (0.42, 0.41, 0.40), (0.07, 0.06, 0.06), (0.16, 0.11, 0.08),
    (0.30, 0.20, 0.13), (0.68, 0.53, 0.34), (0.52, 0.24, 0.13),
)  # fmt: skip
_PASTEL, _DULL, _VIVID = (0.08, 0.75, 0.95), (0.25, 0.3, 0.75), (0.75, 0.4, 0.9)


def random_colour(rng: np.random.Generator) -> Colour:
    """Draw a colour that cloth or things have: greys, pastels, dull and vivid ones, dark and light."""
    chance = rng.random()
    if chance < 0.3:
        grey = float(rng.uniform(0.04, 0.95))
        tint = rng.normal(0, 0.015, 3)
        return _as_colour(grey + tint)
    saturation, low, high = _PASTEL if chance < 0.5 else _DULL if chance < 0.84 else _VIVID
    hue = np.abs((rng.random() * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    bright = rng.uniform(low, high)
    mixed = 1 - min(1.0, saturation * rng.uniform(0.6, 1.4)) * (1 - np.clip(hue, 0, 1))
    return _as_colour(bright * mixed)


def between(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """Draw a colour between two neighbours of a row."""
    place = rng.uniform(0, len(colours) - 1)
    low = int(place)
    one, two = np.array(colours[low]), np.array(colours[min(low + 1, len(colours) - 1)])
    return _as_colour(one + (place - low) * (two - one))


def near(rng: np.random.Generator, colour: Colour, *, spread: float = 0.04) -> Colour:
    """Draw a colour near another one."""
    return _as_colour(np.array(colour) + rng.normal(0, spread, 3))


def shade(rng: np.random.Generator, colour: Colour) -> Colour:
    """Draw the same colour a little lighter or darker."""
    return _as_colour(np.array(colour) * rng.uniform(0.8, 1.2))


def _as_colour(values: Floats) -> Colour:
    red, green, blue = (float(value) for value in np.clip(values, 0.02, 0.98))
    return red, green, blue


# -- paints ----------------------------------------------------------------------------------------------------------


def plain(colour: Colour) -> Paint:
    """One colour all over."""
    flat = np.array(colour, dtype=np.float32)
    return lambda spot: np.broadcast_to(flat, spot.shape)


def folded(paint: Paint, *, depth: float = 0.05) -> Paint:
    """Cloth: another paint with soft folds."""

    def with_folds(spot: Floats) -> Floats:
        wave = np.sin(spot[:, 2] * 38 + 2.2 * np.sin(spot[:, 1] * 27 + spot[:, 0] * 17))
        return np.asarray(paint(spot) * (1 + depth * wave)[:, None])

    return with_folds


def striped(one: Colour, two: Colour, *, period_m: float, axis: int, share: float = 0.5) -> Paint:
    """Stripes across an axis."""
    return _two(one, two, lambda spot: np.mod(spot[:, axis] / period_m, 1.0) < share)


def checked(one: Colour, two: Colour, *, period_m: float, axes: tuple[int, int] = (1, 2)) -> Paint:
    """Squares of two colours."""
    return _two(
        one, two, lambda spot: (np.floor(spot[:, axes[0]] / period_m) + np.floor(spot[:, axes[1]] / period_m)) % 2 < 1
    )


def dotted(one: Colour, two: Colour, *, period_m: float, axes: tuple[int, int] = (1, 2)) -> Paint:
    """Dots of the first colour on the second."""

    def in_dot(spot: Floats) -> Floats:
        offset = np.mod(spot[:, list(axes)] / period_m, 1.0) - 0.5
        return np.asarray((offset**2).sum(axis=1) < 0.07)

    return _two(one, two, in_dot)


def blotched(one: Colour, two: Colour, *, size_m: float, seed: float) -> Paint:
    """Soft blotches between two colours: flowers, carpets, posters."""
    first, second = np.array(one, dtype=np.float32), np.array(two, dtype=np.float32)

    def mixed(spot: Floats) -> Floats:
        x, y, z = (spot[:, axis] / size_m for axis in range(3))
        wave = np.sin(2.1 * x + seed) + np.sin(2.7 * y + 2 * seed + np.sin(1.3 * z)) + np.sin(2.3 * z + 3 * seed + x)
        share = np.clip(0.5 + 0.8 * wave, 0, 1)[:, None]
        return np.asarray(first * share + second * (1 - share))

    return mixed


def gridded(tile: Colour, joint: Colour, *, period_m: float, axes: tuple[int, int] = (0, 1)) -> Paint:
    """Tiles with joints."""
    return _two(joint, tile, lambda spot: (np.mod(spot[:, list(axes)] / period_m, 1.0) < 0.04).any(axis=1))


def planked(colour: Colour, *, width_m: float, axis: int) -> Paint:
    """Wooden planks along an axis of the floor, each a little different."""
    wood = np.array(colour, dtype=np.float32)

    def planks(spot: Floats) -> Floats:
        along, across = spot[:, axis], spot[:, 1 - axis] / width_m
        row = np.floor(across)
        shifted = (along + 0.7 * np.mod(row * 0.618, 1.0)) / 1.3
        tone = np.mod(np.sin(row * 12.9898 + np.floor(shifted) * 78.233) * 437.585, 1.0)
        seam = (np.mod(across, 1.0) < 0.04) | (np.mod(shifted, 1.0) < 0.005)
        return np.asarray(wood * ((0.86 + 0.16 * tone) * np.where(seam, 0.75, 1.0))[:, None])

    return planks


def _two(one: Colour, two: Colour, is_one: Callable[[Floats], Floats]) -> Paint:
    first, second = np.array(one, dtype=np.float32), np.array(two, dtype=np.float32)
    return lambda spot: np.where(is_one(spot)[:, None], first, second)


def random_cloth(rng: np.random.Generator, colour: Colour, *, patterned: float) -> Paint:
    """Draw cloth of mainly one colour.

    Args:
        rng: source of the differences.
        colour: the main one.
        patterned: share that has stripes, squares, dots or flowers.
    """
    other, chance = random_colour(rng), rng.random() / max(patterned, 1e-9)
    if chance >= 1:
        return folded(plain(colour))
    if chance < 0.4:
        axis = int(rng.choice((1, 2, 2)))
        share = float(rng.uniform(0.2, 0.7))
        return folded(striped(colour, other, period_m=float(rng.uniform(0.03, 0.16)), axis=axis, share=share))
    if chance < 0.6:
        return folded(checked(colour, other, period_m=float(rng.uniform(0.025, 0.08))))
    if chance < 0.75:
        return folded(dotted(other, colour, period_m=float(rng.uniform(0.04, 0.1))))
    return folded(blotched(colour, other, size_m=float(rng.uniform(0.02, 0.12)), seed=float(rng.uniform(0, 9))))
