from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from har.errors import ConfigError
from har.names import NAME_PATTERN, RESERVED_NAMES, check_camera, check_site, fit_name

WRONG = ["", "Hall", "-hall", "_hall", "a b", "a/b", "a/+", "#", "$SYS", "hall\n", "hall\n1", "a\0", "büro", "a" * 64]


@pytest.mark.parametrize("name", WRONG)
def test_a_name_that_no_topic_can_carry_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"site name .* cannot stand in an MQTT topic"):
        check_site(name)
    with pytest.raises(ConfigError, match=r"camera name .* cannot stand in an MQTT topic"):
        check_camera(name)


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_a_camera_cannot_take_the_name_of_another_topic_but_a_site_can(name: str) -> None:
    with pytest.raises(ConfigError, match="taken by a topic"):
        check_camera(name)

    assert check_site(name) == name


def test_a_refusal_names_a_name_that_would_do() -> None:
    with pytest.raises(ConfigError, match='such as "room-12"'):
        check_camera("Room 12")


@given(st.from_regex(NAME_PATTERN, fullmatch=True).filter(lambda name: name not in RESERVED_NAMES))
def test_every_name_of_the_documented_form_is_taken(name: str) -> None:
    assert check_camera(name) == name
    assert check_site(name) == name


@given(st.text())
def test_any_text_is_made_into_a_name_or_nothing(text: str) -> None:
    name = fit_name(text)

    assert name == "" or check_camera(name) == name
