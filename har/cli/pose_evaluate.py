"""What `har pose evaluate` does."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from har.bench import pose_people, pose_quality
from har.bench.contenders import Contender
from har.bench.people_csv import read_people
from har.cli.output import count_up, say, show_result
from har.errors import ConfigError
from har.pose import check_estimator, usual_people
from har.pose.coco import read_pictures
from har.pose.coco_protocol import check_coco_installed


def evaluate_pictures(
    estimators: Sequence[str],
    *,
    data: Path,
    images: Path | None,
    limit: int | None,
    max_people: int | None,
    shows: int,
    report: Path | None,
    json_file: Path | None,
) -> None:
    """Judge estimators by annotated pictures, print the figures and write the report asked for.

    Raises:
        AnnotationError: the annotations or their pictures cannot be used.
        ConfigError: an estimator is not known, pycocotools is missing, or the report cannot be written.
        WeightsError: an estimator's weights are missing.
    """
    check_coco_installed()
    contenders = _contenders(estimators, max_people)
    pictures = read_pictures(data, images)[:limit]
    if report is not None:
        _make_folder(report)
    answers = pose_quality.answer(pictures, contenders, shows=shows, tell=count_up("pictures"))
    result = pose_quality.judge(pictures, answers, shows=shows)
    if report is not None:
        from har.bench.pose_page import write_page  # loads torch, which takes seconds

        say(f"report: {write_page(report, result, pictures, answers, command=_command())}")
    show_result(result, pose_quality.as_text, file=json_file)


def evaluate_videos(
    estimators: Sequence[str],
    *,
    people: Path,
    data: Path,
    limit: int | None,
    max_people: int | None,
    report: Path | None,
    json_file: Path | None,
) -> None:
    """Judge estimators by videos in which people were marked by eye, print the figures and write the report asked for.

    Raises:
        AnnotationError: the table or its videos cannot be used.
        ConfigError: an estimator is not known, or the report cannot be written.
        SourceError: a video cannot be read.
        WeightsError: an estimator's weights are missing.
    """
    contenders = _contenders(estimators, max_people)
    marks = dict(islice(read_people(people).items(), limit))
    if report is not None:
        _make_folder(report)
    result, wrong = pose_people.judge_videos(marks, contenders, data=data, tell=count_up("videos"))
    if report is not None:
        from har.bench.pose_page import write_video_page  # loads torch, which takes seconds

        say(f"report: {write_video_page(report, result, wrong, data=data, command=_command())}")
    show_result(result, pose_people.as_text, file=json_file)


def _contenders(estimators: Sequence[str], max_people: int | None) -> list[Contender]:
    """Check all estimators before the work begins."""
    if doubled := {name for name in estimators if estimators.count(name) > 1}:
        raise ConfigError(f"{min(doubled)} is given twice. Name each estimator once.")
    for name in estimators:
        check_estimator(name)
    return [Contender(name, max_people or usual_people(name)) for name in estimators]


def _make_folder(folder: Path) -> None:
    """Make the folder of a report before the long work begins."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror}). Give --report another folder.") from None


def _command() -> str:
    return shlex.join(["har", *sys.argv[1:]])
