"""What `har run` says at its end: what was seen and told, and what went wrong on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from har.cli.output import print_line, say
from har.cli.watch import file_clock
from har.errors import HarError, SourceError
from har.mqtt.payloads import Message
from har.service.app import CameraReport

_REPORT_FIELDS = ("frames", "skipped", "dropped", "corrupt", "restarts", "failures", "ended")
_ALERT_FIELDS = (
    "alert",
    "kind",
    "priority",
    "camera",
    "person",
    "source_time_s",
    "probability",
    "reason",
    "change_reason",
)


class Tally:
    """Counts what was told."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.alerts: list[dict[str, Any]] = []

    def count(self, message: Message) -> None:
        """Count one event."""
        kind, data = message.body["type"], message.body["data"]
        self.events[kind] += 1
        if kind == "har.action.v1":
            self.labels[data["label"]] += 1
        if kind == "har.alert.v1" and data["state"] == "raised" and data["change"] == "state":
            self.alerts.append({name: data.get(name) for name in _ALERT_FIELDS})


def summarise(reports: Mapping[str, CameraReport], tally: Tally, *, model: str) -> dict[str, Any]:
    """Give what was seen and told, for machines."""
    cameras = {
        name: {key: value for key, value in asdict(report).items() if key in _REPORT_FIELDS}
        | {"with_people": report.with_people / max(report.frames, 1)}
        for name, report in reports.items()
    }
    return {
        "model": model,
        "cameras": cameras,
        "events": dict(tally.events),
        "labels": dict(tally.labels),
        "alerts": tally.alerts,
    }


def print_summary(result: Mapping[str, Any]) -> None:
    """Print it for people."""
    for name, camera in result["cameras"].items():
        n_broken = camera["corrupt"]
        broken = f", broken in {n_broken} place{'s' if n_broken > 1 else ''}" if n_broken else ""
        print_line(
            f"{name}: {camera['frames']} frames analysed, somebody in view in {camera['with_people']:.0%}, "
            f"{camera['dropped']} dropped{broken}"
        )
    labels = ", ".join(f"{label} {count}" for label, count in result["labels"].items()) or "none"
    print_line(f"label changes: {labels}")
    for alert in result["alerts"]:
        at_s = alert["source_time_s"]
        at = "" if at_s is None else f" at {file_clock(at_s)}"
        print_line(f"alert: {alert['kind']} on {alert['camera']}{at} ({alert['reason']})")
    if not result["alerts"]:
        print_line("alerts: none")


def complain(reports: Mapping[str, CameraReport], *, once: bool) -> None:
    """Raise what went wrong with the cameras, now that everything else is done; say it of all but the last.

    Raises:
        SourceError: a file cannot be read.
        HarError: a camera's process or its analysis failed.
    """
    ended = {name: report for name, report in reports.items() if report.ended}
    troubles: list[HarError] = []
    if once or len(ended) == len(reports):
        troubles += [
            SourceError(report.ended) if report.user_error else HarError(f"camera {name}: {report.ended}")
            for name, report in ended.items()
        ]
    troubles += [
        HarError(
            f"camera {name}: the analysis failed {report.failures} times, at first with {report.failure}. That is a "
            "bug in har: what it told of this camera may lack something."
        )
        for name, report in reports.items()
        if report.failures
    ]
    for trouble in troubles[:-1]:
        say(f"har: {trouble}")
    if troubles:
        raise troubles[-1]
