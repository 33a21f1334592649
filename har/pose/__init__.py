"""Estimators behind one `estimate(frame)`: pictures in, joints out."""

from har.pose.bundle import MASKRCNN
from har.pose.estimators import (
    BLAZEPOSE,
    BLAZEPOSE_FAST,
    Estimator,
    check_estimator,
    gives_masks,
    open_estimator,
    plain_people,
)

__all__ = [
    "BLAZEPOSE",
    "BLAZEPOSE_FAST",
    "MASKRCNN",
    "Estimator",
    "check_estimator",
    "gives_masks",
    "open_estimator",
    "plain_people",
]
