"""What `har replay` does: recordings through one model or two, held against the truth."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from har.bench.bounds_text import falls_text, rate_text
from har.bench.machine import describe_machine, measure_yardstick, physical_cores
from har.bench.recordings import PoseSettings, Recording, find_recordings
from har.bench.replay import Judge, replay
from har.bench.replay_report import Report
from har.cli.output import say, wants_text, write_json
from har.config import Config, load_config
from har.errors import ConfigError
from har.models.bundle import load_bundle
from har.models.shipped import find_bundle
from har.pose import check_estimator
from har.sources.opening import source_length_s
from har.training.truth import Truth, match_rows, read_truth

_FIGURES = {
    "falls": "falls", "found": "found", "missed": "missed", "found_by_end": "found only by the end",
    "false_alerts": "false alerts", "false_by_end": "false only by the end", "false_per_hour": "false per hour",
    "floor_alerts": "floor alerts", "suspicions": "suspicions outside falls", "delay_median_s": "delay, median s",
    "delay_max_s": "delay, longest s", "floor_time_error_median_s": "floor time said - true, s",
}  # fmt: skip


def run_replay(
    sources: Sequence[str],
    *,
    model: str,
    against: str | None,
    truth_file: Path | None,
    pose: str | None,
    jobs: int | None,
    config_file: Path | None,
    report: Path | None,
    json_file: Path | None,
) -> None:
    """Replay recordings; the arguments are those of `har replay`.

    Raises:
        UserError: anything the user can mend, found before the work begins where possible.
    """
    config = load_config(config_file) if config_file is not None else Config()
    recordings = find_recordings(sources)
    truths = _truths(recordings, truth_file)
    settings = PoseSettings(pose or config.pose.name, config.pose.max_people, config.pose.max_rate_hz)
    if any(recording.is_video for recording in recordings):
        check_estimator(settings.name)
    if json_file is not None and wants_text(json_file) and not json_file.absolute().parent.is_dir():
        raise ConfigError(
            f"--json {json_file}: the folder {json_file.absolute().parent} does not exist. Make it first."
        )
    judges = _open_judges(model, against, config)
    named = {recording.name: truth for recording, truth in zip(recordings, truths or (), strict=False)}
    page = Report(report, judges=judges, truths=named) if report is not None else None
    yardstick = measure_yardstick(seconds=0.2)
    with _Progress(recordings) as progress:
        began_s = time.monotonic()
        figures = replay(recordings, judges, truths, pose=settings, jobs=jobs or physical_cores(),
                         hear=page.hear if page else lambda *_: None, tell=progress.tell)  # fmt: skip
        lasted_s = time.monotonic() - began_s
    head = {"name": "replay", "machine": describe_machine(), "yardstick_gflops": yardstick, "pose": settings.name}
    result = {**head, "seconds": round(lasted_s, 1), **figures}
    say(_speed_text(progress.total_s, lasted_s))
    text = as_text(result)
    if page is not None:
        say(f"wrote {page.write(text)}")
    write_json(result, file=json_file)
    if wants_text(json_file):
        typer.echo(text)


def _open_judges(model: str, against: str | None, config: Config) -> list[Judge]:
    judges: list[Judge] = []
    for address in (model, against):
        if address is None:
            continue
        bundle = load_bundle(find_bundle(address))
        if any(judge.name == bundle.model_id for judge in judges):
            raise ConfigError(f"--model and --against are the same bundle, {bundle.model_id}. Give two, or one alone.")
        judges.append(Judge(bundle.model_id, address, bundle, bundle.risk_model, config))
        if judges[-1].risk is None:
            say(f"har: {bundle.model_id} has no risk part: it raises no alert but that of the floor timer.")
    return judges


def _truths(recordings: Sequence[Recording], truth_file: Path | None) -> list[Truth] | None:
    """Give the truth of each recording: of the truth file, else what the clips themselves say; None if not known."""
    if truth_file is not None:
        rows = read_truth(truth_file)
        keys = [recording.key for recording in recordings]
        return match_rows(rows, keys, folder=truth_file.parent)
    own = [recording.truth for recording in recordings]
    told = [truth for truth in own if truth is not None]
    if len(told) == len(own):
        return told
    if told:
        say(f"har: {len(own) - len(told)} of {len(own)} recordings do not say whether somebody falls, so alerts are "
            "only listed. Give --truth FILE.csv to have them counted.")  # fmt: skip
    return None


class _Progress:
    """A bar on stderr over the seconds of all recordings."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._lengths_s = {recording.key: _length_s(recording) for recording in recordings}
        self._done_s = dict.fromkeys(self._lengths_s, 0.0)
        self.total_s = sum(self._lengths_s.values())
        columns = (TextColumn("replaying {task.fields[name]}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
        self._bar = Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)

    def __enter__(self) -> _Progress:
        self._bar.start()
        self._task = self._bar.add_task("replay", total=self.total_s, name="")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def tell(self, recording: Recording, done_s: float) -> None:
        """So much of a recording is done."""
        self._done_s[recording.key] = min(done_s, self._lengths_s[recording.key])
        self._bar.update(self._task, completed=sum(self._done_s.values()), name=recording.path.name)


def _length_s(recording: Recording) -> float:
    if recording.clip is not None:
        return recording.clip.duration_s
    length_s = source_length_s(str(recording.path))
    return length_s if length_s is not None and math.isfinite(length_s) else 0.0


def _speed_text(length_s: float, lasted_s: float) -> str:
    return f"{length_s / 60:.1f} min of recordings in {lasted_s:.0f} s: {length_s / lasted_s:.1f} times as fast as life"


def as_text(result: dict[str, Any]) -> str:
    """Write the result for people."""
    if not result["models"]:
        return _alerts_text(result["rows"])
    models = result["models"]
    lines = []
    for name, figures in models.items():
        lines.append(f"{name}: {figures['recordings']} recordings, {figures['hours'] * 60:.1f} min")
        lines.append(f"  falls found    {falls_text(figures)}")
        bounds = rate_text(figures["false_per_hour_95"], per="hour")
        lines.append(f"  false alerts   {figures['false_alerts']} ({bounds})")
    width = max(len(name) for name in _FIGURES.values())
    lines += ["", f"{'':<{width}}  " + "  ".join(f"{name:>14}" for name in models)]
    for key, shown in _FIGURES.items():
        lines.append(f"{shown:<{width}}  " + "  ".join(f"{_shown(each[key]):>14}" for each in models.values()))
    labels = sorted({label for each in models.values() for label in each["label_share"]})
    for label in labels:
        shares = [each["label_share"].get(label, {}).get("right") for each in models.values()]
        cells = "  ".join(f"{'-' if share is None else f'{share:.0%}':>14}" for share in shares)
        lines.append(f"{f'label {label} right':<{width}}  {cells}")
    if "compare" in result:
        lines += ["", *_compare_text(result["compare"], list(models))]
    if result["look_at"]:
        lines.append("")
    for one in result["look_at"]:
        lines.append(f"{one['model']}: {one['what']} at {one['at_s']:.1f} s in {one['recording']} ({one['why']})")
        if one["command"]:
            lines.append(f"    {one['command']}")
    return "\n".join(lines)


def _compare_text(difference: dict[str, Any], names: Sequence[str]) -> list[str]:
    lines = []
    for what, shown in (("falls", "falls found"), ("false_alerts", "false alerts")):
        part = difference[what]
        counts = f"{len(part['only_first'])} only by {names[0]}, {len(part['only_second'])} only by {names[1]}"
        lines.append(f"{shown}: {counts} (sign test p = {part['p']:.3g})")
        for side, name in zip(("only_first", "only_second"), names, strict=True):
            for each in part[side]:
                why = each.get("reason") or each["kind"]
                lines.append(f"    only {name}: {each['recording']} at {each['at_s']:.1f} s ({why})")
    delay = difference["delay"]
    if delay["pairs"]:
        slower = f"{names[1]} {delay['second_minus_first_median_s']:+.2f} s"
        lines.append(f"delay where both found the fall: {slower} (median of {delay['pairs']}, p = {delay['p']:.3g})")
    return lines


def _alerts_text(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["no truth given: these are the alerts, right or wrong"]
    for row in rows:
        told = [f"{a['kind']} at {a['at_s']:.1f} s ({a['reason']}{', by the end' if a['by_end'] else ''})"
                for a in row["alerts"]]  # fmt: skip
        lines.append(f"{row['recording']}, {row['model']}: {'; '.join(told) or 'no alert'}")
    return "\n".join(lines)


def _shown(value: float | int | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.2f}"
