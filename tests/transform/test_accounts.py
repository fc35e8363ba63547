"""`dbt build` on unusual accounts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from .conftest import DATA_ONLY, Account, Built

CUSTOM_COLUMNS = {
    "budget": "numeric",
    "budget_currency": "text",
    "modules": "jsonb",
    "_2nd_contract": "text",
    "order": "text",
    "a" * 63: "text",
    # named like columns of fct_deals, and like the replacements for such names
    "deal_id": "text",
    "owner_name": "text",
    "custom_owner_name": "text",
    "custom_custom_owner_name": "text",
    "source": "text",
    "source_id": "bigint",
    "tags": "jsonb",
    "tags_ids": "jsonb",
}
KEY = "a1b2c3" + "0" * 34
GONE_KEY = "d4e5f6" + "0" * 34
LONG_AGO = "2020-01-01 12:00"
SETTINGS = {
    "ACQUISITION_CHANNEL_COLUMN": "origem",
    "BUSINESS_DAYS": "sunday",
    "BUSINESS_HOURS": "10:00-12:00",
    "CUSTOMERS_ACROSS_CRMS": "true",
    "FISCAL_YEAR_START": "4",
    "GROSS_MARGIN": "0.6",
    "HUBSPOT_CURRENCY": "CHF",
    "MAX_RECORDS_PER_MATCH_KEY": "2",
    "REPORTING_CURRENCY": "EUR",
    "REPORTING_TIMEZONE": "Pacific/Kiritimati",  # 14 hours ahead
    "RESPONSE_SLA_HOURS": "2",
    "TAX_ID_COLUMNS": "nif",
    "VALUE_BANDS": "1,2",
    "WEEK_START": "sunday",
}
COLUMNS = ("created_at", "closed_at", "expected_close_date", "lost_at", "won_at")


@pytest.fixture(scope="module")
def odd(new_account: Callable[..., Account]) -> Built:
    account = new_account("odd", CUSTOM_COLUMNS)
    account.insert("users", {"id": 1, "name": "Ana"})
    account.insert("pipelines", {"id": 1, "name": "Sales"})
    account.insert("stages", {"id": 1, "name": "Demo", "pipeline_id": 1})
    account.insert("activity_types", {"id": 1, "key_string": "call", "name": "Call"})
    account.insert("activity_types", {"id": 2, "key_string": "call", "name": "Call, again"})
    deal = {"owner_id": 1, "creator_user_id": 1, "pipeline_id": 1, "stage_id": 1, "add_time": LONG_AGO}
    account.insert(
        "deals",
        {
            **deal,
            "id": 1,
            "status": "won",
            "value": Decimal("98765432109876543.21"),
            "currency": "EUR",
            "close_time": "2020-01-11 12:00",
            "won_time": "2020-01-11 12:00",
            "label_ids": [1, 1, 2],
            "budget": Decimal("0.12345678901234567"),
            "budget_currency": "BRL",
            "modules": ["A", "B"],
            "_2nd_contract": "second",
            "order": "first",
            "a" * 63: "long",
            "deal_id": "own id",
            "owner_name": "theirs",
            "custom_owner_name": "custom",
            "custom_custom_owner_name": "twice",
        },
        {**deal, "id": 2, "status": "open", "person_id": 404, "org_id": 404},
        {**deal, "id": 3, "status": "deleted", "is_deleted": True},
        {**deal, "id": 4, "status": "open", "_sdc_deleted_at": LONG_AGO},
        {**deal, "id": 5, "status": "lost", "is_archived": True, "close_time": "2019-01-01 12:00"},
        {"id": 2**63 - 1, "status": "open"},
        # an undocumented status, and impossible days
        {**deal, "id": 6, "status": "pending"},
        {**deal, "id": 7, "status": "open", "add_time": "0001-01-01 00:00", "currency": "EUR", "value": 1},
        {
            **{**deal, "id": 8, "status": "won", "currency": "EUR", "value": 1, "org_id": 404},
            **{"won_time": "9999-12-31 00:00", "close_time": "9999-12-31 00:00"},
            "expected_close_date": "9999-12-31",
        },
        # one option, read before and after its label changed
        {
            **deal,
            "id": 9,
            "status": "lost",
            "source": "Google",
            "source_id": 1163,
            "tags": ["A", "B"],
            "tags_ids": [1, 2],
        },
        {
            **deal,
            "id": 10,
            "status": "lost",
            "source": "Google Ads",
            "source_id": 1163,
            "tags": [],
            "tags_ids": [],
        },
        {**deal, "id": 11, "status": "lost", "source": "Bing", "source_id": 1164, "channel": 55},
    )
    field = {"entity": "deal", "is_custom_field": True}
    account.insert(
        "fields",
        # deleted while the state was lost, and created again: both have the column
        {
            **field,
            "field_code": GONE_KEY,
            "field_name": "Origem",
            "field_type": "enum",
            "column_name": "source",
            "_sdc_extracted_at": "2026-01-01",
        },
        {
            **field,
            "field_code": KEY,
            "field_name": "Canal de aquisição",
            "field_type": "enum",
            "column_name": "source",
            "_sdc_extracted_at": "2026-01-02",
        },
        {**field, "field_code": "f" * 40, "field_name": "Tags", "field_type": "set", "column_name": "tags"},
        {
            **field,
            "field_code": "0" * 40,
            "field_name": "Owner",
            "field_type": "text",
            "column_name": "owner_name",
        },
    )
    account.insert(
        "field_options",
        {"entity": "deal", "field_code": GONE_KEY, "option_id": "1163", "label": "Gone"},
        {"entity": "deal", "field_code": KEY, "option_id": "1163", "label": "Google Ads"},
        {"entity": "deal", "field_code": "f" * 40, "option_id": "2", "label": "Beta"},
        {"entity": "product", "field_code": "category", "option_id": "28", "label": "Hologram"},
        {"entity": "deal", "field_code": "channel", "option_id": "55", "label": "Fair"},
        {"entity": "activity", "field_code": "priority", "option_id": "12", "label": "High"},
        {"entity": "activity", "field_code": "outcome", "option_id": "15", "label": "Answered"},
    )
    account.insert("products", {"id": 1, "name": "P", "category": "28"})
    account.insert("deal_products", {"id": 1, "deal_id": 1, "product_id": 1})
    account.insert(
        "activities",
        *({"id": number, "deal_id": 1, "type": "call", "owner_id": 1} for number in range(3)),
        {"id": 3, "deal_id": 1, "is_deleted": True, "type": "no such type", "priority": 12, "outcome": 15},
        {"id": 4, "deal_id": 404},
    )
    return Built(account, account.build(*DATA_ONLY))


def test_an_empty_account_builds_without_a_warning(empty: Built) -> None:
    assert set(empty.statuses.values()) == {"success", "pass"}


def test_the_unit_tests_hold_with_the_settings_of_any_company(empty: Built) -> None:
    run = empty.account.dbt("test", "--select", "test_type:unit", **SETTINGS)
    assert run.returncode == 0, run.stdout


def test_headlines_of_an_empty_account_report_no_data(empty: Built) -> None:
    figures = empty.account.query("select position, value from marts.headline_figures order by position")
    assert figures == [(1, None), (2, None), (3, None), (4, None), (5, 0)]


def test_without_custom_fields_deals_wide_has_only_the_columns_of_deals(empty: Built) -> None:
    assert empty.account.columns("marts", "deals_wide") == empty.account.columns("marts", "fct_deals")


def test_only_hidden_records_and_odd_values_cause_warnings(odd: Built) -> None:
    warned = {name for name, status in odd.statuses.items() if status == "warn"}
    hidden = {name for name in warned if name.startswith("relationships_")}
    assert hidden == {
        "relationships_fct_deals_v1_person_id__person_id__ref_dim_persons_",
        "relationships_fct_deals_v1_organization_id__organization_id__ref_dim_organizations_",
        "relationships_fct_activities_deal_id__deal_id__ref_fct_deals_",
    }
    assert {name.partition("_status_")[0] for name in warned - hidden} == {
        "accepted_values_fct_deals_v1",
        "accepted_values_main_bi_v1",
        "accepted_values_stg_pipedrive__deals",
        "assert_every_deal_has_one_outcome",
    }


def test_deals_wide_has_every_custom_column_under_a_unique_name(odd: Built) -> None:
    fixed = odd.account.columns("marts", "fct_deals")
    wide = odd.account.columns("marts", "deals_wide")
    assert wide[: len(fixed)] == fixed
    assert wide[len(fixed) :] == [
        "budget",
        "budget_currency",
        "modules",
        "_2nd_contract",
        "order",
        "a" * 63,
        "custom_deal_id",
        "custom_owner_name_2",
        "custom_owner_name",
        "custom_custom_owner_name",
        "source",
        "source_id",
        "tags",
        "tags_ids",
    ]


def test_deals_wide_keeps_custom_values_unchanged(odd: Built) -> None:
    custom = 'budget, modules, "order", custom_deal_id, custom_owner_name_2, custom_owner_name'
    assert odd.account.query(f"select owner_name, {custom} from marts.deals_wide where deal_id = 1") == [
        ("Ana", Decimal("0.12345678901234567"), ["A", "B"], "first", "own id", "theirs", "custom")
    ]


def test_main_bi_leaves_out_deleted_deals_and_accepts_a_huge_value(odd: Built) -> None:
    rows = odd.account.query(
        "select deal_id, value, deal_duration_days, activity_count, is_archived from marts.main_bi order by 1"
    )
    assert rows == [
        (1, None, 10, 3, False),
        (2, None, None, 0, False),
        (5, None, -365, 0, True),
        (6, None, None, 0, False),
        (7, 1, None, 0, False),
        (8, 1, None, 0, False),
        (9, None, None, 0, False),
        (10, None, None, 0, False),
        (11, None, None, 0, False),
        (2**63 - 1, None, None, 0, False),
    ]


def test_facts_keep_a_huge_value_exact(odd: Built) -> None:
    values = odd.account.query("select value, weighted_value from marts.fct_deals where deal_id = 1")
    assert values == [(Decimal("98765432109876543.21"), Decimal("98765432109876543.21"))]


def test_odd_rows_stop_no_model(odd: Built) -> None:
    assert set(odd.statuses.values()) == {"success", "pass", "warn"}
    warned = {name for name, status in odd.statuses.items() if status == "warn"}
    assert "accepted_values_fct_deals_v1_status__open__won__lost__deleted" in warned
    assert odd.account.query("select status from marts.main_bi where deal_id = 6") == [("pending",)]


def test_impossible_days_are_left_out_of_series_and_durations(odd: Built) -> None:
    account, today = odd.account, datetime.now(UTC).date()
    ((first, last, days),) = account.query(
        "select min(date_day), max(date_day), count(*) from marts.dim_dates"
    )
    assert first == date(2020, 1, 1)
    assert last.year == today.year + 1
    assert days == (last - first).days + 1
    ((first, last, stages),) = account.query(
        "select min(snapshot_date), max(snapshot_date), count(distinct (stage_id, currency))"
        " from marts.pipeline_snapshot"
    )
    assert date(2019, 12, 31) <= first
    assert last in (today, today - timedelta(days=1)), "the day on which the account was built"
    assert stages <= 2
    months = (today.year - 2019) * 12
    for mart in ("sales_velocity", "customer_cohorts"):
        assert account.query(f"select count(*) <= {months} * 4 from marts.{mart}") == [(True,)], mart
    assert account.query(
        "select days_to_win, days_open, won_date, won_at::text, expected_close_date from marts.fct_deals"
        " where deal_id = 8"
    ) == [(None, None, None, "9999-12-31 00:00:00+00", date(9999, 12, 31))]
    assert account.query("select count(*) from marts.forecast where expected_close_month > '2100-01-01'") == [
        (0,)
    ]
    listed = account.query(
        "select record_id, detail from marts.data_quality_issues"
        " where rule = 'impossible_date' and record_id in ('7', '8')"
    )
    assert {number: {text for text in COLUMNS if text in detail} for number, detail in listed} == {
        "7": {"created_at"},
        "8": {"closed_at", "expected_close_date", "won_at"},
    }


def test_an_option_has_one_label_in_every_mart(odd: Built) -> None:
    assert odd.account.query(
        "select deal_id, source, tags from marts.deals_wide where deal_id in (9, 10, 11) order by 1"
    ) == [(9, "Google Ads", ["A", "Beta"]), (10, "Google Ads", []), (11, "Bing", None)]
    for labels, mart, chosen, expected in (
        ("product_category", "fct_deal_products", "product_id = 1", ("Hologram",)),
        ("category", "dim_products", "product_id = 1", ("Hologram",)),
        ("channel", "fct_deals", "deal_id = 11", ("Fair",)),
        ("channel", "deals_wide", "deal_id = 11", ("Fair",)),
        ("priority, outcome", "fct_activities", "activity_id = 3", ("High", "Answered")),
    ):
        assert odd.account.query(f"select {labels} from marts.{mart} where {chosen}") == [expected], mart


def test_the_comment_of_a_custom_column_names_its_field(odd: Built) -> None:
    comments = dict(
        odd.account.query(
            "select attname::text, col_description(attrelid, attnum) from pg_attribute"
            " where attrelid = 'marts.deals_wide'::regclass"
            " and attname in ('source', 'source_id', 'custom_owner_name_2')"
        )
    )
    assert comments == {
        "source": f"Custom field “Canal de aquisição” of type enum, key {KEY}.",
        "source_id": f"Custom field “Canal de aquisição” of type enum, key {KEY}: its id.",
        "custom_owner_name_2": (
            f"Custom field “Owner” of type text, key {'0' * 40}. Named so as the mart has owner_name itself."
        ),
    }


def test_every_description_matches_its_model(odd: Built) -> None:
    models = [node for node in odd.account.manifest()["nodes"].values() if node["resource_type"] == "model"]
    for model in models:
        actual = odd.account.columns(model["schema"], model["name"])
        documented = list(model["columns"])
        if model["name"] in ("deals_wide", "deal_stage_pivot"):
            actual = actual[:1]  # the other columns come from fct_deals and the account
        assert documented == actual, model["name"]
        assert model["description"].startswith("One row per "), model["name"]
        undescribed = [name for name, column in model["columns"].items() if not column["description"]]
        assert not undescribed, model["name"]


def test_every_model_has_a_tested_key(odd: Built) -> None:
    manifest = odd.account.manifest()
    models = {key: node for key, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    tested = {
        (test["attached_node"], test["column_name"], test["test_metadata"]["name"])
        for test in manifest["nodes"].values()
        if test["resource_type"] == "test" and test.get("attached_node")
    }
    for key, model in models.items():
        if model["name"] == "open_deals_by_day":  # a view of every day and deal, tested in `int_deal_states`
            continue
        first = next(iter(model["columns"]))
        assert {(key, first, "unique"), (key, first, "not_null")} <= tested, model["name"]
