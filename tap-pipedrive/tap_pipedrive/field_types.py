"""Pipedrive's field types: which columns a custom field of a type gets, and which cells a value becomes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tap_pipedrive import values

Schema = dict[str, Any]

Options = Mapping[int, str]
"""Labels by option id."""

Clean = Callable[[Any], Any]
Cells = Callable[[Any, Options], Sequence[Any]]

ADDRESS_PARTS = (
    "street_number", "route", "sublocality", "subpremise", "locality", "admin_area_level_1",
    "admin_area_level_2", "country", "postal_code", "formatted_address",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """The columns of a field type (suffix and schema), and how a value becomes their cells."""

    columns: tuple[tuple[str, Schema], ...]
    read: Cells
    flat: tuple[str, ...] = ()
    """Suffixes of the keys under which v1 sends the parts of one value."""

    clean: Clean | None = None
    """Cleans a value directly, where the type has one column and no options."""

    names: tuple[tuple[str, str], ...] = ()
    """Columns (suffix) that name rows of a stream."""

    is_text: bool = False
    """Whether any text fits."""


def _scalar(clean: Clean, schema: Schema) -> Kind:
    return Kind((("", schema),), lambda value, _: (clean(value),), clean=clean)


def _parts(
    *columns: tuple[str, tuple[str, ...], Clean, Schema],
    flat: tuple[str, ...],
    names: tuple[tuple[str, str], ...] = (),
) -> Kind:
    """Make a type whose value is an object: (column suffix, names of the part, cleaning, schema). A bare value
    stands for its first part; a part has several names where the API's versions or its webhooks differ."""

    first = columns[0][1]
    parts = tuple((keys, clean) for _, keys, clean, _ in columns)
    known = {"type"}.union(*(keys for keys, _ in parts))
    usual = {keys[0]: (place, clean) for place, (keys, clean) in enumerate(parts)}
    blank = [None] * len(parts)
    has_other_keys = any(len(keys) > 1 for keys, _ in parts)

    def read(value: Any, _: Options) -> list[Any]:
        sent = value if isinstance(value, dict) else {first[0]: value}
        cells: list[Any] = blank.copy()
        for name, part in sent.items():
            if part is not None and name in usual:
                place, clean = usual[name]
                # Without a call, as in `rows.py`.
                cells[place] = (
                    part or None if clean is values.clean_text and type(part) is str else clean(part)
                )
        if has_other_keys and None in cells:
            for place, (keys, clean) in enumerate(parts):
                part = next((part for key in keys if (part := sent.get(key)) is not None), None)
                cells[place] = None if part is None else clean(part)
        if known.issuperset(sent):
            return cells
        unknown = sent.keys() - known
        is_unread = sent.keys().isdisjoint(first) or cells.count(None) == len(cells)
        if is_unread and not all(values.is_blank(sent[name]) for name in unknown):
            raise ValueError("an object of unknown parts")
        return cells

    return Kind(tuple((suffix, schema) for suffix, _, _, schema in columns), read, flat, names=names)


def _read_option(value: Any, options: Options) -> tuple[str | None, int | None]:
    """Return label and id of an option, which is sent as its id or as an object with `id` or `label`; a deleted
    option has no label."""
    if type(value) is int and value in options:
        return options[value], value
    label = None
    if isinstance(value, dict):
        label = values.clean_text(value.get("label"))
        if label is not None and value.get("id") is None and value.get("value") is None:
            found = [option for option, name in options.items() if name == label]
            return label, found[0] if len(found) == 1 else None
    option = values.clean_integer(value)
    return (None if option is None else options.get(option, label)), option


def _read_options(value: Any, options: Options) -> tuple[list[Any] | None, list[Any] | None]:
    """Return labels and ids of a set; v1 sends `"12,34"`, v2 `[12, 34]`, webhooks `{"values": [{"id": 12}]}`."""
    if isinstance(value, dict) and "values" in value and (value["values"] or values.is_blank(value)):
        value = value["values"]
    if value is None or value == "":
        return None, None
    chosen = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    found = [_read_option(one, options) for one in chosen]
    return [label for label, _ in found], [option for _, option in found]


def _read_anything(value: Any, _: Options) -> tuple[str | None]:
    """Return the value of an unknown type: text as it is, anything else as JSON."""
    if isinstance(value, dict | list):
        return (values.encode(value).decode(),)
    return (values.clean_text(value),)


_TEXT = replace(_scalar(values.clean_text, values.TEXT), is_text=True)
_INTEGER = _scalar(values.clean_integer, values.INTEGER)
_USER = replace(_INTEGER, names=(("", "users"),))
_UNKNOWN = Kind((("", values.TEXT),), _read_anything, is_text=True)

KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("varchar", "varchar_auto", "varchar_options", "text", "phone", "lead"), _TEXT),
    "double": _scalar(values.clean_number, values.NUMBER),
    "boolean": _scalar(values.clean_boolean, values.BOOLEAN),
    "date": _scalar(values.clean_date, values.DATE),
    "json": _UNKNOWN,
    "user": _USER,
    **dict.fromkeys(("int", "org", "people", "deal", "project", "stage", "activity"), _INTEGER),
    "visible_to": _INTEGER,
    "enum": Kind((("", values.TEXT), ("_id", values.INTEGER)), _read_option),
    "set": Kind((("", values.ARRAY), ("_ids", values.ARRAY)), _read_options),
    "monetary": _parts(
        ("", ("value", "amount"), values.clean_number, values.NUMBER),
        ("_currency", ("currency",), values.clean_text, values.TEXT),
        flat=("currency",),
        names=(("_currency", "currencies"),),
    ),
    "daterange": _parts(
        ("", ("value", "from"), values.clean_date, values.DATE),
        ("_until", ("until",), values.clean_date, values.DATE),
        flat=("until",),
    ),
    "time": _parts(
        ("", ("value", "time"), values.clean_time, values.TEXT),
        ("_timezone", ("timezone_name", "timezone_id"), values.clean_text, values.TEXT),
        flat=("timezone_id",),
    ),
    "timerange": _parts(
        ("", ("value", "from"), values.clean_time, values.TEXT),
        ("_until", ("until",), values.clean_time, values.TEXT),
        ("_timezone", ("timezone_name", "timezone_id"), values.clean_text, values.TEXT),
        flat=("until", "timezone_id"),
    ),
    "address": replace(
        _parts(
            ("", ("value",), values.clean_text, values.TEXT),
            *((f"_{part}", (part,), values.clean_text, values.TEXT) for part in ADDRESS_PARTS),
            flat=ADDRESS_PARTS,
        ),
        is_text=True,
    ),
}
"""By field type of the API. Pipedrive adds types; a type that is not here becomes text."""


def kind_of(field_type: str) -> Kind:
    """Return the kind of a field type; that of text for types that Pipedrive has added since."""
    return KINDS.get(field_type, _UNKNOWN)
