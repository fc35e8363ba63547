"""Secrets are masked in every message of Meltano's processes and of `make run`."""

import json
import logging
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from orchestrate import masking
from orchestrate.errors import RunError
from orchestrate.output import say

SECRETS = {
    "TAP_PIPEDRIVE_API_TOKEN": "0123456789abcdef0123456789abcdef01234567",
    "TARGET_POSTGRES_PASSWORD": 'p"ä/\\ss wörd',
    "TAP_PIPEDRIVE_CLIENT_SECRET": "client-secret",
}
OTHERS = {
    "TARGET_POSTGRES_USER": "loader",
    "TARGET_POSTGRES_HOST": "db.example.com",
    "HOME": "/nowhere/in/particular",
}
URLS = {
    "TAP_PIPEDRIVE_REDIS_URL": "redis://:redis-password@cache.example.com:6379/0",
    "MELTANO_DATABASE_URI": "postgresql://meltano:db%40password@db.example.com/meltano",
    "BROKEN_URL": "http://[",
}


@pytest.fixture(autouse=True)
def learned() -> Iterator[None]:
    masking._secrets.clear()
    masking.learn(SECRETS | OTHERS | URLS)
    yield
    masking._secrets.clear()


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_masked_in_json_and_in_a_url(secret: str) -> None:
    for text in (secret, json.dumps({"message": secret}), f"https://example.com/?x={quote(secret, safe='')}"):
        assert secret not in json.dumps(masking.mask(text), ensure_ascii=False)
        assert masking.MASK in masking.mask(text)


def test_only_the_password_of_a_url_is_masked() -> None:
    text = masking.mask(" ".join(URLS.values()))
    assert "redis-password" not in text
    assert "db%40password" not in text
    assert "cache.example.com:6379/0" in text
    assert "db.example.com/meltano" in text


def test_values_that_are_not_secret_stay() -> None:
    text = " ".join(OTHERS.values())
    assert masking.mask(text) == text


def test_logs_output_and_errors_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    secret = SECRETS["TAP_PIPEDRIVE_API_TOKEN"]
    formatter = masking.MaskingFormatter(logging.Formatter("%(message)s"))
    record = logging.LogRecord("x", logging.INFO, "x", 1, "sent %s", (secret,), None)
    assert formatter.format(record) == "sent ***"
    say(f"sent {secret}")
    assert capsys.readouterr().out == "sent ***\n"
    assert RunError(f"sent {secret}").format_message() == "sent ***"
