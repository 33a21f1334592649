"""A picture of a clip set: one row a clip, skeletons at even times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from graphs.layouts import LAYOUTS
from har.clips import Clip
from har.errors import ConfigError
from har.records import FloatArray

MOST_CLIPS = 12
N_FRAMES = 8
CELL_PX = 120
CAPTION_PX = 16
MARGIN = 0.08  # of a cell, left free around the skeletons

PAPER, INK = (250, 250, 248), (60, 60, 60)
LEFT, RIGHT, MIDDLE = (31, 119, 180), (214, 96, 40), (110, 110, 110)


def draw_clips(clips: Sequence[Clip], *, file: Path) -> None:
    """Draw the first clips of a set as a PNG: left limbs blue, right limbs orange.

    Raises:
        ConfigError: there is nothing to draw, or the file cannot be written.
    """
    chosen = clips[:MOST_CLIPS]
    if not chosen:
        raise ConfigError(f"{file}: the clip set is empty, there is nothing to draw.")
    image = Image.new("RGB", (N_FRAMES * CELL_PX, len(chosen) * (CELL_PX + CAPTION_PX)), PAPER)
    pen = ImageDraw.Draw(image)
    for row, clip in enumerate(chosen):
        top_px = row * (CELL_PX + CAPTION_PX)
        pen.text((4, top_px + 2), _caption(clip), fill=INK)
        points = _fit(clip)
        for column in range(N_FRAMES):
            frame = round(column * (len(points) - 1) / (N_FRAMES - 1))
            corner = np.array([column * CELL_PX, top_px + CAPTION_PX], dtype=np.float32)
            for person in points[frame]:
                _draw_person(pen, person + corner, layout=clip.layout)
    try:
        image.save(file, format="PNG")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written ({error.strerror or error}). Give another file.") from None


def _caption(clip: Clip) -> str:
    labels = clip.label or ", ".join(dict.fromkeys(label for _, _, label in clip.spans)) or "unlabelled"
    text = f"{clip.id}  {labels}  {clip.duration_s:.1f} s  {clip.layout}"
    return text.encode("ascii", "replace").decode()[:150]


def _fit(clip: Clip) -> FloatArray:
    """Project a clip's joints into one cell, the same scale in all its frames.

    Returns:
        (T, M, V, 2) pixels in a cell, y down; NaN where a joint is missing.
    """
    joints = clip.joints
    if clip.up == "+z" and joints.shape[-1] >= 3:
        flat = np.stack([joints[..., 0], -joints[..., 2]], axis=-1)
    else:
        flat = joints[..., :2] * np.array([1.0, 1.0 if clip.up == "-y" else -1.0], dtype=np.float32)
    seen = flat[np.isfinite(flat).all(axis=-1)]  # (n, 2)
    if len(seen) == 0:
        return np.full(flat.shape, np.nan, dtype=np.float32)
    low, high = seen.min(axis=0), seen.max(axis=0)
    scale = CELL_PX * (1.0 - 2.0 * MARGIN) / max(float((high - low).max()), 1e-6)
    fitted: npt.NDArray[np.float32] = ((flat - (low + high) / 2.0) * scale + CELL_PX / 2.0).astype(np.float32)
    return fitted


def _draw_person(pen: ImageDraw.ImageDraw, points: FloatArray, *, layout: str) -> None:
    known = LAYOUTS[layout]
    for a, b in known.edges:
        ends = points[[a, b]]
        if np.isfinite(ends).all():
            shared = set(known.joints[a].split("_")) & set(known.joints[b].split("_"))
            colour = LEFT if "left" in shared else RIGHT if "right" in shared else MIDDLE
            pen.line([(float(x), float(y)) for x, y in ends], fill=colour, width=2)
