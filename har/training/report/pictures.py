"""PNG pictures of a report: the confusion matrix and strips of skeletons."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from graphs.layouts import layout
from har.clips import Clip
from har.records import FloatArray
from har.training.persons import people_joints
from har.training.report.measure import Mistake

Colour = tuple[int, int, int]
PAPER, INK, FAINT, RULE = (255, 255, 255), (32, 36, 42), (120, 126, 134), (224, 227, 232)
RIGHT_COLOUR, WRONG_COLOUR = (30, 110, 180), (217, 92, 20)
LEFT_LIMB, RIGHT_LIMB, TRUNK = (31, 119, 180), (214, 96, 40), (90, 96, 104)

N_FRAMES = 9
CELL_PX, FOOT_PX, HEAD_PX = 132, 22, 34
LEAST_STRIP_S = 2.0
MARGIN = 0.08  # of a cell, left free around the skeletons
SMOOTH = 2  # drawn this much larger and shrunk, so that lines have no steps
MOST_LABEL_LETTERS = 26


@cache
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)


def as_png(image: Image.Image) -> bytes:
    """Give the bytes of a PNG file."""
    file = BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()


def draw_confusion(confusion: dict[str, Any]) -> Image.Image:
    """Draw a confusion matrix: a row a true label, a column an answer, in percent of the row.

    What is right is blue, what is wrong orange. Labels that neither occur nor are answered are left out.

    Args:
        confusion: "labels" and "matrix", as of `score_metrics`.
    """
    matrix = np.array(confusion["matrix"], dtype=np.int64)
    used = np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1))
    matrix = matrix[np.ix_(used, used)]
    labels = [_short(confusion["labels"][each]) for each in used]
    n = len(labels)
    cell = 2 * int(np.clip(900 // max(n, 1), 22, 64))  # drawn for screens of two dots a pixel
    size = int(np.clip(cell * 0.36, 18, 30))
    font = _font(size)
    counts = [f"{label}  {matrix[row].sum()}" for row, label in enumerate(labels)]
    left = int(max(font.getlength(text) for text in counts)) + 3 * size
    top = int(max(font.getlength(text) for text in labels)) + 4 * size
    image = Image.new("RGB", (left + n * cell + size, top + n * cell + size), PAPER)
    pen = ImageDraw.Draw(image)
    _draw_names(image, labels, counts, left=left, top=top, cell=cell, size=size)
    for row in range(n):
        total = max(int(matrix[row].sum()), 1)
        for column in range(n):
            box = (left + column * cell, top + row * cell, left + (column + 1) * cell - 2, top + (row + 1) * cell - 2)
            _draw_cell(pen, box, matrix[row, column] / total, is_right=row == column, size=size)
    return image


def _draw_names(
    image: Image.Image, labels: list[str], counts: list[str], *, left: int, top: int, cell: int, size: int
) -> None:
    """Write the true labels with their numbers at the left, and the answers, turned upwards, above."""
    pen, font = ImageDraw.Draw(image), _font(size)
    pen.text((left - size, top - size * 0.6), "true label, n", fill=FAINT, font=font, anchor="rs")
    pen.text((left, size * 1.4), "answer", fill=FAINT, font=font, anchor="ls")
    for row, text in enumerate(counts):
        pen.text((left - size * 0.6, top + (row + 0.5) * cell), text, fill=INK, font=font, anchor="rm")
    for column, text in enumerate(labels):
        word = Image.new("L", (int(font.getlength(text)) + 4, int(size * 1.4)))
        ImageDraw.Draw(word).text((0, size * 1.05), text, fill=255, font=font, anchor="ls")
        upwards = word.rotate(90, expand=True)
        x = int(left + (column + 0.5) * cell - upwards.width / 2)
        image.paste(INK, (x, int(top - size * 0.6 - upwards.height)), upwards)


def _draw_cell(
    pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], share: float, *, is_right: bool, size: int
) -> None:
    colour = _tint(RIGHT_COLOUR if is_right else WRONG_COLOUR, share**0.7)
    pen.rectangle(box, fill=colour if share else (247, 248, 249))
    if round(100 * share) == 0:
        return
    ink = PAPER if share > 0.45 else INK
    centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    pen.text(centre, f"{100 * share:.0f}", fill=ink, font=_font(size), anchor="mm")


def _tint(colour: Colour, share: float) -> Colour:
    """Mix a colour with the paper."""
    red, green, blue = (round(255 + (part - 255) * float(share)) for part in colour)
    return red, green, blue


def _short(label: str) -> str:
    return label if len(label) <= MOST_LABEL_LETTERS else label[: MOST_LABEL_LETTERS - 1] + "…"


def draw_strip(clip: Clip, mistake: Mistake) -> Image.Image:
    """Draw a mistake: skeletons at even times, with what is done and what was answered above.

    Left limbs are blue, right limbs orange; the person's own left and right. Heights are kept from picture to picture,
    so that a fall falls; sideways each picture follows the person. A blue bar stands under the stretch itself.
    """
    frames, is_within = _frames_of(clip, mistake)
    joints = people_joints(clip, layout=clip.layout)[0][frames]  # (N, V, 3): whoever is seen most
    points = np.where(joints[..., 2:] > 0, joints[..., :2], np.float32(np.nan))  # (N, V, 2)
    width, height = len(frames) * CELL_PX, HEAD_PX + CELL_PX + FOOT_PX
    image = Image.new("RGB", (width * SMOOTH, height * SMOOTH), PAPER)
    pen = ImageDraw.Draw(image)
    _write_head(pen, mistake)
    places = _fit(points)
    for column, (frame, place) in enumerate(zip(frames, places, strict=True)):
        corner = np.array([column * CELL_PX, HEAD_PX], dtype=np.float32)
        if column:
            x = column * CELL_PX * SMOOTH
            pen.line([(x, HEAD_PX * SMOOTH), (x, (HEAD_PX + CELL_PX) * SMOOTH)], fill=RULE, width=SMOOTH)
        if np.isfinite(place).any():
            _draw_body(pen, (place + corner) * SMOOTH, name=clip.layout)
        else:
            middle = ((column + 0.5) * CELL_PX * SMOOTH, (HEAD_PX + 0.5 * CELL_PX) * SMOOTH)
            pen.text(middle, "not seen", fill=FAINT, font=_font(11 * SMOOTH), anchor="mm")
        if is_within[column]:
            left, top = column * CELL_PX * SMOOTH, (HEAD_PX + CELL_PX) * SMOOTH
            pen.rectangle((left, top, left + CELL_PX * SMOOTH, top + 2 * SMOOTH), fill=RIGHT_COLOUR)
        middle = ((column + 0.5) * CELL_PX * SMOOTH, (HEAD_PX + CELL_PX + 0.4 * FOOT_PX) * SMOOTH)
        pen.text(middle, f"{clip.time_s[frame]:.1f} s", fill=FAINT, font=_font(11 * SMOOTH), anchor="mm")
    return image


def _write_head(pen: ImageDraw.ImageDraw, mistake: Mistake) -> None:
    font, x, y = _font(14 * SMOOTH), 8.0 * SMOOTH, 0.62 * HEAD_PX * SMOOTH
    parts = [
        (_short(mistake.true), RIGHT_COLOUR),
        ("  taken for  ", FAINT),
        (_short(mistake.given), WRONG_COLOUR),
        (f"  {100 * mistake.confidence:.0f} % sure", INK),
    ]
    for text, colour in parts:
        pen.text((x, y), text, fill=colour, font=font, anchor="ls")
        x += font.getlength(text)
    room = N_FRAMES * CELL_PX * SMOOTH - x - 24 * SMOOTH
    small, name = _font(11 * SMOOTH), mistake.clip
    while name and small.getlength(name) > room:
        name = name[1:]
    pen.text(((N_FRAMES * CELL_PX - 8) * SMOOTH, y), name, fill=FAINT, font=small, anchor="rs")


def _frames_of(clip: Clip, mistake: Mistake) -> tuple[npt.NDArray[np.intp], list[bool]]:
    """Choose frames at even times of a stretch, of two seconds round a shorter one; say which are of the stretch."""
    spare_s = max(0.0, LEAST_STRIP_S - (mistake.end_s - mistake.start_s)) / 2
    start_s = max(mistake.start_s - spare_s, float(clip.time_s[0]))
    end_s = min(mistake.end_s + spare_s, float(clip.time_s[-1]))
    due_s = np.linspace(start_s, end_s, N_FRAMES)
    after = np.searchsorted(clip.time_s, due_s).clip(0, len(clip.time_s) - 1)
    before = (after - 1).clip(0)
    nearer = np.where(np.abs(clip.time_s[before] - due_s) <= np.abs(clip.time_s[after] - due_s), before, after)
    is_within = (due_s >= mistake.start_s - 1e-6) & (due_s <= mistake.end_s + 1e-6)
    return nearer.astype(np.intp), is_within.tolist()


def _fit(points: FloatArray) -> FloatArray:
    """Put bodies (N, V, 2) into cells: one scale and one height above the floor for all, each in its cell's middle."""
    finite = np.asarray(np.isfinite(points).all(axis=-1))
    if not finite.any():
        return points
    x = np.where(finite, points[..., 0], np.nan)
    y = np.where(finite, points[..., 1], np.nan)[finite]
    low = np.where(finite, points[..., 0], np.inf).min(axis=1)
    high = np.where(finite, points[..., 0], -np.inf).max(axis=1)
    empty = np.asarray(~finite.any(axis=1))
    low[empty] = high[empty] = 0
    extent = max(float((high - low).max()), float(y.max() - y.min()), 1e-6)
    scale = CELL_PX * (1 - 2 * MARGIN) / extent
    floor = CELL_PX * (1 - MARGIN)
    fitted = np.stack(
        [(x - ((low + high) / 2)[:, None]) * scale + CELL_PX / 2, (points[..., 1] - y.max()) * scale + floor], axis=-1
    )
    return fitted.astype(np.float32)


def _draw_body(pen: ImageDraw.ImageDraw, points: FloatArray, *, name: str) -> None:
    which = layout(name)
    for a, b in which.edges:
        ends = points[[a, b]]
        if np.isfinite(ends).all():
            (ax, ay), (bx, by) = ends.tolist()
            pen.line([(ax, ay), (bx, by)], fill=_side(which.joints[a], which.joints[b]), width=3 * SMOOTH)
    for joint, (x, y) in enumerate(points.tolist()):
        if np.isfinite(x) and np.isfinite(y):
            r = 2.2 * SMOOTH
            colour = _side(which.joints[joint], which.joints[joint])
            pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _side(a: str, b: str) -> Colour:
    shared = set(a.split("_")) & set(b.split("_"))
    return LEFT_LIMB if "left" in shared else RIGHT_LIMB if "right" in shared else TRUNK
