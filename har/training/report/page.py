"""The page of a report: one HTML file that needs nothing beside it, and can be printed."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from har.training.report import words
from har.training.report.charts import Axis, Line, draw_lines
from har.training.report.markdown import as_html
from har.training.report.words import percent

Figures = Mapping[str, Any]
DOTS_A_PIXEL = 2
"""Pictures are drawn twice as large as they are shown, for screens and printers that can show it."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a report comes from.

    Attributes:
        made: when, for people.
        command: what was typed.
        version: of har.
        card: the bundle's card, Markdown.
        metrics: what was measured when the bundle was made.
        same_data: whether the clips are exactly those that the bundle learnt from.
    """

    made: str
    command: str
    version: str
    card: str
    metrics: Figures
    same_data: bool


def make_page(result: Figures, *, confusion: bytes, strips: Sequence[bytes], about: Provenance) -> str:
    """Write a report as HTML.

    Args:
        result: as of `har.training.report.measure.measure`.
        confusion: PNG.
        strips: PNGs, one for each of the worst mistakes.
        about: where the report comes from.
    """
    sections = [
        _top(result, about),
        _labels(result, confusion),
        _confidence(result),
        _conditions(result),
        _groups(result),
        _worst(result, strips),
        _clips(result),
        _training(about),
        _method(about),
    ]
    style = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(result['model'])}: how good it is</title>\n<style>\n{style}</style></head>\n<body><main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main></body></html>\n"
    )


def _top(result: Figures, about: Provenance) -> str:
    clips = result["about"]
    people = f" of {clips['subjects']} {'person' if clips['subjects'] == 1 else 'people'}" if clips["subjects"] else ""
    judged = f", the right side of “{escape(result['split'])}”" if result["split"] else ""
    cautions = words.cautions(result, about.metrics, same_data=about.same_data)
    warning = f'<div class="caution">{"".join(f"<p>{escape(each)}</p>" for each in cautions)}</div>' if cautions else ""
    found = "".join(f"<li>{escape(each)}</li>" for each in words.findings(result))
    return (
        f"<h1>How good is {escape(result['model'])}?</h1>"
        f'<p class="under">Judged by {clips["clips"]} clips, {clips["minutes"]:.1f} minutes{people}{judged}. '
        f"{escape(about.made)}.</p>"
        f'<p class="lead">{escape(words.headline(result))}</p><ul class="findings">{found}</ul>'
        f"{warning}{_tiles(result)}"
    )


def _tiles(result: Figures) -> str:
    whole = result["clips"]
    low, high = whole["top1_interval"]
    rule = result["unknown"]["rule"]
    tiles = [
        (percent(whole["top1"], 1), f"right (top-1); 95 % interval {percent(low)} to {percent(high)}"),
        (percent(whole["top5"], 1), "right among the five best (top-5)"),
        (percent(whole["macro_f1"], 1), "macro-F1: every label counts the same"),
        (percent(result["ece"], 1), "calibration error (ECE)"),
        (
            f"{rule['threshold']:.2f}" if rule else "none",
            "threshold below which the answer is “unknown”" if rule else "“unknown” is never answered by this bundle",
        ),
    ]
    boxes = "".join(f'<div class="tile"><b>{value}</b><span>{what}</span></div>' for value, what in tiles)
    windows = ""
    if result["n"] != whole["n"]:
        windows = (
            '<p class="note">Stretches of one action are judged whole, by the mean of their windows. Window by window, '
            f"as the service answers ({result['n']} windows): {percent(result['top1'], 1)} right, macro-F1 "
            f"{percent(result['macro_f1'], 1)}.</p>"
        )
    return f'<div class="tiles">{boxes}</div>{windows}'


def _labels(result: Figures, confusion: bytes) -> str:
    whole = result["clips"]
    taken = words.confused_with(whole["confusion"])
    rows = []
    for label, row in whole["per_class"].items():
        if not row["n"] and row["precision"] is None:
            continue
        others = ", ".join(f"{escape(other)} ({n})" for other, n in taken[label][:2]) or "-"
        bar = f'<span class="bar"><i style="width:{100 * (row["recall"] or 0):.0f}%"></i></span>'
        rows.append(
            f'<tr><td>{escape(label)}</td><td class="n">{row["n"]}</td><td class="n">{percent(row["recall"])}{bar}</td>'
            f'<td class="n">{percent(row["precision"])}</td><td class="n">{percent(row["f1"])}</td>'
            f"<td>{others}</td></tr>"
        )
    head = (
        '<tr><th>label</th><th class="n">n</th><th class="n">found (recall)</th><th class="n">right when said '
        '(precision)</th><th class="n">F1</th><th>mostly taken for</th></tr>'
    )
    caption = "A row is what was done, a column what was answered, in percent of the row."
    return (
        f'<h2>Label by label</h2><div class="wide"><table>{head}{"".join(rows)}</table></div>'
        f"{_picture(confusion, 'Confusion matrix', caption)}"
    )


def _picture(png: bytes, title: str, caption: str) -> str:
    data = base64.b64encode(png).decode()
    told = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    width = int.from_bytes(png[16:20], "big") // DOTS_A_PIXEL  # as a PNG's first chunk says
    return f'<figure><img alt="{escape(title)}" width="{width}" src="data:image/png;base64,{data}">{told}</figure>'


def _confidence(result: Figures) -> str:
    curve = result["calibration"]["curve"]
    calibration = draw_lines(
        [
            Line("as sure as right", [(0, 0), (1, 1)], style="faint", dots=False),
            Line("this model", [(row["confidence"], row["accuracy"]) for row in curve]),
        ],
        x=Axis("how sure it is"),
        y=Axis("how often it is right"),
        title="Calibration curve",
    )
    points = result["risk_coverage"]
    lowest = min(point["accuracy"] for point in points[len(points) // 20 :])
    low = 0.0 if lowest < 0.5 else 0.5 if lowest < 0.8 else 0.8
    coverage = draw_lines(
        [Line("", [(each["coverage"], max(each["accuracy"], low)) for each in points], dots=False)],
        x=Axis("answers given, the surest first"),
        y=Axis("how often they are right", low=low),
        title="Risk-coverage curve",
        mark_x=result["unknown"]["known"]["named"] if result["unknown"]["known"] else None,
    )
    mark = " Right of the dashed line the answer is “unknown”." if result["unknown"]["known"] else ""
    temperature = result["calibration"]["temperature"]
    warmed = f" Its confidence was divided by a temperature of {temperature:.2f} after training." if temperature else ""
    return (
        "<h2>How far its confidence can be believed</h2>"
        f"<p>Calibration error (ECE) {percent(result['ece'], 1)}, over {result['n']} windows.{warmed}</p>"
        f'<div class="pair"><figure>{calibration}<figcaption>On the dashed line, “80 % sure” is right 80 times of '
        f"100.</figcaption></figure><figure>{coverage}<figcaption>Giving only the surest answers makes them right more "
        f"often.{mark}</figcaption></figure></div>{_unknown(result)}"
    )


def _unknown(result: Figures) -> str:
    rule, known, strange = (result["unknown"][key] for key in ("rule", "known", "strange"))
    parts = ["<h3>The answer “unknown”</h3>"]
    if rule is None:
        parts.append(f"<p>This bundle names a label whatever it sees.{_suggestion(result)}</p>")
    else:
        parts.append(
            f"<p>Below a probability of <b>{rule['threshold']:.2f}</b> the answer is “unknown”. The threshold was "
            f"chosen when the model was made, on {rule['n']} right answers held out of training, to keep "
            f"{percent(rule['keeps'])} of them. On the clips here:</p><table>"
            f'<tr><td>right answers kept</td><td class="n">{percent(known["right_kept"], 1)}</td></tr>'
            f'<tr><td>wrong answers refused</td><td class="n">{percent(known["wrong_refused"], 1)}</td></tr>'
            f'<tr><td>answers given</td><td class="n">{percent(known["named"], 1)}</td></tr>'
            f'<tr><td>right among those given</td><td class="n">{percent(known["named_right"], 1)}</td></tr></table>'
        )
    if strange:
        names = ", ".join(f"{label} ({n})" for label, n in strange["labels"].items())
        refused = f" {percent(strange['refused'], 1)} of them are called “unknown”." if rule else ""
        parts.append(
            f"<p>Actions that the model has never learnt, in windows: {escape(names)}.{refused} Confidence tells them "
            f"from known actions {percent(strange['separation'])} of the time (area under the curve; 50 % would be "
            "chance).</p>"
        )
    elif rule is not None and "experiment" not in result["unknown"]:
        parts.append(
            '<p class="note">How often actions that it has never learnt are refused is not measured here: all labelled '
            "clips bear labels that it knows. <code>--unknown-classes A,B</code> measures it.</p>"
        )
    return "".join([*parts, _experiment(result["unknown"].get("experiment"))])


def _experiment(found: Figures | None) -> str:
    """Tell what a second model, trained without some labels, makes of them."""
    if not found or not found["strange"]:
        return ""
    names, strange, known = ", ".join(found["left_out"]), found["strange"], found["known"]
    told = (
        f"<p>Tried out: a second model learnt in the same way, but without <b>{escape(names)}</b>. Confidence tells "
        f"these from the actions that it did learn {percent(strange['separation'])} of the time (area under the curve)."
    )
    if known is None:
        return f"{told} Too few clips were held out to choose a threshold for it.</p>"
    return (
        f"{told} Below its threshold of {found['rule']['threshold']:.2f} it calls <b>{percent(strange['refused'])}</b> "
        f"of {strange['n']} windows of them “unknown”, and keeps {percent(known['right_kept'])} of its right "
        "answers.</p>"
    )


def _suggestion(result: Figures) -> str:
    point = words.trusted_point(result["risk_coverage"])
    if point is None or point["coverage"] >= 1:
        return ""
    return (
        f" On the clips here, refusing answers under {point['threshold']:.2f} would leave "
        f"{percent(point['coverage'])} of them, {percent(point['accuracy'])} right."
    )


def _conditions(result: Figures) -> str:
    found = result.get("conditions")
    if not found:
        return ""
    which = "the same clips" if found["all_clips"] else f"{found['n_clips']} of the clips, drawn at random,"
    rates = _one_condition(found["frame_rate"], "frames a second", lambda value: f"{value:g}")
    lost = _one_condition(found["lost_joints"], "joints lost", lambda value: f"{100 * value:.0f} %")
    if found["camera_angle"]:
        turn = _one_condition(found["camera_angle"], "camera moved round the person", lambda value: f"{value:g}°")
        note = "The clips have depth, so they can be looked at from another side."
        if found["n_clips_3d"] < found["n_clips"]:
            note += f" ({found['n_clips_3d']} of {found['n_clips']} have.)"
        angle = f"<figure>{turn}<figcaption>{note}</figcaption></figure>"
    else:
        angle = (
            "<p>Accuracy against the <b>camera angle</b> cannot be measured: these clips are flat (x and y only), and "
            "a flat skeleton cannot be turned. Judge by clips from several views, or with depth.</p>"
        )
    return (
        f"<h2>When the camera is worse</h2><p>How often {which} are labelled right if frames or joints are "
        "missing. A lost joint stays lost for about a second at a time.</p>"
        f'<div class="pair"><figure>{rates}</figure><figure>{lost}</figure>{angle}</div>'
    )


def _one_condition(rows: Sequence[Mapping[str, Any]], title: str, show: Any) -> str:
    points = [(row["at"], row["top1"]) for row in rows if row["top1"] is not None]
    if not points:
        return "<p>No clip could be judged.</p>"
    ticks = tuple(at for at, _ in points)
    x = Axis(title, low=min(ticks), high=max(ticks), ticks=ticks, show=show)
    return draw_lines([Line("", points)], x=x, y=Axis("labelled right"), title=f"Accuracy against {title}")


def _groups(result: Figures) -> str:
    parts = []
    for key, what in (("by_subject", "person"), ("by_view", "view")):
        rows = result[key]
        if len(rows) < 2:
            continue
        body = "".join(
            f'<tr><td>{escape(name)}</td><td class="n">{row["n"]}</td><td class="n">{percent(row["top1"])}'
            f'<span class="bar"><i style="width:{100 * row["top1"]:.0f}%"></i></span></td>'
            f'<td class="n">{percent(row["top1_interval"][0])} to {percent(row["top1_interval"][1])}</td></tr>'
            for name, row in sorted(rows.items(), key=lambda each: each[1]["top1"])
        )
        parts.append(
            f'<div><h3>By {what}</h3><table><tr><th>{what}</th><th class="n">n</th><th class="n">right</th>'
            f'<th class="n">95 % interval</th></tr>{body}</table></div>'
        )
    return f'<h2>Who and from where</h2><div class="pair">{"".join(parts)}</div>' if parts else ""


def _worst(result: Figures, strips: Sequence[bytes]) -> str:
    if not strips:
        return "<h2>The worst mistakes</h2><p>There is none: every clip is labelled right.</p>"
    pictures = []
    for number, (mistake, strip) in enumerate(zip(result["worst"], strips, strict=True), start=1):
        caption = (
            f"{number}. {mistake['clip']}, {mistake['start_s']:.1f} to {mistake['end_s']:.1f} s: {mistake['true']}, "
            f"taken for {mistake['given']} ({percent(mistake['confidence'])} sure; "
            f"{percent(mistake['true_score'])} for the truth)."
        )
        pictures.append(_picture(strip, caption, caption))
    return (
        "<h2>The worst mistakes</h2><p>Wrong answers that it was surest of. Look at them: often it is the label of the "
        "clip that is wrong, or the skeleton. Left limbs are blue, right limbs orange.</p>" + "".join(pictures)
    )


def _clips(result: Figures) -> str:
    about, left_out = result["about"], result["left_out"]
    trimmed = "untrimmed" if about["untrimmed"] else "trimmed"
    turned = f", turned into {about['mapped_to']}" if about["mapped_to"] else ""
    rows = [
        ("clips", f"{about['clips']}, {about['minutes']:.1f} minutes, {trimmed}"),
        ("people", str(about["subjects"] or "not told")),
        ("views", ", ".join(about["views"]) or "not told"),
        ("skeletons", ", ".join(about["layouts"]) + turned),
        ("frames a second", f"{about['rate_hz']:g} (median)" + ("" if about["rates_known"] else ", assumed for some")),
        ("from", "; ".join(about["sources"][:5])),
        ("left out", _left_out(left_out)),
    ]
    body = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    named = "".join(f"<li>{escape(clip)}: {escape(why)}</li>" for clip, why in list(left_out["clips"].items())[:50])
    details = f"<details><summary>Which were left out</summary><ul>{named}</ul></details>" if named else ""
    return f"<h2>What it was judged by</h2><table>{body}</table>{details}"


def _left_out(left_out: Figures) -> str:
    reasons: dict[str, int] = {}
    for why in left_out["clips"].values():
        reasons[why] = reasons.get(why, 0) + 1
    told = [f"{n} because {why}" for why, n in reasons.items()]
    return f"{left_out['n']} clips: {'; '.join(told)}" if told else "no clip"


def _history(training: Figures) -> list[Line]:
    """Give accuracy pass by pass: of training and validation windows, or of validation for each of several networks."""
    networks = training.get("networks", [])
    rows = [("training windows", training.get("history", []), "train_top1", "b"),
            ("validation", training.get("history", []), "top1", "a")]  # fmt: skip
    if len(networks) > 1:
        rows = [(each["inputs"], each["history"], "top1", "abcd"[number % 4]) for number, each in enumerate(networks)]
    return [
        Line(name, [(row["epoch"], row[key]) for row in history if row.get(key) is not None], style=style, dots=False)
        for name, history, key, style in rows
    ]


def _training(about: Provenance) -> str:
    lines = [line for line in _history(about.metrics.get("training", {})) if len(line.points) > 1]
    chart = ""
    if lines:
        last = max(x for line in lines for x, _ in line.points)
        ticks = tuple(sorted({1, *(round(last * i / 5) for i in range(1, 6))} - {0}))
        x = Axis("pass over the clips", low=1, high=last, ticks=ticks, show=lambda value: f"{value:g}")
        chart = draw_lines(lines, x=x, y=Axis("labelled right"), title="Accuracy while training")
        several = "Validation windows, network by network."
        one = "Training windows are made harder on purpose, so they may lie lower."
        caption = one if lines[0].name == "training windows" else several
        chart = f"<figure>{chart}<figcaption>{caption}</figcaption></figure>"
    return (
        f"<h2>How the model was made</h2>{chart}<details open><summary>Its card</summary>"
        f'<div class="card">{as_html(about.card)}</div></details>'
    )


def _method(about: Provenance) -> str:
    return (
        '<h2>How this was measured</h2><p class="note">Top-1: the best label is the true one. The interval is that of '
        "Wilson; it takes clips for independent, so with few people the truth may lie further off. Macro-F1: mean over "
        "labels of the harmonic mean of precision and recall. ECE: mean gap between confidence and accuracy over 15 "
        "bins. All "
        f"figures are in report.json, as fractions.</p><footer><code>{escape(about.command)}</code><br>har "
        f"{escape(about.version)}, {escape(about.made)}. Not a medical device.</footer>"
    )
