"""What `har pose evaluate` does."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from har.bench.pose_page import write_page
from har.bench.pose_quality import Contender, answer, as_text, judge
from har.cli.output import count_up, say, show_result
from har.config import PoseSettings
from har.pose.coco import read_pictures
from har.pose.coco_protocol import check_coco_installed
from har.training.report.write import check_folder


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
    contenders = [Contender(name, max_people or PoseSettings().max_people) for name in estimators]
    for each in contenders:
        each.check()
    if report is not None:
        check_folder(report)
    pictures = read_pictures(data, images)[:limit]
    answers = answer(pictures, contenders, shows=shows, tell=count_up("pictures"))
    result = judge(pictures, answers, shows=shows)
    show_result(result, as_text, file=json_file)
    if report is not None:
        page = write_page(report, result, pictures, answers, command=shlex.join(["har", *sys.argv[1:]]))
        say(f"report: {page}")
