"""The places where the series of a state ID are published: a file, and a Pushgateway.

The file is for the textfile collector of Prometheus' node exporter, and it keeps the totals, which a gateway
loses when it restarts. The gateway in turn keeps them for runs in containers, which have no file.
"""

import base64
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import requests

from run_metrics.series import Additions, Published

JOB = "pipedrive_etl"
"""The label `job` of all groups in the gateway."""

TIMEOUT = 2, 5
"""Seconds that a run waits for a gateway: for the connection, and for an answer."""

FILE_MODE = 0o644
"""The file's mode: the exporter, which has its own user, reads the file, which contains no secret."""


class StoreError(Exception):
    """The reason why series could not be published, in one sentence."""


class Store:
    """The published series of one state ID.

    Args:
        state_id: Meltano's name for the state of an extractor and a loader.
        folder: the folder of its file.
        gateway: URL of a Pushgateway, with user and password if required; without it, there is only the file.
    """

    def __init__(self, state_id: str, folder: Path, gateway: str | None) -> None:
        self.state_id = state_id
        self._file = folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', state_id)}.prom"
        self._gateway = gateway and (gateway if "://" in gateway else f"http://{gateway}").rstrip("/")
        self._held: int | None = None
        self._remembered: Published | None = None  # the gateway's content, which is read once

    def hold(self) -> bool:
        """Return whether no other process runs with this state ID, and block others until this one ends."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._held = os.open(self._file.with_suffix(".run"), os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # the folder cannot be written to, as in a container, where no other process runs
            return True
        return True

    def read(self) -> Published:
        """Return what is published. It raises nothing: unreadable values are published again."""
        published = Published()
        for read in (self._read_file, self._read_gateway):
            with suppress(OSError, ValueError):
                published.merge(read())
        return published

    def publish(self, additions: Additions) -> None:
        """Publish what a run has added; values that one of the two places has are removed from the additions.

        Raises:
            StoreError: the gateway does not accept it, or there is neither a gateway nor a file.
        """
        with self._alone():
            published = self.read()
            additions.put_onto(published)
            text = published.text(self.state_id)
            no_file = self._write_file(text)
            no_gateway = self._push(text)
        if not no_file or (self._gateway and not no_gateway):
            additions.are_published()
            self._remembered = published
        if no_gateway or (no_file and not self._gateway):
            raise StoreError(no_gateway or no_file)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Prevent other processes from publishing meanwhile."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            yield
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read_file(self) -> Published:
        return Published.read(self._file.read_text(), self.state_id)

    def _read_gateway(self) -> Published:
        if self._gateway and self._remembered is None:
            answer = requests.get(f"{self._gateway}/metrics", timeout=TIMEOUT)
            answer.raise_for_status()
            self._remembered = Published.read(answer.text, self.state_id)
        return self._remembered or Published()

    def _write_file(self, text: str) -> str:
        """Write the whole file atomically, and return the reason of a failure, or nothing."""
        new = self._file.with_suffix(".new")
        try:
            new.write_text(text)
            new.chmod(FILE_MODE)
            new.replace(self._file)
        except OSError as error:
            return f"Metrics cannot be written to {self._file.parent}: {error.strerror}."
        return ""

    def _push(self, text: str) -> str:
        """Replace the families of the group in the gateway, and return the reason of a failure, or nothing."""
        if not self._gateway:
            return ""
        group = base64.urlsafe_b64encode(self.state_id.encode()).decode()
        try:
            answer = requests.post(
                f"{self._gateway}/metrics/job/{JOB}/state_id@base64/{group}",
                data=text.encode(),
                headers={"Content-Type": "text/plain; version=0.0.4"},
                timeout=TIMEOUT,
            )
            answer.raise_for_status()
        except requests.RequestException as error:
            answered = (
                error.response.text.strip()[:200] if error.response is not None else "it does not answer"
            )
            return f"The Pushgateway {urlsplit(self._gateway).hostname} did not take the metrics: {answered}."
        return ""
