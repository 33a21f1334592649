"""The worst failures of a pose estimator, drawn: people it missed, and poses that lie on nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from graphs.layouts import COCO17
from har.bench.pose_quality import FOUND_OKS, Answers, find_everybody, nobodys
from har.pose.coco import Picture, load_image
from har.pose.metrics import Guess, seen
from har.records import FloatArray
from har.training.report.pictures import PAPER, RIGHT_COLOUR, WRONG_COLOUR, Colour

LONGER_SIDE_PX = 960
AROUND = 1.0
"""How much of its surroundings is shown on each side of somebody, in sides of their box."""
LEAST_PX = 240.0
_QUALITY = 85


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """One thing that went wrong.

    Attributes:
        kind: "missed" (somebody without a pose like them) or "ghost" (a pose on nobody).
        picture: where.
        box: (4,) x, y, width, height of what went wrong, pixels.
        weight: how bad: the person's height over the picture's, or the ghost's score.
        guesses: all guesses in that picture.
        told: what it is, in words.
    """

    kind: Literal["missed", "ghost"]
    picture: Picture
    box: FloatArray
    weight: float
    guesses: tuple[Guess, ...]
    told: str


def worst_failures(pictures: Sequence[Picture], answers: Answers, *, most: int) -> list[Failure]:
    """Give the largest people missed and the surest ghosts, so many of each at most, the worst first."""
    missed = [
        Failure(
            "missed",
            each.picture,
            each.person.box,
            float(each.person.box[3]) / each.picture.height_px,
            tuple(answers.guesses[each.picture.id]),
            (
                f"{_name(each.picture)}: somebody {each.person.box[3]:.0f} px high "
                f"{f'is found with OKS {each.oks:.3f} only' if each.guess else 'is not found'}"
            ),
        )
        for each in find_everybody(pictures, answers.guesses)
        if each.oks < FOUND_OKS
    ]
    ghosts = [
        Failure(
            "ghost",
            picture,
            ghost.box,
            ghost.score,
            tuple(answers.guesses[picture.id]),
            f"{_name(picture)}: a pose on nobody, {ghost.score:.2f} sure",
        )
        for picture in pictures
        for ghost in nobodys(picture, answers.guesses[picture.id])
    ]
    return [
        failure
        for kind in (missed, ghosts)
        for failure in sorted(kind, key=lambda each: each.weight, reverse=True)[:most]
    ]


def _name(picture: Picture) -> str:
    """Name a picture with its folder: those of videos are often called by numbers alone."""
    return f"{picture.file.parent.name}/{picture.file.name}"


def draw_failure(failure: Failure) -> Image.Image:
    """Draw a failure with what is round it: annotated people blue, guesses orange, the box of what went wrong thick."""
    left, top, right, bottom = _view(failure)
    cut = Image.fromarray(load_image(failure.picture)).crop((left, top, right, bottom))
    scale = LONGER_SIDE_PX / max(cut.size)
    shown = cut.resize((max(1, round(cut.width * scale)), max(1, round(cut.height * scale))), Image.Resampling.BILINEAR)
    pen, corner = ImageDraw.Draw(shown), np.array([left, top], np.float32)
    for person in failure.picture.people:
        _draw_body(pen, (person.xy - corner) * scale, person.visibility > 0, RIGHT_COLOUR)
        _draw_box(pen, person.box, corner, scale, RIGHT_COLOUR, width_px=2)
    for each in failure.guesses:
        _draw_body(pen, (each.pose.xy - corner) * scale, seen(each.pose), WRONG_COLOUR)
    colour = RIGHT_COLOUR if failure.kind == "missed" else WRONG_COLOUR
    _draw_box(pen, failure.box, corner, scale, colour, width_px=6)
    return shown


def as_jpeg(image: Image.Image) -> bytes:
    """Give the bytes of a JPEG file."""
    file = BytesIO()
    image.save(file, format="JPEG", quality=_QUALITY)
    return file.getvalue()


def _view(failure: Failure) -> tuple[int, int, int, int]:
    """Give left, top, right, bottom of the part of the picture that is shown."""
    x, y, width, height = (float(side) for side in failure.box)
    spare = max(AROUND * max(width, height), (LEAST_PX - max(width, height)) / 2)
    size = np.array([failure.picture.width_px, failure.picture.height_px])
    low = np.clip([x - spare, y - spare], 0, size - 1)
    high = np.clip([x + width + spare, y + height + spare], low + 1, size)
    return int(low[0]), int(low[1]), int(np.ceil(high[0])), int(np.ceil(high[1]))


def _draw_body(pen: ImageDraw.ImageDraw, xy: FloatArray, there: npt.NDArray[np.bool_], colour: Colour) -> None:
    for a, b in COCO17.edges:
        if there[a] and there[b]:
            ends = [tuple(map(float, xy[joint])) for joint in (a, b)]
            pen.line(ends, fill=PAPER, width=7)
            pen.line(ends, fill=colour, width=4)
    for x, y in xy[there].tolist():
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour, outline=PAPER)


def _draw_box(
    pen: ImageDraw.ImageDraw, box: FloatArray, corner: FloatArray, scale: float, colour: Colour, *, width_px: int
) -> None:
    low, high = (box[:2] - corner) * scale, (box[:2] + box[2:] - corner) * scale
    pen.rectangle((*map(float, low), *map(float, np.maximum(low, high))), outline=colour, width=width_px)
