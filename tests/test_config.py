"""The config file: what it accepts, and how every mistake is told."""

from __future__ import annotations

import json
import string
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from har.alerts import TELL_FROM
from har.config import EXAMPLE, config_schema, load_config, parse_config
from har.errors import ConfigError


def complaint(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, name="har.toml")
    line = str(caught.value)
    assert line.startswith("har.toml: ")
    assert "\n" not in line
    return line.removeprefix("har.toml: ")


def test_an_empty_file_gives_the_documented_defaults() -> None:
    config = parse_config("", name="har.toml")

    assert (config.site, config.pose.name, config.pose.max_people) == ("home", "mediapipe", None)
    assert (config.danger.threshold, config.danger.confirm_s, config.danger.floor_after_s) == (None, 2.5, 60.0)
    assert config.danger.tell_from == TELL_FROM  # what a bundle's count of suspicions rests on
    assert (config.broker.url, config.store.url, config.model.bundle, dict(config.cameras)) == (None, None, None, {})


def test_the_example_is_accepted_and_every_commented_key_in_it_too() -> None:
    lines = [line[2:] if line.startswith("# ") and " = " in line else line for line in EXAMPLE.splitlines()]

    shown = parse_config(EXAMPLE, name="example")
    everything = parse_config("\n".join(lines), name="example")

    assert list(shown.cameras) == ["hall", "bedroom"]
    assert everything.broker.url == "mqtt://192.168.1.10:1883"
    assert everything.pose.max_rate_hz == 15.0
    assert everything.danger.threshold == 0.5
    assert everything.model.bundle is not None


def test_a_camera_overrides_what_it_says_and_keeps_the_rest() -> None:
    config = parse_config(EXAMPLE, name="example")

    assert config.pose_of("bedroom").max_people == 1
    assert config.pose_of("bedroom").name == config.pose.name
    assert config.pose_of("hall") == config.pose_of("not in the file") == config.pose
    assert config.floor_after_s_of("bedroom") == 120.0
    assert config.floor_after_s_of("hall") == 60.0
    assert config.rest_zones_of("bedroom")[0][0] == (0.05, 0.45)
    assert config.rest_zones_of("hall") == ()


def test_no_floor_timer_for_one_camera_does_not_fall_back_to_the_common_one() -> None:
    config = parse_config('[cameras.spa]\nurl = "a.mp4"\nfloor_after_s = 0', name="har.toml")

    assert config.floor_after_s_of("spa") == 0.0


def test_settings_cannot_be_changed_after_reading() -> None:
    config = parse_config("", name="har.toml")

    with pytest.raises(ValueError, match="frozen"):
        config.site = "elsewhere"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "key", "cure"),
    [
        ("[danger]\ntreshold = 0.5", "danger.treshold", "danger.threshold"),
        ("threshold = 0.5", "threshold", "danger.threshold"),
        ("[camera.hall]\nurl = 'a.mp4'", "camera", "cameras"),
        ("[cameras.hall]\nurll = 'a.mp4'", "cameras.hall.urll", "cameras.hall.url"),
        ("[cameras.hall]\nurl = 'a.mp4'\n[cameras.hall.pose]\nmax_peple = 1", "max_peple", "max_people"),
        ("[pose]\nzzz = 1", "pose.zzz", "name, max_people, max_rate_hz"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(text: str, key: str, cure: str) -> None:
    line = complaint(text)

    assert line.split(" is not a key")[0].endswith(key)
    assert cure in line.split(" is not a key")[1]


def test_a_missing_address_is_told_with_a_line_to_write() -> None:
    line = complaint("[cameras.hall]\nfloor_after_s = 30")

    assert line.startswith("cameras.hall.url is missing")
    assert 'Write url = "rtsp://10.0.0.7/main" in [cameras.hall].' in line


@pytest.mark.parametrize(
    ("text", "key", "found", "wish"),
    [
        ("[danger]\nconfirm_s = 9", "danger.confirm_s", "9", "from 2 to 3"),
        ("[danger]\nconfirm_s = 1.9", "danger.confirm_s", "1.9", "from 2 to 3"),
        ("[danger]\nthreshold = 1.5", "danger.threshold", "1.5", "from 0 to 1"),
        ("[danger]\nthreshold = nan", "danger.threshold", "NaN", "finite"),
        ("[danger]\nfloor_after_s = -1", "danger.floor_after_s", "-1", "from 0 to 3600"),
        ("[pose]\nmax_people = 0", "pose.max_people", "0", "from 1 to 10"),
        ("[pose]\nmax_people = '2'", "pose.max_people", '"2"', "whole number"),
        ("[pose]\nmax_people = true", "pose.max_people", "true", "whole number"),
        ("[pose]\nname = ''", "pose.name", '""', "not be empty"),
        ("site = 3", "site", "3", "double quotes"),
        ("[cameras.a]\nurl = 'x'\nrest_zones = [[[0, 0], [1, 1.5], [0, 1]]]", "rest_zones[0][1][1]", "1.5", "0 to 1"),
        ("[cameras.a]\nurl = 'x'\nrest_zones = [[[0, 0], [1, 1]]]", "rest_zones[0]", "a list", "3 or more"),
    ],
)
def test_a_value_out_of_place_is_told_with_key_value_and_range(text: str, key: str, found: str, wish: str) -> None:
    line = complaint(text)

    assert f"{key} = {found}" in line
    assert wish in line


def test_a_zone_without_an_inside_is_refused() -> None:
    assert "encloses nothing" in complaint("[cameras.a]\nurl = 'x'\nrest_zones = [[[0, 0], [0.5, 0.5], [1, 1]]]")


def test_several_mistakes_are_counted() -> None:
    assert "(2 more after this one.)" in complaint("[danger]\nconfirm_s = 9\nthreshold = 7\n[pose]\nmax_people = 99")


@pytest.mark.parametrize("name", ["alerts", "models", "status", "Hall", "-hall", "", "a" * 64, "büro", "a/b", "a\n"])
def test_a_camera_name_that_no_topic_can_carry_is_refused(name: str) -> None:
    line = complaint(f"[cameras.{json.dumps(name)}]\nurl = 'a.mp4'")

    assert line.startswith("cameras.")
    assert "topic" in line


@given(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True))
def test_every_name_of_the_documented_form_is_taken(name: str) -> None:
    config = parse_config(f"site = {json.dumps(name)}", name="har.toml")

    assert config.site == name


@pytest.mark.parametrize(
    "url",
    [
        "rstp://cam/main",
        "rtsp:/cam/main",
        "rtsp//cam/main",
        "rtsp://",
        "webcam:",
        "webcam:front",
        "http://cam/v",
        "",
        " ",
    ],
)
def test_a_camera_address_that_cannot_be_read_is_refused(url: str) -> None:
    assert complaint(f"[cameras.hall]\nurl = {json.dumps(url)}").startswith("cameras.hall.url = ")


@pytest.mark.parametrize(
    "url", ["http://broker", "broker:1883", "mqtt://", "mqtt://broker:99999", "mqtt://broker/topic", "mqtt://[::1"]
)
def test_a_broker_address_that_is_none_is_refused(url: str) -> None:
    assert complaint(f"[broker]\nurl = {json.dumps(url)}").startswith("broker.url = ")


@given(
    st.sampled_from(
        [
            '[broker]\nurl = "http://{login}@broker"',
            '[broker]\nurl = "mqtt://{login}@broker:99999"',
            '[broker]\nurl = "mqtt:/{login}@broker"',
            'broker = "mqtt://{login}@broker"',
            '[store]\nurl = "mysql://{login}@server/har"',
            '[cameras.hall]\nurl = "rstp://{login}@cam/main"',
            '[cameras.hall]\nurl = "rtsp//{login}@cam/main"',
            '[cameras."rtsp://{login}@cam/main"]\nurl = "x"',
            '[cameras.hall]\nurl = "x"\npassword = "{login}"',
            'site = "rtsp://{login}@cam/main"',
        ]
    ),
    st.text(string.ascii_letters + string.digits + "/?#%@:=&", min_size=4, max_size=20),
)
def test_a_password_is_never_repeated_in_an_error(text: str, ending: str) -> None:
    password = "QqZz9" + ending

    line = complaint(text.replace("{login}", f"nurse:{password}"))

    assert "QqZz9" not in line


def test_relative_paths_begin_at_the_folder_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "har.toml"
    file.write_text(
        '[cameras.a]\nurl = "videos/a.mp4"\n[cameras.b]\nurl = "webcam:0"\n[cameras.c]\nurl = "rtsp://h/c"\n'
        '[model]\nbundle = "care-1"\n[pose]\nname = "own.task"\n[broker]\nca = "ca.pem"'
    )

    config = load_config(file)

    assert config.cameras["a"].url == str(tmp_path / "videos/a.mp4")
    assert (config.cameras["b"].url, config.cameras["c"].url) == ("webcam:0", "rtsp://h/c")
    assert config.model.bundle == "care-1"
    assert config.pose.name == str(tmp_path / "own.task")
    assert config.broker.ca == str(tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("content", "complaint_part"),
    [(b"site = ", "is not TOML"), (b"site = '\xff'", "UTF-8"), (b"site = 'a'\nsite = 'b'\n[pose]", "line 2")],
)
def test_a_file_that_is_no_toml_is_told_with_its_name(tmp_path: Path, content: bytes, complaint_part: str) -> None:
    file = tmp_path / "har.toml"
    file.write_bytes(content)

    with pytest.raises(ConfigError, match=complaint_part) as caught:
        load_config(file)

    assert str(caught.value).startswith(f"{file}: ")


def test_a_file_that_is_not_there_is_told_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="har config init"):
        load_config(tmp_path / "none.toml")

    with pytest.raises(ConfigError, match="directory"):
        load_config(tmp_path)


def test_the_schema_accepts_the_example_and_refuses_an_unknown_key() -> None:
    import tomllib

    schema = config_schema()
    jsonschema.Draft202012Validator.check_schema(schema)

    jsonschema.validate(tomllib.loads(EXAMPLE), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"danger": {"treshold": 1}}, schema)


def test_every_setting_is_described_in_the_schema() -> None:
    schema = config_schema()

    tables = [schema, *schema["$defs"].values()]
    undescribed = [
        key
        for table in tables
        for key, field in table.get("properties", {}).items()
        if "description" not in field and "$ref" not in field and "default" not in field
    ]

    assert undescribed == []
