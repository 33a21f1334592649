"""Skeleton-based human activity recognition: camera feeds in, action labels and danger alerts out over MQTT."""

__version__ = "0.1.0"
