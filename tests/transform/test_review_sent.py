"""`make review`: the page is private, and the message goes to the configured receivers only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict

from analyze.review.gather import definitions
from orchestrate import environment, masking
from orchestrate import review as command

from .conftest import Account as Warehouse
from .tags import Tags


@contextmanager
def webhook(status: int = 200) -> Iterator[tuple[str, list[Any]]]:
    """A webhook receiver on its own port, with the messages that it received."""
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
    """Stores the messages that an SMTP server accepts; it refuses one receiver."""

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
    """An SMTP server on its own port, with the messages that it received."""
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
    """A function that runs `make review` on the account's warehouse with these settings."""
    url = conninfo_to_dict(account_of_today.url)
    target = {
        f"TARGET_POSTGRES_{name}": str(url[part])
        for name, part in (("HOST", "host"), ("PORT", "port"), ("USER", "user"), ("PASSWORD", "password"))
    }
    target["TARGET_POSTGRES_DATABASE"] = str(url["dbname"])
    monkeypatch.setattr(command, "PAGE", tmp_path / "review" / "index.html")
    monkeypatch.setattr(masking, "_secrets", [])
    monkeypatch.setattr(command, "end_by_exception", lambda: None)  # the test runner handles signals

    def run(**settings: str) -> Any:
        monkeypatch.setattr(environment, "settings", lambda: target | settings)
        return CliRunner().invoke(command.main)

    return run


@pytest.mark.parametrize("form", ["text", "slack", "teams"])
def test_the_page_is_private_and_the_message_arrives(run: Run, form: str) -> None:
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


def test_nothing_is_sent_unless_it_is_configured(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something was sent")

    monkeypatch.setattr(command, "post", refuse)
    monkeypatch.setattr(command, "mail", refuse)
    result = run(REVIEW_EMAIL_TO="ana@example.com", REVIEW_WEBHOOK_FORMAT="slack")
    assert result.exit_code == 0, result.output
    assert result.output == f"Open in a browser: {command.PAGE}\n"


def test_the_role_that_builds_the_models_reads_them(run: Run, account_of_today: Warehouse) -> None:
    """The role that loads may not."""
    url = conninfo_to_dict(account_of_today.url)
    roles = {"DBT_POSTGRES_USER": str(url["user"]), "DBT_POSTGRES_PASSWORD": str(url["password"])}
    result = run(TARGET_POSTGRES_USER="loader_without_rights", **roles)
    assert result.exit_code == 0, result.output


def test_a_failing_receiver_does_not_stop_the_others(run: Run) -> None:
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


def test_a_password_is_not_sent_without_encryption(run: Run) -> None:
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
        ({"PIPEDRIVE_COMPANY_DOMAIN": "https://acme"}, "use the part before .pipedrive.com"),
        ({"REVIEW_SMTP_URL": "smtp://x"}, "set REVIEW_EMAIL_FROM and REVIEW_EMAIL_TO as well"),
        ({"TARGET_POSTGRES_DATABASE": "postgres"}, "does not exist. Run `make run` first"),
        ({"REVIEW_WEBHOOK_URL": "http://127.0.0.1:1/secret"}, "does not answer (ConnectionError)"),
    ],
)
def test_wrong_settings_are_reported_in_one_sentence(
    run: Run, settings: dict[str, str], sentence: str
) -> None:
    result = run(**settings)
    assert result.exit_code == 1
    assert sentence in result.output
    assert "secret" not in result.output


def test_links_use_the_taps_own_address() -> None:
    address = {"TAP_PIPEDRIVE_API_URL": "https://acme.pipedrive.com"}
    assert command.texts_of(address).link("deal", 7) == "https://acme.pipedrive.com/deal/7"
    for other in (
        "https://api.pipedrive.com",
        "http://127.0.0.1:8765",
        "https://acme.pipedrive.com.evil.example",
    ):
        assert command.texts_of({"TAP_PIPEDRIVE_API_URL": other}).link("deal", 7) == ""
