"""The names of what simulated people do: kinds of falls, and what looks like one and is none."""

from __future__ import annotations

FALLS = (
    "fall-forward",
    "fall-backward",
    "fall-sideways",
    "fall-chair",
    "fall-bed",
    "fall-slump",
    "fall-slide",
    "fall-collapse",
)
"""Forward, backward, sideways from standing, walking or rising; off a chair; out of bed; down a wall; slowly along
furniture; in place when the legs or all muscles give way."""

NEGATIVES = (
    "kneel",
    "tie-shoes",
    "floor-sit",
    "lie-down",
    "pick-up",
    "exercise",
    "floor-play",
    "bend",
    "doze",
    "plop",
    "reach-under",
    "in-out",
    "close",
    "wheelchair",
    "walker",
)
"""Hard negatives: no fall, though much of one is in each."""

DAILY = "daily"
KINDS = (*FALLS, *NEGATIVES, DAILY)


def kind_of(clip_id: str) -> str:
    """Read the kind out of a simulated clip's id, such as "sim-0-00012-fall-forward"; "" if it names none."""
    kind = clip_id.split("-", 3)[-1] if clip_id.count("-") >= 3 else ""
    return kind if kind in KINDS else ""
