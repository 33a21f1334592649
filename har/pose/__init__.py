"""Estimators behind one `estimate(frame)`: pictures in, joints out."""

from har.pose.bundle import MASKRCNN
from har.pose.estimators import (
    BLAZEPOSE,
    MEDIAPIPE,
    Estimator,
    check_estimator,
    gives_masks,
    open_estimator,
    plain_people,
)

__all__ = [
    "BLAZEPOSE",
    "MASKRCNN",
    "MEDIAPIPE",
    "Estimator",
    "check_estimator",
    "gives_masks",
    "open_estimator",
    "plain_people",
]
