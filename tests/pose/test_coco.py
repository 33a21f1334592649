from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from graphs.layouts import COCO17
from har.errors import AnnotationError
from har.pose.coco import BODY_SHARE_OF_BOX, load_image, read_pictures, write_pictures

POSETRACK = ["nose", "head_bottom", "head_top", *COCO17.joints[3:]]


def someone(**changes: Any) -> dict[str, Any]:
    """Give one good annotation, with other fields where asked; a field that is None is left out."""
    good = {
        "id": 7,
        "image_id": 1,
        "category_id": 1,
        "bbox": [10, 10, 20, 40],
        "keypoints": [value for joint in range(17) for value in (10 + joint, 12 + joint, 2)],
        "area": 500.0,
        "iscrowd": 0,
    }
    return {key: value for key, value in {**good, **changes}.items() if value is not None}


def content(*people: dict[str, Any], joints: list[str] | None = None, **changes: Any) -> dict[str, Any]:
    image = {"id": 1, "file_name": "room.png", "width": 64, "height": 48}
    names = list(COCO17.joints) if joints is None else joints
    kind = {"id": 1, "name": "person", "keypoints": names}
    return {"images": [image], "annotations": list(people), "categories": [kind], **changes}


def written(folder: Path, what: Any) -> Path:
    Image.new("RGB", (64, 48)).save(folder / "room.png")
    file = folder / "people.json"
    file.write_text(what if isinstance(what, str) else json.dumps(what))
    return file


def test_a_person_is_read_with_box_joints_area_and_track(tmp_path: Path) -> None:
    outline = [[10.0, 10.0, 30.0, 10.0, 30.0, 50.0]]
    file = written(tmp_path, content(someone(track_id=3, segmentation=outline)))

    (picture,) = read_pictures(file)

    (person,) = picture.people
    assert (picture.id, picture.width_px, picture.height_px, picture.file) == (1, 64, 48, tmp_path / "room.png")
    np.testing.assert_array_equal(person.box, [10, 10, 20, 40])
    np.testing.assert_array_equal(person.xy[2], [12, 14])
    assert (person.visibility == 2).all()
    assert (person.area_px, person.track, person.mask, person.crowd) == (500.0, 3, outline, False)


def test_joints_go_where_their_names_say_and_the_others_are_not_annotated(tmp_path: Path) -> None:
    file = written(tmp_path, content(someone(), joints=POSETRACK))

    (person,) = read_pictures(file)[0].people

    assert [int(seen) for seen in person.visibility] == [2, 0, 0, *[2] * 14]
    np.testing.assert_array_equal(person.xy[5], [15, 17])
    np.testing.assert_array_equal(person.xy[1], [0, 0])


def test_another_order_and_spelling_of_names_is_understood(tmp_path: Path) -> None:
    file = written(tmp_path, content(someone(keypoints=[1, 2, 2, 3, 4, 1]), joints=["Hip-Right", "left shoulder"]))

    (person,) = read_pictures(file)[0].people

    assert {COCO17.joints[joint] for joint in np.flatnonzero(person.visibility)} == {"right_hip", "left_shoulder"}
    np.testing.assert_array_equal(person.xy[COCO17.joints.index("right_hip")], [1, 2])


def test_the_first_17_of_a_whole_body_are_taken(tmp_path: Path) -> None:
    file = written(tmp_path, content(someone(keypoints=[float(value % 3) for value in range(133 * 3)])))

    (person,) = read_pictures(file)[0].people

    assert (person.visibility == 2).all()


def test_without_an_area_the_mean_share_of_the_box_stands_in(tmp_path: Path) -> None:
    file = written(tmp_path, content(someone(area=None)))

    assert read_pictures(file)[0].people[0].area_px == pytest.approx(BODY_SHARE_OF_BOX * 800)


def test_people_whose_box_has_no_area_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = written(tmp_path, content(someone(), someone(id=8, bbox=[5, 5, 0, 9]), someone(id=9, bbox=[0, 0, 0, 0])))

    with caplog.at_level(logging.WARNING):
        (picture,) = read_pictures(file)

    assert len(picture.people) == 1
    assert "2 people left out" in caplog.text


def test_other_kinds_of_thing_are_passed_over(tmp_path: Path) -> None:
    kinds = [*content()["categories"], {"id": 2, "name": "chair"}]
    file = written(tmp_path, content(someone(category_id=2, keypoints=None), someone(id=8), categories=kinds))

    assert len(read_pictures(file)[0].people) == 1


@pytest.mark.parametrize("where", [".", "images", "..", "../images", "../.."])
def test_pictures_are_found_beside_and_above_the_file(where: str, tmp_path: Path) -> None:
    folder = tmp_path / "annotations" / "val"
    folder.mkdir(parents=True)
    (folder / where).mkdir(exist_ok=True)
    Image.new("RGB", (64, 48)).save(folder / where / "room.png")
    (folder / "people.json").write_text(json.dumps(content(someone())))

    (picture,) = read_pictures(folder / "people.json")

    assert picture.file.resolve() == (folder / where / "room.png").resolve()


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "it has no list 'images' and no list 'annotations'"),
        (content(images={}), "it has no list 'images'"),
        (content(7), "annotation number 1: is no table"),
        (content(someone(image_id=None)), "annotation 7: has no image_id"),
        (content(someone(image_id="one")), "annotation 7: its image_id must be a whole number, not 'one'"),
        (content(someone(id=None, bbox=None)), "annotation number 1: has no bbox"),
        (content(someone(keypoints=None)), "annotation 7: has no keypoints"),
        (content(someone(keypoints=[1, 2, 2] * 16)), "annotation 7: its keypoints are 48 numbers, 17 joints need 51"),
        (content(someone(keypoints=[1, 2] * 17)), "annotation 7: its keypoints are 34 numbers, 17 joints need 51"),
        (content(someone(keypoints=[1, 2, 5] * 17)), "the visibility of its nose is 5; it must be 0, 1 or 2"),
        (content(someone(keypoints=[float("nan"), 2, 2] * 17)), "its keypoints must be a list of numbers"),
        (content(someone(bbox=[1, 2, 3])), "its bbox must be x, y, width, height"),
        (content(someone(bbox=[1, 2, -3, 4])), "its bbox must be x, y, width, height"),
        (content(someone(bbox=[1, 2, 1e300, 4])), "its bbox must be a list of numbers"),
        (content(someone(segmentation=[[1, 2, 3, 4]])), "its segmentation is neither run lengths nor polygons"),
        (content(someone(segmentation={"counts": [1]})), "its segmentation is neither run lengths nor polygons"),
        (content(someone(area=-1)), "its area cannot be -1"),
        (content(someone(area="big")), "its area must be a number, not 'big'"),
        (content(someone(), someone()), "annotation 7: its id is used twice"),
        (content(someone(image_id=9)), "image 9: 1 annotations, but it is not in 'images'"),
        (content(images=[{"id": 1, "width": 64, "height": 48}]), "image 1: has no file_name"),
        (content(images=[{"id": 1, "file_name": "room.png", "width": 64}]), "image 1: has no height"),
        (content(images=[{"id": 1, "file_name": "room.png", "width": 0, "height": 4}]), "cannot be 0 x 4 pixels"),
        (content(images=content()["images"] * 2), "image 1: its id is used twice"),
        (content(joints=["tail", "snout"]), "no category has joints that are known"),
        (content(categories=[{"id": 1, "keypoints": 5}]), "category 1: its keypoints must be a list of names"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_the_part(what: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="people") as caught:
        read_pictures(written(tmp_path, what))

    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = written(tmp_path, content())
    (tmp_path / "room.png").unlink()

    with pytest.raises(AnnotationError, match=r"1 of 1 pictures are not there, the first is .*room\.png"):
        read_pictures(file)
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_pictures(tmp_path / "none.json")


@pytest.mark.parametrize("bytes_", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_an_unreadable_picture_is_named(bytes_: bytes, tmp_path: Path) -> None:
    (picture,) = read_pictures(written(tmp_path, content()))
    picture.file.write_bytes(bytes_)

    with pytest.raises(AnnotationError, match=r"room\.png: cannot be read as a picture"):
        load_image(picture)


def test_a_picture_of_another_size_than_annotated_is_refused(tmp_path: Path) -> None:
    (picture,) = read_pictures(written(tmp_path, content()))
    Image.new("RGB", (65, 48)).save(picture.file)

    with pytest.raises(AnnotationError, match="is 65 x 48 pixels, but its annotations say 64 x 48"):
        load_image(picture)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "I;16", "LA"])
def test_pictures_of_any_kind_come_as_rgb(mode: str, tmp_path: Path) -> None:
    (picture,) = read_pictures(written(tmp_path, content()))
    Image.new(mode, (64, 48)).save(picture.file, format="TIFF" if mode == "CMYK" else "PNG")

    image = load_image(picture)

    assert (image.shape, image.dtype) == ((48, 64, 3), np.uint8)


@pytest.mark.parametrize(("size", "is_turned"), [((64, 48), True), ((48, 64), False)])
def test_a_turned_picture_is_put_upright_unless_it_was_annotated_lying(
    size: tuple[int, int], is_turned: bool, tmp_path: Path
) -> None:
    image = {"id": 1, "file_name": "room.png", "width": size[0], "height": size[1]}
    (picture,) = read_pictures(written(tmp_path, content(images=[image])))
    stored = Image.new("RGB", (48, 64))
    stored.paste((255, 0, 0), (0, 0, 48, 10))  # a red strip along the stored upper edge
    tags = Image.Exif()
    tags[0x0112] = 6  # turn right to see it upright: the strip comes to lie right
    stored.save(picture.file, exif=tags)

    shown = load_image(picture)

    assert shown.shape[1::-1] == size
    assert (shown[:, -10:, 0] == 255).all() == is_turned


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    runs = {"size": [48, 64], "counts": [100, 20, 2952]}
    before = read_pictures(
        written(
            tmp_path,
            content(
                someone(segmentation=runs, track_id=2, iscrowd=1),
                images=[{**content()["images"][0], "video": "room", "time_s": 1.5}],
            ),
        )
    )

    write_pictures(before, tmp_path / "again.json")
    after = read_pictures(tmp_path / "again.json")

    one, other = before[0].people[0], after[0].people[0]
    assert (after[0].video, after[0].time_s, after[0].file) == ("room", 1.5, before[0].file)
    assert (other.mask, other.track, other.crowd, other.area_px) == (runs, 2, True, 500.0)
    for name in ("box", "xy", "visibility"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(list(someone())), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.sampled_from(["images", "annotations", "categories"]), which=st.integers(0, 9), value=_JSON)
def test_nothing_in_a_file_brings_the_reader_down(part: str, which: int, value: Any, tmp_path: Path) -> None:
    whole = content(someone())
    names = [*whole[part][0], "track_id", "time_s", "segmentation"]
    whole[part][0][names[which % len(names)]] = value
    said = ""

    try:
        read_pictures(written(tmp_path, whole))
    except AnnotationError as error:
        said = str(error)

    assert "\n" not in said


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "n_people", "n_joints"),
    [
        ("coco/test_coco.json", 14, 17),
        ("coco/test_coco_wholebody.json", 14, 17),
        ("posetrack18/annotations/test_posetrack18_val.json", 14, 13),
        ("jhmdb/test_jhmdb_sub1.json", 3, 12),
    ],
)
def test_public_files_are_read_with_their_pictures(file: str, n_people: int, n_joints: int, har_data: Path) -> None:
    pictures = read_pictures(har_data / "mm_samples" / "tests" / "data" / file)

    people = [person for picture in pictures for person in picture.people]
    assert len(people) == n_people
    assert max(int((person.visibility > 0).sum()) for person in people) == n_joints
    assert all(load_image(picture).shape[1::-1] == (picture.width_px, picture.height_px) for picture in pictures)
