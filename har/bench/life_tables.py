"""Adding up what was found out in simulated life: by kind of fall, camera height, frame rate, and activity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from har.bench.bounds_text import rate_text, share_text
from har.training.bounds import rate_interval, share_interval

Row = dict[str, Any]

_HEIGHTS_M = (1.6, 2.2, 2.6)
_RATES_HZ = (9.0, 12.5, 20.0)
_SPLITS = {"kind of fall": "by_kind", "camera height": "by_camera_height", "frames a second": "by_rate"}
DAY_H = 24.0
DELAYS_S = (1.0, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0)


def add_up(rows: Sequence[Row]) -> dict[str, Any]:
    """Add rows of `har.bench.life` up.

    Falls are counted in the scenes, false alerts in life alone; those beside a fall are told apart.
    """
    life = [row for row in rows if not row["falls"] and row["kind"] == "life"]
    scenes = [row for row in rows if row["falls"]]
    hours = sum(row["duration_s"] for row in life) / 3600.0
    falls = [(row, fall) for row in scenes for fall in row["falls"]]
    delays_s = np.array([fall["delay_s"] for _, fall in falls if fall["delay_s"] is not None])
    false = [alert for row in life for alert in row["false_alerts"]]
    floor = [alert for row in life for alert in row["floor_alerts"]]
    cpu_s = sum(row["cpu_s"] for row in rows)
    return {
        "hours_of_life": round(hours, 3),
        **_found(fall for _, fall in falls),
        "found_by_end": sum(fall["by_end"] for _, fall in falls),
        "false_alerts": len(false),
        "false_per_24h": round(len(false) / hours * DAY_H, 3) if hours else None,
        "false_per_24h_95": list(rate_interval(len(false), exposure=hours / DAY_H)),
        "false_beside_falls": sum(len(row["false_alerts"]) for row in scenes),
        "suspicions_per_24h": round(sum(row["suspicions"] for row in life) / hours * DAY_H, 1) if hours else None,
        "floor_alerts": len(floor),
        "floor_per_24h_95": list(rate_interval(len(floor), exposure=hours / DAY_H)),
        "floor_beside_falls": sum(len(row["floor_alerts"]) for row in scenes),
        "delay_median_s": _quantile(delays_s, 0.5),
        "delay_90_s": _quantile(delays_s, 0.9),
        "delay_max_s": _quantile(delays_s, 1.0),
        "delays": _histogram(delays_s),
        "by_kind": _split(falls, lambda row, fall: fall["kind"]),
        "by_camera_height": _split(falls, lambda row, fall: _band(row["camera_height_m"], _HEIGHTS_M, "m")),
        "by_rate": _split(falls, lambda row, fall: _band(row["rate_hz"], _RATES_HZ, "Hz")),
        "by_activity": _by_activity(life),
        "times_real_time_per_core": round(sum(row["duration_s"] for row in rows) / cpu_s, 1) if cpu_s else None,
    }


def _found(falls: Any) -> Row:
    mine = list(falls)
    n_found = sum(fall["found"] for fall in mine)
    share = list(share_interval(n_found, len(mine)))
    return {"falls": len(mine), "found": n_found, "found_share_95": share}


def _split(falls: Sequence[tuple[Row, Row]], name: Callable[[Row, Row], str]) -> dict[str, Row]:
    parts: dict[str, list[Row]] = {}
    for row, fall in falls:
        parts.setdefault(name(row, fall), []).append(fall)
    return {key: _found(parts[key]) | _delay(parts[key]) for key in sorted(parts)}


def _delay(falls: Sequence[Row]) -> Row:
    known = np.array([fall["delay_s"] for fall in falls if fall["delay_s"] is not None])
    return {"delay_median_s": _quantile(known, 0.5)}


def _by_activity(life: Sequence[Row]) -> dict[str, Row]:
    """Count false and floor alerts by what was under way, against how often and how long that was done."""
    times, seconds = Counter[str](), Counter[str]()
    for row in life:
        for kind, (n, lasted_s) in row["episodes"].items():
            times[kind] += n
            seconds[kind] += lasted_s
    false = Counter(alert["under_way"] for row in life for alert in row["false_alerts"])
    floor = Counter(alert["under_way"] for row in life for alert in row["floor_alerts"])
    table = {}
    for kind in sorted({*times, *false, *floor}):
        low, high = share_interval(min(false[kind], times[kind]), times[kind]) if times[kind] else (0.0, 1.0)
        table[kind] = {
            "times": times[kind],
            "hours": round(seconds[kind] / 3600.0, 3),
            "false_alerts": false[kind],
            "false_share_95": [low, high],
            "floor_alerts": floor[kind],
        }
    return table


def _band(value: float, edges: Sequence[float], unit: str) -> str:
    """Name the band a value lies in; so that names sort by size."""
    if not value:
        return "not told"
    at = int(np.searchsorted(edges, value, side="right"))
    if at == 0:
        return f"0 to {edges[0]:g} {unit}"
    if at == len(edges):
        return f"{edges[-1]:g} {unit} and more"
    return f"{edges[at - 1]:g} to {edges[at]:g} {unit}"


def _histogram(delays_s: np.typing.NDArray[np.float64]) -> dict[str, int]:
    edges = (-np.inf, *DELAYS_S)
    counts = [int(((delays_s > low) & (delays_s <= high)).sum()) for low, high in pairwise(edges)]
    return {f"to {edge:g} s": count for edge, count in zip(DELAYS_S, counts, strict=True)}


def _quantile(values: np.typing.NDArray[np.float64], share: float) -> float | None:
    return round(float(np.quantile(values, share)), 2) if values.size else None


def as_text(result: dict[str, Any]) -> str:
    """Write the tables for people."""
    t = result["totals"]
    by_end = f", {t['found_by_end']} only because the recording ended" if t["found_by_end"] else ""
    false = (
        f"{t['false_alerts']} in {t['hours_of_life']:.1f} h of life ({rate_text(t['false_per_24h_95'], per='24 h')})"
    )
    floor = f"{t['floor_alerts']} ({rate_text(t['floor_per_24h_95'], per='24 h')})"
    late = f"median {_number(t['delay_median_s'])} s, nine of ten within {_number(t['delay_90_s'])} s"
    rows = {
        "falls found": f"{t['found']} of {t['falls']} ({share_text(t['found_share_95'])}){by_end}",
        "false alerts": f"{false}; {t['false_beside_falls']} more beside falls",
        "floor alerts": f"{floor}; {t['floor_beside_falls']} more after falls",
        "suspicions": f"{_number(t['suspicions_per_24h'])} in 24 h, told as danger",
        "delay after ground": f"{late}, longest {_number(t['delay_max_s'])} s",
        "speed": f"{_number(t['times_real_time_per_core'])} times real time on one core",
    }
    lines = [f"model {result['model']}, simulated people of seed {result['seed']}, {result['machine']['processor']}"]
    lines += [f"{name:<20} {value}" for name, value in rows.items()]
    for title, key in _SPLITS.items():
        lines += ["", *_split_text(title, t[key])]
    lines += ["", f"{'under way in life':<20} {'times':>7} {'hours':>7}  false alerts  floor alerts"]
    for name, part in t["by_activity"].items():
        counts = f"{part['times']:>7} {part['hours']:>7.2f}"
        lines.append(f"{name:<20} {counts}  {part['false_alerts']:>12}  {part['floor_alerts']:>12}")
    lines += ["", f"{'delay':<20} {'falls':>7}"]
    lines += [f"{name:<20} {count:>7}" for name, count in t["delays"].items()]
    return "\n".join(lines)


def _split_text(title: str, parts: dict[str, Row]) -> list[str]:
    lines = [f"{title:<20} {'found':>9}  {'95 % sure':>16}  median delay"]
    for name, part in parts.items():
        low, high = part["found_share_95"]
        bounds = f"{low:.1%} to {high:.1%}"
        counts = f"{part['found']}/{part['falls']}"
        lines.append(f"{name:<20} {counts:>9}  {bounds:>16}  {_number(part['delay_median_s'])} s")
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
