"""One DAG for each schedule in meltano.yml, which loads the raw tables of a CRM.

A job with several loads, such as `sync-groups`, has a task for each of them.
"""

from airflow.sdk import DAG
from alerts import deadline, report_failure
from pipeline import DAG_DEFAULTS, crm, loaded, meltano, schedules

for schedule in schedules():
    with DAG(
        schedule.name,
        schedule=schedule.cron,
        deadline=deadline(4, is_scheduled=True),
        on_failure_callback=report_failure,
        **DAG_DEFAULTS,
    ):
        for extractor, loader in schedule.loads:
            meltano(
                extractor,
                extractor,
                loader,
                env=schedule.env,
                pool=crm(extractor),
                outlets=[loaded(crm(extractor))],
            )
