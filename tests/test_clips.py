"""Clip sets: what is written comes back, what is malformed is refused with its place."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graphs import LAYOUTS, find_layout
from har.clips import (
    INDEX_NAME,
    LAYOUTS_NAME,
    PX_STEP,
    SCORE_STEP,
    Clip,
    find_clip,
    read_clip_arrays,
    read_clips,
    write_clips,
)
from har.errors import ClipError

FOLDERS_PER_EXAMPLE = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def make_clip(clip_id: str = "a", *, n_frames: int = 5, **fields: Any) -> Clip:
    rng = np.random.default_rng(0)
    joints = rng.uniform(0, 400, (n_frames, 1, 17, 3)).astype(np.float32)
    joints[..., 2] = rng.uniform(0, 1, (n_frames, 1, 17))
    defaults: dict[str, Any] = {
        "id": clip_id,
        "joints": joints,
        "time_s": np.arange(n_frames) / 15,
        "rate_hz": 15.0,
        "source": "made in a test",
        "licence": "Apache-2.0",
    }
    return Clip(**(defaults | fields))


@st.composite
def clips(draw: st.DrawFn, clip_id: str) -> Clip:
    n_frames, n_persons, n_channels = draw(st.integers(1, 6)), draw(st.integers(1, 2)), draw(st.integers(2, 4))
    numbers = st.floats(-10_000, 10_000, width=32) | st.just(float("nan"))
    joints = draw(hnp.arrays(np.float32, (n_frames, n_persons, 17, n_channels), elements=numbers, fill=numbers))
    steps = draw(st.lists(st.floats(1e-3, 10), min_size=n_frames, max_size=n_frames))
    text = st.none() | st.text(min_size=1, max_size=8).filter(str.strip)
    edges = draw(st.lists(st.integers(0, 1000), max_size=6, unique=True).map(sorted))
    return make_clip(
        clip_id,
        joints=joints,
        time_s=np.cumsum(np.array(steps, dtype=np.float64)),
        label=draw(text),
        danger=draw(st.none() | st.booleans()),
        spans=tuple((float(a), float(b), "walk") for a, b in zip(edges[::2], edges[1::2], strict=False)),
        subject=draw(text),
        splits=draw(st.dictionaries(st.text(max_size=5), st.sampled_from(["train", "test"]), max_size=2)),
        rate_known=draw(st.booleans()),
        units=draw(st.sampled_from(["px", "norm", "m"])),
        width_px=draw(st.none() | st.integers(1, 4000)),
    )


ids = st.lists(st.text(min_size=1, max_size=20).filter(str.isprintable), min_size=1, max_size=3, unique=True)


@FOLDERS_PER_EXAMPLE
@given(data=st.data())
def test_a_clip_set_comes_back_as_it_was_written(data: st.DataObject, tmp_path_factory: Any) -> None:
    written = [data.draw(clips(clip_id)) for clip_id in data.draw(ids)]
    folder = tmp_path_factory.mktemp("set") / "clips"

    assert write_clips(folder, written) == len(written)
    read = read_clips(folder)

    for before, after in zip(written, read, strict=True):
        for name in Clip.__slots__:
            if name not in ("joints", "time_s"):
                assert getattr(after, name) == getattr(before, name)
        np.testing.assert_array_equal(after.time_s, before.time_s)
        step = (PX_STEP, SCORE_STEP) if before.units == "px" else (0, 0)
        np.testing.assert_allclose(after.joints[..., :2], before.joints[..., :2], rtol=0, atol=step[0] / 2)
        np.testing.assert_allclose(after.joints[..., 2:], before.joints[..., 2:], rtol=0, atol=step[1] / 2)


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")

    with pytest.raises(ClipError, match="not an empty folder"):
        write_clips(tmp_path, [make_clip()])

    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_appending_adds_new_ids_and_refuses_old_ones(tmp_path: Path) -> None:
    write_clips(tmp_path / "set", [make_clip("a")])

    assert write_clips(tmp_path / "set", [make_clip("b")], append=True) == 1
    with pytest.raises(ClipError, match="'b' comes twice"):
        write_clips(tmp_path / "set", [make_clip("c"), make_clip("b")], append=True)

    assert [clip.id for clip in read_clips(tmp_path / "set")] == ["a", "b"]
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["a.npz", "b.npz", INDEX_NAME]


def test_a_set_that_fails_halfway_leaves_nothing_behind(tmp_path: Path) -> None:
    def failing() -> Iterator[Clip]:
        yield make_clip("a")
        raise RuntimeError("the camera fell off the wall")

    with pytest.raises(RuntimeError):
        write_clips(tmp_path / "set", failing())

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"layout": "octopus8"}, "unknown layout"),
        ({"joints": np.zeros((5, 17, 3), np.float32)}, r"\(T, M, V, C\)"),
        ({"joints": np.zeros((5, 1, 16, 3), np.float32)}, "needs joints"),
        ({"joints": np.full((5, 1, 17, 3), np.inf, np.float32)}, "infinite"),
        ({"time_s": np.array([0.0, 1, 2, 2, 3])}, "rising"),
        ({"time_s": np.array([0.0, 1, 2, np.nan, 3])}, "rising"),
        ({"time_s": np.arange(4.0)}, "one time a frame"),
        ({"rate_hz": 0.0}, "rate_hz"),
        ({"rate_hz": float("nan")}, "rate_hz"),
        ({"units": "feet"}, "unknown units"),
        ({"up": "down"}, "unknown up"),
        ({"label": " "}, "label is empty"),
        ({"spans": ((2.0, 1.0, "walk"),)}, "must start before"),
        ({"spans": ((0.0, 2.0, "walk"), (1.0, 3.0, "sit"))}, "overlaps"),
        ({"width_px": 0}, "width_px"),
    ],
)
def test_a_clip_that_does_not_fit_itself_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ClipError, match=text):
        make_clip("a", **fields)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1]", "must be a JSON object"),
        (b'{"id": 3}', "must be a JSON object"),
        (b'{"id": "x\xff"}', "is not JSON"),
        ({"lable": "walk"}, "unknown key 'lable'"),
        ({"rate_hz": "15"}, "rate_hz must be a number"),
        ({"rate_hz": None}, "rate_hz must be a number"),
        ({"rate_hz": 10**400}, "too large"),
        ({"danger": 1}, "danger must be true, false or null"),
        ({"spans": [[0, 1]]}, "spans must be a list"),
        ({"splits": {"official": 1}}, "splits must be an object"),
        ({"file": "../a.npz"}, "not a plain file name"),
        ({"file": "/etc/passwd"}, "not a plain file name"),
        ({"file": "gone.npz"}, "no such file"),
        ({"units": "feet"}, "unknown units"),
        ({"id": "a"}, "was used in line 1"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path: Path, line: Any, text: str) -> None:
    write_clips(tmp_path / "set", [make_clip("a")])
    index = tmp_path / "set" / INDEX_NAME
    good = index.read_text()
    if isinstance(line, dict):
        line = json.dumps(json.loads(good) | {"id": "b"} | line).encode()
    index.write_bytes(good.encode() + b"\n" + line + b"\n")

    with pytest.raises(ClipError, match=text) as caught:
        read_clips(tmp_path / "set")

    assert f"{index}:3: " in str(caught.value)


def test_a_folder_without_an_index_is_no_clip_set(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match=INDEX_NAME):
        read_clips(tmp_path)


def test_a_missing_required_key_is_named(tmp_path: Path) -> None:
    write_clips(tmp_path / "set", [make_clip("a")])
    index = tmp_path / "set" / INDEX_NAME
    entry = json.loads(index.read_text())
    del entry["licence"]
    index.write_text(json.dumps(entry))

    with pytest.raises(ClipError, match="licence is missing"):
        read_clips(tmp_path / "set")


def test_a_clip_is_found_by_its_file(tmp_path: Path) -> None:
    write_clips(tmp_path / "set", [make_clip("a"), make_clip("hall 7/b", label="walk")])
    path = next(path for path in (tmp_path / "set").glob("hall*.npz"))

    clip = find_clip(path)

    assert clip is not None
    assert (clip.id, clip.label) == ("hall 7/b", "walk")
    assert find_clip(tmp_path / "set" / "other.npz") is None


def npy(array: Any, *, shape: str | None = None, descr: str = "'<f4'") -> bytes:
    """Make npy bytes whose header may lie."""
    stream = io.BytesIO()
    if shape is None:
        np.save(stream, array)
        return stream.getvalue()
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + np.ascontiguousarray(array).tobytes()


def npz(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


GOOD_JOINTS = npy(np.zeros((2, 1, 17, 3), np.float32))
GOOD_TIMES = npy(np.arange(2.0))
OBJECTS = io.BytesIO()
np.save(OBJECTS, np.array([{}, []], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    ("joints", "text"),
    [
        (npy(np.zeros(2, np.float32), shape="(1000000000, 1, 17, 3)"), "but has"),
        (npy(np.zeros(2, np.float32), shape="(10000000000000000000000, 10000000000, 17, 3)"), "but has"),
        (npy(np.zeros(2, np.float32), shape="(-2, -1, 17, 3)"), "plain numbers"),
        (npy(np.zeros(2, np.float32), shape="(0, 1, 17)"), "but has"),
        (npy(np.zeros(2, np.float32), shape="'ab'"), "not one of plain numbers"),
        (npy(np.zeros(2, np.float32), shape="(" * 1500), "not one of plain numbers"),
        (npy(np.zeros(2, np.float32), shape="(2,)", descr="[('a', 'O')]"), "plain numbers|of type"),
        (npy(np.zeros(2, np.float32), shape=" " * 5000 + "(2,)"), "header of"),
        (OBJECTS.getvalue(), "plain numbers|of type"),
        (npy(np.zeros((2, 1, 17, 3), np.int64)), "of type"),
        (npy(np.zeros((2, 1, 17, 3), ">f4")), "of type"),
        (GOOD_JOINTS[:-4], "but has"),
        (GOOD_JOINTS + b"more", "but has"),
        (b"", "not a readable npz"),
        (b"\x93NUMPY\x09\x00", "npy version"),
    ],
)
def test_a_member_that_lies_is_refused(tmp_path: Path, joints: bytes, text: str) -> None:
    path = npz(tmp_path / "clip.npz", joints=joints, time_s=GOOD_TIMES)

    with pytest.raises(ClipError, match=text) as caught:
        read_clip_arrays(path)

    assert str(path) in str(caught.value)


def test_a_decompression_bomb_is_refused_without_being_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    n_frames = 1_200_000
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("joints.npy", "w") as stream:
        stream.write(npy(np.zeros(0, np.float32), shape=f"({n_frames}, 1, 17, 3)"))
        for _ in range(n_frames // 10_000):
            stream.write(bytes(10_000 * 17 * 3 * 4))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("time_s.npy", npy(np.arange(float(n_frames))))

    tracemalloc.start()
    with pytest.raises(ClipError, match="bomb"):
        read_clip_arrays(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 1 << 20


def test_a_member_smaller_than_its_directory_says_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "clip.npz", joints=GOOD_JOINTS, time_s=GOOD_TIMES)
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", len(GOOD_JOINTS)), struct.pack("<I", len(GOOD_JOINTS) + 400)))

    with pytest.raises(ClipError):
        read_clip_arrays(path)


@pytest.mark.parametrize("members", [{"joints": GOOD_JOINTS}, {"time_s": GOOD_TIMES}, {"arr_0": GOOD_JOINTS}])
def test_a_missing_member_is_named(tmp_path: Path, members: dict[str, bytes]) -> None:
    with pytest.raises(ClipError, match="is missing"):
        read_clip_arrays(npz(tmp_path / "clip.npz", **members))


@FOLDERS_PER_EXAMPLE
@given(
    position=st.integers(0, 10_000),
    patch=st.binary(min_size=1, max_size=8),
    cut=st.none() | st.integers(0, 2000),
)
def test_a_damaged_file_never_raises_anything_but_a_clip_error(
    position: int, patch: bytes, cut: int | None, tmp_path: Path
) -> None:
    path = npz(tmp_path / "clip.npz", joints=GOOD_JOINTS, time_s=GOOD_TIMES)
    data = bytearray(path.read_bytes())
    position %= len(data)
    data[position : position + len(patch)] = patch
    path.write_bytes(data[:cut])

    try:
        joints, time_s = read_clip_arrays(path)
    except ClipError:
        return

    assert joints.shape == (2, 1, 17, 3)
    assert time_s.shape == (2,)


def test_one_person_without_an_axis_of_persons_is_read_too(tmp_path: Path) -> None:
    path = npz(tmp_path / "clip.npz", joints=npy(np.ones((2, 17, 3), np.float64)), time_s=GOOD_TIMES)

    joints, _ = read_clip_arrays(path)

    assert joints.shape == (2, 1, 17, 3)
    assert joints.dtype == np.float32


DOG = ("nose", "withers", "tail_base", "left_fore_paw", "right_fore_paw", "left_hind_paw", "right_hind_paw")
DOG_EDGES = ((0, 1), (1, 2), (1, 3), (1, 4), (2, 5), (2, 6))


def dog_clip(clip_id: str = "dog") -> Clip:
    name = find_layout(DOG, DOG_EDGES).layout.name
    return make_clip(clip_id, joints=np.ones((5, 1, len(DOG), 3), np.float32), layout=name)


def test_a_layout_of_its_own_travels_with_the_set(tmp_path: Path) -> None:
    dog = dog_clip()
    write_clips(tmp_path / "set", [dog])
    known = LAYOUTS.pop(dog.layout)

    (read,) = read_clips(tmp_path / "set")

    assert read.layout == dog.layout
    assert LAYOUTS[read.layout] == known


def test_a_layout_comes_along_when_clips_are_added(tmp_path: Path) -> None:
    write_clips(tmp_path / "set", [make_clip("a")])
    assert not (tmp_path / "set" / LAYOUTS_NAME).exists()

    write_clips(tmp_path / "set", [dog_clip()], append=True)
    write_clips(tmp_path / "set", [make_clip("b")], append=True)
    LAYOUTS.pop(dog_clip().layout)

    assert [clip.layout for clip in read_clips(tmp_path / "set")] == ["coco17", dog_clip().layout, "coco17"]
    found = find_clip(tmp_path / "set" / "dog.npz")
    assert found is not None
    assert found.layout == dog_clip().layout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "not in the set's layouts.json"),
        ('{"layouts": []}', "not in the set's layouts.json"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", 'a list of at most 64 "layouts"'),
        ('{"layouts": [{}]}', "object with just"),
        (" " * (5 << 20), "larger than 4 MiB"),
    ],
)
def test_a_set_whose_layout_is_missing_or_broken_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    write_clips(tmp_path / "set", [dog_clip()])
    LAYOUTS.pop(find_layout(DOG, DOG_EDGES).layout.name)
    path = tmp_path / "set" / LAYOUTS_NAME
    if text is None:
        path.unlink()
    else:
        path.write_text(text)

    with pytest.raises(ClipError, match=message):
        read_clips(tmp_path / "set")


def test_a_layout_changed_by_hand_is_refused(tmp_path: Path) -> None:
    write_clips(tmp_path / "set", [dog_clip()])
    path = tmp_path / "set" / LAYOUTS_NAME
    path.write_text(path.read_text().replace("withers", "back"))

    with pytest.raises(ClipError, match="changed by hand") as caught:
        read_clips(tmp_path / "set")

    assert str(path) in str(caught.value)
