"""The annotated pictures an estimator learns from, and those held out to judge it by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from har.errors import TrainingError
from har.pose.coco import Picture, read_pictures

ANNOTATIONS = "annotations.json"
CHECK_SHARE = 0.1
"""Of scenes, held out to choose the pass by."""


def read_data(paths: Sequence[Path]) -> list[Picture]:
    """Read folders that `har synth scenes` wrote and COCO annotation files.

    Raises:
        AnnotationError: one of them cannot be read.
        TrainingError: nobody is annotated in any.
    """
    pictures = [picture for path in paths for picture in read_pictures(path / ANNOTATIONS if path.is_dir() else path)]
    if not any(picture.people for picture in pictures):
        raise TrainingError(f"{paths[0]}: nobody is annotated in these pictures. Give pictures with people.")
    return pictures


def hold_out(pictures: Sequence[Picture], *, seed: int) -> tuple[list[Picture], list[Picture]]:
    """Part pictures into those to learn from and those to choose the pass by, whole scenes on either side.

    Returns:
        Both; the second is empty where there is one scene only.
    """
    scenes = sorted({_scene(picture) for picture in pictures})
    if len(scenes) < 2:
        return list(pictures), []
    n_held = max(1, round(CHECK_SHARE * len(scenes)))
    held = {scenes[number] for number in np.random.default_rng([seed, 2]).permutation(len(scenes))[:n_held]}
    learn = [picture for picture in pictures if _scene(picture) not in held]
    return learn, [picture for picture in pictures if _scene(picture) in held]


def digest_of(pictures: Sequence[Picture]) -> str:
    """Give the sha256 of what is annotated; the pixels are not read."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(f"{picture.file.name} {picture.width_px} {picture.height_px} {picture.video}".encode())
        for person in picture.people:
            digest.update(person.box.tobytes() + person.xy.tobytes() + person.visibility.tobytes())
    return digest.hexdigest()


def _scene(picture: Picture) -> str:
    return f"{picture.file.parent}/{picture.video}" if picture.video is not None else str(picture.file)
