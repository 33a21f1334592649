from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

from har.errors import ConfigError
from har.pose.coco import read_pictures
from har.synth.body import Array, P, make_body
from har.synth.camera import Camera, look_at
from har.synth.motion import random_style
from har.synth.scenes.acting import act_scene
from har.synth.scenes.crowd import populate
from har.synth.scenes.light import random_light
from har.synth.scenes.patterns import plain
from har.synth.scenes.people import POSTURES, Figure, flesh, pose, turned
from har.synth.scenes.place import Place, random_place
from har.synth.scenes.preview import draw_preview, filled
from har.synth.scenes.scene import SHOTS_PER_ROOM, Shot, photograph, prepare
from har.synth.scenes.sensor import random_sensor
from har.synth.scenes.things import Things
from har.synth.scenes.truth import HIDDEN, OUTSIDE, SEEN, run_lengths
from har.synth.scenes.wardrobe import random_outfit
from har.synth.scenes.write import Plan, partial_folder, write_scenes
from har.synth.shapes import Box

SIZE_PX = (160, 120)
FACE, SHOULDERS, HIPS, ANKLES = [0, 1, 2], [5, 6], [11, 12], [15, 16]


def a_camera(*, target_m: tuple[float, float, float] = (0.0, 0.0, 0.9)) -> Camera:
    return look_at(
        np.array([2.8, 0.0, 1.5]), np.array(target_m), field_of_view_deg=60, width_px=SIZE_PX[0], height_px=SIZE_PX[1]
    )


def an_empty_place(camera: Camera, *boxes: Box) -> Place:
    grey = plain((0.6, 0.6, 0.6))
    things = Things(tuple((box, grey) for box in boxes))
    return Place(np.array([3.0, 3.0]), 2.6, grey, (grey, grey), grey, (), things, camera)


def somebody(*, xy_m: tuple[float, float], posture: str = "stand", seed: int = 1) -> Figure:
    rng = np.random.default_rng(seed)
    body = make_body(stature_m=1.7)
    points = pose(rng, body, random_style(rng), posture) + np.array([*xy_m, 0.0])
    return Figure(points, body, random_outfit(rng), posture)


def picture_of(place: Place, *figures: Figure) -> Shot:
    rng = np.random.default_rng(0)
    return photograph(prepare(place, random_light(rng), random_sensor(rng, kind="day")), figures, rng)


def a_plan(n: int, *, seed: int = 3, depth: bool = False) -> Plan:
    return Plan(n=n, seed=seed, width_px=SIZE_PX[0], height_px=SIZE_PX[1], depth=depth)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "set"
    write_scenes(folder, a_plan(3 * SHOTS_PER_ROOM, depth=True), jobs=1)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("seed", range(4))
def test_every_joint_of_somebody_in_the_open_that_is_seen_lies_on_their_mask_or_at_its_edge(seed: int) -> None:
    shot = picture_of(an_empty_place(a_camera()), somebody(xy_m=(0.0, 0.0), seed=seed))

    (person,) = shot.people
    column, row = person.xy[person.visibility == SEEN].astype(int).T
    assert (person.visibility != OUTSIDE).all()
    assert binary_dilation(person.mask)[row, column].all()  # an eye in profile is at the very edge


def test_what_stands_behind_a_table_is_hidden_and_what_is_above_it_is_seen() -> None:
    table = Box(np.array([0.7, 0.0, 0.4]), np.array([0.1, 1.5, 0.4]), 0.0, (1.0, 1.0, 1.0))
    figure = somebody(xy_m=(0.0, 0.0))

    (person,) = picture_of(an_empty_place(a_camera(), table), figure).people
    (alone,) = picture_of(an_empty_place(a_camera()), figure).people

    assert (person.visibility[ANKLES] == HIDDEN).all()
    assert (person.visibility[SHOULDERS] == SEEN).all()
    np.testing.assert_array_equal(person.xy, alone.xy)
    assert not (person.mask & ~alone.mask).any()
    assert person.mask.sum() < 0.8 * alone.mask.sum()


def test_the_face_of_somebody_who_looks_away_is_hidden_and_that_of_somebody_who_looks_here_is_seen() -> None:
    figure = somebody(xy_m=(0.0, 0.0))
    ears = figure.points[P["left_ear"]] - figure.points[P["right_ear"]]
    looks_rad = float(np.arctan2(-ears[0], ears[1]))  # the camera is along x
    for turn_rad, wanted in ((-looks_rad, SEEN), (np.pi - looks_rad, HIDDEN)):
        turned_figure = replace(figure, points=turned(figure.points, yaw_rad=turn_rad, xy_m=np.zeros(2)))

        (person,) = picture_of(an_empty_place(a_camera()), turned_figure).people

        assert (person.visibility[FACE] == wanted).all()


def test_joints_beyond_the_edge_are_outside_and_have_no_place() -> None:
    camera = a_camera(target_m=(0.0, 0.0, 1.9))

    (person,) = picture_of(an_empty_place(camera), somebody(xy_m=(0.0, 0.0))).people

    assert (person.visibility[ANKLES] == OUTSIDE).all()
    assert not person.xy[ANKLES].any()
    assert (person.visibility[SHOULDERS] == SEEN).all()


def test_who_stands_in_front_hides_who_stands_behind_and_no_pixel_is_of_two_people() -> None:
    place = an_empty_place(a_camera())
    near, far = somebody(xy_m=(0.9, 0.0), seed=1), somebody(xy_m=(-0.5, 0.15), seed=2)

    first, second = picture_of(place, near, far).people

    assert not (first.mask & second.mask).any()
    assert (first.visibility[SHOULDERS] == SEEN).all()
    assert (second.visibility == HIDDEN).sum() > (first.visibility == HIDDEN).sum()
    assert second.mask.sum() < picture_of(place, far).people[0].mask.sum()


def test_somebody_who_cannot_be_seen_is_not_in_the_annotations() -> None:
    wall = Box(np.array([1.5, 0.0, 1.3]), np.array([0.05, 2.9, 1.3]), 0.0, (1.0, 1.0, 1.0))

    assert picture_of(an_empty_place(a_camera(), wall), somebody(xy_m=(0.0, 0.0))).people == ()


def test_depth_is_the_distance_along_the_view_in_millimetres() -> None:
    camera = look_at(
        np.array([2.5, 0.0, 1.3]), np.array([0.0, 0.0, 1.3]), field_of_view_deg=25, width_px=80, height_px=64
    )

    depth_mm = picture_of(an_empty_place(camera)).depth_mm

    assert depth_mm.dtype == np.uint16
    assert set(np.unique(depth_mm)) == {5500}  # the wall across x is at -3 m


@pytest.mark.parametrize("posture", POSTURES)
def test_nobody_sinks_into_the_floor(posture: str) -> None:
    for seed in range(5):
        figure = somebody(xy_m=(0.0, 0.0), posture=posture, seed=seed)

        assert figure.points[:, 2].min() > -0.03
        assert figure.points[:, 2].max() < 2.4


def test_people_stand_apart_and_inside_the_room() -> None:
    pairs = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        place = random_place(rng, width_px=320, height_px=240)
        people = populate(rng, place)
        for index, one in enumerate(people):
            assert (np.abs(one.points[:, :2]) < place.half_m).all()
            for other in people[:index]:
                pairs += 1
                assert gap_m(one, other) > -0.031
    assert pairs > 5


def gap_m(one: Figure, other: Figure) -> float:
    (here, thick), (there, thickness) = (flesh(each.points, each.body) for each in (one, other))
    apart: Array = np.linalg.norm(here[:, None] - there[None], axis=-1) - thick[:, None] - thickness[None]
    return float(apart.min())


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with numpy 2
def test_run_lengths_are_those_of_coco() -> None:
    masks = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    for share in (0.0, 0.3, 1.0):
        mask = rng.random((7, 5)) < share

        packed = masks.frPyObjects({"size": [7, 5], "counts": run_lengths(mask)}, 7, 5)

        np.testing.assert_array_equal(masks.decode(packed), mask)
        np.testing.assert_array_equal(filled({"size": [7, 5], "counts": run_lengths(mask)}), mask)


def test_boxes_areas_and_masks_agree_and_ids_begin_with_one(scenes: Path) -> None:
    content = json.loads((scenes / "annotations.json").read_text())

    assert [entry["id"] for entry in content["annotations"]] == list(range(1, len(content["annotations"]) + 1))
    assert [entry["id"] for entry in content["images"]] == list(range(1, 13))
    assert len(content["annotations"]) > 8
    for entry in content["annotations"]:
        rows, columns = np.nonzero(filled(entry["segmentation"]))
        assert entry["area"] == len(rows)
        assert entry["bbox"] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        seen = np.array(entry["keypoints"]).reshape(17, 3)
        assert entry["num_keypoints"] == (seen[:, 2] > 0).sum()
        assert (seen[seen[:, 2] == 0] == 0).all()


def test_what_was_written_can_be_read_for_training(scenes: Path) -> None:
    pictures = read_pictures(scenes / "annotations.json")

    assert len(pictures) == 12
    assert all(picture.file.is_file() for picture in pictures)
    assert sum(len(picture.people) for picture in pictures) > 8
    with Image.open(scenes / "depth" / "000001.png") as depth:
        assert depth.size == SIZE_PX
        assert 300 < np.asarray(depth).max() < 12000


def test_the_preview_shows_the_first_pictures(scenes: Path, tmp_path: Path) -> None:
    draw_preview(scenes, file=tmp_path / "sheet.png")

    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (6 * SIZE_PX[0], 2 * SIZE_PX[1])


def test_the_same_seed_gives_the_same_files_with_more_processes_and_a_larger_set_begins_alike(
    scenes: Path, tmp_path: Path
) -> None:
    write_scenes(tmp_path / "smaller", a_plan(SHOTS_PER_ROOM + 1), jobs=2)

    smaller, larger = contents(tmp_path / "smaller"), contents(scenes)
    assert len(smaller) == SHOTS_PER_ROOM + 2
    for name in set(smaller) - {"annotations.json"}:
        assert smaller[name] == larger[name]
    few, all_ = (json.loads(files["annotations.json"])["annotations"] for files in (smaller, larger))
    assert few == all_[: len(few)]


def test_another_seed_gives_other_pictures(scenes: Path, tmp_path: Path) -> None:
    write_scenes(tmp_path / "other", a_plan(1, seed=4), jobs=1)

    assert contents(tmp_path / "other")["images/000001.jpg"] != contents(scenes)["images/000001.jpg"]


def test_a_moving_scene_tells_the_time_and_who_is_who(tmp_path: Path) -> None:
    write_scenes(tmp_path / "set", Plan(n=6, seed=5, width_px=96, height_px=72, sequences=True), jobs=1)

    pictures = read_pictures(tmp_path / "set" / "annotations.json")
    assert [picture.time_s for picture in pictures] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert len({picture.video for picture in pictures}) == 1
    for before, after in pairwise(pictures):
        steps = [
            np.linalg.norm(one.xy[joint] - other.xy[joint])
            for one in before.people
            for other in after.people
            for joint in HIPS
            if one.track == other.track and one.visibility[joint] and other.visibility[joint]
        ]
        assert steps
        assert max(steps) < 15  # pixels in a tenth of a second


def test_nobody_walks_through_anybody() -> None:
    met = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        parts = act_scene(rng, random_place(rng, width_px=320, height_px=240), n_frames=20)
        for frame in range(0, 20, 3):
            for index, one in enumerate(parts):
                for other in parts[:index]:
                    met += 1
                    assert gap_m(one.figures[frame], other.figures[frame]) > -0.031
    assert met


def test_a_run_that_was_stopped_goes_on_to_the_same_files(scenes: Path, tmp_path: Path) -> None:
    n_done: list[float] = []

    def stop(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / "set", a_plan(SHOTS_PER_ROOM + 1), jobs=1, progress=stop)
    assert not (tmp_path / "set").exists()
    first = partial_folder(tmp_path / "set") / "images" / "000001.jpg"
    first.write_bytes(b"not drawn again")
    write_scenes(tmp_path / "set", a_plan(SHOTS_PER_ROOM + 1), jobs=1, resume=True, progress=n_done.append)

    assert n_done == [SHOTS_PER_ROOM, 1]
    ours, whole = contents(tmp_path / "set"), contents(scenes)
    assert ours.pop("images/000001.jpg") == b"not drawn again"
    assert [name for name in ours if ours[name] != whole[name]] == ["annotations.json"]
    few, all_ = (json.loads(files["annotations.json"])["annotations"] for files in (ours, whole))
    assert few == all_[: len(few)]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_what_was_begun_is_neither_overwritten_nor_gone_on_with_by_other_options(tmp_path: Path) -> None:
    def stop(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / "set", a_plan(1), jobs=1, progress=stop)
    begun = contents(partial_folder(tmp_path / "set"))

    with pytest.raises(ConfigError, match="Go on with --resume, or delete it"):
        write_scenes(tmp_path / "set", a_plan(1), jobs=1)
    with pytest.raises(ConfigError, match="begun with other options"):
        write_scenes(tmp_path / "set", a_plan(1, seed=4), jobs=1, resume=True)

    assert contents(partial_folder(tmp_path / "set")) == begun


def test_a_room_without_its_list_is_drawn_again_also_by_several_processes(scenes: Path, tmp_path: Path) -> None:
    def stop(done: float) -> None:
        raise KeyboardInterrupt

    plan = a_plan(SHOTS_PER_ROOM + 1)
    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / "set", plan, jobs=1, progress=stop)
    partial = partial_folder(tmp_path / "set")
    (partial / "rooms" / "000000.json").unlink()
    (partial / "images" / "000001.jpg").write_bytes(b"half a picture")

    write_scenes(tmp_path / "set", plan, jobs=2, resume=True)

    ours, whole = contents(tmp_path / "set"), contents(scenes)
    assert [name for name in ours if ours[name] != whole[name]] == ["annotations.json"]


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there already"):
        write_scenes(tmp_path, a_plan(1), jobs=1)
