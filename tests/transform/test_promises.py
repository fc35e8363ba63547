"""Interfaces that others rely on: raw tables for dbt, main_bi for dashboards, and parsing without a database."""

from __future__ import annotations

from pathlib import Path

from .conftest import TABLES, Built

MAIN_BI = """
deal_id bigint
title text
status character varying(50)
value numeric(18,4)
currency character varying(10)
add_time timestamp with time zone
update_time timestamp with time zone
close_time timestamp with time zone
expected_close_date date
lost_time timestamp with time zone
won_time timestamp with time zone
stage_change_time timestamp with time zone
creator_user_id bigint
user_id bigint
pipeline_id bigint
stage_id bigint
label_ids jsonb
contact_name text
contact_email text
contact_phone text
company_name text
activity_count smallint
last_activity_due_date timestamp with time zone
deal_duration_days smallint
value_per_day numeric(18,4)
"""
INDEXED = {
    "deal_id",
    "status",
    "add_time",
    "user_id",
    "pipeline_id",
    "stage_id",
    "contact_name",
    "company_name",
    "update_time",
}


def test_main_bi_has_the_columns_that_dashboards_use(empty: Built) -> None:
    columns = empty.account.query(
        "select attname || ' ' || format_type(atttypid, atttypmod) from pg_attribute "
        "where attrelid = 'marts.main_bi'::regclass and attnum > 0 order by attnum limit 25"
    )
    assert [column for (column,) in columns] == MAIN_BI.strip().splitlines()


def test_main_bi_has_its_key_and_indexes(empty: Built) -> None:
    indexes = empty.account.query(
        "select attname, indisprimary from pg_index join pg_attribute "
        "on attrelid = indrelid and attnum = indkey[0] "
        "where indrelid = 'marts.main_bi'::regclass and indnkeyatts = 1"
    )
    assert {name for name, _ in indexes} == INDEXED
    assert [name for name, is_primary in indexes if is_primary] == ["deal_id"]


def test_every_stream_is_a_source_with_one_staging_model(empty: Built) -> None:
    manifest = empty.account.manifest()
    sources = [source for source in manifest["sources"].values() if source["source_name"] == "pipedrive"]
    assert {source["name"] for source in sources} == set(TABLES)
    staged = {
        node["name"]: [key.split(".")[-1] for key in node["depends_on"]["nodes"] if key.startswith("source.")]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["name"].startswith("stg_pipedrive__")
    }
    assert staged == {f"stg_pipedrive__{table}": [table] for table in TABLES}


def test_models_are_built_in_schemas_without_a_prefix(empty: Built) -> None:
    assert empty.account.query(
        "select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' "
        "order by 1"
    ) == [
        ("intermediate",),
        ("marts",),
        ("pipedrive",),
        ("public",),
        ("seeds",),
        ("snapshots",),
        ("staging",),
    ]


def test_the_project_parses_without_a_database_and_without_a_warning(empty: Built) -> None:
    run = empty.account.dbt("parse", "--warn-error", "--no-partial-parse", TARGET_POSTGRES_PORT="1")
    assert run.returncode == 0, run.stdout


def test_a_wrong_password_is_one_clear_error(empty: Built, tmp_path: Path) -> None:
    """The test uses the project's profile, and a small project that dbt parses quickly."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mart.sql").write_text("select 1 as id")
    (tmp_path / "dbt_project.yml").write_text("name: tiny\nprofile: pipedrive_warehouse\n")
    tiny = {
        "DBT_PROJECT_DIR": str(tmp_path),
        "DBT_TARGET_PATH": str(tmp_path / "target"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    run = empty.account.dbt("build", TARGET_POSTGRES_PASSWORD="not-the-one", **tiny)
    assert run.returncode != 0
    assert "password authentication failed" in run.stdout
    assert "not-the-one" not in run.stdout + run.stderr
