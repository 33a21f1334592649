"""Names of sites and cameras: they stand in MQTT topics, in files and on screens, so few letters are allowed."""

from __future__ import annotations

import re

from har.errors import ConfigError

NAME_PATTERN = "[a-z0-9][a-z0-9_-]{0,62}"
RESERVED_NAMES = frozenset({"alerts", "models", "status"})
"""What stands in topics where a camera's name stands: har/<site>/alerts and so on."""

_NAME = re.compile(NAME_PATTERN)
_LONGEST_SHOWN = 80  # characters of a wrong name that an error repeats


def site_fault(name: str) -> str:
    """Say what is wrong with a site's name, to follow the name in a sentence; empty when nothing is."""
    if _NAME.fullmatch(name):
        return ""
    fitted = fit_name(name)
    return "cannot stand in an MQTT topic. Use 1 to 63 of a-z, 0-9, '_' and '-', beginning with a letter or digit" + (
        f', such as "{fitted}"' if fitted else ""
    )


def camera_fault(name: str) -> str:
    """Say what is wrong with a camera's name, to follow the name in a sentence; empty when nothing is."""
    if name in RESERVED_NAMES:
        return "is taken by a topic of har itself. Choose another name for the camera"
    return site_fault(name)


def check_site(name: str) -> str:
    """Give the site's name back.

    Raises:
        ConfigError: it does not match `NAME_PATTERN`.
    """
    if fault := site_fault(name):
        raise ConfigError(f"site name {name[:_LONGEST_SHOWN]!r} {fault}.")
    return name


def check_camera(name: str) -> str:
    """Give the camera's name back.

    Raises:
        ConfigError: it does not match `NAME_PATTERN` or is one of `RESERVED_NAMES`.
    """
    if fault := camera_fault(name):
        raise ConfigError(f"camera name {name[:_LONGEST_SHOWN]!r} {fault}.")
    return name


def fit_name(text: str) -> str:
    """Make a camera's name out of any text; empty when nothing of it can stay or the word is reserved."""
    name = re.sub(r"[^a-z0-9_]+", "-", text.lower()).lstrip("_-")[:63].rstrip("_-")
    return "" if name in RESERVED_NAMES else name
