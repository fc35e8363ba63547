"""The Monday review: what it says of an account whose week is known, how it is written, and whom it reaches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email import message_from_bytes, policy
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
from aiosmtpd.smtp import SMTP
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict

from analyze.review import messages
from analyze.review.gather import Review, Todo, definitions, gather, week_before
from analyze.review.page import bars, page
from analyze.review.texts import Texts
from orchestrate import environment, masking
from orchestrate import review as command

from .conftest import NASTY
from .conftest import Account as Warehouse

ENGLISH, PORTUGUESE = Texts("en", "acme"), Texts("pt", "acme")
WEEK = week_before(datetime(2026, 6, 8, 12, tzinfo=UTC), "America/Sao_Paulo")

TABLES = """
create schema marts;
create schema staging;
create table staging.stg_pipedrive__deals (_sdc_extracted_at timestamptz);
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
"""The columns of the marts that the review reads, by default of a deal for which nothing has to be done."""

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
insert into staging.stg_pipedrive__deals values ('2026-06-08T04:00Z');
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
    """Ids of the records of a section, by owner."""
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
def test_the_week_is_the_last_one_that_is_over(now: str, timezone: str, first: str) -> None:
    week = week_before(datetime.fromisoformat(now), timezone)
    assert (week.first.isoformat(), week.first.weekday(), week.last.weekday()) == (first, 0, 6)


def test_everybody_gets_what_is_theirs(database: str) -> None:
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


def test_the_bridge_leads_from_before_the_week_to_after_it(database: str) -> None:
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
def test_an_account_in_which_there_is_nothing_is_told_so(database: str, texts: Texts) -> None:
    review = made(database)
    assert (review.bridges, review.owners, review.is_outdated) == ((), [], False)
    for said in (page(review, texts), messages.plain(review, texts)):
        for word in ("never_read", "no_deals", "nothing"):
            assert texts.word(word) in said


def test_a_week_that_was_read_too_early_is_told_so(database: str) -> None:
    review = made(database, "insert into staging.stg_pipedrive__deals values ('2026-06-08T02:59Z')")
    assert review.is_outdated
    assert ENGLISH.word("too_old") in page(review, ENGLISH)
    assert PORTUGUESE.word("too_old") in messages.plain(review, PORTUGUESE)


def test_figures_and_days_are_written_as_in_each_language(database: str) -> None:
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


class Tags(HTMLParser):
    """What a browser makes of a page: tags and links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def nasty(database: str, name: str) -> Review:
    script = "update marts.fct_deals set title = {0}, owner_name = {0}, stage_name = {0}, currency = {0};"
    script += "update marts.pipeline_movement set currency = {0};"
    script += "update marts.data_quality_issues set record_name = {0}"
    return made(database, DEALS, MOVEMENTS, script.format("'" + name.replace("'", "''") + "'"))


def test_nasty_names_stay_text(database: str) -> None:
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


def test_without_the_companys_domain_there_are_ids_and_no_links(database: str) -> None:
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


# The command, on a real account


@contextmanager
def webhook(status: int = 200) -> Iterator[tuple[str, list[Any]]]:
    """A receiver on a port of its own, and what it got."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"invalid_blocks" if status != 200 else b"ok")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/secret", got
    server.shutdown()
    server.server_close()
    thread.join()


class Mailbox:
    """Keeps what an SMTP server takes, which is nothing for one receiver."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    async def handle_RCPT(self, *arguments: Any) -> str:  # noqa: N802  # a name that aiosmtpd asks for
        _, _, envelope, address, _ = arguments
        if address.startswith("nobody"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, *arguments: Any) -> str:  # noqa: N802
        envelope = arguments[2]
        self.got.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 OK"


@contextmanager
def mail_server() -> Iterator[tuple[str, list[Any]]]:
    """An SMTP server on a port of its own, and what it got."""
    mailbox, loop = Mailbox(), asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: SMTP(mailbox), "127.0.0.1", 0))
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", mailbox.got
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


Run = Callable[..., Any]


@pytest.fixture
def run(account_of_today: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `make review` on the account's warehouse with these settings."""
    url = conninfo_to_dict(account_of_today.url)
    target = {
        f"TARGET_POSTGRES_{name}": str(url[part])
        for name, part in (("HOST", "host"), ("PORT", "port"), ("USER", "user"), ("PASSWORD", "password"))
    }
    target["TARGET_POSTGRES_DATABASE"] = str(url["dbname"])
    monkeypatch.setattr(command, "PAGE", tmp_path / "review" / "index.html")
    monkeypatch.setattr(masking, "_secrets", [])
    monkeypatch.setattr(command, "end_by_exception", lambda: None)  # signals are the test runner's

    def run(**settings: str) -> Any:
        monkeypatch.setattr(environment, "settings", lambda: target | settings)
        return CliRunner().invoke(command.main)

    return run


def test_review_of_an_account_agrees_with_its_open_deals(connection: psycopg.Connection) -> None:
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


@pytest.mark.parametrize("form", ["text", "slack", "teams"])
def test_page_is_private_and_the_message_arrives(run: Run, form: str) -> None:
    with webhook() as (url, posted), mail_server() as (host, mailed):
        result = run(
            REVIEW_LANGUAGE="pt",
            PIPEDRIVE_COMPANY_DOMAIN="acme",
            REVIEW_WEBHOOK_URL=url,
            REVIEW_WEBHOOK_FORMAT=form,
            REVIEW_SMTP_URL=f"smtp://{host}",
            REVIEW_EMAIL_FROM="Warehouse <warehouse@example.com>",
            REVIEW_EMAIL_TO="ana@example.com, bia@example.com",
        )
    assert result.exit_code == 0, result.output
    assert "secret" not in result.output
    assert command.PAGE.stat().st_mode & 0o777 == 0o600
    html = command.PAGE.read_text()
    assert Tags(html).tags.isdisjoint({"script", "img"})
    for section in definitions().sections:
        assert section.title.pt in html
    ((receivers, email),) = mailed
    assert receivers == ["ana@example.com", "bia@example.com"]
    assert email["Subject"].startswith("Revisão de segunda-feira: Semana de ")
    assert email.get_body(("html",)).get_content().split() == html.split()
    assert "https://acme.pipedrive.com/deal/" in email.get_body(("plain",)).get_content()
    (message,) = posted
    assert {"text": "text", "slack": "blocks", "teams": "attachments"}[form] in message
    assert "https://acme.pipedrive.com/deal/" in json.dumps(message)


def test_nothing_is_sent_unless_it_is_set(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something was sent")

    monkeypatch.setattr(command, "post", refuse)
    monkeypatch.setattr(command, "mail", refuse)
    result = run(REVIEW_EMAIL_TO="ana@example.com", REVIEW_WEBHOOK_FORMAT="slack")
    assert result.exit_code == 0, result.output
    assert result.output == f"Open in a browser: {command.PAGE}\n"


def test_one_that_fails_keeps_nobody_else_from_the_review(run: Run) -> None:
    with webhook(400) as (url, _), mail_server() as (host, mailed):
        result = run(
            REVIEW_WEBHOOK_URL=url,
            REVIEW_SMTP_URL=f"smtp://{host}",
            REVIEW_EMAIL_FROM="warehouse@example.com",
            REVIEW_EMAIL_TO="ana@example.com, nobody@example.com",
        )
    assert result.exit_code == 1
    assert "refuses the message with status 400 (invalid_blocks)" in result.output
    assert "refuses some receivers of the review: nobody@example.com" in result.output
    assert "secret" not in result.output
    assert len(mailed) == 1
    assert command.PAGE.exists()


def test_a_password_goes_over_no_open_wire(run: Run) -> None:
    with mail_server() as (host, mailed):
        result = run(
            REVIEW_SMTP_URL=f"smtp://ana:geheim%20wort@{host}",
            REVIEW_EMAIL_FROM="warehouse@example.com",
            REVIEW_EMAIL_TO="ana@example.com",
        )
    assert "offers no encryption, and REVIEW_SMTP_URL has a password" in result.output
    assert mailed == []


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"REVIEW_LANGUAGE": "de"}, "REVIEW_LANGUAGE is de: take en or pt"),
        ({"REVIEW_WEBHOOK_FORMAT": "x"}, "REVIEW_WEBHOOK_FORMAT is x: take one of text, slack, teams"),
        ({"PIPEDRIVE_COMPANY_DOMAIN": "https://acme"}, "take what stands before .pipedrive.com"),
        ({"REVIEW_SMTP_URL": "smtp://x"}, "set REVIEW_EMAIL_FROM and REVIEW_EMAIL_TO as well"),
        ({"TARGET_POSTGRES_DATABASE": "postgres"}, "does not exist. Run `make run` first"),
        ({"REVIEW_WEBHOOK_URL": "http://127.0.0.1:1/secret"}, "does not answer (ConnectionError)"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(run: Run, settings: dict[str, str], sentence: str) -> None:
    result = run(**settings)
    assert result.exit_code == 1
    assert sentence in result.output
    assert "secret" not in result.output


def test_links_come_from_the_taps_own_address_too() -> None:
    address = {"TAP_PIPEDRIVE_API_URL": "https://acme.pipedrive.com"}
    assert command.texts_of(address).link("deal", 7) == "https://acme.pipedrive.com/deal/7"
    for other in (
        "https://api.pipedrive.com",
        "http://127.0.0.1:8765",
        "https://acme.pipedrive.com.evil.example",
    ):
        assert command.texts_of({"TAP_PIPEDRIVE_API_URL": other}).link("deal", 7) == ""
