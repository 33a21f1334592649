"""BlazePose with a tracking of our own: the detector looks now and then, the landmark network at every frame.

A person's landmarks in one frame say where to look for them in the next, one call for each person. MediaPipe, asked for
several people, finds one of three; asked for two, it runs its detector on every frame as long as it sees fewer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from graphs import map_joints
from graphs.layouts import COCO17
from har.errors import PoseError
from har.likeness import oks, seen_joints
from har.pose.backdrop import Backdrop
from har.pose.blazepose_networks import Body, open_networks
from har.pose.glances import Glances, round_box, tiles, whole
from har.pose.mediapipe_pose import DETECTION_THRESHOLD, PRESENCE_THRESHOLD
from har.pose.regions import Region
from har.pose.weights import blazepose_path
from har.records import FloatArray, Frame, Pose

LOOK_EVERY_S = 0.3
"""How often the detector looks for somebody new while somebody is in view."""
LOOK_EMPTY_S = 0.15
"""How often it looks into a room in which nobody was for a while."""
SEARCH_S = 2.0
SEARCH_EVERY_S = 0.1
"""How long and how often it looks for somebody who was lost."""
NEW_PRESENCE = 0.8
"""A newcomer of whom the landmark network is less sure is taken for furniture; whoever is found again where they were
lost needs less."""
TRIAL_FRAMES, TRIAL_PRESENCE, TRIAL_UNREST = 4, 0.9, 0.02
"""A newcomer counts after so many frames in which the network was so sure on average, and either something moved there
or the landmarks kept still, by at most this share of the region's side from frame to frame. People who sat or stood
still moved by 0.003 to 0.021; what was seen in a table foot, a letter on a wall, a curtain and the leg of a bed by 0.02
to 0.2, and less surely (corridor clip, UP-Fall, GMDCSA24)."""
SMALLEST = 0.2
"""A newcomer whose joints take up less of the picture's height, whichever way they lie, is furniture: posts, letters
and a table foot took 0.08 to 0.21 (UP-Fall, corridor clip), and `har.track` takes nobody smaller either."""
PART = 0.8
"""Whoever appears with a larger share of their landmarks in somebody else's box is a part of that body: a second pose
was seen in the trousers of somebody who walked, and raised an alert. Who comes up to others is known before."""
UPON, LIMB = 0.7, 0.1
"""Likewise with a larger share of their joints upon somebody else's limbs; a limb reaches so far, in sides of the
smaller region: 0.2 m. Second poses on one body in GMDCSA24 lay upside down or lengthways: the shares were 0.8 to 1
where their likeness (OKS) was 0 to 0.3. The two people of UP-Fall had 0."""
FEWEST_MOVING, MOVING_SHARE = 3, 0.02
"""Cells of the backdrop, and their share of the body's box, that must move for somebody to be there. What moves near
somebody else's limbs is theirs; in the box of a restless ghost of 1,300 cells four moved."""
SURE = 0.5
"""A tracked person of whom the landmark network is less sure is looked for where the detector found them, too; and
whoever was lost must be seen as surely to be found again (somebody who walked out was found again in their feet)."""
# Hips nearer to one another than this share of a region's side are of one person; it is about 0.3 m.
_SAME_PERSON = 0.15
_SAME_POSE = 0.5
_FOUND_AGAIN = 0.4
# The detector may see furniture before it sees a second person.
_MORE = 3
_CLOCK_ERROR_S = 1e-6
_TURNS = (0.0, math.pi / 2, -math.pi / 2)
_SMALL_SHARE = 0.4
_LIMBS = np.array(COCO17.edges)
_RETRIES = ((1.0, 0.0), (1.25, 0.0), (1.0, math.pi / 2), (1.0, -math.pi / 2))


@dataclass(frozen=True, slots=True, eq=False)
class _Person:
    """Somebody in view, or lost of late.

    Attributes:
        body: as they were last seen.
        moved: how far the hips went since the frame before, in shares of the region's side.
        trial: of a newcomer, for each frame how sure the network was and how far the landmarks went, in such shares;
            None of whoever is taken for a person.
        counts: is told of: no newcomer any more, or there in the first picture.
        lost_s: when they were lost; infinite while they are in view.
    """

    body: Body
    moved: float = 0.0
    trial: tuple[tuple[float, float], ...] | None = None
    counts: bool = True
    lost_s: float = math.inf

    @property
    def region(self) -> Region:
        """Where to look for them."""
        return self.body.region


class BlazePose:
    """Everybody's joints in one camera's frames, in order of time.

    Args:
        weights: a `.task` file; None for the pulled one.
        max_people: most people looked for.
        every_frame: let the detector look at every frame, to compare with.

    Raises:
        WeightsError: no such weights, or they cannot be used.
    """

    def __init__(self, weights: Path | None = None, *, max_people: int = 4, every_frame: bool = False) -> None:
        self._networks = open_networks(blazepose_path() if weights is None else weights)
        self._max_people, self._every_frame = max_people, every_frame
        self._shape: tuple[int, ...] = ()
        self._begin()

    def _begin(self) -> None:
        """Forget everybody and everything."""
        self._people: list[_Person] = []
        self._lost: list[_Person] = []
        self._backdrop, self._glances = Backdrop(), Glances()
        self._looked_s = self._last_s = -math.inf
        self._turn = self._try = 0

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

    def close(self) -> None:
        """Nothing has to be given back."""

    def _estimate(self, frame: Frame) -> tuple[Pose, ...]:
        if frame.time_s < self._last_s or frame.image.shape != self._shape:
            self._begin()  # a clock was set back, or the camera's pictures are others now
        elif frame.time_s - self._last_s > SEARCH_S:  # the camera was away: whoever was there may have left
            self._lost = [replace(person, lost_s=frame.time_s) for person in self._people if person.counts]
            self._people = []
        self._last_s, self._shape = frame.time_s, frame.image.shape
        lost = [person for person in self._lost if frame.time_s - person.lost_s <= SEARCH_S]
        self._lost = lost[-self._max_people :]
        looks = self._is_due(frame.time_s)
        if not looks and not self._people and not self._lost:
            return ()
        image = Image.fromarray(frame.image)
        found = self._look(image, frame) if looks else []
        found = self._follow(image, found, frame.time_s)
        self._retry(image)
        for region in found:
            if len(self._people) >= self._max_people + _MORE:
                break
            self._welcome(image, region)
        self._judge(looks=looks)
        bodies = [person.body for person in self._people if person.counts]
        return tuple(_to_pose(body) for body in bodies[: self._max_people])

    def _is_due(self, now_s: float) -> bool:
        """Say whether the detector should look at this frame."""
        every_s = LOOK_EVERY_S if self._people else LOOK_EMPTY_S
        if self._lost:
            every_s = SEARCH_EVERY_S
        return self._every_frame or now_s - self._looked_s >= every_s - _CLOCK_ERROR_S

    # -- looking for people -------------------------------------------------------------------------------------------

    def _look(self, image: Image.Image, frame: Frame) -> list[Region]:
        """Let the detector look where somebody may be."""
        self._looked_s = frame.time_s
        known = [person.region for person in (*self._people, *self._lost) if person.counts]
        self._backdrop.look(frame.image, people=known, time_s=frame.time_s)
        if sum(person.counts for person in self._people) >= self._max_people:
            return []
        found = list[Region]()
        for place in self._places(image):
            for region in self._networks.detect(
                image, place, threshold=DETECTION_THRESHOLD, most=self._max_people + _MORE
            ):
                if not _is_known(region, found):
                    found.append(region)
        return found

    def _places(self, image: Image.Image) -> list[Region]:
        """Give what to look at now: the whole picture and one piece of it; at the beginning, all of them."""
        self._turn += 1
        places = [whole(*image.size)]
        if self._turn == 1:
            return places + tiles(*image.size)
        if self._lost:
            lost = self._lost[self._turn % len(self._lost)].region
            places.append(Region(lost.x, lost.y, 1.5 * lost.size, _TURNS[self._turn // len(self._lost) % len(_TURNS)]))
            return places
        moving = self._backdrop.moving(people=[person.region for person in self._people])
        if moving and self._turn % 2:
            places.append(round_box(*moving[0], least_px=_SMALL_SHARE * min(image.size)))
        else:
            places.append(self._glances.next_tile(*image.size))
        return places

    def _welcome(self, image: Image.Image, region: Region) -> None:
        """Take in whoever is surely seen in a region."""
        body = self._networks.locate(image, region)
        again = next((lost for lost in self._lost if region.is_near(lost.region, share=_FOUND_AGAIN)), None)
        if body.presence < (SURE if again else NEW_PRESENCE):
            return
        if again is not None:
            self._welcome_back(again, body)
        elif _longer_side(body) >= SMALLEST * image.height and not self._is_ghost(body) and not self._is_part(body):
            # In the first picture nobody has come yet: whoever is in it may have been there for long.
            self._add(_Person(body, trial=(), counts=self._turn == 1))

    def _welcome_back(self, lost: _Person, body: Body) -> None:
        """Take somebody in who was lost; a trial goes on where it stood."""
        back = _Person(body, trial=lost.trial)
        if not self._is_ghost(body) and not self._is_part(body, was=lost.body) and self._add(back):
            self._lost = [other for other in self._lost if other is not lost]

    def _judge(self, *, looks: bool) -> None:
        """Take newcomers for people, or for furniture; let ghosts go."""
        people, self._people = self._people, []
        for each in people:
            person = self._try_out(each)
            if person is not None and not (looks and self._is_ghost(person.body)):
                self._people.append(person)

    def _try_out(self, person: _Person) -> _Person | None:
        """Give somebody, no newcomer any more if they were on trial for long enough; None if it is furniture."""
        if person.trial is None or len(person.trial) < TRIAL_FRAMES:
            return person
        if not _is_steady(person.trial, moving=self._moves(person.body)):
            return person if len(person.trial) < 2 * TRIAL_FRAMES else None
        # Who was not shown yet and has come upon somebody waits until they are apart again.
        return replace(person, counts=True, trial=None) if person.counts or not self._is_part(person.body) else person

    def _moves(self, body: Body) -> bool:
        """Say whether something moves where a body is, other than the people who were there before."""
        points, n_cells = self._backdrop.moving_in(*_box(body))
        for other in self._people:
            if other.trial is None:
                points = points[_off_limbs(points, other.body) >= LIMB * other.region.size]
        return len(points) >= max(FEWEST_MOVING, MOVING_SHARE * n_cells)

    def _is_part(self, body: Body, *, was: Body | None = None) -> bool:
        """Say whether somebody who appears is a part of somebody who is there.

        Args:
            body: of whoever appears.
            was: how they were last seen: whoever was before or behind somebody then may be so now.
        """
        others = [each.body for each in self._people if each.counts]
        return any(_is_upon(body, other) and (was is None or not _is_upon(was, other)) for other in others)

    def _is_ghost(self, body: Body) -> bool:
        """Say whether the room looks there as if nobody were there."""
        return self._backdrop.is_empty(*_box(body))

    # -- following people ---------------------------------------------------------------------------------------------

    def _follow(self, image: Image.Image, found: list[Region], now_s: float) -> list[Region]:
        """Find everybody known again; gives the regions found that are of nobody known."""
        now = dict[int, _Person]()
        for number, person in enumerate(self._people):
            again = [region for region in found if _is_known(region, [person.region])]
            found = [region for region in found if region not in again]
            body = self._surest(image, [person.region, *again])
            if body is not None:
                now[number] = _after(person, body)
        kept = list[int]()
        # Of two on one body, who counts, and moved less, has the better claim to it.
        for number in sorted(now, key=lambda each: (not now[each].counts, now[each].moved)):
            if not any(_is_same(now[number].body, now[other].body) for other in kept):
                kept.append(number)
        gone = [person for number, person in enumerate(self._people) if number not in kept and person.counts]
        self._lost += [replace(person, lost_s=now_s) for person in gone]
        self._people = [now[number] for number in sorted(kept)]
        return found

    def _retry(self, image: Image.Image) -> None:
        """Look where somebody was lost, at a larger piece and at turned ones in turn."""
        self._try += 1
        grown, turn = _RETRIES[self._try % len(_RETRIES)]
        for lost in self._lost:
            body = self._networks.locate(image, lost.region.grown(grown).turned(turn))
            if body.presence >= SURE and body.region.is_near(lost.region, share=_FOUND_AGAIN):
                self._welcome_back(lost, body)

    def _surest(self, image: Image.Image, regions: Sequence[Region]) -> Body | None:
        """Give a body that the network is sure of in regions that show the same person, the first if it will do."""
        best: Body | None = None
        for region in regions:
            body = self._networks.locate(image, region)
            if best is None or body.presence > best.presence:
                best = body
            if best.presence >= SURE:
                break
        return best if best is not None and best.presence >= PRESENCE_THRESHOLD else None

    def _add(self, person: _Person) -> bool:
        """Add somebody, unless they are there already; says whether it is one more."""
        if any(_is_same(person.body, other.body) for other in self._people):
            return False
        self._people.append(person)
        return True


def _is_known(region: Region, known: Sequence[Region]) -> bool:
    return any(region.is_near(other, share=_SAME_PERSON) for other in known)


def _after(person: _Person, body: Body) -> _Person:
    """Give somebody as they are in the next frame."""
    side = max(person.region.size, 1.0)
    moved = math.hypot(body.region.x - person.region.x, body.region.y - person.region.y) / side
    unrest = float(np.linalg.norm(body.xy - person.body.xy, axis=1).mean()) / side
    trial = None if person.trial is None else (*person.trial[1 - 2 * TRIAL_FRAMES :], (body.presence, unrest))
    return replace(person, body=body, moved=moved, trial=trial)


def _is_steady(trial: Sequence[tuple[float, float]], *, moving: bool) -> bool:
    """Say whether a newcomer of the last frames is a person."""
    presence, unrest = np.array(trial[-TRIAL_FRAMES:]).T
    return bool(presence.mean() >= TRIAL_PRESENCE and (moving or unrest.mean() <= TRIAL_UNREST))


def _longer_side(body: Body) -> float:
    """Give the longer side of the box round the joints, pixels."""
    pose = _to_pose(body)
    seen = pose.xy[seen_joints(pose)]
    return float(np.ptp(seen, axis=0).max()) if len(seen) else 0.0


def _is_upon(body: Body, other: Body) -> bool:
    """Say whether a body lies upon another one's, in its box or limb upon limb."""
    return _share_within(body, other) > PART or _share_upon(body, other) > UPON


def _share_within(body: Body, other: Body) -> float:
    """Give the share of a body's landmarks that lie in another's box."""
    low, high = _box(other)
    return float(((body.xy >= low) & (body.xy <= high)).all(axis=1).mean())


def _share_upon(body: Body, other: Body) -> float:
    """Give the share of a body's joints that lie upon another's limbs."""
    reach = LIMB * min(body.region.size, other.region.size)
    return float((_off_limbs(_to_pose(body).xy, other) < reach).mean())


def _off_limbs(points: FloatArray, body: Body) -> FloatArray:
    """Give how far points (n, 2) are from a body's nearest limb, (n,) pixels."""
    limbs = _to_pose(body).xy[_LIMBS]  # (E, 2, 2)
    along = limbs[:, 1] - limbs[:, 0]  # (E, 2)
    from_start = points[:, None] - limbs[:, 0]  # (n, E, 2)
    way = (from_start * along).sum(axis=-1) / np.maximum((along**2).sum(axis=-1), 1e-6)  # (n, E)
    off: FloatArray = np.linalg.norm(from_start - np.clip(way, 0, 1)[..., None] * along, axis=-1).min(axis=1)
    return off


def _box(body: Body) -> tuple[FloatArray, FloatArray]:
    return body.xy.min(axis=0), body.xy.max(axis=0)


def _is_same(one: Body, other: Body) -> bool:
    """Say whether two bodies are of one person: hips at one place, or joint upon joint."""
    return one.region.is_near(other.region, share=_SAME_PERSON) or oks(_to_pose(one), _to_pose(other)) > _SAME_POSE


def _to_pose(body: Body) -> Pose:
    landmarks: FloatArray = np.concatenate([body.xy, body.visibility[:, None]], axis=1)
    joints = map_joints(landmarks, "blazepose33", "coco17").astype(np.float32, copy=False)
    return Pose(xy=joints[:, :2].copy(), score=np.clip(joints[:, 2], 0.0, 1.0))
