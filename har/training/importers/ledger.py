"""What an import is asked for, and what it tells when it is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from har.clips import Clip

ASSUMED_RATE_HZ = 30.0
MOST_EXAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What whoever imports a set knows of it that its files do not say.

    Attributes:
        rate_hz: frames per second; None where nobody knows, or where the files say it.
        layout: the joint layout of files that do not name their joints.
        labels: a file that gives numbers or clips their labels.
        danger: the labels of clips in which somebody is in danger; if empty, those that speak of a fall.
        origin: where the set comes from; the importer's own words if None.
        licence: under which terms.
    """

    rate_hz: float | None = None
    layout: str | None = None
    labels: Path | None = None
    danger: tuple[str, ...] = ()
    origin: str | None = None
    licence: str = "unknown"


@dataclass(slots=True)
class Ledger:
    """Kept while a set is imported: what was left out and why, and what was guessed.

    Attributes:
        tell: called with what is done and how much there is.
        left_out: how many clips, people or frames were left out for which reason.
        examples: the first few of them.
        notes: what was guessed, once each.
        n_with_gaps: clips in which nobody is seen for a frame or more.
    """

    tell: Callable[[int, int], None] = lambda done, total: None
    left_out: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    n_with_gaps: int = 0

    def leave_out(self, what: str, *, why: str, n: int = 1) -> None:
        """Note that something was left out."""
        self.left_out[why] += n
        examples = self.examples.setdefault(why, [])
        if len(examples) < MOST_EXAMPLES:
            examples.append(what)

    def note(self, text: str) -> None:
        """Note what was guessed or changed."""
        if text not in self.notes:
            self.notes.append(text)


@dataclass(slots=True)
class Summary:
    """Counts of the clips that went by.

    Attributes:
        n: clips.
        n_frames: frames.
        labels: clips by label.
        subjects: clips by subject.
        splits: clips by split and side.
        layouts: clips by layout, and in which units and with which axis up.
        rates: clips by rate, and whether it is known.
    """

    n: int = 0
    n_frames: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    subjects: Counter[str] = field(default_factory=Counter)
    splits: dict[str, Counter[str]] = field(default_factory=dict)
    layouts: Counter[str] = field(default_factory=Counter)
    rates: Counter[str] = field(default_factory=Counter)

    def add(self, clip: Clip) -> None:
        """Count a clip."""
        self.n += 1
        self.n_frames += len(clip.time_s)
        self.labels[clip.label or "unlabelled"] += 1
        self.subjects[clip.subject or "unknown"] += 1
        for name, side in clip.splits.items():
            self.splits.setdefault(name, Counter())[side] += 1
        self.layouts[f"{clip.layout} in {clip.units}, {clip.up} up"] += 1
        self.rates[f"{clip.rate_hz:g} Hz{'' if clip.rate_known else ' (assumed)'}"] += 1

    def as_dict(self, ledger: Ledger) -> dict[str, Any]:
        """Give it as plain JSON values, with what the ledger holds."""
        return {
            "n": self.n,
            "frames": self.n_frames,
            "labels": dict(self.labels.most_common()),
            "subjects": dict(sorted(self.subjects.items())),
            "splits": {name: dict(sides) for name, sides in sorted(self.splits.items())},
            "layouts": dict(self.layouts),
            "rates": dict(self.rates),
            "with_missing_frames": ledger.n_with_gaps,
            "left_out": [
                {"why": why, "n": n, "examples": ledger.examples[why]} for why, n in ledger.left_out.most_common()
            ],
            "notes": list(ledger.notes),
        }
