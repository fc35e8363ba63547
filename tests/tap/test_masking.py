"""No message of the tap contains a secret, wherever a server repeats it or an error is reported."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.masking import hide, mask
from tap_pipedrive.settings import Settings
from tap_pipedrive.shared import RedisStore

from .harness import Asked, Fake, Say, fake, run, say

TOKEN = "0123456789abcdef0123456789abcdef01234567"
APP: dict[str, Any] = {
    "client_id": "a-client-id",
    "client_secret": "a-client-secret",
    "refresh_token": "1:2:a-refresh-token",
}
BASIC = b64encode(b"a-client-id:a-client-secret").decode()
TAP = Path(sys.executable).with_name("tap-pipedrive")


def in_a_body(status: int, secret: str) -> Say:
    return say({"success": False, "error": f"the token {secret} is bad", "error_info": f"({secret})"}, status)


def in_the_reason(status: int, secret: str) -> Say:
    return Say(status, b"no JSON", reason=f"No way for {secret}")


@pytest.mark.parametrize("echo", [in_a_body, in_the_reason])
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 429, 500, 503, 302, 418])
def test_a_token_that_the_api_repeats_is_masked(
    echo: object, status: int, caplog: pytest.LogCaptureFixture, sleeps: list[float]
) -> None:
    caplog.set_level(logging.DEBUG)
    with fake([echo(status, TOKEN)]) as server:  # type: ignore[operator]
        done = run(server.url, token=TOKEN)
        assert server.asked[0].headers["x-api-token"] == TOKEN
    assert isinstance(done.error, PipedriveError)
    assert TOKEN not in str(done.error)
    assert TOKEN not in caplog.text
    assert "…" in f"{done.error} {caplog.text}"


@pytest.mark.parametrize("echo", [in_a_body, in_the_reason])
def test_a_token_at_the_end_of_a_shortened_error_text_is_masked_whole(echo: object) -> None:
    with fake([echo(400, "x" * 270 + " " + TOKEN)]) as server:  # type: ignore[operator]
        done = run(server.url, token=TOKEN)
    assert TOKEN[:8] not in str(done.error)


@pytest.mark.parametrize("secret", [*APP.values(), BASIC, "an-access-token"])
@pytest.mark.parametrize("echo", [in_a_body, in_the_reason])
def test_secrets_that_an_authorization_server_repeats_are_masked(
    echo: object, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def script(request: Asked) -> Say:
        if request.path == "/oauth/token" and secret == "an-access-token":
            return say({"access_token": secret, "expires_in": 3599, "refresh_token": APP["refresh_token"]})
        return echo(400, secret)  # type: ignore[operator, no-any-return]

    with fake(script) as server:
        done = run(server.url, token="", oauth_url=server.url, **APP)
    assert isinstance(done.error, PipedriveError)
    assert secret not in f"{done.error} {caplog.text}"
    assert "…" in str(done.error)


def command(server: Fake, folder: Path, **settings: str) -> str:
    """Return what the tap writes to standard error."""
    config = folder / "config.json"
    config.write_text(json.dumps({"api_url": server.url, "api_token": TOKEN, **settings}))
    environment = os.environ | {"TAP_PIPEDRIVE_LOG_LEVEL": "DEBUG", "TAP_PIPEDRIVE_LOGLEVEL": "DEBUG"}
    ended = subprocess.run(
        [TAP, "--config", config], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode
    return ended.stderr


@pytest.mark.parametrize("echo", [in_a_body, in_the_reason])
def test_the_command_line_reports_a_refused_token_without_showing_it(echo: object, tmp_path: Path) -> None:
    with fake([echo(401, TOKEN)]) as server:  # type: ignore[operator]
        said = command(server, tmp_path)
    assert "does not accept the API token" in said
    assert TOKEN not in said


def test_the_password_of_redis_appears_in_no_message(caplog: pytest.LogCaptureFixture) -> None:
    RedisStore("redis://user:p%40ssword-of-redis@127.0.0.1:1/0", "https://a.example", TOKEN)
    logging.getLogger("redis").warning(
        "AUTH user %s failed, in %s", "p@ssword-of-redis", "p%40ssword-of-redis"
    )
    assert "ssword" not in caplog.text
    assert "AUTH user … failed, in …" in caplog.text


def test_a_traceback_contains_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    hide(TOKEN)
    try:
        try:
            raise ValueError(f"bad header {TOKEN}")
        except ValueError as error:
            raise RuntimeError(f"request with {TOKEN} failed") from error
    except RuntimeError:
        logging.getLogger("anything").exception("It failed for %s", TOKEN)
    assert "It failed for …" in caplog.text
    assert "bad header …" in caplog.text
    assert TOKEN not in caplog.text


def test_a_short_secret_is_masked_as_a_whole_word_only() -> None:
    hide("x")
    assert mask("fix x: tax=x") == "fix …: tax=…"


def test_log_records_with_wrong_arguments_are_left_to_the_handler() -> None:
    hide(TOKEN)
    record = logging.getLogRecordFactory()("name", logging.INFO, "", 0, "%d", ("text",), None)
    assert record.args == ("text",)


def test_every_secret_setting_is_masked(caplog: pytest.LogCaptureFixture) -> None:
    """The tap itself is constructed, before its first request."""
    extras = {name: field.json_schema_extra for name, field in Settings.model_fields.items()}
    secrets = {name for name, extra in extras.items() if isinstance(extra, dict) and extra.get("secret")}
    assert secrets == {"api_token", *APP, "redis_url", "mask_key"}, "a new secret needs a test here"
    key = "a-key-of-the-mask"
    with fake([in_a_body(401, TOKEN)]) as server:
        run(server.url, token=TOKEN, mask={"persons": {"name": "hash"}}, mask_key=key)
        run(server.url, token="", oauth_url=server.url, **APP)
    logging.getLogger("anything").warning("%s %s %s %s %s", TOKEN, *APP.values(), key)
    assert "… … … … …" in caplog.text
