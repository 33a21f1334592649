"""What may compute the action stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import har.models.engines as engines
from har.errors import ConfigError
from har.models.bundle import Bundle, load_bundle
from har.models.engines import ENGINES, TORCH, TORCH_BF16, open_engine
from har.models.folded import FoldedModel
from har.models.shipped import find_bundle
from har.windows import normalise
from tests.builders import falling_body


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(find_bundle())


def test_an_unknown_engine_is_refused_with_those_there_are(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=", ".join(ENGINES)):
        open_engine("tensorrt", bundle, folder=tmp_path)


def test_half_the_width_is_refused_where_it_would_be_imitated(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "computes_bf16", lambda: False)

    with pytest.raises(ConfigError, match=r"does not compute in bf16.*Use torch"):
        open_engine(TORCH_BF16, bundle, folder=tmp_path)


def test_half_the_width_remembers_half_as_much_and_names_the_same(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "computes_bf16", lambda: True)  # a processor that imitates it is slow, not wrong
    whole, half = (open_engine(name, bundle, folder=tmp_path)() for name in (TORCH, TORCH_BF16))
    body = falling_body(fall_s=3.0)
    joints = np.stack([np.concatenate([body(number / 15), np.ones((17, 1))], axis=1) for number in range(90)])
    frames = torch.from_numpy(normalise(joints.astype(np.float32)))
    for model in (whole, half):
        model.enter("a")

    answers = [(whole.step(["a"], frame[None])[1], half.step(["a"], frame[None])[1]) for frame in frames]

    wanted, given = (torch.cat(each) for each in zip(*answers, strict=True))
    assert len(wanted) > 15
    assert half.state_bytes < 0.6 * whole.state_bytes
    torch.testing.assert_close(torch.softmax(given, 1), torch.softmax(wanted, 1), atol=0.05, rtol=0)
    assert not torch.equal(given, wanted)


def test_whole_windows_in_half_the_width_are_nearly_the_same(bundle: Bundle) -> None:
    windows = torch.randn(4, bundle.window_frames, 17, 3, generator=torch.Generator().manual_seed(0))

    half, whole = FoldedModel(bundle.model, dtype=torch.bfloat16)(windows), FoldedModel(bundle.model)(windows)

    assert half.dtype == torch.float32
    assert 0 < float((half - whole).abs().max()) < 0.2
