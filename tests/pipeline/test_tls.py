"""TLS to the database: three variables have the same meaning for target and dbt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..postgres import CERTIFIED_USER, TlsServer
from .pipe import connection_settings
from .plugins import Plugins, record, schema
from .raw import table_names

FULL = {"ssl_enable": True, "ssl_mode": "verify-full"}

VARIABLES = {"TARGET_POSTGRES_SSL_ENABLE": "true", "TARGET_POSTGRES_SSL_MODE": "verify-full"}


@pytest.fixture
def plugins(new_plugins: Callable[[str], Plugins], tls: TlsServer) -> Plugins:
    """The starter of target and dbt for the server with TLS."""
    return new_plugins(tls.url)


def results(plugins: Plugins, **settings: Any) -> list[tuple[int, str]]:
    """Return exit code and output of a load and of dbt's connection test."""
    plugins.connection |= settings
    programs = [plugins.load(schema(), record(id=1)), plugins.dbt("debug", "--connection")]
    return [(program.end(), program.output) for program in programs]


def assert_both_work(plugins: Plugins, **settings: Any) -> None:
    for code, output in results(plugins, **settings):
        assert code == 0, output


def assert_both_say(plugins: Plugins, words: str, **settings: Any) -> None:
    for code, output in results(plugins, **settings):
        assert code != 0, output
        assert words in " ".join(output.split()), output
        assert "Traceback" not in output


def test_verify_full_works(plugins: Plugins, tls: TlsServer) -> None:
    assert_both_work(plugins, **FULL, ssl_certificate_authority=str(tls.authority))
    assert table_names(tls.url) == ["people"]


def test_a_wrong_certificate_authority_is_refused_even_with_require(plugins: Plugins, tls: TlsServer) -> None:
    assert_both_say(
        plugins,
        "certificate verify failed",
        ssl_enable=True,
        ssl_certificate_authority=str(tls.other_authority),
    )


def test_require_works_without_a_certificate_authority(plugins: Plugins) -> None:
    assert_both_work(plugins, ssl_enable=True, ssl_mode="require")


def test_a_path_may_start_at_the_home_or_project_folder(
    plugins: Plugins, tls: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tls.authority.parent))
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", str(tls.authority.parents[1]))
    for path in ("~/ca.pem", f"{tls.authority.parent.name}/ca.pem"):
        program = plugins.load(schema(), TARGET_POSTGRES_SSL_CERTIFICATE_AUTHORITY=path, **VARIABLES)
        assert program.end() == 0, program.output


def test_a_wrong_host_name_is_refused(plugins: Plugins, tls: TlsServer) -> None:
    words = f'does not match host name "{tls.other_name}"'
    assert_both_say(plugins, words, **FULL, ssl_certificate_authority=str(tls.authority), host=tls.other_name)


def test_a_missing_file_of_the_authority_is_reported(plugins: Plugins) -> None:
    words = "TARGET_POSTGRES_SSL_CERTIFICATE_AUTHORITY names a file that does not exist: /nowhere/ca.pem"
    assert_both_say(plugins, words, **FULL, ssl_certificate_authority="/nowhere/ca.pem")


def test_a_server_without_tls_is_refused(new_plugins: Callable[[str], Plugins], database: str) -> None:
    assert_both_say(new_plugins(database), "server does not support SSL", ssl_enable=True, ssl_mode="require")


def test_a_client_certificate_replaces_the_password(plugins: Plugins, tls: TlsServer) -> None:
    settings = {
        "user": CERTIFIED_USER,
        "password": "",
        "ssl_certificate_authority": str(tls.authority),
        "ssl_client_certificate_enable": True,
        "ssl_client_certificate": str(tls.certificate),
        "ssl_client_private_key": str(tls.key),
    }
    assert connection_settings(tls.url)["user"] != CERTIFIED_USER
    assert_both_work(plugins, **FULL, **settings)
    settings["ssl_client_private_key"] = str(Path("/nowhere/client.key"))
    words = "TARGET_POSTGRES_SSL_CLIENT_PRIVATE_KEY names a file that does not exist"
    assert_both_say(plugins, words, **FULL, **settings)
