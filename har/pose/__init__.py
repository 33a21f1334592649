"""Estimators behind one `estimate(frame)`: pictures in, joints out."""

from har.pose.estimators import Estimator, check_estimator, open_estimator

__all__ = ["Estimator", "check_estimator", "open_estimator"]
