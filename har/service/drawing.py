"""Skeletons, labels and danger as a picture: flat colours, soft edges, readable at 320x240 and at 1280x720.

Colours are those of Okabe and Ito ("Color Universal Design", 2008), which people with any kind of colour vision tell
apart; and what a colour says is always said in words or by a shape as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from graphs.layouts import LAYOUTS
from har.pose.masks import paste
from har.records import SEEN_SCORE, DangerKind, FloatArray, ImageArray, Silhouette

Colour: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float]

LEFT: Final[Colour] = (230, 159, 0)
RIGHT: Final[Colour] = (86, 180, 233)
MIDDLE: Final[Colour] = (245, 245, 245)
SUSPECTED: Final[Colour] = (240, 228, 66)
RAISED: Final[Colour] = (192, 72, 0)
INK: Final[Colour] = (16, 20, 26)
PAPER: Final[Colour] = (250, 250, 250)
BACKDROP: Final[Colour] = (44, 51, 61)
CALM: Final[Colour] = (168, 180, 194)

_HEADLINES: Final[dict[DangerKind, str]] = {"fall": "FALL", "risk": "POSSIBLE FALL", "floor": "ON THE FLOOR"}
_MAX_BANNERS = 2
_FAINT_SCORE = 0.5  # BlazePose gives hidden joints about this or less: drawn, but faintly
_FAR = 2.0  # joints this many pictures away are errors of the estimator
_ELLIPSIS = "..."
_MAX_LABEL = 40

# Radii in lengths of the trunk, from mean adult breadths (head 0.22 m, thigh 0.17 m, trunk 0.48 m, body 1.6 m).
_TRUNK_OF_BODY = 0.3
_RADIUS = {"shoulder": 0.13, "elbow": 0.09, "wrist": 0.08, "hip": 0.17, "knee": 0.12, "ankle": 0.09}
_HEAD_R, _NECK_R, _SIDE_R = 0.25, 0.10, 0.16

_COCO = LAYOUTS["coco17"]
_JOINT = {name: i for i, name in enumerate(_COCO.joints)}
_FACE = [_JOINT[n] for n in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")]


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """One person as drawn in one frame.

    Attributes:
        person: the number shown.
        joints: (17, 3) float32 COCO-17 x, y in pixels and score.
        body_px: length of the upright body, pixels.
        label: what the person does; empty if not known.
        danger: probability of danger in [0, 1]; 0 while there is none.
        raised: an alert tells of it.
        silhouette: the person's shape; None from an estimator that gives none.
    """

    person: int
    joints: FloatArray
    body_px: float
    label: str
    danger: float
    raised: bool
    silhouette: Silhouette | None = None


@dataclass(frozen=True, slots=True)
class Danger:
    """One danger that is on, as told in a banner.

    Attributes:
        person: whose.
        kind: "fall", "risk" or "floor".
        probability: in [0, 1].
        reason: why, in words.
        raised_s: pts at which its alert was raised, seconds; None until then.
    """

    person: int
    kind: DangerKind
    probability: float
    reason: str
    raised_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Stroke:
    """A line with round ends, whose radius may change along it."""

    a: Point
    b: Point
    radius_a_px: float
    radius_b_px: float
    colour: Colour = CALM
    strength: float = 1.0


def draw_scene(image: ImageArray, *, figures: Sequence[Figure], dangers: Sequence[Danger], source_time_s: float,
               silhouette: bool, room: ImageArray | None = None,
               others: Sequence[Silhouette] = ()) -> ImageArray:  # fmt: skip
    """Draw what is known of one frame.

    Args:
        image: (H, W, 3) uint8, RGB; not changed.
        figures: everybody seen.
        dangers: those that are on.
        source_time_s: pts, seconds; shown in the lower left corner.
        silhouette: put nothing of `image` but its size into the result: people are flat shapes before `room`.
        room: (H, W, 3) uint8, RGB, what stands behind silhouettes; a plain wall if None.
        others: shapes that belong to no figure; drawn with silhouettes only.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    picture = _wall(image, room) if silhouette else image.copy()
    size_px = _text_px(picture)
    width_px = max(1.0, size_px / 9)
    for shape in others if silhouette else ():
        _paint_shape(picture, shape, colour=CALM)
    for figure in figures:
        points = _points(figure, picture)
        colour = _colour_of(figure, otherwise=CALM)
        if silhouette and figure.silhouette is not None:
            _paint_shape(picture, figure.silhouette, colour=colour)
        elif silhouette:
            _paint(picture, _body(points, figure), colour=colour)
        _draw_bones(picture, points, figure.joints[:, 2], radius_px=width_px)
    for figure in sorted(figures, key=lambda f: f.danger):
        _draw_tag(picture, figure, size_px=size_px)
    _draw_clock(picture, source_time_s, size_px=size_px)
    if dangers:
        _draw_banners(picture, dangers, source_time_s, size_px=size_px)
    return picture


def _wall(image: ImageArray, room: ImageArray | None) -> ImageArray:
    """Give what stands behind silhouettes, a copy to draw on."""
    return np.full_like(image, BACKDROP) if room is None else room.copy()


def _text_px(picture: ImageArray) -> int:
    """Height of letters: 11 pixels at 320x240, 24 at 1280x720."""
    height, width = picture.shape[:2]
    return int(np.clip(round(min(height, 0.75 * width) / 30), 11, 48))


def _colour_of(figure: Figure, *, otherwise: Colour) -> Colour:
    if figure.raised:
        return RAISED
    return SUSPECTED if figure.danger > 0 else otherwise


# -- bodies ----------------------------------------------------------------------------------------------------------


def _points(figure: Figure, picture: ImageArray) -> dict[int, Point]:
    """Give the joints seen, by number; those far outside the picture are left out."""
    height, width = picture.shape[:2]
    x, y, score = figure.joints.astype(np.float64).T
    with np.errstate(invalid="ignore"):
        seen = (np.abs(x) <= _FAR * width) & (np.abs(y) <= _FAR * height) & (score >= SEEN_SCORE)
    return {int(i): (float(x[i]), float(y[i])) for i in np.flatnonzero(seen)}


def _draw_bones(picture: ImageArray, points: dict[int, Point], score: FloatArray, *, radius_px: float) -> None:
    """Draw the skeleton: the person's left side in one colour, the right in another, on a dark rim."""
    strokes = []
    for a, b in _COCO.edges:
        if a in points and b in points:
            strength = 1.0 if min(score[a], score[b]) >= _FAINT_SCORE else 0.45
            strokes.append(_Stroke(points[a], points[b], radius_px, radius_px, _side_colour(a, b), strength))
    for i, point in points.items():
        radius = radius_px * (1.1 if i in _FACE else 1.7)
        strength = 1.0 if score[i] >= _FAINT_SCORE else 0.45
        strokes.append(_Stroke(point, point, radius, radius, _side_colour(i, i), strength))
    rim = [_Stroke(s.a, s.b, s.radius_a_px + 0.7 * radius_px, s.radius_b_px + 0.7 * radius_px) for s in strokes]
    _paint(picture, rim, colour=INK, strength=0.6)
    for stroke in strokes:
        _paint(picture, [stroke], colour=stroke.colour, strength=stroke.strength)


@cache
def _side_colour(a: int, b: int) -> Colour:
    sides = {_COCO.joints[joint].split("_")[0] for joint in (a, b)}
    if sides == {"left"} or sides == {"left", "nose"}:
        return LEFT
    if sides == {"right"} or sides == {"right", "nose"}:
        return RIGHT
    return MIDDLE


def _body(points: dict[int, Point], figure: Figure) -> list[_Stroke]:
    """Give a body's outline as thick strokes: limbs, trunk, neck and head."""
    unit = _TRUNK_OF_BODY * figure.body_px if np.isfinite(figure.body_px) else 0.0
    strokes = []
    for side in ("left", "right"):
        for upper, lower in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")):
            a, b = _JOINT[f"{side}_{upper}"], _JOINT[f"{side}_{lower}"]
            if a in points and b in points:
                strokes.append(_Stroke(points[a], points[b], _RADIUS[upper] * unit, _RADIUS[lower] * unit))
    shoulders = _middle(points, "shoulder")
    face = [points[i] for i in _FACE if i in points]
    head = tuple(np.mean(face, axis=0).tolist()) if face else None
    strokes += _trunk(points, unit)
    if shoulders and head:
        strokes.append(_Stroke(shoulders, head, _NECK_R * unit, _NECK_R * unit))
    if head:
        strokes.append(_Stroke(head, head, _HEAD_R * unit, _HEAD_R * unit))
    return strokes


def _trunk(points: dict[int, Point], unit: float) -> list[_Stroke]:
    """Fill the trunk with strokes side by side, from shoulder to hip; from one side alone if only that was seen."""
    sides = []
    for side in ("left", "right"):
        ends = _JOINT[f"{side}_shoulder"], _JOINT[f"{side}_hip"]
        if all(joint in points for joint in ends):
            sides.append(np.array([points[joint] for joint in ends]))
    strokes = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0) if sides else ():
        (ax, ay), (bx, by) = (sides[0] + share * (sides[-1] - sides[0])).tolist()
        strokes.append(_Stroke((ax, ay), (bx, by), _RADIUS["shoulder"] * unit, _SIDE_R * unit))
    return strokes


def _middle(points: dict[int, Point], part: str) -> Point | None:
    pair = [points[_JOINT[f"{side}_{part}"]] for side in ("left", "right") if _JOINT[f"{side}_{part}"] in points]
    if not pair:
        return None
    x, y = np.mean(pair, axis=0).tolist()
    return x, y


def _paint(picture: ImageArray, strokes: Sequence[_Stroke], *, colour: Colour, strength: float = 1.0) -> None:
    """Paint strokes as one shape, with edges softened over one pixel."""
    parts = [part for stroke in strokes if (part := _cover(stroke, picture)) is not None]
    if not parts:
        return
    x0, y0 = min(p[0] for p in parts), min(p[1] for p in parts)
    x1, y1 = max(p[0] + p[2].shape[1] for p in parts), max(p[1] + p[2].shape[0] for p in parts)
    cover = np.zeros((y1 - y0, x1 - x0), dtype=np.float32)
    for x, y, one in parts:
        region = cover[y - y0 : y - y0 + one.shape[0], x - x0 : x - x0 + one.shape[1]]
        np.maximum(region, one, out=region)
    _blend(picture, cover * np.float32(strength), colour=colour, x=x0, y=y0)


def _paint_shape(picture: ImageArray, shape: Silhouette, *, colour: Colour) -> None:
    """Fill the pixels that are more likely than not of a person."""
    picture[paste(shape, width_px=picture.shape[1], height_px=picture.shape[0])] = colour


def _cover(stroke: _Stroke, picture: ImageArray) -> tuple[int, int, FloatArray] | None:
    """Give the left and upper end of a stroke's box and how much of each pixel in it the stroke covers."""
    height, width = picture.shape[:2]
    (ax, ay), (bx, by) = stroke.a, stroke.b
    reach = max(stroke.radius_a_px, stroke.radius_b_px) + 1.0
    x0, x1 = max(int(min(ax, bx) - reach), 0), min(int(max(ax, bx) + reach) + 2, width)
    y0, y1 = max(int(min(ay, by) - reach), 0), min(int(max(ay, by) + reach) + 2, height)
    if x0 >= x1 or y0 >= y1:
        return None
    x = np.arange(x0, x1, dtype=np.float32)[None, :] + np.float32(0.5 - ax)
    y = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5 - ay)
    dx, dy = bx - ax, by - ay
    along = np.clip((x * dx + y * dy) / max(dx * dx + dy * dy, 1e-6), 0, 1)
    radius = stroke.radius_a_px + (stroke.radius_b_px - stroke.radius_a_px) * along
    cover: FloatArray = np.clip(radius + 0.5 - np.hypot(x - along * dx, y - along * dy), 0, 1).astype(np.float32)
    return x0, y0, cover


def _blend(picture: ImageArray, cover: FloatArray, *, colour: Colour, x: int, y: int) -> None:
    """Lay a colour over a picture, as strongly as `cover` says; what lies outside is cut off."""
    height, width = picture.shape[:2]
    cover = cover[max(-y, 0) : max(height - y, 0), max(-x, 0) : max(width - x, 0)]
    x, y = max(x, 0), max(y, 0)
    region = picture[y : y + cover.shape[0], x : x + cover.shape[1]]
    region[:] = np.rint(region + (np.asarray(colour, dtype=np.float32) - region) * cover[..., None]).astype(np.uint8)


# -- words -----------------------------------------------------------------------------------------------------------


def _draw_tag(picture: ImageArray, figure: Figure, *, size_px: int) -> None:
    """Put number, action and danger over a person's head; danger also as a bar."""
    known = np.array(list(_points(figure, picture).values()))
    if not len(known):
        return
    height, width = picture.shape[:2]
    text = f"#{figure.person} {_plain(figure.label)[:_MAX_LABEL]}".strip()
    if figure.danger > 0:
        text = f"{text}  danger {100 * min(figure.danger, 1.0):.0f}%"
    mask, pad = _letters(text, size_px), max(2, size_px // 4)
    bar_px = max(5, size_px // 3) if figure.danger > 0 else 0
    tag_width, tag_height = mask.shape[1] + 2 * pad, mask.shape[0] + 2 * pad + bar_px
    (left, top), right = known.min(axis=0), known[:, 0].max()
    x = int(np.clip((left + right - tag_width) / 2, 0, max(width - tag_width, 0)))
    y = int(np.clip(top - 1.2 * size_px - tag_height, 0, max(height - tag_height, 0)))
    colour = _colour_of(figure, otherwise=INK)
    _fill(picture, x, y, tag_width, tag_height, colour=colour, strength=0.9 if figure.danger > 0 else 0.7)
    _blend(picture, mask, colour=_ink_on(colour), x=x + pad, y=y + pad)
    if bar_px:
        _fill(picture, x, y + tag_height - bar_px, tag_width, bar_px, colour=INK)
        filled = round((tag_width - 2) * min(max(figure.danger, 0.0), 1.0))
        _fill(picture, x + 1, y + tag_height - bar_px + 1, filled, bar_px - 2, colour=PAPER)


def _draw_clock(picture: ImageArray, source_time_s: float, *, size_px: int) -> None:
    minutes, seconds = divmod(max(source_time_s, 0.0), 60.0)
    text = f"{minutes:.0f}:{seconds:04.1f}" if minutes else f"{seconds:.1f} s"
    mask, pad = _letters(text, size_px), max(2, size_px // 4)
    y = picture.shape[0] - mask.shape[0] - 2 * pad
    _fill(picture, 0, y, mask.shape[1] + 2 * pad, mask.shape[0] + 2 * pad, colour=INK, strength=0.7)
    _blend(picture, mask, colour=PAPER, x=pad, y=y + pad)


def _draw_banners(picture: ImageArray, dangers: Sequence[Danger], source_time_s: float, *, size_px: int) -> None:
    """Tell of the gravest dangers along the upper edge, away from the floor; an alert also frames the picture."""
    height, width = picture.shape[:2]
    gravest = sorted(dangers, key=lambda d: (d.raised_s is None, -d.probability))
    if gravest[0].raised_s is not None:
        edge = max(2, size_px // 4)
        for box in ((0, height - edge, width, edge), (0, 0, edge, height), (width - edge, 0, edge, height)):
            _fill(picture, *box, colour=RAISED)
    top = 0
    for i, danger in enumerate(gravest[:_MAX_BANNERS]):
        top += _draw_banner(picture, danger, source_time_s, size_px=size_px, top=top, with_reason=i == 0)


def _draw_banner(
    picture: ImageArray, danger: Danger, source_time_s: float, *, size_px: int, top: int, with_reason: bool
) -> int:
    """Draw one banner that begins at `top`; gives its height."""
    width, pad = picture.shape[1], max(3, size_px // 3)
    colour = SUSPECTED if danger.raised_s is None else RAISED
    headline = _letters(_headline(danger, source_time_s), _fitting(round(1.4 * size_px), size_px, picture))
    reason = _plain(danger.reason) if with_reason else ""
    lines = _wrap(reason, size_px=size_px, width_px=width - 2 * pad)
    rows = [headline, *(_letters(line, size_px) for line in lines)]
    total = sum(len(row) for row in rows) + pad * (len(rows) + 1)
    _fill(picture, 0, top, width, total, colour=colour, strength=0.93)
    y = top + pad
    for row in rows:
        _blend(picture, row[:, : width - pad], colour=_ink_on(colour), x=pad, y=y)
        y += len(row) + pad
    return total


def _headline(danger: Danger, source_time_s: float) -> str:
    what = _HEADLINES[danger.kind]
    if danger.raised_s is None:
        suspected = "" if danger.kind == "risk" else " suspected"
        return f"{what}{suspected}  #{danger.person}  {100 * danger.probability:.0f}%"
    return f"ALERT  {what}  #{danger.person}  for {max(source_time_s - danger.raised_s, 0.0):.0f} s"


def _fitting(wanted_px: int, least_px: int, picture: ImageArray) -> int:
    """Give the size of a headline's letters: the wanted one if some thirty of them fit across."""
    return wanted_px if picture.shape[1] >= 17 * wanted_px else least_px


def _ink_on(colour: Colour) -> Colour:
    return INK if colour == SUSPECTED else PAPER


def _plain(text: str) -> str:
    """Give text on one line, without what no letter stands for."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _wrap(text: str, *, size_px: int, width_px: int) -> list[str]:
    """Break text into at most two lines that fit."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _width(longer, size_px) <= width_px:
            lines[-1] = longer
        elif len(lines) < 2:
            lines.append(word)
        else:
            lines[-1] = _cut(f"{lines[-1]}{_ELLIPSIS}", size_px=size_px, width_px=width_px)
            break
    return [_cut(line, size_px=size_px, width_px=width_px) for line in lines]


def _cut(text: str, *, size_px: int, width_px: int) -> str:
    while len(text) > len(_ELLIPSIS) and _width(text, size_px) > width_px:
        text = text.removesuffix(_ELLIPSIS)[:-1].rstrip() + _ELLIPSIS
    return text


def _fill(picture: ImageArray, x: int, y: int, width: int, height: int, *, colour: Colour,
          strength: float = 1.0) -> None:  # fmt: skip
    if width > 0 and height > 0:
        cover: npt.NDArray[np.float32] = np.full((height, width), strength, dtype=np.float32)
        _blend(picture, cover, colour=colour, x=x, y=y)


@cache
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)


def _width(text: str, size_px: int) -> float:
    return float(_font(size_px).getlength(text))


@lru_cache(maxsize=256)
def _letters(text: str, size_px: int) -> FloatArray:
    """Give how much of each pixel a line of text covers; the same height for any text of one size."""
    width, height = max(1, round(_width(text, size_px)) + 1), round(1.15 * size_px)
    page = Image.new("L", (width, height))
    ImageDraw.Draw(page).text((0, round(0.9 * size_px)), text, fill=255, font=_font(size_px), anchor="ls")
    letters: FloatArray = np.asarray(page, dtype=np.float32) / np.float32(255)
    letters.flags.writeable = False
    return letters
