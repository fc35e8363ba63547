"""The Monday review of an account whose week is known: its content and its formatting."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from analyze.as_of import UNKNOWN
from analyze.review import messages
from analyze.review.gather import Review, Todo, gather, week_before
from analyze.review.page import bars, page
from analyze.review.texts import Texts

from .conftest import NASTY
from .tags import Tags

ENGLISH, PORTUGUESE = Texts("en", "acme"), Texts("pt", "acme")
WEEK = week_before(datetime(2026, 6, 8, 12, tzinfo=UTC), "America/Sao_Paulo")

TABLES = """
create schema marts;
create table marts.load_completeness (stream text, verdict text, complete_as_of timestamptz);
create table marts.fct_deals (
    deal_id bigint, title text, owner_name text default 'Ana', stage_name text, currency text default 'BRL',
    value numeric default 10, organization_id bigint default 1, person_id bigint,
    expected_close_date date default '2026-07-01', next_activity_due_at timestamptz default '2026-06-09Z',
    created_at timestamptz default '2026-01-01Z', updated_at timestamptz default '2026-06-07Z',
    last_activity_done_at timestamptz, is_open boolean default true, is_rotten boolean default false,
    is_archived boolean default false, is_deleted boolean default false
);
create table marts.deal_slippage (
    deal_id bigint, change_number bigint, old_expected_close_date date, expected_close_date date, changed_date date
);
create table marts.pipeline_movement (
    currency text, movement text, movement_count bigint, deal_count bigint, value numeric, movement_date date
);
create table marts.data_quality_issues (
    rule text, crm text, entity text, record_id text, record_name text, related_record_id text
);
create table marts.dim_organizations (organization_id bigint, owner_name text);
create table marts.dim_persons (person_id bigint, owner_name text);
"""
"""The mart columns that the review reads, by default for a deal that needs no action."""

DEALS = """
insert into marts.fct_deals (deal_id, title) values (1, 'Well');
-- untouched for 31 days where the company reports, and for 30
insert into marts.fct_deals (deal_id, title, updated_at) values
    (2, 'Stale', '2026-05-08T02:00Z'),
    (3, 'Just not', '2026-05-09T04:00Z');
insert into marts.fct_deals (deal_id, title, owner_name, is_rotten) values (4, 'Rotten', 'Bia', true);
-- nothing is there
insert into marts.fct_deals values
    (5, null, null, null, null, null, null, null, null, null, '2026-06-07Z', null);
-- expected yesterday, and today
insert into marts.fct_deals (deal_id, title, owner_name, currency, expected_close_date) values
    (6, 'Late', 'Bia', 'USD', '2026-06-07'),
    (7, 'Due', 'Bia', 'USD', '2026-06-08');
-- nobody has to do anything
insert into marts.fct_deals (
    deal_id, title, expected_close_date, next_activity_due_at, updated_at,
    is_rotten, is_open, is_archived, is_deleted
) values
    (8, 'Won', '2020-01-01', null, '2020-01-01Z', true, false, false, false),
    (9, 'Archived', '2020-01-01', null, '2020-01-01Z', true, true, true, false),
    (10, 'Deleted', '2020-01-01', null, '2020-01-01Z', true, true, false, true);
insert into marts.deal_slippage values
    (1, 1, '2026-06-01', '2026-06-20', '2026-06-01'),
    (1, 2, '2026-06-20', '2026-07-01', '2026-06-07'),
    (2, 1, '2026-06-01', '2026-07-01', '2026-05-31'),
    (3, 1, '2026-06-01', '2026-07-01', '2026-06-08'),
    (4, 1, '2026-07-02', '2026-07-01', '2026-06-03'),
    (5, 1, '2026-06-10', null, '2026-06-03'),
    (6, 1, null, '2026-06-07', '2026-06-03'),
    (8, 1, '2026-06-01', '2026-07-01', '2026-06-03');
insert into marts.data_quality_issues values
    ('duplicate', 'pipedrive', 'organizations', '12', 'Acme Ltda', '11'),
    ('duplicate', 'pipedrive', 'persons', '22', 'Ana', '21'),
    ('duplicate', 'pipedrive', 'persons', '21', 'Ana', '21'),
    ('duplicate', 'hubspot', 'companies', '13', 'Acme', '11'),
    ('missing_name', 'pipedrive', 'persons', '23', null, null);
insert into marts.dim_organizations values (11, 'Ana'), (12, 'Bia'), (22, 'Ana');
insert into marts.dim_persons values (21, 'Ana'), (12, 'Ana');
insert into marts.load_completeness values ('deals', 'complete', '2026-06-08T04:00Z');
"""

MOVEMENTS = """
insert into marts.pipeline_movement values
    ('BRL', 'created', 3, 3, 300, '2026-05-31'),
    ('BRL', 'won', 1, -1, -50, '2026-05-31'),
    ('BRL', 'created', 1, 1, 40.50, '2026-06-01'),
    ('BRL', 'value_changed', 2, 0, -10, '2026-06-03'),
    ('BRL', 'won', 1, -1, -100, '2026-06-07'),
    ('BRL', 'deleted', 1, -1, -30, '2026-06-05'),
    ('BRL', 'lost', 1, -1, -7, '2026-06-08'),
    ('USD', 'created', 1, 1, 5, '2026-01-01'),
    ('EUR', 'created', 1, 1, 5, '2026-01-01'),
    ('EUR', 'lost', 1, -1, -5, '2026-01-02'),
    (null, 'created', 1, 1, 0, '2026-06-07');
"""


def made(database: str, *scripts: str) -> Review:
    with psycopg.connect(database, autocommit=True) as connection:
        for script in (TABLES, *scripts):
            connection.execute(script.encode())
        return gather(connection, WEEK)


def todo(review: Review, name: str) -> dict[str | None, list[int]]:
    """Return ids of the records in a section by owner."""
    (found,) = (each for each in review.todos if each.section.name == name)
    return {owner: [int(record["id"]) for record in records] for owner, records in found.by_owner.items()}


@pytest.mark.parametrize(
    ("now", "timezone", "first"),
    [
        ("2026-06-08T12:00Z", "UTC", "2026-06-01"),
        ("2026-06-14T23:59Z", "UTC", "2026-06-01"),
        ("2026-06-08T02:00Z", "America/Sao_Paulo", "2026-05-25"),
        ("2026-06-07T16:00Z", "Asia/Tokyo", "2026-06-01"),
    ],
)
def test_the_week_is_the_last_complete_one(now: str, timezone: str, first: str) -> None:
    week = week_before(datetime.fromisoformat(now), timezone)
    assert (week.first.isoformat(), week.first.weekday(), week.last.weekday()) == (first, 0, 6)


def test_each_owner_gets_their_own_deals(database: str) -> None:
    review = made(database, DEALS)
    assert todo(review, "stale") == {"Bia": [4], "Ana": [2]}
    assert todo(review, "slipped") == {"Ana": [1], None: [5]}
    assert todo(review, "overdue") == {"Bia": [6]}
    assert todo(review, "no_next_activity") == {None: [5]}
    assert todo(review, "missing") == {None: [5]}
    assert todo(review, "duplicates") == {"Bia": [12], None: [22]}
    assert review.owners == ["Ana", "Bia", None]
    assert not review.is_outdated
    (slipped,) = (each for each in review.todos if each.section.name == "slipped")
    assert slipped.by_owner["Ana"][0]["was"].isoformat() == "2026-06-01"
    (missing,) = (each for each in review.todos if each.section.name == "missing")
    assert missing.by_owner[None][0]["missing"] == ["value", "expected_close_date", "customer", "owner"]


def test_the_bridge_adds_up_the_movements_of_the_week(database: str) -> None:
    real, dollars, without = made(database, MOVEMENTS).bridges
    steps = [(ENGLISH.text(step.label), step.deals, step.value) for step in real.steps]
    assert steps == [
        ("open before", 2, Decimal(250)),
        ("created", 1, Decimal("40.50")),
        ("value changed", 2, Decimal(-10)),
        ("won", -1, Decimal(-100)),
        ("lost", 0, 0),
        ("deleted or archived", -1, Decimal(-30)),
        ("open after", 1, Decimal("150.50")),
    ]
    assert [(left, width) for _, left, width in bars(real)] == [
        (0, 86.06),
        (86.06, 13.94),
        (96.56, 3.44),
        (62.13, 34.42),
        (62.13, 0),
        (51.81, 10.33),
        (0, 51.81),
    ]
    assert (without.currency, without.has_moved, without.steps[-1].deals) == (None, True, 1)
    assert all((left, width) == (0, 0) for _, left, width in bars(without))
    assert (dollars.currency, dollars.has_moved) == ("USD", False)
    assert [step.value for step in dollars.steps] == [5, 0, 0, 0, 0, 5]


@pytest.mark.parametrize("texts", [ENGLISH, PORTUGUESE], ids=["en", "pt"])
def test_an_account_without_deals_gets_a_note(database: str, texts: Texts) -> None:
    review = made(database)
    assert (review.bridges, review.owners, review.is_outdated) == ((), [], False)
    for said in (page(review, texts), messages.plain(review, texts)):
        for word in ("no_deals", "nothing"):
            assert texts.word(word) in said
        assert texts.text(UNKNOWN) in said


def test_a_week_that_was_loaded_too_early_gets_a_note(database: str) -> None:
    review = made(
        database,
        """
        insert into marts.load_completeness values
            ('deals', 'complete', '2026-06-08T02:59Z'),
            ('users', 'complete', '2026-06-08T03:30Z'),
            ('activities', 'unfinished', '2026-06-01T00:00Z'),
            ('notes', 'missing', null)
        """,
    )
    assert review.is_outdated
    assert ENGLISH.word("too_old") in page(review, ENGLISH)
    said = messages.plain(review, PORTUGUESE)
    assert "Completo até 08/06/2026 02:59 UTC, exceto atividades (incompleta)." in said
    assert PORTUGUESE.word("too_old") in said


def test_figures_and_days_are_formatted_for_each_language(database: str) -> None:
    review = made(
        database, DEALS, MOVEMENTS, "update marts.fct_deals set value = 1234567.5 where deal_id = 4"
    )
    english, portuguese = page(review, ENGLISH), page(review, PORTUGUESE)
    assert "1,234,567.50 BRL" in english
    assert "1.234.567,50 BRL" in portuguese
    assert "Week of 2026-06-01 to 2026-06-07" in english
    assert "Semana de 01/06/2026 a 07/06/2026" in portuguese
    assert "no currency" in english
    assert "value, expected close date, organization or person, owner" in english
    assert "unnamed (#5)" in english
    assert "Ninguém" in portuguese


def nasty(database: str, name: str) -> Review:
    script = "update marts.fct_deals set title = {0}, owner_name = {0}, stage_name = {0}, currency = {0};"
    script += "update marts.pipeline_movement set currency = {0};"
    script += "update marts.data_quality_issues set record_name = {0}"
    return made(database, DEALS, MOVEMENTS, script.format("'" + name.replace("'", "''") + "'"))


def test_nasty_names_are_shown_as_text(database: str) -> None:
    name = NASTY + "]](https://evil.example) <!channel> @all <users/all> |x> *b*"
    review = nasty(database, name)
    seen = Tags(page(review, ENGLISH))
    assert seen.tags.isdisjoint({"script", "img", "iframe"})
    assert {link.partition("#")[0].rpartition("/")[0] for link in seen.links} == {
        "",
        *(f"https://acme.pipedrive.com/{kind}" for kind in ("deal", "person", "organization")),
    }
    assert name in seen.text
    for block in messages.slack(review, ENGLISH)["blocks"]:
        shown = block["text"]["text"].replace("<https://acme.pipedrive.com/", "")
        assert "<" not in shown
    assert "@all" not in (text := messages.text(review, ENGLISH)["text"])
    assert "<" not in text
    (card,) = messages.teams(review, ENGLISH)["attachments"]
    body = "".join(block["text"] for block in card["content"]["body"])
    assert "](https://evil" not in body
    assert r"\]\]\(https" in body


def test_without_the_companys_domain_ids_have_no_links(database: str) -> None:
    review = made(database, DEALS)
    seen = Tags(page(review, Texts("en")))
    assert all(link.startswith("#") for link in seen.links)
    assert "Late (#6)" in seen.text
    assert "https:" not in messages.plain(review, Texts("en"))


def test_messages_of_a_large_company_fit(database: str) -> None:
    name = "<&ã>" * 60
    review = made(database, DEALS)
    record = {"kind": "deal", "id": 1, "name": name}
    owners: dict[str | None, list[Any]] = {f"{name} {number}": [record] * 9 for number in range(300)}
    large = review._replace(todos=tuple(Todo(each.section, owners) for each in review.todos))
    slack = messages.slack(large, ENGLISH)
    assert len(slack["blocks"]) <= 50
    assert all(len(block["text"]["text"]) <= 3000 for block in slack["blocks"])
    assert slack["blocks"][-1]["text"]["text"] == "and 258 more owners, who are on the page"
    teams = messages.teams(large, ENGLISH)
    assert len(json.dumps(teams).encode()) < 28_000
    assert "more owners" in teams["attachments"][0]["content"]["body"][-1]["text"]


def test_the_review_of_an_account_equals_its_open_deals(connection: psycopg.Connection) -> None:
    week = week_before(datetime.now(UTC), "UTC")
    review = gather(connection, week)
    before, after = (
        {
            currency: (count, value)
            for currency, count, value in connection.execute(
                "select currency, count(*), sum(value) from marts.open_deals_by_day"
                " where snapshot_date = %s group by currency",
                [day],
            ).fetchall()
        }
        for day in (week.first - timedelta(days=1), week.last)
    )
    assert before
    for bridge in review.bridges:
        assert (bridge.steps[0].deals, bridge.steps[0].value) == before.pop(bridge.currency, (0, 0))
        assert (bridge.steps[-1].deals, bridge.steps[-1].value) == after.pop(bridge.currency, (0, 0))
        inner = bridge.steps[1:-1]
        assert bridge.steps[0].value + sum(step.value for step in inner) == bridge.steps[-1].value
    assert before == after == {}
    open_deals = "from pipedrive.deals where status = 'open' and not (is_archived or is_deleted)"
    truth = {
        "overdue": f"select id {open_deals} and expected_close_date::date < %(today)s",
        "no_next_activity": f"select id {open_deals} and id not in"
        " (select deal_id from pipedrive.activities where deal_id is not null and not (done or is_deleted))",
    }
    for name, statement in truth.items():
        wanted = {deal for (deal,) in connection.execute(statement.encode(), week._asdict()).fetchall()}
        found = {deal for deals in todo(review, name).values() for deal in deals}
        assert found == wanted, name
    assert todo(review, "overdue")
    assert todo(review, "no_next_activity")
    assert todo(review, "duplicates")
