from __future__ import annotations

from pathlib import Path

import pytest

from har.errors import ConfigError, SourceError
from har.sources.address import SourceSpec, connect_url, parse_source, parse_sources


@pytest.mark.parametrize(
    ("url", "connect"),
    [
        ("rtsp://cam:554/stream@1", "rtsp://cam:554/stream@1"),
        ("RTSP://[fe80::1]:554/x", "rtsp://[fe80::1]:554/x"),
        ("rtsp://u:p%40ss@cam/x", "rtsp://u:p%40ss@cam/x"),
        ("rtsp://u:p@ss@cam/x", "rtsp://u:p%40ss@cam/x"),
        ("rtsp://u:pa/ss@cam/x", "rtsp://u:pa%2Fss@cam/x"),
        ("rtsp://u@org:p?a@cam:554/x?sub=1", "rtsp://u%40org:p%3Fa@cam:554/x?sub=1"),
        ("rtsps://u@cam/x", "rtsps://u@cam/x"),
        ("rtsp://u:100%sure@cam", "rtsp://u:100%25sure@cam"),
    ],
)
def test_the_address_to_connect_to_has_its_login_encoded(url: str, connect: str) -> None:
    assert connect_url(url) == connect


@pytest.mark.parametrize(
    ("text", "url", "camera"),
    [
        ("rtsp://h/x=hall", "rtsp://h/x", "hall"),
        ("rtsp://u:p=w@h/x=hall", "rtsp://u:p=w@h/x", "hall"),
        ("rtsp://u:p=w@h/x", "rtsp://u:p=w@h/x", "cam1"),
        ("rtsp://u:p=w@h", "rtsp://u:p=w@h", "cam1"),
        ("rtsp://h/x?channel=2", "rtsp://h/x?channel=2", "cam1"),
        ("rtsp://h/x?channel=2#camera=hall", "rtsp://h/x?channel=2", "hall"),
        ("rtsp://h/user=admin&password=tlj1", "rtsp://h/user=admin&password=tlj1", "cam1"),
        ("rtsp://h/password=tlj1", "rtsp://h/password=tlj1", "cam1"),
        ("webcam:0", "webcam:0", "cam1"),
        ("webcam:1=bed_2", "webcam:1", "bed_2"),
        ("some dir/My Fall (1).mp4", "some dir/My Fall (1).mp4", "my-fall-1"),
        ("clips/a.npz=room", "clips/a.npz", "room"),
        ("k=v/clip.mp4", "k=v/clip.mp4", "clip"),
        ("status.mp4", "status.mp4", "cam1"),
        ("äöü.mp4", "äöü.mp4", "cam1"),
        ("x" * 80 + ".mp4", "x" * 80 + ".mp4", "x" * 63),
    ],
)
def test_source_texts_are_read_as_documented(text: str, url: str, camera: str) -> None:
    spec = parse_source(text)

    assert (spec.url, spec.camera) == (url, camera)


def test_a_path_that_exists_is_taken_whole(tmp_path: Path) -> None:
    path = tmp_path / "take=hall.mp4"
    path.touch()

    assert parse_source(str(path)) == SourceSpec(str(path), "take-hall")
    assert parse_source(f"{path}=bed") == SourceSpec(str(path), "bed")


@pytest.mark.parametrize(
    "name", ["alerts", "models", "status", "Hall", "a b", "", "-a", "a/+", "x" * 64, "hall\n1", "ä"]
)
def test_a_camera_name_that_does_not_fit_a_topic_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="camera"):
        parse_source(f"rtsp://h/x#camera={name}" if "/" not in name else f"webcam:0={name.replace('/', '.')}")


@pytest.mark.parametrize(
    "url",
    [
        "http://h/x",
        "https://u:secret@h/x",
        "udp://h",
        "rtsp:/u:secret@h",
        "webcam:x",
        "concat://a",
        "rtsp://",
        "rtsp://u:secret@",
    ],
)
def test_other_schemes_are_refused_with_the_list_and_without_the_password(url: str) -> None:
    with pytest.raises(SourceError, match="rtsp://HOST") as caught:
        parse_source(url)

    assert "secret" not in str(caught.value)


def test_several_sources_get_names_of_their_own() -> None:
    specs = parse_sources(["rtsp://a", "a/fall.mp4", "b/fall.mp4", "webcam:0", "rtsp://b=cam1", "x.mp4=fall-2"])

    assert [spec.camera for spec in specs] == ["cam2", "fall", "fall-3", "cam3", "cam1", "fall-2"]


def test_one_name_for_two_sources_is_refused() -> None:
    with pytest.raises(ConfigError, match="'hall'"):
        parse_sources(["rtsp://a=hall", "rtsp://b=hall"])
