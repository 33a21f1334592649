"""From the arrays of a foreign file to a clip: joints in order, missing ones marked, people who are nobody dropped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
import numpy.typing as npt

from graphs.errors import LayoutError
from graphs.layouts import LAYOUTS
from graphs.own_layouts import FoundLayout, find_layout, plain_names
from har.clips import Clip, Span
from har.errors import ClipError
from har.records import FloatArray
from har.training.importers.ledger import ASSUMED_RATE_HZ, ImportOptions, Ledger

Numbers = npt.NDArray[np.floating]

ORIGIN_SHARE = 0.5
"""A 3D joint that is zero in more of the frames than this is where the set puts its origin, and is not missing."""
CLEAR_SHARE = 0.8
_FALLS = {"fall", "falls", "falling", "fell", "fallen"}
_NO_FALLS = {"asleep", "in"}  # "fall asleep", "fall in line"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFacts:
    """What all clips of a set share.

    Attributes:
        found: layout, and the place of its joints in the arrays.
        units: one of `har.clips.UNITS`.
        up: one of `har.clips.UPS`.
        source: where the set comes from.
        licence: under which terms.
        rate_hz: frames per second, unless a clip knows better.
        rate_known: whether that is more than an assumption.
        danger: labels of danger; if empty, only those that speak of a fall are known to be.
    """

    found: FoundLayout
    units: str
    up: str
    source: str
    licence: str
    rate_hz: float = ASSUMED_RATE_HZ
    rate_known: bool = False
    danger: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """What one clip of a set has for itself, as in `har.clips.Clip`; None takes what holds for the set."""

    id: str
    label: str | None = None
    danger: bool | None = None
    spans: tuple[Span, ...] = ()
    subject: str | None = None
    view: str | None = None
    camera: str | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    width_px: int | None = None
    height_px: int | None = None
    rate_hz: float | None = None
    time_s: npt.NDArray[np.float64] | None = None


def known_layout(name: str, *, n_joints: int, where: str) -> FoundLayout:
    """Give a layout by name, in its own order.

    Raises:
        ClipError: it is not known or has another number of joints.
    """
    which = LAYOUTS.get(name)
    if which is None:
        raise ClipError(f"{where}: unknown layout {name!r}. Known: {', '.join(sorted(LAYOUTS))}.")
    if which.n_joints != n_joints:
        raise ClipError(f"{where}: holds {n_joints} joints a body, {name} has {which.n_joints}. Give --layout another.")
    return FoundLayout(which, tuple(range(n_joints)))


def describe_set(
    found: FoundLayout,
    options: ImportOptions,
    *,
    units: str,
    up: str,
    source: str,
    rate_hz: float | None = None,
    labels: Iterable[str | None] = (),
) -> SetFacts:
    """Join what the files say with what the options say.

    Args:
        found: the layout.
        options: their rate, source and labels of danger win.
        units: one of `har.clips.UNITS`.
        up: one of `har.clips.UPS`.
        source: where the set comes from, as far as its format tells.
        rate_hz: as the files say it; None if they do not.
        labels: all labels of the set, where they are known beforehand. If some of them speak of a fall, the others are
            taken to be free of danger.
    """
    known = options.rate_hz or rate_hz
    return SetFacts(
        found=found,
        units=units,
        up=up,
        source=options.origin or source,
        licence=options.licence,
        rate_hz=known or ASSUMED_RATE_HZ,
        rate_known=known is not None,
        danger=options.danger or tuple(sorted({label for label in labels if label and _speaks_of_a_fall(label)})),
    )


def make_clip(raw: Numbers, facts: ClipFacts, of_set: SetFacts, ledger: Ledger) -> Clip | None:
    """Make a clip of foreign arrays; None, with a line in the ledger, if nobody is seen in it.

    Args:
        raw: (T, M, V, C) in the order of the file; not changed.
        facts: what is known of the clip.
        of_set: what is known of its set.
        ledger: told of gaps and of what is left out.

    Raises:
        ClipError: something does not fit; the text names the clip.
    """
    if raw.ndim != 4 or raw.shape[2] != len(of_set.found.order) or not 2 <= raw.shape[3] <= 4:
        wanted = f"(T, M, {len(of_set.found.order)}, 2 to 4)"
        raise ClipError(f"clip {facts.id!r}: joints must be {wanted}, got {raw.shape}. Give --layout another.")
    joints = mark_missing(np.take(raw, of_set.found.order, axis=2), units=of_set.units)
    seen: npt.NDArray[np.bool_] = np.asarray(np.isfinite(joints).any(axis=(2, 3)))  # (T, M)
    if not seen.any():
        ledger.leave_out(facts.id, why="no joint is seen in any frame")
        return None
    ledger.n_with_gaps += not seen.any(axis=1).all()
    rate_hz = facts.rate_hz or of_set.rate_hz
    return Clip(
        id=facts.id,
        joints=np.ascontiguousarray(joints[:, seen.any(axis=0)]),
        time_s=np.arange(len(joints)) / rate_hz if facts.time_s is None else facts.time_s,
        label=facts.label,
        danger=tells_danger(facts.label, of_set.danger) if facts.danger is None else facts.danger,
        spans=facts.spans,
        subject=facts.subject,
        view=facts.view,
        camera=facts.camera,
        splits=facts.splits,
        rate_hz=rate_hz,
        rate_known=of_set.rate_known or facts.rate_hz is not None,
        layout=of_set.found.layout.name,
        units=of_set.units,
        up=of_set.up,
        source=of_set.source,
        licence=of_set.licence,
        width_px=facts.width_px,
        height_px=facts.height_px,
    )


def mark_missing(raw: Numbers, *, units: str) -> FloatArray:
    """Give joints (T, M, V, C) with NaN throughout where a joint is missing.

    Missing are joints that are not finite, bodies whose every joint is zero, and single joints at zero: no joint lies
    in the corner of a picture or inside a camera. In "body" units, and where a 3D joint is zero most of the time, zero
    is the origin instead.
    """
    joints: FloatArray = raw.astype(np.float32)
    n_axes = 2 if units in ("px", "norm") else min(3, raw.shape[-1])
    missing = ~np.isfinite(joints).all(axis=-1)  # (T, M, V)
    zero = (joints[..., :n_axes] == 0).all(axis=-1)
    bodies = ~(zero | missing).all(axis=-1)  # (T, M)
    missing |= ~bodies[..., None]
    if units in ("px", "norm"):
        missing |= zero
    elif units != "body" and bodies.any():
        missing |= zero & (zero[bodies].mean(axis=0) <= ORIGIN_SHARE)
    joints[missing] = np.nan
    return joints


def tells_danger(label: str | None, danger: Sequence[str]) -> bool | None:
    """Say whether a label means danger: it is one of those named, or speaks of a fall; None where nobody knows."""
    if label is None:
        return None
    if danger:
        return label in danger
    return True if _speaks_of_a_fall(label) else None


def _speaks_of_a_fall(label: str) -> bool:
    words = set(re.findall(r"[a-z]+", label.lower()))
    return bool(words & _FALLS) and not words & _NO_FALLS


def layout_of_names(
    names: Sequence[str], edges: Sequence[tuple[int, int]], sample: Numbers, *, up: str, where: str, ledger: Ledger
) -> FoundLayout:
    """Find the layout of a set that names its joints, or build one.

    Args:
        names: in the order of the arrays.
        edges: pairs of joints.
        sample: (..., V, C) of some frames, for what names do not tell.
        up: the axis away from the floor.
        where: the file, for errors.
        ledger: told what was guessed.

    Raises:
        ClipError: names and edges make no skeleton.
    """
    try:
        plain = plain_names(names)
        hand = _handedness(plain, sample, up=up)
        found = find_layout(names, edges, handedness=hand or "anatomical", y_axis="up" if up == "+y" else "down")
    except LayoutError as error:
        raise ClipError(f"{where}: {error}") from None
    for text in found.notes:
        ledger.note(f"{found.layout.name}: {text}")
    if up == "+y" and hand is not None and hand != found.layout.handedness:
        ledger.note(
            f"{found.layout.name}: people here have their left joints at the "
            f"{'smaller' if hand == 'mirrored' else 'larger'} x, where sensors of this layout put them at the other "
            "side; if they do not turn their backs, swap the names of left and right in the file"
        )
    return found


def _handedness(names: Sequence[str], sample: Numbers, *, up: str) -> Literal["anatomical", "mirrored"] | None:
    """Say on which side of 3D people their left is, if most show the same; None where pictures or data do not tell."""
    index = {name: position for position, name in enumerate(names)}
    swapped = {name: "_".join("right" if word == "left" else word for word in name.split("_")) for name in names}
    pairs = [(index[name], index[other]) for name, other in swapped.items() if name != other and other in index]
    if up == "-y" or not pairs:
        return None
    left, right = ([pair[side] for pair in pairs] for side in (0, 1))
    difference = sample[..., left, 0] - sample[..., right, 0]
    seen = np.isfinite(difference) & (difference != 0)
    share = float((difference[seen] > 0).mean()) if seen.any() else 0.5
    if max(share, 1 - share) < CLEAR_SHARE:
        return None
    return "anatomical" if share > 0.5 else "mirrored"


class Named(TypedDict, total=False):
    """What a file's name tells of its clip."""

    subject: str
    view: str
    camera: str


_PARTS: Mapping[str, Literal["subject", "view"]] = {"P": "subject", "C": "view"}


def name_of_file(name: str) -> Named:
    """Read performer and camera out of names such as S001C002P003R002A013 and A001_P002_G001_C003."""
    if not re.fullmatch(r"(?:[SCPRAG]\d{3}_?){4,5}(?:_rgb)?", name):
        return {}
    told: Named = {}
    for letter, key in _PARTS.items():
        if found := re.search(rf"{letter}\d{{3}}", name):
            told[key] = found[0]
    return told


def find_files(path: Path, pattern: str) -> list[Path]:
    """Give the file itself, or all in a folder and those below it whose name fits, in order.

    Raises:
        ClipError: there is none, or two have one name.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob(pattern) if file.is_file())
    if not files:
        raise ClipError(f"{path}: holds no {pattern}. Give the folder with the set's files, or one of them.")
    first: dict[str, Path] = {}
    for file in files:
        if first.setdefault(file.stem, file) is not file:
            raise ClipError(f"{file}: {first[file.stem]} has the same name, and names tell clips apart. Rename one.")
    return files
