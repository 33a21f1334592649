"""Addresses without their secrets: what may stand in a log, an error line, a status or a message.

Where it is in doubt what is secret, more is hidden, never less.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

HIDDEN = "***"
_SHORTEST_SECRET = 2  # replacing single letters everywhere would only garble the text
_LOCAL_SCHEMES = frozenset({"file", "sqlite"})  # what follows is a path; an @ in it is a letter like any other

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_SECRET_PART = re.compile(r"=|pass|pwd|token|secret", re.IGNORECASE)
_SECRET_KEY = (
    r"(?<![a-z])(pass(?:word|wd|phrase)?|pwd|user(?:name)?|usr|login|token|secret|api_?key|auth|signature|sig)="
)
_SECRET_VALUE = r"([^&;#/\s\"']+)"
_SECRET_ARGUMENT = re.compile(_SECRET_KEY + _SECRET_VALUE, re.IGNORECASE)
_EVERY_SECRET_ARGUMENT = re.compile(f"(?={_SECRET_KEY}{_SECRET_VALUE})", re.IGNORECASE)  # also one inside another
_NEXT_ARGUMENT = re.compile(r"_[A-Za-z]+=")  # some cameras take user=admin_password=..._channel=1
_ANY_LOGIN = re.compile(r"://(?:[^\s/@\"'<>]*:[^\s\"'<>]*|[^\s/\"'<>]+)@")


def redact(url: str) -> str:
    """Show an address without user name, password or query.

    Whatever stands before the last `@` may be part of a password that was not percent-encoded (`p@ss/w?rd`) and goes,
    and so do parts of the path that look like credentials (`user=admin&password=...`).
    """
    scheme = _SCHEME.fullmatch(url)
    if scheme is None:
        is_login = ":" in url.rpartition("@")[0] and not url.startswith(("/", "./", "../", "~"))
        return _printable(_hide_arguments(f"{HIDDEN}@{url.rpartition('@')[2]}" if is_login else url))
    if _is_local(scheme["scheme"]):
        return _printable(_hide_arguments(url))
    login, at, rest = scheme["rest"].rpartition("@")
    rest, *query = re.split(r"(?=[?#])", rest, maxsplit=1)
    host, *parts = rest.split("/")
    shown = "/".join([host, *(HIDDEN if _SECRET_PART.search(unquote(part)) else part for part in parts)])
    return _printable(
        f"{scheme['scheme']}://{f'{HIDDEN}@' if at or login else ''}{shown}{query[0][0] + HIDDEN if query else ''}"
    )


def scrub(text: str, url: str) -> str:
    """Take an address, its user name, its password, and any other `scheme://user:password@` out of a text.

    For messages written by others (FFmpeg, the MQTT client, the database) that may quote the address or parts of it.
    """
    text = text.replace(url, redact(url))
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _ANY_LOGIN.sub(f"://{HIDDEN}@", text)


def _is_local(scheme: str) -> bool:
    return scheme.lower().partition("+")[0] in _LOCAL_SCHEMES


def _hide_arguments(text: str) -> str:
    return _SECRET_ARGUMENT.sub(rf"\1={HIDDEN}", text)


def _secrets(url: str) -> set[str]:
    """Give user name, password and secret arguments of an address in every spelling in which they may be quoted."""
    found: set[str] = set()
    for match in _EVERY_SECRET_ARGUMENT.finditer(url):
        found |= {match.group(2), _NEXT_ARGUMENT.split(match.group(2))[0]}
    scheme = _SCHEME.fullmatch(url)
    if scheme is not None and not _is_local(scheme["scheme"]):
        authority = re.split(r"[/?#]", scheme["rest"], maxsplit=1)[0]
        # The user part ends at the last @ before the path; at the last of all where the password holds a "/".
        for login in (authority.rpartition("@")[0], scheme["rest"].rpartition("@")[0]):
            user, _, password = login.partition(":")
            greedy_user, _, last_password = login.rpartition(":")
            found |= {login, user, password, greedy_user, last_password}
    plain = {unquote(secret) for secret in found}
    spellings = found | plain | {quote(secret, safe="") for secret in found | plain}
    return {secret for secret in spellings if len(secret) >= _SHORTEST_SECRET}


def _printable(text: str) -> str:
    """Keep it on one line and free of control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
