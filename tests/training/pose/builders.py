"""Annotated pictures made of nothing: people are upright bars with a spot of its own colour at every joint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from graphs.layouts import COCO17
from har.pose.coco import Person, Picture, write_pictures

# Where the joints of somebody who faces the camera are in their box.
PLACES = np.array(
    [[0.5, 0.08], [0.55, 0.06], [0.45, 0.06], [0.6, 0.08], [0.4, 0.08], [0.7, 0.22], [0.3, 0.22], [0.82, 0.38],
     [0.18, 0.38], [0.88, 0.52], [0.12, 0.52], [0.62, 0.52], [0.38, 0.52], [0.64, 0.74], [0.36, 0.74], [0.65, 0.94],
     [0.35, 0.94]],
    dtype=np.float32,
)  # fmt: skip
COLOURS = np.random.default_rng(1).integers(60, 255, (COCO17.n_joints, 3))


def make_person(x: float, y: float, height: float, *, visibility: int = 2, crowd: bool = False) -> Person:
    """Give somebody whose box begins at x, y and is half as wide as high."""
    box = np.array([x, y, height / 2, height], dtype=np.float32)
    xy = box[:2] + PLACES * box[2:]
    seen = np.full(COCO17.n_joints, visibility, dtype=np.int8)
    return Person(box, xy.astype(np.float32), seen, None, 0.5 * float(height**2 / 2), crowd=crowd)


def draw_picture(people: tuple[Person, ...], *, width: int = 160, height: int = 120) -> np.ndarray:
    """Draw people on grey."""
    image = np.full((height, width, 3), 40, dtype=np.uint8)
    for person in people:
        x, y, wide, high = person.box.astype(int)
        image[max(y, 0) : y + high, max(x, 0) : x + wide] = 120
        for (across, down), colour in zip(person.xy.astype(int), COLOURS, strict=True):
            image[max(down - 2, 0) : down + 2, max(across - 2, 0) : across + 2] = colour
    return image


def write_set(folder: Path, *, n: int, seed: int = 0, most: int = 1) -> list[Picture]:
    """Write a folder as `har synth scenes` does: every picture a scene of its own."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    pictures = []
    for number in range(1, n + 1):
        people = tuple(
            make_person(70 * place + rng.uniform(0, 20), rng.uniform(5, 30), rng.uniform(60, 85))
            for place in range(int(rng.integers(1, most + 1)))
        )
        file = folder / "images" / f"{number:06d}.png"
        Image.fromarray(draw_picture(people)).save(file)
        pictures.append(Picture(number, file, 160, 120, people, video=f"scene-{number}"))
    write_pictures(pictures, folder / "annotations.json")
    return pictures
