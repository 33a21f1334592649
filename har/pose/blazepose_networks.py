"""BlazePose's two networks by themselves, run by OpenVINO: a picture's people, and the landmarks of one of them."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from har.errors import WeightsError
from har.pose.regions import Region
from har.records import FloatArray

DETECTOR_PIXELS = 224
LANDMARK_PIXELS = 256
N_LANDMARKS = 33
_HIPS, _RIM = 33, 34  # two more landmarks, for the region in the next frame
_N_ALL = 39
_HEAT = 64
_HEAT_REACH = 3
_HEAT_AT_LEAST = 0.5
_SAME_BODY = 0.3
"""Overlap (IoU) from which two boxes of the detector are of one body."""

OPTIONS = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}
"""One thread, wherever the system puts it. OpenVINO would tie it to the first core in every camera's process: with two
of them on two cores, the landmark network took 25 ms instead of 13.6."""

_Run = Callable[[FloatArray], list[FloatArray]]


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """One person's landmarks.

    Attributes:
        xy: (33, 2) pixels of the whole picture.
        visibility: (33,) in [0, 1].
        presence: how sure the network is that there is a person, in [0, 1].
        region: where to look for them in the next frame.
    """

    xy: FloatArray
    visibility: FloatArray
    presence: float
    region: Region


class BlazePoseNetworks:
    """The detector and the landmark network.

    They run in float32 on one thread. Half the width (bf16) is twice as fast where the processor has it, but moved
    the joints of people who fell by so much that the OKS to float32 was 0.68 to 0.99 in three videos.

    Args:
        weights: a `.task` file with both.

    Raises:
        WeightsError: the file is not such a file.
    """

    def __init__(self, weights: Path) -> None:
        import openvino

        try:
            with zipfile.ZipFile(weights) as task, tempfile.TemporaryDirectory(prefix="har-") as folder:
                # The silhouette is not computed: it is a third of the landmark network's work.
                self._detector = _compile(openvino, task.extract("pose_detector.tflite", folder), outputs=(0, 1))
                self._landmarks = _compile(
                    openvino, task.extract("pose_landmarks_detector.tflite", folder), outputs=(0, 1, 3)
                )
        except (OSError, KeyError, zipfile.BadZipFile, RuntimeError) as error:
            line = str(error).strip().splitlines()[0]
            raise WeightsError(
                f"{weights}: cannot be used as BlazePose weights: {line}. Pull or fetch them again."
            ) from None
        self._anchors = _anchors()

    def detect(self, image: Image.Image, place: Region, *, threshold: float, most: int) -> list[Region]:
        """Find people in a piece of a picture.

        Args:
            image: RGB.
            place: where to look; people who lie are found in turned pieces, too.
            threshold: of the detector's score.
            most: people at most, the surest first.
        """
        shown = np.divide(place.cut(image, DETECTOR_PIXELS), 127.5, dtype=np.float32) - 1  # (224, 224, 3)
        boxes, logits = self._detector(shown[None])  # (1, 2254, 12), (1, 2254, 1)
        scores = _sigmoid(logits[0, :, 0])
        found = np.flatnonzero(scores >= threshold)
        found = found[np.argsort(-scores[found])]
        values = boxes[0, found] / DETECTOR_PIXELS
        middle, half = values[:, :2] + self._anchors[found], values[:, 2:4] / 2
        points = values[:, 4:8].reshape(-1, 2, 2) + self._anchors[found, None]  # hips and rim
        regions = []
        for group in _bodies(middle - half, middle + half, most=most):
            weight = scores[found[group]][:, None, None]
            hips, rim = place.inside(((points[group] * weight).sum(axis=0) / weight.sum()).astype(np.float32))
            regions.append(Region.round_body(hips, rim))
        return regions

    def locate(self, image: Image.Image, region: Region) -> Body:
        """Find the landmarks of the person in a region of a picture."""
        shown = np.divide(region.cut(image, LANDMARK_PIXELS), 255, dtype=np.float32)  # (256, 256, 3)
        landmarks, presence, heat = self._landmarks(shown[None])  # (1, 195), (1, 1), (1, 64, 64, 39)
        rows = landmarks.reshape(_N_ALL, 5)
        xy = region.inside(_refine((rows[:, :2] / LANDMARK_PIXELS).astype(np.float32), heat[0]))  # (39, 2)
        following = Region.round_body(xy[_HIPS], xy[_RIM])
        return Body(xy[:N_LANDMARKS], _sigmoid(rows[:N_LANDMARKS, 3]), float(presence[0, 0]), following)


def open_networks(weights: Path) -> BlazePoseNetworks:
    """Give the networks of a `.task` file; a process makes them ready once, which takes over a second.

    They hold nothing between pictures, but compute one at a time: not for several threads at once.

    Raises:
        WeightsError: the file is not such a file.
    """
    changed_ns = weights.stat().st_mtime_ns if weights.is_file() else 0
    return _open(weights, changed_ns)


@lru_cache(maxsize=2)
def _open(weights: Path, changed_ns: int) -> BlazePoseNetworks:
    return BlazePoseNetworks(weights)


def _compile(openvino: Any, network: str, *, outputs: Sequence[int]) -> _Run:
    """Make a network file ready to compute some of its outputs only."""
    core = openvino.Core()
    model = core.read_model(network)
    model = openvino.Model([model.outputs[index] for index in outputs], model.get_parameters())
    request = core.compile_model(model, "CPU", OPTIONS).create_infer_request()

    def run(shown: FloatArray) -> list[FloatArray]:
        request.infer([shown], share_inputs=True)
        return [request.get_output_tensor(index).data for index in range(len(outputs))]

    return run


def _anchors() -> FloatArray:
    """Give the (2254, 2) points, in shares of the picture, from which the detector counts."""
    points = []
    for cells, each in ((28, 2), (14, 2), (7, 6)):
        y, x = np.mgrid[:cells, :cells]
        points.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), each, axis=0) / cells + 0.5 / cells)
    return np.concatenate(points).astype(np.float32)


def _bodies(low: FloatArray, high: FloatArray, *, most: int) -> list[npt.NDArray[np.intp]]:
    """Group boxes (N, 2) to (N, 2), the surest first, by the body that they are of."""
    area = (high - low).prod(axis=1)
    left = np.arange(len(low))
    groups = list[npt.NDArray[np.intp]]()
    while len(left) and len(groups) < most:
        first = left[0]
        sides = np.minimum(high[first], high[left]) - np.maximum(low[first], low[left])
        both = sides.clip(min=0).prod(axis=1)
        same = both > _SAME_BODY * (area[first] + area[left] - both)
        same[0] = True
        groups.append(left[same])
        left = left[~same]
    return groups


def _refine(xy: FloatArray, heat: FloatArray) -> FloatArray:
    """Move landmarks (39, 2) to the middle of the warmth (64, 64, 39) round them, where it is warm."""
    cell = np.trunc(xy * _HEAT).astype(np.intp)  # (39, 2) column and row
    inside = ((cell >= 0) & (cell < _HEAT)).all(axis=1)
    reach = np.arange(-_HEAT_REACH, _HEAT_REACH + 1)
    columns, rows = (cell[:, axis, None] + reach for axis in (0, 1))  # (39, 7)
    there = ((rows >= 0) & (rows < _HEAT))[:, :, None] & ((columns >= 0) & (columns < _HEAT))[:, None, :]  # (39, 7, 7)
    taken = heat[
        rows.clip(0, _HEAT - 1)[:, :, None], columns.clip(0, _HEAT - 1)[:, None, :], np.arange(len(xy))[:, None, None]
    ]
    warm = np.where(there, _sigmoid(taken), np.float32(0))  # (39, 7, 7)
    total = warm.sum(axis=(1, 2))
    middle = np.stack([(warm.sum(axis=1) * columns).sum(axis=1), (warm.sum(axis=2) * rows).sum(axis=1)], axis=1)
    moves = inside & (warm.max(axis=(1, 2)) >= _HEAT_AT_LEAST)
    refined: FloatArray = np.where(moves[:, None], middle / np.maximum(total, 1e-9)[:, None] / _HEAT, xy)
    return refined.astype(np.float32)


def _sigmoid(x: FloatArray) -> FloatArray:
    smooth: FloatArray = 0.5 * (1 + np.tanh(0.5 * x))
    return smooth
