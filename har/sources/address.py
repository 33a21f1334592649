"""Where pictures come from: reading `URL[=CAMERA]`."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import quote, unquote

from har.errors import ConfigError, SourceError
from har.names import check_camera, fit_name
from har.redaction import redact

SourceKind: TypeAlias = Literal["file", "folder", "replay", "webcam", "rtsp"]

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".h264", ".h265", ".m2ts", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg"}
    | {".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
)
SCHEMES = "a path, file://PATH, rtsp://HOST/..., rtsps://HOST/... or webcam:NUMBER"

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_WEBCAM = re.compile(r"webcam:(?P<number>\d{1,3})")
_FRAGMENT = re.compile(r"(?P<url>.*)#camera=(?P<camera>[^@/#]*)", re.DOTALL)
_PORT = re.compile(r"[^:\[\]]*(:\d{1,5})?|\[[0-9A-Fa-f:.%]+\](:\d{1,5})?")
_SECRET_WORD = re.compile(r"(pass|passwd|password|pwd|user|usr|token|key|auth|secret)\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True, repr=False)
class SourceSpec:
    """One camera's source.

    Attributes:
        url: where its pictures come from; may hold a password, so show only `redact(url)`.
        camera: the camera's name, checked.
    """

    url: str
    camera: str

    def __repr__(self) -> str:
        return f"SourceSpec(url={redact(self.url)!r}, camera={self.camera!r})"

    @property
    def kind(self) -> SourceKind:
        """What sort of source it is."""
        return source_kind(self.url)


def parse_source(text: str, *, taken: Collection[str] = ()) -> SourceSpec:
    """Read `URL`, `URL=CAMERA` or `URL#camera=NAME`.

    `=CAMERA` is read only when no `?` stands before it. Without a name the file's stem is made to fit; a source
    without a file is called cam1, cam2... A path that exists is always taken whole.

    Args:
        text: as typed by the user.
        taken: camera names already in use, which a name made up here avoids.

    Raises:
        SourceError: a scheme that is not served.
        ConfigError: a camera name that does not fit or is taken.
    """
    url, camera = _split_camera(text.strip())
    kind = source_kind(url)
    if camera is None:
        return SourceSpec(url, _free_name(url, kind, taken))
    check_camera(camera)
    if camera in taken:
        raise ConfigError(f"two sources are called {camera!r}. Give each camera a name of its own: URL=CAMERA.")
    return SourceSpec(url, camera)


def parse_sources(texts: Sequence[str]) -> tuple[SourceSpec, ...]:
    """Read several sources, giving each a camera name of its own; named ones keep theirs.

    Raises:
        SourceError: a scheme that is not served.
        ConfigError: a camera name that does not fit or is used twice.
    """
    named = {camera for text in texts if (camera := _split_camera(text.strip())[1]) is not None}
    specs: list[SourceSpec] = []
    for text in texts:
        is_named = _split_camera(text.strip())[1] is not None
        used = {spec.camera for spec in specs}
        specs.append(parse_source(text, taken=used if is_named else used | named))
    return tuple(specs)


def source_kind(url: str) -> SourceKind:
    """Say what sort of source an address is, without touching it (but for asking whether a path is a folder).

    Raises:
        SourceError: empty, or a scheme that is not served.
    """
    if not url:
        raise SourceError(f"the source is empty. Give {SCHEMES}.")
    if "\0" in url:
        raise SourceError(f"source {redact(url)!r} holds a NUL character. Give {SCHEMES}.")
    scheme = _SCHEME.fullmatch(url)
    if scheme is not None and scheme["scheme"].lower() in ("rtsp", "rtsps"):
        if not _split_login(scheme["rest"])[1]:
            raise SourceError(f"source {redact(url)} names no host. Write rtsp://HOST/PATH.")
        return "rtsp"
    if _WEBCAM.fullmatch(url):
        return "webcam"
    if re.match(r"webcam:|rtsps?:", url, re.IGNORECASE) or (scheme is not None and scheme["scheme"].lower() != "file"):
        raise SourceError(f"source {redact(url)} is not served. Give {SCHEMES}.")
    path = local_path(url)
    if path.suffix.lower() == ".npz":
        return "replay"
    return "folder" if path.is_dir() else "file"


def local_path(url: str) -> Path:
    """Turn a path or file:// address into a path."""
    if url.lower().startswith("file://"):
        return Path(unquote(url[len("file://") :]))
    return Path(url).expanduser()


def webcam_number(url: str) -> int:
    """Give N of `webcam:N`.

    Raises:
        SourceError: not such an address.
    """
    match = _WEBCAM.fullmatch(url)
    if match is None:
        raise SourceError(f"source {redact(url)} is no webcam. Write webcam:0.")
    return int(match["number"])


def connect_url(url: str) -> str:
    """Write an RTSP address as FFmpeg wants it: user name and password percent-encoded."""
    scheme = _SCHEME.fullmatch(url)
    assert scheme is not None, "connect_url is for addresses that source_kind called rtsp"
    login, rest = _split_login(scheme["rest"])
    rest = rest.partition("#")[0]
    if not login:
        return f"{scheme['scheme'].lower()}://{rest}"
    user, colon, password = login.partition(":")
    encoded = quote(unquote(user), safe="") + (":" + quote(unquote(password), safe="") if colon else "")
    return f"{scheme['scheme'].lower()}://{encoded}@{rest}"


def _split_login(rest: str) -> tuple[str, str]:
    """Split what follows `rtsp://` into "user:password" and "host...".

    A password should be percent-encoded; one that is not is understood as long as the address makes no sense
    otherwise: its last `@` ends the password when what stands before the first `/`, `?` or `#` is no HOST[:PORT].
    """
    first = re.split(r"[/?#]", rest, maxsplit=1)[0]
    login, _, host = first.rpartition("@")
    if _PORT.fullmatch(host):
        return login, rest[len(login) + 1 :] if login or first.startswith("@") else rest
    login, _, after = rest.rpartition("@")
    return login, after


def _split_camera(text: str) -> tuple[str, str | None]:
    fragment = _FRAGMENT.fullmatch(text)
    if fragment is not None:
        return fragment["url"], fragment["camera"]
    head, equals, tail = text.rpartition("=")
    if not equals or "?" in head or "@" in tail or "/" in tail or _is_path_with_equals(text):
        return text, None
    if _SCHEME.match(text) and (_SECRET_WORD.search(head) or "=" in head.rpartition("/")[2]):
        return text, None  # rtsp://host/user=admin&password=...: part of the address, and no name to print
    return head, tail


def _is_path_with_equals(text: str) -> bool:
    if _SCHEME.match(text) and not text.lower().startswith("file://"):
        return False
    try:
        return local_path(text).exists()
    except (OSError, ValueError):
        return False


def _free_name(url: str, kind: SourceKind, taken: Collection[str]) -> str:
    stem = "" if kind in ("webcam", "rtsp") else fit_name(local_path(url).resolve().stem)
    if not stem:
        return next(name for n in range(1, len(taken) + 2) if (name := f"cam{n}") not in taken)
    if stem not in taken:
        return stem
    return next(name for n in range(2, len(taken) + 3) if (name := f"{stem[:56]}-{n}") not in taken)
