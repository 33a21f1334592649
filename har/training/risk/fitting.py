"""From windows to a risk model: components, suspicion, confirmation, and thresholds for a budget of false alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from har.alerts import TELL_FROM
from har.clips import Clip
from har.errors import ShapeError
from har.models.bundle import RiskPart
from har.models.confirm import ConfirmModel
from har.models.confirm_features import CONFIRM_WINDOW_S
from har.models.risk import FoldedFit, RiskModel, fit_with_folds
from har.models.risk_features import FEATURES, RISK_WINDOW_S, Array
from har.training.risk.budget import ALERTS_PER_DAY, HOURS_PER_DAY, Suspicion, Tally, count, play
from har.training.risk.components import ComponentTrial, choose_components
from har.training.risk.confirming import Confirmations, find_moments, fit_confirmation
from har.training.risk.streams import RATE_HZ, Stream
from har.training.risk.windows import RiskWindows, cut_risk_windows

N_GOLDEN = 16
PENALTY = 0.3
_SUSPICIONS = (0.02, 0.05, 0.2, 0.5)
"""Thresholds of suspicion that are tried."""
_CONFIRMATIONS = tuple(1 - 0.9 * 0.8**k for k in range(28))
"""Thresholds of confirmation that are tried: 0.1, 0.28, 0.42 and so on up to 0.998."""
_FALLS_GIVEN_UP = 0.1
"""Share of the falls that may be given up for the budget; beyond it the budget yields."""


@dataclass(frozen=True, slots=True, eq=False)
class RiskFit:
    """A fitted risk model and how it did on people it had not seen.

    Attributes:
        model: the model, fitted on everybody, with its thresholds.
        explained_variance: share of the features' variance in the components kept.
        falls_noticed: share of the falls with a window over the threshold, by models that did not see the person.
        false_windows: share of the other windows over it.
        trials: what each number of components was worth.
        tally: the alert rule at the chosen thresholds, on people that the models had not seen.
        budget_met: that tally keeps to the budget of false alerts.
        suspicion: the models that were fitted without part of the people.
        confirmation: the confirming models likewise; None if there is none.
    """

    model: RiskModel
    explained_variance: float
    falls_noticed: float
    false_windows: float
    trials: tuple[ComponentTrial, ...]
    tally: Tally
    budget_met: bool
    suspicion: FoldedFit[RiskModel]
    confirmation: FoldedFit[ConfirmModel] | None

    def without(self, subject: int) -> RiskModel:
        """Give the model as it was fitted without somebody (and others of the same fold), with the same thresholds.

        Raises:
            ShapeError: none could be fitted without them.
        """
        unseeing = self.suspicion.without(subject)
        if unseeing is None:
            raise ShapeError(f"no risk model could be fitted without subject {subject}.")
        model = replace(unseeing, threshold=self.model.threshold)
        if self.confirmation is None or self.model.confirm is None:
            return model
        confirm = self.confirmation.without(subject) or self.confirmation.model  # no moment of theirs was learnt from
        return replace(model, confirm=replace(confirm, threshold=self.model.confirm.threshold))


def fit_risk_part(
    clips: Sequence[Clip],
    recordings: Iterable[Clip] = (),
    *,
    alerts_per_day: float = ALERTS_PER_DAY,
    jobs: int = 1,
    tell: Callable[[float], None] = lambda hours: None,
) -> RiskPart | None:
    """Fit the risk model on a clip set.

    Args:
        clips: COCO-17 clips in pixels; those with `danger` unknown are left out.
        recordings: long ones of life, and of falls in it.
        alerts_per_day: false alerts that are borne, per camera and day of living like that of the clips.
        jobs: processes that read recordings.
        tell: called with the hours of recordings read so far.

    Returns:
        The model with golden examples, or None if the clips do not tell of danger in at least two people.
    """
    windows = cut_risk_windows(clips, recordings, jobs=jobs, tell=tell)
    if windows is None:
        return None
    fit = fit_risk(windows, alerts_per_day=alerts_per_day)
    chosen = np.concatenate([_spread(windows.danger), _spread(~windows.danger)])
    confirm = fit.model.confirm
    meta: dict[str, Any] = {
        "features": list(FEATURES),
        "threshold": fit.model.threshold,
        "window_s": RISK_WINDOW_S,
        "rate_hz": RATE_HZ,
        "n_components": len(fit.model.components),
        "explained_variance": fit.explained_variance,
        "components_tried": [asdict(trial) for trial in fit.trials],
        "windows": len(windows.danger),
        "falls": int(windows.fall.max()) + 1,
        "unseen_falls_noticed": fit.falls_noticed,
        "unseen_false_windows": fit.false_windows,
        "recordings": _recordings(windows.streams),
        "budget": {"alerts_per_day": alerts_per_day, "met": fit.budget_met, **fit.tally.as_dict()},
    }
    if confirm is not None:
        meta["confirm"] = {
            "features": list(confirm.features),
            "threshold": confirm.threshold,
            "window_s": CONFIRM_WINDOW_S,
        }
    return RiskPart(arrays=fit.model.to_arrays(), meta=meta, golden_features=windows.features[chosen])


def _recordings(streams: Sequence[Stream]) -> list[dict[str, str | float]]:
    """Tell of the recordings learnt from: source, terms, and hours that somebody was followed for."""
    hours: dict[tuple[str, str], float] = {}
    for stream in streams:
        if stream.recorded:
            key = (stream.clip.source, stream.clip.licence)
            hours[key] = hours.get(key, 0.0) + stream.clip.duration_s / 3600.0
    return [{"source": source, "licence": licence, "hours": n} for (source, licence), n in sorted(hours.items())]


def _spread(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int_]:
    """Pick half of the golden windows from a mask, spread over it."""
    rows = np.flatnonzero(mask)
    spread: npt.NDArray[np.int_] = rows[np.linspace(0, len(rows) - 1, N_GOLDEN // 2).round().astype(int)]
    return spread


def fit_risk(windows: RiskWindows, *, alerts_per_day: float = ALERTS_PER_DAY) -> RiskFit:
    """Fit the risk model and choose its thresholds.

    The alert rule is played over everybody in time order, by models that had not seen them, with each of some
    thresholds of suspicion and of confirmation. Of the pairs that keep to the budget of false alerts the one that finds
    most falls is taken, and of those the one that tells of fewest suspicions and asks least. A budget that would cost
    more than a tenth of the falls yields. Alerts and falls are counted in recordings of life where there are any, for
    only there do things happen as often as they do; else in the clips. Where there is too little to fit a confirming
    model on, staying down is confirmation.

    Args:
        windows: of people in danger and others.
        alerts_per_day: the budget of false alerts, per camera and day of living like that of the clips.
    """
    weight = windows.weight
    n_components, trials = choose_components(windows.features, windows.danger, windows.subject, weight, c=PENALTY)
    fit = fit_with_folds(
        windows.features, windows.danger, windows.subject, n_components=n_components, c=PENALTY, weight=weight
    )
    known = np.nan_to_num(fit.unseen)
    best = np.full(int(windows.fall.max()) + 1, -np.inf)  # (falls,) the most that any of its windows is given
    np.maximum.at(best, windows.fall[windows.fall >= 0], known[windows.fall >= 0])
    danger = [_unseen(stream, fit) for stream in windows.streams]
    moments = find_moments(windows.streams, danger, threshold=min(_SUSPICIONS))
    confirmation = fit_confirmation(moments)
    answers = None
    if moments is not None and confirmation is not None:
        answers = Confirmations(windows.streams, confirmation, moments)
    model, tally = _choose_thresholds(windows.streams, danger, fit.model, answers, per_day=alerts_per_day)
    standard = (windows.features - model.mean) / model.scale
    kept = (standard - model.pca_mean) @ model.components.T
    return RiskFit(
        model=model,
        explained_variance=float(kept.var(axis=0).sum() / standard.var(axis=0).sum()),
        falls_noticed=float((best >= model.threshold).mean()),
        false_windows=float((known[~windows.danger] >= model.threshold).mean()),
        trials=trials,
        tally=tally,
        budget_met=tally.false_alerts_per_day <= alerts_per_day,
        suspicion=fit,
        confirmation=confirmation,
    )


def _unseen(stream: Stream, fit: FoldedFit[RiskModel]) -> Array:
    """(N,) probability of danger at each reading of a stream by a model that had not seen the person; else NaN."""
    probability = np.full(len(stream.readings), np.nan)
    model = fit.without(stream.subject)
    known = [number for number, reading in enumerate(stream.readings) if reading.features is not None]
    if model is not None and known:
        rows = [reading.features for reading in stream.readings if reading.features is not None]
        probability[known] = model.probability(np.stack(rows))
    return probability


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """The alert rule with one pair of thresholds.

    Attributes:
        model: the model with these thresholds.
        tally: what came of it.
    """

    model: RiskModel
    tally: Tally


def _choose_thresholds(
    streams: Sequence[Stream],
    danger: Sequence[Array],
    model: RiskModel,
    answers: Confirmations | None,
    *,
    per_day: float,
) -> tuple[RiskModel, Tally]:
    recorded = any(stream.recorded for stream in streams)
    judged = [number for number, stream in enumerate(streams) if stream.recorded == recorded]
    trials = [
        trial
        for threshold in _SUSPICIONS
        for trial in _try_threshold(streams, danger, judged, replace(model, threshold=threshold), answers)
    ]
    best = _within_budget(trials, per_day=per_day)
    return best.model, best.tally


def _try_threshold(
    streams: Sequence[Stream],
    danger: Sequence[Array],
    judged: Sequence[int],
    model: RiskModel,
    answers: Confirmations | None,
) -> list[_Trial]:
    """Play the rule to the streams judged with one threshold of suspicion, and count with every one of confirmation."""
    suspicions: list[list[Suspicion]] = []
    for number in judged:
        suspected = np.nanmax(danger[number], initial=0.0) >= model.threshold
        ask = None if answers is None else answers.of(number)
        told = play(streams[number], danger[number], threshold=model.threshold, ask=ask) if suspected else []
        suspicions.append(told)
    chosen = [streams[number] for number in judged]
    if answers is None:
        return [_Trial(model, count(chosen, suspicions, tell_from=TELL_FROM))]
    return [
        _Trial(
            replace(model, confirm=replace(answers.model, threshold=threshold)),
            count(chosen, suspicions, threshold=threshold, tell_from=TELL_FROM),
        )
        for threshold in _CONFIRMATIONS
    ]


def _within_budget(trials: Sequence[_Trial], *, per_day: float) -> _Trial:
    """Give the trial that finds most falls within the budget; where that gives up too many, the one nearest to it."""
    most = max(trial.tally.found for trial in trials)
    usable = [trial for trial in trials if trial.tally.found >= (1 - _FALLS_GIVEN_UP) * most]
    allowed = per_day * trials[0].tally.daily_h / HOURS_PER_DAY
    within = [trial for trial in usable if trial.tally.false_alerts <= allowed]

    def worth(trial: _Trial) -> tuple[float, ...]:
        return -trial.tally.found, trial.tally.suspicions, -trial.model.threshold

    if within:
        return min(within, key=worth)
    return min(usable, key=lambda trial: (trial.tally.false_alerts, *worth(trial)))
