"""The DAG `models`: after raw tables were loaded, dbt builds the models, and incomplete streams are reported."""

from airflow.sdk import DAG, AssetAny
from alerts import deadline, report_failure
from completeness import require_completeness
from pipeline import DAG_DEFAULTS, crm, loaded, meltano, schedules

CRMS = sorted({crm(extractor) for schedule in schedules() for extractor, _ in schedule.loads})

with DAG(
    "models",
    schedule=AssetAny(*(loaded(name) for name in CRMS)),  # a load during a build starts one more build
    is_paused_upon_creation=False,
    deadline=deadline(2, is_scheduled=False),
    on_failure_callback=report_failure,
    **DAG_DEFAULTS,
):
    meltano("build", "dbt-postgres:build-if-changed") >> require_completeness()
