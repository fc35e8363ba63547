"""The resources that the processes of a run use: memory, CPU time, threads."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

INTERVAL = 1
"""Seconds between two samples; shorter processes may be missed."""

GROUPS = {"extractors": "tap", "loaders": "target", "utilities": "dbt"}
"""The kind of a plugin's process by the folder of its program in `.meltano`."""

OWN = "meltano"


@dataclass
class Figures:
    """The figures of all processes of one kind in a run, whether they run one after the other or in parallel."""

    memory: int = 0
    """The resident memory in bytes of the largest process."""
    threads: int = 0
    """The number of threads of the process that had most."""
    seconds: float = 0
    """The duration of the longest process."""
    cpu_seconds: float = 0
    """The user and system time of all of them."""


class Processes(threading.Thread):
    """Samples this process and its descendants every second, and calls a function every `every` seconds."""

    def __init__(self, every: float, function: Callable[[], None]) -> None:
        super().__init__(name="run-metrics", daemon=True)
        self._every = every
        self._function = function
        self._ended = threading.Event()
        self._figures: dict[str, Figures] = defaultdict(Figures)
        self._cpu: dict[tuple[int, float], tuple[str, float]] = {}
        self._lock = threading.Lock()

    def run(self) -> None:
        """Sample until `stop` is called."""
        looks = 0
        while not self._ended.wait(INTERVAL):
            self.look()
            looks += 1
            if looks % max(round(self._every / INTERVAL), 1) == 0:
                self._function()

    def stop(self) -> None:
        """Stop sampling."""
        self._ended.set()

    def look(self) -> None:
        """Take one sample."""
        own = psutil.Process()
        with self._lock, suppress(psutil.Error):
            for process in [own, *own.children(recursive=True)]:
                with suppress(psutil.Error):
                    self._take(process, OWN if process == own else _kind(process))

    @property
    def figures(self) -> Mapping[str, Figures]:
        """Return the figures so far by kind of process."""
        with self._lock:
            found = {kind: replace(figures) for kind, figures in self._figures.items()}
            for kind, seconds in self._cpu.values():
                found[kind].cpu_seconds += seconds
        return found

    def _take(self, process: psutil.Process, kind: str) -> None:
        if not kind:
            return
        with process.oneshot():
            figures, times, began = self._figures[kind], process.cpu_times(), process.create_time()
            figures.memory = max(figures.memory, process.memory_info().rss)
            figures.threads = max(figures.threads, process.num_threads())
            figures.seconds = max(figures.seconds, time.time() - began)
            self._cpu[process.pid, began] = kind, times.user + times.system


def _kind(process: psutil.Process) -> str:
    """Return the kind of a process; nothing for a process that a plugin's process started."""
    for word in process.cmdline()[:3]:
        parts = Path(word).parts
        if ".meltano" in parts and "venv" in parts:
            return GROUPS.get(parts[parts.index(".meltano") + 1], "")
    return ""
