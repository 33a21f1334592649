from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from har.redaction import redact, scrub
from har.sources.address import SourceSpec, connect_url

USERS = ["carer", "first.last", "a@b.org", "dom:carer", "50%off"]
PASSWORDS = ["pw.d0t", "p@ssw0rd", "p:a:ss", "100%sure", "sl/ash/pw", "que?ry-pw", "ha#sh-pw", "@:/?#%pw", "p=q-pw"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://cam/main", "rtsp://cam/main"),
        ("rtsp://10.0.0.7:554/main", "rtsp://10.0.0.7:554/main"),
        ("rtsp://[fe80::1]:554/main", "rtsp://[fe80::1]:554/main"),
        ("rtsp://carer:hunter2@10.0.0.7:554/main", "rtsp://***@10.0.0.7:554/main"),
        ("rtsp://u:p@ss/w?rd#1@cam/main", "rtsp://***@cam/main"),
        ("rtsp://cam/s?user=a&password=hunter2&ch=1", "rtsp://cam/s?***"),
        ("rtsp://cam/s#camera=hall", "rtsp://cam/s#***"),
        ("rtsp://10.0.0.7/user=admin_password=secret_channel=1", "rtsp://10.0.0.7/***"),
        ("rtsp://10.0.0.7/password%3Dsecret/1", "rtsp://10.0.0.7/***/1"),
        ("mqtts://u:p%40ss@broker:8883", "mqtts://***@broker:8883"),
        ("mqtts://carer@broker", "mqtts://***@broker"),
        ("http://u:secret@host/x", "http://***@host/x"),
        ("postgresql://har:secret@db/har?sslmode=require", "postgresql://***@db/har?***"),
        ("sqlite:////home/a@b/passage/har.db", "sqlite:////home/a@b/passage/har.db"),
        ("rtsp:/u:secret@host/x", "***@host/x"),
        ("u:secret@host/x", "***@host/x"),
        ("host/x?password=secret", "host/x?password=***"),
        ("/videos/a@b.mp4", "/videos/a@b.mp4"),
        ("/videos/a:b@c.mp4", "/videos/a:b@c.mp4"),
        ("file:///videos/a@c.mp4", "file:///videos/a@c.mp4"),
        ("webcam:0", "webcam:0"),
        ("a\nb.mp4", "a?b.mp4"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert redact(url) == shown


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="@", exclude_categories=["Cs"]), min_size=6))
def test_no_password_survives(password: str) -> None:
    secret = f"S3cr3t{password}"

    assert secret not in redact(f"rtsp://carer:{secret}@10.0.0.7/main")
    assert secret not in scrub(f"cannot open; tried {secret!s} twice", f"rtsp://carer:{secret}@10.0.0.7/main")


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("password", PASSWORDS)
def test_no_part_of_a_password_survives_redaction(user: str, password: str) -> None:
    url = f"rtsp://{user}:{password}@cam.local:8554/main"

    shown = redact(url)

    assert shown == "rtsp://***@cam.local:8554/main"
    assert password not in repr(SourceSpec(url, "hall"))


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("password", PASSWORDS)
def test_a_librarys_text_is_scrubbed_of_every_spelling(user: str, password: str) -> None:
    url = f"rtsp://{user}:{password}@cam.local/main"
    text = f"open '{url}' as {connect_url(url)}: user {user} pass {password} / {quote(password, safe='')}"

    cleaned = scrub(text, url)

    assert password not in cleaned
    assert quote(password, safe="") not in cleaned
    assert user not in cleaned


def test_a_message_of_somebody_else_is_scrubbed_in_every_spelling() -> None:
    url = "rtsp://carer:p%40ssword@10.0.0.7/main"
    message = f"{url}: 401; user carer:p@ssword; other rtsp://a:b@host/x and mqtt://bob@host"

    assert scrub(message, url) == "rtsp://***@10.0.0.7/main: 401; user ***; other rtsp://***@host/x and mqtt://***@host"


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://10.0.0.7/user=admin_password=hunter2_channel=1",
        "rtsp://10.0.0.7/s?user=admin&password=hunter2&ch=1",
    ],
)
def test_secret_arguments_are_scrubbed_one_by_one(url: str) -> None:
    cleaned = scrub("401 for admin with hunter2", url)

    assert cleaned == "401 for *** with ***"


def test_a_text_without_an_address_keeps_its_words() -> None:
    text = "Invalid value (at line 3, column 7): a@b, 12:30, C++ std::x"

    assert scrub(text, "") == text


def test_a_long_text_is_scrubbed_in_no_time() -> None:
    for text in ("a" * 200_000, "://" * 2_000, "://a:" * 2_000):
        assert scrub(text, "rtsp://carer:pw@cam") == text
