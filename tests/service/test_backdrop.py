"""The room behind silhouettes: a still in which nobody who moved, or was found, ever shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from har.records import ImageArray, Pose, PoseFrame, Silhouette
from har.service.backdrop import Backdrop
from har.service.drawing import BACKDROP, CALM
from har.service.overlay import OverlayRecorder
from har.track import Sighting, Track, box_of
from tests.builders import START_S, pose_of, standing_body
from tests.service.test_overlay import read, share_of
from tests.sources.builders import write_video

WIDTH_PX, HEIGHT_PX = 320, 240
ROOM_COLOUR, PERSON_COLOUR = (60, 140, 90), (255, 0, 255)
TIMES_S = [round(i / 10, 3) for i in range(60)]


def room() -> ImageArray:
    return np.full((HEIGHT_PX, WIDTH_PX, 3), ROOM_COLOUR, dtype=np.uint8)


def with_person(x_px: int) -> ImageArray:
    """The room with somebody all in magenta, 40 pixels wide and 120 high."""
    image = room()
    image[80:200, x_px : x_px + 40] = PERSON_COLOUR
    return image


def shape_at(x_px: int) -> Silhouette:
    box = np.array([x_px, 80, x_px + 40, 200], dtype=np.float32)
    return Silhouette(box, np.full((28, 28), 255, dtype=np.uint8))


def still_of(frames: list[tuple[ImageArray, list[Silhouette]]]) -> ImageArray | None:
    backdrop = Backdrop()
    for image, people in frames:
        backdrop.add(image, people, width_px=WIDTH_PX, height_px=HEIGHT_PX)
    return backdrop.still(BACKDROP)


def magenta(image: ImageArray) -> npt.NDArray[np.bool_]:
    """Where a picture has anything of the person in it."""
    red, green, blue = image.astype(int).transpose(2, 0, 1)
    return (np.minimum(red, blue) - green) > 20  # the codec makes up to 14 of nothing beside dark edges


def test_somebody_who_is_missed_for_a_quarter_of_the_time_does_not_show() -> None:
    sits = 120
    still = still_of([(with_person(sits), [] if 10 <= n < 18 else [shape_at(sits)]) for n in range(32)])

    assert not magenta(np.repeat(np.repeat(still, 4, axis=0), 4, axis=1)).any()


def test_the_room_shows_where_somebody_walked_through() -> None:
    still = still_of([(with_person(x), [shape_at(x)]) for x in range(0, 280, 10)])

    assert still is not None
    assert not magenta(still).any()
    assert share_of(still, ROOM_COLOUR, within=3) > 0.99


def test_where_somebody_stays_there_is_a_plain_wall() -> None:
    still = still_of([(with_person(140), [shape_at(140)])] * 30)

    assert still is not None
    assert not magenta(still).any()
    rows, columns = still.shape[:2]
    there = still[int(80 / 240 * rows) : int(200 / 240 * rows), int(140 / 320 * columns) : int(180 / 320 * columns)]
    assert share_of(there, BACKDROP, within=0) == 1.0


def test_somebody_missed_in_a_few_frames_does_not_show() -> None:
    frames = [(with_person(x), [shape_at(x)] if x % 40 else []) for x in range(0, 280, 10)]

    still = still_of(frames)

    assert still is not None
    assert not magenta(still).any()


def test_somebody_never_found_does_not_show_while_they_move() -> None:
    still = still_of([(with_person(x), []) for x in range(0, 280, 10)])

    assert still is not None
    assert not magenta(still).any()


def test_a_place_seen_too_seldom_is_a_plain_wall() -> None:
    frames = [(with_person(140), [shape_at(140)])] * 30 + [(room(), [])] * 4

    still = still_of(frames)

    assert still is not None
    assert share_of(still[30:40, 38:42], BACKDROP, within=0) == 1.0


def test_too_few_frames_give_no_room() -> None:
    assert still_of([(room(), [])] * 4) is None
    assert Backdrop().still(BACKDROP) is None


def recorded(*, found: bool = True) -> OverlayRecorder:
    """Somebody walks from left to right; the service follows them, and a second one at rest it does not know."""
    recorder = OverlayRecorder()
    for i, at_s in enumerate(TIMES_S):
        body = (standing_body(x_px=2 * (20 + 4 * i)) * 0.5).astype(np.float32)
        silhouette = shape_at(4 * i)
        pose = Pose(body, pose_of(body).score, silhouette=silhouette if found else None)
        stranger = Pose(body + 400, pose.score, silhouette=shape_at(275) if found else None)
        frame = PoseFrame("hall", START_S + at_s, at_s, WIDTH_PX, HEIGHT_PX, (pose, stranger))
        box = box_of(pose)
        assert box is not None
        track = Track(1, [Sighting(frame.time_s, pose, box)], 125.0, confirmed=True)
        recorder.add(frame, [(1, track, "walk", 0.0)], ())
    return recorder


def video(path: Path) -> Path:
    images = []
    for i in range(len(TIMES_S)):
        image = with_person(4 * i)
        image[80:200, 275:315] = PERSON_COLOUR
        images.append(image)
    return write_video(path, TIMES_S, images=images)


def test_a_silhouette_video_with_masks_shows_the_room_and_flat_shapes_and_nobody(tmp_path: Path) -> None:
    recorded().write(video(tmp_path / "in.mp4"), tmp_path / "out.mp4", silhouette=True)

    pictures = [image for _, image in read(tmp_path / "out.mp4")]
    assert len(pictures) == len(TIMES_S)
    for i, picture in enumerate(pictures):
        assert not magenta(picture[:, :, :]).any()
        assert share_of(picture[150:195, 4 * i + 22 : 4 * i + 38], CALM) > 0.6  # bones cross it
        assert share_of(picture[100:190, 280:312], CALM) > 0.9  # the one whom nobody follows
    assert share_of(pictures[0][20:60, 60:250], ROOM_COLOUR, within=15) > 0.95
    assert share_of(pictures[0][100:180, 60:230], ROOM_COLOUR, within=15) > 0.95


def test_one_picture_is_drawn_with_shapes_too_and_the_plain_video_without(tmp_path: Path) -> None:
    source = video(tmp_path / "in.mp4")

    recorded().write_picture(source, tmp_path / "out.png", at_s=2.0, silhouette=True)
    recorded().write(source, tmp_path / "plain.mp4", silhouette=False)

    from PIL import Image

    assert not magenta(np.asarray(Image.open(tmp_path / "out.png"))).any()
    assert magenta(read(tmp_path / "plain.mp4")[0][1]).any()


def test_without_masks_the_wall_stays_plain(tmp_path: Path) -> None:
    recorded(found=False).write(video(tmp_path / "in.mp4"), tmp_path / "out.mp4", silhouette=True)

    assert share_of(read(tmp_path / "out.mp4")[0][1], BACKDROP, within=12) > 0.8
