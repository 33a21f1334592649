"""Counted figures for people, each with what it may be off by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def falls_text(figures: Mapping[str, Any]) -> str:
    """Tell falls found, how many of them only by the end of the recording, and the bounds of the share."""
    if not figures["falls"]:
        return "none to find"
    by_end = f", {figures['found_by_end']} of them only because the recording ended" if figures["found_by_end"] else ""
    return f"{figures['found']} of {figures['falls']}{by_end} ({share_text(figures['found_share_95'])})"


def share_text(bounds: Sequence[float]) -> str:
    """Tell the bounds of a share."""
    return f"95 % sure: {bounds[0]:.1%} to {bounds[1]:.1%}"


def rate_text(bounds: Sequence[float | None], *, per: str) -> str:
    """Tell the bounds of a rate."""
    low, high = bounds
    if high is None:
        return "nothing was watched"
    if not low:
        return f"95 % sure: under {high:.3g} per {per}"
    return f"95 % sure: {low:.2g} to {high:.3g} per {per}"
