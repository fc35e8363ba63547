"""Custom fields: add a definition to an entity, and a value to each of its records."""

import hashlib
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from pipedrive_sandbox.data.contacts.people import cnpj, cpf
from pipedrive_sandbox.data.draft import Draft, Record, money
from pipedrive_sandbox.data.draws import pick
from pipedrive_sandbox.data.setup.builtin_fields import field
from pipedrive_sandbox.data.times import DAY, OFFICE_TIMEZONE, clock_text, date_text

ENTITY_LISTS = {
    "deal": ("deals", "leads"),  # leads have no fields of their own
    "person": ("persons",),
    "organization": ("organizations",),
    "product": ("products",),
    "project": ("projects",),
}
_TIMEZONES = ((81, OFFICE_TIMEZONE), (74, "America/New_York"), (144, "Europe/Lisbon"))

Maker = Callable[[Random, Record], Any]


class Spec(NamedTuple):
    """A custom field: its name, how often it is filled, and with which values.

    `of` means: the options of an enum or set; the words of a text type ("#" becomes a digit; a word in braces
    names a function in TEXTS); (lowest, highest, decimals) of a double; (lowest, highest) of a monetary in
    whole units, and of a date or daterange in days from the record's creation.
    """

    name: str
    kind: str
    filled: float
    of: tuple[Any, ...] = ()


def _with_digits(rng: Random, pattern: str) -> str:
    return "".join(chr(48 + int(rng.random() * 10)) if c == "#" else c for c in pattern)


def _text(draft: Draft, spec: Spec, _: list[int]) -> Maker:
    if spec.of == ("{cpf}",):
        return lambda rng, record: cpf(draft.people.serial())
    if spec.of == ("{cnpj}",):
        return lambda rng, record: cnpj(draft.people.serial())
    if any("#" in word for word in spec.of):
        return lambda rng, record: _with_digits(rng, pick(rng, spec.of))
    words = spec.of or draft.people.phrases
    return lambda rng, record: pick(rng, words)


def _double(draft: Draft, spec: Spec, _: list[int]) -> Maker:
    low, high, decimals = spec.of

    def make(rng: Random, record: Record) -> int | float:
        number = round(low + rng.random() * (high - low), decimals)
        return number if decimals else int(number)

    return make


def _monetary(draft: Draft, spec: Spec, _: list[int]) -> Maker:
    low, high = spec.of

    def make(rng: Random, record: Record) -> dict[str, Any]:
        cents = int((low + rng.random() ** 2 * (high - low)) * 100)
        currency = record.get("currency") or "BRL"
        whole = currency in ("JPY", "PTS")
        return {"value": money(cents // 100 * 100 if whole else cents), "currency": currency}

    return make


_TILT = {"won": 2.0, "lost": 1.4}
"""The weight of the first options; deals that have one of them are won more often."""


def _enum(draft: Draft, spec: Spec, option_ids: list[int]) -> Maker:
    def make(rng: Random, record: Record) -> int:
        return option_ids[int(len(option_ids) * rng.random() ** _TILT.get(record.get("status", ""), 1.6))]

    return make


def _set(draft: Draft, spec: Spec, option_ids: list[int]) -> Maker:
    def make(rng: Random, record: Record) -> list[int]:
        first = int(rng.random() * len(option_ids))
        return option_ids[first : first + 1 + int(rng.random() * 3)]

    return make


def _reference(entity: str) -> Callable[[Draft, Spec, list[int]], Maker]:
    def maker(draft: Draft, spec: Spec, _: list[int]) -> Maker:
        rows = draft.records[entity]
        return lambda rng, record: pick(rng, rows)["id"]

    return maker


def _phone(draft: Draft, spec: Spec, _: list[int]) -> Maker:
    return lambda rng, record: draft.people.phone(rng)


def _birth_plus(rng: Random, spec: Spec, record: Record) -> int:
    low, high = spec.of
    return int(record["add_time"] + (low + rng.random() * (high - low)) * DAY)


def _date(draft: Draft, spec: Spec, _: list[int]) -> Maker:
    return lambda rng, record: date_text(_birth_plus(rng, spec, record))


def _daterange(draft: Draft, spec: Spec, _: list[int]) -> Maker:
    def make(rng: Random, record: Record) -> dict[str, str]:
        start = _birth_plus(rng, spec, record)
        length = pick(rng, (7, 14, 30, 365)) * DAY
        return {"value": date_text(start), "until": date_text(start + length)}

    return make


def _time(draft: Draft, spec: Spec, _: list[int]) -> Maker:
    def make(rng: Random, record: Record) -> dict[str, Any]:
        number, name = pick(rng, _TIMEZONES)
        start = clock_text(8 * 3600 + int(rng.random() * 40) * 900)
        return {"value": start, "timezone_id": number, "timezone_name": name}

    return make


def _timerange(draft: Draft, spec: Spec, _: list[int]) -> Maker:
    def make(rng: Random, record: Record) -> dict[str, Any]:
        number, name = pick(rng, _TIMEZONES)
        start = 7 * 3600 + int(rng.random() * 16) * 1800
        return {
            "value": clock_text(start),
            "until": clock_text(start + 3600 * (1 + int(rng.random() * 8))),
            "timezone_id": number,
            "timezone_name": name,
        }

    return make


def _address(draft: Draft, spec: Spec, _: list[int]) -> Maker:
    return lambda rng, record: draft.people.address(rng)


MAKERS: dict[str, Callable[[Draft, Spec, list[int]], Maker]] = {
    "varchar": _text,
    "varchar_auto": _text,
    "text": _text,
    "double": _double,
    "monetary": _monetary,
    "enum": _enum,
    "set": _set,
    "user": _reference("users"),
    "org": _reference("organizations"),
    "people": _reference("persons"),
    "phone": _phone,
    "date": _date,
    "daterange": _daterange,
    "time": _time,
    "timerange": _timerange,
    "address": _address,
}


def add_custom_field(draft: Draft, entity: str, spec: Spec) -> str:
    """Define the field, fill it, and return its key.

    Each field has its own random generator, so that adding or removing a field changes no other one.
    """
    fields = draft.fields[entity]
    namesakes = sum(row["field_name"] == spec.name for row in fields if row["is_custom_field"])
    place = f"{draft.seed}/{entity}/{spec.name}/{namesakes}"
    key = hashlib.sha1(place.encode(), usedforsecurity=False).hexdigest()
    options = [_option(draft, label) for label in spec.of] if spec.kind in ("enum", "set") else None
    fields.append(field(entity, key, spec.name, spec.kind, options, custom=True))
    rng = draft.rng(place)
    make = MAKERS[spec.kind](draft, spec, [option["id"] for option in options or ()])
    for name in ENTITY_LISTS[entity]:
        for record in draft.records[name]:
            filled = rng.random() < spec.filled
            record["custom_fields"][key] = make(rng, record) if filled else None
    return key


def _option(draft: Draft, label: str) -> Record:
    born = draft.season.start
    number = draft.next_option_id()
    return {"id": number, "label": label, "color": None, "add_time": born, "update_time": born}
