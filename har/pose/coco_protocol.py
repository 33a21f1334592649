"""AP and AR by COCO's protocol, reckoned by COCO's own program (pycocotools)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from typing import Any, Literal, TypeAlias

import numpy as np

from har.errors import AnnotationError, ConfigError
from har.pose.coco import Person, Picture
from har.pose.metrics import Guess

Kind: TypeAlias = Literal["keypoints", "bbox", "segm"]

# What COCOeval's `stats` hold, in its order.
_KEYPOINT_NAMES = ("AP", "AP50", "AP75", "AP_medium", "AP_large", "AR", "AR50", "AR75", "AR_medium", "AR_large")
_BOX_NAMES = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR_1", "AR_10", "AR", "AR_small", "AR_medium", "AR_large"),
)


def check_coco_installed() -> None:
    """Find out before any work that COCO's program is not there.

    Raises:
        ConfigError: pycocotools is not installed.
    """
    if find_spec("pycocotools") is None:
        raise ConfigError(
            "AP and AR need pycocotools. Install it with: .venv/bin/pip install -c constraints.txt -e '.[evaluate]'"
        )


def coco_figures(
    pictures: Sequence[Picture], guesses: Mapping[int, Sequence[Guess]], kind: Kind
) -> dict[str, float | None]:
    """Judge guesses as COCO does: of keypoints 20 a picture, of boxes and masks 100, the surest first.

    Groups (`crowd`) are neither hit nor miss, nor are people without a joint where keypoints are judged.

    Args:
        pictures: with the truth; every picture counts, also one without guesses.
        guesses: by the id of the picture.
        kind: what is compared: joints by OKS, boxes or masks by overlap.

    Returns:
        COCO's figures by name, in [0, 1]; None where there is nothing to judge (COCO says -1).

    Raises:
        AnnotationError: masks are to be judged, but somebody annotated has none.
        ConfigError: pycocotools is not installed.
    """
    check_coco_installed()
    if kind == "segm" and not have_masks(pictures):
        raise AnnotationError("masks can only be judged where everybody annotated has one.")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with redirect_stdout(StringIO()):  # it tells every step
        truth = COCO()
        truth.dataset = _truth(pictures)
        truth.createIndex()
        rows = _rows(pictures, guesses, kind)
        judge = COCOeval(truth, truth.loadRes(rows) if rows else COCO(), kind)
        judge.params.imgIds = sorted(picture.id for picture in pictures)
        judge.params.catIds = [1]
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    names = _KEYPOINT_NAMES if kind == "keypoints" else _BOX_NAMES
    return {name: None if value < 0 else float(value) for name, value in zip(names, judge.stats, strict=True)}


def have_masks(pictures: Sequence[Picture]) -> bool:
    """Say whether everybody annotated has a mask, and anybody is annotated."""
    masks = [person.mask for picture in pictures for person in picture.people]
    return bool(masks) and None not in masks


def _truth(pictures: Sequence[Picture]) -> dict[str, Any]:
    people = [(picture, person) for picture in pictures for person in picture.people]
    return {
        "images": [{"id": each.id, "width": each.width_px, "height": each.height_px} for each in pictures],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {"id": number, "image_id": picture.id, "category_id": 1, **_person(person)}
            for number, (picture, person) in enumerate(people, start=1)
        ],
    }


def _person(person: Person) -> dict[str, Any]:
    fields = {
        "bbox": person.box.tolist(),
        "keypoints": np.column_stack([person.xy, person.visibility]).ravel().tolist(),
        "num_keypoints": int((person.visibility > 0).sum()),
        "area": person.area_px,
        "iscrowd": int(person.crowd),
    }
    return fields if person.mask is None else fields | {"segmentation": person.mask}


def _rows(pictures: Sequence[Picture], guesses: Mapping[int, Sequence[Guess]], kind: Kind) -> list[dict[str, Any]]:
    return [
        {"image_id": picture.id, "category_id": 1, "score": guess.score, **_shown(guess, picture, kind)}
        for picture in pictures
        for guess in guesses.get(picture.id, ())
        if kind != "segm" or guess.mask is not None
    ]


def _shown(guess: Guess, picture: Picture, kind: Kind) -> dict[str, Any]:
    if kind == "bbox":
        return {"bbox": guess.box.tolist()}
    if kind == "segm":
        return {"segmentation": _run_lengths(guess, picture)}
    placed = np.nan_to_num(guess.pose.xy, nan=-1e6)  # a joint without a place is far from everywhere
    return {"keypoints": np.column_stack([placed, guess.pose.score]).ravel().tolist()}


def _run_lengths(guess: Guess, picture: Picture) -> Any:
    """Give a guess's mask as compressed run lengths, the one form in which COCO takes guesses."""
    from pycocotools import mask as masks

    if isinstance(guess.mask, Mapping) and isinstance(guess.mask["counts"], str | bytes):
        return guess.mask
    runs = masks.frPyObjects(guess.mask, picture.height_px, picture.width_px)
    return masks.merge(runs) if isinstance(runs, list) else runs
