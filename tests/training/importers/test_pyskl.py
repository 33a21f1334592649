"""Pickles of pyskl and mmaction2, written as their documents describe; and pickles that mean harm.

Described in pyskl's data/README: split, annotations with frame_dir, label, img_shape, total_frames, keypoint
[M x T x V x C] and keypoint_score [M x T x V].
"""

from __future__ import annotations

import os
import pickle
import struct
import tracemalloc
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from har.errors import ClipError
from har.training.importers.unpickling import read_pickle
from tests.training.importers.builders import imported, in_pixels, moving_body


def annotation(name: str = "S001C002P003R002A007", **changes: Any) -> dict[str, Any]:
    joints = in_pixels(moving_body("coco17", n_people=2))
    fields: dict[str, Any] = {
        "frame_dir": name, "label": 1, "img_shape": (480, 640), "original_shape": (480, 640), "total_frames": 6,
        "keypoint": joints[..., :2].transpose(1, 0, 2, 3), "keypoint_score": joints[..., 2].transpose(1, 0, 2),
    }  # fmt: skip
    return {key: value for key, value in (fields | changes).items() if value is not None}


def dumped(path: Path, content: Any, *, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_a_set_comes_in_as_it_was_written(tmp_path: Path, protocol: int) -> None:
    content = {
        "split": {"xsub_train": ["a"], "xsub_val": ["S001C002P003R002A007"], "test1": ["a"], "train": ["a"]},
        "annotations": [annotation(), annotation("a", label=np.int64(0))],
    }
    (tmp_path / "names.txt").write_text("walk\nfall down\n")

    clips, _ = imported(
        "pyskl", dumped(tmp_path / "set.pkl", content, protocol=protocol), tmp_path / "clips",
        labels=tmp_path / "names.txt", rate_hz=25.0,
    )  # fmt: skip

    want = in_pixels(moving_body("coco17", n_people=2))
    np.testing.assert_allclose(clips[0].joints, want, atol=1 / 32)
    assert [clip.label for clip in clips] == ["fall down", "walk"]
    assert [clip.danger for clip in clips] == [True, False]
    assert [clip.subject for clip in clips] == ["P003", None]
    assert clips[0].view == "C002"
    assert [dict(clip.splits) for clip in clips] == [
        {"xsub": "test"}, {"xsub": "train", "split1": "test", "official": "train"},
    ]  # fmt: skip
    first = clips[0]
    assert (first.layout, first.units, first.up) == ("coco17", "px", "-y")
    assert (first.width_px, first.height_px, first.rate_hz, first.rate_known) == (640, 480, 25.0, True)


def test_a_bare_list_of_3d_skeletons_is_a_set_too(tmp_path: Path) -> None:
    joints = moving_body("ntu25")
    joints[2] = 0
    content = [annotation("a", keypoint=joints.transpose(1, 0, 2, 3).astype(np.float16), keypoint_score=None)]

    clips, ledger = imported("pyskl", dumped(tmp_path / "set.pkl", content), tmp_path / "clips")

    assert (clips[0].layout, clips[0].units, clips[0].up, clips[0].label) == ("ntu25", "m", "+y", "1")
    assert np.isnan(clips[0].joints[2]).all()
    np.testing.assert_allclose(clips[0].joints[3], joints[3], rtol=2e-3)
    assert ledger.n_with_gaps == 1


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"split": {}}, "no list of annotations"),
        ("text", "no list of annotations"),
        ([1], "no list of annotations"),
        ([], "has no annotation"),
        ([annotation(keypoint=None)], r"annotation 0 \(S001.*keypoint must be an array.*NoneType"),
        ([annotation(keypoint=[[1.0]])], "keypoint must be an array with 4 axes"),
        ([annotation(keypoint=np.zeros((6, 17, 2)))], r"it is \(6, 17, 2\)"),
        ([annotation(keypoint=np.ones((1, 6, 16, 2)), keypoint_score=None)], "unknown layout 'of 16 joints'"),
        ([annotation(), annotation("b", keypoint=np.ones((1, 6, 18, 2)), keypoint_score=None)], "clip 'b'"),
        ([annotation(keypoint_score=np.ones((2, 5, 17)))], "keypoint_score is"),
        ([annotation(label=[1])], "label must be a number or text"),
        ([annotation(), annotation()], "comes twice"),
        ({"split": ["a"], "annotations": [annotation()]}, "split must be a dict of lists"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(tmp_path: Path, content: Any, text: str) -> None:
    path = dumped(tmp_path / "set.pkl", content)

    with pytest.raises(ClipError, match=text) as caught:
        imported("pyskl", path, tmp_path / "clips")

    assert "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["set.pkl"]


def test_what_numpy_writes_is_read_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    content = OrderedDict(
        half=rng.normal(size=(2, 3)).astype(np.float16),
        fortran=np.asfortranarray(rng.normal(size=(3, 4))),
        big=np.arange(4, dtype=">i4"),
        none=np.zeros((0, 5)),
        words=np.array(["a", "bc"]),
        scalar=np.float32(2.5),
        flag=np.bool_(True),
        plain=(1, -(2**70), 2.5, None, True, "text", b"", b"\xff\0", [()], {"k": {1: 2}}),
    )
    for protocol in range(6):
        found = read_pickle(dumped(tmp_path / "set.pkl", content, protocol=protocol))

        assert list(found) == list(content)
        assert found["plain"] == content["plain"]
        for name in ("half", "fortran", "big", "none", "words"):
            np.testing.assert_array_equal(found[name], content[name])
        assert (found["scalar"], found["flag"]) == (2.5, True)


def old_numpy(array: np.ndarray[Any, Any]) -> bytes:
    """Pickle an array as numpy 1.x did, whose functions had another module."""
    return pickle.dumps(array, protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def test_arrays_of_older_numpy_are_read(tmp_path: Path) -> None:
    (tmp_path / "old.pkl").write_bytes(old_numpy(np.arange(6.0).reshape(2, 3)))

    np.testing.assert_array_equal(read_pickle(tmp_path / "old.pkl"), np.arange(6.0).reshape(2, 3))


class Runs:
    """Becomes a call when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


GETATTR = b"cbuiltins\ngetattr\n(cos\nS'system'\ntR(S'touch pwned'\ntR."
NESTED_NAME = b"\x80\x04\x8c\x05numpy\x8c\x0dlib.os.system\x93\x8c\x0btouch pwned\x85R."
EXTENSION = b"\x80\x02\x82\x01."
PERSISTENT = b"Pevil\n."
INSTANCE = b"(S'touch pwned'\nios\nsystem\n."
NEW_OBJECT = b"\x80\x02cos\nsystem\n(tx\x81."
CALL_A_LIST = b"\x80\x02](tR."
BUILD_A_DICT = b"\x80\x02}}b."
RECONSTRUCT_OTHER = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85U\x01b\x87R."


@pytest.mark.parametrize(
    ("blob", "text"),
    [
        (pickle.dumps(Runs(os.system, "touch pwned")), r"asks for (posix|nt)\.system"),
        (pickle.dumps({"annotations": [{"keypoint": Runs(eval, "1")}]}), r"asks for builtins\.eval"),
        (GETATTR, r"asks for builtins\.getattr"),
        (NESTED_NAME, r"asks for numpy\.lib\.os\.system"),
        (EXTENSION, "EXT1"),
        (PERSISTENT, "PERSID"),
        (INSTANCE, "INST"),
        (NEW_OBJECT, r"asks for os\.system"),
        (CALL_A_LIST, "calls something that is no name"),
        (BUILD_A_DICT, "no array"),
        (RECONSTRUCT_OTHER, "uses _reconstruct in a way"),
        (pickle.dumps(np.array([{}, []], dtype=object)), "never of Python objects"),
        (pickle.dumps(np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")])), "holds an array of type .V"),
        (pickle.dumps(np.dtype("f4")), "class or type as a value"),
        (pickle.dumps(Path("x")), r"asks for pathlib"),
        (pickle.dumps({1, 2}), "EMPTY_SET"),
        (pickle.dumps({(1, 2): 3}), "a dict has a tuple for a key"),
    ],
)
def test_whatever_is_not_plain_data_is_refused_by_name_and_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blob: bytes, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set.pkl").write_bytes(blob)

    with pytest.raises(ClipError, match=text) as caught:
        read_pickle(tmp_path / "set.pkl")

    assert str(caught.value).startswith(f"{tmp_path / 'set.pkl'}: ")
    assert not (tmp_path / "pwned").exists()


def laughs() -> bytes:
    """Nest a tuple of ten tuples of ten tuples, thirty deep, in a few hundred bytes."""
    return b"\x80\x02)q\x00" + b"".join(b"0(" + b"h" + bytes([i]) * 1 + (b"h" + bytes([i])) * 9 + b"tq" + bytes([i + 1])
                                        for i in range(30)) + b"."  # fmt: skip


BOMBS = {
    "a length of a terabyte": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.",
    "text of a terabyte": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b"x.",
    "a memo at two billion": b"\x80\x02]r" + struct.pack("<I", 0xFFFFFFF0) + b"h\x01.",
    "a shape beyond its bytes": pickle.dumps(np.zeros(2), protocol=2).replace(b"K\x02\x85", b"J\xff\xff\xff\x7f\x85"),
    "a list in a list, five thousand deep": b"(" * 5_000 + b"l" * 4_999 + b".",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_memory_bomb_does_not_go_off(tmp_path: Path, name: str) -> None:
    (tmp_path / "set.pkl").write_bytes(BOMBS[name])

    tracemalloc.start()
    with pytest.raises(ClipError):
        imported("pyskl", tmp_path / "set.pkl", tmp_path / "clips")
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak_bytes < 64 << 20


def test_a_billion_laughs_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "set.pkl").write_bytes(laughs())

    with pytest.raises(ClipError, match="no list of annotations"):
        imported("pyskl", tmp_path / "set.pkl", tmp_path / "clips")


@pytest.mark.parametrize("blob", [b"", b"junk", b"\x80\x04", bytes(range(256)), b".", b"\x80\x04N", b"0.", b"]e."])
def test_what_is_no_pickle_is_refused(tmp_path: Path, blob: bytes) -> None:
    (tmp_path / "set.pkl").write_bytes(blob)

    with pytest.raises(ClipError, match=r"set\.pkl"):
        read_pickle(tmp_path / "set.pkl")


WHOLE = pickle.dumps({"annotations": [annotation()]}, protocol=4)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    position=st.integers(0, len(WHOLE) - 1),
    patch=st.binary(min_size=1, max_size=4),
    cut=st.none() | st.integers(0, len(WHOLE)),
)
def test_a_damaged_pickle_never_raises_anything_but_a_clip_error(
    position: int, patch: bytes, cut: int | None, tmp_path: Path
) -> None:
    data = bytearray(WHOLE)
    data[position : position + len(patch)] = patch
    (tmp_path / "set.pkl").write_bytes(data[:cut])

    try:
        read_pickle(tmp_path / "set.pkl")
    except ClipError:
        return
