"""The worst failures of a pose estimator, drawn: people it missed, and poses that lie on nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from graphs.layouts import COCO17
from har.bench.pose_people import Wrong
from har.bench.pose_quality import FOUND_OKS, Answers, find_everybody, nobodys
from har.pose.coco import Picture, load_image
from har.pose.metrics import seen
from har.records import FloatArray, ImageArray, Pose
from har.sources import open_source
from har.training.report.pictures import PAPER, RIGHT_COLOUR, WRONG_COLOUR, Colour

LONGER_SIDE_PX = 960
AROUND = 1.0
"""How much of its surroundings is shown on each side of somebody, in sides of their box."""
LEAST_PX = 240.0
_QUALITY = 85
_A_VIDEO = 2  # of the moments of one video that are alike


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """One thing that went wrong.

    Attributes:
        told: what it is, in words.
        of_truth: it is a person who was missed; otherwise a pose that is wrong.
        box: (4,) x, y, width, height of what went wrong, pixels.
        image: gives the picture.
        boxes: (4,) each, of everybody there.
        bodies: the annotated joints of everybody who has some; a score of 0 is "not annotated".
        poses: what the estimator saw.
    """

    told: str
    of_truth: bool
    box: FloatArray
    image: Callable[[], ImageArray]
    boxes: tuple[FloatArray, ...]
    bodies: tuple[Pose, ...]
    poses: tuple[Pose, ...]


def worst_in_pictures(pictures: Sequence[Picture], answers: Answers, *, most: int) -> list[Failure]:
    """Give the largest people missed and the surest ghosts, so many of each at most, the worst first."""
    missed = [each for each in find_everybody(pictures, answers.guesses) if each.oks < FOUND_OKS]
    missed.sort(key=lambda each: each.person.box[3] / each.picture.height_px, reverse=True)
    ghosts = [(each, ghost) for each in pictures for ghost in nobodys(each, answers.guesses[each.id])]
    ghosts.sort(key=lambda each: each[1].score, reverse=True)
    failures = []
    for each in missed[:most]:
        said = f"is found with OKS {each.oks:.3f} only" if each.guess else "is not found"
        told = f"{_name(each.picture)}: somebody {each.person.box[3]:.0f} px high {said}"
        failures.append(_in_picture(each.picture, answers, told, each.person.box, of_truth=True))
    for picture, ghost in ghosts[:most]:
        told = f"{_name(picture)}: a pose on nobody, {ghost.score:.2f} sure"
        failures.append(_in_picture(picture, answers, told, ghost.box, of_truth=False))
    return failures


def _in_picture(picture: Picture, answers: Answers, told: str, box: FloatArray, *, of_truth: bool) -> Failure:
    people = picture.people
    return Failure(
        told=told,
        of_truth=of_truth,
        box=box,
        image=partial(load_image, picture),
        boxes=tuple(person.box for person in people),
        bodies=tuple(Pose(person.xy, (person.visibility > 0).astype(np.float32)) for person in people),
        poses=tuple(guess.pose for guess in answers.guesses[picture.id]),
    )


def _name(picture: Picture) -> str:
    """Name a picture with its folder: those of videos are often called by numbers alone."""
    return f"{picture.file.parent.name}/{picture.file.name}"


def worst_in_videos(wrong: Sequence[Wrong], data: Path, *, most: int) -> list[Failure]:
    """Give moments of different videos in which the estimator was wrong, of each kind at most so many.

    Args:
        wrong: all of them, in order of time.
        data: the folder that the names of videos start from.
        most: of each kind.

    Raises:
        SourceError: a video cannot be read any more.
    """
    chosen = [each for kind in Wrong.TOLD for each in _spread([one for one in wrong if one.kind == kind], most=most)]
    images = {
        video: _frames(data / video, {each.number for each in chosen if each.video == video})
        for video in dict.fromkeys(each.video for each in chosen)
    }
    return [_in_video(each, images[each.video]) for each in chosen]


def _spread(wrong: Sequence[Wrong], *, most: int) -> list[Wrong]:
    """Choose moments of many videos before several of one, and those far apart in time."""
    rounds: list[tuple[int, Wrong]] = []
    for video in dict.fromkeys(each.video for each in wrong):
        mine = [each for each in wrong if each.video == video]
        rounds += enumerate(mine[:: -(-len(mine) // _A_VIDEO)])
    return [each for _, each in sorted(rounds, key=lambda pair: pair[0])][:most]


def _frames(video: Path, numbers: set[int]) -> dict[int, ImageArray]:
    """Read some frames of a video by their numbers from 0."""
    found = {}
    with open_source(str(video), camera="evaluate", paced=False) as source:
        for number, frame in enumerate(source.frames()):
            if number in numbers:
                found[number] = frame.image
            if len(found) == len(numbers):
                break
    return found


def _in_video(wrong: Wrong, images: Mapping[int, ImageArray]) -> Failure:
    boxes = tuple(_sides(each.box.x0, each.box.y0, each.box.x1, each.box.y1) for each in wrong.people)
    box = wrong.box
    return Failure(
        told=f"{wrong.video}, frame {wrong.number}: {Wrong.TOLD[wrong.kind]}",
        of_truth=wrong.kind != "ghost",
        box=_sides(box.x0, box.y0, box.x1, box.y1),
        image=lambda: images[wrong.number],
        boxes=boxes,
        bodies=(),
        poses=tuple(wrong.poses),
    )


def _sides(x0: float, y0: float, x1: float, y1: float) -> FloatArray:
    return np.array([x0, y0, x1 - x0, y1 - y0], np.float32)


def draw_failure(failure: Failure) -> Image.Image:
    """Draw a failure with what is round it: annotated people blue, guesses orange, the box of what went wrong thick."""
    whole = Image.fromarray(failure.image())
    left, top, right, bottom = _view(failure.box, whole.size)
    cut = whole.crop((left, top, right, bottom))
    scale = LONGER_SIDE_PX / max(cut.size)
    shown = cut.resize((max(1, round(cut.width * scale)), max(1, round(cut.height * scale))), Image.Resampling.BILINEAR)
    pen, corner = ImageDraw.Draw(shown), np.array([left, top], np.float32)
    for box in failure.boxes:
        _draw_box(pen, box, corner, scale, RIGHT_COLOUR, width_px=2)
    for bodies, colour in ((failure.bodies, RIGHT_COLOUR), (failure.poses, WRONG_COLOUR)):
        for body in bodies:
            _draw_body(pen, body, corner, scale, colour)
    _draw_box(pen, failure.box, corner, scale, RIGHT_COLOUR if failure.of_truth else WRONG_COLOUR, width_px=6)
    return shown


def as_jpeg(image: Image.Image) -> bytes:
    """Give the bytes of a JPEG file."""
    file = BytesIO()
    image.save(file, format="JPEG", quality=_QUALITY)
    return file.getvalue()


def _view(box: FloatArray, size_px: tuple[int, int]) -> tuple[int, int, int, int]:
    """Give left, top, right, bottom of the part of a picture that is shown."""
    x, y, width, height = (float(side) for side in box)
    spare = max(AROUND * max(width, height), (LEAST_PX - max(width, height)) / 2)
    size = np.array(size_px)
    low = np.clip([x - spare, y - spare], 0, size - 1)
    high = np.clip([x + width + spare, y + height + spare], low + 1, size)
    return int(low[0]), int(low[1]), int(np.ceil(high[0])), int(np.ceil(high[1]))


def _draw_body(pen: ImageDraw.ImageDraw, body: Pose, corner: FloatArray, scale: float, colour: Colour) -> None:
    there, xy = seen(body), (body.xy - corner) * scale
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
