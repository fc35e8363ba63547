"""The staging views on raw rows of each kind, and without unselected tables and columns."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from .conftest import DATA_ONLY, TABLES, Account, Built, column_type

STAGING = (
    *("--resource-type", "seed", "--resource-type", "model"),
    *("--select", "path:models/staging/pipedrive", "+fct_deals"),
)


@pytest.fixture(scope="module")
def bare(new_account: Callable[..., Account]) -> Built:
    """An account of which nothing was loaded."""
    account = new_account("bare")
    account.execute("drop schema pipedrive cascade")
    return Built(account, account.build(*DATA_ONLY))


@pytest.fixture(scope="module")
def rows(new_account: Callable[..., Account]) -> Account:
    """An account with a row for each case; one stream and one column are not selected."""
    account = new_account("rows")
    account.execute("drop table pipedrive.files")
    account.execute("alter table pipedrive.deals drop column title")
    account.insert(
        "deals",
        {"id": 1, "status": "open", "is_deleted": False, "add_time": "2026-01-31 23:30:00"},
        {"id": 2, "status": "open", "is_deleted": True},
        {"id": 3, "status": "deleted", "is_deleted": False},
        {"id": 4, "status": "won", "_sdc_deleted_at": "2026-01-01 00:00:00"},
        {"id": 5, "status": "lost"},
    )
    account.insert(
        "notes",
        {"id": 1, "active_flag": True},
        {"id": 2, "active_flag": False},
        {"id": 3},
        {"id": 4, "active_flag": True, "_sdc_deleted_at": "2026-01-01 00:00:00"},
    )
    account.insert(
        "activities",
        {"id": 1, "due_date": "2026-03-01", "due_time": "23:45:00"},
        {"id": 2, "due_date": "2026-03-01"},
        {"id": 3},
        {"id": 4, "due_time": "10:00:00"},
    )
    change = {"deal_id": 1, "sequence": 1, "time": "2026-01-02", "field_key": "stage_id", "new_value": "2"}
    account.insert(
        "deal_changes",
        {**change, "change_id": "a", "actor_user_id": 7, "_sdc_extracted_at": "2026-02-01"},
        {**change, "change_id": "b", "_sdc_extracted_at": "2026-02-02"},
        {**change, "change_id": "c", "sequence": 2, "_sdc_extracted_at": "2026-02-01"},
    )
    account.insert(
        "fields",
        {"entity": "deal", "field_code": "k1", "is_custom_field": True},
        {"entity": "deal", "field_code": "k2", "is_custom_field": True, "column_name": "of_an_older_version"},
        {"entity": "activity", "field_code": "k3", "is_custom_field": True},
    )
    column = {"entity": "deal", "field_code": "k1", "is_current": True, "_sdc_extracted_at": "2026-02-01"}
    account.insert(
        "field_columns",
        {**column, "stream": "leads", "column_name": "status", "_sdc_extracted_at": "2026-02-05"},
        {**column, "stream": "deals", "column_name": "status_012345"},
        {
            **column,
            "stream": "deals",
            "column_name": "before_the_state_was_lost",
            "_sdc_extracted_at": "2026-01-01",
        },
        {**column, "stream": "deals", "column_name": "of_another_type", "is_current": False},
        {**column, "entity": "activity", "field_code": "k3", "stream": "activities", "column_name": "room"},
    )
    account.build(*STAGING)
    return account


def test_a_change_stored_under_two_keys_is_counted_once(rows: Account) -> None:
    """The actor was deleted in between; two equal changes of one second still count as two."""
    changes = rows.query(
        "select deal_change_id, sequence from staging.stg_pipedrive__deal_changes order by 2"
    )
    assert changes == [("b", 1), ("c", 2)]


def test_a_field_has_the_last_written_column_of_its_own_table(rows: Account) -> None:
    assert rows.query("select field_id, column_name from staging.stg_pipedrive__fields order by 1") == [
        ("activity.k3", "room"),
        ("deal.k1", "status_012345"),
        ("deal.k2", "of_an_older_version"),
    ]
    query = Path("transform/tests/assert_every_field_has_one_column.sql").read_text().partition("}}")[2]
    found = rows.query(
        query.replace("{{ ref('stg_pipedrive__field_columns') }}", "staging.stg_pipedrive__field_columns")
    )
    assert found == [("deals", "k1", "status_012345, before_the_state_was_lost")]


def test_the_source_lists_every_column_that_the_tap_sends(empty: Built) -> None:
    for name, stream in TABLES.items():
        source = empty.account.manifest()["sources"][f"source.pipedrive_warehouse.pipedrive.{name}"]
        listed = {column["name"]: column["data_type"] for column in source["columns"].values()}
        assert listed == {column: column_type(schema) for column, schema in stream.entity.columns().items()}


def test_all_models_build_empty_without_any_raw_table(empty: Built, bare: Built) -> None:
    assert set(bare.statuses.values()) == {"success", "pass"}
    shape = (
        "select relname, attname, format_type(atttypid, atttypmod) from pg_attribute "
        "join pg_class on attrelid = pg_class.oid where relnamespace = 'staging'::regnamespace "
        "and attnum > 0 order by relname, attnum"
    )
    assert bare.account.query(shape) == empty.account.query(shape)


def test_a_stream_that_is_selected_later_fills_its_view(rows: Account) -> None:
    assert rows.query("select file_id from staging.stg_pipedrive__files") == []
    rows.execute(
        "create table pipedrive.files (id bigint, name text, "
        "_sdc_extracted_at timestamp, _sdc_deleted_at timestamp)"
    )
    rows.insert("files", {"id": 1, "name": "a.pdf"}, {"id": 2, "_sdc_deleted_at": "2026-01-01"})
    rows.build("--resource-type", "model", "--select", "stg_pipedrive__files")
    assert rows.query(
        "select file_id, name, deal_id, is_deleted from staging.stg_pipedrive__files order by 1"
    ) == [(1, "a.pdf", None, False), (2, None, None, True)]


def test_an_unselected_column_is_null(rows: Account) -> None:
    assert rows.query("select distinct title, pg_typeof(title)::text from marts.fct_deals") == [
        (None, "text")
    ]


def test_a_deal_is_deleted_in_any_of_three_ways(rows: Account) -> None:
    assert rows.query(
        "select deal_id, is_deleted, is_archived from staging.stg_pipedrive__deals order by 1"
    ) == [(1, False, False), (2, True, False), (3, True, False), (4, True, False), (5, False, False)]


def test_raw_times_are_utc(rows: Account) -> None:
    assert rows.query("select created_at, won_at from staging.stg_pipedrive__deals where deal_id = 1") == [
        (datetime(2026, 1, 31, 23, 30, tzinfo=UTC), None)
    ]


def test_a_note_is_deleted_if_it_is_inactive_or_gone(rows: Account) -> None:
    assert rows.query("select note_id, is_deleted from staging.stg_pipedrive__notes order by 1") == [
        (1, False),
        (2, True),
        (3, False),
        (4, True),
    ]


def test_an_activity_is_due_at_its_time_or_on_its_whole_day(rows: Account) -> None:
    assert rows.query(
        "select activity_id, due_at, is_all_day from staging.stg_pipedrive__activities order by 1"
    ) == [
        (1, datetime(2026, 3, 1, 23, 45, tzinfo=UTC), False),
        (2, datetime(2026, 3, 1, tzinfo=UTC), True),
        (3, None, False),
        (4, None, False),
    ]
