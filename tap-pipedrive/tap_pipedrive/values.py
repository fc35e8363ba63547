"""From the values of the API to values that a warehouse can hold: one function per type.

Each takes any JSON value and returns the cleaned one, None for an empty one (`null`, `""`, a zero date), or
raises ValueError when the value does not fit its type, in words that never quote the value: it may be one that
the user does not want to see anywhere. The schemas describe the columns that they fill.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

encode = msgspec.json.Encoder(decimal_format="number").encode
"""JSON with exact numbers, times in RFC 3339 and UTC as Z."""

TEXT = {"type": ["string", "null"]}
INTEGER = {"type": ["integer", "null"]}
NUMBER = {"type": ["number", "null"]}
BOOLEAN = {"type": ["boolean", "null"]}
TIMESTAMP = {"type": ["string", "null"], "format": "date-time"}
DATE = {"type": ["string", "null"], "format": "date"}
ARRAY = {"type": ["array", "null"]}
OBJECT = {"type": ["object", "null"]}

MAX_IDENTIFIER = 63
"""Bytes in a column name; Postgres silently cuts off the rest."""

MIN_INTEGER, MAX_INTEGER = -(2**63), 2**63 - 1
"""The range of a warehouse's bigint."""

MAX_MAGNITUDE = 1_000
"""Most digits of a number, before or after the point, that a warehouse stores."""

_ZERO_DATE = re.compile(r"^-?0000-|^-0001-")
_CLOCK_TIME = re.compile(r"([0-9]{1,3}):([0-5][0-9])(?::([0-5][0-9])(?:\.[0-9]+)?)?Z?")


def clean_text(value: Any) -> str | None:
    """Return text as it is, None for an empty string, and the text of a bare number or flag."""
    if isinstance(value, str):
        return value or None
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    raise ValueError(f"expected text, got {type(value).__name__}")


def clean_integer(value: Any) -> int | None:
    """Return a whole number within 64 bits; numeric text and whole decimals count as numbers."""
    number: int
    if type(value) is int:
        number = value
    elif value is None or value == "":
        return None
    elif isinstance(value, bool):
        raise ValueError("expected a whole number, got true or false")
    elif isinstance(value, str | Decimal):
        number = _whole(value)
    elif isinstance(value, dict):  # older v1 answers hydrate a reference: {"id": 7, "value": 7, "name": …}
        reference = clean_integer(value.get("id") if value.get("value") is None else value["value"])
        if reference is None and not is_blank(value):
            raise ValueError("an object without an id")
        return reference
    else:
        raise ValueError(f"expected a whole number, got {type(value).__name__}")
    if not MIN_INTEGER <= number <= MAX_INTEGER:
        raise ValueError("a whole number of more than 64 bits")
    return number


def _whole(value: str | Decimal) -> int:
    number = clean_number(value)
    if number is None or not MIN_INTEGER <= number <= MAX_INTEGER or number != int(number):
        raise ValueError("not a whole number")
    return int(number)


def clean_number(value: Any) -> Decimal | int | None:
    """Return an exact number, with all digits that the API sent."""
    if type(value) is int:
        if abs(value) <= MAX_INTEGER:
            return value
        number = Decimal(value)
    elif isinstance(value, Decimal):
        number = value
    elif value is None or value == "":
        return None
    elif isinstance(value, str):
        if len(value) > MAX_MAGNITUDE:
            raise ValueError("not a number that can be stored")
        try:
            number = Decimal(value)
        except ArithmeticError:
            raise ValueError("not a number") from None
    else:
        raise ValueError(f"expected a number, got {type(value).__name__}")
    if not number.is_finite() or abs(number.adjusted()) > MAX_MAGNITUDE:
        raise ValueError("not a number that can be stored")
    return number


def clean_boolean(value: Any) -> bool | None:
    """Return a flag; v1 sends true, 1 or "1"."""
    if value is None or isinstance(value, bool):
        return value
    if value == "":
        return None
    if str(value).lower() in ("1", "true"):
        return True
    if str(value).lower() in ("0", "false"):
        return False
    raise ValueError("not a flag")


def clean_timestamp(value: Any) -> datetime | None:
    """Return a moment in UTC, from RFC 3339 or v1's `YYYY-MM-DD HH:MM:SS`; None for an empty or zero date."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"expected a time, got {type(value).__name__}")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        if not value or _ZERO_DATE.match(value):
            return None
        raise ValueError("not a time") from None  # Python's own error quotes the value
    if len(value) < len("2026-01-01T00:00"):
        raise ValueError("not a date with a time")
    if moment.tzinfo is UTC:
        return moment
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time before the first or after the last year") from None


def changed_at(row: Any, column: str = "update_time") -> datetime | None:
    """Return the second of a row's `update_time` (or another column); None where it is missing or no time."""
    try:
        moment = clean_timestamp(row.get(column)) if isinstance(row, dict) else None
    except ValueError:
        return None
    return moment and moment.replace(microsecond=0)


def rfc3339(moment: datetime) -> str:
    """Return a moment in UTC as Pipedrive takes it: whole seconds with a Z, as it refuses fractions."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def clean_date(value: Any) -> date | None:
    """Return a calendar date, without a midnight after it; None for an empty or zero date."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"expected a date, got {type(value).__name__}")
    day, rest = value[:10], value[10:]
    try:
        cleaned = date.fromisoformat(day)
    except ValueError:
        if not value or _ZERO_DATE.match(value):
            return None
        raise ValueError("not a date") from None  # Python's own error quotes the value
    if rest and rest.strip("T Z0:.+"):
        raise ValueError("a date with a time of day")
    return cleaned


def clean_time(value: Any) -> str | None:
    """Return a time of day as text, `HH:MM:SS`, as JSON Schema's `time` would need a zone."""
    text = clean_duration(value)
    if text is not None and (len(text) > len("HH:MM:SS") or text >= "24"):
        raise ValueError("not a time of day")
    return text


def clean_duration(value: Any) -> str | None:
    """Return hours, minutes and seconds as text, `HH:MM:SS`, maybe more than a day."""
    if value is None or value == "":
        return None
    match = _CLOCK_TIME.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError("not hours and minutes")
    hours, minutes, seconds = match.groups()
    return f"{int(hours):02}:{minutes}:{seconds or '00'}"


def clean_list(value: Any) -> list[Any] | None:
    """Return a nested list as it was sent."""
    if value is None or isinstance(value, list):
        return value
    if value == "":
        return None
    raise ValueError(f"expected a list, got {type(value).__name__}")


def clean_object(value: Any) -> dict[str, Any] | None:
    """Return a nested object as it was sent; a bare text becomes its `value`."""
    if value is None or isinstance(value, dict):
        return value
    if isinstance(value, str):
        return {"value": value} if value else None
    raise ValueError(f"expected an object, got {type(value).__name__}")


def is_blank(value: Any) -> bool:
    """Return whether a value says nothing: it is empty, or holds only what is, and maybe a `type`."""
    if isinstance(value, dict):
        return all(name == "type" or is_blank(part) for name, part in value.items())
    return value is None or value == "" or (isinstance(value, list) and all(map(is_blank, value)))


def required(clean: Callable[[Any], T | None]) -> Callable[[Any], T]:
    """Return the same cleaning for a key, for which an empty value is an error."""

    def clean_required(value: Any) -> T:
        cleaned = clean(value)
        if cleaned is None:
            raise ValueError("the key is missing")
        return cleaned

    return clean_required


def primary(contacts: Any) -> Any:
    """Return the value marked as primary among a person's e-mails or phones, else the first."""
    if not isinstance(contacts, list):
        return None
    found = [contact for contact in contacts if isinstance(contact, dict) and contact.get("value")]
    marked = [contact for contact in found if contact.get("primary") is True]
    return (marked or found or [{}])[0].get("value")
