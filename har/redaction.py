"""Addresses without their secrets: what may stand in a log, an error line, a status or a message."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

HIDDEN = "***"
_SHORTEST_SECRET = 3  # replacing one or two letters everywhere would only garble the text

_SECRET_ARGUMENT = re.compile(
    r"(?i)(?<![a-z])(pass(?:word|wd|phrase)?|pwd|token|secret|api_?key|auth|signature|sig)=([^&;#/\s\"']+)"
)
_ANY_CREDENTIALS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@\"'<>]*:[^\s\"'<>]*@")


def redact(url: str) -> str:
    """Give the address with user, password and secret arguments replaced by `***`.

    A password that was not percent-encoded (`p@ss/w?rd`) is hidden too: where the end of the user part is in doubt,
    more is hidden, never less.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return _SECRET_ARGUMENT.sub(rf"\1={HIDDEN}", url)
    if _has_credentials(rest):
        rest = f"{HIDDEN}@{rest.rpartition('@')[2]}"
    return f"{scheme}://" + _SECRET_ARGUMENT.sub(rf"\1={HIDDEN}", rest)


def scrub(text: str, url: str) -> str:
    """Give the text with every secret of this address, and any other `user:password@`, replaced by `***`.

    For messages written by others (FFmpeg, the MQTT client, the database) that may quote the address or parts of it.
    """
    text = text.replace(url, redact(url))
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _ANY_CREDENTIALS.sub(rf"\1{HIDDEN}@", text)


def _has_credentials(rest: str) -> bool:
    """Say whether what follows `://` holds a user part."""
    if "@" not in rest:
        return False
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        return True
    host, colon, port = authority.rpartition(":")
    # "user:pa/ss@host" is cut at the "/": what stands after the colon is no port, or it might be a password of digits.
    return bool(colon) and not host.startswith("[") and port != ""


def _secrets(url: str) -> set[str]:
    """Give the password and secret arguments of an address in every spelling in which they may be quoted."""
    rest = url.partition("://")[2] or url
    found = {match.group(2) for match in _SECRET_ARGUMENT.finditer(rest)}
    if _has_credentials(rest):
        user_part = rest.rpartition("@")[0]
        found |= {user_part, user_part.partition(":")[2]}
    spellings = (
        found
        | {unquote(s) for s in found}
        | {quote(s, safe="") for s in found}
        | {quote(unquote(s), safe="") for s in found}
    )
    return {s for s in spellings if len(s) >= _SHORTEST_SECRET}
