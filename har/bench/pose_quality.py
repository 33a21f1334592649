"""How good pose estimators are on annotated pictures, side by side, and what they cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from graphs.layouts import COCO17
from har.bench.contenders import Contender
from har.bench.machine import describe_machine, measure_yardstick
from har.errors import AnnotationError
from har.pose import Estimator, gives_masks
from har.pose.coco import Person, Picture, load_image
from har.pose.coco_protocol import check_coco_installed, coco_figures, have_masks
from har.pose.metrics import Guess, box_errors, guess, joint_oks, pair, share_within, torso_errors
from har.records import FloatArray, Frame, ImageArray, Pose
from har.training.bounds import share_interval

FOUND_OKS = 0.5
"""A person is found if a pose of their own is at least this like them."""
TALL_PX = 100.0
"""People whose box is not higher are counted in AP, but not in the share of people found."""
STILL_STEP_S = 0.5
PDJ_AT, PCK_AT = (0.1, 0.2), (0.2, 0.5)
NOBODYS_OVERLAP = 0.1
"""A pose whose box shares less than this with everybody's (intersection over the smaller one) lies on nobody."""

Tell: TypeAlias = Callable[[int, int], None]
"""Called with the number of pictures done and of all."""


@dataclass(slots=True, eq=False)
class Answers:
    """What one contender said.

    Attributes:
        contender: who.
        guesses: by the id of the picture.
        frame_s: processor time of each frame that it was shown, all threads together.
        draws_masks: it was asked for outlines and can give them.
        unsure: by the id of the picture, what it sees if those of whom it is unsure are asked for too, which COCO's
            protocol does; only of estimators that can tell them.
    """

    contender: Contender
    guesses: dict[int, list[Guess]] = field(default_factory=dict)
    frame_s: list[float] = field(default_factory=list)
    draws_masks: bool = False
    unsure: dict[int, list[Guess]] = field(default_factory=dict)


def answer(pictures: Sequence[Picture], contenders: Sequence[Contender], *, shows: int, tell: Tell) -> list[Answers]:
    """Show all pictures to all contenders.

    Pictures have nothing to do with one another, so an estimator that remembers is opened anew for each, shown the
    picture `shows` times, half a second apart, as a camera shows a room in which nobody moves, and its last answer
    counts. One that does not remember is shown it once.

    Raises:
        AnnotationError: a picture cannot be read.
        PoseError: an estimator failed.
    """
    masks = have_masks(pictures)
    answers = [Answers(contender, draws_masks=masks and gives_masks(contender.name)) for contender in contenders]
    lasting = {each.name: each.open(masks=masks) for each in contenders if not each.remembers}
    askers = {each.name: each.open_for_unsure() for each in contenders}
    try:
        for number, picture in enumerate(pictures):
            tell(number, len(pictures))
            image = load_image(picture)
            for each in answers:
                if ask := askers[each.contender.name]:
                    each.unsure[picture.id] = ask(picture)
                if each.contender.remembers:
                    estimator = each.contender.open(masks=masks)
                    try:
                        each.guesses[picture.id] = _look(estimator, image, each.frame_s, shows=shows)
                    finally:
                        estimator.close()
                else:
                    each.guesses[picture.id] = _look(lasting[each.contender.name], image, each.frame_s, shows=1)
        tell(len(pictures), len(pictures))
    finally:
        for estimator in lasting.values():
            estimator.close()
    return answers


def _look(estimator: Estimator, image: ImageArray, frame_s: list[float], *, shows: int) -> list[Guess]:
    """Show a picture so many times; give the last answer, and add what each took."""
    found: Sequence[Pose] = ()
    for show in range(shows):
        began_s = time.process_time()
        frame = Frame(image, STILL_STEP_S * (show + 1), STILL_STEP_S * (show + 1), "evaluate")
        found = estimator.estimate(frame)
        frame_s.append(time.process_time() - began_s)
    return [guess(pose, width_px=image.shape[1], height_px=image.shape[0]) for pose in found]


def judge(pictures: Sequence[Picture], answers: Sequence[Answers], *, shows: int) -> dict[str, Any]:
    """Give all figures, a row for each contender.

    Raises:
        AnnotationError: nobody is annotated with a joint.
        ConfigError: pycocotools is not installed.
    """
    check_coco_installed()
    people = [person for picture in pictures for person in picture.people if is_judged(person)]
    if not people:
        raise AnnotationError("nobody in these pictures has an annotated joint: there is nothing to judge by.")
    return {
        "name": "pose quality",
        "machine": describe_machine(),
        "yardstick_gflops": measure_yardstick(),
        "pictures": len(pictures),
        "people": len(people),
        "tall_people": sum(bool(person.box[3] > TALL_PX) for person in people),
        "shows": shows,
        "rows": [_row(pictures, each) for each in answers],
    }


def is_judged(person: Person) -> bool:
    """Say whether a person can be hit or missed: one person, of whom a joint is annotated."""
    return not person.crowd and bool(person.visibility.any())


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One annotated person and the pose that is theirs.

    Attributes:
        picture: where.
        person: who.
        guess: theirs, or None.
        oks: how alike; 0 without a guess.
    """

    picture: Picture
    person: Person
    guess: Guess | None = None
    oks: float = 0.0


def find_everybody(pictures: Sequence[Picture], guesses: Mapping[int, Sequence[Guess]]) -> list[Found]:
    """Give everybody who is judged, each with the pose that is theirs, if any."""
    found = []
    for picture in pictures:
        people = [person for person in picture.people if is_judged(person)]
        here = guesses.get(picture.id, ())
        own = {of: (here[whose], oks) for of, whose, oks in pair(people, [each.pose for each in here])}
        found += [Found(picture, person, *own.get(number, (None, 0.0))) for number, person in enumerate(people)]
    return found


def nobodys(picture: Picture, guesses: Sequence[Guess]) -> list[Guess]:
    """Give the guesses that lie on nobody annotated, not even on a group or on somebody without joints."""
    return [
        each
        for each in guesses
        if all(_overlap(each.box, person.box) < NOBODYS_OVERLAP for person in picture.people)
    ]  # fmt: skip


def _overlap(one: FloatArray, other: FloatArray) -> float:
    """Give the share of the smaller of two boxes x, y, width, height that lies in both."""
    sides = np.minimum(one[:2] + one[2:], other[:2] + other[2:]) - np.maximum(one[:2], other[:2])
    smaller = min(float(one[2] * one[3]), float(other[2] * other[3]))
    return float(sides.clip(min=0).prod()) / max(smaller, 1.0)


def _row(pictures: Sequence[Picture], answers: Answers) -> dict[str, Any]:
    everybody = find_everybody(pictures, answers.guesses)
    tall = [each for each in everybody if each.person.box[3] > TALL_PX]
    n_found = sum(each.oks >= FOUND_OKS for each in tall)
    all_guesses = [guess for guesses in answers.guesses.values() for guess in guesses]
    ranked = answers.guesses | answers.unsure
    return {
        "estimator": answers.contender.name,
        "max_people": answers.contender.most_people,
        "keypoints": coco_figures(pictures, ranked, "keypoints"),
        "box": coco_figures(pictures, ranked, "bbox"),
        "mask": coco_figures(pictures, ranked, "segm") if answers.draws_masks else None,
        "tall_found": {
            "n": len(tall),
            "found": n_found,
            "share": n_found / len(tall) if tall else None,
            "interval": list(share_interval(n_found, len(tall))),
        },
        **_joint_figures(everybody),
        "guesses": len(all_guesses),
        "on_nobody": sum(len(nobodys(each, answers.guesses.get(each.id, ()))) for each in pictures),
        "ms_per_frame": round(float(np.median(answers.frame_s)) * 1e3, 1) if answers.frame_s else None,
    }


def _joint_figures(everybody: Sequence[Found]) -> dict[str, Any]:
    """Measure joints: of everybody, where whoever has no pose has missed joints, and of those found alone."""
    figures: dict[str, Any] = {}
    for suffix, people in (("", everybody), ("_of_found", [each for each in everybody if each.oks >= FOUND_OKS])):
        alike = np.full((len(people), COCO17.n_joints), np.nan, np.float32)
        torso, box = alike.copy(), alike.copy()
        for number, each in enumerate(people):
            pose = each.guess.pose if each.guess else None
            torso[number], box[number] = torso_errors(each.person, pose), box_errors(each.person, pose)
            nothing = np.where(each.person.visibility > 0, np.float32(0), np.float32(np.nan))
            alike[number] = nothing if pose is None else joint_oks(each.person, pose)
        figures[f"joint_oks{suffix}"] = {
            name: _mean(alike[:, joint]) for joint, name in enumerate(COCO17.joints)
        }  # fmt: skip
        figures[f"pdj{suffix}"] = {f"{at:g}": share_within(torso, at) for at in PDJ_AT}
        figures[f"pck{suffix}"] = {f"{at:g}": share_within(box, at) for at in PCK_AT}
        figures[f"pdj_people{suffix}"] = int((~np.isnan(torso)).any(axis=1).sum())
    return figures


def _mean(values: FloatArray) -> float | None:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else None


_COLUMNS = {
    **dict.fromkeys(("AP", "AP50", "AP75", "AR"), 7),
    "box AP": 8,
    "mask AP": 9,
    **dict.fromkeys(("PDJ@0.1", "PDJ@0.2", "PCK@0.2", "PCK@0.5"), 9),
    "ms a frame": 12,
}


def as_text(result: Mapping[str, Any]) -> str:
    """Write the figures for people."""
    rows = result["rows"]
    wide = max(24, *(len(row["estimator"]) + 2 for row in rows))
    lines = [
        f"{result['pictures']} pictures, {result['people']} people annotated, {result['tall_people']} over 100 px tall",
        "",
        f"{'':{wide}}" + "".join(f"{name:>{width}}" for name, width in _COLUMNS.items()),
    ]
    for row in rows:
        points = [_show(row["keypoints"][name], 7) for name in ("AP", "AP50", "AP75", "AR")]
        areas = [_show(row["box"]["AP"], 8), _show(row["mask"]["AP"] if row["mask"] else None, 9)]
        within = [_show(row[name][at], 9) for name, at in _within()]
        lines.append(f"{row['estimator']:{wide}}{''.join([*points, *areas, *within])}{row['ms_per_frame'] or 0:12.1f}")
    lines += ["", f"{'':{wide}}{'taller people found':>34}{'poses':>8}{'on nobody':>11}{'PDJ@0.2 of those found':>25}"]
    for row in rows:
        lines.append(
            f"{row['estimator']:{wide}}{share_text(row['tall_found']):>34}{row['guesses']:8}{row['on_nobody']:11}"
            f"{_show(row['pdj_of_found']['0.2'], 25)}"
        )
    lines += ["", "OKS of each joint", f"{'':24}" + "".join(f"{row['estimator'][-17:]:>18}" for row in rows)]
    for name in COCO17.joints:
        lines.append(f"{name:24}" + "".join(_show(row["joint_oks"][name], 18) for row in rows))
    return "\n".join([*lines, "", *how_measured(result)])


def how_measured(result: Mapping[str, Any]) -> list[str]:
    """Say how the figures came about, a line each."""
    return [
        "AP and AR: pycocotools (OKS 0.50 to 0.95, 20 poses a picture; box and mask AP: one class, so it is mAP too).",
        f"Found: a pose of their own with OKS >= {FOUND_OKS:g}; in brackets the 95 % interval.",
        "PDJ: joints nearer than this share of the torso (left shoulder to right hip); PCK: of the box's longer side.",
        "Joints of people without a pose are missed, in PDJ, PCK and OKS.",
        f"Estimators that remember are opened anew for each picture and shown it {result['shows']} times.",
        "Boxes of poses alone lie round the joints seen, which is smaller than a body.",
        "AP and AR of Mask R-CNN count the people of whom it is unsure, too; all else is as the service sees it.",
        "ms a frame: processor time of all threads, median.",
    ]


def _within() -> list[tuple[str, str]]:
    return [("pdj", f"{at:g}") for at in PDJ_AT] + [("pck", f"{at:g}") for at in PCK_AT]


def _show(value: float | None, width: int) -> str:
    return f"{'-' if value is None else format(value, '.3f'):>{width}}"


def share_text(counted: Mapping[str, Any]) -> str:
    """Write "found of n: share (interval)"."""
    if not counted["n"]:
        return "-"
    low, high = counted["interval"]
    return f"{counted['found']} of {counted['n']}: {counted['share']:.3f} ({low:.2f} to {high:.2f})"
