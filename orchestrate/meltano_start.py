"""The start of every Meltano process of this project, whether by `make run`, cron or a person.

Meltano has no hook for the start of a process, but it builds the handlers of `logging.yaml` before it does
anything in a project. This module builds them, and does the following at the same time:

- It makes files private: Meltano's run folder holds tokens and passwords, its logs hold people's names.
- It removes what a killed process left there, and old logs.
- It prevents two processes from using one plugin at a time: they would overwrite each other's catalog.
- It makes SIGHUP, as from a closed terminal, stop the process as cleanly as SIGTERM.
- It checks the warehouse before the first token is spent.
- It masks every secret in messages, and keeps all messages in a file in `.run/logs`.
"""

import fcntl
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import FrameType

from meltano.core import venv_service
from meltano.core.logging.utils import LogFormat, default_config
from meltano.core.project import Project
from meltano.core.task_sets_service import TaskSetsService

from orchestrate import database, environment, masking, observe
from orchestrate.crms import CRMS
from orchestrate.errors import RunError
from orchestrate.paths import LOG_SUFFIX, LOGS, RUN
from orchestrate.permissions import USERS_MASK, make_new_files_private

LOADING = ("run", "el", "elt")
"""Meltano's commands that load something."""

WORKING = (*LOADING, "invoke", "test")
"""Meltano's commands that start a plugin."""

INSTALLING = frozenset(("install", "add", "lock", "init", "upgrade"))
"""Meltano's commands that write no secret."""

LOG_BYTES = 50_000_000
LOG_FILES = 60
"""The number of log files to keep, each with at most one older part, and their size in bytes. As many of Meltano's
own logs are kept for each state ID of `make run`.
"""

_locks: list[int] = []
"""File descriptors whose locks last as long as this process."""


def console_handler() -> logging.Handler:
    """Return Meltano's own console handler with masked secrets, after preparing the process as described
    above.
    """
    project = Project.find()
    masking.learn({**project.dotenv_env, **os.environ})
    metrics_handler()  # first of all, so that a run that must not continue counts as failed
    try:
        _begin(project)
    except RunError as error:
        raise SystemExit(f"Error: {error.format_message()}") from None
    level = str(project.settings.get("cli.log_level")).upper()
    logging.getLogger().setLevel(level)
    handler = logging.StreamHandler()
    handler.setLevel(level)
    handler.setFormatter(_formatter(LogFormat(project.settings.get("cli.log_format"))))
    return handler


def file_handler() -> logging.Handler:
    """Return the handler that keeps the messages of a plugin's process in `.run/logs` as lines of JSON.

    They are not kept if that folder cannot be written to, as in a container, or if no plugin is started.
    """
    if _command() not in WORKING:
        return logging.NullHandler()
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}{LOG_SUFFIX}"
    try:
        LOGS.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(LOGS / name, maxBytes=LOG_BYTES, backupCount=1)
    except OSError:
        return logging.NullHandler()
    handler.setFormatter(_formatter(LogFormat.json))
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    handler.emit(
        logging.makeLogRecord({"msg": " ".join(words), "levelname": "INFO", "levelno": logging.INFO})
    )
    for old in sorted(LOGS.glob(f"*{LOG_SUFFIX}*"))[:-LOG_FILES]:
        old.unlink(missing_ok=True)
    return handler


def metrics_handler() -> logging.Handler:
    """Return the handler that turns the messages of `meltano run` into metrics; see `observe`."""
    runs = _command() == "run" and not {"--help", "--dry-run"}.intersection(sys.argv)
    return observe.metrics_handler(_state_ids() if runs else ())


@cache
def _state_ids() -> tuple[str, ...]:
    project = Project.find()
    known = {plugin.name for plugin in project.plugins.plugins()}
    return observe.state_ids(project, [name for name in _plugins(project) if name in known])


def _formatter(log_format: LogFormat) -> logging.Formatter:
    """Return Meltano's own formatter with masked secrets; lines of JSON also describe the run."""
    if log_format == LogFormat.json:
        ids = _state_ids() if _command() else ()
        return masking.MaskingFormatter(observe.json_formatter(observe.Context(ids)))
    made_by = dict(default_config("INFO", log_format=log_format)["formatters"][log_format])
    return masking.MaskingFormatter(made_by.pop("()")(**made_by))


def _command() -> str:
    """Return which of Meltano's plugin-starting commands this process is, or nothing.

    `meltano schedule run` is not one: it starts a `meltano run`.
    """
    command = next((word for word in sys.argv[1:] if word in (*WORKING, "schedule")), "")
    return command if command in WORKING else ""


def _begin(project: Project) -> None:
    """Do what the module's docstring lists.

    Raises:
        RunError: Another process uses one of the plugins, or the warehouse cannot be used.
    """
    if not INSTALLING.intersection(sys.argv):  # other users may need what is installed
        make_new_files_private()
    command = _command()
    if not command:
        return
    # Before it starts a plugin, Meltano installs it if need be.
    venv_service.exec_async = partial(venv_service.exec_async, umask=USERS_MASK)
    environment.ask_loopback_directly(os.environ)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _terminate)
    variables = {**project.dotenv_env, **os.environ}
    folder = project.dirs.run()
    _make_private(project.dirs.meltano(), folder, project.dirs.logs())
    _remove_leftovers(folder)
    if command in LOADING:
        plugins = list(_plugins(project))
        _check_writable(folder, *(folder / name for name in plugins))
        if not variables.get("MELTANO_DATABASE_URI"):
            _check_writable(project.dirs.meltano(), project.dirs.meltano("meltano.db", make_dirs=False))
        _remove_old_logs(project.dirs.logs("elt"), RUN)
        for name in plugins:
            _claim(folder, name)
        _check_warehouse(project, plugins)


def _terminate(number: int, frame: FrameType | None) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _make_private(*folders: Path) -> None:
    for folder in folders:
        with suppress(OSError):  # the folder is read-only or belongs to another user, as in a container
            folder.chmod(0o700)


def _remove_old_logs(folder: Path, ours: Path) -> None:
    """Remove Meltano's own logs of old runs, as Meltano removes none; each run of a state ID has a folder.

    Logs outside of the folder `ours`, such as `~/.local/state/meltano`, may be those of other projects.
    """
    if not folder.is_relative_to(ours):
        return
    for runs in folder.glob("*"):
        with suppress(OSError):  # another process may remove the same ones
            for old in sorted(runs.iterdir(), key=lambda run: run.stat().st_mtime)[:-LOG_FILES]:
                shutil.rmtree(old)


def _remove_leftovers(folder: Path) -> None:
    """Remove the configuration files, which contain secrets, of processes that were killed.

    All processes share a lock; a process that gets it exclusively knows that no other one is running.
    """
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        _locks.append(descriptor)
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in folder.glob("*/*.config.json"):
                path.unlink(missing_ok=True)
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def _plugins(project: Project) -> Iterator[str]:
    """Yield the plugins on the command line, including those of jobs, without their commands as in
    `dbt:build`.
    """
    jobs = {job.name: job for job in TaskSetsService(project).list_task_sets()}
    for word in sys.argv[1:]:
        words = jobs[word].flat_args if word in jobs else [word]
        yield from (each.partition(":")[0] for each in words if not each.startswith("-"))


def _check_writable(*folders: Path) -> None:
    for path in folders:
        if path.exists() and not os.access(path, os.W_OK):
            raise RunError(f"{path} cannot be written to by this user: give it to the user who runs Meltano.")


def _claim(folder: Path, plugin: str) -> None:
    """Prevent other processes from using an extractor, whose catalog and state Meltano keeps in one place.

    Raises:
        RunError: Another process uses it.
    """
    if not plugin.startswith("tap-"):
        return
    try:
        descriptor = os.open(folder / f"{plugin}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:  # the folder is read-only
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 100).decode(errors="replace")
        os.close(descriptor)
        raise RunError(
            f"{plugin} is already at work in this folder (process {holder}): wait until that run has ended, "
            "or give the second one an extractor of its own with `inherit_from` in meltano.yml."
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    _locks.append(descriptor)


def _check_warehouse(project: Project, plugins: list[str]) -> None:
    """Check the warehouse in the environment; one that only meltano.yml names is not known here."""
    variables = {**project.dotenv_env, **os.environ}
    raw_schemas = [crm.raw_schema(variables) for crm in CRMS.values() if crm.loader in plugins]
    has_models = "dbt-postgres" in plugins
    if (raw_schemas or has_models) and variables.get("TARGET_POSTGRES_HOST"):
        for sentence in environment.warnings():
            logging.getLogger("orchestrate").warning(sentence)
        environment.check(variables)
        database.check(variables, raw_schemas, has_models=has_models)
        for crm in CRMS.values():
            if crm.loader in plugins and crm.outdated:
                database.refuse_outdated(variables, crm.raw_schema(variables), *crm.outdated)
