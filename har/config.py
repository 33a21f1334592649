"""One TOML file read into checked, frozen settings; a mistake is one line with the file, the key and the cure."""

from __future__ import annotations

import difflib
import functools
import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails

from har.errors import ConfigError
from har.names import camera_fault, site_fault
from har.redaction import HIDDEN, redact, scrub

BROKER_SCHEMES = ("mqtt", "mqtts")
CAMERA_SCHEMES = ("rtsp", "rtsps", "file")

WISHES = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text in double quotes",
    "tuple_type": "must be a list",
}

_LONGEST_SHOWN = 60  # characters of a wrong value that an error repeats


def _check_site(name: str) -> str:
    if fault := site_fault(name):
        raise ValueError(fault)
    return name


def _check_camera(name: str) -> str:
    if fault := camera_fault(name):
        raise ValueError(fault)
    return name


def _check_broker_url(url: str) -> str:
    example = 'such as "mqtt://192.168.1.10:1883" or "mqtts://broker.example:8883"'
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # .port raises on a port that is none
    except ValueError:
        raise ValueError(f"is not an address. Write one {example}") from None
    if parts.scheme not in BROKER_SCHEMES or not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"is not the address of an MQTT broker. Write one {example}")
    return url


def _check_store_url(url: str) -> str:
    if not re.match(r"sqlite:///.+|postgres(ql)?(\+psycopg)?://.+", url):
        raise ValueError('is not the address of a database. Write one such as "sqlite:////var/lib/har/har.db"')
    return url


def _check_camera_url(url: str, info: ValidationInfo) -> str:
    scheme, separator, rest = url.partition("://")
    example = 'Write a file, a folder, "webcam:0" or an address such as "rtsp://10.0.0.7/main"'
    if not url.strip():
        raise ValueError(f"is empty. {example}")
    if separator and scheme.lower() not in CAMERA_SCHEMES:
        raise ValueError(f"begins with a scheme that har cannot read. {example}")
    if separator and not rest.strip("/"):
        raise ValueError(f"names no host. {example}")
    if not separator and re.match(r"rtsps?[:/]", url):
        raise ValueError(f"is not an address: '://' is missing. {example}")
    if url.startswith("webcam:") and not re.fullmatch(r"webcam:\d{1,3}", url):
        raise ValueError(f"is not a webcam. {example}")
    return url if separator or url.startswith("webcam:") else _local(url, info)


def _local_if_path(value: str, info: ValidationInfo) -> str:
    """Resolve a value that may be a name or a path; it is a path when it holds a slash or a file ending."""
    return _local(value, info) if "/" in value or Path(value).suffix in {".task", ".zip"} else value


def _local(value: str, info: ValidationInfo) -> str:
    """Take a relative path from the folder of the config file, so that it means the same from anywhere."""
    folder = (info.context or {}).get("folder")
    path = Path(value).expanduser()
    return str(path if folder is None else Path(folder) / path)


def _check_polygon(corners: tuple[Corner, ...]) -> tuple[Corner, ...]:
    doubled_area = sum(
        x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(corners, (*corners[1:], corners[0]), strict=True)
    )
    if math.isclose(doubled_area, 0.0, abs_tol=1e-6):
        raise ValueError("encloses nothing. Write the corners in order around the zone, three or more")
    return corners


Fraction: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]
Corner: TypeAlias = tuple[Fraction, Fraction]
Polygon: TypeAlias = Annotated[tuple[Corner, ...], Field(min_length=3), AfterValidator(_check_polygon)]
MaxPeople: TypeAlias = Annotated[int, Field(ge=1, le=10)]
RateHz: TypeAlias = Annotated[float, Field(ge=1.0, le=120.0)]
FloorAfterS: TypeAlias = Annotated[float, Field(ge=0.0, le=3600.0)]
CameraName: TypeAlias = Annotated[str, AfterValidator(_check_camera)]


class _Table(BaseModel):
    """A table of the config file: unknown keys are refused, values never change and numbers are no strings."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class BrokerSettings(_Table):
    """The MQTT broker; without a `url`, a mosquitto on the PATH, else the embedded one."""

    url: Annotated[str, AfterValidator(_check_broker_url)] | None = Field(
        default=None, description="address of the MQTT broker", examples=["mqtt://192.168.1.10:1883"]
    )
    ca: Annotated[str, AfterValidator(_local)] | None = Field(
        default=None,
        description="certificate file of the authority that signed the broker's",
        examples=["broker-ca.pem"],
    )


class StoreSettings(_Table):
    """Where alerts and the outbox are kept; without a `url`, in the state folder."""

    url: Annotated[str, AfterValidator(_check_store_url)] | None = Field(
        default=None, description="address of the database", examples=["sqlite:////var/lib/har/har.db"]
    )


POSE_NAMES = (
    "mediapipe, blazepose, maskrcnn (maskrcnn:480 shrinks pictures to 480 pixels), or the path of a .task "
    "file or of a trained estimator"
)


class PoseSettings(_Table):
    """How bodies are found in a picture."""

    name: Annotated[str, Field(min_length=1), AfterValidator(_local_if_path)] = Field(
        default="mediapipe",
        description=POSE_NAMES,
        examples=["mediapipe"],
    )
    max_people: MaxPeople | None = Field(
        default=None, description="people looked for in one picture; unset: 2 with mediapipe, else 4"
    )
    max_rate_hz: RateHz | None = Field(
        default=None, description="pictures analysed a second at most; unset: every picture"
    )


class PoseOverrides(_Table):
    """What one camera does differently from `[pose]`."""

    name: Annotated[str, Field(min_length=1), AfterValidator(_local_if_path)] | None = Field(
        default=None, description=POSE_NAMES, examples=["blazepose"]
    )
    max_people: MaxPeople | None = Field(default=None, description="people looked for in one picture")
    max_rate_hz: RateHz | None = Field(default=None, description="pictures analysed a second at most")


class DangerSettings(_Table):
    """When a suspicion becomes an alert."""

    threshold: Fraction | None = Field(
        default=None, description="probability from which danger is suspected; unset: the bundle's own"
    )
    tell_from: Fraction = Field(
        default=0.2,
        description="probability from which a suspicion is told at once; a weaker one is told only as an alert",
    )
    confirm_s: Annotated[float, Field(ge=2.0, le=3.0)] = Field(
        default=2.5, description="seconds somebody stays down before the alert is raised"
    )
    floor_after_s: FloorAfterS = Field(
        default=60.0, description="seconds of lying on the floor that raise an alert by themselves; 0: never"
    )


class ModelSettings(_Table):
    """The bundle with the action and danger models."""

    bundle: Annotated[str, Field(min_length=1), AfterValidator(_local_if_path)] | None = Field(
        default=None, description="name or path of a model bundle; unset: the shipped one", examples=["bundles/care-1"]
    )
    engine: Literal["torch", "torch-bf16", "onnxruntime"] = Field(
        default="torch",
        description="what computes the actions; onnxruntime is faster with few people in view, torch-bf16 with many",
    )


class CameraSettings(_Table):
    """One camera."""

    url: Annotated[str, AfterValidator(_check_camera_url)] = Field(
        description="the camera's address, a video file or a folder", examples=["rtsp://10.0.0.7/main"]
    )
    floor_after_s: FloorAfterS | None = Field(
        default=None, description="seconds of lying on the floor that raise an alert; 0: never; unset: as in [danger]"
    )
    rest_zones: tuple[Polygon, ...] = Field(
        default=(),
        description="areas, such as a bed, where lying is no danger: lists of [x, y] corners, fractions of the picture",
        examples=[[[[0.0, 0.5], [0.4, 0.5], [0.4, 1.0], [0.0, 1.0]]]],
    )
    pose: PoseOverrides = Field(default=PoseOverrides(), description="what this camera does differently from [pose]")


class Config(_Table):
    """Everything the config file says."""

    site: Annotated[str, AfterValidator(_check_site)] = Field(
        default="home", description="this place in the topics: har/<site>/...", examples=["home"]
    )
    broker: BrokerSettings = BrokerSettings()
    store: StoreSettings = StoreSettings()
    pose: PoseSettings = PoseSettings()
    danger: DangerSettings = DangerSettings()
    model: ModelSettings = ModelSettings()
    cameras: dict[CameraName, CameraSettings] = Field(
        default={}, description="the cameras, one [cameras.NAME] table each"
    )

    def pose_of(self, camera: str) -> PoseSettings:
        """Give a camera's pose settings: `[pose]` with the camera's own changes; any other camera gets `[pose]`."""
        settings = self.cameras.get(camera)
        own = settings.pose.model_dump(exclude_none=True) if settings else {}
        return self.pose.model_copy(update=own)

    def floor_after_s_of(self, camera: str) -> float:
        """Give a camera's time on the floor that raises an alert, in seconds; 0 means never."""
        settings = self.cameras.get(camera)
        own = settings.floor_after_s if settings else None
        return self.danger.floor_after_s if own is None else own

    def rest_zones_of(self, camera: str) -> tuple[Polygon, ...]:
        """Give a camera's rest zones: polygons whose corners are (x, y) in fractions of the picture."""
        settings = self.cameras.get(camera)
        return settings.rest_zones if settings else ()


def load_config(path: Path) -> Config:
    """Read and check a config file.

    Raises:
        ConfigError: it cannot be read, or something in it is wrong; the text names file, key, value and cure.
    """
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text. Save it as UTF-8.") from None
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}). `har config init {path}` writes a config to begin with."
        ) from None
    return parse_config(text, name=str(path), folder=path.absolute().parent)


def parse_config(text: str, *, name: str, folder: Path | None = None) -> Config:
    """Check the text of a config file.

    Args:
        text: TOML.
        name: what errors call it.
        folder: where relative paths in it begin; None leaves them as they are.

    Raises:
        ConfigError: something in it is wrong.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{name}: is not TOML: {scrub(str(error), '')}. Mend that line; strings stand in double quotes."
        ) from None
    # Through JSON, because in strict mode pydantic takes a JSON list for a tuple and a Python list for none.
    source = json.dumps(table, default=str)
    try:
        return Config.model_validate_json(source, context={"folder": folder})
    except ValidationError as error:
        raise ConfigError(_explain(error, name=name, table=table)) from None


def config_schema() -> dict[str, Any]:
    """Give the JSON schema of the config file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


def _explain(error: ValidationError, *, name: str, table: Mapping[str, Any]) -> str:
    """Say what the first mistake is and how to mend it, and how many more there are."""
    mistakes = error.errors(include_url=False)
    # A mistyped key is often the cause of a missing one, so it is told first.
    mistakes.sort(key=lambda mistake: mistake["type"] != "extra_forbidden")
    more = f" ({len(mistakes) - 1} more after this one.)" if len(mistakes) > 1 else ""
    return f"{name}: {_explain_one(mistakes[0], table=table)}{more}"


def _explain_one(mistake: ErrorDetails, *, table: Mapping[str, Any]) -> str:
    place = tuple(part for part in mistake["loc"] if part != "[key]")
    key = _dotted(place)
    field = _field(place)
    wrong = f"{key} = {_shown(mistake['input'])}"
    match mistake["type"]:
        case "extra_forbidden":
            return f"{key} is not a key that har knows. {_nearest(place)}"
        case "missing":
            return f"{key} is missing ({field.get('description', 'needed')}). Write {_example(place)}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{key} is {_shown(mistake['input'])}, not a table. Write [{key}] with its keys below it."
        case "value_error":
            told = key if mistake["loc"][-1] == "[key]" or isinstance(mistake["input"], list | tuple) else wrong
            return f"{told} {mistake['ctx']['error']}."
    about = f" ({field['description']})" if "description" in field else ""
    return f"{wrong}: {_wish(mistake)}{about}. Change it or delete the line."


def _wish(mistake: ErrorDetails) -> str:
    """Give what a value should have been, with the whole range where there is one."""
    limits = _limits(_field(tuple(mistake["loc"])))
    if limits and mistake["type"] in {"greater_than_equal", "less_than_equal"}:
        return f"must be from {limits[0]:g} to {limits[1]:g}"
    if mistake["type"] == "too_short":
        return f"must hold {mistake['ctx']['min_length']} or more"
    if mistake["type"] == "string_too_short":
        return "must not be empty"
    return WISHES.get(mistake["type"]) or mistake["msg"].replace("Input should", "must")


def _limits(field: Mapping[str, Any]) -> tuple[float, float] | None:
    for option in (field, *field.get("anyOf", ())):
        if "minimum" in option and "maximum" in option:
            return option["minimum"], option["maximum"]
    return None


def _nearest(place: tuple[int | str, ...]) -> str:
    """Name the known key that was probably meant: by its spelling, or because it belongs in another table."""
    wrong = str(place[-1])
    here = _keys(_field(place[:-1]))
    similar = difflib.get_close_matches(wrong, here, n=1)
    if similar:
        return f"Did you mean {_dotted((*place[:-1], similar[0]))}?"
    elsewhere = {key.rpartition(".")[2]: key for key in _all_keys()}
    similar = difflib.get_close_matches(wrong, elsewhere, n=1, cutoff=0.8)
    if similar:
        return f"Did you mean {elsewhere[similar[0]]}?"
    return f"Delete it; known here: {', '.join(here)}."


def _example(place: tuple[int | str, ...]) -> str:
    """Give a line that would mend a missing key."""
    examples = _field(place).get("examples")
    line = f"{place[-1]} = {json.dumps(examples[0])}" if examples else f"{place[-1]} = ..."
    return f"{line} in [{_dotted(place[:-1])}]." if len(place) > 1 else f"{line}."


def _dotted(place: tuple[int | str, ...]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{_without_secrets(part)}"
    return text.lstrip(".")


def _field(place: tuple[int | str, ...]) -> dict[str, Any]:
    """Give what the schema says of a place in the file; empty where it says nothing."""
    schema = _schema()
    node: dict[str, Any] = schema
    for part in place:
        if isinstance(part, int):
            items = node.get("prefixItems")
            node = items[part] if items and part < len(items) else node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
        if not isinstance(node, dict):
            return {}
        if "$ref" in node:
            node = {**schema["$defs"][node["$ref"].rpartition("/")[2]], **node}
    return node


@functools.cache
def _schema() -> dict[str, Any]:
    return Config.model_json_schema()


def _keys(node: Mapping[str, Any]) -> list[str]:
    return list(node.get("properties", {}))


def _all_keys() -> Iterator[str]:
    """Give every key of the file, dotted; cameras stand under NAME."""
    for first in _keys(_field(())):
        yield first
        if first == "cameras":
            camera = _field(("cameras", "NAME"))
            yield from (f"cameras.NAME.{key}" for key in _keys(camera))
        else:
            yield from (f"{first}.{key}" for key in _keys(_field((first,))))


def _shown(value: object) -> str:
    """Give a wrong value for an error: short, on one line, without its secrets."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    text = _without_secrets(value) if isinstance(value, str) else value
    shown = json.dumps(text, ensure_ascii=False, default=str)
    return shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + "..."


def _without_secrets(text: str) -> str:
    """Hide what may be a password, also in an address so mistyped that `redact` does not see one; keep it one line."""
    hidden = redact(text)
    if "@" in hidden and f"{HIDDEN}@" not in hidden:
        hidden = f"{HIDDEN}@{hidden.rpartition('@')[2]}"
    return "".join(letter if letter.isprintable() else "?" for letter in hidden)


EXAMPLE = """\
# What har watches and whom it tells. Check it with: har config check FILE
# Every line that begins with "# " and a key shows that key's default or an example; remove the "# " to use it.
# Relative paths begin at the folder of this file.

# This place in the MQTT topics: har/<site>/<camera>/action, har/<site>/alerts/<id> ...
site = "home"

[broker]
# Without an address: a mosquitto found on the PATH is started, else the broker built into har.
# url = "mqtt://192.168.1.10:1883"          # mqtts://user:password@host:8883 for TLS and a login
# ca = "broker-ca.pem"                      # the authority that signed the broker's certificate

[store]
# Without an address: a SQLite database in the state folder.
# url = "sqlite:////var/lib/har/har.db"

[pose]
name = "mediapipe"                          # or blazepose, maskrcnn, or the path of a trained estimator
# max_people = 4                            # people looked for in one picture, 1 to 10; 2 with mediapipe, else 4
# max_rate_hz = 15.0                        # pictures analysed a second at most; unset: every picture

[danger]
# threshold = 0.5                           # 0 to 1: from where danger is suspected; unset: the model's own
tell_from = 0.2                             # 0 to 1: a weaker suspicion is told only if it becomes an alert
confirm_s = 2.5                             # 2 to 3 seconds down before an alert is raised
floor_after_s = 60                          # seconds lying on the floor that raise an alert by themselves; 0: never

[model]
# bundle = "bundles/care-5"                 # unset: the bundle that comes with har
engine = "torch"                            # or onnxruntime, or torch-bf16 for many people

# One table a camera. Its name stands in the topics: lower-case letters, digits, "-" and "_".
[cameras.hall]
url = "rtsp://10.0.0.7/main"                # rtsp://, rtsps://, a video file, a folder or "webcam:0"

[cameras.bedroom]
url = "rtsp://10.0.0.8/main"
floor_after_s = 120                         # instead of the one in [danger]
# Lying here is rest, not danger: corners of each zone in fractions of the picture, from its top left corner.
rest_zones = [[[0.05, 0.45], [0.55, 0.45], [0.60, 0.95], [0.00, 0.95]]]

[cameras.bedroom.pose]                      # what this camera does differently from [pose]
max_people = 1
"""
