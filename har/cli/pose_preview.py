"""What `har pose preview` does: pictures with what an estimator sees in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from graphs.layouts import COCO17
from har.cli.preview import LEFT, MIDDLE, PAPER, RIGHT
from har.errors import ConfigError
from har.pose import check_estimator, open_estimator
from har.pose.bundle import CENTERNET, load_pose_bundle, pose_bundle_kind
from har.records import SEEN_SCORE, FloatArray, Frame, ImageArray, Pose

MOST_PICTURES = 36
CELL_PX = 480
MAX_PEOPLE = 10


def preview(name: str, pictures: Sequence[Path], *, file: Path) -> int:
    """Draw pictures with the joints, or from a detector the boxes, that an estimator finds; give how many people.

    Raises:
        ConfigError: no such estimator, or a picture cannot be read or the result written.
        BundleError: a trained estimator does not verify.
        WeightsError: its weights are missing.
    """
    images = [_read(path) for path in pictures[:MOST_PICTURES]]
    folder = Path(name).expanduser()
    if folder.is_dir() and pose_bundle_kind(folder) == CENTERNET:
        found = _draw_boxes(folder, images)
    else:
        found = _draw_poses(name, images)
    columns = min(len(found), 3)
    sheet = Image.new("RGB", (columns * CELL_PX, math.ceil(len(found) / columns) * CELL_PX), PAPER)
    for number, (image, _) in enumerate(found):
        cell = ImageOps.contain(image, (CELL_PX, CELL_PX))
        sheet.paste(cell, (number % columns * CELL_PX, number // columns * CELL_PX))
    try:
        sheet.save(file, format="PNG")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written ({error.strerror or error}). Give another file.") from None
    return sum(n_people for _, n_people in found)


def _read(path: Path) -> ImageArray:
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ConfigError(f"{path}: cannot be read as a picture ({error}). Give PNG or JPEG files.") from None


def _draw_boxes(folder: Path, images: Sequence[ImageArray]) -> list[tuple[Image.Image, int]]:
    from har.pose.trained import Detector

    detector, drawn = Detector(load_pose_bundle(folder)), []
    for image in images:
        boxes = detector.find(image)
        picture = Image.fromarray(image)
        pen = ImageDraw.Draw(picture)
        for x, y, width, height, score in boxes.tolist():
            pen.rectangle((x, y, x + width, y + height), outline=RIGHT, width=_width(image))
            pen.text((x + 2, y + 2), f"{score:.2f}", fill=RIGHT)
        drawn.append((picture, len(boxes)))
    return drawn


def _draw_poses(name: str, images: Sequence[ImageArray]) -> list[tuple[Image.Image, int]]:
    check_estimator(name)
    drawn = []
    for image in images:
        # A new one for each: some remember where somebody was in the picture before.
        estimator = open_estimator(name, max_people=MAX_PEOPLE)
        try:
            poses = estimator.estimate(Frame(image, time_s=0.0, source_time_s=0.0, camera="preview"))
        finally:
            estimator.close()
        picture = Image.fromarray(image)
        for pose in poses:
            _draw_pose(ImageDraw.Draw(picture), pose, width=_width(image))
        drawn.append((picture, len(poses)))
    return drawn


def _draw_pose(pen: ImageDraw.ImageDraw, pose: Pose, *, width: int) -> None:
    """Draw bones whose ends are seen: left limbs blue, right limbs orange."""
    seen = (pose.score >= SEEN_SCORE) & np.isfinite(pose.xy).all(axis=-1)
    for a, b in COCO17.edges:
        if seen[a] and seen[b]:
            sides = set(COCO17.joints[a].split("_")) & set(COCO17.joints[b].split("_"))
            colour = LEFT if "left" in sides else RIGHT if "right" in sides else MIDDLE
            pen.line([_point(pose.xy[a]), _point(pose.xy[b])], fill=colour, width=width)


def _point(xy: FloatArray) -> tuple[float, float]:
    return float(xy[0]), float(xy[1])


def _width(image: ImageArray) -> int:
    return max(2, int(min(image.shape[:2])) // 120)
