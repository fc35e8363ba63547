"""Airflow with the services of deploy/compose.yaml: schedules, a backfill, alerts, and a killed worker.

One test covers the whole sequence, because starting Airflow takes longer than any part of it.
"""

from pathlib import Path
from threading import Event

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from tests.pipeline.expected import expected
from tests.pipeline.raw import contents, differences
from tests.pipeline.test_incremental import KNOWN_KINDS
from tests.pipeline.test_reconcile import VANISHING, first_ids
from tests.project.documents import OPERATE, blocks

from .airflow import Airflow, airflow, programs_at_work
from .containers import Containers, in_own_network
from .test_compose import address, needs_root

pytestmark = [pytest.mark.airflow, needs_root]

EACH_MINUTE = "* * * * *"

TOKENS = {"scheduled": 700, "backfill": 400}
"""Token budgets of these kinds of runs; the whole account costs more than both together."""


def test_airflow_runs_retries_and_reports(containers: Containers, tmp_path: Path) -> None:
    in_own_network(lambda: run_all_steps(containers, tmp_path))


def run_all_steps(containers: Containers, folder: Path) -> None:
    budget = f"{TOKENS['scheduled']}"
    with airflow(
        containers, folder, TAP_PIPEDRIVE_TOKEN_BUDGET=budget, DBT_RESOURCE_TYPES="model seed"
    ) as at_work:
        schedules_of_both_crms_leave_something_undone(at_work)
        backfill_that_is_late_makes_up_for_it(at_work)
        at_work.containers.up_anew("airflow-scheduler", AIRFLOW_EXECUTOR="CeleryExecutor")
        at_work.containers.up("airflow-worker")
        at_work.containers.up_once_more("airflow-worker", AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT="8893")
        run_whose_worker_is_killed_goes_on_on_the_other(at_work)
        groups_go_on_where_the_single_run_has_stopped(at_work)


def schedules_of_both_crms_leave_something_undone(at_work: Airflow) -> None:
    """The loads succeed; the models are built and the last test fails, which is reported once."""
    states = at_work.run_by_schedule("sync-every-4-hours", "sync-hubspot-every-4-hours")
    assert {*states} == {"success"}
    assert at_work.ended("models")[-1] == "failed"
    assert "deal_changes is unfinished" in at_work.task_log("models", "require_completeness")
    with psycopg.connect(address("BI", "bi")) as bi:
        assert bi.execute("select count(*) from marts.fct_hubspot_deals").fetchone() == (40,)
    expect_to_be_told(at_work)


def expect_to_be_told(at_work: Airflow) -> None:
    """Wait until each failed or late run is reported, and check that none is reported twice."""
    query = (
        "select dag_id || ' failed (' || run_id from dag_run where state = 'failed' union all"
        " select dag_id || ' is late (' || run_id from dag_run join deadline on dagrun_id = dag_run.id"
        " where missed and state <> 'failed'"
    )
    wanted = [f"Pipedrive warehouse: {each}). See its log in Airflow." for each in at_work.query(query)]
    at_work.wait_until(lambda: len(at_work.told) >= len(wanted), "everything was told")
    assert sorted(at_work.told) == sorted(wanted)


def backfill_that_is_late_makes_up_for_it(at_work: Airflow) -> None:
    (command,) = [
        each.text for each in blocks(OPERATE) if each.chapter == "Airflow" and "backfill create" in each.text
    ]
    command = command.replace("2026-01-08", "2026-01-03").replace("20000", f"{TOKENS['backfill']}")
    at_work.containers.run("airflow-scheduler", "sh", "-c", command)
    at_work.query("update deadline set deadline_time = now()")  # this includes failed runs
    at_work.switch("models", on=False)
    at_work.switch("history", on=True)
    last = "select run_id from dag_run where dag_id = 'history' and state in ('running', 'queued')"
    at_work.wait_until(lambda: len(at_work.query(last)) == 1, "the last run of three")
    at_work.sandbox.at_request(1, lambda: at_work.switch("models", on=True))
    at_work.wait_for_rest()
    at_work.switch("history", on=False)
    assert at_work.ended("history") == ["success"] * 3
    assert at_work.ended("models")[-1] == "success"
    assert most_at_once(at_work, "history") == 1
    with psycopg.connect(warehouse()) as connection:
        spent = connection.execute(
            "select max(run_tokens_spent) from pipedrive.run_statements group by run_id order by min(began_at)"
        ).fetchall()
    backfilled = [tokens for (tokens,) in spent[-3:-1]]
    assert all(TOKENS["backfill"] * 0.8 < tokens <= TOKENS["backfill"] for tokens in backfilled), spent
    expect_to_be_told(at_work)
    late = [each for each in at_work.told if "is late" in each]
    assert len([each for each in late if "history" in each]) == len(late) == 2
    assert differences(warehouse(), expected(at_work.sandbox)) == []


def most_at_once(at_work: Airflow, dag: str) -> int:
    """Return the largest number of tasks of a DAG that ran at the same time."""
    (most,) = at_work.query(
        "select max(together) from (select sum(step) over (order by at, step) as together from ("
        " select start_date as at, 1 as step from task_instance where dag_id = %s union all"
        " select end_date, -1 from task_instance where dag_id = %s) as steps) as counted",
        dag,
        dag,
    )
    return int(most)


def run_whose_worker_is_killed_goes_on_on_the_other(at_work: Airflow) -> None:
    """Every table equals that of an undisturbed run in a copy of the warehouse."""
    copy_databases()
    change_the_account(at_work, seed=7)
    at_work.reschedule("sync-every-4-hours", EACH_MINUTE, each_4_hours=EACH_MINUTE)
    reached, is_killed = Event(), Event()

    def wait_for_the_kill() -> None:
        reached.set()
        is_killed.wait()

    at_work.sandbox.at_request(10, wait_for_the_kill)
    at_work.switch("sync-every-4-hours", on=True)
    at_work.wait_until(reached.is_set, "the run is in the middle of its work")
    ((worker, run),) = at_work.query(
        "select hostname, run_id from task_instance where state = 'running' and task_id = 'tap-pipedrive'"
    )
    at_work.containers.kill(worker)
    is_killed.set()
    at_work.wait_until(lambda: not meltano_at_work(), "the load has ended with its worker")
    let_time_pass_until_retry(at_work, worker)
    (state,) = at_work.wait_until(
        lambda: at_work.query(
            "select state from dag_run where run_id = %s and state in ('success', 'failed')", run
        ),
        "the run has ended",
    )
    at_work.switch("sync-every-4-hours", on=False)
    at_work.wait_for_rest()
    tries = at_work.query("select try_number, hostname from task_instance where run_id = %s", run)
    assert (state, tries) == ("success", [(2, ({"airflow-worker", "airflow-worker-2"} - {worker}).pop())])
    expect_to_be_told(at_work)
    assert [each for each in at_work.told if run in each] == [
        f"Pipedrive warehouse: sync-every-4-hours is late ({run}). See its log in Airflow."
    ]
    run_undisturbed(at_work, "tap-pipedrive", "target-postgres")
    assert contents(address("POSTGRES", "postgres")) == contents(
        address("POSTGRES", "postgres", "control_warehouse")
    )


def warehouse(name: str = "warehouse") -> str:
    """Return the URL of the warehouse or of a copy, for a role that may read everything."""
    return address("POSTGRES", "postgres", name)


def copy_databases() -> None:
    """Copy the warehouse and the states for undisturbed runs."""
    with psycopg.connect(address("POSTGRES", "postgres", "postgres"), autocommit=True) as connection:
        for name in ("warehouse", "meltano"):
            for copy in (f"control_{name}",):
                connection.execute(SQL("drop database if exists {}").format(Identifier(copy)))
                connection.execute(
                    SQL("create database {} template {}").format(Identifier(copy), Identifier(name))
                )


def change_the_account(at_work: Airflow, seed: int) -> None:
    """Advance the clock by an hour in which 3 % of all rows change and a field is renamed."""
    sandbox = at_work.sandbox
    sandbox.post("/sandbox/clock", {"advance_seconds": 3600})
    sandbox.post("/sandbox/change", {"share": 0.03, "seed": seed, "kinds": [*KNOWN_KINDS]})
    custom = [row for row in sandbox.truth("fields") if row["entity"] == "deal" and row["is_custom_field"]]
    code = custom[seed % len(custom)]["field_code"]
    sandbox.patch(f"/sandbox/fields/deal/{code}", {"field_name": f"Another name {seed}"})


def meltano_at_work() -> list[str]:
    return [each for each in programs_at_work() if "meltano run" in each or "/tap-" in each]


def let_time_pass_until_retry(at_work: Airflow, worker: str) -> None:
    """Make the scheduler notice that the worker is gone; then skip the time until the retry, which makes the
    run late.
    """
    at_work.query(
        "update task_instance set last_heartbeat_at = last_heartbeat_at - interval '5 minutes'"
        " where state = 'running' and hostname = %s",
        worker,
    )
    waiting = "select task_id from task_instance where state = 'up_for_retry'"
    at_work.wait_until(lambda: at_work.query(waiting), "the scheduler misses the worker")
    delay = "interval '6 minutes'"
    at_work.query(
        f"update runs set last_heartbeat_at = last_heartbeat_at - {delay} where state = 'RUNNING'",
        database="meltano",
    )
    at_work.query(f"update task_instance set end_date = end_date - {delay} where state = 'up_for_retry'")
    at_work.query("update deadline set deadline_time = deadline_time - interval '4 hours'")


def run_undisturbed(at_work: Airflow, *words: str, **variables: str) -> None:
    """Run Meltano on the copies of the databases."""
    at_work.containers.run(
        "prepare",
        *("meltano", "run", *words),
        TARGET_POSTGRES_DATABASE="control_warehouse",
        MELTANO_DATABASE_URI=address("ORCHESTRATOR", "orchestrator", "control_meltano").replace(
            "://", "+psycopg://"
        ),
        **variables,
    )


def groups_go_on_where_the_single_run_has_stopped(at_work: Airflow) -> None:
    """A reconcile in parallel groups gives the same tables as one of the single extractor."""
    copy_databases()
    change_the_account(at_work, seed=8)
    for entity in VANISHING:
        for row_id in first_ids(at_work.sandbox, entity, 2):
            at_work.sandbox.delete(f"/sandbox/records/{entity}/{row_id}")
    (commands,) = [
        each.text for each in blocks(OPERATE) if each.chapter == "Airflow" and "state copy" in each.text
    ]
    at_work.containers.run("airflow-scheduler", "sh", "-e", "-c", commands)
    at_work.reschedule("reconcile-every-sunday", "tap-pipedrive-persons", job="sync-groups")
    requests_before = len(at_work.sandbox.requests())
    assert {*at_work.run_by_schedule("reconcile-every-sunday")} == {"success"}
    assert 1 < most_at_once(at_work, "reconcile-every-sunday") <= 3
    seen = at_work.sandbox.requests()[requests_before:]
    assert not [each for each in seen if each["status"] == 429]
    run_undisturbed(at_work, "tap-pipedrive", "target-postgres", TAP_PIPEDRIVE_RECONCILE="true")
    grouped, alone = (
        contents(address("POSTGRES", "postgres", name)) for name in ("warehouse", "control_warehouse")
    )
    assert {table for table, (_, rows) in alone.items() if any(row["is_marked"] for row in rows.values())}
    assert grouped == alone
