"""The model that confirms suspicions: fitted on the moments at which the alert rule would raise an alert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from har.alerts import DangerRule, DangerSettings
from har.errors import ShapeError
from har.models.confirm_features import CONFIRM_FEATURES, CONFIRM_WINDOW_S, confirm_features
from har.models.posture import assess_fall, can_confirm, judge_features
from har.models.risk import FoldedFit, fit_with_folds
from har.models.risk_features import Array
from har.records import Risk
from har.training.risk.budget import FOUND_WITHIN_S
from har.training.risk.windows import Stream


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """The moments at which somebody suspected is down.

    Attributes:
        features: (N, F) of `har.models.confirm_features`.
        fall: (N,) whether they fell.
        subject: (N,) who.
        source: (N,) number of the source of the clip.
        stream: (N,) number of the stream.
        time_s: (N,) on the clip's clock.
    """

    features: Array
    fall: npt.NDArray[np.bool_]
    subject: npt.NDArray[np.int_]
    source: npt.NDArray[np.int_]
    stream: npt.NDArray[np.int_]
    time_s: Array

    @property
    def weight(self) -> Array:
        """(N,) weights by which each source of clips counts alike."""
        counts = np.bincount(self.source)
        weight: Array = len(self.source) / (np.count_nonzero(counts) * counts[self.source].astype(np.float64))
        return weight


def find_moments(streams: Sequence[Stream], probability: Sequence[Array], *, threshold: float) -> Moments | None:
    """Find every moment at which staying down alone would raise an alert, now or if the source ended.

    Args:
        streams: people in time order.
        probability: of danger, one a reading of each stream, by models that had not seen the person.
        threshold: from which danger is suspected.

    Returns:
        None if there are none.
    """
    rows: list[tuple[Array, bool, int, str, int, float]] = []
    for number, (stream, danger) in enumerate(zip(streams, probability, strict=True)):
        if not np.nanmax(danger, initial=0.0) >= threshold:
            continue
        for at_s in _times_down(stream, danger, threshold=threshold):
            body = stream.trace(end_s=at_s, window_s=CONFIRM_WINDOW_S)
            features = None if body is None else confirm_features(body)
            if features is not None and can_confirm(features):
                fell = any(start <= at_s <= ground + FOUND_WITHIN_S for start, ground, _ in stream.falls)
                rows.append((features, fell, stream.subject, stream.clip.source, number, at_s))
    if not rows:
        return None
    return Moments(
        features=np.stack([row[0] for row in rows]),
        fall=np.array([row[1] for row in rows]),
        subject=np.array([row[2] for row in rows]),
        source=np.unique([row[3] for row in rows], return_inverse=True)[1],
        stream=np.array([row[4] for row in rows]),
        time_s=np.array([row[5] for row in rows]),
    )


def fit_confirmation(moments: Moments | None, *, c: float) -> FoldedFit | None:
    """Fit the confirming model; None if there are not falls and others of at least two people each."""
    if moments is None:
        return None
    try:
        return fit_with_folds(
            moments.features,
            moments.fall,
            moments.subject,
            n_components=len(CONFIRM_FEATURES),
            c=c,
            weight=moments.weight,
            names=CONFIRM_FEATURES,
        )
    except ShapeError:
        return None


class Confirmations:
    """What models that had not seen the person say at any moment, asked once each.

    Args:
        streams: people in time order.
        fit: the confirming models.
        moments: what they were fitted on, so known already.
    """

    def __init__(self, streams: Sequence[Stream], fit: FoldedFit, moments: Moments) -> None:
        self.model = fit.model
        self._streams, self._fit = streams, fit
        said = np.nan_to_num(fit.unseen, nan=1.0).tolist()
        keys = zip(moments.stream.tolist(), moments.time_s.tolist(), strict=True)
        self._said: dict[tuple[int, float], float] = dict(zip(keys, said, strict=True))

    def of(self, number: int, *, threshold: float) -> Callable[[float], bool]:
        """Give what says of one stream, at a time, whether a suspicion is confirmed."""
        return lambda at_s: self._ask(number, at_s) >= threshold

    def _ask(self, number: int, at_s: float) -> float:
        key = (number, at_s)
        if key not in self._said:
            stream = self._streams[number]
            body = stream.trace(end_s=at_s, window_s=CONFIRM_WINDOW_S)
            model = self._fit.without(stream.subject)
            probability = None if body is None or model is None else assess_fall(body, model)
            self._said[key] = 1.0 if probability is None else probability
        return self._said[key]


def _times_down(stream: Stream, danger: Array, *, threshold: float) -> list[float]:
    """Play a stream to a rule that nothing ever confirms, and note when it would have raised an alert."""
    rule = DangerRule(DangerSettings(threshold=threshold, floor_after_s=0.0), camera="clip", person=0, model="-")
    times: list[float] = []
    for reading, probability in zip(stream.readings, danger.tolist(), strict=True):
        risk = None
        if reading.features is not None and probability == probability:  # not NaN
            risk = Risk(probability, judge_features(reading.features), "", reading.before)
        rule.update(reading.posture, risk, source_time_s=reading.time_s, confirm=lambda: False)
        if rule.incident is not None and rule.probably_down():
            times.append(reading.time_s)
    return times
