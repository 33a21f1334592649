"""Where a broker is: reading `mqtt://user:password@host:port`, and never showing the password."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from har.errors import ConfigError
from har.redaction import redact

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """A broker's address, taken apart.

    Attributes:
        host: name or IP address.
        port: TCP port.
        tls: encrypted.
        username: None for an anonymous client.
        password: never shown.
    """

    host: str
    port: int
    tls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """The address for people and files: no user, no password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def read_address(url: str) -> BrokerAddress:
    """Take a broker's URL apart.

    Raises:
        ConfigError: it is not an address of an MQTT broker.
    """
    advice = (
        "Write mqtt://host:1883 or mqtts://user:password@host:8883 (percent-encode '@', ':' and '/' in a password)."
    )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"broker {redact(url)}: cannot be read as an address. {advice}") from error
    if parts.scheme not in _PORTS:
        raise ConfigError(f"broker {redact(url)}: begins with neither mqtt:// nor mqtts://. {advice}")
    if not parts.hostname:
        raise ConfigError(f"broker {redact(url)}: names no host. {advice}")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigError(f"broker {redact(url)}: has a part after the port. {advice}")
    return BrokerAddress(
        host=parts.hostname,
        port=_PORTS[parts.scheme] if port is None else port,
        tls=parts.scheme == "mqtts",
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )
