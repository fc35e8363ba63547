"""A task that fails if a load left something undone, although each run succeeded.

Only the model `load_completeness` says what is complete. A run that stops because its tokens are spent exits
with 0, so without this task nobody would notice it.
"""

import logging
import os

import psycopg2
from airflow.sdk import task
from airflow.sdk.exceptions import AirflowFailException

log = logging.getLogger(__name__)

GOOD = ("complete", "unavailable")
"""Verdicts that need no action; a stream outside the plan or the token's rights was not left out by a run."""


@task
def require_completeness() -> None:
    """Fail without a retry if a stream of Pipedrive is not complete.

    Raises:
        AirflowFailException: A stream is not complete; the message names it and the reason.
    """
    connection = psycopg2.connect(
        host=os.environ["TARGET_POSTGRES_HOST"],
        port=os.environ.get("TARGET_POSTGRES_PORT", "5432"),
        dbname=os.environ["TARGET_POSTGRES_DATABASE"],
        user=os.environ.get("DBT_POSTGRES_USER") or os.environ["TARGET_POSTGRES_USER"],
        password=os.environ.get("DBT_POSTGRES_PASSWORD") or os.environ["TARGET_POSTGRES_PASSWORD"],
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass('marts.load_completeness') is not null")
        if not cursor.fetchone()[0]:
            log.warning("There is no marts.load_completeness: whether the loads are complete is not known.")
            return
        cursor.execute(
            "select stream, verdict, coalesce(undone_detail, differences, undone_reason, '')"
            " from marts.load_completeness order by stream"
        )
        rows = cursor.fetchall()
    connection.close()
    for stream, verdict, detail in rows:
        log.info("%s: %s %s", stream, verdict, detail)
    undone = [
        f"{stream} is {verdict}. {detail}".strip() for stream, verdict, detail in rows if verdict not in GOOD
    ]
    if undone:
        raise AirflowFailException(
            f"{len(undone)} of {len(rows)} streams are not complete: {' '.join(undone)}"
        )
