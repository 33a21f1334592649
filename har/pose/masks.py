"""Masks between their forms: COCO's run lengths and polygons, pictures of yes and no, and coarse covers of a box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from har.errors import ConfigError
from har.pose.coco import Mask
from har.records import Silhouette

Bits = npt.NDArray[np.bool_]
HALF = 128


def read_mask(mask: Mask, *, width_px: int, height_px: int) -> npt.NDArray[np.uint8]:
    """Give a COCO segmentation as (H, W) of 0 and 1.

    Raises:
        ConfigError: pycocotools is not installed.
    """
    masks = _pycocotools()
    if isinstance(mask, Mapping) and isinstance(mask["counts"], str | bytes):
        runs: Any = mask
    else:
        runs = masks.frPyObjects(mask, height_px, width_px)
    decoded: npt.NDArray[np.uint8] = masks.decode(masks.merge(runs) if isinstance(runs, list) else runs)
    return decoded


def write_mask(bits: Bits) -> Mask:
    """Give (H, W) yes and no as COCO's compressed run lengths.

    Raises:
        ConfigError: pycocotools is not installed.
    """
    runs: Mask = _pycocotools().encode(np.asfortranarray(bits, dtype=np.uint8))
    return runs


def paste(silhouette: Silhouette, *, width_px: int, height_px: int) -> Bits:
    """Give a silhouette as (H, W) yes and no: where it is more likely than not that the person is there.

    Cells are points in the middle of their part of the box; between them the cover changes evenly.
    """
    whole = np.zeros((height_px, width_px), dtype=bool)
    left, top, right, bottom = (float(each) for each in silhouette.box)
    x0, y0 = max(int(np.floor(left)), 0), max(int(np.floor(top)), 0)
    x1, y1 = min(int(np.ceil(right)), width_px), min(int(np.ceil(bottom)), height_px)
    if x0 >= x1 or y0 >= y1:
        return whole
    rows, columns = silhouette.cover.shape
    across, down = columns / max(right - left, 1.0), rows / max(bottom - top, 1.0)
    rim = np.pad(silhouette.cover, 1)  # beyond the box nobody is
    place = (across, 0.0, (x0 - left) * across + 1.0, 0.0, down, (y0 - top) * down + 1.0)
    shown = Image.fromarray(rim).transform((x1 - x0, y1 - y0), Image.Transform.AFFINE, place, Image.Resampling.BILINEAR)
    whole[y0:y1, x0:x1] = np.asarray(shown) >= HALF
    return whole


def _pycocotools() -> Any:
    try:
        from pycocotools import mask
    except ImportError:
        raise ConfigError(
            "masks need pycocotools. Install it with: .venv/bin/pip install -c constraints.txt -e '.[evaluate]'"
        ) from None
    return mask
