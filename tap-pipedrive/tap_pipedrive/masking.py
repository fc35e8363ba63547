"""Keeps secrets out of every message of the tap, as servers may repeat them in a body or a reason phrase."""

import logging
import re
from typing import Any
from urllib.parse import quote

SHORT = 8
"""Secrets with fewer characters are masked only where they stand alone: others would tear words apart."""

_secrets: set[str] = set()
_make_record = logging.getLogRecordFactory()


def hide(*secrets: str | None) -> None:
    """Mask these texts in all messages from now on, also where they are percent-encoded."""
    _secrets.update(form for secret in secrets if secret for form in (secret, quote(secret, safe="")))
    logging.setLogRecordFactory(_masked_record)


def mask(text: str) -> str:
    """Return a text without the secrets."""
    for secret in sorted(_secrets, key=len, reverse=True):
        if len(secret) >= SHORT:
            text = text.replace(secret, "…")
        elif secret in text:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "…", text)
    return text


def _masked_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    """Make a log record whose message and exception hold no secrets, for any logger and handler."""
    record = _make_record(*args, **kwargs)
    try:
        message = record.getMessage()
    except (TypeError, ValueError):  # arguments that do not fit; the handler reports it
        return record
    if (masked := mask(message)) != message:
        record.msg, record.args = masked, ()
    error = record.exc_info[1] if record.exc_info else None
    while error:
        error.args = tuple(mask(each) if isinstance(each, str) else each for each in error.args)
        error = error.__cause__ or error.__context__
    return record
