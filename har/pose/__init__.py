"""Estimators behind one `estimate(frame)`: pictures in, joints out."""

from har.pose.estimators import Estimator, open_estimator

__all__ = ["Estimator", "open_estimator"]
