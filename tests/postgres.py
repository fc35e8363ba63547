"""A Postgres with TLS and its own certificate authority.

The embedded Postgres is built without TLS, so this one comes from Debian's package postgresql.
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
"""The role that signs in with a certificate instead of a password."""


OWNER = "owner"
"""The superuser, which signs in with a password."""

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
    """The addresses and files that a client needs."""

    url: str
    """The URL with the host name of the certificate."""
    other_name: str
    """Another host name of the same server, which the certificate does not include."""
    authority: Path
    """The certificate of the authority that signed the server's."""
    other_authority: Path
    """The certificate of an authority that signed none of these."""
    certificate: Path
    """The client certificate of CERTIFIED_USER."""
    key: Path
    """The private key of the client certificate."""


@contextmanager
def tls_server(folder: Path) -> Iterator[TlsServer]:
    """Start a server, and put the clients' files into the folder."""
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
    home = Path(tempfile.mkdtemp(prefix="postgres-tls-"))  # a folder that the server's user can read
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
        # the process id is in the first line of a file
        stop = 'kill -QUIT "$(head -n 1 "$0")"'
        with at_the_end("/bin/sh", "-c", stop, data / "postmaster.pid"):
            url = f"postgresql://{OWNER}:{password}@localhost:{port}/postgres"
            with psycopg.connect(url) as connection:
                connection.execute(f"create role {CERTIFIED_USER} login superuser")
            yield TlsServer(url, HOST, *(folder / name for name in files))
    finally:
        shutil.rmtree(home, ignore_errors=True)  # the server may still be shutting down


def free_port() -> int:
    """Return a port that is not in use now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
