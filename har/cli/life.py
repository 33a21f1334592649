"""What `har bench life` does: simulate, show how far it is, print the tables."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from har.bench.life import LifePlan, default_table, run_life
from har.bench.life_tables import add_up, as_text
from har.bench.machine import describe_machine, measure_yardstick, physical_cores
from har.cli.output import say, wants_text, write_json
from har.errors import ConfigError
from har.models.bundle import load_bundle
from har.models.shipped import find_bundle
from har.pose.weights import cache_folder


def run_bench_life(
    *,
    hours: float,
    falls: int,
    seed: int,
    model: str | None,
    jobs: int | None,
    rest_zones: bool,
    table: Path | None,
    json_file: Path | None,
) -> None:
    """Run the benchmark; the arguments are those of `har bench life`.

    Raises:
        ConfigError: there is nothing to simulate, or the table does not fit.
    """
    if hours <= 0 and falls <= 0:
        raise ConfigError("there is nothing to simulate: give --hours, --falls or both.")
    path = find_bundle(model)
    plan = LifePlan(path, hours, falls, seed, rest_zones)
    table = table or default_table(plan, folder=cache_folder() / "bench")
    say(f"rows are kept in {table}; the same command goes on there")
    yardstick = measure_yardstick()
    columns = (TextColumn("simulated"), BarColumn(), TextColumn("{task.fields[shown]}"), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("life", total=None, shown="")

        def tell(done_s: float, all_s: float) -> None:
            bar.update(task, total=all_s, completed=done_s, shown=f"{done_s / 3600:.1f} of {all_s / 3600:.1f} h")

        rows = run_life(plan, table=table, jobs=jobs or physical_cores(), tell=tell)
    result = {
        "name": "life",
        "machine": describe_machine(),
        "yardstick_gflops": yardstick,
        "model": load_bundle(path).model_id,
        "seed": seed,
        "rest_zones": rest_zones,
        "totals": add_up(rows),
        "rows": rows,
    }
    write_json(result, file=json_file)
    if wants_text(json_file):
        typer.echo(as_text(result))
