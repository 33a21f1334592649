"""The video again with what the service saw drawn on it; and, as silhouettes, without a pixel of the video."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from har.errors import ConfigError, SourceError
from har.records import AlertEvent, DangerEvent, Event, FloatArray, ImageArray, Phase, Pose, PoseFrame
from har.service.drawing import BACKDROP, LEFT, RAISED, RIGHT, SUSPECTED, Danger, Figure, draw_scene
from har.service.overlay import HOLD_S, OverlayRecorder, check_overlay
from har.sources import open_source
from har.track import Sighting, Track, box_of
from tests.builders import START_S, lying_body, pose_of, standing_body
from tests.sources.builders import write_video

WIDTH_PX, HEIGHT_PX = 320, 240
GREY = np.full((HEIGHT_PX, WIDTH_PX, 3), 128, dtype=np.uint8)
STANDING = (standing_body() * 0.5).astype(np.float32)  # the builders' picture is twice as large
LYING = (lying_body(x_px=250.0) * 0.5).astype(np.float32)


def frame_at(at_s: float, *, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> PoseFrame:
    return PoseFrame("hall", START_S + at_s, at_s, width_px, height_px)


def somebody(at_s: float, *, xy: FloatArray = STANDING, person: int = 1, label: str = "walk",
             danger: float = 0.0) -> tuple[int, Track, str, float]:  # fmt: skip
    pose = pose_of(xy)
    box = box_of(pose)
    assert box is not None
    return person, Track(person, [Sighting(START_S + at_s, pose, box)], 125.0, confirmed=True), label, danger


def danger_event(phase: Phase, *, at_s: float, person: int = 1) -> DangerEvent:
    return DangerEvent("hall", person, phase, "fall", 0.9, "hips dropped, trunk level", START_S + at_s, START_S + at_s,
                       at_s, "test@0")  # fmt: skip


def alert_event(*, at_s: float, person: int = 1) -> AlertEvent:
    return AlertEvent("alert-1", "raised", "state", "fall", "high", "hall", person, START_S, START_S + at_s, at_s, 2.0,
                      0.9, "hips dropped, trunk level", "test@0")  # fmt: skip


def recorded(times_s: Sequence[float], *, events: dict[float, Sequence[Event]] | None = None,
             xy: FloatArray = STANDING) -> OverlayRecorder:  # fmt: skip
    recorder = OverlayRecorder()
    for at_s in times_s:
        recorder.add(frame_at(at_s), [somebody(at_s, xy=xy)], (events or {}).get(at_s, ()))
    return recorder


def video_of(path: Path, times_s: Sequence[float], *, image: npt.NDArray[np.uint8] = GREY) -> Path:
    return write_video(path, times_s, images=[image] * len(times_s))


def read(path: Path) -> list[tuple[float, ImageArray]]:
    with open_source(str(path), camera="c", paced=False) as source:
        return [(frame.source_time_s, frame.image) for frame in source.frames()]


def share_of(image: ImageArray, colour: Sequence[int], *, within: int = 30) -> float:
    """Share of the pixels that have about a colour."""
    return float((np.abs(image.astype(int) - np.asarray(colour)).max(axis=-1) <= within).mean())


def scene(*, xy: FloatArray = STANDING, dangers: Sequence[Danger] = (), silhouette: bool = False,
          image: ImageArray = GREY, score: float = 0.9) -> ImageArray:  # fmt: skip
    joints = np.concatenate([xy, np.full((17, 1), score)], axis=1, dtype=np.float32)
    figure = Figure(1, joints, 125.0, "walk", 0.9 if dangers else 0.0, any(d.raised_s is not None for d in dangers))
    return draw_scene(image, figures=[figure], dangers=dangers, source_time_s=12.3, silhouette=silhouette)


TIMES_S = [round(i / 10, 3) for i in range(12)]
ON = Danger(1, "fall", 0.9, "hips dropped 0.6 body lengths in 0.5 s, trunk level")


# -- what is drawn ---------------------------------------------------------------------------------------------------


def test_limbs_have_the_colour_of_their_side() -> None:
    picture = scene()

    for side, colour in (("left", LEFT), ("right", RIGHT)):
        a, b = (7, 9) if side == "left" else (8, 10)  # elbow, wrist
        x, y = ((STANDING[a] + STANDING[b]) / 2).round().astype(int)
        near = picture[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).astype(int)
        assert np.abs(near - colour).max(axis=1).min() < 40, side


def test_joints_that_were_not_seen_are_not_drawn() -> None:
    nobody = scene(score=0.1)

    assert share_of(nobody, LEFT) == 0.0
    assert share_of(nobody, RIGHT) == 0.0


def test_the_picture_handed_in_stays_as_it_was() -> None:
    image = GREY.copy()

    scene(image=image, dangers=[ON])

    np.testing.assert_array_equal(image, GREY)


def test_far_from_people_and_words_the_video_shows() -> None:
    picture = scene()

    np.testing.assert_array_equal(picture[60:200, 260:], GREY[60:200, 260:])


def test_danger_and_alert_are_told_by_colour_and_by_words_on_top() -> None:
    calm, suspected, raised = scene(), scene(dangers=[ON]), scene(dangers=[replace(ON, raised_s=10.0)])

    top = slice(0, 40)
    assert share_of(calm[top], SUSPECTED) == 0.0
    assert share_of(suspected[top], SUSPECTED) > 0.5
    assert share_of(raised[top], RAISED) > 0.5
    assert share_of(suspected[top], (16, 20, 26), within=40) > 0.02  # letters
    assert share_of(raised[top], (250, 250, 250), within=40) > 0.02
    assert share_of(raised[-2:], RAISED) > 0.9  # the frame round the picture


def test_what_lies_on_the_floor_is_not_hidden_by_the_banner() -> None:
    with_banner, without = scene(xy=LYING, dangers=[ON]), scene(xy=LYING)

    low = slice(int(LYING[:, 1].min()), None)
    np.testing.assert_array_equal(with_banner[low], without[low])


@pytest.mark.parametrize(("width_px", "height_px"), [(320, 240), (1280, 720), (160, 120), (31, 17)])
def test_words_fit_into_pictures_of_any_size(width_px: int, height_px: int) -> None:
    image = np.full((height_px, width_px, 3), 128, dtype=np.uint8)
    long = replace(ON, reason="lost from sight low down " * 20)

    picture = scene(image=image, dangers=[long, replace(long, person=2, raised_s=1.0)])

    assert picture.shape == image.shape
    if width_px >= 320:
        assert share_of(picture[height_px // 2 :, : width_px // 4], (128, 128, 128)) > 0.8


@given(
    xy=hnp.arrays(
        np.float32,
        (17, 2),
        elements=st.one_of(
            st.floats(-1000, 2000, width=32),
            st.sampled_from([float("nan"), float("inf"), float("-inf"), 2.0**120, -(2.0**120)]),
        ),
    ),
    label=st.text(max_size=30),
    reason=st.text(max_size=200),
    danger=st.floats(0, 1),
    silhouette=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_nothing_that_is_drawn_stops_the_drawing(
    xy: FloatArray, label: str, reason: str, danger: float, silhouette: bool
) -> None:
    joints = np.concatenate([xy, np.ones((17, 1), dtype=np.float32)], axis=1)

    picture = draw_scene(
        GREY, figures=[Figure(1, joints, 125.0, label, danger, False)], dangers=[replace(ON, reason=reason)],
        source_time_s=1.0, silhouette=silhouette,
    )  # fmt: skip

    assert picture.shape == GREY.shape


# -- silhouettes -----------------------------------------------------------------------------------------------------


def test_a_silhouette_shows_nothing_of_the_video() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, GREY.shape, dtype=np.uint8)

    one, other = scene(image=GREY, silhouette=True), scene(image=noise, silhouette=True)

    np.testing.assert_array_equal(one, other)


def test_a_silhouette_is_a_filled_body_before_a_plain_wall() -> None:
    picture = scene(silhouette=True)

    x, y = STANDING[[5, 6, 11, 12]].mean(axis=0).round().astype(int)
    assert tuple(picture[100, 20]) == BACKDROP
    assert np.abs(picture[y, x].astype(int) - BACKDROP).max() > 60
    assert share_of(picture, BACKDROP, within=0) > 0.6


def test_a_written_silhouette_video_is_the_same_whatever_the_camera_saw(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, GREY.shape, dtype=np.uint8)
    recorder = recorded(TIMES_S)

    pictures = []
    for name, image in (("grey", GREY), ("noise", noise)):
        video = video_of(tmp_path / f"{name}.mp4", TIMES_S, image=image)
        recorder.write(video, tmp_path / f"{name}_out.mp4", silhouette=True)
        pictures.append(read(tmp_path / f"{name}_out.mp4"))

    assert len(pictures[0]) == len(pictures[1]) == len(TIMES_S)
    for (_, one), (_, other) in zip(*pictures, strict=True):
        np.testing.assert_array_equal(one, other)


def test_somebody_the_estimator_did_not_find_is_not_in_the_silhouette_video_at_all(tmp_path: Path) -> None:
    recorder = OverlayRecorder()
    for at_s in TIMES_S:
        recorder.add(frame_at(at_s), [], ())

    recorder.write(video_of(tmp_path / "in.mp4", TIMES_S), tmp_path / "out.mp4", silhouette=True)

    assert all(share_of(image[:200], BACKDROP, within=6) == 1.0 for _, image in read(tmp_path / "out.mp4"))


# -- the video -------------------------------------------------------------------------------------------------------


def test_every_picture_keeps_its_time_also_at_an_uneven_rate(tmp_path: Path) -> None:
    times_s = [0.0, 0.04, 0.12, 0.16, 0.5, 0.533, 0.567, 1.2]
    video = video_of(tmp_path / "in.mp4", times_s)

    n_pictures = recorded(times_s).write(video, tmp_path / "out.mp4", silhouette=False)

    assert n_pictures == len(times_s)
    assert [at_s for at_s, _ in read(tmp_path / "out.mp4")] == pytest.approx(times_s, abs=1e-3)


def test_the_overlay_is_h264_that_any_player_shows(tmp_path: Path) -> None:
    odd = np.full((97, 131, 3), 128, dtype=np.uint8)
    video = write_video(tmp_path / "in.avi", TIMES_S, codec="mjpeg", images=[odd] * len(TIMES_S))

    recorded(TIMES_S).write(video, tmp_path / "out.mp4", silhouette=False)

    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (132, 98)
        assert not container.streams.audio


def test_skeletons_are_drawn_where_people_were_also_on_a_picture_of_another_size(tmp_path: Path) -> None:
    large = np.full((2 * HEIGHT_PX, 2 * WIDTH_PX, 3), 128, dtype=np.uint8)
    recorder = recorded(TIMES_S)

    recorder.write_picture(video_of(tmp_path / "in.mp4", TIMES_S, image=large), tmp_path / "out.png", at_s=0.5)

    picture = np.asarray(Image.open(tmp_path / "out.png"))
    x, y = (2 * STANDING[[7, 9]].mean(axis=0)).round().astype(int)
    assert share_of(picture[y - 3 : y + 4, x - 3 : x + 4], LEFT, within=40) > 0.2


def test_frames_between_analysed_ones_carry_the_nearest_skeleton_and_others_none(tmp_path: Path) -> None:
    video = video_of(tmp_path / "in.mp4", [i / 20 for i in range(60)])

    recorder = recorded([0.0, 0.1, 0.2, 0.3, 2.5])
    recorder.write(video, tmp_path / "out.mp4", silhouette=False)

    drawn = {round(at_s, 2): share_of(image, RIGHT, within=50) > 0.001 for at_s, image in read(tmp_path / "out.mp4")}
    assert all(drawn[at_s] for at_s in (0.0, 0.05, 0.25, 0.45, 2.4, 2.65))
    assert not any(drawn[at_s] for at_s in (0.55, 1.0, 2.25))


def test_the_overlay_ends_where_the_analysis_ended(tmp_path: Path) -> None:
    video = video_of(tmp_path / "in.mp4", [i / 10 for i in range(50)])

    recorded(TIMES_S).write(video, tmp_path / "out.mp4", silhouette=False)

    assert read(tmp_path / "out.mp4")[-1][0] == pytest.approx(TIMES_S[-1], abs=0.21)


def test_people_out_of_sight_are_not_drawn_where_they_were(tmp_path: Path) -> None:
    recorder = OverlayRecorder()
    for at_s in TIMES_S:
        recorder.add(frame_at(at_s), [somebody(min(at_s, 0.5))], ())

    recorder.write_picture(video_of(tmp_path / "in.mp4", TIMES_S), tmp_path / "out.png", at_s=0.9)

    assert share_of(np.asarray(Image.open(tmp_path / "out.png")), LEFT) == 0.0


def test_a_danger_is_shown_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    video = video_of(tmp_path / "in.mp4", TIMES_S)
    recorder = recorded(
        TIMES_S,
        events={
            0.3: [danger_event("new", at_s=0.3)],
            0.6: [danger_event("update", at_s=0.6), alert_event(at_s=0.6)],
            0.9: [danger_event("end", at_s=0.9)],
        },
    )

    recorder.write(video, tmp_path / "out.mp4", silhouette=False)

    shown = []
    for _, image in read(tmp_path / "out.mp4"):
        top = image[:25]
        shown.append("alert" if share_of(top, RAISED, within=60) > 0.4 else
                     "danger" if share_of(top, SUSPECTED, within=60) > 0.4 else "")  # fmt: skip
    assert shown == [""] * 3 + ["danger"] * 3 + ["alert"] * 3 + [""] * 3


def test_an_alert_raised_at_the_end_stays_in_the_picture_for_a_while(tmp_path: Path) -> None:
    video = video_of(tmp_path / "in.mp4", TIMES_S)
    recorder = recorded(TIMES_S, events={0.8: [danger_event("new", at_s=0.8)]})

    recorder.finish([danger_event("update", at_s=1.1), alert_event(at_s=1.1)])
    recorder.write(video, tmp_path / "out.mp4", silhouette=False)

    pictures = read(tmp_path / "out.mp4")
    assert pictures[-1][0] == pytest.approx(TIMES_S[-1] + HOLD_S, abs=1e-3)
    assert share_of(pictures[-1][1][:25], RAISED, within=60) > 0.4
    assert share_of(pictures[-3][1][:25], RAISED, within=60) < 0.05


def test_progress_tells_the_seconds_that_are_done(tmp_path: Path) -> None:
    told: list[float] = []

    recorded(TIMES_S).write(
        video_of(tmp_path / "in.mp4", TIMES_S), tmp_path / "out.mp4", silhouette=False, progress=told.append
    )

    assert told == pytest.approx(TIMES_S, abs=1e-3)


def test_a_picture_is_the_first_from_the_time_on_or_else_the_last(tmp_path: Path) -> None:
    video = video_of(tmp_path / "in.mp4", TIMES_S)
    recorder = recorded(TIMES_S, events={0.5: [danger_event("new", at_s=0.5)]})

    yellow = []
    for at_s in (0.41, 0.4, -1.0, 99.0):
        recorder.write_picture(video, tmp_path / "out.png", at_s=at_s)
        yellow.append(share_of(np.asarray(Image.open(tmp_path / "out.png"))[:25], SUSPECTED) > 0.4)

    assert yellow == [True, False, False, True]


# -- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_video_that_cannot_be_read_leaves_the_old_overlay_in_place(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"yesterday")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")

    with pytest.raises(SourceError, match=r"broken\.mp4"):
        recorded(TIMES_S).write(broken, out, silhouette=False)

    assert out.read_bytes() == b"yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.mp4", "out.mp4"]


def test_a_stop_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    video = video_of(tmp_path / "in.mp4", TIMES_S)

    def stop(done_s: float) -> None:
        if done_s > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recorded(TIMES_S).write(video, tmp_path / "out.mp4", silhouette=False, progress=stop)

    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_folder_that_went_away_is_one_clear_line(tmp_path: Path) -> None:
    video = video_of(tmp_path / "in.mp4", TIMES_S)

    with pytest.raises(ConfigError, match="cannot be written"):
        recorded(TIMES_S).write(video, tmp_path / "gone" / "out.mp4", silhouette=False)


def test_a_run_that_saw_nothing_has_no_overlay(tmp_path: Path) -> None:
    video = video_of(tmp_path / "in.mp4", TIMES_S)

    with pytest.raises(SourceError, match="no frame of it was analysed"):
        OverlayRecorder().write(video, tmp_path / "out.mp4", silhouette=False)

    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize("limits", [{"max_figures": 5}, {"max_sketches": 5}])
def test_memory_has_a_limit_and_the_log_says_when_it_is_reached(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, limits: dict[str, int]
) -> None:
    recorder = OverlayRecorder(**limits)

    with caplog.at_level(logging.WARNING):
        for at_s in TIMES_S:
            recorder.add(frame_at(at_s), [somebody(at_s)], ())
    n_pictures = recorder.write(video_of(tmp_path / "in.mp4", TIMES_S), tmp_path / "out.mp4", silhouette=False)

    warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert [message.split(" at_s")[0] for message in warnings] == ["overlay full"]
    assert n_pictures == 5 + 2  # those within reach of the last sketch


@pytest.mark.parametrize("source", ["rtsp://10.0.0.7/main", "webcam:0", "clip.npz", "."])
def test_only_a_video_file_has_an_overlay(tmp_path: Path, source: str) -> None:
    with pytest.raises(ConfigError, match="video file"):
        check_overlay(source, tmp_path / "out.mp4")


def test_no_password_is_shown_in_what_is_said_of_a_source(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        check_overlay("rtsp://nurse:secret@10.0.0.7/main", tmp_path / "out.mp4")

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("out", "what"),
    [("out.avi", r"\.mp4"), ("nowhere/out.mp4", "does not exist"), ("folder.mp4", "is a folder"), ("in.mp4", "itself")],
)
def test_a_place_where_no_overlay_can_be_written_is_refused_before_the_run(tmp_path: Path, out: str, what: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    video = video_of(tmp_path / "in.mp4", TIMES_S[:2])

    with pytest.raises(ConfigError, match=what):
        check_overlay(str(video), tmp_path / out)


def test_a_good_place_is_accepted(tmp_path: Path) -> None:
    video = video_of(tmp_path / "in.mp4", TIMES_S[:2])

    check_overlay(str(video), tmp_path / "out.mp4")
    check_overlay(video.as_uri(), tmp_path / "out.mp4")


def test_the_video_may_be_named_as_the_source_was(tmp_path: Path) -> None:
    video = video_of(tmp_path / "in.mp4", TIMES_S)

    assert recorded(TIMES_S).write(video.as_uri(), tmp_path / "out.mp4", silhouette=False) == len(TIMES_S)


def test_a_pose_in_another_layout_is_left_out(tmp_path: Path) -> None:
    pose = Pose(np.full((33, 2), 50, dtype=np.float32), np.ones(33, dtype=np.float32), "blazepose33")
    person, track, label, danger = somebody(0.0)
    odd = replace(track, sightings=[replace(track.last, pose=pose)])
    recorder = OverlayRecorder()

    recorder.add(frame_at(0.0), [(person, odd, label, danger)], ())
    recorder.write_picture(video_of(tmp_path / "in.mp4", [0.0, 0.1]), tmp_path / "out.png", at_s=0.0)

    assert share_of(np.asarray(Image.open(tmp_path / "out.png")), LEFT) == 0.0
