"""Poses into people over time: who is who from frame to frame, and which poses are nobody."""

from har.track.sightings import OKS_FALLOFF, Box, Sighting, box_of, iou, oks
from har.track.tracker import Followed, Track, Tracker, TrackSettings, follow

__all__ = [
    "OKS_FALLOFF", "Box", "Followed", "Sighting", "Track", "TrackSettings", "Tracker", "box_of", "follow", "iou", "oks",
]  # fmt: skip
