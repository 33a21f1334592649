"""Clip sets: what a clip is, and how sets of them lie on disk."""

from har.clips.arrays import read_clip_arrays
from har.clips.clip import UNITS, UPS, Clip, Span, TimeArray
from har.clips.own_layouts import LAYOUTS_NAME
from har.clips.sets import (
    INDEX_NAME,
    PX_STEP,
    SCORE_STEP,
    find_clip,
    iterate_clips,
    read_clips,
    write_clips,
)

__all__ = [
    "INDEX_NAME",
    "LAYOUTS_NAME",
    "PX_STEP",
    "SCORE_STEP",
    "UNITS",
    "UPS",
    "Clip",
    "Span",
    "TimeArray",
    "find_clip",
    "iterate_clips",
    "read_clip_arrays",
    "read_clips",
    "write_clips",
]
