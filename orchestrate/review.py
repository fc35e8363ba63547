"""`make review` writes the Monday review as a page, and sends it to the receivers in `.env`."""

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, get_args
from urllib.parse import urlsplit

import click
import psycopg
from postgres_sessions import as_transformer

from analyze.files import write_private
from analyze.review import messages
from analyze.review.gather import Language, Review, gather, week_before
from analyze.review.page import page
from analyze.review.send import SendError, mail, post
from analyze.review.texts import Texts
from orchestrate import database, environment, masking
from orchestrate.errors import RunError
from orchestrate.output import say
from orchestrate.paths import RUN
from orchestrate.processes import end_by_exception
from orchestrate.warehouse import embedded_postgres

VARIABLES = (
    "PIPEDRIVE_COMPANY_DOMAIN",
    "REVIEW_LANGUAGE",
    "REVIEW_WEBHOOK_URL",
    "REVIEW_WEBHOOK_FORMAT",
    "REVIEW_SMTP_URL",
    "REVIEW_EMAIL_FROM",
    "REVIEW_EMAIL_TO",
)
"""The variables that this command reads from `.env` and the environment."""

PAGE = RUN / "review" / "index.html"

FORMATS: dict[str, Callable[[Review, Texts], dict[str, Any]]] = {
    "text": messages.text,
    "slack": messages.slack,
    "teams": messages.teams,
}


@click.command()
def main() -> None:
    """Write the review of last week, and send it to the configured receivers."""
    end_by_exception()
    variables = environment.settings()
    masking.learn(variables)
    environment.check(variables)
    texts = texts_of(variables)
    with ExitStack() as cleanup:
        if not variables.get("TARGET_POSTGRES_HOST"):
            variables |= cleanup.enter_context(embedded_postgres())
            masking.learn(variables)
        with database.connected(as_transformer(variables)) as connection:
            review = _gather(connection, variables.get("REPORTING_TIMEZONE") or "UTC")
    write_private(PAGE, page(review, texts))
    say(f"Open in a browser: {PAGE}")
    send(review, texts, variables)


def texts_of(variables: Mapping[str, str]) -> Texts:
    """Return the language and the links of the review. Raises RunError if a setting is wrong."""
    language = variables.get("REVIEW_LANGUAGE", "en")
    if language not in get_args(Language):
        raise RunError(f"REVIEW_LANGUAGE is {language}: take {' or '.join(get_args(Language))}.")
    if (form := variables.get("REVIEW_WEBHOOK_FORMAT", "text")) not in FORMATS:
        raise RunError(f"REVIEW_WEBHOOK_FORMAT is {form}: take one of {', '.join(FORMATS)}.")
    if variables.get("REVIEW_SMTP_URL") and not (
        variables.get("REVIEW_EMAIL_FROM") and variables.get("REVIEW_EMAIL_TO")
    ):
        raise RunError("REVIEW_SMTP_URL is set: set REVIEW_EMAIL_FROM and REVIEW_EMAIL_TO as well.")
    return Texts("pt" if language == "pt" else "en", _company_domain(variables))


def _company_domain(variables: Mapping[str, str]) -> str:
    """Return the company's name before `.pipedrive.com`, if it is known."""
    if domain := variables.get("PIPEDRIVE_COMPANY_DOMAIN", ""):
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", domain):
            raise RunError(
                f"PIPEDRIVE_COMPANY_DOMAIN is {domain}: use the part before .pipedrive.com, such as acme."
            )
        return domain
    host = urlsplit(variables.get("TAP_PIPEDRIVE_API_URL", "")).hostname or ""
    found = re.fullmatch(r"(?!api\.)([a-z0-9-]+)\.pipedrive\.com", host)
    return found[1] if found else ""


def _gather(connection: psycopg.Connection, timezone: str) -> Review:
    try:
        return gather(connection, week_before(datetime.now(UTC), timezone))
    except psycopg.Error as error:
        said = str(error).partition("\n")[0]
        raise RunError(f"The review could not be written: {said}. Run `make run` first.") from None


def send(review: Review, texts: Texts, variables: Mapping[str, str]) -> None:
    """Send the review to the configured webhook and e-mail addresses, if there are any.

    Raises:
        RunError: One of them did not accept it; the other was tried nevertheless.
    """
    problems = []
    if url := variables.get("REVIEW_WEBHOOK_URL"):
        form = FORMATS[variables.get("REVIEW_WEBHOOK_FORMAT", "text")]
        try:
            post(url, form(review, texts))
            say("Sent to the webhook")
        except SendError as error:
            problems.append(str(error))
    if url := variables.get("REVIEW_SMTP_URL"):
        sender, receivers = variables["REVIEW_EMAIL_FROM"], variables["REVIEW_EMAIL_TO"]
        try:
            mail(url, messages.email(review, texts, sender, receivers))
            say(f"Sent to {receivers}")
        except ValueError as error:
            problems.append(f"REVIEW_EMAIL_FROM or REVIEW_EMAIL_TO is not an e-mail address: {error}.")
        except SendError as error:
            problems.append(str(error))
    if problems:
        raise RunError(" ".join(problems))


if __name__ == "__main__":
    main()
