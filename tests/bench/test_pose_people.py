"""`har pose evaluate --people`: whose pose is whose in videos marked by eye, and how long ghosts last."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from har.bench import pose_people
from har.bench.people_csv import Marked, read_people
from har.bench.pose_failures import draw_failure, worst_in_videos
from har.bench.pose_people import Wrong, assign, count_video
from har.cli import main as cli
from har.clips import find_clip
from har.errors import AnnotationError
from har.records import Pose, PoseFrame
from har.sources import open_source
from har.track import Box, box_of
from tests.builders import lying_body, pose_frame, pose_of, seated_body, standing_body
from tests.sources.builders import write_video

SAMPLES = Path(__file__).resolve().parents[2] / "sample_clips"
HEADER = "video,frame,person,who,state,x,y,w,h"


def around(pose: Pose, *, spare_px: float = 15.0) -> Box:
    box = box_of(pose)
    assert box is not None
    return Box(box.x0 - spare_px, box.y0 - spare_px, box.x1 + spare_px, box.y1 + spare_px)


FALLEN, SEATED, GHOST = pose_of(lying_body(x_px=60)), pose_of(seated_body(x_px=500)), pose_of(standing_body(x_px=330))
RESIDENT = Marked("1", "resident", "lying", around(FALLEN))
BYSTANDER = Marked("2", "bystander", "sitting", around(SEATED))


def filmed(*poses: Sequence[Pose], rate_hz: float = 10.0) -> list[PoseFrame]:
    return [pose_frame(each, at_s=number / rate_hz) for number, each in enumerate(poses)]


def counted(
    frames: Sequence[PoseFrame], marks: Mapping[int, Sequence[Marked]], *, ground_s: float = 0.0
) -> pose_people.Tally:
    tally = pose_people.Tally()
    count_video(tally, "hall.mp4", frames, marks, ground_s=ground_s)
    return tally


def test_a_pose_half_in_the_box_is_on_that_person_and_one_elsewhere_is_not() -> None:
    half = replace(FALLEN, score=np.where(np.arange(17) < 8, FALLEN.score, np.float32(0)))

    assert assign([RESIDENT, BYSTANDER], [SEATED, half]) == {0: 1, 1: 0}
    assert assign([RESIDENT], [SEATED]) == {}
    assert assign([], [SEATED]) == assign([RESIDENT], []) == {}


def test_two_poses_on_one_person_are_not_one_for_each() -> None:
    twice = pose_of(FALLEN.xy + np.float32(3))

    assert len(assign([RESIDENT, BYSTANDER], [FALLEN, twice])) == 1


def test_where_two_people_overlap_each_gets_the_pose_that_fits_better() -> None:
    over = pose_of(standing_body(x_px=160))
    helper = Marked("3", "bystander", "upright", around(over))

    assert assign([RESIDENT, helper], [over, FALLEN]) == {0: 1, 1: 0}


def test_lying_frames_count_from_the_moment_that_the_body_is_down() -> None:
    frames = filmed([FALLEN], [FALLEN], [], [FALLEN], [GHOST])

    tally = counted(frames, dict.fromkeys(range(5), (RESIDENT,)), ground_s=0.1)

    assert (tally.lying, tally.right, tally.on_object) == (4, 2, 1)
    assert (tally.resting, tally.resting_right) == (1, 1)
    assert (tally.frames, tally.haunted) == (5, 1)


def test_a_bystander_lying_and_a_resident_upright_are_no_fall() -> None:
    marks = {0: (replace(RESIDENT, who="bystander"), replace(BYSTANDER, who="resident"))}

    assert counted(filmed([FALLEN, SEATED]), marks).lying == 0


def test_frames_with_two_people_count_only_if_each_has_a_pose() -> None:
    frames = filmed([FALLEN, SEATED], [FALLEN], [FALLEN, GHOST], [])

    tally = counted(frames, dict.fromkeys(range(4), (RESIDENT, BYSTANDER)))

    assert (tally.several, tally.all_seen) == (4, 1)
    assert (tally.both, tally.both_seen) == (4, 1)


def test_somebody_who_passes_by_is_not_one_of_the_two_who_are_there_most() -> None:
    passing = Marked("3", "bystander", "upright", around(GHOST))

    tally = counted(
        filmed([FALLEN, SEATED], [FALLEN, SEATED]), {0: (RESIDENT, BYSTANDER), 1: (RESIDENT, BYSTANDER, passing)}
    )

    assert (tally.both, tally.both_seen) == (2, 2)
    assert (tally.several, tally.all_seen) == (2, 1)


def test_a_track_that_goes_over_to_somebody_else_is_noticed() -> None:
    xy = [FALLEN.xy + (SEATED.xy - FALLEN.xy) * np.float32(share) for share in np.linspace(0, 1, 30)]
    frames = filmed(*[[FALLEN]] * 10, *[[pose_of(each)] for each in xy], *[[SEATED]] * 10, rate_hz=20)

    tally = counted(frames, dict.fromkeys((8, 45, 48), (RESIDENT, BYSTANDER)))

    assert (tally.lying, tally.right, tally.elsewhere) == (3, 1, 2)
    assert [(each.number, each.kind) for each in tally.wrong] == [(n, k) for n in (45, 48) for k in ("lost", "moved")]


def test_two_people_with_a_track_each_keep_them() -> None:
    frames = filmed(*[[FALLEN, SEATED]] * 20)

    assert counted(frames, dict.fromkeys(range(0, 20, 5), (RESIDENT, BYSTANDER))).elsewhere == 0


def test_a_ghost_lasts_from_the_first_empty_mark_and_a_flicker_does_not_end_it() -> None:
    there, gone = [GHOST], list[Pose]()
    frames = filmed(*[there] * 12, gone, gone, *[there] * 4, *[gone] * 12)

    tally = counted(frames, {0: (RESIDENT,), 5: (), 15: (), 25: ()})

    assert tally.ghost_s == pytest.approx(0.7)  # frames 5 to 11
    tally = counted(filmed(*[there] * 12, gone, *[there] * 4, *[gone] * 12), {0: (RESIDENT,), 5: (), 15: (), 25: ()})
    assert tally.ghost_s == pytest.approx(1.2)  # frames 5 to 16, the gap of one frame counted in


def test_what_stands_between_two_marks_of_which_one_shows_somebody_is_no_ghost() -> None:
    frames = filmed(*[[GHOST]] * 30)

    assert counted(frames, {0: (), 10: (RESIDENT,), 20: (), 29: (RESIDENT,)}).ghost_s == pytest.approx(0.1)
    assert counted(frames, {0: (), 9: (), 10: (RESIDENT,)}).ghost_s == pytest.approx(1.0)
    assert counted(frames, {0: (), 9: (), 10: (RESIDENT,)}).left_ghost_s == 0
    assert counted(frames, {0: (RESIDENT,), 10: (), 19: ()}).left_ghost_s == pytest.approx(1.0)
    assert counted(frames, {0: (RESIDENT,), 29: (RESIDENT,)}).ghost_s == 0


def test_a_table_is_read_by_video_and_frame(tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    table.write_text(
        "video,frame,who,person,state,x,y,w,h,note\nb.mp4,20,resident,1,lying,1,2,30,40,\nb.mp4,0,,,empty,,,,,nobody\n"
        "a.mp4,3,resident,1,upright,0,0,9,9,\na.mp4,3,bystander,2,sitting,5,5,9,9,\n"
    )

    people = read_people(table)

    assert list(people) == ["b.mp4", "a.mp4"]
    assert list(people["b.mp4"]) == [0, 20]
    assert people["b.mp4"][0] == ()
    assert people["b.mp4"][20] == (Marked("1", "resident", "lying", Box(1, 2, 31, 42)),)
    assert [each.who for each in people["a.mp4"][3]] == ["resident", "bystander"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column 'video'"),
        ("video,frame\n", "no column 'person'"),
        (f"{HEADER}\n", "holds no row"),
        (f"{HEADER}\na.mp4,x,1,resident,lying,0,0,1,1\n", "line 2: video is empty, or frame 'x'"),
        (f"{HEADER}\n,1,1,resident,lying,0,0,1,1\n", "line 2: video is empty"),
        (f"{HEADER}\na.mp4,1,1,resident,asleep,0,0,1,1\n", "state is 'asleep'"),
        (f"{HEADER}\na.mp4,1,1,guest,lying,0,0,1,1\n", "who is 'guest'"),
        (f"{HEADER}\na.mp4,1,1,resident,lying,0,0,1\n", "must be numbers"),
        (f"{HEADER}\na.mp4,1,1,resident,lying,0,0,0,1\n", "the box has no area"),
        (f"{HEADER}\na.mp4,1,1,resident,lying,0,nan,1,1\n", "the box has no area"),
        (f"{HEADER}\na.mp4,1,1,resident,lying,0,0,1,1\na.mp4,1,,,empty,,,,\n", "line 3: frame 1 is empty, but"),
        (f"{HEADER}\na.mp4,1,,,empty,,,,\na.mp4,1,1,resident,lying,0,0,1,1\n", "line 3: frame 1 is empty in another"),
        (f"{HEADER}\n" + "a.mp4,1,1,resident,lying,0,0,1,1\n" * 2, "has person 1 twice"),
        ("\xff\xfe", "cannot be read as CSV"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(text: str, says: str, tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    table.write_bytes(text.encode("latin-1"))

    with pytest.raises(AnnotationError, match=r"people\.csv") as caught:
        read_people(table)

    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table and its video: the first 20 frames of a sample, then 20 frames of an empty room."""
    folder = tmp_path_factory.mktemp("hall")
    truth = find_clip(SAMPLES / "fall_in_room.npz")
    assert truth is not None
    with open_source(str(SAMPLES / "fall_in_room.mp4"), camera="hall", paced=False) as source:
        frames = list(itertools.islice(source.frames(), 20))
    empty = np.full_like(frames[0].image, 90)
    write_video(folder / "hall.mp4", [n / 15 for n in range(40)], images=[*(f.image for f in frames), *[empty] * 20])
    rows = [HEADER]
    for number in (10, 15):  # marked as lying, whatever they do
        drawn = truth.joints[np.abs(truth.time_s - frames[number].source_time_s).argmin(), 0, :, :2]
        low, high = drawn.min(axis=0) - 10, drawn.max(axis=0) + 10
        rows.append(f"hall.mp4,{number},1,resident,lying," + ",".join(f"{side:.0f}" for side in (*low, *(high - low))))
    (folder / "people.csv").write_text("\n".join([*rows, "hall.mp4,22,,,empty,,,,", "hall.mp4,39,,,empty,,,,"]) + "\n")
    return folder


@pytest.mark.weights
def test_a_video_is_watched_from_its_first_frame_to_its_last(
    hall: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("har.bench.recordings.cache_folder", lambda: tmp_path)
    asked = ["--people", str(hall / "people.csv"), "--data", str(hall), "--json", str(tmp_path / "result.json")]

    code = cli.main(["pose", "evaluate", "blazepose", "num_poses=3", *asked, "--report", str(tmp_path / "out")])

    result = json.loads((tmp_path / "result.json").read_text())
    assert code == 0
    assert [row["estimator"] for row in result["rows"]] == ["blazepose", "num_poses=3"]
    for row in result["rows"]:
        group = row["groups"]["videos"]
        assert (group["frames"], group["empty_frames"]) == (4, 2)
        assert (group["on_the_right_body"]["found"], group["on_the_right_body"]["n"]) == (2, 2)
        assert group["longest_ghost_s"] < 1
    assert "The worst failures of num_poses=3" in (tmp_path / "out" / "index.html").read_text()
    assert "lying after a fall: on the right body     2 of 2: 1.000 (0.16 to 1.00)" in capsys.readouterr().out


def test_wrong_moments_are_drawn_of_many_videos_before_many_of_one(hall: Path) -> None:
    wrong = [Wrong("lost", "hall.mp4", number, RESIDENT.box, (RESIDENT, BYSTANDER), (SEATED,)) for number in range(9)]
    wrong += [Wrong("ghost", "hall.mp4", 30, around(GHOST), (), (GHOST,))]

    failures = worst_in_videos(wrong, hall, most=3)

    assert [each.told for each in failures] == [
        "hall.mp4, frame 0: who lies there has no pose",
        "hall.mp4, frame 5: who lies there has no pose",
        "hall.mp4, frame 30: a pose on nobody",
    ]
    assert [len(each.boxes) for each in failures] == [2, 2, 0]
    for each in failures:
        drawn = np.asarray(draw_failure(each))
        assert (drawn == (217, 92, 20)).all(axis=2).sum() > 500


@pytest.mark.weights
def test_whoever_lies_down_in_a_video_without_a_fall_is_counted_apart(
    hall: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("har.bench.recordings.cache_folder", lambda: tmp_path)
    shutil.copytree(hall, tmp_path / "hall")
    hall = tmp_path / "hall"
    (hall / "fall_times.csv").write_text("source,start_s,ground_s,end_s,kind\nhall.mp4,,,2.6,daily\n")
    asked = ["--people", str(hall / "people.csv"), "--data", str(hall), "--json", str(tmp_path / "result.json")]

    code = cli.main(["pose", "evaluate", "blazepose", *asked])

    (row,) = json.loads((tmp_path / "result.json").read_text())["rows"]
    assert code == 0
    assert row["groups"]["videos"]["on_the_right_body"]["n"] == 0
    assert row["groups"]["videos"]["resting_on_the_right_body"]["found"] == 2


@pytest.mark.weights
@pytest.mark.parametrize(("row", "told"), [("none.mp4,1", "none.mp4"), ("hall.mp4,40", "has only 40 frames")])
def test_a_video_that_is_missing_or_too_short_is_told_in_one_line(
    row: str, told: str, hall: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("har.bench.recordings.cache_folder", lambda: tmp_path)
    (tmp_path / "people.csv").write_text(f"{HEADER}\n{row},1,resident,lying,0,0,9,9\n")

    code = cli.main(["pose", "evaluate", "blazepose", "--people", str(tmp_path / "people.csv"), "--data", str(hall)])

    error = capsys.readouterr().err.splitlines()[-1]
    assert code == 2
    assert error.startswith("har: ")
    assert told in error
