"""Holding alerts against the truth: falls found and missed, false alerts, delay, time on the floor, A against B.

A fall is found by the first alert of kind `fall` or `risk` from its start to ten seconds after the body is down. Any
other such alert is false, also in a recording of a fall. Alerts of kind `floor` stand apart; so do those that came only
because the recording ended: they count as found or false, but say nothing of the delay.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from har.records import AlertEvent, DangerEvent, Event
from har.training.bounds import rate_interval, share_interval, sign_test
from har.training.truth import Fall, Truth

FOUND_WITHIN_S = 10.0
"""After the body is down; a later alert finds nothing."""
SAME_WITHIN_S = 10.0
"""Two models' alerts of one recording no further apart than this tell of the same incident."""


@dataclass(frozen=True, slots=True)
class Raised:
    """One alert, from its first word to its last.

    Attributes:
        at_s: when it was raised, seconds of the recording.
        kind: "fall", "risk" or "floor": the gravest it reached.
        reason: why, in words.
        probability: highest probability told.
        person: track id.
        by_end: it was raised only because the recording ended.
        floor_s: seconds on the floor, by its last word.
        told_s: when that last word was.
    """

    at_s: float
    kind: str
    reason: str
    probability: float
    person: int | None
    by_end: bool
    floor_s: float
    told_s: float


@dataclass(frozen=True, slots=True)
class FallFound:
    """One fall of the truth and the alert that found it, or None."""

    fall: Fall
    alert: Raised | None

    @property
    def delay_s(self) -> float | None:
        """From the ground to the alert, seconds; None if missed or found only because the recording ended."""
        if self.alert is None or self.alert.by_end:
            return None
        return self.alert.at_s - self.fall.ground_s

    @property
    def floor_error_s(self) -> float | None:
        """The time on the floor by the alert's last word, minus the true one; None if missed."""
        if self.alert is None:
            return None
        return self.alert.floor_s - max(min(self.alert.told_s, self.fall.end_s) - self.fall.ground_s, 0.0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one recording was judged.

    Attributes:
        recording: its name.
        model: what it was judged by.
        duration_s: how long it is.
        falls: every fall of the truth.
        false_alerts: alerts of kind `fall` or `risk` that find no fall.
        floor_alerts: alerts of kind `floor`.
        suspicions: suspicions of kind `fall` or `risk` that were first told outside a fall.
        labels: seconds of each label by the truth, and seconds of it in which the model said so.
    """

    recording: str
    model: str
    duration_s: float
    falls: tuple[FallFound, ...] = ()
    false_alerts: tuple[Raised, ...] = ()
    floor_alerts: tuple[Raised, ...] = ()
    suspicions: int = 0
    labels: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moment:
    """Everybody in view at one frame.

    Attributes:
        time_s: seconds of the recording.
        people: person, label ("" for none yet), and probability of danger of the last window.
    """

    time_s: float
    people: tuple[tuple[int, str, float], ...]


def gather_alerts(events: Iterable[Event]) -> list[Raised]:
    """Give the alerts among events in order of time.

    An alert that rose from `floor` to `fall` or `risk` counts as raised when it rose.
    """
    of_alert: dict[str, list[AlertEvent]] = {}
    for event in events:
        if isinstance(event, AlertEvent) and event.state == "raised" and event.kind != "technical":
            of_alert.setdefault(event.alert, []).append(event)
    return sorted((_gather(told) for told in of_alert.values()), key=lambda alert: alert.at_s)


def _gather(told: Sequence[AlertEvent]) -> Raised:
    grave = [event for event in told if event.kind in ("fall", "risk")]
    first = grave[0] if grave else told[0]
    kind = "fall" if any(event.kind == "fall" for event in grave) else first.kind
    last = told[-1]
    return Raised(
        at_s=first.source_time_s,
        kind=kind,
        reason=first.reason,
        probability=max(event.probability for event in told),
        person=first.person,
        by_end=first.change_reason == "source_ended",
        floor_s=last.floor_s,
        told_s=last.source_time_s,
    )


def judge(
    events: Sequence[Event],
    truth: Truth,
    *,
    recording: str,
    model: str,
    duration_s: float,
    moments: Sequence[Moment] = (),
) -> Verdict:
    """Hold a recording's events against its truth."""
    alerts = gather_alerts(events)
    found: list[Raised | None] = [None] * len(truth.falls)
    false = []
    for alert in alerts:
        if alert.kind == "floor":
            continue
        mine = [i for i, fall in enumerate(truth.falls) if found[i] is None and _within(alert.at_s, fall)]
        if mine:
            found[mine[0]] = alert
        else:
            false.append(alert)
    begun = [e.source_time_s for e in events if isinstance(e, DangerEvent) and e.phase == "new" and e.kind != "floor"]
    return Verdict(
        recording=recording,
        model=model,
        duration_s=duration_s,
        falls=tuple(FallFound(fall, alert) for fall, alert in zip(truth.falls, found, strict=True)),
        false_alerts=tuple(false),
        floor_alerts=tuple(alert for alert in alerts if alert.kind == "floor"),
        suspicions=sum(not any(_within(at_s, fall) for fall in truth.falls) for at_s in begun),
        labels=label_seconds(moments, truth),
    )


def _within(at_s: float, fall: Fall) -> bool:
    return fall.start_s <= at_s <= fall.ground_s + FOUND_WITHIN_S


def label_seconds(moments: Sequence[Moment], truth: Truth) -> dict[str, tuple[float, float]]:
    """Count for each label of the truth the seconds it lasted with somebody in view, and those it was given in.

    Of several people in view the one counts who is there for most of the stretch: ghosts and passers-by are not, and
    somebody lost and found again under another number still is.
    """
    seconds: dict[str, tuple[float, float]] = {}
    for start_s, end_s, label in truth.spans:
        inside = [moment for moment in moments if start_s <= moment.time_s < end_s]
        presence: dict[int, int] = defaultdict(int)
        for moment in inside:
            for person, _, _ in moment.people:
                presence[person] += 1
        lasted = right = 0.0
        for moment, after in pairwise(inside):
            if moment.people:
                _, said, _ = max(moment.people, key=lambda one: presence[one[0]])
                lasted += after.time_s - moment.time_s
                right += (after.time_s - moment.time_s) * (said == label)
        before = seconds.get(label, (0.0, 0.0))
        if lasted > 0:
            seconds[label] = (before[0] + lasted, before[1] + right)
    return seconds


def total(verdicts: Sequence[Verdict], *, known_labels: Iterable[str] = ()) -> dict[str, Any]:
    """Add recordings up; every figure with what it may be off by (95 %).

    Args:
        verdicts: of one model.
        known_labels: labels of the model; the truth's other words are no labels.
    """
    falls = [found for verdict in verdicts for found in verdict.falls]
    hits = [found.alert for found in falls if found.alert is not None]
    false = [alert for verdict in verdicts for alert in verdict.false_alerts]
    hours = sum(verdict.duration_s for verdict in verdicts) / 3600.0
    delays_s = sorted(found.delay_s for found in falls if found.delay_s is not None)
    errors_s = [found.floor_error_s for found in falls if found.floor_error_s is not None]
    return {
        "recordings": len(verdicts),
        "hours": _rounded(hours, 4),
        "falls": len(falls),
        "found": len(hits),
        "missed": len(falls) - len(hits),
        "found_share_95": _pair(share_interval(len(hits), len(falls))) if falls else None,
        "found_by_end": sum(alert.by_end for alert in hits),
        "false_alerts": len(false),
        "false_by_end": sum(alert.by_end for alert in false),
        "false_per_hour": _rounded(len(false) / hours) if hours else None,
        "false_per_hour_95": _pair(rate_interval(len(false), exposure=hours)),
        "floor_alerts": sum(len(verdict.floor_alerts) for verdict in verdicts),
        "suspicions": sum(verdict.suspicions for verdict in verdicts),
        "delay_median_s": _rounded(statistics.median(delays_s)) if delays_s else None,
        "delay_max_s": _rounded(delays_s[-1]) if delays_s else None,
        "delays_s": [_rounded(delay_s) for delay_s in delays_s],
        "floor_time_error_median_s": _rounded(statistics.median(errors_s)) if errors_s else None,
        "label_share": _label_share(verdicts, known=set(known_labels)),
        "by_kind": by_kind(falls),
    }


def by_kind(falls: Sequence[FallFound]) -> dict[str, dict[str, Any]]:
    """Count falls found for each kind of fall."""
    kinds: dict[str, list[FallFound]] = {}
    for found in falls:
        kinds.setdefault(found.fall.kind, []).append(found)
    return {kind: count_found(mine) for kind, mine in sorted(kinds.items())}


def count_found(falls: Sequence[FallFound]) -> dict[str, Any]:
    """Count the falls found among some, with the bound of their share and the median delay."""
    n_found = sum(found.alert is not None for found in falls)
    delays_s = [found.delay_s for found in falls if found.delay_s is not None]
    return {
        "falls": len(falls),
        "found": n_found,
        "found_share_95": _pair(share_interval(n_found, len(falls))),
        "delay_median_s": _rounded(statistics.median(delays_s)) if delays_s else None,
    }


def _label_share(verdicts: Sequence[Verdict], *, known: set[str]) -> dict[str, dict[str, float | None]]:
    lasted: dict[str, float] = defaultdict(float)
    right: dict[str, float] = defaultdict(float)
    for verdict in verdicts:
        for label, (lasted_s, right_s) in verdict.labels.items():
            if label in known:
                lasted[label] += lasted_s
                right[label] += right_s
    return {
        label: {"right": _rounded(right[label] / seconds), "seconds": _rounded(seconds, 1)}
        for label, seconds in sorted(lasted.items())
    }


def as_row(verdict: Verdict) -> dict[str, Any]:
    """Give a verdict for machines."""
    return {
        "recording": verdict.recording,
        "model": verdict.model,
        "duration_s": _rounded(verdict.duration_s),
        "falls": [
            {
                "kind": found.fall.kind,
                "start_s": found.fall.start_s,
                "ground_s": found.fall.ground_s,
                "found": found.alert is not None,
                "alert_s": _rounded(found.alert.at_s) if found.alert else None,
                "delay_s": _rounded(found.delay_s),
                "by_end": bool(found.alert and found.alert.by_end),
                "floor_error_s": _rounded(found.floor_error_s),
            }
            for found in verdict.falls
        ],
        "false_alerts": [as_alert(alert) for alert in verdict.false_alerts],
        "floor_alerts": [as_alert(alert) for alert in verdict.floor_alerts],
        "suspicions": verdict.suspicions,
        "labels": {
            label: {"seconds": _rounded(lasted_s), "right": _rounded(right_s / lasted_s)}
            for label, (lasted_s, right_s) in sorted(verdict.labels.items())
        },
    }


def as_alert(alert: Raised) -> dict[str, Any]:
    """Give an alert for machines."""
    return {
        "at_s": _rounded(alert.at_s),
        "kind": alert.kind,
        "reason": alert.reason,
        "probability": _rounded(alert.probability),
        "by_end": alert.by_end,
    }


def compare(first: Sequence[Verdict], second: Sequence[Verdict]) -> dict[str, Any]:
    """Hold two models against each other on the same recordings: which incidents differ, and whether that says much.

    Args:
        first: verdicts of one model.
        second: those of the other, of the same recordings in the same order.

    Returns:
        Falls and false alerts that only one of them has, with the p of a sign test, and how delays differ (second
        minus first) where both found a fall in time.
    """
    falls: dict[str, list[dict[str, Any]]] = {"only_first": [], "only_second": []}
    false: dict[str, list[dict[str, Any]]] = {"only_first": [], "only_second": []}
    slower_s: list[float] = []
    for one, other in zip(first, second, strict=True):
        for a, b in zip(one.falls, other.falls, strict=True):
            if (a.alert is None) != (b.alert is None):
                side = "only_first" if a.alert else "only_second"
                falls[side].append({"recording": one.recording, "kind": a.fall.kind, "at_s": a.fall.ground_s})
            if a.delay_s is not None and b.delay_s is not None:
                slower_s.append(b.delay_s - a.delay_s)
        mine, theirs = _unmatched(one.false_alerts, other.false_alerts)
        false["only_first"] += [{"recording": one.recording, **as_alert(alert)} for alert in mine]
        false["only_second"] += [{"recording": one.recording, **as_alert(alert)} for alert in theirs]
    return {
        "falls": falls | {"p": _rounded(sign_test(len(falls["only_first"]), len(falls["only_second"])), 4)},
        "false_alerts": false | {"p": _rounded(sign_test(len(false["only_first"]), len(false["only_second"])), 4)},
        "delay": {
            "pairs": len(slower_s),
            "second_minus_first_median_s": _rounded(statistics.median(slower_s)) if slower_s else None,
            "p": _rounded(sign_test(sum(s > 1e-6 for s in slower_s), sum(s < -1e-6 for s in slower_s)), 4),
        },
    }


def _unmatched(mine: Sequence[Raised], theirs: Sequence[Raised]) -> tuple[list[Raised], list[Raised]]:
    """Pair alerts of two models that lie near each other in time, and give those left over."""
    left, over = list(theirs), []
    for alert in mine:
        near = [other for other in left if abs(other.at_s - alert.at_s) <= SAME_WITHIN_S]
        if near:
            left.remove(min(near, key=lambda other: abs(other.at_s - alert.at_s)))
        else:
            over.append(alert)
    return over, left


def _pair(interval: tuple[float, float | None]) -> list[float | None]:
    return [_rounded(bound, 4) for bound in interval]


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)
