from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from har.records import CameraStatus, Pose, PoseFrame, Silhouette
from har.service.camera_messages import (
    MAX_MESSAGE_BYTES,
    CameraSpec,
    EndOfSource,
    Failure,
    LogLine,
    Message,
    MessageError,
    SignOfLife,
    decode,
    decode_spec,
    encode,
    encode_spec,
)
from har.sources import LiveLimits


def crowd(n_people: int) -> PoseFrame:
    rng = np.random.default_rng(3)
    poses = tuple(
        Pose(xy=rng.normal(300, 90, (17, 2)).astype(np.float32), score=rng.random(17, dtype=np.float32))
        for _ in range(n_people)
    )
    return PoseFrame("hall", 1_700_000_000.1234567, 12.3456789, 640, 480, poses)


@pytest.mark.parametrize("n_people", [0, 1, 4, 100])
def test_poses_cross_the_line_bit_by_bit(n_people: int) -> None:
    sent = crowd(n_people)
    if n_people:
        sent.poses[0].xy[3] = np.nan

    data = encode(sent)
    got = decode(data, camera="hall")

    assert len(data) < MAX_MESSAGE_BYTES
    assert isinstance(got, PoseFrame)
    assert (got.camera, got.time_s, got.source_time_s) == ("hall", sent.time_s, sent.source_time_s)
    assert (got.width_px, got.height_px, len(got.poses)) == (640, 480, n_people)
    for a, b in zip(sent.poses, got.poses, strict=True):
        np.testing.assert_array_equal(a.xy, b.xy)
        np.testing.assert_array_equal(a.score, b.score)


def with_silhouettes(n_people: int) -> PoseFrame:
    """A crowd, of whom the second has no silhouette."""
    rng = np.random.default_rng(4)
    plain = crowd(n_people)
    shapes = [
        Silhouette(
            rng.normal(300, 90, 4).astype(np.float32),
            np.where(rng.random((28, 28)) < 0.5, 0, 10).astype(np.uint8),  # full of zero bytes
        )
        for _ in range(n_people)
    ]
    return replace(
        plain,
        poses=tuple(
            replace(pose, silhouette=None if i == 1 else shape)
            for i, (pose, shape) in enumerate(zip(plain.poses, shapes, strict=True))
        ),
    )


@pytest.mark.parametrize("n_people", [1, 3, 100])
def test_silhouettes_cross_the_line_bit_by_bit(n_people: int) -> None:
    sent = with_silhouettes(n_people)

    data = encode(sent)
    got = decode(data, camera="hall")

    assert len(data) < MAX_MESSAGE_BYTES
    assert isinstance(got, PoseFrame)
    for i, (a, b) in enumerate(zip(sent.poses, got.poses, strict=True)):
        np.testing.assert_array_equal(a.xy, b.xy)
        assert (b.silhouette is None) == (i == 1)
        if a.silhouette is not None and b.silhouette is not None:
            np.testing.assert_array_equal(a.silhouette.box, b.silhouette.box)
            np.testing.assert_array_equal(a.silhouette.cover, b.silhouette.cover)


@pytest.mark.parametrize("covers", [
    [[28, 28]], [[28, 28], None, [28, 28], None], [[28, 28], None, [28, 27]], [[28, 28], None, [29, 28]],
    [[0, 28], None, [28, 28]], [[28, 28], None, [-28, -28]], [[28, 28], None, [2, True]], [[28, 28], None, [99, 99]],
    [[28, 28], None, [28]], [[28, 28], None, "xx"], 7, {}, [], [None] * 101,
])  # fmt: skip
def test_silhouettes_that_do_not_fit_are_refused(covers: object) -> None:
    head, _, blob = encode(with_silhouettes(3)).partition(b"\0")
    fields = json.loads(head)
    fields["covers"] = covers

    with pytest.raises(MessageError):
        decode(json.dumps(fields).encode() + b"\0" + blob, camera="hall")


def test_a_silhouette_whose_box_is_nowhere_is_refused() -> None:
    frame = with_silhouettes(1)
    assert frame.poses[0].silhouette is not None
    frame.poses[0].silhouette.box[2] = np.nan

    with pytest.raises(MessageError):
        decode(encode(frame), camera="hall")


@pytest.mark.parametrize(
    "message",
    [
        CameraStatus("hall", "degraded", 12.5, "the picture is black", 1.7e9),
        EndOfSource("hall", "why", True, 1, 2, 3, 4),
        SignOfLife(ready=True),
        Failure("no weights", user_error=True),
        LogLine("har.sources", 30, "text with \n and \0 and ü"),
    ],
)
def test_other_messages_cross_the_line(message: Message) -> None:
    assert decode(encode(message), camera="hall") == message


def test_a_process_cannot_speak_for_another_camera() -> None:
    got = decode(encode(CameraStatus("kitchen", "online", 12.5, "", 1.7e9)), camera="hall")

    assert isinstance(got, CameraStatus)
    assert got.camera == "hall"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"[]\0",
        b"{}\0",
        b"\xff\xfe\0abc",
        b'{"kind": "what"}\0',
        b'{"kind": "status"}\0',
        b'{"kind": "alive", "ready": true, "more": 1}\0',
        b'{"kind": "alive", "ready": "yes"}\0',
        b'{"kind": "status", "camera": "a", "state": "fine", "fps": 1.0, "reason": "", "time_s": 1.0}\0',
        b'{"kind": "status", "camera": "a", "state": "online", "fps": NaN, "reason": "", "time_s": 1.0}\0',
        b'{"kind": "status", "camera": "a", "state": "online", "fps": true, "reason": "", "time_s": 1.0}\0',
        encode(crowd(2))[:-4],
        encode(crowd(100)) + bytes(17 * 3 * 4),
        json.dumps({"kind": "poses", "time_s": 1.0, "source_time_s": 1.0, "width_px": 1.5, "height_px": 1}).encode()
        + b"\0",
        b"\x80\x05\x95\x1c\x00",
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError, match="hall"):
        decode(data, camera="hall")


def test_a_spec_crosses_the_line_and_hides_its_password() -> None:
    spec = CameraSpec("hall", "rtsp://u:s3cret@h/x", max_rate_hz=None, limits=LiveLimits(open_s=1.0))

    assert decode_spec(encode_spec(spec)) == spec
    assert "s3cret" not in repr(spec)
