"""The model that confirms suspicions: fitted on the moments at which the alert rule asks for confirmation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from har.errors import ShapeError
from har.models.confirm import ConfirmModel, calibrated, fit_trees
from har.models.confirm_features import CONFIRM_WINDOW_S, confirm_features
from har.models.posture import assess_fall, saw_way_down
from har.models.risk import FoldedFit, calibrate, number_folds, split_by_subject
from har.models.risk_features import Array
from har.training.risk.budget import Ask, play
from har.training.risk.streams import Stream
from har.training.risk.windows import weigh_sources

N_FOLDS = 5
_SURE_AFTER_S, _SURE_UNTIL_S = 1.0, 8.0
"""From when to when after the ground a moment is a fall's; what lies between the fall's start and then is neither."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """The moments at which somebody suspected is not up again.

    Attributes:
        features: (N, F) of `har.models.confirm_features`.
        fell: (N,) whether they fell.
        subject: (N,) who.
        source: (N,) number of the source of the clip.
        stream: (N,) number of the stream.
        time_s: (N,) on the clip's clock.
    """

    features: Array
    fell: npt.NDArray[np.bool_]
    subject: npt.NDArray[np.int_]
    source: npt.NDArray[np.int_]
    stream: npt.NDArray[np.int_]
    time_s: Array

    @property
    def weight(self) -> Array:
        """(N,) weights by which each source of clips counts alike."""
        return weigh_sources(self.source)


def find_moments(streams: Sequence[Stream], probability: Sequence[Array], *, threshold: float) -> Moments | None:
    """Find every moment at which the alert rule would ask for confirmation and the way down was seen.

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
        for suspicion in play(stream, danger, threshold=threshold, ask=lambda at_s: 0.0):
            for at_s, _ in suspicion.asked:
                fell = _truth(stream, at_s)
                body = None if fell is None else stream.trace(end_s=at_s, window_s=CONFIRM_WINDOW_S)
                features = None if body is None else confirm_features(body)
                if fell is not None and features is not None and saw_way_down(features):
                    rows.append((features, fell, stream.subject, stream.clip.source, number, at_s))
    if not rows:
        return None
    return Moments(
        features=np.stack([row[0] for row in rows]),
        fell=np.array([row[1] for row in rows]),
        subject=np.array([row[2] for row in rows]),
        source=np.unique([row[3] for row in rows], return_inverse=True)[1],
        stream=np.array([row[4] for row in rows]),
        time_s=np.array([row[5] for row in rows]),
    )


def _truth(stream: Stream, at_s: float) -> bool | None:
    """Say whether a moment is a fall's; None if it is neither that nor clearly another."""
    if any(ground + _SURE_AFTER_S <= at_s <= ground + _SURE_UNTIL_S for _, ground, _ in stream.falls):
        return True
    return None if any(at_s >= start for start, _, _ in stream.falls) else False


def fit_confirmation(moments: Moments | None) -> FoldedFit[ConfirmModel] | None:
    """Fit the confirming model and calibrate it on people it did not see.

    Returns:
        None if there are not falls and others of at least two people each.
    """
    if moments is None:
        return None
    features, fell, weight = moments.features, moments.fell, moments.weight
    try:
        parts = split_by_subject(fell, moments.subject, at_most=N_FOLDS)
    except ShapeError:
        return None
    margin = np.full(len(fell), np.nan)
    folds = []
    for train, test in parts:
        fold = fit_trees(features[train], fell[train], weight=weight[train])
        margin[test] = fold.margin(features[test])
        folds.append(fold)
    calibration = calibrate(margin, fell, weight)
    return FoldedFit(
        model=replace(fit_trees(features, fell, weight=weight), calibration=calibration),
        unseen=calibrated(margin, calibration),
        folds=tuple(replace(fold, calibration=calibration) for fold in folds),
        fold_of=number_folds([test for _, test in parts], moments.subject),
    )


class Confirmations:
    """What models that had not seen the person say at any moment, asked once each.

    Args:
        streams: people in time order.
        fit: the confirming models.
        moments: what they were fitted on, so known already.
    """

    def __init__(self, streams: Sequence[Stream], fit: FoldedFit[ConfirmModel], moments: Moments) -> None:
        self.model = fit.model
        self._streams, self._fit = streams, fit
        said = np.nan_to_num(fit.unseen, nan=1.0).tolist()
        keys = zip(moments.stream.tolist(), moments.time_s.tolist(), strict=True)
        self._said: dict[tuple[int, float], float] = dict(zip(keys, said, strict=True))

    def of(self, number: int) -> Ask:
        """Give what tells of one stream, at a time, how likely it is that they fell."""
        return lambda at_s: self._ask(number, at_s)

    def _ask(self, number: int, at_s: float) -> float:
        key = (number, at_s)
        if key not in self._said:
            stream = self._streams[number]
            body = stream.trace(end_s=at_s, window_s=CONFIRM_WINDOW_S)
            model = self._fit.without(stream.subject) or self._fit.model  # no moment of theirs was learnt from
            self._said[key] = 0.0 if body is None else assess_fall(body, model)
        return self._said[key]
