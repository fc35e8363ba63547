"""The settings of a run from `.env` and the environment, with checks for mistakes."""

import ast
import calendar
import io
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, MutableMapping
from difflib import get_close_matches
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import available_timezones

import yaml
from dotenv import dotenv_values
from dotenv.parser import parse_stream

from orchestrate.crms import CRMS
from orchestrate.errors import RunError
from orchestrate.paths import ROOT, RUN

DOTENV = ROOT / ".env"

LOOPBACK = "localhost,127.0.0.1,::1"

OWN_PREFIXES = ("TAP_", "TARGET_")

SDK_VARIABLES = ("LOGLEVEL", "LOG_CONFIG")
"""Suffixes of variables that the Singer SDK reads besides settings, such as TAP_PIPEDRIVE_LOGLEVEL."""

TRUE_OR_FALSE = ("true", "1", "yes", "on", "false", "0", "no", "off")
"""Meltano's words for true, and their opposites; it takes any other word for false."""

ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def settings() -> dict[str, str]:
    """Return the variables of `.env` and the environment; the environment wins, and empty values count as
    unset.

    Raises:
        RunError: `.env` cannot be read.
    """
    environment = _dotenv() | {name: value for name, value in os.environ.items() if value}
    environment.setdefault("XDG_STATE_HOME", str(RUN / "state"))  # Meltano's own logs
    ask_loopback_directly(environment)
    return environment


def ask_loopback_directly(environment: MutableMapping[str, str]) -> None:
    """Exclude this machine from the proxies of an environment, because no proxy can reach the sandbox here."""
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = ",".join(filter(None, (environment.get(name), LOOPBACK)))


def _dotenv() -> dict[str, str]:
    try:
        raw = DOTENV.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise RunError(f".env cannot be read: {error.strerror}.") from None
    encoding = ENCODINGS.get(raw[:2])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        what = f"is {encoding}" if encoding else f"has a character in line {line} that is not UTF-8"
        raise RunError(f".env {what}: save it as UTF-8.") from None
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            raise RunError(f"Line {binding.original.line} of .env is not of the form NAME=value.")
    return {name: value for name, value in dotenv_values(stream=io.StringIO(text)).items() if value}


def warnings() -> Iterator[str]:
    """Yield warnings about settings that do not stop a run."""
    if DOTENV.exists() and DOTENV.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield ".env holds secrets, and others on this machine may read it: chmod 600 .env"
    names = _names_of_example()
    for name in sorted(_dotenv().keys() - names):
        if not name.startswith(OWN_PREFIXES) and (
            nearest := get_close_matches(name, names, n=1, cutoff=0.85)
        ):
            yield f"Nothing reads the variable {name} of .env. Did you mean {nearest[0]}?"


def _names_of_example() -> set[str]:
    """Return the variables that .env.example names; an image does not have the file."""
    example = ROOT / ".env.example"
    return (
        set(re.findall(r"^(?:# )?([A-Z_]+)=", example.read_text(), re.MULTILINE))
        if example.exists()
        else set()
    )


def check(environment: Mapping[str, str]) -> None:
    """Find settings that would make a run do something else than its user meant.

    Raises:
        RunError: A variable is unknown, credentials are incomplete, or a value is out of its range.
    """
    for problem in (
        *_unknown(environment),
        *_incomplete(environment),
        *_of_another_kind(environment),
        *_out_of_range(environment),
        *_of_builds(environment),
    ):
        raise RunError(problem)


class _Known(NamedTuple):
    names: frozenset[str]
    prefixes: tuple[str, ...]
    settings: Mapping[str, Mapping[str, Any]]


@cache
def _known() -> _Known:
    """Return the variables of all settings of the project's plugins."""
    project = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]
    declared: dict[str, list[Mapping[str, Any]]] = {}
    names: set[str] = set()
    for group in ("extractors", "loaders"):
        for plugin in project[group]:
            declared[plugin["name"]] = [
                *_settings_of(group, plugin),
                *declared.get(plugin.get("inherit_from"), []),
            ]
            names.update(
                alias for each in plugin.get("settings", []) for alias in each.get("env_aliases", [])
            )
    prefixes = []
    settings: dict[str, Mapping[str, Any]] = {}
    for plugin_name, plugin_settings in declared.items():
        prefix = _variable(plugin_name) + "_"
        prefixes.append(prefix)
        settings |= {prefix + _variable(each["name"]): each for each in plugin_settings}
        names |= {prefix + each for each in SDK_VARIABLES}
    return _Known(frozenset(names | settings.keys()), tuple(prefixes), settings)


def _settings_of(group: str, plugin: Mapping[str, Any]) -> list[Any]:
    """Return a plugin's settings from meltano.yml and from its lock file."""
    locked: list[Any] = []
    for path in (ROOT / "plugins" / group).glob(f"{plugin['name']}--*.lock"):
        locked += yaml.safe_load(path.read_text())["settings"]
    return [*plugin.get("settings", []), *locked]


def _variable(name: str) -> str:
    return re.sub(r"\W", "_", name).upper()


def _unknown(environment: Mapping[str, str]) -> Iterator[str]:
    """Report variables that nothing reads although they seem to be meant for this project.

    These begin with the name of one of its plugins, or nearly equal a known variable. Meltano's extras, such
    as TAP_PIPEDRIVE__SELECT, have a second underscore.
    """
    known = _known()
    for name in environment:
        if not name.startswith(OWN_PREFIXES) or name in known.names:
            continue
        prefix = max((each for each in known.prefixes if name.startswith(each)), key=len, default="")
        if prefix and name.removeprefix(prefix).startswith("_"):
            continue
        nearest = get_close_matches(name, known.names, n=1, cutoff=0 if prefix else 0.85)
        if nearest:
            where = ".env or the environment"
            yield f"Nothing reads the variable {name} of {where}. Did you mean {nearest[0]}? Otherwise remove it."


def _incomplete(environment: Mapping[str, str]) -> Iterator[str]:
    """Report incomplete credentials."""
    for crm in CRMS.values():
        for names in crm.credentials:
            missing = [name for name in names if not environment.get(name)]
            if missing and len(missing) < len(names) and not crm.has_account(environment):
                found = next(name for name in names if name not in missing)
                yield f"{found} is set, but not {' and '.join(missing)}: {crm.name} needs all of them."


def _of_another_kind(environment: Mapping[str, str]) -> Iterator[str]:
    """Report values that Meltano refuses without their variable's name, or misreads: a `ja` means no to it."""
    for name, setting in _known().settings.items():
        value, kind = environment.get(name), setting.get("kind")
        if not value:
            continue
        if kind == "options":
            options = [str(each["value"]) for each in setting["options"]]
            if value not in options:
                yield f"{name} is {value}: take {', '.join(options[:-1])} or {options[-1]}."
        elif kind == "integer" and not re.fullmatch(r"[+-]?\d+", value.strip()):
            yield f"{name} is {value}: take a whole number."
        elif kind == "decimal" and not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", value.strip()):
            yield f"{name} is {value}: take a number such as 0.8."
        elif kind == "boolean" and value.lower() not in TRUE_OR_FALSE:
            yield f"{name} is {value}: take true or false."
        elif kind == "object" and not _is_object(value):
            yield f'{name} is no object of JSON: write one such as {{"key": "value"}}.'


def _is_object(text: str) -> bool:
    """Return whether Meltano reads a text as an object: it is JSON, or a dictionary as Python writes it."""
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        pass
    try:
        return isinstance(ast.literal_eval(text), dict)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False


def _out_of_range(environment: Mapping[str, str]) -> Iterator[str]:
    """Report settings of the models with which dbt would fail after the load."""
    zone = environment.get("REPORTING_TIMEZONE", "UTC")
    if zone not in available_timezones():
        yield f"REPORTING_TIMEZONE is {zone}, which is not a time zone: take a name such as America/Sao_Paulo."
    for name in ("REPORTING_CURRENCY", "HUBSPOT_CURRENCY"):
        currency = environment.get(name, "USD")
        if not re.fullmatch(r"[A-Z]{3}", currency):
            yield f"{name} is {currency}: take a code of three capital letters such as BRL."
    margin = environment.get("GROSS_MARGIN", "1")
    if not re.fullmatch(r"0?\.\d+|[01](\.0*)?", margin):
        yield f"GROSS_MARGIN is {margin}: take a share from 0 to 1 such as 0.7."
    most = environment.get("MAX_RECORDS_PER_MATCH_KEY", "20")
    if not re.fullmatch(r"[1-9]\d{0,8}", most):
        yield f"MAX_RECORDS_PER_MATCH_KEY is {most}: take a whole number such as 20."
    bands = environment.get("VALUE_BANDS", "1")
    limits = [int(each) for each in bands.split(",") if re.fullmatch(r" *[1-9]\d* *", each)]
    if len(limits) <= bands.count(",") or limits != sorted(set(limits)):
        yield f"VALUE_BANDS is {bands}: use increasing whole numbers, such as 1000,5000,20000."
    hours = environment.get("BUSINESS_HOURS", "09:00-18:00")
    clock = r"([01]\d|2[0-3]):[0-5]\d"
    if not re.fullmatch(rf"{clock}-({clock}|24:00)", hours) or hours[:5] >= hours[6:]:
        yield f"BUSINESS_HOURS is {hours}: say when work begins and ends, such as 09:00-18:00."
    for day in environment.get("BUSINESS_DAYS", "monday").split(","):
        if day.strip().title() not in calendar.day_name:
            yield f"BUSINESS_DAYS has {day}: take weekdays in English, such as monday,tuesday."
    sla = environment.get("RESPONSE_SLA_HOURS", "4")
    if not re.fullmatch(r"\d+(\.\d+)?", sla):
        yield f"RESPONSE_SLA_HOURS is {sla}: take a number of hours such as 4."
    weekday = environment.get("WEEK_START", "monday")
    if weekday.title() not in calendar.day_name:
        yield f"WEEK_START is {weekday}: take a weekday in English such as sunday."
    month = environment.get("FISCAL_YEAR_START", "1")
    if not re.fullmatch(r"[1-9]|1[0-2]", month):
        yield f"FISCAL_YEAR_START is {month}: take the number of a month, 1 to 12."


def _of_builds(environment: Mapping[str, str]) -> Iterator[str]:
    """Report settings of a build that dbt would refuse after the load, or take for false."""
    threads = environment.get("DBT_THREADS") or "4"
    if not re.fullmatch(r"[1-9]\d{0,2}", threads):
        yield f"DBT_THREADS is {threads}: take the number of models to build at the same time, such as 4."
    lag = environment.get("MAX_LAG_HOURS") or "24"
    if not re.fullmatch(r"\d+(\.\d+)?", lag):
        yield f"MAX_LAG_HOURS is {lag}: take a number of hours such as 24."
    for name in ("CUSTOMERS_ACROSS_CRMS", "COMPAT"):
        wish = environment.get(name) or "false"
        if wish.lower() not in ("true", "false"):
            yield f"{name} is {wish}: take true or false."
