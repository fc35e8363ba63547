"""The embedded Postgres of the demo and the tests: `warehouse up|down|psql|url` and `Warehouse`."""

import contextlib
import hashlib
import itertools
import os
import secrets
import shlex
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import quote

import click

from embedded_postgres.server import (
    HOST,
    OWNER,
    PostgresError,
    Server,
    environment,
    locked,
    programs,
    run,
    server_user,
)

DEFAULT_HOME = Path(".run/warehouse")

SHELTER = Path("/var/lib/pipedrive-warehouse")
"""The folder for the data if this is root and Postgres' user cannot read the home, as in a clone in /root."""

FREE_PORTS = range(20_000, 32_000)
"""The ports to try, which are below those that systems use for outgoing connections."""


class Warehouse:
    """The embedded Postgres of one folder; as a context manager, it runs within the block.

    The folder, its home, contains the server's data with its log, the password, and the last port. All
    methods raise PostgresError with one sentence that says what is wrong.
    """

    def __init__(self, home: Path | str = DEFAULT_HOME) -> None:
        self.home = Path(home).resolve()
        self._password = self.home / "password"
        self._port = self.home / "port"
        self._data = self.home / "data"  # or a link to `data` in the shelter
        self._shelter = SHELTER / hashlib.sha256(bytes(self.home)).hexdigest()[:16]

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def is_up(self) -> bool:
        """Return whether the server answers."""
        return self.port is not None

    @property
    def port(self) -> int | None:
        """Return the port on which the server answers, or None if it does not run."""
        with self._one_sentence():
            return self._server.port()

    @property
    def url(self) -> str:
        """Return the URL of the database with the password; the server must run."""
        return self._url(OWNER)

    def up(self, port: int | None = None) -> str:
        """Make the warehouse on first use, start it unless it runs, and return its URL.

        Without `port`, the last port is used, or another one if that is taken.
        """
        with self._alone():
            if not self._server.exists():
                self._initialise()
            current = self._server.settled_port()
            if current is None:
                self._start(port)
            elif port not in (None, current):
                raise PostgresError(f"The warehouse is already up, on port {current}.")
            return self.url

    def down(self) -> None:
        """Stop the server, if it runs; its data stay."""
        with self._alone():
            self._server.stop()

    def delete(self) -> None:
        """Stop the server, if it runs, and remove everything that `up` has made."""
        with self._alone():
            self._empty()
            if self.home.exists():
                self.home.rmdir()

    def create_database(self, name: str, template: str = "template0") -> str:
        """Make another database, empty or as a copy of another one, and return its URL.

        Nobody may be connected to the database that is copied.
        """
        self._client("createdb", f"--template={template}", name)
        return self._url(name)

    def drop_database(self, name: str) -> None:
        """Drop the database, if it exists, after disconnecting its users."""
        self._client("dropdb", "--if-exists", "--force", name)

    def client_environment(self) -> dict[str, str]:
        """Return the environment in which Postgres' client programs connect to the database."""
        with self._one_sentence():
            if (port := self.port) is None:
                raise PostgresError(f"The warehouse in {self.home} is not up: start it with `warehouse up`.")
            return environment() | {
                "PGHOST": HOST,
                "PGPORT": str(port),
                "PGUSER": OWNER,
                "PGDATABASE": OWNER,
                "PGPASSWORD": self._password.read_text(),
            }

    @property
    def _server(self) -> Server:
        return Server(self._data.resolve(), self._shelter)

    def _url(self, database: str) -> str:
        client = self.client_environment()
        login = f"{OWNER}:{client['PGPASSWORD']}"
        return f"postgresql://{login}@{HOST}:{client['PGPORT']}/{quote(database, safe='')}"

    def _client(self, program: str, *arguments: str) -> None:
        run(programs() / program, *arguments, env=self.client_environment())

    def _initialise(self) -> None:
        self._empty()
        self.home.mkdir(exist_ok=True)
        user = server_user(self._data)
        if user and not (user.can_reach(self.home) and user.can_reach(programs())):
            SHELTER.mkdir(parents=True, exist_ok=True)
            self._shelter.mkdir()
            for folder in (SHELTER, self._shelter):
                folder.chmod(0o755)  # whatever the umask
            self._data.symlink_to(self._shelter / self._data.name)
        password = secrets.token_hex(16)
        self._password.touch(mode=0o600)
        self._password.write_text(password)
        self._server.initialise(password)

    def _empty(self) -> None:
        """Stop the server and remove every file, including those left by a home that was removed by hand."""
        draft = Server(self._data, self._shelter).draft
        ours = {draft.name, self._password.name, self._port.name}
        if self._data.is_symlink() or self._server.exists():
            ours.add(self._data.name)
        if self.home.exists() and (foreign := sorted(set(os.listdir(self.home)) - ours)):
            raise PostgresError(f"{self.home} is not a warehouse: it holds {foreign[0]}.")
        for server in (self._server, Server(self._shelter / self._data.name, self._shelter)):
            server.stop()
        for path in (self._data, self._password, self._port):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for folder in (draft, self._shelter):
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # the folder is missing, or has other data
            SHELTER.rmdir()

    def _start(self, wanted: int | None) -> None:
        for port in (wanted,) if wanted else itertools.islice(self._candidates(), 100):
            if not _is_free(port):
                continue
            try:
                self._server.start(port)
            except PostgresError:
                if _is_free(port):
                    raise
                continue  # another program was faster
            if port != self._last_port():  # an interrupted write would lose the port
                self._port.write_text(str(port))
            return
        which = f"Port {wanted}" if wanted else "Each of a hundred ports that were tried"
        raise PostgresError(f"{which} is in use by another program.")

    def _candidates(self) -> Iterator[int]:
        if last := self._last_port():
            yield last
        while True:
            yield secrets.choice(FREE_PORTS)

    def _last_port(self) -> int | None:
        try:
            return int(self._port.read_text())
        except (FileNotFoundError, ValueError):
            return None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Exclude other processes; the lock is on the parent folder, because the home may be removed."""
        with self._one_sentence():
            self.home.parent.mkdir(parents=True, exist_ok=True)
            with locked(self.home.parent):
                yield

    @contextlib.contextmanager
    def _one_sentence(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            about = f" ({error.filename})" if error.filename else ""
            raise PostgresError(
                f"The warehouse in {self.home} is out of reach: {error.strerror}{about}."
            ) from error


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Postgres does
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


_home_option = click.option(
    "--data",
    "home",
    type=click.Path(path_type=Path),
    default=DEFAULT_HOME,
    show_default=True,
    help="Folder of the warehouse.",
)


@click.group()
def main() -> None:
    """Manage the Postgres of the demo, in a folder of its own."""


@main.command()
@_home_option
@click.option("--port", type=click.IntRange(1024, 65535), help="By default, the last or a free one.")
def up(home: Path, port: int | None) -> None:
    """Start it, and make it on first use."""
    warehouse = Warehouse(home)
    warehouse.up(port)
    port = int(warehouse.client_environment()["PGPORT"])
    click.echo(f"The warehouse is up on {HOST}:{port}.")


@main.command()
@_home_option
@click.option("--delete", is_flag=True, help="Remove its data too.")
def down(home: Path, delete: bool) -> None:
    """Stop it; its data stay."""
    warehouse = Warehouse(home)
    if delete:
        warehouse.delete()
    else:
        warehouse.down()
    click.echo(f"The warehouse is {'gone' if delete else 'down'}.")


@main.command()
@_home_option
def url(home: Path) -> None:
    """Print its URL, with the password."""
    click.echo(Warehouse(home).url)


@main.command("env")
@_home_option
def env(home: Path) -> None:
    """Print its connection as variables, of libpq and of the Meltano project.

    eval "$(.venv/bin/warehouse env)" sets them in a shell.
    """
    client = Warehouse(home).client_environment()
    for name in ("HOST", "PORT", "USER", "PASSWORD", "DATABASE"):
        value = shlex.quote(client[f"PG{name}"])
        click.echo(f"export PG{name}={value} TARGET_POSTGRES_{name}={value}")


@main.command(context_settings={"ignore_unknown_options": True})
@_home_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(home: Path, arguments: tuple[str, ...]) -> None:
    """Open psql on it; further arguments go to psql."""
    client = Warehouse(home).client_environment()
    program = programs() / "psql"
    os.execve(program, (program, *arguments), client)  # noqa: S606 (no shell is wanted)


if __name__ == "__main__":
    main()
