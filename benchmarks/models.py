"""dbt on a large account: all models and their tests, the first time and again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
from account import UNLIMITED, sandbox
from embedded_postgres.warehouse import Warehouse
from measure import BIN, ROOT, Command, Cost, environment, run, table
from psycopg import sql

from warehouse import Target

DBT = ROOT / ".meltano/utilities/dbt-postgres/venv/bin/dbt"
SLOWEST = 12


def measure(folder: Path, deals: int) -> tuple[list[list[str]], str]:
    """Rows for the table of goals, and a table of the slowest models."""
    for kind, plugin in (("loader", "target-postgres"), ("utility", "dbt-postgres")):
        run([BIN / "meltano", "install", kind, plugin], folder=folder, at=ROOT)
    options = ("--burst", str(UNLIMITED), "--figures", str(ROOT / "transform/demo_seeds"))
    with Warehouse(folder / "home") as postgres, sandbox(folder, deals, *options) as account:
        account.config.write_text(
            json.dumps(json.loads(account.config.read_text()) | {"daily_token_share": 1, "history": "all"})
        )
        target = Target(postgres, folder)
        connection = target.connection()
        run(
            account.tap(),
            target.command(connection),
            folder=folder,
            env=environment(),
        )
        rows, size = contents(connection)
        first, models = build(folder, connection)
        again, _ = build(folder, connection)
    goals = [
        [f"`dbt build` on {deals:,} deals", f"{first.wall:.0f} s", "< 120 s, on 50,000"],
        [f"`dbt build` on {deals:,} deals, again", f"{again.wall:.0f} s", "< 120 s, on 50,000"],
    ]
    return goals, "\n\n".join(
        [
            f"{deals:,} deals and what belongs to them, their history included: {rows:,} rows, {size:,} MB. "
            f"{len(models)} models, with their tests. The slowest, of which four run at a time:",
            table(
                ["model", "kind", "seconds"],
                [[f"`{name}`", kind, f"{seconds:.1f}"] for name, kind, seconds in models[:SLOWEST]],
            ),
        ]
    )


def build(folder: Path, connection: dict[str, Any]) -> tuple[Cost, list[tuple[str, str, float]]]:
    """`dbt build` as Meltano runs it; its cost, and models by time, the slowest first."""
    env = environment(
        {
            "DBT_TARGET_PATH": str(folder / "dbt"),
            "DBT_LOG_PATH": str(folder / "dbt"),
            "DBT_PROJECT_DIR": str(ROOT / "transform"),
            "DBT_PROFILES_DIR": str(ROOT / "transform"),
            "DEMO_SEEDS": "true",
            **{f"TARGET_POSTGRES_{name.upper()}": str(value) for name, value in connection.items()},
        }
    )
    command: Command = [DBT, "build", "--exclude-resource-type", "unit_test"]
    (cost,) = run(command, folder=folder, env=env, at=folder)
    nodes = json.loads((folder / "dbt/manifest.json").read_text())["nodes"]
    results = json.loads((folder / "dbt/run_results.json").read_text())["results"]
    models = [
        (node["name"], node["config"]["materialized"], result["execution_time"])
        for result in results
        if (node := nodes.get(result["unique_id"])) and node["resource_type"] == "model"
    ]
    return cost, sorted(models, key=lambda model: -model[2])


def contents(connection: dict[str, Any]) -> tuple[int, int]:
    """Rows of the raw tables, and MB of them all."""
    with psycopg.connect(
        host=connection["host"],
        port=connection["port"],
        user=connection["user"],
        password=connection["password"],
        dbname=connection["database"],
    ) as database:
        tables = database.execute("select tablename from pg_tables where schemaname = 'pipedrive'").fetchall()
        rows = 0
        for (name,) in tables:
            (count,) = database.execute(
                sql.SQL("select count(*) from {}").format(sql.Identifier("pipedrive", name))
            ).fetchone() or (0,)
            rows += count
        (size,) = database.execute("select pg_database_size(current_database()) / 1000000").fetchone() or (0,)
    return rows, size
