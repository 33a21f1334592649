"""The published contract: one JSON Schema per body and one AsyncAPI document, generated from the models.

python -m har.mqtt.contract        writes har/mqtt/schemas/ anew
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from har.mqtt.payloads import BODIES

SCHEMAS_FOLDER = Path(__file__).parent / "schemas"
ASYNCAPI_NAME = "asyncapi.json"

_SITE = {"description": "the site's name, [a-z0-9][a-z0-9_-]{0,62}", "default": "home"}
_CAMERA = {"description": "the camera's name, [a-z0-9][a-z0-9_-]{0,62}"}
_ALERT = {"description": "the alert's id, a UUID"}

# body -> address, parameters, QoS, retained, who sends it
_CHANNELS: dict[str, tuple[str, dict[str, Any], int, bool, str]] = {
    "status.v1": ("har/{site}/status", {"site": _SITE}, 1, True, "send"),
    "camera.v1": ("har/{site}/{camera}/status", {"site": _SITE, "camera": _CAMERA}, 1, True, "send"),
    "action.v1": ("har/{site}/{camera}/action", {"site": _SITE, "camera": _CAMERA}, 0, False, "send"),
    "danger.v1": ("har/{site}/{camera}/danger", {"site": _SITE, "camera": _CAMERA}, 1, False, "send"),
    "alert.v1": ("har/{site}/alerts/{alert}", {"site": _SITE, "alert": _ALERT}, 1, True, "send"),
    "receipt.v1": ("har/{site}/alerts/{alert}/receipt", {"site": _SITE, "alert": _ALERT}, 1, False, "receive"),
}


def make_schemas() -> dict[str, dict[str, Any]]:
    """Give every generated file by its name: JSON Schemas 2020-12 and the AsyncAPI 3.0 document."""
    files = {f"{kind}.json": _make_schema(kind) for kind in BODIES}
    files[ASYNCAPI_NAME] = _make_asyncapi()
    return files


def write_schemas(folder: Path) -> list[Path]:
    """Write the generated files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, document in make_schemas().items():
        path = folder / name
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def _make_schema(kind: str) -> dict[str, Any]:
    schema = _allow_more(BODIES[kind].model_json_schema(mode="validation"))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"{kind}.json", **schema}


def _allow_more(schema: Any) -> Any:
    """Let a body carry keys that come later: the models are strict with us, the published schema is not with others."""
    if isinstance(schema, dict):
        return {key: _allow_more(value) for key, value in schema.items() if key != "additionalProperties"}
    return [_allow_more(item) for item in schema] if isinstance(schema, list) else schema


def _make_asyncapi() -> dict[str, Any]:
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for kind, (address, parameters, qos, retain, action) in _CHANNELS.items():
        name = kind.partition(".")[0]
        channels[name] = {
            "address": address,
            "description": BODIES[kind].__doc__,
            "parameters": parameters,
            "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        }
        operations[f"{action}_{name}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{name}"},
            "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
            "bindings": {"mqtt": {"qos": qos, "retain": retain, "bindingVersion": "0.2.0"}},
        }
        messages[name] = {
            "name": f"har.{kind}",
            "contentType": "application/json",
            "payload": {
                "schemaFormat": "application/schema+json;version=draft-2020-12",
                "schema": {"$ref": f"{kind}.json"},
            },
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "har",
            "version": "1.0.0",
            "description": "Action labels, danger events and alerts of places of care. Consumers drop ids they have "
            "seen, order by sequence per source, ignore keys they do not know, and confirm each alert event with a "
            "receipt once it is stored.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


if __name__ == "__main__":
    write_schemas(SCHEMAS_FOLDER)
