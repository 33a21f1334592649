"""Fitting the risk model on clips that tell where people fall."""

from har.training.risk.fitting import RiskFit, fit_risk, fit_risk_part
from har.training.risk.following import FALL_LABEL, follow_clips
from har.training.risk.streams import EVERY_S, RATE_HZ, Stream
from har.training.risk.windows import RiskWindows, cut_risk_windows

__all__ = [
    "EVERY_S",
    "FALL_LABEL",
    "RATE_HZ",
    "RiskFit",
    "RiskWindows",
    "Stream",
    "cut_risk_windows",
    "fit_risk",
    "fit_risk_part",
    "follow_clips",
]
