"""A contact sheet of simulated clips: one row a clip, as the camera saw it, most cells where it falls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from graphs.layouts import LAYOUTS
from har.clips import Clip
from har.errors import ConfigError
from har.records import SEEN_SCORE, FloatArray
from har.synth.body import Array

N_CELLS = 12
CELL_PX = (132, 99)
CAPTION_PX = 14
MOST_CLIPS = 40
PAPER, INK, FRAME, FAINT = (250, 250, 248), (60, 60, 60), (215, 215, 210), (205, 205, 205)
LEFT, RIGHT, MIDDLE = (31, 119, 180), (214, 96, 40), (110, 110, 110)
_BEFORE_S, _AFTER_S = 0.4, 3.0


def draw_sheet(clips: Sequence[Clip], *, file: Path) -> None:
    """Draw clips as a PNG: left limbs blue, right ones orange, joints that were not seen grey.

    Args:
        clips: COCO-17 in pixels; the first `MOST_CLIPS` are drawn.
        file: to write.

    Raises:
        ConfigError: the file cannot be written.
    """
    chosen = clips[:MOST_CLIPS]
    row_px = CELL_PX[1] + CAPTION_PX
    image = Image.new("RGB", (N_CELLS * CELL_PX[0], max(1, len(chosen)) * row_px), PAPER)
    pen = ImageDraw.Draw(image)
    for row, clip in enumerate(chosen):
        pen.text((3, row * row_px + 1), f"{clip.id}  {clip.rate_hz:.0f} Hz  {clip.duration_s:.1f} s", fill=INK)
        for column, time_s in enumerate(cell_times(clip)):
            corner = np.array([column * CELL_PX[0], row * row_px + CAPTION_PX], dtype=np.float64)
            _draw_cell(pen, clip, corner, time_s=time_s)
    try:
        image.save(file, format="PNG")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written ({error.strerror or error}). Give another file.") from None


def cell_times(clip: Clip) -> Array:
    """Give the times of a clip's cells: close together about a fall, else even."""
    falls = [(start_s, end_s) for start_s, end_s, label in clip.spans if label == "fall"]
    if not falls:
        return np.linspace(0.0, clip.duration_s, N_CELLS)
    start_s, end_s = falls[-1]
    close = np.linspace(max(0.0, start_s - _BEFORE_S), end_s, N_CELLS - 4)
    after = np.linspace(end_s, min(clip.duration_s, end_s + _AFTER_S), 5)[1:]
    return np.concatenate([close, after])


def _draw_cell(pen: ImageDraw.ImageDraw, clip: Clip, corner: Array, *, time_s: float) -> None:
    frame = int(np.abs(clip.time_s - time_s).argmin())
    width_px, height_px = clip.width_px or 640, clip.height_px or 480
    scale = min((CELL_PX[0] - 4) / width_px, (CELL_PX[1] - 4) / height_px)
    low, high = corner + 1, corner + 1 + scale * np.array([width_px, height_px])
    pen.rectangle((*low, *high), outline=FRAME)
    for person in clip.joints[frame]:
        if np.isfinite(person[:, 0]).any():
            _draw_person(pen, person, low=low, scale=scale, layout=clip.layout)
    label = next((name for start, end, name in clip.spans if start <= time_s <= end), "")
    pen.text((float(corner[0]) + 3, float(high[1]) - 11), f"{time_s:.1f} {label}", fill=INK)


def _draw_person(pen: ImageDraw.ImageDraw, joints: FloatArray, *, low: Array, scale: float, layout: str) -> None:
    known = LAYOUTS[layout]
    spots = low + scale * joints[:, :2].astype(np.float64)
    for a, b in known.edges:
        shared = set(known.joints[a].split("_")) & set(known.joints[b].split("_"))
        colour = LEFT if "left" in shared else RIGHT if "right" in shared else MIDDLE
        seen = joints[[a, b], 2].min() >= SEEN_SCORE
        pen.line(
            [(float(x), float(y)) for x, y in spots[[a, b]]], fill=colour if seen else FAINT, width=2 if seen else 1
        )
