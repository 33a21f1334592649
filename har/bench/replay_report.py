"""What was replayed as one page to look at: danger over time, truth and alerts, skeletons where it went wrong."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from graphs.layouts import LAYOUTS
from har.bench.recordings import Recording
from har.bench.replay import Judge, Replayed, command_to_look
from har.errors import ConfigError
from har.records import SEEN_SCORE, Pose, PoseFrame
from har.training.replay import gather_alerts
from har.training.truth import Truth

_WIDTH, _HEIGHT, _LEFT = 1000, 90, 40
_MOST_POINTS = 2000
_STRIP_S = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0)
_CELL_W, _CELL_H = 120, 90
_ALERT_COLOURS = {"fall": "#c0392b", "risk": "#d35400", "floor": "#7f8c8d"}

_HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>har replay</title>
<style>body{font:15px sans-serif;max-width:1060px;margin:2em auto;padding:0 1em;color:#222}
h2{font-size:1.05em;margin:2em 0 .3em}pre,code{background:#f3f3f3;padding:.2em .4em}pre{overflow:auto;padding:.8em}
svg{display:block;margin:.2em 0}.wrong{color:#c0392b}.legend span{padding:0 .5em;margin-right:.6em}</style>
"""
_LEGEND = """<p class="legend">Line: probability of danger of the person most in danger; dashed: the threshold of
suspicion. <span style="background:#f6c9c4">a fall, from its start to the ground</span>
<span style="background:#fdeeee">lying after it</span> Marks: <b style="color:#c0392b">fall</b>,
<b style="color:#d35400">risk</b>, <b style="color:#7f8c8d">floor</b> alerts; hollow: only because the recording
ended. Skeletons: two seconds before to three after. Not a medical device.</p>
"""


class Report:
    """Writes a page as recordings are replayed; nothing of it is kept in memory but the page.

    Args:
        folder: where `index.html` is written; made if it is not there.
        judges: the models, in the order of what is heard.
        truths: what happened in each recording, by its name.

    Raises:
        ConfigError: the folder cannot be written.
    """

    def __init__(self, folder: Path, *, judges: Sequence[Judge], truths: Mapping[str, Truth]) -> None:
        self._folder, self._judges, self._truths = folder, judges, truths
        self._parts: list[str] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ".writable").touch()
            (folder / ".writable").unlink()
        except OSError as error:
            raise _cannot_write(folder, error) from None

    def hear(self, recording: Recording, frames: Sequence[PoseFrame], seen: Sequence[Replayed]) -> None:
        """Take in what the models made of one recording."""
        truth = self._truths.get(recording.name, Truth())
        self._parts.append(f"<h2>{html.escape(recording.name)}</h2>\n")
        for judge, one in zip(self._judges, seen, strict=True):
            self._parts.append(f"<div>{html.escape(judge.name)}{_verdict_text(one)}</div>\n")
            threshold = judge.risk.threshold if judge.risk is not None else None
            self._parts.append(timeline(one, truth, threshold=threshold))
        for at_s, why in _moments_to_show(seen):
            self._parts.append(f'<div class="wrong">{html.escape(why)}</div>\n{strip(frames, at_s=at_s)}')
        command = command_to_look(recording, model=self._judges[0].address)
        if command and any(_is_wrong(one) for one in seen):
            self._parts.append(f"<div>look at it: <code>{html.escape(command)}</code></div>\n")

    def write(self, text: str) -> Path:
        """Write the page with the totals, as text, on top.

        Raises:
            ConfigError: it cannot be written.
        """
        file = self._folder / "index.html"
        page = f"{_HEAD}<h1>Replay</h1>\n<pre>{html.escape(text)}</pre>\n{_LEGEND}{''.join(self._parts)}</html>\n"
        try:
            partial = file.with_name(".index.html.partial")
            partial.write_text(page, encoding="utf-8")
            partial.replace(file)
        except OSError as error:
            raise _cannot_write(self._folder, error) from None
        return file


def _cannot_write(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(f"--report {folder}: cannot be written ({error.strerror}). Give another folder.")


def _is_wrong(one: Replayed) -> bool:
    verdict = one.verdict
    return verdict is not None and bool(verdict.false_alerts or any(fall.alert is None for fall in verdict.falls))


def _verdict_text(one: Replayed) -> str:
    if one.verdict is None:
        return ""
    found = sum(fall.alert is not None for fall in one.verdict.falls)
    falls = f": {found} of {len(one.verdict.falls)} falls found" if one.verdict.falls else ": no fall"
    return f"{falls}, {len(one.verdict.false_alerts)} false alerts"


def _moments_to_show(seen: Iterable[Replayed]) -> list[tuple[float, str]]:
    """Give the misses and false alerts of all models, each once."""
    shown: dict[tuple[float, str], list[str]] = {}
    for one in seen:
        if one.verdict is None:
            continue
        for fall in one.verdict.falls:
            if fall.alert is None:
                what = f"{fall.fall.kind} missed, on the ground at {fall.fall.ground_s:.1f} s"
                shown.setdefault((fall.fall.ground_s, what), []).append(one.verdict.model)
        for alert in one.verdict.false_alerts:
            what = f"false alert at {alert.at_s:.1f} s ({alert.reason})"
            shown.setdefault((alert.at_s, what), []).append(one.verdict.model)
    return [(at_s, f"{what}: {', '.join(models)}") for (at_s, what), models in sorted(shown.items())]


def timeline(one: Replayed, truth: Truth, *, threshold: float | None) -> str:
    """Draw danger over time with the truth behind it and the alerts on it, as SVG."""
    if not one.moments:
        return "<div>no frame</div>\n"
    first_s, last_s = one.moments[0].time_s, one.moments[-1].time_s
    scale = (_WIDTH - _LEFT) / max(last_s - first_s, 1e-6)

    def x(at_s: float) -> float:
        return _LEFT + (min(max(at_s, first_s), last_s) - first_s) * scale

    def y(danger: float) -> float:
        return _HEIGHT - 20 - danger * (_HEIGHT - 26)

    parts = [f'<svg width="{_WIDTH}" height="{_HEIGHT}" font-size="10">']
    for fall in truth.falls:
        parts.append(_band(x(fall.start_s), x(fall.ground_s), "#f6c9c4", fall.kind))
        parts.append(_band(x(fall.ground_s), x(fall.end_s), "#fdeeee", "lying"))
    for start_s, end_s, what in truth.spans:
        label = html.escape(what)
        parts.append(f'<text x="{x(start_s) + 2:.1f}" y="{_HEIGHT - 12}" fill="#999">{label}<title>{label}, to '
                     f"{end_s:.1f} s</title></text>")  # fmt: skip
    if threshold is not None:
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y(threshold):.1f}" y2="{y(threshold):.1f}" stroke="#bbb" '
                     'stroke-dasharray="4 3"/>')  # fmt: skip
    every = max(len(one.moments) // _MOST_POINTS, 1)
    points = []
    for start in range(0, len(one.moments), every):
        some = one.moments[start : start + every]
        worst = max((danger for moment in some for _, _, danger in moment.people), default=0.0)
        points.append(f"{x(some[0].time_s):.1f},{y(worst):.1f}")
    parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="#2c3e50"/>')
    for alert in gather_alerts(one.events):
        colour = _ALERT_COLOURS[alert.kind]
        fill = "none" if alert.by_end else colour
        told = html.escape(f"{alert.kind} alert at {alert.at_s:.1f} s: {alert.reason}")
        parts.append(f'<circle cx="{x(alert.at_s):.1f}" cy="8" r="5" fill="{fill}" stroke="{colour}">'
                     f"<title>{told}</title></circle>")  # fmt: skip
    parts.append(f'<text x="0" y="{y(0):.0f}">0</text><text x="0" y="{y(1) + 8:.0f}">1</text>')
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 2}">{first_s:.1f} s</text>')
    parts.append(f'<text x="{_WIDTH}" y="{_HEIGHT - 2}" text-anchor="end">{last_s:.1f} s</text></svg>\n')
    return "".join(parts)


def _band(from_x: float, to_x: float, colour: str, what: str) -> str:
    return (
        f'<rect x="{from_x:.1f}" y="0" width="{max(to_x - from_x, 1):.1f}" height="{_HEIGHT - 20}" fill="{colour}">'
        f"<title>{html.escape(what)}</title></rect>"
    )


def strip(frames: Sequence[PoseFrame], *, at_s: float) -> str:
    """Draw everybody's skeletons round a moment, as SVG: from two seconds before to three after."""
    times = np.array([frame.source_time_s for frame in frames])
    parts = [f'<svg width="{len(_STRIP_S) * _CELL_W}" height="{_CELL_H + 14}" font-size="10">']
    for i, offset_s in enumerate(_STRIP_S):
        frame = frames[int(np.abs(times - (at_s + offset_s)).argmin())]
        is_near = abs(frame.source_time_s - at_s - offset_s) < 0.5
        scale = min((_CELL_W - 6) / frame.width_px, _CELL_H / frame.height_px)
        parts.append(f'<g transform="translate({i * _CELL_W} 0)"><rect width="{frame.width_px * scale:.0f}" '
                     f'height="{frame.height_px * scale:.0f}" fill="#f7f7f7" stroke="#ddd"/>')  # fmt: skip
        if is_near:
            parts += [_skeleton(pose, scale=scale) for pose in frame.poses]
        parts.append(f'<text x="2" y="{_CELL_H + 11}">{frame.source_time_s:.1f} s</text></g>')
    return "".join(parts) + "</svg>\n"


def _skeleton(pose: Pose, *, scale: float) -> str:
    seen = (pose.score >= SEEN_SCORE) & np.isfinite(pose.xy).all(axis=1)
    lines = []
    for a, b in LAYOUTS[pose.layout].bones:
        if seen[a] and seen[b]:
            (x0, y0), (x1, y1) = pose.xy[a] * scale, pose.xy[b] * scale
            lines.append(f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}")
    return f'<path d="{"".join(lines)}" stroke="#2c3e50" stroke-width="1.5" fill="none"/>'
