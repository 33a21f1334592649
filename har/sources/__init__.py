"""Files, folders, webcams, RTSP cameras and skeleton clips: timed frames from any of them."""

from har.sources.address import SourceSpec, parse_source, parse_sources
from har.sources.live import LiveLimits
from har.sources.opening import check_source, is_live, open_source
from har.sources.source import Clock, Counts, Source, SourceItem, SourceStatus

__all__ = [
    "Clock",
    "Counts",
    "LiveLimits",
    "Source",
    "SourceItem",
    "SourceSpec",
    "SourceStatus",
    "check_source",
    "is_live",
    "open_source",
    "parse_source",
    "parse_sources",
]
