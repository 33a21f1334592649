"""What a suspicion is confirmed by: how somebody came down in the last seconds, and how they lie since.

People who sit or lie down on purpose come down slowly and in stages, hips first under an upright trunk, and go on
moving as they like; people who fall come down at once. The features are those of `har.models.risk_features` in kind:
lengths in body lengths, angles in half turns, times in seconds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from har.models.quantiles import median
from har.models.risk_features import Array, BodyTrace

CONFIRM_WINDOW_S = 6.0
"""Length of the window: the 2.5 s of confirmation, the way down before it, and how the person was before that."""

_WORDS = (
    "hip drop", "shoulder drop", "head drop",
    "hip time on the way", "shoulder time on the way", "head time on the way",
    "hip speed", "shoulder speed", "head speed", "trunk angle speed",
    "hips ahead of shoulders", "time low with upright trunk", "time down",
    "trunk angle", "box aspect", "head rise", "hip rise", "leg rise", "box height",
    "movement", "box movement", "found share", "found share at the end", "score",
)  # fmt: skip
_LINES = ("hip", "shoulder", "head", "foot", "lowest point", "box width", "box height", "trunk angle")
_N_STEPS = 12
_STEPS = ("step", "fourth step", "step up", "fourth step up", "step down", "fourth step down",
          "detour", "way up", "step over a gap")  # fmt: skip
_SIZES = ("least", "at the end", "least to end", "largest change")
_STEADINESS = (
    *(f"{part} {name}" for part in ("hip", "shoulder", "head") for name in _STEPS),
    *(f"{size} {name}" for size in ("trunk length", "box side") for name in _SIZES),
    "times lost", "longest loss", "time until seen", "found share in the first half", "found share in the last 0.8 s",
    "mean score", "least score", "trunk angle spread",
)  # fmt: skip
CONFIRM_FEATURES = (
    *_WORDS,
    *(f"{line} in half second {step}" for line in _LINES for step in range(1, _N_STEPS + 1)),
    *_STEADINESS,
)
"""Names of the features, in their order; the last half second ends now.

New ones are added at the end; a model looks at those that it was fitted on.
"""

_END_S = 0.8
_STILL_S = 1.2
_SPEED_OVER_S = 0.3
_LOST_OVER_S = 2.0
_WAY = (0.2, 0.8)
_LEAST_STEPS = 3
_NOT_SEEN = -20.0
"""Farther off than anything known, so that trees tell it from every height."""
_UPRIGHT_TRUNK = 0.2


def confirm_features(body: BodyTrace) -> Array:
    """Compute the features of one window that ends now.

    Args:
        body: trace of the last `CONFIRM_WINDOW_S`; of somebody who came into view later, the part that there is.

    Returns:
        (F,) float64, finite, in the order of `CONFIRM_FEATURES`.
    """
    values = _way_down(body) | _lying(body)
    row: Array = np.concatenate([[values[name] for name in _WORDS], _course(body), _steadiness(body)])
    row[len(_WORDS) :] = np.nan_to_num(row[len(_WORDS) :], nan=_NOT_SEEN)
    return np.clip(np.nan_to_num(row, nan=0.0, posinf=5.0, neginf=-5.0), -20.0, 20.0)


def _way_down(body: BodyTrace) -> dict[str, float]:
    values: dict[str, float] = {}
    halfway_s: dict[str, float] = {}
    n = len(body.found)
    share_down = np.full(n, np.nan)
    for name, line in (("head", body.head), ("shoulder", body.shoulder), ("hip", body.hip)):
        y = line[:, 1] / body.body_px
        drop, share_down = _share_of_drop(y, n_end=round(_END_S * body.rate_hz))
        on_the_way = (share_down > _WAY[0]) & (share_down < _WAY[1])
        below = np.flatnonzero(share_down > 0.5)
        halfway_s[name] = float(below[0]) / body.rate_hz if below.size else n / body.rate_hz
        values[f"{name} drop"] = drop
        values[f"{name} time on the way"] = float(on_the_way.sum()) / body.rate_hz
        values[f"{name} speed"] = _top_speed(y, body.rate_hz)
    upright_and_low = (share_down > 0.6) & (body.trunk_angle < _UPRIGHT_TRUNK)
    return values | {
        "trunk angle speed": _top_speed(body.trunk_angle, body.rate_hz),
        "hips ahead of shoulders": halfway_s["shoulder"] - halfway_s["hip"],
        "time low with upright trunk": float(upright_and_low.sum()) / body.rate_hz,
        "time down": n / body.rate_hz - halfway_s["shoulder"],
    }


def _share_of_drop(y: Array, *, n_end: int) -> tuple[float, Array]:
    """Give how far a line came down from its highest to its end, and (T,) the share of that way at each frame."""
    known = np.flatnonzero(np.isfinite(y))
    if not known.size:
        return 0.0, np.full(len(y), np.nan)
    late = y[len(y) - n_end :]
    late = late[np.isfinite(late)]
    end = float(np.median(late)) if late.size else float(np.median(y[known[-3:]]))
    highest = float(np.percentile(y[known], 10))
    drop = end - highest
    return drop, (y - highest) / max(drop, 0.05)


def _top_speed(line: Array, rate_hz: float) -> float:
    step = max(round(_SPEED_OVER_S * rate_hz), 1)
    change = line[step:] - line[:-step]
    change = change[np.isfinite(change)]
    return float(np.percentile(change, 97)) * rate_hz / step if change.size else 0.0


def _lying(body: BodyTrace) -> dict[str, float]:
    size, rate_hz, n = body.body_px, body.rate_hz, len(body.found)
    end = body.found.copy()
    end[: n - round(_END_S * rate_hz)] = False
    if not end.any():
        end[np.flatnonzero(body.found)[-3:]] = True
    width, height = body.box[:, 2] - body.box[:, 0], body.box[:, 3] - body.box[:, 1]
    lowest = body.box[:, 3]
    still = slice(n - round(_STILL_S * rate_hz), n)
    return {
        "trunk angle": _median(body.trunk_angle, end),
        "box aspect": _median(np.log(np.maximum(width, 1.0) / np.maximum(height, 1.0)), end),
        "head rise": _median((lowest - body.head[:, 1]) / size, end),
        "hip rise": _median((lowest - body.hip[:, 1]) / size, end),
        "leg rise": _median((body.foot[:, 1] - body.hip[:, 1]) / size, end),
        "box height": _median(height / size, end),
        "movement": _movement(np.concatenate([body.hip, body.shoulder], axis=1)[still], rate_hz) / size,
        "box movement": _movement(body.box[still], rate_hz) / size,
        "found share": float(body.found[int(np.flatnonzero(body.found)[0]) :].mean()),
        "found share at the end": float(body.found[n - round(_LOST_OVER_S * rate_hz) :].mean()),
        "score": _median(body.score, end),
    }


def _course(body: BodyTrace) -> Array:
    """Give each line's median in every half second, line by line; NaN where nothing was seen.

    Heights count from where the hips mostly were in the window, downwards.
    """
    size = body.body_px
    hip = _medians(body.hip[:, 1] / size)
    known = hip[np.isfinite(hip)]
    level = median(known) if known.size else float("nan")
    heights = [body.shoulder[:, 1], body.head[:, 1], body.foot[:, 1], body.box[:, 3]]
    width, height = body.box[:, 2] - body.box[:, 0], body.box[:, 3] - body.box[:, 1]
    return np.concatenate([
        hip - level, *(_medians(line / size) - level for line in heights),
        _medians(width / size), _medians(height / size), _medians(body.trunk_angle),
    ])  # fmt: skip


def _medians(line: Array) -> Array:
    """Give the medians (steps,) of equal parts of a line (T,), of what is known of each."""
    parts = [part[np.isfinite(part)] for part in np.array_split(line, _N_STEPS)]
    return np.array([median(part) if part.size else np.nan for part in parts])


def _steadiness(body: BodyTrace) -> Array:
    """Say how an estimator's pose went from frame to frame: a body comes down all the way, a wrong pose jumps."""
    size, rate_hz, n = body.body_px, body.rate_hz, len(body.found)
    trunk = np.hypot(*(body.shoulder - body.hip).T) / size
    sides = body.box[:, 2:] - body.box[:, :2]
    lost = np.flatnonzero(np.diff(np.concatenate([[1], body.found, [1]]).astype(int)))  # begins and ends by turns
    losses = lost[1::2] - lost[::2]
    angles = body.trunk_angle[np.isfinite(body.trunk_angle)]
    scores = body.score[body.found]
    return np.array([
        *(value for line in (body.hip, body.shoulder, body.head) for value in _steps(line / size, rate_hz)),
        *_sizes(trunk), *_sizes(sides.max(axis=1) / size),
        len(losses), losses.max(initial=0) / rate_hz, np.flatnonzero(body.found)[0] / rate_hz,
        body.found[: n // 2].mean(), body.found[n - round(_END_S * rate_hz) :].mean(),
        scores.mean(), scores.min(), angles.std() if angles.size else np.nan,
    ])  # fmt: skip


def _steps(place: Array, rate_hz: float) -> list[float]:
    """Give the features named in `_STEPS` of a point (T, 2): speeds in lengths a second, ways in lengths."""
    known = np.flatnonzero(np.isfinite(place).all(axis=1))
    if len(known) < _LEAST_STEPS:
        return [np.nan] * len(_STEPS)
    frames, way = np.diff(known), np.diff(place[known], axis=0)
    near = frames <= 2
    took_s = frames[near] / rate_hz
    down = way[:, 1]
    speeds = (np.hypot(*way[near].T) / took_s, -down[near] / took_s, down[near] / took_s)
    return [
        *(value for speed in speeds for value in _first_and_fourth(speed)),
        float(np.abs(down).sum() - abs(down.sum())),
        float(-down[down < 0].sum()),
        float(np.abs(down[~near]).max(initial=0.0)),
    ]


def _first_and_fourth(values: Array) -> tuple[float, float]:
    """Give the largest and the fourth largest; the smallest where there are fewer, 0 where there are none."""
    if not values.size:
        return 0.0, 0.0
    ordered = np.sort(values)
    return ordered.item(-1), ordered.item(max(len(ordered) - 4, 0))


def _sizes(line: Array) -> list[float]:
    """Give the features named in `_SIZES` of a length (T,), by its medians in half seconds."""
    steps = _medians(line)
    steps = steps[np.isfinite(steps) & (steps > 0)]
    if len(steps) < 2:
        return [np.nan] * len(_SIZES)
    least, largest, last = steps.min(), steps.max(), steps[-1]
    return [least / largest, last / largest, least / last, float(np.abs(np.diff(np.log(steps))).max())]


def _movement(lines: Array, rate_hz: float) -> float:
    """Median speed of some coordinates, pixels a second; 0 where nothing was seen twice."""
    speed = np.abs(np.diff(lines, axis=0)) * rate_hz
    speed = speed[np.isfinite(speed)]
    return float(np.median(speed)) if speed.size else 0.0


def _median(values: Array, mask: npt.NDArray[np.bool_]) -> float:
    known = values[mask]
    known = known[np.isfinite(known)]
    return float(np.median(known)) if known.size else float("nan")
