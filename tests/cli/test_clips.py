"""`har clips show`: what a set holds, in words, as JSON and as a picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from har.cli import main as cli
from har.cli.clips import summarise
from har.cli.preview import CAPTION_PX, CELL_PX, N_FRAMES, draw_clips
from har.clips import Clip, write_clips
from har.errors import ConfigError


def walking(name: str, *, label: str | None = "walk", subject: str = "a", up: str = "-y") -> Clip:
    n_frames = 30
    rng = np.random.default_rng(7)
    joints = rng.uniform(0, 200, size=(n_frames, 1, 17, 3)).astype(np.float32)
    joints[..., 2] = 1.0
    return Clip(
        id=name,
        joints=joints,
        time_s=np.arange(n_frames) / 15.0,
        label=label,
        danger=False,
        spans=() if label else ((0.0, 1.0, "walk"), (1.0, 1.9, "sit"), (1.9, 1.92, "walk")),
        subject=subject,
        splits={"official": "train"},
        rate_hz=15.0,
        rate_known=True,
        units="px",
        up=up,
        source="made in a test",
        licence="Apache-2.0",
    )


def test_a_set_is_counted_by_label_subject_and_split() -> None:
    summary = summarise([walking("a"), walking("b", subject="b"), walking("c", label=None)])

    assert summary["n"] == 3
    assert summary["n_untrimmed"] == 1
    assert summary["labels"] == {"walk": 3, "sit": 1}
    assert summary["subjects"] == {"a": 2, "b": 1}
    assert summary["splits"] == {"official": {"train": 3}}
    assert summary["rates_hz"] == {"15": 3}


def test_show_prints_for_people_and_writes_json_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clips(tmp_path / "set", [walking("a"), walking("b", label=None)])

    text_code = cli.main(["clips", "show", str(tmp_path / "set"), "--preview", str(tmp_path / "set.png")])
    text = capsys.readouterr().out
    json_code = cli.main(["clips", "show", str(tmp_path / "set"), "--json", "-"])
    told = json.loads(capsys.readouterr().out)

    assert (text_code, json_code) == (0, 0)
    assert "2 clips" in text
    assert "walk 2, sit 1" in text
    assert "official (train 2)" in text
    assert told["labels"] == {"walk": 2, "sit": 1}
    with Image.open(tmp_path / "set.png") as picture:
        assert picture.size == (N_FRAMES * CELL_PX, 2 * (CELL_PX + CAPTION_PX))
        assert len(picture.getcolors(maxcolors=1 << 16) or []) >= 4


def test_a_clip_whose_up_is_plus_y_is_drawn_the_other_way_round(tmp_path: Path) -> None:
    for name, up in (("down", "-y"), ("up", "+y")):
        draw_clips([walking("same name", up=up)], file=tmp_path / f"{name}.png")

    down, up = (np.asarray(Image.open(tmp_path / f"{name}.png"))[CAPTION_PX:] for name in ("down", "up"))
    painted = [(picture != picture[0, 0]).any(axis=2) for picture in (down, up[::-1])]
    overlap = (painted[0] & painted[1]).sum() / (painted[0] | painted[1]).sum()
    assert overlap > 0.5
    assert not np.array_equal(down, up)


def test_a_picture_of_nothing_or_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="empty"):
        draw_clips([], file=tmp_path / "a.png")
    with pytest.raises(ConfigError, match="cannot be written"):
        draw_clips([walking("a")], file=tmp_path / "no folder" / "a.png")
