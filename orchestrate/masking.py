"""Masks secrets in every message of tap, target, dbt, Meltano or `make run`."""

import json
import logging
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlsplit

SECRET_NAME = re.compile(r"(TOKEN|SECRET|PASSWORD|API_KEY|_URL|_URI)$")
"""A pattern of variables that contain a secret, or a URL with one."""

SHORTEST = 4
"""The shortest secret; masking shorter values would make messages unreadable."""

MASK = "***"

_secrets: list[str] = []
"""The texts to mask, the longest first."""


def learn(environment: Mapping[str, str]) -> None:
    """Remember the secrets among these variables."""
    found = set(_secrets)
    for name, value in environment.items():
        if SECRET_NAME.search(name):
            found.update(_spellings(_secret_of(name, value)))
    _secrets[:] = sorted((each for each in found if len(each) >= SHORTEST), key=len, reverse=True)


def _secret_of(name: str, value: str) -> str:
    if not name.endswith(("_URL", "_URI")):
        return value
    try:
        return urlsplit(value).password or ""
    except ValueError:  # an invalid address in brackets
        return value


def _spellings(secret: str) -> Iterable[str]:
    """Return a secret as it is, and as it appears in JSON and in a URL."""
    return secret, json.dumps(secret)[1:-1], quote(secret, safe="")


def mask(text: str) -> str:
    """Replace the secrets in a text."""
    for secret in _secrets:
        text = text.replace(secret, MASK)
    return text


class MaskingFormatter(logging.Formatter):
    """Masks secrets in the lines of another formatter."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without secrets."""
        return mask(self._formatter.format(record))
