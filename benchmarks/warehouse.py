"""Loading into Postgres: by hand, with Meltano, and the target alone with other settings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from account import BIG_LISTS, Account, sandbox
from embedded_postgres.warehouse import Warehouse
from measure import BIN, ROOT, Command, Cost, environment, run, table

TARGET = ROOT / ".meltano/loaders/target-postgres/venv/bin/target-postgres"
STOCK: dict[str, Any] = {"sqlalchemy_url": None, "dialect+driver": "postgresql+psycopg"}
"""SQLAlchemy's own dialect."""

ALTERNATIVES: dict[str, dict[str, Any]] = {
    "as in meltano.yml": {},
    "INSERT": STOCK | {"use_copy": False},
    "INSERT, psycopg2": STOCK | {"dialect+driver": "postgresql+psycopg2", "use_copy": False},
    "COPY through floats: not exact": STOCK,
    "batches of 1,000 rows": {"batch_size_rows": 1_000},
    "batches of 10,000 rows": {"batch_size_rows": 10_000},
    "batches of 50,000 rows": {"batch_size_rows": 50_000},
    "load_method: append-only": {"load_method": "append-only"},
    "with validation": {"validate_records": True},
    "without metadata: marks nothing as deleted": {"add_record_metadata": False, "activate_version": False},
}


class Target:
    """target-postgres as meltano.yml configures it; each run loads into its own empty database."""

    def __init__(self, postgres: Warehouse, folder: Path) -> None:
        self.plugin = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["loaders"][0]
        self.postgres = postgres
        self.folder = folder
        self.count = 0

    def connection(self) -> dict[str, Any]:
        """Return the connection of a new database."""
        self.count += 1
        url = urlsplit(self.postgres.create_database(f"bench_{self.count}"))
        return {
            "host": url.hostname,
            "port": url.port,
            "user": url.username,
            "password": unquote(url.password or ""),
            "database": url.path[1:],
        }

    def command(self, connection: dict[str, Any], **settings: Any) -> Command:
        config = self.folder / "target.json"
        config.write_text(json.dumps(self.plugin["config"] | connection | settings))
        variables = [f"TARGET_POSTGRES_{name.upper()}={value}" for name, value in connection.items()]
        return ["env", *variables, TARGET, "--config", config]


def measure(folder: Path, deals: int, alternatives: int) -> tuple[list[list[str]], str]:
    """Return rows for the table of goals, and tables. Only the first `alternatives` settings are tried."""
    run([BIN / "meltano", "install", "extractor", "tap-pipedrive"], folder=folder, at=ROOT)
    run([BIN / "meltano", "install", "loader", "target-postgres"], folder=folder, at=ROOT)
    with Warehouse(folder / "home") as postgres, sandbox(folder, deals, "--burst", "20") as account:
        account.select(*BIG_LISTS)
        target = Target(postgres, folder)
        messages = folder / "messages.jsonl"
        run(account.tap(), stdout=messages, folder=folder)  # warms the sandbox
        rows = sum(line.startswith(b'{"type":"RECORD"') for line in messages.open("rb"))
        (tap,) = run(account.tap(), folder=folder)
        env = environment()
        run(target.command(target.connection()), stdin=messages, folder=folder, env=env)  # warms Postgres
        alone = {}
        for name, settings in list(ALTERNATIVES.items())[:alternatives]:
            command = target.command(target.connection(), **settings)
            (alone[name],) = run(command, stdin=messages, folder=folder, env=env)
        connection = target.connection()
        states = folder / "states.jsonl"
        pipe = run(account.tap(), target.command(connection), stdout=states, folder=folder, env=env)
        state = folder / "state.json"
        state.write_text(states.read_text().splitlines()[-1])
        again = run(account.tap(state), target.command(connection), folder=folder, env=env)
        meltano, meltano_again = with_meltano(account, target, folder)
    best, by_hand, nothing_new = alone["as in meltano.yml"], pipe[-1], again[-1]
    goals = [
        [f"{rows:,} rows end to end, `tap \\| target`", f"{by_hand.wall:.1f} s", "≤ 35 s, for 70,000"],
        ["`meltano run`, against `tap \\| target`", f"× {meltano.wall / by_hand.wall:.2f}", "≤ 1.25"],
        ["`tap \\| target`, against the target alone", f"× {by_hand.wall / best.wall:.2f}", "near 1"],
        ["a run with nothing new, `tap \\| target`", f"{nothing_new.wall:.1f} s", "< 10 s"],
        ["a run with nothing new, `meltano run`", f"{meltano_again.wall:.1f} s", "< 10 s"],
    ]
    paths = {
        "tap alone": tap,
        "target alone, from a file": best,
        "`tap \\| target`: the tap": pipe[0],
        "`tap \\| target`: the target": pipe[1],
        "`meltano run`, all": meltano,
    }
    return goals, "\n\n".join(
        [
            f"{', '.join(BIG_LISTS)} of {deals:,} deals: {rows:,} rows, {messages.stat().st_size / 1e6:.0f} MB of "
            "messages, 20 requests in 2 s, no latency.",
            costs(paths, rows),
            "The target alone, with other settings:",
            costs(alone, rows),
        ]
    )


def with_meltano(account: Account, target: Target, folder: Path) -> tuple[Cost, Cost]:
    """Run `meltano run` in a copy of the project with its own state, and again without changes."""
    project = folder / "project"
    (project / ".meltano").mkdir(parents=True)
    shutil.copy(ROOT / "meltano.yml", project)
    for name in ("plugins", "tap-pipedrive", ".meltano/extractors", ".meltano/loaders"):
        (project / name).symlink_to(ROOT / name)
    env = environment(
        {
            "MELTANO_PROJECT_ROOT": str(project),
            "TAP_PIPEDRIVE_API_URL": account.url,
            "TAP_PIPEDRIVE_API_TOKEN": "sandbox-token",
            "TAP_PIPEDRIVE__SELECT": json.dumps([f"{name}.*" for name in BIG_LISTS]),
            **{f"TARGET_POSTGRES_{name.upper()}": str(value) for name, value in target.connection().items()},
        }
    )
    command: Command = [BIN / "meltano", "run", "tap-pipedrive", "target-postgres"]
    (first,), (second,) = (run(command, folder=folder, env=env, at=project) for _ in range(2))
    return first, second


def costs(runs: dict[str, Cost], rows: int) -> str:
    return table(
        ["", "wall", "rows/s", "CPU", "rows/CPU s", "memory"],
        [
            [
                name,
                f"{cost.wall:.1f} s",
                f"{rows / cost.wall:,.0f}",
                f"{cost.cpu:.1f} s",
                f"{rows / cost.cpu:,.0f}",
                f"{cost.memory:.0f} MB",
            ]
            for name, cost in runs.items()
        ],
    )
