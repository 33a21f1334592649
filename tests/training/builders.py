"""Small moving people made of a few numbers, to learn from in tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from har.clips import Clip

STANDING = np.array(
    [
        *[(0.00, -1.62), (0.03, -1.66), (-0.03, -1.66), (0.07, -1.64), (-0.07, -1.64)],
        *[(0.20, -1.42), (-0.20, -1.42), (0.25, -1.14), (-0.25, -1.14), (0.27, -0.88), (-0.27, -0.88)],
        *[(0.12, -0.92), (-0.12, -0.92), (0.12, -0.50), (-0.12, -0.50), (0.12, -0.08), (-0.12, -0.08)],
    ],
    dtype=np.float32,
)  # metres from the feet, y down
ARMS, UPPER = [7, 8, 9, 10], list(range(13))


def moving_clip(clip_id: str, label: str, *, seed: int = 0, n_frames: int = 40, **fields: Any) -> Clip:
    """Make a clip of somebody who waves, sits down, walks or just stands, each a little differently."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(n_frames) / 15
    body = np.repeat(STANDING[None] * rng.uniform(0.9, 1.1), n_frames, axis=0)
    done = np.linspace(0, 1, n_frames)[:, None]
    if label == "wave":
        body[:, ARMS, 1] -= 0.4 + 0.3 * np.sin(2 * np.pi * 1.5 * time_s + rng.uniform(0, 6))[:, None]
    elif label == "sit down":
        body[:, UPPER, 1] += 0.45 * np.clip((done - 0.3) * 3, 0, 1)
    elif label == "walk":
        body[..., 0] += rng.choice([-1, 1]) * 1.2 * time_s[:, None]
    pixels = body * rng.uniform(80, 140) + np.float32([320, 420])
    joints = np.ones((n_frames, 1, 17, 3), dtype=np.float32)
    joints[:, 0, :, :2] = pixels + rng.normal(0, 4, pixels.shape)
    known: dict[str, Any] = {"label": label, "rate_known": True, "licence": "Apache-2.0", "source": "made in a test"}
    return Clip(id=clip_id, joints=joints, time_s=time_s, rate_hz=15.0, **(known | fields))


def clip_set(
    *, n_subjects: int = 4, n_each: int = 1, labels: tuple[str, ...] = ("stand", "wave", "walk")
) -> list[Clip]:
    """Make clips of every label by every subject."""
    return [
        moving_clip(
            f"s{subject}-{label}-{take}", label, seed=100 * subject + 10 * take + number, subject=f"S{subject:02}"
        )
        for subject in range(1, n_subjects + 1)
        for number, label in enumerate(labels)
        for take in range(n_each)
    ]
