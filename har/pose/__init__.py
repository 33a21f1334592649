"""Estimators behind one `estimate(frame)`: pictures in, joints out."""

from har.pose.estimators import BLAZEPOSE, BLAZEPOSE_FAST, Estimator, check_estimator, open_estimator, plain_people

__all__ = ["BLAZEPOSE", "BLAZEPOSE_FAST", "Estimator", "check_estimator", "open_estimator", "plain_people"]
