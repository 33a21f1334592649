"""The alert rule played over daily living and falls in time order: what a threshold costs in false alerts a day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from har.alerts import DangerRule, DangerSettings, Incident
from har.clips import Span
from har.models.posture import judge_features
from har.models.risk_features import Array
from har.records import AlertEvent, DangerEvent, Risk
from har.training.bounds import rate_interval, share_interval
from har.training.risk.streams import Stream

ALERTS_PER_DAY = 1.0
"""False alerts that are borne, per camera and day of living like that of the clips."""
FOUND_WITHIN_S = 10.0
HOURS_PER_DAY = 24.0


@dataclass(frozen=True, slots=True)
class Tally:
    """What the alert rule did on some streams.

    Attributes:
        falls: how many there were.
        found: falls with an alert between their start and 10 s after the ground.
        false_alerts: alerts before any fall; what comes after one is neither, and its time is not in `daily_h`.
        suspicions: suspicions that began before any fall and were told.
        daily_h: hours without a fall that were watched.
    """

    falls: int
    found: int
    false_alerts: int
    suspicions: int
    daily_h: float

    @property
    def false_alerts_per_day(self) -> float:
        """False alerts per camera and day."""
        return self.false_alerts / max(self.daily_h, 1e-9) * HOURS_PER_DAY

    def as_dict(self) -> dict[str, float | int | list[float] | None]:
        """Give the counts with their statistical bounds, as they stand in the bundle's manifest."""
        highest = rate_interval(self.false_alerts, exposure=self.daily_h / HOURS_PER_DAY)[1]
        return {
            "falls": self.falls,
            "found": self.found,
            "found_share_95": list(share_interval(self.found, self.falls)),
            "false_alerts": self.false_alerts,
            "suspicions": self.suspicions,
            "daily_h": round(self.daily_h, 3),
            "false_alerts_per_day": self.false_alerts_per_day,
            "false_alerts_per_day_at_most": highest,
            "suspicions_per_day": self.suspicions / max(self.daily_h, 1e-9) * HOURS_PER_DAY,
        }


@dataclass(slots=True)
class Suspicion:
    """One suspicion of a stream and what the confirming model said while it lasted.

    Attributes:
        at_s: when it began.
        probability: the highest while it lasted.
        asked: (time, probability) each time that the alert rule asked for confirmation.
    """

    at_s: float
    probability: float
    asked: list[tuple[float, float]]

    def raised_s(self, threshold: float) -> float | None:
        """Give the time of its alert, if one was raised."""
        return next((at_s for at_s, probability in self.asked if probability >= threshold), None)


Ask: TypeAlias = Callable[[float], float]


def play(stream: Stream, probability: Array, *, threshold: float, ask: Ask | None = None) -> list[Suspicion]:
    """Play one person's readings to the alert rule.

    Nothing is ever confirmed meanwhile: the times of asking tell what would have been with any threshold.

    Args:
        stream: the person.
        probability: (N,) of danger, one a reading; NaN where there is no say.
        threshold: from which danger is suspected.
        ask: gives the confirming model's probability at a time; None where staying down is enough.
    """
    settings = DangerSettings(threshold=threshold, tell_from=0.0, floor_after_s=0.0)
    rule = DangerRule(settings, camera="clip", person=0, model="-")
    found: list[Suspicion] = []
    incident: Incident | None = None
    for reading, danger in zip(stream.readings, probability.tolist(), strict=True):
        asked: list[tuple[float, float]] = []
        risk = None
        if reading.features is not None and danger == danger:  # not NaN
            risk = Risk(danger, judge_features(reading.features), "", reading.before)
        confirm = None if ask is None else partial(_note, asked, reading.time_s, ask)
        events = rule.update(reading.posture, risk, source_time_s=reading.time_s, confirm=confirm)
        found += [Suspicion(reading.time_s, 0.0, []) for e in events if isinstance(e, DangerEvent) and e.phase == "new"]
        if ask is None:
            asked = [(e.source_time_s, 1.0) for e in events if isinstance(e, AlertEvent) and e.change == "state"]
        incident = rule.incident or incident  # one that is over just now knows its highest probability still
        if incident is not None:
            found[-1].asked += asked
            found[-1].probability = incident.probability
    return found


def _note(asked: list[tuple[float, float]], at_s: float, ask: Ask) -> float:
    """Note what the confirming model says; confirm nothing."""
    asked.append((at_s, ask(at_s)))
    return 0.0


def count(
    streams: Sequence[Stream],
    suspicions: Sequence[Sequence[Suspicion]],
    *,
    threshold: float = 0.5,
    tell_from: float = 0.0,
) -> Tally:
    """Hold what was suspected, confirmed from a threshold on and told from another on, against the falls of streams."""
    n_falls = found = false = n_suspicions = 0
    for stream, told in zip(streams, suspicions, strict=True):
        hits = dict.fromkeys(stream.falls, False)
        raised = [each.raised_s(threshold) for each in told]
        for at_s in (at_s for at_s in raised if at_s is not None):
            if (fall := _fall_at(stream, at_s)) is not None:
                hits[fall] = True
            elif _is_daily(stream, at_s):
                false += 1
        n_falls += len(hits)
        found += sum(hits.values())
        n_suspicions += sum(
            (each.probability >= tell_from or raised_s is not None) and _is_daily(stream, each.at_s)
            for each, raised_s in zip(told, raised, strict=True)
        )
    return Tally(n_falls, found, false, n_suspicions, sum(stream.daily_s for stream in streams) / 3600.0)


def _is_daily(stream: Stream, at_s: float) -> bool:
    """Say whether nobody has fallen yet."""
    return all(at_s < start_s for start_s, _, _ in stream.falls)


def _fall_at(stream: Stream, at_s: float) -> Span | None:
    return next((fall for fall in stream.falls if fall[0] <= at_s <= fall[1] + FOUND_WITHIN_S), None)
