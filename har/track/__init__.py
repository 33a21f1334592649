"""Poses into people over time: who is who from frame to frame, and which poses are nobody."""

from har.track.sightings import Box, Sighting, box_of, iou
from har.track.tracker import Followed, Track, Tracker, TrackSettings, follow, follow_tracks

__all__ = [
    "Box", "Followed", "Sighting", "Track", "TrackSettings", "Tracker", "box_of", "follow", "follow_tracks", "iou",
]  # fmt: skip
