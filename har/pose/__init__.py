"""Estimators behind one `estimate(frame)`: pictures in, joints out."""

from har.pose.bundle import MASKRCNN
from har.pose.estimators import (
    BLAZEPOSE,
    MEDIAPIPE,
    USUAL,
    Estimator,
    check_estimator,
    gives_masks,
    open_estimator,
    plain_people,
    usual_people,
)

__all__ = [
    "BLAZEPOSE",
    "MASKRCNN",
    "MEDIAPIPE",
    "USUAL",
    "Estimator",
    "check_estimator",
    "gives_masks",
    "open_estimator",
    "plain_people",
    "usual_people",
]
