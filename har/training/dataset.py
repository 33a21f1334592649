"""Clips -> labelled windows, still in their own units: they are normalised when drawn, after their time was changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graphs import layout as layout_of
from har.clips import Clip
from har.records import FloatArray
from har.training.augment import hide_joints
from har.training.habits import Habits, find_habits
from har.training.instants import neighbours, stretched_instants, timed_instants
from har.training.persons import PICTURE_UNITS, SECOND_PERSON_SHARE, people_joints
from har.training.recipe import Recipe
from har.windows import clean, find_reference, normalise, pose_share, resample

IntArray = npt.NDArray[np.int64]
TimesArray = npt.NDArray[np.float64]

BUCKET_FRAMES = 4
"""Windows shorter than the recipe's are filled up to a multiple of these with frames in which nothing is known."""
STORED_PER_FRAME = 8
"""A stretched clip is kept at its own rate, but with no more than so many frames for each of a window's."""


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """The people of some windows, one after the other.

    Attributes:
        joints: (P, T, V, D + 1) float32 from `har.windows.normalise`, all people of a window in one frame of reference.
        owner: (P,) which of the windows each person is in, 0..n_windows-1, rising, every window at least once.
        n_windows: N.
        n_known: (P,) how many of the T frames, counted from the end, lie within the clip.
    """

    joints: FloatArray
    owner: IntArray
    n_windows: int
    n_known: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class WindowSet:
    """Labelled windows of a clip set: N windows of P people, whose frames lie end to end.

    Attributes:
        frames: (F, V, D + 1) float32, coordinates (y down) and score, NaN where not seen.
        start: (P,) the first frame of each person of each window.
        first_person: (N + 1,) the first person of each window; the one seen most.
        n_stored: (N,) how many frames each person of a window has; at true time there are some before the window, to
            play it faster.
        timed: (N,) whether the window is at true time; the others are stretched.
        trimmed: (N,) whether it is of a trimmed clip.
        labels: (N,) index into `names`.
        clip: (N,) index into `clip_ids`.
        segment: (N,) counts stretches of one label of one clip.
        end_s: (N,) time of the last frame on the clip's clock.
        names: the labels.
        clip_ids: the clips that the windows are of.
        clip_sources: where each clip comes from.
        recipe: how they were cut and are drawn; resolved.
        habits: how people stand and which side they use, if the recipe asks.
    """

    frames: FloatArray
    start: IntArray
    first_person: IntArray
    n_stored: IntArray
    timed: npt.NDArray[np.bool_]
    trimmed: npt.NDArray[np.bool_]
    labels: IntArray
    clip: IntArray
    segment: IntArray
    end_s: TimesArray
    names: tuple[str, ...]
    clip_ids: tuple[str, ...]
    clip_sources: tuple[str, ...]
    recipe: Recipe
    habits: Habits | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def layout(self) -> str:
        """Joint layout."""
        return self.recipe.layout

    @property
    def n_frames(self) -> int:
        """Frames of the longest windows, T."""
        return self.recipe.n_frames

    def sources(self) -> IntArray:
        """Give each window's source as a number, (N,)."""
        return np.unique(self.clip_sources, return_inverse=True)[1].astype(np.int64)[self.clip]

    def lengths(self) -> IntArray:
        """Give the frames (N,) that each window has when drawn alone: `n_frames`, or fewer for short, timed clips."""
        filled = -(-self.n_stored // BUCKET_FRAMES) * BUCKET_FRAMES
        return np.where(self.timed & self.trimmed, np.minimum(filled, self.n_frames), self.n_frames).astype(np.int64)

    def n_people(self) -> IntArray:
        """Count the people (N,) of each window."""
        return np.diff(self.first_person)

    def draw(self, indices: IntArray, *, rng: np.random.Generator | None = None) -> Packed:
        """Give windows, normalised; as long as the longest of them.

        Args:
            indices: (B,) which windows.
            rng: chance, for training: crop, jitter, speed and warp of time, and hidden joints, as the recipe says;
                None draws them plainly.
        """
        people = self.n_people()[indices]
        owner = np.repeat(np.arange(len(indices)), people)
        leader = np.cumsum(people) - people  # the first person of each window, among those drawn
        person = self.first_person[indices][owner] + np.arange(len(owner)) - leader[owner]
        at = self._instants(indices, rng=rng)  # (B, T)
        before, after = neighbours(at, self.n_stored[indices], self.recipe, rng=rng)
        joints = _play(self.frames, self.start[person], at[owner], before[owner], after[owner])
        known = at > -0.5
        if rng is not None:
            hidden = hide_joints(len(joints), joints.shape[1], self.recipe, rng)
            joints = np.where(hidden[..., None], np.float32(np.nan), joints)
        frames = find_reference(joints[leader], layout=self.layout, facing=self.recipe.facing)
        placed = normalise(joints, layout=self.layout, reference=frames[owner])
        return Packed(placed, owner, len(indices), known.sum(axis=1)[owner])

    def _instants(self, indices: IntArray, *, rng: np.random.Generator | None) -> TimesArray:
        """Give the stored frames (B, T), not whole numbers, that windows are made of; below 0 nothing is known."""
        n_frames = int(self.lengths()[indices].max(initial=1))
        n_stored, timed = self.n_stored[indices], self.timed[indices]
        at = np.zeros((len(indices), n_frames))
        if timed.any():
            trimmed = self.trimmed[indices][timed]
            at[timed] = timed_instants(n_stored[timed], trimmed, self.recipe, n_frames=n_frames, rng=rng)
        if not timed.all():
            at[~timed] = stretched_instants(n_stored[~timed], self.recipe, n_frames=n_frames, rng=rng)
        return at


def _play(frames: FloatArray, start: IntArray, at: TimesArray, before: IntArray, after: IntArray) -> FloatArray:
    """Give the joints (P, T, V, D + 1) at instants (P, T) between two frames of people that begin at `start`."""
    share = (np.maximum(at, 0) - before) / np.maximum(after - before, 1)
    share = share.astype(np.float32)[..., None, None]
    left, right = frames[start[:, None] + before], frames[start[:, None] + after]
    played: FloatArray = np.where(share == 0, left, left + (right - left) * share)  # NaN on either side stays NaN
    played[at <= -0.5] = np.nan
    played[..., -1] = np.where(np.isnan(played[..., 0]), 0, played[..., -1])
    return played


def labels_of(clip: Clip) -> set[str]:
    """Give the labels that a clip can teach."""
    return {label for _, _, label in clip.spans} or ({clip.label} if clip.label else set())


def label_names(clips: Sequence[Clip]) -> tuple[str, ...]:
    """Give the labels of clips in alphabetical order."""
    return tuple(sorted({label for clip in clips for label in labels_of(clip)}))


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """A window as it was cut: the frames (S, V, D + 1) of each of its people, and what is known of it."""

    people: list[FloatArray]
    label: str
    span: int
    end_s: float
    timed: bool
    trimmed: bool


def cut_windows(clips: Sequence[Clip], recipe: Recipe, *, names: Sequence[str]) -> WindowSet:
    """Cut labelled windows out of clips.

    An untrimmed clip (with spans) gives windows on the recipe's time grid, one every `stride_s`, each labelled by the
    span in which it was `label_delay_s` before its end, and ending at a frame of the clip, as a live window does. A
    trimmed clip (with a label only) gives one window, as the recipe's `length` says. Clips with neither, labels that
    are not among `names`, and windows with too little of a pose are left out. Where a clip shows several people, the
    windows are of those seen most, up to the recipe's `persons`.

    Args:
        clips: a clip set.
        recipe: layout, length, rate, stride and so on; resolved by these clips if it is not yet.
        names: the labels wanted, in the order of the model.

    Raises:
        ClipError: a clip cannot be mapped to the recipe's layout, or has no depth where it needs one.
    """
    recipe = recipe.resolved(clips)
    index = {name: position for position, name in enumerate(names)}
    found: list[tuple[int, int, _Cut]] = []  # clip, segment, window
    n_segments = 0
    for number, clip in enumerate(clips):
        cuts = _cut_clip(clip, recipe) if labels_of(clip) & index.keys() else []
        found += [(number, n_segments + cut.span, cut) for cut in cuts if cut.label in index]
        n_segments += max(len(clip.spans), 1)
    cuts = [cut for _, _, cut in found]
    people = [person for cut in cuts for person in cut.people]
    nobody = np.zeros((0, layout_of(recipe.layout).n_joints, recipe.dims + 1), dtype=np.float32)
    lengths = np.array([len(person) for person in people], dtype=np.int64)
    labels = np.array([index[cut.label] for cut in cuts], dtype=np.int64)
    bodies = [cut.people[0] for cut in cuts]
    return WindowSet(
        frames=np.concatenate(people) if people else nobody,
        start=np.cumsum(lengths) - lengths,
        first_person=np.cumsum([0, *(len(cut.people) for cut in cuts)], dtype=np.int64),
        n_stored=np.array([len(cut.people[0]) for cut in cuts], dtype=np.int64),
        timed=np.array([cut.timed for cut in cuts], dtype=np.bool_),
        trimmed=np.array([cut.trimmed for cut in cuts], dtype=np.bool_),
        labels=labels,
        clip=np.array([number for number, _, _ in found], dtype=np.int64),
        segment=np.array([segment for _, segment, _ in found], dtype=np.int64),
        end_s=np.array([cut.end_s for cut in cuts], dtype=np.float64),
        names=tuple(names),
        clip_ids=tuple(clip.id for clip in clips),
        clip_sources=tuple(clip.source for clip in clips),
        recipe=recipe,
        habits=find_habits(bodies, labels, n_labels=len(names), layout=layout_of(recipe.layout))
        if recipe.as_seen
        else None,
    )


def _cut_clip(clip: Clip, recipe: Recipe) -> list[_Cut]:
    people = people_joints(clip, layout=recipe.layout, dims=recipe.dims, persons=recipe.persons)
    if clip.spans:
        return _untrimmed_windows(clip, people, recipe)
    return _trimmed_window(clip, people, recipe)


def _untrimmed_windows(clip: Clip, people: FloatArray, recipe: Recipe) -> list[_Cut]:
    n_stored = recipe.n_frames + math.ceil((recipe.n_frames - 1) * recipe.speed)
    found: list[_Cut] = []
    time_s = clip.time_s
    last_end = -1
    for due_s in np.arange(float(time_s[0]) + recipe.stride_s, float(time_s[-1]) + 1e-6, recipe.stride_s):
        end = int(np.searchsorted(time_s, due_s + 1e-6, side="right")) - 1
        end_s = float(time_s[end])
        span = _span_at(clip, end_s - recipe.label_delay_s)
        if end == last_end or span is None:
            continue
        last_end = end
        windows = [
            _on_grid(clip, person, recipe, rate_hz=recipe.rate_hz, end_s=end_s, n_frames=n_stored) for person in people
        ]
        if pose_share(windows[0][-max(1, round(recipe.rate_hz)) :]) >= recipe.min_pose_share:
            label = clip.spans[span][2]
            found.append(_Cut(_without_ghosts(windows), label, span, end_s, timed=True, trimmed=False))
    return found


def _span_at(clip: Clip, time_s: float) -> int | None:
    for number, (start_s, end_s, _) in enumerate(clip.spans):
        if start_s <= time_s < end_s:
            return number
    return None


def _without_ghosts(windows: list[FloatArray]) -> list[FloatArray]:
    """Leave out everybody but the first who is hardly seen."""
    often = [(window[..., -1] > 0).any(axis=-1).mean() >= SECOND_PERSON_SHARE for window in windows]
    return [windows[0], *(window for window, seen in zip(windows[1:], often[1:], strict=True) if seen)]


def _trimmed_window(clip: Clip, people: FloatArray, recipe: Recipe) -> list[_Cut]:
    assert clip.label is not None
    timed = recipe.length == "rate"
    end_s = float(clip.time_s[-1])
    if len(clip.time_s) == 1:
        width_px, height_px = _picture(clip)
        windows = [clean(person, width_px=width_px, height_px=height_px) for person in people]
    else:
        n_stored = min(len(clip.time_s), STORED_PER_FRAME * recipe.n_frames)
        rate_hz = (n_stored - 1) / clip.duration_s
        if timed:
            rate_hz, n_stored = recipe.rate_hz, math.floor(clip.duration_s * recipe.rate_hz + 1e-6) + 1
        windows = [_on_grid(clip, person, recipe, rate_hz=rate_hz, end_s=end_s, n_frames=n_stored) for person in people]
    judged = windows[0][-recipe.n_frames :] if timed else windows[0]
    if pose_share(judged) < recipe.min_pose_share:
        return []
    return [_Cut(_without_ghosts(windows), clip.label, 0, end_s, timed=timed, trimmed=True)]


def _on_grid(
    clip: Clip, person: FloatArray, recipe: Recipe, *, rate_hz: float, end_s: float, n_frames: int
) -> FloatArray:
    width_px, height_px = _picture(clip)
    return resample(
        clip.time_s,
        person,
        rate_hz=rate_hz,
        end_s=end_s,
        n_frames=n_frames,
        max_gap_s=recipe.max_gap_s if clip.spans else max(recipe.max_gap_s, 3 / clip.rate_hz),
        width_px=width_px,
        height_px=height_px,
    )


def _picture(clip: Clip) -> tuple[int | None, int | None]:
    return (clip.width_px, clip.height_px) if clip.units in PICTURE_UNITS else (None, None)
