"""Settings about customers: the field of their acquisition channel, and the gross margin."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrate import environment

from .conftest import Account

NAMES_THE_COLUMN = "ACQUISITION_CHANNEL_COLUMN"
STAGED = ("deals", "fields", "field_columns", "field_options", "persons")
SELECTED = ("run", "--select", *(f"stg_pipedrive__{name}" for name in STAGED))


@pytest.fixture(scope="module")
def account(new_account: Callable[..., Account]) -> Account:
    account = new_account("channels", {"source": "text", "Sources": "jsonb", "score": "numeric"})
    account.insert(
        "deals",
        {"id": 1, "channel": 7, "source": " Google ADS ", "Sources": ["Google", "Fair"], "score": 7},
        {"id": 2, "channel": 8, "source": "", "Sources": []},
        {"id": 3, "source": "Indicação"},
    )
    account.execute("""update pipedrive.deals set "Sources" = 'null' where id = 3""")
    account.insert(
        "field_options", {"entity": "deal", "field_code": "channel", "option_id": "7", "label": "Web"}
    )
    return account


@pytest.mark.parametrize(
    ("column", "channels"),
    [
        ("", ["web", "unknown", "unknown"]),
        ("source", ["google ads", "unknown", "indicação"]),
        ("Sources", ['["google", "fair"]', "[]", "unknown"]),
        ("score", ["7", "unknown", "unknown"]),
    ],
)
def test_any_column_of_the_deals_can_hold_the_channel(
    account: Account, column: str, channels: list[str]
) -> None:
    run = account.dbt(*SELECTED, "int_pipedrive_customer_deals", **{NAMES_THE_COLUMN: column})
    assert run.returncode == 0, run.stdout
    found = account.query("select channel from intermediate.int_pipedrive_customer_deals order by deal_id")
    assert [channel for (channel,) in found] == channels


def test_a_missing_channel_column_is_reported_in_one_error(account: Account) -> None:
    run = account.dbt(*SELECTED, **{NAMES_THE_COLUMN: "no such column"})
    assert run.returncode != 0
    assert (
        "The raw table of deals has no column 'no such column' to take as acquisition_channel_column."
        in run.stdout
    )


def test_the_channel_column_may_be_missing_before_the_first_load(new_account: Callable[..., Account]) -> None:
    account = new_account("channels_to_come")
    account.execute("drop schema pipedrive cascade")
    run = account.dbt(*SELECTED, **{NAMES_THE_COLUMN: "source"})
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("margin", ["60", "0,6"])
def test_an_invalid_gross_margin_is_reported_in_one_error(account: Account, margin: str) -> None:
    run = account.dbt("parse", GROSS_MARGIN=margin)
    assert run.returncode != 0
    assert f"gross_margin is a share from 0 to 1, such as 0.6, not '{margin}'." in run.stdout


@pytest.mark.parametrize("margin", [".7", "1.", "0.60"])
def test_every_margin_that_make_run_accepts_is_a_number_to_postgres(account: Account, margin: str) -> None:
    environment.check({"GROSS_MARGIN": margin})
    run = account.dbt("compile", "--inline", "select {{ gross_margin() }}", GROSS_MARGIN=margin)
    assert run.returncode == 0, run.stdout
    assert account.query(f"select {margin}::numeric <= 1") == [(True,)]
