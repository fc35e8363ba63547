"""dbt on a large account: all models with their tests, for the first time and again, and the page of the
dashboards.

    python benchmarks/models.py 5000 50000 [--against CHECKOUT]

Run directly, it prints the models of these accounts, beside those of another checkout of this project if one
is given.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import psycopg
from account import UNLIMITED, sandbox
from embedded_postgres.warehouse import Warehouse
from measure import BIN, ROOT, Command, Cost, environment, machine, run, table
from psycopg import sql

from analyze.report import write_report
from warehouse import Target

DBT = ROOT / ".meltano/utilities/dbt-postgres/venv/bin/dbt"
FIGURES = ROOT / "transform/demo_seeds"
SLOWEST = 12


@dataclass(frozen=True)
class Build:
    """A run of `dbt build`."""

    cost: Cost
    """That of dbt."""

    postgres: float
    """CPU seconds of Postgres during the build."""

    models: dict[str, tuple[str, float]]
    """The materialization of each model, and its seconds; four models run at a time."""


@dataclass(frozen=True)
class Modelled:
    """The results for one account."""

    rows: int
    size: int
    """The size of the database in MB before the first build."""

    first: Build
    again: Build
    other: Build | None
    """The first build of another checkout."""

    page: int
    """The size of the dashboards' page in bytes."""

    page_cpu: float
    """CPU seconds for writing the page, without Postgres."""


def measure(folder: Path, deals: int) -> tuple[list[list[str]], str]:
    """Return rows for the table of goals, and a table of the slowest models."""
    found = model(folder, deals)
    goals = [
        [f"`dbt build` on {deals:,} deals", f"{found.first.cost.wall:.0f} s", "< 120 s, on 50,000"],
        [f"`dbt build` on {deals:,} deals, again", f"{found.again.cost.wall:.0f} s", "< 120 s, on 50,000"],
        [
            f"page of the dashboards of {deals:,} deals",
            f"{found.page / 1e6:.2f} MB",
            "< 1.5 MB at 5,000, < 4 MB at 50,000",
        ],
    ]
    return goals, report(deals, found)


def report(deals: int, found: Modelled) -> str:
    """Return the costs and the slowest models."""
    builds = {"first build": found.first, "again": found.again} | (
        {"the other checkout": found.other} if found.other else {}
    )
    costs = table(
        ["", "models", "wall", "CPU of dbt", "CPU of Postgres"],
        [
            [
                name,
                str(len(build.models)),
                f"{build.cost.wall:.0f} s",
                f"{build.cost.cpu:.1f} s",
                f"{build.postgres:.1f} s",
            ]
            for name, build in builds.items()
        ],
    )
    known = found.other.models if found.other else {}
    slowest = sorted(found.first.models.items(), key=lambda item: -item[1][1])[:SLOWEST]
    models = table(
        ["model", "kind", "seconds", *(["in the other checkout"] if known else [])],
        [
            [f"`{name}`", kind, f"{seconds:.1f}"]
            + ([f"{known[name][1]:.1f}" if name in known else "new"] if known else [])
            for name, (kind, seconds) in slowest
        ],
    )
    texts = [
        f"{deals:,} deals and what belongs to them, their history included: {found.rows:,} rows, "
        f"{found.size:,} MB. All models, with their tests; the page has {found.page:,} bytes, for "
        f"{found.page_cpu:.1f} s of CPU.",
        costs,
        "The slowest models, of which four run at a time:",
        models,
    ]
    if known:
        new = sum(seconds for name, (_, seconds) in found.first.models.items() if name not in known)
        old = sum(seconds for name, (_, seconds) in found.first.models.items() if name in known)
        before = sum(seconds for _, seconds in known.values())
        texts.append(
            f"Seconds of models, added up: {new:.0f} for those that are new, {old:.0f} for the others, "
            f"{before:.0f} in the other checkout."
        )
    return "\n\n".join(texts)


def model(folder: Path, deals: int, against: Path | None = None) -> Modelled:
    """Load an account, and build its models."""
    for kind, plugin in (("loader", "target-postgres"), ("utility", "dbt-postgres")):
        run([BIN / "meltano", "install", kind, plugin], folder=folder, at=ROOT)
    options = ("--burst", str(UNLIMITED), "--figures", str(FIGURES))
    with Warehouse(folder / "home") as postgres:
        target = Target(postgres, folder)
        connection = target.connection()
        with sandbox(folder, deals, *options) as account:
            settings = {"daily_token_share": 1, "history": "all"}
            account.config.write_text(json.dumps(json.loads(account.config.read_text()) | settings))
            run(account.tap(), target.command(connection), folder=folder, env=environment())
        rows, size = contents(connection)
        copied = postgres.create_database("bench_other", connection["database"]) if against else ""
        first = build(folder, connection, ROOT)
        again = build(folder, connection, ROOT)
        other = None
        if against:
            shutil.copytree(FIGURES, against / "transform" / FIGURES.name, dirs_exist_ok=True)
            other = build(folder, connection | {"database": urlsplit(copied).path[1:]}, against)
        begun = time.process_time()
        with connected(connection) as database:
            write_report(database, folder / "page.html", reporting_currency="USD")
        page_cpu = time.process_time() - begun
    return Modelled(rows, size, first, again, other, (folder / "page.html").stat().st_size, page_cpu)


def build(folder: Path, connection: dict[str, Any], checkout: Path) -> Build:
    """Run `dbt build` as Meltano does, with the models of a checkout."""
    env = environment(
        {
            "DBT_TARGET_PATH": str(folder / "dbt"),
            "DBT_LOG_PATH": str(folder / "dbt"),
            "DBT_LOG_LEVEL_FILE": "none",
            "DBT_PROJECT_DIR": str(checkout / "transform"),
            "DBT_PROFILES_DIR": str(checkout / "transform"),
            "DEMO_SEEDS": "true",
            "ACQUISITION_CHANNEL_COLUMN": "canal_de_aquisicao",
            **{f"TARGET_POSTGRES_{name.upper()}": str(value) for name, value in connection.items()},
        }
    )
    command: Command = [DBT, "build", "--exclude-resource-type", "unit_test"]
    begun = cpu_of_postgres(connection)
    (cost,) = run(command, folder=folder, env=env, at=folder)
    postgres = cpu_of_postgres(connection) - begun
    nodes = json.loads((folder / "dbt/manifest.json").read_text())["nodes"]
    results = json.loads((folder / "dbt/run_results.json").read_text())["results"]
    models = {
        node["name"]: (node["config"]["materialized"], result["execution_time"])
        for result in results
        if (node := nodes.get(result["unique_id"])) and node["resource_type"] == "model"
    }
    return Build(cost, postgres, models)


def connected(connection: dict[str, Any]) -> psycopg.Connection:
    """Return a connection to a database."""
    names = {"database": "dbname"}
    return psycopg.connect(**{names.get(name, name): value for name, value in connection.items()})


def cpu_of_postgres(connection: dict[str, Any]) -> float:
    """Return the CPU seconds of the server, including its processes that have ended."""
    with connected(connection) as database:
        (data,) = database.execute("show data_directory").fetchone() or ("",)
    process = Path(data, "postmaster.pid").read_text().split()[0]
    ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:15]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def contents(connection: dict[str, Any]) -> tuple[int, int]:
    """Return the number of rows of the raw tables, and their size in MB."""
    with connected(connection) as database:
        tables = database.execute("select tablename from pg_tables where schemaname = 'pipedrive'").fetchall()
        rows = 0
        for (name,) in tables:
            (count,) = database.execute(
                sql.SQL("select count(*) from {}").format(sql.Identifier("pipedrive", name))
            ).fetchone() or (0,)
            rows += count
        (size,) = database.execute("select pg_database_size(current_database()) / 1000000").fetchone() or (0,)
    return rows, size


@click.command()
@click.argument("deals", type=int, nargs=-1, required=True)
@click.option("--against", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A checkout.")
def main(deals: tuple[int, ...], against: Path | None) -> None:
    """Measure the models of accounts of these sizes."""
    click.echo(machine())
    for size in deals:
        with tempfile.TemporaryDirectory() as folder:
            click.echo(f"\n{report(size, model(Path(folder), size, against and against.resolve()))}")


if __name__ == "__main__":
    main()
