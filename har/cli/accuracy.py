"""What `har bench train` and `har bench few-clips` do: train, show how far it is, print the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from har.bench.accuracy import as_text, choose_figures, run_accuracy, summarise
from har.bench.few_clips import as_text as few_clips_text
from har.bench.few_clips import bench_few_clips
from har.bench.machine import describe_machine, measure_yardstick
from har.bench.throughput import as_text as throughput_text
from har.bench.throughput import bench_throughput
from har.cli.output import say, wants_text, write_json
from har.pose.weights import cache_folder
from har.training.job import Machinery
from har.training.progress import show_progress


def run_bench_train(
    names: Sequence[str],
    *,
    everything: bool,
    data: Path,
    seeds: int | None,
    threads: int,
    work: Path | None,
    json_file: Path | None,
) -> None:
    """Run the benchmark; the arguments are those of `har bench train`.

    Raises:
        ConfigError: there is no such figure.
    """
    yardstick = measure_yardstick()
    head = {"name": "train", "machine": describe_machine(), "yardstick_gflops": yardstick}
    if not names and not everything:
        speed = bench_throughput(data=data, say=say)
        write_json(head | speed, file=json_file)
        if wants_text(json_file):
            typer.echo(throughput_text(speed))
        return
    figures = choose_figures(names)
    work = work or cache_folder() / "bench" / "train"
    say(f"rows are kept in {work / 'rows.jsonl'}; the same command goes on there")
    with show_progress() as report:
        rows = run_accuracy(
            figures, data=data, work=work, n_seeds=seeds, threads=threads, say=say, machinery=Machinery(report=report)
        )
    summary = summarise(rows)
    write_json(head | {"rows": summary, "runs": rows}, file=json_file)
    if wants_text(json_file):
        typer.echo(as_text(summary))


def run_bench_few_clips(
    *, data: Path, model: str | None, seeds: int, threads: int, work: Path | None, json_file: Path | None
) -> None:
    """Run the benchmark; the arguments are those of `har bench few-clips`.

    Raises:
        BundleError: there is no such bundle.
    """
    head = {"name": "few-clips", "machine": describe_machine(), "yardstick_gflops": measure_yardstick()}
    work = work or cache_folder() / "bench" / "train"
    say(f"rows are kept in {work / 'few-clips.jsonl'}; the same command goes on there")
    with show_progress() as report:
        machinery = Machinery(threads=threads, report=report, say=lambda line: None)
        rows = bench_few_clips(data=data, work=work, model=model, n_seeds=seeds, machinery=machinery, say=say)
    write_json(head | {"rows": rows}, file=json_file)
    if wants_text(json_file):
        typer.echo(few_clips_text(rows))
