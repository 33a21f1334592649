from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from har.redaction import redact, scrub


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://10.0.0.7:554/main", "rtsp://10.0.0.7:554/main"),
        ("rtsp://carer:hunter2@10.0.0.7:554/main", "rtsp://***@10.0.0.7:554/main"),
        ("mqtts://u:p%40ss@broker:8883", "mqtts://***@broker:8883"),
        ("rtsp://u:p@ss/w?rd#1@cam/main", "rtsp://***@cam/main"),
        ("rtsp://cam/s?user=a&password=hunter2&ch=1", "rtsp://cam/s?user=a&password=***&ch=1"),
        ("rtsp://[fe80::1]:554/main", "rtsp://[fe80::1]:554/main"),
        ("webcam:0", "webcam:0"),
        ("/videos/a@b.mp4", "/videos/a@b.mp4"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert redact(url) == shown


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="@", exclude_categories=["Cs"]), min_size=6))
def test_no_password_survives(password: str) -> None:
    secret = f"S3cr3t{password}"

    assert secret not in redact(f"rtsp://carer:{secret}@10.0.0.7/main")
    assert secret not in scrub(f"cannot open; tried {secret!s} twice", f"rtsp://carer:{secret}@10.0.0.7/main")


def test_a_message_of_somebody_else_is_scrubbed_in_every_spelling() -> None:
    url = "rtsp://carer:p%40ssword@10.0.0.7/main"
    message = f"{url}: 401; user carer:p@ssword; other rtsp://a:b@host/x"

    assert scrub(message, url) == "rtsp://***@10.0.0.7/main: 401; user ***; other rtsp://***@host/x"
