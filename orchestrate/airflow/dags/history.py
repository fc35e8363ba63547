"""The DAG `history`: a daily load of Pipedrive whose parameter limits the tokens that it may spend.

The history of deals costs a request for each deal, so a large account needs many runs. Each run continues
where the last one stopped, whichever DAG it belonged to. Airflow's own backfill starts one run after the
other, here seven of them:

    airflow backfill create --dag-id history --from-date 2026-01-01 --to-date 2026-01-08 \
        --dag-run-conf '{"tokens": 20000}'
"""

import os

from airflow.sdk import DAG, Param
from alerts import deadline, report_failure
from pipeline import DAG_DEFAULTS, crm, loaded, meltano, schedules

SCHEDULED = {extractor for schedule in schedules() for extractor, _ in schedule.loads}
EXTRACTOR = "tap-pipedrive-deals" if "tap-pipedrive-deals" in SCHEDULED else "tap-pipedrive"
"""The extractor whose state contains the bookmarks of the history."""

with DAG(
    "history",
    schedule="0 1 * * *",
    params={"tokens": Param(5000, type="integer", minimum=1, description="API tokens that a run may spend")},
    deadline=deadline(24, is_scheduled=False),
    on_failure_callback=report_failure,
    **DAG_DEFAULTS,
):
    # A run takes the whole pool, so that scheduled loads and backfills wait for it; max_active_runs counts
    # each separately.
    meltano(
        EXTRACTOR,
        EXTRACTOR,
        "target-postgres",
        env={"TAP_PIPEDRIVE_TOKEN_BUDGET": "{{ params.tokens }}"},
        pool=crm(EXTRACTOR),
        pool_slots=int(os.environ.get("PIPEDRIVE_SLOTS") or 1),
        outlets=[loaded(crm(EXTRACTOR))],
    )
