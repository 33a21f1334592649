"""A bundle carries the layout that its data set brought along, and is refused if that layout lies."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphs import LAYOUTS, find_layout
from har.errors import BundleError
from har.models.bundle import load_bundle, save_bundle
from har.models.stgcn import STGCN, STGCNConfig

DOG = ("nose", "withers", "tail_base", "left_fore_paw", "right_fore_paw", "left_hind_paw", "right_hind_paw")
DOG_EDGES = ((0, 1), (1, 2), (1, 3), (1, 4), (2, 5), (2, 6))


def save_dog(path: Path) -> str:
    name = find_layout(DOG, DOG_EDGES).layout.name
    torch.manual_seed(0)
    model = STGCN(STGCNConfig(n_classes=2, layout=name, channels=(4,) * 9))
    save_bundle(
        path, name="dog-1", version="1", model=model, labels=("sit", "run"), rate_hz=15.0,
        golden_windows=np.random.default_rng(0).normal(size=(2, 12, 7, 3)).astype(np.float32), norm={}, metrics={},
        card="# Dog\n", data_digest="d", created=datetime(2026, 11, 21, tzinfo=UTC),
    )  # fmt: skip
    return name


def change_skeleton(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    skeleton = json.loads((path / "skeleton.json").read_bytes())
    change(skeleton)
    blob = json.dumps(skeleton).encode()
    (path / "skeleton.json").write_bytes(blob)
    manifest = json.loads((path / "manifest.json").read_bytes())
    manifest["files"]["skeleton.json"] = {"sha256": hashlib.sha256(blob).hexdigest(), "size": len(blob)}
    (path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.slow
def test_a_fresh_process_learns_the_layout_from_the_bundle(tmp_path: Path) -> None:
    name = save_dog(tmp_path / "dog")
    code = (
        "from graphs import LAYOUTS; from har.models.bundle import load_bundle; "
        f"assert {name!r} not in LAYOUTS; b = load_bundle({str(tmp_path / 'dog')!r}); "
        "print(b.config.layout, LAYOUTS[b.config.layout].joints[0])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == [name, "nose"]


def test_a_bundle_of_a_common_layout_does_not_describe_it(bundle: Path) -> None:
    assert "own_layout" not in json.loads((bundle / "skeleton.json").read_bytes())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda s: s["own_layout"]["joints"].__setitem__(0, "tail"), "changed by hand"),
        (lambda s: s["own_layout"]["joints"].__setitem__(0, "withers"), "comes twice"),
        (lambda s: s["own_layout"]["bones"].pop(), "exactly one bone"),
        (lambda s: s["own_layout"].update(centre=[99]), "must lie in"),
        (lambda s: s["own_layout"].update(joints=["x"] * 100_000), "3 to 256"),
        (lambda s: s.update(own_layout=[1]), "own_layout"),
        (lambda s: s.update(own_layout={}), "object with just"),
        (lambda s: s.pop("own_layout"), "layout"),
    ],
)
def test_a_bundle_whose_layout_lies_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], text: str
) -> None:
    name = save_dog(tmp_path / "dog")
    LAYOUTS.pop(name)
    change_skeleton(tmp_path / "dog", change)

    with pytest.raises(BundleError, match=text) as caught:
        load_bundle(tmp_path / "dog")

    assert "\n" not in str(caught.value)
    assert name not in LAYOUTS
