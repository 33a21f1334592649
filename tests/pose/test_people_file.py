"""`tests/data/people.csv`, who is where in real videos as marked by eye: it must fit itself, and the videos."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import av
import pytest

PEOPLE = Path(__file__).resolve().parents[1] / "data" / "people.csv"
COLUMNS = ["video", "frame", "person", "who", "state", "x", "y", "w", "h"]
STATES = {"upright", "falling", "lying", "sitting", "bending"}
STEP = 10


def rows() -> list[dict[str, str]]:
    with PEOPLE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def somebody() -> list[dict[str, str]]:
    return [row for row in rows() if row["state"] != "empty"]


def box(row: Mapping[str, str]) -> tuple[int, int, int, int]:
    x0, y0, width, height = (int(row[name]) for name in ("x", "y", "w", "h"))
    return x0, y0, x0 + width, y0 + height


def frames_by_video() -> dict[str, list[int]]:
    frames: dict[str, set[int]] = defaultdict(set)
    for row in rows():
        frames[row["video"]].add(int(row["frame"]))
    return {video: sorted(numbers) for video, numbers in frames.items()}


def test_the_columns_are_those_that_the_evaluation_reads() -> None:
    assert PEOPLE.read_text(encoding="utf-8").splitlines()[0].split(",") == COLUMNS
    assert all(set(row) == set(COLUMNS) for row in rows())


def test_a_frame_with_nobody_is_one_row_that_says_only_that() -> None:
    rows_of_frame = Counter((row["video"], row["frame"]) for row in rows())
    empty = [row for row in rows() if row["state"] == "empty"]

    assert empty
    assert all(rows_of_frame[row["video"], row["frame"]] == 1 for row in empty)
    assert not [row for row in empty for name in COLUMNS[2:] if name != "state" and row[name]]


def test_who_and_state_are_known_and_boxes_lie_in_the_picture() -> None:
    assert {row["who"] for row in somebody()} == {"resident", "bystander"}
    assert {row["state"] for row in somebody()} == STATES
    for row in somebody():
        x0, y0, x1, y1 = box(row)
        assert 0 <= x0 < x1 <= 1280, row
        assert 0 <= y0 < y1 <= 720, row


def test_a_number_is_one_person_through_a_video_and_numbers_start_at_1() -> None:
    who: dict[tuple[str, int], set[str]] = defaultdict(set)
    for row in somebody():
        who[row["video"], int(row["person"])].add(row["who"])

    assert all(len(each) == 1 for each in who.values())
    for video in frames_by_video():
        numbers = sorted(number for name, number in who if name == video)
        assert numbers == list(range(1, len(numbers) + 1)), video
    assert max(Counter((row["video"], row["frame"], row["person"]) for row in somebody()).values()) == 1


def test_every_tenth_frame_is_there_without_a_gap() -> None:
    for video, frames in frames_by_video().items():
        assert frames == list(range(frames[0], frames[-1] + 1, STEP)), video
        assert frames[0] % STEP == 0, video


def test_whoever_fell_lies_in_the_last_frame_and_the_second_person_of_camera_2_sits_in_every_frame() -> None:
    frames = frames_by_video()
    last = {(row["video"], row["person"]): row["state"] for row in somebody()}
    falls = [video for video in frames if "/Fall/" in video or PurePosixPath(video).name[:3] <= "A05"]
    seated = Counter(row["video"] for row in somebody() if (row["person"], row["state"]) == ("2", "sitting"))

    assert len(falls) == 31
    assert {last[video, "1"] for video in falls} == {"lying"}
    assert seated == {video: len(numbers) for video, numbers in frames.items() if video.endswith("_C2.mp4")}


@pytest.mark.data
def test_frames_and_boxes_are_within_the_videos(har_data: Path) -> None:
    rows_of = defaultdict(list)
    for row in somebody():
        rows_of[row["video"]].append(row)

    for video, numbers in frames_by_video().items():
        with av.open(str(har_data / video)) as container:
            stream = container.streams.video[0]
            n_frames = sum(packet.size > 0 for packet in container.demux(stream))
            assert numbers[-1] < n_frames <= numbers[-1] + STEP, video
            assert all(box(row)[2] <= stream.width and box(row)[3] <= stream.height for row in rows_of[video]), video
