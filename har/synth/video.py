"""Sample videos: a simulated person in a rendered room, with the exact skeleton and labels beside each."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from har.clips import INDEX_NAME, Clip, write_clips
from har.records import FloatArray, ImageArray
from har.synth.actor import Actor
from har.synth.body import N_COCO, A, Array, P, make_body
from har.synth.camera import Camera, look_at
from har.synth.falling import fall
from har.synth.falls import GRAVITY_M_S2
from har.synth.low import bend, get_up, lie, lie_down
from har.synth.motion import RATE_HZ, Motion, Style
from har.synth.render import Look, Renderer
from har.synth.seat import sit, sit_down, stand_up, tie_shoes
from har.synth.shapes import Limb
from har.synth.upright import face, stand, walk_to

VIDEO_HZ = 15
LICENCE = "Apache-2.0"
TRUTH = "truth.csv"
_IMPACT_S = 0.2  # `Actor.fall` ends its label this long after the trunk met the ground
_CUP_M = 0.034  # radius of the cup's foot
_CRF = 23  # of libx264: a clip of 40 s stays under 3 MB


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """One acted story, ready to be rendered.

    Attributes:
        name: of its files, without ending.
        actor: who acted.
        motion: what was done.
        camera: which sees it.
        look: the person's colours.
        picked_s: when a cup on the floor was taken up, None without one.
    """

    name: str
    actor: Actor
    motion: Motion
    camera: Camera
    look: Look
    picked_s: float | None = None

    @property
    def frames(self) -> Array:
        """(T,) index into the motion of each frame of the video."""
        duration_s = len(self.motion.labels) / RATE_HZ
        n_frames = int(duration_s * VIDEO_HZ)
        index = np.round(np.arange(n_frames) * RATE_HZ / VIDEO_HZ).astype(int)
        return np.asarray(np.minimum(index, len(self.motion.labels) - 1))


def fall_in_room(*, seed: int) -> Film:
    """Act: stand, walk, sit, stand up, walk, pick up a cup, walk, fall sideways, lie on the floor."""
    actor = _actor(seed + 1, stature_m=1.72, xy_m=(-0.2, -1.0), heading_deg=30)
    stand(actor, 1.5)
    walk_to(actor, 0.25, 0.95)
    face(actor, -20)
    sit_down(actor)
    sit(actor, 5.0)
    stand_up(actor)
    walk_to(actor, 0.85, -0.25)
    begin_s = actor.duration_s
    bend(actor, "stoop")
    picked_s = 0.5 * (begin_s + actor.duration_s)
    walk_to(actor, -0.35, -1.0)
    walk_to(actor, 0.35, 0.35)
    face(actor, 5)
    stand(actor, 0.8)
    fall(actor, direction="right")
    lie(actor, 11.0)
    camera = look_at(np.array([3.1, -0.55, 1.75]), np.array([0.0, -0.1, 0.70]), field_of_view_deg=60)
    return Film("fall_in_room", actor, actor.motion(), camera, Look(), picked_s)


def daily_living(*, seed: int) -> Film:
    """Act: walk, sit, stand up, bend, walk, sit on the bed, lie down on purpose, get up."""
    actor = _actor(seed + 2, stature_m=1.62, xy_m=(0.2, -1.2), heading_deg=60)
    stand(actor, 1.0)
    walk_to(actor, 0.35, -0.75)
    face(actor, 10)
    sit_down(actor)
    sit(actor, 3.5)
    tie_shoes(actor)
    stand_up(actor)
    face(actor, 60)
    bend(actor, "stoop")
    walk_to(actor, 0.5, 0.75)
    face(actor, 0)
    sit_down(actor, furniture="bed")
    sit(actor, 1.0)
    lie_down(actor, "supine")
    lie(actor, 5.0)
    get_up(actor)
    stand(actor, 1.5)
    look = Look(skin=(0.78, 0.57, 0.45), hair=(0.62, 0.60, 0.58), top=(0.14, 0.46, 0.50), trousers=(0.34, 0.38, 0.50))
    camera = look_at(np.array([3.05, 0.2, 1.85]), np.array([0.0, 0.0, 0.66]), field_of_view_deg=60)
    return Film("daily_living", actor, actor.motion(), camera, look)


def _actor(seed: int, *, stature_m: float, xy_m: tuple[float, float], heading_deg: float) -> Actor:
    style = Style(pace=0.95, walk_m_s=0.75, stoop_deg=5.0, arm_swing_deg=22.0, walker=False)
    actor = Actor(make_body(stature_m=stature_m), style, np.random.default_rng(seed))
    actor.xy = np.array(xy_m)
    for posture in (actor.ease, actor.posture):
        posture[A["yaw"]] = np.deg2rad(heading_deg)
    return actor


STORIES: tuple[Callable[..., Film], ...] = (fall_in_room, daily_living)


def write_sample_videos(
    out: str | Path, *, seed: int, progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Render the sample videos and write their skeletons and fall times beside them; replaces older ones.

    Args:
        out: made if it is not there; gets NAME.mp4 and NAME.npz for each story, `clips.jsonl` and `truth.csv`.
        seed: of the small differences in how things are done.
        progress: called with (frames done, frames in all).

    Returns:
        The videos' paths.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    films = [story(seed=seed) for story in STORIES]
    n_all = sum(len(film.frames) for film in films)
    n_before, paths = 0, []
    for film in films:
        path = folder / f"{film.name}.mp4"
        write_video(path, _counted(render_frames(film), n_before=n_before, n_all=n_all, progress=progress))
        n_before += len(film.frames)
        paths.append(path)
    _write_skeletons(folder, films, seed=seed)
    _write_truth(folder / TRUTH, films)
    return paths


def _counted(
    pictures: Iterable[ImageArray], *, n_before: int, n_all: int, progress: Callable[[int, int], None] | None
) -> Iterable[ImageArray]:
    for done, picture in enumerate(pictures, start=n_before + 1):
        yield picture
        if progress is not None:
            progress(done, n_all)


def render_frames(film: Film) -> Iterable[ImageArray]:
    """Render a film frame by frame.

    Yields:
        (H, W, 3) uint8, RGB.
    """
    renderer = Renderer(film.camera, film.actor.body, look=film.look, supports=film.motion.supports)
    for index in film.frames:
        yield renderer.draw(film.motion.points[index], things=_cup(film, int(index)))


def _cup(film: Film, index: int) -> tuple[Limb, ...]:
    """The cup: on the floor until it is picked up, then in the hand, and on the floor again after a fall."""
    if film.picked_s is None:
        return ()
    picked, labels = int(film.picked_s * RATE_HZ), film.motion.labels
    dropped = labels.index("fall") if "fall" in labels else len(labels)
    foot = film.motion.points[min(max(index, picked), dropped), _picking_hand(film, picked)].copy()
    if index < picked:
        foot[2] = _CUP_M
    elif index > dropped:
        foot[2] = max(_CUP_M, foot[2] - 0.5 * GRAVITY_M_S2 * ((index - dropped) / RATE_HZ) ** 2)
    return (Limb(foot, foot + np.array([0.0, 0.0, 0.07]), 0.034, 0.038, "thing", np.eye(3)),)


def _picking_hand(film: Film, picked: int) -> int:
    """Give the point of the hand that is lower at the moment of picking up."""
    return min((P["left_hand"], P["right_hand"]), key=lambda hand: float(film.motion.points[picked, hand, 2]))


def write_video(path: Path, pictures: Iterable[ImageArray], *, rate_hz: int = VIDEO_HZ) -> None:
    """Write pictures as H.264 in MP4; nothing is left at `path` if it fails.

    Args:
        path: of the file.
        pictures: (H, W, 3) uint8, RGB, all of one even size.
        rate_hz: frames per second.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with av.open(str(partial), "w", format="mp4", options={"movflags": "faststart"}) as container:
            stream = None
            for picture in pictures:
                if stream is None:
                    stream = container.add_stream("libx264", rate=rate_hz, options={"crf": str(_CRF), "threads": "1"})
                    stream.height, stream.width, stream.pix_fmt = picture.shape[0], picture.shape[1], "yuv420p"
                for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                    container.mux(packet)
            if stream is not None:
                for packet in stream.encode():
                    container.mux(packet)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def exact_joints(film: Film) -> FloatArray:
    """Give (T, 17, 3) the true joints of each frame in pixels, with score 1."""
    xy, _ = film.camera.project(film.motion.points[film.frames][:, :N_COCO])
    return np.concatenate([xy, np.ones((*xy.shape[:2], 1))], axis=-1).astype(np.float32)


def _write_skeletons(folder: Path, films: list[Film], *, seed: int) -> None:
    """Write the films' skeletons as a clip set into a folder that holds other things too; replaces an older one."""
    with tempfile.TemporaryDirectory(dir=folder) as made:
        fresh = Path(made) / "skeletons"
        write_clips(fresh, [_clip(film, seed=seed) for film in films])
        for path in sorted(
            fresh.iterdir(), key=lambda path: path.name == INDEX_NAME
        ):  # the index last: it is complete when it appears
            path.replace(folder / path.name)


def _clip(film: Film, *, seed: int) -> Clip:
    end_s = (len(film.frames) - 1) / VIDEO_HZ
    return Clip(
        id=film.name,
        joints=exact_joints(film)[:, None],
        time_s=np.arange(len(film.frames)) / VIDEO_HZ,
        danger="fall" in film.motion.labels,
        spans=tuple((start, min(end, end_s), label) for start, end, label in film.motion.spans if start < end_s),
        subject=f"sample-{film.name}",
        camera="simulated",
        rate_hz=float(VIDEO_HZ),
        rate_known=True,
        source=f"har synth video, seed {seed}",
        licence=LICENCE,
        width_px=film.camera.width_px,
        height_px=film.camera.height_px,
    )


def _write_truth(path: Path, films: list[Film]) -> None:
    """Write when each film's fall begins, meets the ground and ends, in the form that `har replay --truth` reads."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("source", "start_s", "ground_s", "end_s", "kind"))
        for film in films:
            end_s = f"{len(film.frames) / VIDEO_HZ:.2f}"
            falls = [(start, end) for start, end, label in film.motion.spans if label == "fall"]
            for start, end in falls:
                rows.writerow((f"{film.name}.mp4", f"{start:.2f}", f"{end - _IMPACT_S:.2f}", end_s, "fall"))
            if not falls:
                rows.writerow((f"{film.name}.mp4", "", "", end_s, "daily"))
