"""How a person holds their body, and what the risk model's numbers say in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from har.models.confirm import ConfirmModel
from har.models.confirm_features import CONFIRM_FEATURES, confirm_features
from har.models.quantiles import median, quantile
from har.models.risk import RiskModel
from har.models.risk_features import FEATURES, Array, BodyTrace, body_features
from har.records import DangerKind, Posture, Risk, Stance

_NOW_S = 0.5
_FOUND_END, _SHOULDER_DROP = FEATURES.index("found share at the end"), FEATURES.index("shoulder drop")
_DROPS = [CONFIRM_FEATURES.index(name) for name in ("hip drop", "shoulder drop", "head drop")]
# Who never came down by this much while in view was found lying there: the floor timer's business. On simulated life
# nine in ten false alerts without it are of people who lie half hidden and are lost and found again.
_MIN_WAY_DOWN = 0.12


def read_posture(body: BodyTrace, *, time_s: float, body_px: float, at_edge: bool) -> Posture:
    """Read the posture at the end of a window.

    Args:
        body: the window's body trace.
        time_s: capture time of the last frame.
        body_px: the person's known size, pixels.
        at_edge: the person's box touches an edge through which people leave.
    """
    n_now = max(round(_NOW_S * body.rate_hz), 1)
    now = body.found.copy()
    now[:-n_now] = False
    found = bool(now.any())
    if not found:
        now[np.flatnonzero(body.found)[-3:]] = True
    size = max(body.body_px, body_px)
    width, height = (body.box[:, 2] - body.box[:, 0])[now], (body.box[:, 3] - body.box[:, 1])[now]
    lowest = body.box[:, 3]
    trunk = np.where(np.isfinite(body.hip), body.hip, body.shoulder)[now]
    shoulder = np.where(np.isfinite(body.shoulder), body.shoulder, body.hip)
    hip = np.where(np.isfinite(body.hip), body.hip, body.shoulder)
    return Posture(
        time_s=time_s,
        found=found,
        trunk_angle=_median(body.trunk_angle[now], otherwise=0.0),
        aspect=median(width / np.maximum(height, 1.0)),
        shoulder_y=_median(shoulder[now, 1], otherwise=0.0),
        hip_y=_median(hip[now, 1], otherwise=0.0),
        head_rise=_median((lowest - body.head[:, 1])[now], otherwise=size) / size,
        hip_rise=_median((lowest - body.hip[:, 1])[now], otherwise=size) / size,
        place=(_median(trunk[:, 0], otherwise=0.0), _median(trunk[:, 1], otherwise=0.0)),
        body_px=size,
        at_edge=at_edge,
        whole=bool(np.isfinite(body.hip[now]).any() and np.isfinite(body.head[now]).any()),
    )


def assess_risk(body: BodyTrace, model: RiskModel, *, width_px: int, height_px: int) -> Risk | None:
    """Ask the risk model about one window and put its answer into words.

    Args:
        body: the window's body trace.
        model: the fitted risk model.
        width_px: width of the picture.
        height_px: its height.

    Returns:
        None if the person came into view under a second ago.
    """
    features = body_features(body, width_px=width_px, height_px=height_px)
    if features is None:
        return None
    probability = float(model.probability(model.pick(features)[None])[0])
    value = dict(zip(FEATURES, (float(f) for f in features), strict=True))
    return Risk(
        probability,
        judge_features(features),
        _in_words(value, body, speaks=model.strongest(model.pick(features), n=len(FEATURES))),
        stance_before(body),
    )


def judge_features(features: Array) -> DangerKind:
    """Give the kind of danger of a window: "fall" where the way down was seen, else "risk".

    Args:
        features: (F,) as of `body_features`.
    """
    return "fall" if features[_FOUND_END] >= 0.5 and features[_SHOULDER_DROP] > 0.15 else "risk"


def saw_way_down(features: Array) -> bool:
    """Say whether the way down was seen, without which nobody is said to have fallen.

    Args:
        features: (F,) as of `confirm_features`.
    """
    return bool(features[_DROPS].max() >= _MIN_WAY_DOWN)


def assess_fall(body: BodyTrace, model: ConfirmModel) -> float:
    """Ask the confirming model whether somebody came down as people fall; 0 where the way down was not seen.

    Args:
        body: trace of the last `CONFIRM_WINDOW_S`.
        model: `RiskModel.confirm`.
    """
    features = confirm_features(body)
    return float(model.probability(model.pick(features)[None])[0]) if saw_way_down(features) else 0.0


def stance_before(body: BodyTrace) -> Stance:
    """Highest the shoulders and the hips stood in the window for a while."""
    return Stance(_highest(body.shoulder, body.hip), _highest(body.hip, body.shoulder))


def _highest(line: Array, otherwise: Array) -> float:
    y = np.where(np.isfinite(line[:, 1]), line[:, 1], otherwise[:, 1])
    y = y[np.isfinite(y)]
    return quantile(y, 0.15) if y.size else 0.0


def _in_words(value: dict[str, float], body: BodyTrace, *, speaks: Sequence[str]) -> str:
    """Tell what was seen and speaks for danger, in order of time; what does not speak is left out.

    Args:
        value: the features by name.
        body: what they were computed from.
        speaks: the features that speak for danger in this model, strongest first.
    """
    drop = max(value["hip drop"], value["shoulder drop"])
    said: dict[str, str] = {}
    if drop > 0.1:
        part = "hips" if value["hip drop"] >= value["shoulder drop"] else "shoulders"
        said["drop"] = f"{part} dropped {drop:.1f} body lengths in {_drop_time_s(body, part):.1f} s"
    if value["found share at the end"] < 0.3:
        said["found"] = "lost from sight low down" if drop > 0.1 else "lost from sight"
    elif value["trunk angle at the end"] > 0.33:
        said["trunk"] = "trunk level"
    elif value["trunk angle at the end"] > 0.2:
        said["trunk"] = "trunk leaning"
    elif value["box height ratio"] < 0.6:
        said["box"] = "body low and folded"
    if not said:
        return f"unusual {speaks[0]}" if speaks else "unusual movement"
    spoken = [words for about, words in said.items() if any(about in name for name in speaks)]
    return ", ".join(spoken or said.values())


def _drop_time_s(body: BodyTrace, part: str) -> float:
    """Time the middle four fifths of the way down took."""
    y = body.hip[:, 1] if part == "hips" else body.shoulder[:, 1]
    known = np.flatnonzero(np.isfinite(y))
    line = y[known]
    low, high = quantile(line, 0.05), quantile(line, 0.95)
    end = int(known[np.flatnonzero(line >= low + 0.9 * (high - low))[0]])
    before = known[(known <= end) & (y[known] <= low + 0.1 * (high - low))]
    start = int(before[-1]) if before.size else int(known[0])
    return max(end - start, 1) / body.rate_hz


def _median(values: np.typing.NDArray[np.float64], *, otherwise: float) -> float:
    known = values[np.isfinite(values)]
    return median(known) if known.size else otherwise
