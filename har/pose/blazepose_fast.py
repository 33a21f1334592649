"""BlazePose with a tracking of our own: the detector looks now and then, the landmark network at every frame.

A person's landmarks in one frame say where to look for them in the next. MediaPipe, asked for two people, runs its
detector on every frame as long as it sees fewer, and then shows the landmark network the detector's rougher region.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from graphs import map_joints
from har.errors import PoseError
from har.pose.blazepose import DETECTION_THRESHOLD, PRESENCE_THRESHOLD
from har.pose.blazepose_networks import Body, open_networks
from har.pose.regions import Region
from har.pose.weights import blazepose_path
from har.records import Frame, Pose

LOOK_EVERY_S = 0.3
"""How often the detector looks for somebody new while somebody is in view."""
LOOK_EMPTY_S = 0.15
"""How often it looks into a room in which nobody was for a while."""
SEARCH_S = 2.0
SEARCH_EVERY_S = 0.1
"""How long and how often it looks for somebody who was lost."""
NEW_PRESENCE = 0.8
"""A newcomer of whom the landmark network is less sure is taken for furniture. When first seen, people of UP-Fall and
GMDCSA24 had 0.87 to 1.00, the foot of a table 0.3 to 0.7; whoever is found again where they were lost needs less."""
SURE = 0.5
"""A tracked person of whom the landmark network is less sure is looked for where the detector found them, too; and
whoever was lost must be seen as surely to be found again (somebody who walked out was found again in their feet)."""
# Hips nearer to one another than this share of a region's side are of one person; it is about 0.3 m.
_SAME_PERSON = 0.15
_FOUND_AGAIN = 0.4
# The detector may see furniture before it sees a second person.
_MORE = 3
_CLOCK_ERROR_S = 1e-6


class FastBlazePose:
    """Everybody's joints in one camera's frames, in order of time.

    Args:
        weights: a `.task` file; None for the pulled one.
        max_people: most people looked for.
        every_frame: let the detector look at every frame, to compare with.

    Raises:
        ConfigError: OpenVINO is not installed.
        WeightsError: no such weights, or they cannot be used.
    """

    def __init__(self, weights: Path | None = None, *, max_people: int = 2, every_frame: bool = False) -> None:
        self._networks = open_networks(blazepose_path() if weights is None else weights)
        self._max_people, self._every_frame = max_people, every_frame
        self._regions: list[Region] = []
        self._lost: list[Region] = []  # where people were lost of late
        self._looked_s = self._lost_s = float("-inf")
        self._last_s = float("-inf")

    def estimate(self, frame: Frame) -> tuple[Pose, ...]:
        """Find everybody's joints.

        Args:
            frame: the next picture of the same camera.

        Returns:
            COCO-17 poses in pixels; the score is BlazePose's visibility.

        Raises:
            PoseError: a network failed on this picture.
        """
        try:
            return self._estimate(frame)
        except RuntimeError as error:
            raise PoseError(f"BlazePose failed on a frame of camera {frame.camera}: {error}") from error

    def _estimate(self, frame: Frame) -> tuple[Pose, ...]:
        if frame.time_s < self._last_s:  # a clock was set back
            self._looked_s = self._lost_s = float("-inf")
        self._last_s = frame.time_s
        looks = len(self._regions) < self._max_people and self._is_due(frame.time_s)
        if not looks and not self._regions:
            return ()
        image = Image.fromarray(frame.image)
        found = list[Region]()
        if looks:
            self._looked_s = frame.time_s
            found = self._networks.detect(image, threshold=DETECTION_THRESHOLD, most=self._max_people + _MORE)
        bodies = list[Body]()
        if frame.time_s - self._lost_s > SEARCH_S:
            self._lost = []
        for tracked in self._regions:
            again = [region for region in found if _is_known(region, [tracked])]
            found = [region for region in found if region not in again]
            body = self._surest(image, [tracked, *again])
            if body is None or not _add(body, bodies):
                self._lost_s = frame.time_s
                self._lost = [*self._lost, tracked][-2 * self._max_people :]
        for region in found:
            if len(bodies) == self._max_people:
                break
            body = self._surest(image, [region])
            was_lost = any(region.is_near(lost, share=_FOUND_AGAIN) for lost in self._lost)
            if body is not None and body.presence >= (SURE if was_lost else NEW_PRESENCE):
                _add(body, bodies)
        self._regions = [body.region for body in bodies]
        return tuple(_to_pose(body) for body in bodies)

    def _surest(self, image: Image.Image, regions: list[Region]) -> Body | None:
        """Give a body that the network is sure of in regions that show the same person, the first if it will do."""
        best: Body | None = None
        for region in regions:
            body = self._networks.locate(image, region)
            if best is None or body.presence > best.presence:
                best = body
            if best.presence >= SURE:
                break
        return best if best is not None and best.presence >= PRESENCE_THRESHOLD else None

    def close(self) -> None:
        """Nothing has to be given back."""

    def _is_due(self, now_s: float) -> bool:
        """Say whether the detector should look at this frame."""
        every_s = LOOK_EVERY_S if self._regions else LOOK_EMPTY_S
        if now_s - self._lost_s <= SEARCH_S:
            every_s = SEARCH_EVERY_S
        return self._every_frame or now_s - self._looked_s >= every_s - _CLOCK_ERROR_S


def _is_known(region: Region, known: list[Region]) -> bool:
    return any(region.is_near(other, share=_SAME_PERSON) for other in known)


def _add(body: Body, bodies: list[Body]) -> bool:
    """Add a body; if that person is there already, it gives way to the surer one. Says whether it is one more."""
    for index, other in enumerate(bodies):
        if body.region.is_near(other.region, share=_SAME_PERSON):
            bodies[index] = max(other, body, key=lambda each: each.presence)
            return False
    bodies.append(body)
    return True


def _to_pose(body: Body) -> Pose:
    landmarks = np.concatenate([body.xy, body.visibility[:, None]], axis=1)
    joints = map_joints(landmarks, "blazepose33", "coco17").astype(np.float32, copy=False)
    return Pose(xy=joints[:, :2].copy(), score=np.clip(joints[:, 2], 0.0, 1.0))
