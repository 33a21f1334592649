"""Long simulated recordings as an estimator would give them, frame by frame, with the truth beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from har.records import FloatArray, Pose, PoseFrame
from har.synth.body import Array

Polygon: TypeAlias = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class FallTruth:
    """One fall, on the recording's clock.

    Attributes:
        start_s: balance is lost.
        ground_s: the body is down.
        end_s: the person is off the floor again, or the recording ends.
        kind: one of `kinds.FALLS`.
        person: which of the people in the recording falls.
    """

    start_s: float
    ground_s: float
    end_s: float
    kind: str
    person: int = 0


@dataclass(frozen=True, slots=True)
class Episode:
    """What somebody did from when to when: one of `kinds.NEGATIVES`, "daily" or a kind of fall."""

    start_s: float
    end_s: float
    kind: str
    person: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Recording:
    """One camera's poses over a while, with the truth.

    Attributes:
        id: unique for its function and seed.
        kind: "life", or the kind of fall of a scene.
        joints: (T, M, 17, 3) float32: x, y in pixels and score; NaN and 0 where somebody has no pose.
        time_s: (T,) capture times from 0.
        rate_hz: frames per second.
        width_px: of the picture.
        height_px: of the picture.
        falls: in order of time; none in "life".
        episodes: what was done when, in order of start.
        rest_zones: polygons in fractions of the picture over beds and sofas, as in a camera's settings.
        camera_height_m: of the camera over the floor; 0 where not told.
    """

    id: str
    kind: str
    joints: FloatArray
    time_s: Array
    rate_hz: float
    width_px: int
    height_px: int
    falls: tuple[FallTruth, ...] = ()
    episodes: tuple[Episode, ...] = ()
    rest_zones: tuple[Polygon, ...] = ()
    camera_height_m: float = 0.0

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the last."""
        return float(self.time_s[-1] - self.time_s[0])

    def frames(self, *, camera: str = "sim", start_s: float = 0.0) -> Iterator[PoseFrame]:
        """Give the frames as a camera's process would.

        Args:
            camera: the camera's name.
            start_s: capture time of the recording's zero, Unix seconds.

        Yields:
            One a capture time; people without a pose in it are left out, also ghosts are among the poses.
        """
        seen = ~np.isnan(self.joints[:, :, 0, 0])
        for frame, time_s in enumerate(self.time_s.tolist()):
            poses = tuple(
                Pose(xy=self.joints[frame, m, :, :2], score=self.joints[frame, m, :, 2])
                for m in np.flatnonzero(seen[frame])
            )
            yield PoseFrame(camera, start_s + time_s, time_s, self.width_px, self.height_px, poses)
