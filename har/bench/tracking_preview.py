"""Simulated scenes with their tracks as a picture: moments, a colour for each track, and who was where over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from graphs.layouts import LAYOUTS
from har.bench.tracking import Judged
from har.errors import ConfigError
from har.records import SEEN_SCORE, Pose
from har.synth.body import Array

MOST_SCENES = 16
_N_CELLS = 8
_CELL_PX = (160, 120)
_CHART_PX = 440
_CAPTION_PX = 14
_PAPER, _INK, _FRAME, _TRUE, _UNSEEN = (250, 250, 248), (60, 60, 60), (215, 215, 210), (150, 150, 150), (222, 222, 222)
_COLOURS = (
    (31, 119, 180), (214, 96, 40), (44, 140, 60), (190, 40, 90), (130, 90, 190), (160, 110, 30), (20, 160, 170),
    (90, 90, 90),
)  # fmt: skip


def draw_scenes(judged: Sequence[Judged], scores: Sequence[float], *, file: Path) -> None:
    """Draw the scenes with the lowest scores as a PNG, one row a scene.

    Left: moments, each pose in the colour of its track, true joints that are seen as grey dots. Right: the middle of
    each body across the picture (upwards) over time; grey is the truth, light where too little is seen.

    Args:
        judged: scenes with their tracks.
        scores: one a scene.
        file: to write.

    Raises:
        ConfigError: the file cannot be written.
    """
    chosen = np.argsort(scores, kind="stable")[:MOST_SCENES]
    row_px = _CELL_PX[1] + _CAPTION_PX
    image = Image.new("RGB", (_N_CELLS * _CELL_PX[0] + _CHART_PX, len(chosen) * row_px), _PAPER)
    pen = ImageDraw.Draw(image)
    for row, index in enumerate(chosen):
        each, y_px = judged[index], row * row_px
        pen.text((3, y_px + 1), f"{each.scene.id}  IDF1 {scores[index]:.3f}  {each.scene.rate_hz:.0f} Hz", fill=_INK)
        moments = np.linspace(0, len(each.scene.frames) - 1, _N_CELLS).round().astype(int)
        for column, t in enumerate(moments):
            _draw_moment(pen, each, int(t), corner=(column * _CELL_PX[0], y_px + _CAPTION_PX))
        _draw_chart(pen, each, corner=(_N_CELLS * _CELL_PX[0], y_px + _CAPTION_PX))
    try:
        image.save(file, format="PNG")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written ({error.strerror or error}). Give another file.") from None


def _draw_moment(pen: ImageDraw.ImageDraw, judged: Judged, t: int, *, corner: tuple[int, int]) -> None:
    scene, frame = judged.scene, judged.scene.frames[t]
    scale = min((_CELL_PX[0] - 4) / frame.width_px, (_CELL_PX[1] - 4) / frame.height_px)
    low = np.array(corner) + 1
    pen.rectangle((*low, *(low + scale * np.array([frame.width_px, frame.height_px]))), outline=_FRAME)
    for spot in low + scale * scene.xy[t][scene.seen[t]]:
        pen.ellipse((*(spot - 1), *(spot + 1)), fill=_TRUE)
    for person, pose in judged.tracks[t]:
        _draw_pose(pen, pose, low=low, scale=scale, colour=_COLOURS[person % len(_COLOURS)])
    pen.text((corner[0] + 3, corner[1] + _CELL_PX[1] - 14), f"{frame.source_time_s:.1f}", fill=_INK)


def _draw_pose(pen: ImageDraw.ImageDraw, pose: Pose, *, low: Array, scale: float, colour: tuple[int, int, int]) -> None:
    spots = low + scale * pose.xy.astype(np.float64)
    for a, b in LAYOUTS[pose.layout].edges:
        if min(pose.score[a], pose.score[b]) >= SEEN_SCORE:
            pen.line((*spots[a], *spots[b]), fill=colour, width=2)


def _draw_chart(pen: ImageDraw.ImageDraw, judged: Judged, *, corner: tuple[int, int]) -> None:
    scene = judged.scene
    high_px = _CELL_PX[1] - 4
    pen.rectangle((corner[0], corner[1], corner[0] + _CHART_PX - 4, corner[1] + high_px), outline=_FRAME)
    step = (_CHART_PX - 6) / len(scene.frames)
    share = high_px / scene.frames[0].width_px
    counted = scene.counted
    for t, people in enumerate(judged.tracks):
        x = corner[0] + 1 + step * t
        for m in np.flatnonzero(scene.visits[t] >= 0):
            _draw_spot(pen, x, corner[1] + share * _middle(scene.xy[t, m]), 2, _TRUE if counted[t, m] else _UNSEEN)
        for person, pose in people:
            y = corner[1] + share * _middle(pose.xy[pose.score >= SEEN_SCORE].astype(np.float64))
            _draw_spot(pen, x, y, 1, _COLOURS[person % len(_COLOURS)])


def _middle(xy: Array) -> float:
    return float(0.5 * (xy[:, 0].min() + xy[:, 0].max()))


def _draw_spot(pen: ImageDraw.ImageDraw, x: float, y: float, radius: int, colour: tuple[int, int, int]) -> None:
    pen.rectangle((x - radius, y - radius, x + radius, y + radius), fill=colour)
