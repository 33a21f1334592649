"""From light to a picture file's pixels: exposure, colour balance, lens blur and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter1d

from har.records import FloatArray, ImageArray

_GREY = np.array([0.30, 0.59, 0.11], dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Sensor:
    """How one camera takes a picture.

    Attributes:
        level: mean of the picture of the empty room, to which the camera sets its gain.
        balance: (3,) factor of each colour.
        grey: whether the picture has no colours.
        gamma: of the tone curve.
        contrast: about the middle grey; 1 changes nothing.
        blur_px: of the lens, standard deviation.
        smear_px: length of a blur along the rows, from movement.
        noise: standard deviation of the noise that is there in the dark.
        shot: that of the noise that grows with the root of the light.
        quality: of the JPEG file, 1 to 95.
    """

    level: float
    balance: FloatArray
    grey: bool
    gamma: float
    contrast: float
    blur_px: float
    smear_px: int
    noise: float
    shot: float
    quality: int


def random_sensor(rng: np.random.Generator, *, kind: str) -> Sensor:
    """Draw a camera for a kind of light, see `light.KINDS`."""
    dark = kind in ("dim", "infra-red")
    level = float(rng.uniform(0.10, 0.35) if dark else rng.uniform(0.25, 0.62))
    return Sensor(
        level=level,
        balance=rng.normal(1.0, 0.06, 3).astype(np.float32),
        grey=bool(kind == "infra-red" or rng.random() < 0.05),
        gamma=float(rng.uniform(0.75, 1.25)),
        contrast=float(rng.uniform(0.8, 1.2)),
        blur_px=float(rng.choice((0.0, rng.uniform(0.3, 0.9), rng.uniform(0.6, 1.4)), p=(0.4, 0.45, 0.15))),
        smear_px=int(rng.integers(2, 5)) if rng.random() < 0.06 else 0,
        noise=level * float(rng.uniform(0.03, 0.16) if dark else rng.uniform(0.005, 0.03)),
        shot=float(rng.uniform(0.01, 0.04) if dark else rng.uniform(0.0, 0.02)),
        quality=int(rng.integers(45, 96)),
    )


def expose(light: FloatArray, sensor: Sensor, rng: np.random.Generator, *, mean: float) -> ImageArray:
    """Take a picture.

    Args:
        light: (H, W, 3) RGB, 0 for black, without a limit above.
        sensor: of the camera.
        mean: of the light of the empty room, which sets the gain.
        rng: source of the noise.

    Returns:
        (H, W, 3) uint8.
    """
    picture = light * (np.float32(sensor.level / max(mean, 1e-3)) * sensor.balance)
    if sensor.blur_px > 0:
        picture = gaussian_filter(picture, (sensor.blur_px, sensor.blur_px, 0), truncate=2.5)
    if sensor.smear_px > 0:
        picture = uniform_filter1d(picture, sensor.smear_px, axis=1)
    if sensor.grey:
        picture = np.repeat((picture @ _GREY)[..., None], 3, axis=2)
    channels = 1 if sensor.grey else 3
    spread = sensor.noise + sensor.shot * np.sqrt(np.maximum(picture[..., :channels], 0))
    picture = picture + spread * rng.standard_normal(spread.shape, dtype=np.float32)
    picture = np.clip(picture, 0, 1) ** np.float32(sensor.gamma)
    picture = 0.5 + np.float32(sensor.contrast) * (picture - 0.5)
    return np.asarray(np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8))
