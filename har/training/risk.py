"""Fitting the risk model on clips that tell where people fall."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from har.clips import Clip, Span
from har.models.bundle import RiskPart
from har.models.risk import RiskModel, fit_risk_model
from har.models.risk_features import FEATURES, RISK_WINDOW_S, Array, risk_features
from har.windows import resample

RATE_HZ = 15.0
EVERY_S = 0.3
FALL_LABEL = "fall"
N_COMPONENTS = 12
"""Keeps about 90 % of the variance of the features; chosen leaving out one GMDCSA24 subject at a time."""
N_GOLDEN = 16

# When a window says "fall": it ends from shortly before the body is down until the way down leaves the window. The
# windows next to these are neither; what lies well after the fall is lying, which is the floor timer's business.
_BEFORE_GROUND_S = 0.15
_AFTER_GROUND_S = 1.3
_CLEAR_AFTER_S = 2.6
_CLEAR_BEFORE_S = 0.3
_MIN_POSES = 10
# Three of the eleven GMDCSA24 falls begin within half a second of the first frame; people fall in doorways too.
_ARRIVE_BEFORE_S = (0.2, 0.6)
_N_ARRIVALS = 3
_LOWEST_THRESHOLD, _HIGHEST_THRESHOLD = 0.2, 0.5


@dataclass(frozen=True, slots=True, eq=False)
class RiskWindows:
    """Features of windows with the truth.

    Attributes:
        features: (N, F) float64.
        danger: (N,) whether the window holds a fall.
        subject: (N,) number of the person in `subjects`, never split between fitting and calibration.
        fall: (N,) number of the fall a dangerous window belongs to; -1 for none.
        source: (N,) number of the source of the clip.
        subjects: who.
    """

    features: Array
    danger: npt.NDArray[np.bool_]
    subject: npt.NDArray[np.int_]
    fall: npt.NDArray[np.int_]
    source: npt.NDArray[np.int_]
    subjects: tuple[str, ...]

    @property
    def weight(self) -> Array:
        """(N,) weights by which each source of clips counts alike."""
        counts = np.bincount(self.source)
        weight: Array = len(self.source) / (np.count_nonzero(counts) * counts[self.source].astype(np.float64))
        return weight

    def without(self, subject: str) -> RiskWindows:
        """Give the windows of everybody but one."""
        if subject not in self.subjects:
            return self
        kept = self.subject != self.subjects.index(subject)
        fall = np.full(int(kept.sum()), -1)
        falls = self.fall[kept]
        fall[falls >= 0] = np.unique(falls[falls >= 0], return_inverse=True)[1]
        return RiskWindows(
            self.features[kept], self.danger[kept], self.subject[kept], fall, self.source[kept], self.subjects
        )


def fit_risk_part(clips: Sequence[Clip]) -> RiskPart | None:
    """Fit the risk model on a clip set.

    Args:
        clips: COCO-17 clips in pixels; those with `danger` unknown are left out.

    Returns:
        The model with golden examples, or None if the clips do not tell of danger in at least two people.
    """
    windows = cut_risk_windows(clips)
    if windows is None:
        return None
    fit = fit_risk(windows)
    chosen = np.concatenate([_spread(windows.danger), _spread(~windows.danger)])
    meta = {
        "features": list(FEATURES),
        "threshold": fit.model.threshold,
        "window_s": RISK_WINDOW_S,
        "rate_hz": RATE_HZ,
        "n_components": len(fit.model.components),
        "explained_variance": fit.explained_variance,
        "windows": len(windows.danger),
        "falls": int(windows.fall.max()) + 1,
        "unseen_falls_noticed": fit.falls_noticed,
        "unseen_false_windows": fit.false_windows,
    }
    return RiskPart(arrays=fit.model.to_arrays(), meta=meta, golden_features=windows.features[chosen])


def _spread(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int_]:
    """Pick half of the golden windows from a mask, spread over it."""
    rows = np.flatnonzero(mask)
    spread: npt.NDArray[np.int_] = rows[np.linspace(0, len(rows) - 1, N_GOLDEN // 2).round().astype(int)]
    return spread


@dataclass(frozen=True, slots=True, eq=False)
class RiskFit:
    """A fitted risk model and how it did on people it had not seen.

    Attributes:
        model: the model, fitted on everybody, with its threshold.
        explained_variance: share of the features' variance in the components kept.
        falls_noticed: share of the falls with a window over the threshold, by models that did not see the person.
        false_windows: share of the other windows over it.
    """

    model: RiskModel
    explained_variance: float
    falls_noticed: float
    false_windows: float


def fit_risk(windows: RiskWindows) -> RiskFit:
    """Fit the risk model and choose its threshold.

    The threshold is four fifths of the probability that nineteen of twenty falls reach in windows of people the model
    did not see: suspicion has to be easy, since confirmation is what an alert hangs on.
    """
    model, unseen = fit_risk_model(
        windows.features, windows.danger, windows.subject, n_components=N_COMPONENTS, weight=windows.weight
    )
    known = np.nan_to_num(unseen)
    best = np.array([known[windows.fall == fall].max() for fall in range(int(windows.fall.max()) + 1)])
    easy = 0.8 * float(np.quantile(best, 0.05))
    threshold = round(min(max(easy, _LOWEST_THRESHOLD), _HIGHEST_THRESHOLD), 3)
    standard = (windows.features - model.mean) / model.scale
    kept = (standard - model.pca_mean) @ model.components.T
    return RiskFit(
        model=RiskModel.from_arrays(model.to_arrays(), threshold=threshold),
        explained_variance=float(kept.var(axis=0).sum() / standard.var(axis=0).sum()),
        falls_noticed=float((best >= threshold).mean()),
        false_windows=float((unseen[~windows.danger] >= threshold).mean()),
    )


def cut_risk_windows(clips: Sequence[Clip]) -> RiskWindows | None:
    """Cut clips into windows for the risk model, the way the service sees them.

    Returns:
        None if there are not falls and other windows of at least two people each.
    """
    rows: list[tuple[Array, bool, str, int, str]] = []
    n_falls = 0
    for clip in clips:
        if clip.danger is None or clip.layout != "coco17" or clip.units != "px":
            continue
        falls = [span for span in clip.spans if span[2] == FALL_LABEL]
        if clip.danger and not falls:
            continue  # it does not tell when
        for _, ends, features in _people(clip, falls=falls):
            for end_s, row in zip(ends, features, strict=True):
                truth = _truth(end_s, falls)
                if truth is not None:
                    fall = n_falls + truth if truth >= 0 else -1
                    rows.append((row, truth >= 0, clip.subject or clip.id, fall, clip.source))
        n_falls += len(falls)
    if not rows:
        return None
    danger = np.array([row[1] for row in rows])
    subjects, subject = np.unique([row[2] for row in rows], return_inverse=True)
    if len(np.unique(subject[danger])) < 2 or len(np.unique(subject[~danger])) < 2:
        return None
    return RiskWindows(
        features=np.stack([row[0] for row in rows]),
        danger=danger,
        subject=subject,
        fall=np.unique([row[3] for row in rows], return_inverse=True)[1] - int(not danger.all()),
        source=np.unique([row[4] for row in rows], return_inverse=True)[1],
        subjects=tuple(str(name) for name in subjects),
    )


def _people(clip: Clip, *, falls: Sequence[Span]) -> Iterator[tuple[int, list[float], list[Array]]]:
    """Give each person's features; of a clip with a fall only those of the one whose shoulders drop most."""
    people = []
    drop = FEATURES.index("shoulder drop")
    for m in range(clip.joints.shape[1]):
        ends, features = _features(clip, m, falls=falls)
        if features:
            people.append((m, ends, features))
    if falls and people:
        people = [max(people, key=lambda person: max(float(row[drop]) for row in person[2]))]
    yield from people


def _features(clip: Clip, m: int, *, falls: Sequence[Span]) -> tuple[list[float], list[Array]]:
    """Compute one person's features every `EVERY_S`, from the first pose to the end of the clip.

    Then once more as if the person had come into view only then, shortly before the fall or anywhere: people do fall
    in a doorway.
    """
    seen = np.flatnonzero(np.isfinite(clip.joints[:, m, :, 0]).any(axis=1))
    if len(seen) < _MIN_POSES:
        return [], []
    first_s, last_s = float(clip.time_s[seen[0]]), float(clip.time_s[-1])
    found = list(_stretch(clip, m, from_s=first_s, until_s=last_s))
    if falls:
        arrivals = [start_s - before_s for start_s, _, _ in falls for before_s in _ARRIVE_BEFORE_S]
    else:
        arrivals = np.linspace(first_s, last_s, _N_ARRIVALS + 2)[1:-1].tolist()
    for arrival_s in arrivals:
        if arrival_s > first_s:
            found += _stretch(clip, m, from_s=arrival_s, until_s=min(arrival_s + RISK_WINDOW_S, last_s))
    return [end_s for end_s, _ in found], [row for _, row in found]


def _stretch(clip: Clip, m: int, *, from_s: float, until_s: float) -> Iterator[tuple[float, Array]]:
    """Give end and features of the windows of one person who came into view at `from_s`."""
    width_px, height_px = clip.width_px or 640, clip.height_px or 480
    for step in range(math.ceil((until_s - from_s) / EVERY_S)):
        # The service looks at the times of frames, never between them.
        end_s = float(clip.time_s[np.searchsorted(clip.time_s, from_s + step * EVERY_S)])
        inside = (clip.time_s >= max(from_s, end_s - RISK_WINDOW_S - 0.5)) & (clip.time_s <= end_s)
        window = resample(
            clip.time_s[inside],
            clip.joints[inside, m],
            rate_hz=RATE_HZ,
            end_s=end_s,
            n_frames=round(RISK_WINDOW_S * RATE_HZ),
            width_px=width_px,
            height_px=height_px,
        )
        row = risk_features(window, rate_hz=RATE_HZ, width_px=width_px, height_px=height_px)
        if row is not None:
            yield end_s, row


def _truth(end_s: float, falls: Sequence[Span]) -> int | None:
    """Number of the fall that a window ending then holds, -1 for none, None if it is neither the one nor the other."""
    for number, (_, ground_s, _) in enumerate(falls):
        if ground_s - _BEFORE_GROUND_S <= end_s <= ground_s + _AFTER_GROUND_S:
            return number
    near = any(start_s + _CLEAR_BEFORE_S <= end_s <= ground_s + _CLEAR_AFTER_S for start_s, ground_s, _ in falls)
    return None if near else -1
