"""Sends the review to a webhook or by SMTP."""

import smtplib
import ssl
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

import requests

SECONDS = 60
"""The longest time in seconds that a receiver may take."""

PORTS = {"smtp": 587, "smtps": 465}


class SendError(Exception):
    """The reason why a message did not arrive, in one sentence without the secrets in an address."""


def post(url: str, message: dict[str, Any]) -> None:
    """Post a message to a webhook.

    Args:
        url: The webhook; its path is a secret.
        message: The body of the request.

    Raises:
        SendError: The webhook does not answer, or refuses.
    """
    try:
        answer = requests.post(url, json=message, timeout=SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        raise SendError(
            f"The webhook of the review does not answer ({type(error).__name__}): check REVIEW_WEBHOOK_URL."
        ) from None
    if not 200 <= answer.status_code < 300:
        said = " ".join(answer.text.split())[:200]
        raise SendError(
            f"The webhook of the review refuses the message with status {answer.status_code} ({said}): "
            "check REVIEW_WEBHOOK_URL and REVIEW_WEBHOOK_FORMAT."
        )


def mail(url: str, message: EmailMessage) -> None:
    """Send an e-mail.

    Args:
        url: `smtps://user:password@host:465`, or `smtp://…:587` for STARTTLS, which the server has to offer
    if there
            is a password.
        message: The e-mail.

    Raises:
        SendError: The server does not answer, or refuses.
    """
    parts = urlsplit(url)
    try:
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    except (KeyError, ValueError):
        raise SendError("REVIEW_SMTP_URL is not of the form smtp://user:password@host:587.") from None
    context = ssl.create_default_context()
    try:
        with (
            smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=context)
            if parts.scheme == "smtps"
            else smtplib.SMTP(host, port, timeout=SECONDS)
        ) as server:
            if parts.scheme == "smtp":
                server.ehlo()
                if server.has_extn("starttls"):
                    server.starttls(context=context)
                elif parts.password:
                    raise SendError(
                        f"The mail server {host} offers no encryption, and REVIEW_SMTP_URL has a password: "
                        "take smtps:// or a server with STARTTLS."
                    )
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            refused = server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise SendError(f"The mail server {host} does not take the review: {_reason(error)}.") from None
    if refused:
        raise SendError(f"The mail server {host} refuses some receivers of the review: {', '.join(refused)}.")


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        if isinstance(said, bytes):
            said = said.decode(errors="replace")
        return f"{error.smtp_code} {said}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"it refuses {', '.join(error.recipients)}"
    return str(error) or type(error).__name__
