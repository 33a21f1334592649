from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import jsonschema
import numpy as np
import pytest

from har.errors import ConfigError
from har.mqtt import topics
from har.mqtt.contract import SCHEMAS_FOLDER, make_schemas
from har.mqtt.payloads import BODIES, encode, iso_time, receipt_body, status_body, to_body
from har.records import Event
from tests.mqtt.builders import TIME_S, a_camera_status, a_danger, an_action, an_alert

EVENTS: list[Event] = [an_action(), a_danger(), an_alert(), an_alert(kind="technical", person=None), a_camera_status()]

# DESIGN section 5, with its "..." filled in
DESIGN_EXAMPLES: dict[str, dict[str, Any]] = {
    "danger.v1": {
        "specversion": "1.0",
        "id": "0199f1c2-7d1e-7000-8000-000000000001",
        "source": "har/home-1/hall",
        "type": "har.danger.v1",
        "time": "2026-11-21T10:04:05.120Z",
        "sequence": 42,
        "dataschema": "https://example.org/danger.v1.json",
        "data": {
            "phase": "new",
            "kind": "fall",
            "probability": 0.93,
            "reason": "hips dropped 0.9 m in 0.6 s, trunk level",
            "person": 7,
            "since": "2026-11-21T10:04:04.400Z",
            "source_time_s": 12.4,
            "model": "care-5@1f3c",
            "alert": None,
        },
    },
    "alert.v1": {
        "type": "har.alert.v1",
        "data": {
            "alert": "0199f1c5-7d1e-7000-8000-000000000001",
            "state": "raised",
            "change": "state",
            "kind": "fall",
            "priority": "high",
            "camera": "hall",
            "person": 7,
            "since": "2026-11-21T10:04:04.400Z",
            "source_time_s": 14.6,
            "floor_s": 2.1,
            "probability": 0.97,
            "reason": "still down",
            "model": "care-5@1f3c",
        },
    },
    "action.v1": {
        "type": "har.action.v1",
        "data": {
            "person": 7,
            "label": "sit down",
            "score": 0.88,
            "top": [["sit down", 0.88], ["stand", 0.07]],
            "since": "2026-11-21T10:04:04.400Z",
            "model": "care-5@1f3c",
        },
    },
}
ENVELOPE = {key: value for key, value in DESIGN_EXAMPLES["danger.v1"].items() if key not in ("type", "data")}


def validate(body: dict[str, Any]) -> None:
    """Check a body against the committed schema and, more strictly, the model."""
    kind = body["type"].removeprefix("har.")
    jsonschema.validate(body, json.loads((SCHEMAS_FOLDER / f"{kind}.json").read_text()))
    BODIES[kind].model_validate_json(json.dumps(body))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_becomes_a_body_that_fits_its_schema(event: Event) -> None:
    message = to_body(event, site="home-1", sequence=42, event_id="0199f1c2-0000-7000-8000-000000000001")

    validate(json.loads(encode(message.body)))
    assert message.body["source"] == "har/home-1/hall"
    assert message.body["time"] == "2026-11-21T10:04:05.120Z"
    assert (SCHEMAS_FOLDER.parent.parent.parent / message.body["dataschema"]).is_file()


@pytest.mark.parametrize("kind", sorted(DESIGN_EXAMPLES))
def test_the_examples_of_the_design_fit_the_schemas(kind: str) -> None:
    validate(ENVELOPE | DESIGN_EXAMPLES[kind])


def test_a_body_with_a_misspelt_or_missing_key_does_not_fit() -> None:
    body = to_body(a_danger(), site="home", sequence=1, event_id="a").body
    del body["data"]["probability"]

    with pytest.raises(jsonschema.ValidationError, match="probability"):
        validate(body)


def test_status_and_receipt_fit_their_schemas() -> None:
    status = status_body(
        site="home", state="offline", version="1", model="m", reason="x", sequence=1, event_id="a", now_s=TIME_S
    )
    receipt = receipt_body(alert="a", event_id="b", consumer="desk", receipt_id="c", now_s=TIME_S)

    validate(status.body)
    validate(receipt)
    assert (status.topic, status.qos, status.retain) == ("har/home/status", 1, True)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_numbers_that_are_not_finite_never_reach_json(event: Event, value: float) -> None:
    changes: dict[str, Any] = {
        field.name: value for field in dataclasses.fields(event) if isinstance(getattr(event, field.name), float)
    }
    if "top" in {field.name for field in dataclasses.fields(event)}:
        changes["top"] = (("sit", value),)

    text = encode(to_body(dataclasses.replace(event, **changes), site="home", sequence=1, event_id="a").body)

    assert "NaN" not in text
    assert "Infinity" not in text
    validate(json.loads(text))


def test_numpy_numbers_and_a_probability_just_over_one_are_taken() -> None:
    event = a_danger(probability=np.float32(1.0000001), person=np.int64(3), source_time_s=np.float32(1.5))

    body = json.loads(encode(to_body(event, site="home", sequence=1, event_id="a").body))

    validate(body)
    assert (body["data"]["probability"], body["data"]["person"]) == (1.0, 3)


def test_actions_are_quick_and_alerts_are_kept() -> None:
    def describe(event: Event) -> tuple[str, int, bool]:
        return to_body(event, site="home", sequence=1, event_id="a")[:3]

    assert describe(an_action()) == ("har/home/hall/action", 0, False)
    assert describe(a_danger()) == ("har/home/hall/danger", 1, False)
    assert describe(an_alert("a-1")) == ("har/home/alerts/a-1", 1, True)
    assert describe(a_camera_status()) == ("har/home/hall/status", 1, True)


def test_times_are_utc_with_milliseconds_rounded_not_cut() -> None:
    assert iso_time(0.9996) == "1970-01-01T00:00:01.000Z"
    assert iso_time(1e300, now_s=TIME_S) == "2026-11-21T10:04:05.120Z"


def test_the_committed_schemas_are_those_of_the_models() -> None:
    made = make_schemas()
    committed = {path.name: json.loads(path.read_text()) for path in SCHEMAS_FOLDER.glob("*.json")}

    assert committed == made, "run: python -m har.mqtt.contract"


def test_the_asyncapi_document_refers_only_to_what_exists() -> None:
    document = make_schemas()["asyncapi.json"]

    def find_references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [ref for value in node.values() for ref in find_references(value)]
        return [ref for item in node for ref in find_references(item)] if isinstance(node, list) else []

    references = find_references(document)
    for reference in references:
        file, _, pointer = reference.partition("#/")
        node: Any = json.loads((SCHEMAS_FOLDER / file).read_text()) if file else document
        for key in pointer.split("/") if pointer else ():
            node = node[key]
        assert node
    assert len(references) > len(BODIES)


def test_the_asyncapi_addresses_are_the_topics_in_use() -> None:
    channels = make_schemas()["asyncapi.json"]["channels"]
    addresses = {
        name: channel["address"].format(site="home", camera="hall", alert="a-1") for name, channel in channels.items()
    }

    assert addresses == {
        "status": topics.site_status("home"),
        "camera": topics.camera_status("home", "hall"),
        "action": topics.action("home", "hall"),
        "danger": topics.danger("home", "hall"),
        "alert": topics.alert("home", "a-1"),
        "receipt": topics.receipt("home", "a-1"),
    }


@pytest.mark.parametrize("name", ["", "Hall", "a/b", "+", "#", "hall\n", "a b", "-a", "ä", "a\0", "$SYS", "a" * 64])
def test_a_name_that_cannot_stand_in_a_topic_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot stand in an MQTT topic"):
        topics.site_status(name)
    with pytest.raises(ConfigError, match="cannot stand in an MQTT topic"):
        topics.camera_status("home", name)
    with pytest.raises(ConfigError):
        topics.alert("home", name if name not in ("Hall",) and len(name) < 64 else "a/b")


@pytest.mark.parametrize("name", ["alerts", "models", "status"])
def test_a_camera_cannot_take_the_name_of_another_topic(name: str) -> None:
    with pytest.raises(ConfigError, match="taken"):
        topics.action("home", name)


@pytest.mark.parametrize("name", ["hall", "0", "room-1_a", "a" * 63])
def test_ordinary_names_are_taken(name: str) -> None:
    assert topics.action(name, name) == f"har/{name}/{name}/action"
