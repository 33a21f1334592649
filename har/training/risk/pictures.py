"""Pictures of the risk model: what its components hold and are worth, and what its thresholds cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from har.training.report.charts import Axis, Line, draw_lines


def draw_components(meta: Mapping[str, Any]) -> str | None:
    """Draw the variance that the components hold and what each number of them was worth on unseen people, as SVG.

    Args:
        meta: the risk part of a bundle's manifest.

    Returns:
        None for a bundle that does not tell of them: one without a risk part, or made before they were tried.
    """
    tried = meta.get("components_tried")
    if not tried:
        return None
    numbers = [float(trial["n_components"]) for trial in tried]
    variance = [(number, float(trial["explained_variance"])) for number, trial in zip(numbers, tried, strict=True)]
    # A log loss of 0.69 nats is a coin's; so the loss is drawn as its share of that.
    worth = [(number, 1 - float(trial["log_loss"]) / 0.6931) for number, trial in zip(numbers, tried, strict=True)]
    worth = [(number, max(value, 0.0)) for number, value in worth]
    x = Axis("principal components", min(numbers), max(numbers) + 1e-9, tuple(numbers), lambda value: f"{value:.0f}")
    return draw_lines(
        [Line("variance held", variance), Line("better than a coin", worth, "b")],
        x=x,
        y=Axis("share"),
        title="variance held by the principal components, and how well they tell danger in unseen people",
        mark_x=float(meta["n_components"]),
    )


def draw_curves(rows: list[Mapping[str, Any]], *, title: str) -> str:
    """Draw falls found over suspicions an hour, a line a classifier, as SVG.

    Args:
        rows: each with "classifier" and "curve", points (suspicions an hour, share of falls found).
        title: read aloud instead of the picture.
    """
    highest = max((point[0] for row in rows for point in row["curve"]), default=1.0)
    styles = ("a", "b", "faint", "faint")
    lines = [
        Line(row["classifier"], [(x, y) for x, y in sorted(row["curve"])], styles[min(n, 3)], dots=False)
        for n, row in enumerate(rows)
    ]
    x = Axis("suspicions an hour", 0.0, max(highest, 1.0), show=lambda value: f"{value:.0f}")
    return draw_lines(lines, x=x, y=Axis("falls found"), title=title)
