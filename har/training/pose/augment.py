"""Pictures made different by chance: what a camera, a room and a body may do that the training pictures do not show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from har.pose.coco import Person
from har.pose.views import MARGIN, View
from har.records import FloatArray, ImageArray

UPPER, LOWER = slice(0, 11), slice(11, 17)  # of COCO's joints
_FEWEST = 4  # joints of half a body


@dataclass(frozen=True, slots=True)
class Chances:
    """How often and how much a picture is changed.

    Little, since the pictures of `har synth scenes` differ much by themselves: after 90 s of one core the hourglass had
    0.26 of the joints with changes like these, 0.21 with ones twice as strong.

    Attributes:
        scale: smallest and largest change of size.
        shift: standard deviation of the middle, in sides of the crop.
        turn_share: share of crops that are turned a little.
        turn_deg: standard deviation of that.
        full_turn_share: share turned anyhow, for people who lie and cameras on the ceiling.
        mirror_share: share mirrored.
        half_share: share of crops that show the upper or the lower half of a body.
        light: largest change of brightness, as a factor.
        tint: likewise of each colour.
        grey_share: share without colour, as cameras see at night.
        blur_share: share blurred.
        noise_share: share made noisy.
        cut_share: share of which a piece is covered.
    """

    scale: tuple[float, float] = (0.8, 1.25)
    shift: float = 0.05
    turn_share: float = 0.3
    turn_deg: float = 15.0
    full_turn_share: float = 0.03
    mirror_share: float = 0.5
    half_share: float = 0.05
    light: float = 1.3
    tint: float = 1.1
    grey_share: float = 0.05
    blur_share: float = 0.05
    noise_share: float = 0.05
    cut_share: float = 0.15


STRONG = Chances(
    scale=(0.75, 1.3), turn_share=0.5, turn_deg=20.0, full_turn_share=0.1, half_share=0.15, light=1.5, tint=1.15,
    grey_share=0.1, blur_share=0.1, noise_share=0.1, cut_share=0.3,
)  # fmt: skip
"""For the frames of a few videos, which are much alike."""


def draw_crop(person: Person, n_pixels: int, chances: Chances, rng: np.random.Generator) -> View:
    """Draw how one person is shown to a crop model."""
    box = person.box
    if rng.random() < chances.half_share:
        box = _half(person, rng)
    angle = math.radians(rng.normal(0, chances.turn_deg)) if rng.random() < chances.turn_share else 0.0
    if rng.random() < chances.full_turn_share:
        angle = rng.uniform(-math.pi, math.pi)
    return View.round_box(
        box,
        n_pixels,
        margin=MARGIN * math.exp(rng.uniform(*np.log(chances.scale))),
        angle=angle,
        shift=(rng.normal(0, chances.shift), rng.normal(0, chances.shift)),
        mirrored=bool(rng.random() < chances.mirror_share),
    )


def draw_whole(size: tuple[int, int], shown: tuple[int, int], chances: Chances, rng: np.random.Generator) -> View:
    """Draw how a whole picture is shown to a detector; turned by quarters only, so that boxes stay boxes.

    Args:
        size: width and height of the picture.
        shown: width and height of what the detector sees.
        chances: how often and how much.
        rng: of all chance.
    """
    quarter = int(rng.integers(1, 4)) if rng.random() < chances.full_turn_share else 0
    zoom = math.exp(rng.uniform(*np.log(chances.scale)))
    room = abs(1 - 1 / zoom) / 2 + chances.shift
    return View.of_whole(
        *size,
        *shown,
        zoom=zoom,
        angle=quarter * math.pi / 2,
        shift=(rng.uniform(-room, room), rng.uniform(-room, room)),
        mirrored=bool(rng.random() < chances.mirror_share),
    )


def _half(person: Person, rng: np.random.Generator) -> FloatArray:
    """Give the box of half a body, or the whole one where too few joints of the half are known."""
    half = UPPER if rng.random() < 0.5 else LOWER
    joints = person.xy[half][person.visibility[half] > 0]  # (n, 2)
    if len(joints) < _FEWEST:
        return person.box
    low, high = joints.min(axis=0), joints.max(axis=0)
    return np.concatenate([low, high - low]).astype(np.float32)


def change_colours(shown: ImageArray, chances: Chances, rng: np.random.Generator) -> ImageArray:
    """Change light, colours and sharpness of what is shown, (H, W, 3), and cover a piece of it."""
    if rng.random() < chances.blur_share:
        blurred = Image.fromarray(shown).filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 1.5)))
        shown = np.asarray(blurred)
    pixels = shown.astype(np.float32)  # (H, W, 3)
    if rng.random() < chances.grey_share:
        pixels = np.repeat(pixels.mean(axis=-1, keepdims=True), 3, axis=-1)
    else:
        pixels = pixels * np.exp(rng.uniform(-1, 1, 3) * math.log(chances.tint)).astype(np.float32)
    light = math.exp(rng.uniform(-1, 1) * math.log(chances.light))
    contrast = math.exp(rng.uniform(-1, 1) * math.log(chances.light) / 2)
    pixels = (pixels - 128) * np.float32(contrast) + np.float32(128 * light)
    if rng.random() < chances.noise_share:
        pixels = pixels + rng.normal(0, rng.uniform(2, 12), pixels.shape).astype(np.float32)
    if rng.random() < chances.cut_share:
        _cover(pixels, rng)
    changed: ImageArray = np.clip(pixels, 0, 255).astype(np.uint8)
    return changed


def _cover(pixels: FloatArray, rng: np.random.Generator) -> None:
    """Cover a piece with one colour; the joints under it are still asked for (DeVries and Taylor 2017)."""
    height, width = pixels.shape[:2]
    high, wide = (int(each * rng.uniform(0.1, 0.35)) for each in (height, width))
    top, left = int(rng.integers(0, height - high + 1)), int(rng.integers(0, width - wide + 1))
    pixels[top : top + high, left : left + wide] = rng.uniform(0, 255, 3)
