"""The DAG `history`: a load of Pipedrive once a day that may spend as many tokens as its parameter says.

The history of deals costs a request for each deal, which takes many runs in a large account. Each run goes on
where the last one stopped, whichever DAG it is of. Airflow's own backfill starts one run after the other, here
seven of them:

    airflow backfill create --dag-id history --from-date 2026-01-01 --to-date 2026-01-08 \
        --dag-run-conf '{"tokens": 20000}'
"""

import os

from airflow.sdk import DAG, Param
from alerts import deadline, report_failure
from pipeline import DAG_DEFAULTS, crm, loaded, meltano, schedules

SCHEDULED = {extractor for schedule in schedules() for extractor, _ in schedule.loads}
EXTRACTOR = "tap-pipedrive-deals" if "tap-pipedrive-deals" in SCHEDULED else "tap-pipedrive"
"""The one whose state has the history's."""

with DAG(
    "history",
    schedule="0 1 * * *",
    params={"tokens": Param(5000, type="integer", minimum=1, description="API tokens that a run may spend")},
    deadline=deadline(24, is_scheduled=False),
    on_failure_callback=report_failure,
    **DAG_DEFAULTS,
):
    # It takes the whole pool, for which scheduled loads and backfills wait; max_active_runs is not common to both.
    meltano(
        EXTRACTOR,
        EXTRACTOR,
        "target-postgres",
        env={"TAP_PIPEDRIVE_TOKEN_BUDGET": "{{ params.tokens }}"},
        pool=crm(EXTRACTOR),
        pool_slots=int(os.environ.get("PIPEDRIVE_SLOTS") or 1),
        outlets=[loaded(crm(EXTRACTOR))],
    )
