"""The topics of DESIGN section 5."""

from __future__ import annotations

import re

from har.errors import ConfigError
from har.names import check_camera, check_site

ROOT = "har"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def site_status(site: str) -> str:
    """Give the topic of the service's own status."""
    return f"{ROOT}/{check_site(site)}/status"


def camera_status(site: str, camera: str) -> str:
    """Give the topic of a camera's status."""
    return f"{ROOT}/{check_site(site)}/{check_camera(camera)}/status"


def action(site: str, camera: str) -> str:
    """Give the topic of a camera's action labels."""
    return f"{ROOT}/{check_site(site)}/{check_camera(camera)}/action"


def danger(site: str, camera: str) -> str:
    """Give the topic of a camera's danger events."""
    return f"{ROOT}/{check_site(site)}/{check_camera(camera)}/danger"


def alert(site: str, alert_id: str) -> str:
    """Give the topic of one alert."""
    return f"{ROOT}/{check_site(site)}/alerts/{_check_id(alert_id)}"


def receipt(site: str, alert_id: str) -> str:
    """Give the topic on which consumers confirm that they have stored an event of this alert."""
    return f"{alert(site, alert_id)}/receipt"


def all_receipts(site: str) -> str:
    """Give the filter that matches every receipt of the site."""
    return f"{ROOT}/{check_site(site)}/alerts/+/receipt"


def everything(site: str | None) -> str:
    """Give the filter that matches all messages of one site; of every site for None."""
    return f"{ROOT}/{'+' if site is None else check_site(site)}/#"


def is_alert(topic: str) -> bool:
    """Say whether this is the topic of an alert itself, not of its receipt, answer or result."""
    parts = topic.split("/")
    return len(parts) == 4 and parts[0] == ROOT and parts[2] == "alerts"


def _check_id(alert_id: str) -> str:
    if _ID.fullmatch(alert_id) is None:
        raise ConfigError(f"alert id {alert_id!r} cannot stand in an MQTT topic. Use a UUID.")
    return alert_id
