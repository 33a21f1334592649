"""A sheet of the first pictures of a set, with masks, boxes and skeletons drawn on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from graphs.layouts import COCO17
from har.errors import ConfigError
from har.synth.scenes.truth import HIDDEN, OUTSIDE
from har.synth.scenes.write import ANNOTATIONS, IMAGES
from har.synth.shapes import BoolArray

N_COLUMNS, MOST_PICTURES = 6, 36
INKS = ((230, 60, 60), (60, 150, 250), (70, 200, 90), (240, 180, 40))
_HIDDEN_INK = (150, 150, 150)
_MASK_SHARE = 0.35


def draw_preview(folder: Path, *, file: Path) -> None:
    """Draw the first pictures of a set as a PNG: a colour a person, hidden joints grey.

    Args:
        folder: as `write_scenes` leaves it.
        file: to write.

    Raises:
        ConfigError: the file cannot be written.
    """
    content = json.loads((folder / ANNOTATIONS).read_text(encoding="utf-8"))
    chosen = content["images"][:MOST_PICTURES]
    width, height = chosen[0]["width"], chosen[0]["height"]
    sheet = Image.new("RGB", (min(N_COLUMNS, len(chosen)) * width, -(-len(chosen) // N_COLUMNS) * height))
    for index, entry in enumerate(chosen):
        people = [person for person in content["annotations"] if person["image_id"] == entry["id"]]
        with Image.open(folder / IMAGES / entry["file_name"]) as stored:
            picture = draw_truth(stored.convert("RGB"), people)
        sheet.paste(picture, (index % N_COLUMNS * width, index // N_COLUMNS * height))
    try:
        sheet.save(file, format="PNG")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written ({error.strerror or error}). Give another file.") from None


def draw_truth(picture: Image.Image, people: list[dict[str, Any]]) -> Image.Image:
    """Give a picture with the COCO annotations of its people drawn on it."""
    pixels = np.asarray(picture).astype(np.float32)
    for person in people:
        mask = filled(person["segmentation"])
        ink = np.array(INKS[(person["track_id"] - 1) % len(INKS)], dtype=np.float32)
        pixels[mask] += _MASK_SHARE * (ink - pixels[mask])
    drawn = Image.fromarray(pixels.astype(np.uint8))
    pen = ImageDraw.Draw(drawn)
    for person in people:
        _draw_skeleton(pen, person, ink=INKS[(person["track_id"] - 1) % len(INKS)])
    return drawn


def _draw_skeleton(pen: ImageDraw.ImageDraw, person: dict[str, Any], *, ink: tuple[int, int, int]) -> None:
    x, y, width, height = person["bbox"]
    pen.rectangle((x, y, x + width - 1, y + height - 1), outline=ink)
    joints = np.array(person["keypoints"]).reshape(-1, 3)
    for one, other in COCO17.edges:
        seen = joints[[one, other], 2].min()
        if seen > OUTSIDE:
            ends = [(float(at[0]), float(at[1])) for at in joints[[one, other]]]
            pen.line(ends, fill=_HIDDEN_INK if seen == HIDDEN else ink)
    for x, y, seen in joints[joints[:, 2] > OUTSIDE]:
        pen.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=_HIDDEN_INK if seen == HIDDEN else ink)


def filled(segmentation: dict[str, Any]) -> BoolArray:
    """Give (H, W) of COCO's uncompressed run lengths."""
    height, width = segmentation["size"]
    counts = segmentation["counts"]
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.asarray(flat.reshape(width, height).T)
