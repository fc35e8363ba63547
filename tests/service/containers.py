"""Services of a compose file as processes, where no container engine can run; needs root.

A container is a view of the machine's own files that keeps its changes to itself, with the service's volumes at
their places. All services share a network of their own, in which their names are known. So the command line, the
environment, the ports, the paths and the health check are those of the file, and the machine's own services are
not in the way. What an image brings along, its programs and what its entry point does, is in IMAGES.

`tests/clouds/pods.py` does the same for the pods of Kubernetes, which are stricter: with the key `user`, a service
runs as that user, without capabilities, and cannot write to its files but where a volume is.
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
"""Seconds after which what has not happened will not happen, on the busiest of machines."""

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

T = TypeVar("T")


class Image(NamedTuple):
    """What an image brings along that the machine does not have at the same place."""

    entry_point: tuple[str, ...] = ()
    """What stands in front of the service's command."""
    path: str = ""
    """Folders in which its programs are sought first."""
    folder: str = "/tmp"
    """Where its program starts."""
    before: str = ""
    """What its entry point does before it starts the program, in the shell."""
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
"""By the name of the image, without its registry and tag."""


def in_own_network(body: Callable[[], T]) -> T:
    """Call a function in a thread that has, with all that it starts, a network of its own."""

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
    """The services of a compose file with the variables filled in.

    Raises:
        KeyError: One that must be set is not.
    """
    found: dict[str, Any] = _filled_in(yaml.safe_load(file.read_text())["services"], variables)
    return found


def _filled_in(part: Any, variables: Mapping[str, str]) -> Any:
    """Fill in variables as the compose specification says: in the values, once they are parsed."""

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


@dataclass
class Containers:
    """The services of a compose file.

    Args:
        file: The compose file.
        variables: What .env says.
        folder: Where the volumes are, and the changes and logs of each container.
        own: The image that the project builds itself: its entry point and its environment.
        mounts: More paths in the project's own containers, and what of the machine is there.
    """

    file: Path
    variables: Mapping[str, str]
    folder: Path
    own: Image
    mounts: Mapping[str, Path] = field(default_factory=dict)

    unshare: ClassVar[tuple[str, ...]] = ("unshare", "--mount")
    """What a container has of its own, beside the network that all share."""
    images: ClassVar[Mapping[str, Image]] = IMAGES

    def __post_init__(self) -> None:
        self.services = self._services()
        self._cleanup = ExitStack()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def _services(self) -> dict[str, Any]:
        return services(self.file, self.variables)

    @property
    def host_names(self) -> Iterable[str]:
        """Names in the network of the services."""
        return self.services

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def log(self, name: str) -> str:
        """What a service has printed."""
        return (self.folder / name / "log").read_text(errors="replace")

    def up(self, *names: str) -> None:
        """Start services, each with what it depends on, and wait until they are healthy, or done."""
        for name in names:
            service = self.services[name]
            self.up(*(each for each in service.get("depends_on", {}) if each not in self._running))
            self._running[name] = self._cleanup.enter_context(self._started(name))
            if service.get("restart") == "unless-stopped":
                self._wait_until_healthy(name)
            else:
                code = self._running[name].wait(timeout=PATIENCE)
                assert code == 0, f"{name} ended with {code}\n{self.log(name)}"

    def run(self, name: str, *command: str, **environment: str) -> str:
        """Run another command in a new container of a service, to a good end; return what it printed."""
        label = f"{name}-run"
        with self._started(name, label, command, environment, entry=()) as process:
            code = process.wait(timeout=PATIENCE)
        assert code == 0, f"{command} ended with {code}\n{self.log(label)}"
        return self.log(label)

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start a service that ends by itself, with what it depends on, and do not wait for its end."""
        self.up(*(each for each in self.services[name].get("depends_on", {}) if each not in self._running))
        self._running[name] = self._cleanup.enter_context(self._started(name))
        return self._running[name]

    def kill(self, name: str) -> None:
        """Kill the processes of a service at once; those with a session of their own stay."""
        os.killpg(self._running[name].pid, signal.SIGKILL)
        self._running[name].wait(timeout=PATIENCE)

    def _wait_until_healthy(self, name: str) -> None:
        check = self.services[name]["healthcheck"]["test"]
        command = check[1:] if check[0] == "CMD" else ["/bin/sh", "-c", check[1]]
        deadline = time.monotonic() + PATIENCE
        while True:
            with self._started(name, f"{name}-health", command, entry=()) as probe:
                if probe.wait(timeout=PATIENCE) == 0:
                    return
            assert self._running[name].poll() is None, f"{name} ended\n{self.log(name)}"
            assert time.monotonic() < deadline, f"{name} is not healthy\n{self.log(name)}"
            time.sleep(0.2)

    @contextmanager
    def _started(
        self,
        name: str,
        label: str = "",
        command: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        entry: Sequence[str] | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        service, folder = self.services[name], self.folder / (label or name)
        is_own = "build" in service
        image = self.own if is_own else self.images[re.sub(r"^[\w.]+\.\w+/|:.*$", "", service["image"])]
        entry = service.get("entrypoint", image.entry_point) if entry is None else entry
        words = [*entry, *(command or service.get("command", []))]
        for part in ("changes", "work", "root"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        variables = {
            "PATH": ":".join(filter(None, [image.path, os.environ["PATH"]])),
            "HOME": "/tmp",
            "HOSTNAME": socket.gethostname(),
            "LANG": "C.UTF-8",
            **image.environment,
            **{key: str(value) for key, value in service.get("environment", {}).items()},
            **(environment or {}),
        }
        script = self._script(service, folder, image, is_own=is_own)
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

    def _script(self, service: Mapping[str, Any], folder: Path, image: Image, *, is_own: bool) -> str:
        """Return what sets up the container's files and starts the command in it, which is in its arguments."""
        root = folder / "root"
        layers = f"lowerdir=/,upperdir={folder / 'changes'},workdir={folder / 'work'}"
        own = shlex.quote(os.environ["PATH"])  # the container's may lack what sets it up
        lines = [f"path=$PATH; PATH={own}; chroot=$(command -v chroot)"]
        lines += [f"mount -t overlay overlay -o {layers} {root}"]
        lines += [f"mount --rbind {each} {root}{each}" for each in ("/proc", "/sys", "/dev")]
        for place, source in self._mounts(service, is_own=is_own):
            make = "mkdir -p" if source.is_dir() else "install -D /dev/null"
            lines.append(f'place="{root}$(chroot {root} realpath -m {shlex.quote(place)})"')  # without links
            lines.append(f'{make} "$place"; mount --bind {shlex.quote(str(source))} "$place"')
        names = " ".join(["localhost", *self.host_names])
        lines += [f"echo 127.0.0.1 {names} > {root}/etc/hosts"]
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
