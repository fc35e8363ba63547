"""Runs the services of a compose file as processes, because no container engine can run here; needs root.

A container is a view of the machine's own files that keeps its changes to itself, with the service's volumes
mounted and its own host name. All services share one network, in which their names are resolved. Therefore
the command line, environment, ports, paths and health check are those of the file, and services of the
machine do not interfere. IMAGES lists what each image provides: its programs, and the steps of its entry
point.

`tests/clouds/pods.py` does the same for the pods of Kubernetes, which are stricter: with the key `user`, a
service runs as that user, without capabilities, and can write only to its volumes.
"""

import ctypes
import fcntl
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

import yaml
from embedded_postgres.server import programs

from orchestrate.processes import at_the_end
from tests.project.documents import ROOT

PATIENCE = 300.0
"""The longest time in seconds to wait for an event, on a very busy machine."""

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

T = TypeVar("T")


class Image(NamedTuple):
    """What an image provides that the machine does not have at the same path."""

    entry_point: tuple[str, ...] = ()
    """The entry point, which precedes the service's command."""
    path: str = ""
    """Folders at the beginning of its PATH."""
    folder: str = "/tmp"
    """The working directory of its program."""
    before: str = ""
    """The shell commands that its entry point runs before the program."""
    environment: Mapping[str, str] = {}


POSTGRES = """
if test "$1" = postgres; then
    mkdir -p /var/run/postgresql
    chown -R nobody /var/lib/postgresql/data /var/run/postgresql
    printf %s "$POSTGRES_PASSWORD" > password; chmod 644 password
    as_nobody() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
    as_nobody initdb --username=postgres --pwfile=password $POSTGRES_INITDB_ARGS /var/lib/postgresql/data
    echo 'host all all all scram-sha-256' >> /var/lib/postgresql/data/pg_hba.conf
    printf 'create database %s;' "$POSTGRES_DB" |
        as_nobody postgres --single -D /var/lib/postgresql/data postgres > created
    set -- setpriv --reuid=nobody --regid=nogroup --clear-groups "$@" \\
        -D /var/lib/postgresql/data -c listen_addresses='*'
fi
"""

IMAGES = {
    "library/postgres": Image(path=str(programs()), before=POSTGRES),
    "library/redis": Image(folder="/data"),
    "prom/prometheus": Image(("prometheus",)),
    "prom/pushgateway": Image(("prometheus-pushgateway",)),
    "prom/alertmanager": Image(("prometheus-alertmanager",)),
    "prometheuscommunity/postgres-exporter": Image(("prometheus-postgres-exporter",)),
}
"""Images by name, without registry and tag."""


def in_own_network(body: Callable[[], T]) -> T:
    """Call a function in a thread that has its own network, which its child processes share."""

    def enter() -> T:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "no network of its own")
        with socket.socket() as any_socket:
            request = struct.pack("16sh14x", b"lo", 0)
            flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
        return body()

    with ThreadPoolExecutor(1) as executor:
        return executor.submit(enter).result()


def services(file: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the services of a compose file with the variables filled in.

    Raises:
        KeyError: A required variable is not set.
    """
    found: dict[str, Any] = _filled_in(yaml.safe_load(file.read_text())["services"], variables)
    return found


def _filled_in(part: Any, variables: Mapping[str, str]) -> Any:
    """Fill in variables as the compose specification says: in the values, after parsing."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match[1], match[2], match[3]
        if name is None:
            return "$"
        found = variables.get(name, "")
        if not found and kind == ":?":
            raise KeyError(f"{name}: {rest}")
        return found or (rest if kind == ":-" else "")

    if isinstance(part, dict):
        return {key: _filled_in(each, variables) for key, each in part.items()}
    if isinstance(part, list):
        return [_filled_in(each, variables) for each in part]
    if isinstance(part, str):
        return re.sub(r"\$(?:\$|\{(\w+)(?:(:[-?])([^}]*))?\})", value, part)
    return part


def wait_until(condition: Callable[[], T]) -> T:
    """Wait until a condition is true, and return its value."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


@dataclass
class Containers:
    """The services of a compose file.

    Args:
        file: The compose file.
        variables: The variables of .env.
        folder: The folder for volumes, and for changes and logs of each container.
        own: The image that the project builds: its entry point and its environment.
        mounts: Additional paths in the project's own containers, with their paths on the machine.
    """

    file: Path
    variables: Mapping[str, str]
    folder: Path
    own: Image
    mounts: Mapping[str, Path] = field(default_factory=dict)

    unshare: ClassVar[tuple[str, ...]] = ("unshare", "--mount", "--uts")
    """The namespaces that each container has for itself; all containers share one network."""
    images: ClassVar[Mapping[str, Image]] = IMAGES

    def __post_init__(self) -> None:
        self.services = self._services()
        self._cleanup = ExitStack()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def _services(self) -> dict[str, Any]:
        return services(self.file, self.variables)

    @property
    def host_names(self) -> Iterable[str]:
        """Return the host names in the network of the services."""
        return self.services

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def log(self, label: str) -> str:
        """Return the output of a container."""
        return (self.folder / label / "log").read_text(errors="replace")

    def up(self, *names: str) -> None:
        """Start services, each after those it depends on, and wait until they are healthy or have finished."""
        for name in names:
            self.start(name)
            if self.services[name].get("restart") == "unless-stopped":
                self._wait_until_healthy(name, name)
            else:
                code = self._running[name].wait(timeout=PATIENCE)
                assert code == 0, f"{name} ended with {code}\n{self.log(name)}"

    def up_together(self, *names: str) -> None:
        """Start services that do not depend on each other, and wait until all of them are healthy."""
        for name in names:
            self.start(name)
        for name in names:
            self._wait_until_healthy(name, name)

    def up_once_more(self, name: str, **environment: str) -> str:
        """Start a second container of a running service, and wait until it is healthy; return its host name.

        The variables replace ports that would be private in a network of its own.
        """
        label = f"{name}-{1 + sum(each.startswith(name) for each in self._running)}"
        self._running[label] = self._cleanup.enter_context(
            self._started(name, label, environment=environment)
        )
        self._wait_until_healthy(name, label)
        return label

    def up_anew(self, name: str, **variables: str) -> None:
        """Stop a service and start it with other variables of .env, as `up` does if they have changed."""
        self.variables = {**self.variables, **variables}
        self.services = self._services()
        process = self._running.pop(name)
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=PATIENCE)
        self.up(name)

    def run(self, name: str, *command: str, **environment: str) -> str:
        """Run another command in a new container of a service, check that it succeeds, and return its output."""
        label = f"{name}-run"
        with self._started(name, label, command, environment, entry=()) as process:
            code = process.wait(timeout=PATIENCE)
        assert code == 0, f"{command} ended with {code}\n{self.log(label)}"
        return self.log(label)

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start a service after those it depends on, without waiting for it."""
        self.up(*(each for each in self.services[name].get("depends_on", {}) if each not in self._running))
        self._running[name] = self._cleanup.enter_context(self._started(name))
        return self._running[name]

    def kill(self, label: str) -> None:
        """Kill the processes of a container; processes with a session of their own remain."""
        os.killpg(self._running[label].pid, signal.SIGKILL)
        self._running[label].wait(timeout=PATIENCE)

    def _wait_until_healthy(self, name: str, label: str) -> None:
        check = self.services[name]["healthcheck"]["test"]
        command = check[1:] if check[0] == "CMD" else ["/bin/sh", "-c", check[1]]
        deadline = time.monotonic() + PATIENCE
        while True:
            with self._started(name, f"{label}-health", command, entry=(), host=label) as probe:
                if probe.wait(timeout=PATIENCE) == 0:
                    return
            assert self._running[label].poll() is None, f"{label} ended\n{self.log(label)}"
            assert time.monotonic() < deadline, f"{label} is not healthy\n{self.log(label)}"
            time.sleep(0.2)

    @contextmanager
    def _started(
        self,
        name: str,
        label: str = "",
        command: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        entry: Sequence[str] | None = None,
        host: str = "",
    ) -> Iterator[subprocess.Popen[bytes]]:
        label = label or name
        service, folder, host = self.services[name], self.folder / label, host or label
        is_own = "build" in service
        image = self.own if is_own else self.images[re.sub(r"^[\w.]+\.\w+/|:.*$", "", service["image"])]
        entry = service.get("entrypoint", image.entry_point) if entry is None else entry
        words = [*entry, *(command or service.get("command", []))]
        for part in ("changes", "work", "root"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        variables = {
            "PATH": ":".join(filter(None, [image.path, os.environ["PATH"]])),
            "HOME": "/tmp",
            "HOSTNAME": host,
            "LANG": "C.UTF-8",
            **image.environment,
            **{key: str(value) for key, value in service.get("environment", {}).items()},
            **(environment or {}),
        }
        script = self._script(service, folder, image, host, is_own=is_own)
        with (
            (folder / "log").open("ab") as log,
            subprocess.Popen(
                [*self.unshare, "/bin/sh", "-e", "-c", script, "container", *words],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=variables,
                start_new_session=True,
            ) as process,
            at_the_end("/bin/sh", "-c", f"kill -KILL -{process.pid} 2> /dev/null"),
        ):
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGTERM)
                    try:
                        process.wait(timeout=60)
                    except subprocess.TimeoutExpired:
                        os.killpg(process.pid, signal.SIGKILL)

    def _script(
        self, service: Mapping[str, Any], folder: Path, image: Image, host: str, *, is_own: bool
    ) -> str:
        """Return the script that sets up the container's files and starts the command given as its arguments."""
        root = folder / "root"
        layers = f"lowerdir=/,upperdir={folder / 'changes'},workdir={folder / 'work'}"
        own = shlex.quote(os.environ["PATH"])  # the container may lack the programs for its own setup
        lines = [f"path=$PATH; PATH={own}; chroot=$(command -v chroot)"]
        lines += [f"echo {host} > /proc/sys/kernel/hostname", f"mount -t overlay overlay -o {layers} {root}"]
        lines += [f"mount --rbind {each} {root}{each}" for each in ("/proc", "/sys", "/dev")]
        for place, source in self._mounts(service, is_own=is_own):
            make = "mkdir -p" if source.is_dir() else "install -D /dev/null"
            # the resolved path, without links
            lines.append(f'place="{root}$(chroot {root} realpath -m {shlex.quote(place)})"')
            lines.append(f'{make} "$place"; mount --bind {shlex.quote(str(source))} "$place"')
        names = dict.fromkeys(["localhost", *self.host_names, host])
        # the first name of a line is the canonical one
        hosts = "\\n".join(f"127.0.0.1 {each}" for each in names)
        lines += [f"printf '{hosts}\\n' > {root}/etc/hosts"]
        start = f'cd {image.folder}\n{image.before}\nexec "$@"'
        as_user = ""
        if "user" in service:
            user, _, group = service["user"].partition(":")
            lines.append(f"echo 'image:x:{user}:{group}::/tmp:/bin/sh' >> {root}/etc/passwd")
            above = {*Path(sys.base_prefix).parents, *ROOT.parents} - {Path("/")}
            lines.append(f"chmod o+x {' '.join(shlex.quote(f'{root}{each}') for each in sorted(above))}")
            lines.append(f"mount -o remount,ro {root}")
            as_user = (
                f"setpriv --reuid={user} --regid={group} --clear-groups --no-new-privs"
                " --inh-caps=-all --ambient-caps=-all --bounding-set=-all"
            )
        return "\n".join(
            [
                *lines,
                f'PATH=$path; exec $chroot {root} {as_user} /bin/sh -e -c {shlex.quote(start)} container "$@"',
            ]
        )

    def _mounts(self, service: Mapping[str, Any], *, is_own: bool) -> Iterator[tuple[str, Path]]:
        if is_own:
            yield from self.mounts.items()
        for volume in service.get("volumes", []):
            source, place = volume.split(":")[:2]
            path = self.file.parent / source if source.startswith(".") else self.folder / "volumes" / source
            if not source.startswith("."):
                path.mkdir(parents=True, exist_ok=True)
            yield place, path
        yield str(ROOT), ROOT
