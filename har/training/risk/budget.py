"""The alert rule played over daily living and falls in time order: what a threshold costs in false alerts a day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from har.alerts import DangerRule, DangerSettings
from har.models.posture import judge_features
from har.models.risk_features import Array
from har.records import AlertEvent, DangerEvent, Event, Risk
from har.training.bounds import rate_interval, share_interval
from har.training.risk.windows import Stream

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
        false_alerts: any other alert.
        suspicions: suspicions that began outside a fall.
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


def play(
    stream: Stream, probability: Array, *, threshold: float, confirmed: Callable[[float], bool] | None = None
) -> list[Event]:
    """Play one person's readings to the alert rule.

    Args:
        stream: the person.
        probability: (N,) of danger, one a reading; NaN where there is no say.
        threshold: from which danger is suspected.
        confirmed: says at a time whether a suspicion is confirmed; None where staying down is enough.
    """
    rule = DangerRule(DangerSettings(threshold=threshold, floor_after_s=0.0), camera="clip", person=0, model="-")
    events: list[Event] = []
    for reading, danger in zip(stream.readings, probability.tolist(), strict=True):
        risk = None
        if reading.features is not None and danger == danger:  # not NaN
            risk = Risk(danger, judge_features(reading.features), "", reading.before)
        confirm = None if confirmed is None else (lambda at_s=reading.time_s: confirmed(at_s))
        events += rule.update(reading.posture, risk, source_time_s=reading.time_s, confirm=confirm)
    return events


def count(streams: Sequence[Stream], events: Sequence[Sequence[Event]]) -> Tally:
    """Hold the events of streams against their falls."""
    n_falls = found = false = suspicions = 0
    for stream, told in zip(streams, events, strict=True):
        raised = [e.source_time_s for e in told if isinstance(e, AlertEvent) and e.change == "state"]
        begun = [e.source_time_s for e in told if isinstance(e, DangerEvent) and e.phase == "new"]
        hits = dict.fromkeys(stream.falls, False)
        for at_s in raised:
            fall = next((f for f in stream.falls if f[0] <= at_s <= f[1] + FOUND_WITHIN_S), None)
            if fall is None or hits[fall]:
                false += 1
            else:
                hits[fall] = True
        n_falls += len(hits)
        found += sum(hits.values())
        suspicions += sum(not any(f[0] <= at_s <= f[1] + FOUND_WITHIN_S for f in stream.falls) for at_s in begun)
    return Tally(n_falls, found, false, suspicions, sum(stream.daily_s for stream in streams) / 3600.0)
