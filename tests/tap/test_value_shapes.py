"""Custom values of undocumented shapes are read if their meaning is clear, and rejected otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tap_pipedrive import values
from tap_pipedrive.custom_fields import unflatten
from tap_pipedrive.field_types import KINDS

from .harness import Record, account, discover, fake, field_definition, loads, run, select
from .test_custom_fields import KEY, field, make

OPTIONS = {125: "BI", 126: "Google", 127: "Twice", 128: "Twice"}

READ: list[tuple[str, Any, list[Any]]] = [
    ("set", {"values": [125]}, [["BI"], [125]]),
    ("set", {"type": "set", "values": [{"id": 125}, {"id": 126}]}, [["BI", "Google"], [125, 126]]),
    ("set", {"values": "125,126"}, [["BI", "Google"], [125, 126]]),
    ("set", {"values": []}, [[], []]),
    ("set", {"values": {"id": 125}}, [["BI"], [125]]),
    ("set", [{"label": "BI"}], [["BI"], [125]]),
    ("set", [{"id": 125, "label": "BI"}, {"value": "126"}], [["BI", "Google"], [125, 126]]),
    ("set", {"id": 125}, [["BI"], [125]]),
    ("enum", {"label": "Google"}, ["Google", 126]),
    ("enum", {"type": "enum", "id": 126}, ["Google", 126]),
    ("enum", {"id": 126, "label": "Former label"}, ["Google", 126]),
    ("enum", {"id": 99, "label": "Deleted"}, ["Deleted", 99]),
    ("enum", {"label": "Deleted"}, ["Deleted", None]),
    ("enum", {"label": "Twice"}, ["Twice", None]),
    ("user", {"type": "user", "id": 7}, [7]),
    ("user", {"value": None, "id": 7}, [7]),
    ("org", {"name": "N", "value": 7}, [7]),
    ("monetary", {"amount": 12, "currency": "BRL"}, [12, "BRL"]),
    ("monetary", {"type": "monetary", "value": Decimal("1.10"), "currency": "BRL"}, [Decimal("1.10"), "BRL"]),
    ("time", {"time": "10:00"}, ["10:00:00", None]),
    ("time", {"type": "time", "value": "10:00:00", "timezone_id": 5}, ["10:00:00", "5"]),
    ("timerange", {"type": "timerange", "from": "09:00", "until": "10:00", "timezone_id": 5}, [
        "09:00:00", "10:00:00", "5"
    ]),
    ("daterange", {"type": "daterange", "from": "2026-11-22", "until": "2026-12-01"}, [
        date(2026, 11, 22), date(2026, 12, 1)
    ]),
    ("daterange", {"until": "2026-12-01"}, [None, date(2026, 12, 1)]),
    ("varchar", {"type": "varchar", "value": "a"}, ["a"]),
    ("phone", {"value": "+55 11"}, ["+55 11"]),
    ("double", {"type": "double", "value": Decimal("0.10")}, [Decimal("0.10")]),
    ("boolean", {"type": "boolean", "value": False}, [False]),
    ("date", {"type": "date", "value": "2026-11-22"}, [date(2026, 11, 22)]),
    ("hologram", {"type": "hologram", "value": 1}, ['{"type":"hologram","value":1}']),
    ("address", {"value": None, "country": "BR", "latitude": 5}, [None] * 8 + ["BR", None, None]),
]  # fmt: skip
"""The type, the value, and the cells that it clearly means."""

REJECTED: list[tuple[str, Any]] = [
    ("user", {"name": "N"}),
    ("user", {"id": None, "name": "N"}),
    ("int", [7]),
    ("enum", {"name": "Google"}),
    ("enum", "Google"),
    ("enum", [126]),
    ("set", [{"name": "BI"}]),
    ("set", {"options": [125]}),
    ("set", {"values": ["BI"]}),
    ("monetary", {"sum": 12, "currency": "BRL"}),
    ("monetary", {"value": None, "sum": 12}),
    ("monetary", [12, "BRL"]),
    ("time", {"hour": 10, "minute": 0}),
    ("timerange", {"begin": "09:00", "end": "10:00"}),
    ("daterange", {"start": "2026-11-22", "until": "2026-12-01"}),
    ("address", {"street": "Rua A"}),
    ("address", {"street": "Rua A", "country": "BR"}),
    ("varchar", {"value": "a", "language": "pt"}),
    ("varchar", {"text": "a"}),
    ("double", {"number": 1}),
    ("date", {"day": "2026-11-22"}),
]
"""The type, and a value whose meaning is not clear."""

BLANK: list[Any] = [None, "", {}, {"type": "any"}, {"value": None}, {"type": "any", "value": ""}]


def cells(kind: str, value: Any) -> tuple[list[Any], list[Any]]:
    """Return the cells of a value, and the values that are rejected."""
    fields = make([field(kind, options=OPTIONS)])
    row: Record = {}
    rejects = fields.read({KEY: value}, row)
    columns = [f"x{suffix}" for suffix, _ in KINDS.get(kind, KINDS["json"]).columns]
    return [row[column] for column in columns], [kept for _, kept, _ in rejects]


@pytest.mark.parametrize(("kind", "value", "expected"), READ, ids=lambda part: str(part)[:40])
def test_another_shape_with_a_clear_meaning_is_read(kind: str, value: Any, expected: list[Any]) -> None:
    assert cells(kind, value) == (expected, [])


@pytest.mark.parametrize(("kind", "value"), REJECTED, ids=lambda part: str(part)[:40])
def test_a_shape_with_an_unknown_meaning_is_rejected(kind: str, value: Any) -> None:
    found, rejected = cells(kind, value)
    assert rejected == [value]
    assert found == [None] * len(found)


@pytest.mark.parametrize("value", BLANK, ids=str)
@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"json"}))
def test_an_empty_value_is_null_and_not_rejected(kind: str, value: Any) -> None:
    found, rejected = cells(kind, value)
    assert rejected == []
    assert found in ([None] * len(found), [[None], [None]])


def is_empty(value: Any) -> bool:
    """Return whether a value contains no information: it is empty, or has only empty parts."""
    if isinstance(value, dict):
        return all(name == "type" or is_empty(part) for name, part in value.items())
    if isinstance(value, list):
        return all(map(is_empty, value))
    return value in (None, "") or str(value).startswith(("0000-", "-0000-", "-0001-"))


parts = [
    "value",
    "values",
    "id",
    "label",
    "type",
    "from",
    "until",
    "amount",
    "currency",
    "time",
    "name",
    "country",
]
shapes = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "x", "10:00", "2026-11-22", "0000-00-00"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(parts), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=400)
@given(kind=st.sampled_from([*KINDS, "hologram"]), value=shapes)
def test_only_an_empty_value_becomes_null_without_a_reject(kind: str, value: Any) -> None:
    found, rejected = cells(kind, value)
    assert rejected or any(cell is not None for cell in found) or is_empty(value)


@pytest.mark.parametrize(
    ("kind", "flat", "expected"),
    [
        ("monetary", {KEY: {"amount": 12}, f"{KEY}_currency": "BRL"}, {"amount": 12, "currency": "BRL"}),
        ("monetary", {f"{KEY}_currency": "BRL", KEY: {"value": 12}}, {"value": 12, "currency": "BRL"}),
        ("set", {KEY: {"values": [125]}}, {"values": [125]}),
    ],
)
def test_an_object_at_the_root_of_a_v1_record_is_read(
    kind: str, flat: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    assert unflatten(flat, {KEY: field(kind)}) == {KEY: expected}


def test_a_run_reads_or_rejects_other_shapes() -> None:
    kinds: dict[str, tuple[Any, ...]] = {
        f"{number:040x}": case for number, case in enumerate([*READ, *REJECTED])
    }
    options = [{"id": option, "label": label} for option, label in OPTIONS.items()]
    definitions = [field_definition(key, f"F{key[-2:]}", case[0], options) for key, case in kinds.items()]
    deal = {"id": 1, "custom_fields": {key: case[1] for key, case in kinds.items()}}
    with fake(account({"/api/v2/dealFields": definitions, "/api/v2/deals": [deal]})) as server:
        chosen = select(discover(server.url), "deals", "rejected_values")
        done = run(server.url, catalog=chosen).good()
    (row,) = done.records("deals")
    assert [row[f"f{key[-2:]}"] for key in kinds] == [
        cell.isoformat() if isinstance(cell, date) else cell
        for cell in [*(case[2][0] for case in READ), *(None for _ in REJECTED)]
    ]
    rejected = {reject["field"]: loads(reject["value"]) for reject in done.records("rejected_values")}
    assert rejected == {f"f{key[-2:]}": case[1] for key, case in kinds.items() if len(case) == 2}
    assert row["custom_fields_overflow"] is None


def test_an_object_without_an_id_is_rejected_as_a_number() -> None:
    with pytest.raises(ValueError, match="an object without an id"):
        values.clean_integer({"name": "N"})


def test_leads_with_an_object_of_custom_fields_fill_their_columns() -> None:
    """Rows of API v2 have this shape; keys at the root of the record are still read."""
    other, unknown = "a" * 40, "b" * 40
    definitions = [
        field_definition(KEY, "Amount", "monetary"),
        field_definition(other, "Source", "enum", [{"id": 125, "label": "BI"}]),
    ]
    money = {"value": 12, "currency": "BRL"}
    leads = [
        {"id": "one", "custom_fields": {KEY: money, other: 125, unknown: "?"}},
        {"id": "two", KEY: 12, f"{KEY}_currency": "BRL", "custom_fields": {KEY: None, other: 125}},
        {"id": "three", KEY: 12, f"{KEY}_currency": "BRL", other: "125", "custom_fields": None},
    ]
    with fake(account({"/api/v2/dealFields": definitions, "/api/v1/leads": leads})) as server:
        done = run(server.url, catalog=select(discover(server.url), "leads")).good()
    rows = done.records("leads")
    assert [row["id"] for row in rows] == ["one", "two", "three"]
    for row in rows:
        assert (row["amount"], row["amount_currency"]) == (12, "BRL")
        assert (row["source"], row["source_id"]) == ("BI", 125)
    assert [row["custom_fields_overflow"] for row in rows] == [{unknown: "?"}, None, None]
