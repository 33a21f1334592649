from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from har.errors import SourceError
from har.records import Frame
from har.sources import Clock, Source, check_source, open_source
from tests.sources.builders import code_image, read_code, turn_right, write_video

DATA = Path(os.environ.get("HAR_DATA", Path(__file__).parents[2] / "../shared/data"))


class SlowMotion:
    """A clock that moves only when somebody sleeps or works."""

    def __init__(self, start_s: float = 1000.0) -> None:
        self.now_s = start_s
        self.clock = Clock(wall=lambda: 1_700_000_000.3 + self.now_s, monotonic=lambda: self.now_s, sleep=self.work)

    def work(self, for_s: float) -> None:
        self.now_s += for_s


def all_frames(path: Path, *, clock: Clock | None = None, paced: bool = False) -> tuple[list[Frame], Source]:
    with open_source(str(path), camera="hall", paced=paced, clock=clock) as source:
        return list(source.frames()), source


def test_every_frame_of_a_file_comes_once_and_in_order(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [i / 30 for i in range(40)])

    frames, source = all_frames(path)

    assert [read_code(frame.image) for frame in frames] == list(range(40))
    assert source.counts.frames == 40
    assert source.counts.dropped == source.counts.corrupt == 0
    assert {frame.camera for frame in frames} == {"hall"}


def test_times_of_a_variable_rate_file_are_its_pts(tmp_path: Path) -> None:
    times_s = [0.0, 0.04, 0.05, 0.5, 0.51, 2.0, 2.033, 4.5]
    path = write_video(tmp_path / "vfr.mp4", times_s)

    frames, _ = all_frames(path, clock=SlowMotion().clock)

    assert [frame.source_time_s for frame in frames] == pytest.approx(times_s, abs=1e-3)
    assert [frame.time_s - frames[0].time_s for frame in frames] == pytest.approx(times_s, abs=1e-3)
    assert frames[0].time_s == pytest.approx(1_700_001_000.3, abs=1e-3)


def test_capture_time_begins_at_the_run_even_if_the_first_pts_is_late(tmp_path: Path) -> None:
    path = write_video(tmp_path / "late.mkv", [5.0, 5.1, 5.2])

    frames, _ = all_frames(path, clock=SlowMotion().clock)

    assert [frame.source_time_s for frame in frames] == pytest.approx([5.0, 5.1, 5.2])
    assert frames[0].time_s == pytest.approx(1_700_001_000.3, abs=1e-3)


def test_differences_of_time_are_the_same_bits_in_every_run(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [i / 30 for i in range(30)])

    runs = [all_frames(path, clock=SlowMotion(start_s).clock)[0] for start_s in (0.0, 7.123456789, 99_999.987654321)]

    steps = [[frame.time_s - run[0].time_s for frame in run] for run in runs]
    assert steps[0] == steps[1] == steps[2]


@pytest.mark.parametrize("name", ["a.h264", "a.mjpeg"])
def test_a_stream_without_pts_gets_times_from_its_rate(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, [i / 25 for i in range(10)], codec="mjpeg" if "mjpeg" in name else "libx264")

    frames, _ = all_frames(path)

    assert [read_code(frame.image) for frame in frames] == list(range(10))
    steps = np.diff([frame.source_time_s for frame in frames])
    assert steps == pytest.approx([steps[0]] * 9)
    assert 1 / 60 <= steps[0] <= 1 / 20


def test_a_picture_noted_as_turned_is_delivered_upright(tmp_path: Path) -> None:
    corner = np.zeros((64, 128, 3), dtype=np.uint8)
    corner[:32, :64] = (255, 0, 0)
    path = turn_right(write_video(tmp_path / "phone.mp4", [0.0, 0.1], images=[corner, corner]))

    frames, _ = all_frames(path)

    image = frames[0].image
    assert image.shape == (128, 64, 3)
    assert image[10, -10, 0] > 200  # top left went to top right
    assert image[10, 10].max() < 50
    assert image[-10, -10].max() < 50


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mjpeg"), ("a.mp4", "libx264")])
def test_broken_packets_are_counted_and_the_rest_is_read(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(tmp_path / name, [i / 30 for i in range(20)], codec=codec)
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for start, size in places[5:7]:
        assert start is not None
        data[start : start + size] = bytes(size)
    path.write_bytes(data)

    frames, source = all_frames(path)

    assert source.counts.corrupt == 2
    assert [read_code(frame.image) for frame in frames if frame.source_time_s > 0.25] == list(range(8, 20))
    assert len(frames) == 18
    assert frames[-1].source_time_s == pytest.approx(19 / 30, abs=2e-3)


def test_a_file_cut_short_gives_what_it_has_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_video(tmp_path / "a.mkv", [i / 10 for i in range(60)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    frames, _ = all_frames(path)

    assert 5 < len(frames) < 60
    assert [read_code(frame.image) for frame in frames[:5]] == list(range(5))
    assert "ended early" in caplog.text


def test_a_folder_is_played_in_order_of_name_with_time_going_on(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mkv", "c.avi"):
        write_video(tmp_path / name, [i / 10 for i in range(5)], codec="mjpeg" if "avi" in name else "libx264")
    (tmp_path / "notes.txt").write_text("not a video")

    frames, _ = all_frames(tmp_path)

    assert [read_code(frame.image) for frame in frames] == [0, 1, 2, 3, 4] * 3
    steps = np.diff([frame.time_s for frame in frames])
    assert steps[steps > 0].size == 14
    assert steps.max() < 0.15
    assert frames[5].source_time_s == pytest.approx(0.0, abs=0.01)


def test_a_paced_file_plays_at_the_speed_of_life(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [i / 10 for i in range(20)])
    life = SlowMotion()

    seen_at_s = []
    with open_source(str(path), camera="hall", clock=life.clock) as source:
        seen_at_s = [life.now_s for _ in source.frames()]

    assert seen_at_s == pytest.approx([1000 + i / 10 for i in range(20)], abs=2e-3)
    assert source.counts.dropped == 0


def test_a_late_consumer_of_a_paced_file_loses_frames_but_not_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [i / 30 for i in range(120)])
    life = SlowMotion()

    behind_s = []
    with open_source(str(path), camera="hall", clock=life.clock) as source:
        for frame in source.frames():
            behind_s.append(life.now_s - 1000 - frame.source_time_s)
            life.work(0.1)

    assert max(behind_s) < 0.06
    assert 35 <= source.counts.frames <= 45
    assert source.counts.frames + source.counts.dropped == 120


def test_a_late_consumer_of_an_unpaced_file_loses_nothing(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [i / 30 for i in range(30)])
    life = SlowMotion()

    with open_source(str(path), camera="hall", paced=False, clock=life.clock) as source:
        numbers = [(read_code(frame.image), life.work(0.5))[0] for frame in source.frames()]

    assert numbers == list(range(30))


def test_a_long_pause_in_a_paced_file_gives_signs_of_life(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", [0.0, 0.1, 6.0])
    life = SlowMotion()

    with open_source(str(path), camera="hall", clock=life.clock) as source:
        items = list(source)

    assert len([item for item in items if isinstance(item, Frame)]) == 3
    assert len(items) >= 3 + 4


def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(os.urandom(5000))
    (tmp_path / "folder").mkdir()
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/x.ts\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile noise.mp4\n")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    cases = {
        "gone.mp4": "does not exist",
        "empty.mp4": "is empty",
        "noise.mp4": "cannot be read as a video",
        "folder": "holds no video file",
        "list.m3u8": "cannot be read as a video",
        "list.ffconcat": "cannot be read as a video",
        "sound.mp4": "holds no pictures",
    }

    for name, reason in cases.items():
        for attempt in (check_source, lambda url: open_source(url, camera="hall")):
            with pytest.raises(SourceError, match=reason) as caught:
                attempt(str(tmp_path / name))
            assert name in str(caught.value)
            assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_the_right_to_read_it_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [0.0, 0.1])
    path.chmod(0)

    with pytest.raises(SourceError, match="Check path and rights"):
        open_source(str(path), camera="hall")


def test_odd_file_names_are_no_addresses(tmp_path: Path) -> None:
    for name in ("http:x.mp4", "a%20b?.mp4", "-i.mp4", "ä ö=ü#1.mp4"):
        path = write_video(tmp_path / name, [0.0, 0.1])

        frames, _ = all_frames(path)

        assert len(frames) == 2


def test_frames_are_rgb(tmp_path: Path) -> None:
    red = np.zeros((64, 64, 3), dtype=np.uint8)
    red[..., 0] = 250
    path = write_video(tmp_path / "red.mp4", [0.0, 0.1], images=[red, red])

    frames, _ = all_frames(path)

    assert frames[0].image[30, 30].tolist() == pytest.approx([250, 0, 0], abs=12)
    assert code_image(5).shape == (64, 128, 3)


def videos_of_people() -> list[Path]:
    return sorted(p for part in ("gmdcsa24_video", "upfall_video", "intel_video") for p in (DATA / part).rglob("*.mp4"))


@pytest.mark.data
@pytest.mark.parametrize("path", videos_of_people()[::13], ids=lambda path: "/".join(path.parts[-3:]))
def test_recorded_videos_are_read_to_their_end(path: Path) -> None:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        duration_s, n_frames = float(stream.duration * stream.time_base), stream.frames

    frames, source = all_frames(path)

    assert len(frames) == n_frames
    assert source.counts.corrupt == 0
    assert frames[-1].source_time_s == pytest.approx(duration_s, abs=0.2)
    assert all(a.time_s < b.time_s for a, b in pairwise(frames))
