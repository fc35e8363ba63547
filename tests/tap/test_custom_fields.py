# Over 400 lines: it holds a table of cells for each field type, and the naming of columns.
"""Custom fields: the columns and cells of each type, and column names that never clash or change."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive.columns import OVERFLOW, RAW, Definition, Pins, key_of, slug
from tap_pipedrive.custom_fields import CustomFields, unflatten
from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.field_types import KINDS
from tap_pipedrive.streams.deals import Deal
from tap_pipedrive.streams.leads import Lead

from .harness import Record, account, discover, fake, field_definition, loads, run, select

BUILT_IN = tuple(Deal.model_fields)
KEY = "0123456789abcdef0123456789abcdef01234567"
OTHER = "fedcba9876543210fedcba9876543210fedcba98"


def make(
    definitions: Sequence[Definition],
    *,
    mode: str = "columns",
    aliases: Mapping[str, str] | None = None,
    pins: Pins | None = None,
    max_columns: int = 1200,
) -> CustomFields:
    return CustomFields(
        definitions,
        mode=mode,
        aliases=aliases or {},
        pins={} if pins is None else pins,
        reserved=BUILT_IN,
        max_columns=max_columns,
    )


def field(kind: str, name: str = "X", key: str = KEY, options: Mapping[int, str] | None = None) -> Definition:
    return Definition(key, name, kind, options or {})


def keys_of(fields: CustomFields) -> dict[str, str]:
    """Return the field key of each column."""
    return {column: key for column, schema in fields.columns.items() if (key := key_of(schema))}


# Cells

OPTIONS = {12: "Gold", 34: "Prata"}
PARTS = {
    "street_number": "10",
    "route": "Rua A",
    "sublocality": "",
    "subpremise": None,
    "locality": "São Paulo",
    "admin_area_level_1": "SP",
    "admin_area_level_2": None,
    "country": "Brazil",
    "postal_code": "01000-000",
    "formatted_address": "Rua A, 10",
}
CELLS: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = [
    ("varchar", "a", {KEY: "a"}, {"": "a"}),
    ("varchar_auto", "a", {KEY: "a"}, {"": "a"}),
    ("text", "ç\n", {KEY: "ç\n"}, {"": "ç\n"}),
    ("phone", "+55 11", {KEY: "+55 11"}, {"": "+55 11"}),
    ("double", Decimal("12345678901234567.89"), {KEY: Decimal("12345678901234567.89")}, {
        "": Decimal("12345678901234567.89")
    }),
    ("double", 0, {KEY: 0}, {"": 0}),
    ("int", 7, {KEY: "7"}, {"": 7}),
    ("boolean", False, {KEY: 0}, {"": False}),
    ("monetary", {"value": Decimal("0.10"), "currency": "BRL"}, {KEY: Decimal("0.10"), f"{KEY}_currency": "BRL"}, {
        "": Decimal("0.10"), "_currency": "BRL"
    }),
    ("monetary", {"value": 0, "currency": "BRL"}, {KEY: 0, f"{KEY}_currency": "BRL"}, {"": 0, "_currency": "BRL"}),
    ("enum", 12, {KEY: "12"}, {"": "Gold", "_id": 12}),
    ("enum", 99, {KEY: "99"}, {"": None, "_id": 99}),
    ("set", [34, 12], {KEY: "34,12"}, {"": ["Prata", "Gold"], "_ids": [34, 12]}),
    ("set", [12, 99], {KEY: "12,99"}, {"": ["Gold", None], "_ids": [12, 99]}),
    *((kind, 5, {KEY: {"id": 5, "value": 5, "name": "Ana"}}, {"": 5}) for kind in (
        "user", "org", "people", "deal", "project", "stage", "activity"
    )),
    ("visible_to", 3, {KEY: "3"}, {"": 3}),
    ("lead", "c0ffee00-0000-4000-8000-000000000000", {KEY: "c0ffee00-0000-4000-8000-000000000000"}, {
        "": "c0ffee00-0000-4000-8000-000000000000"
    }),
    ("date", "2026-11-22", {KEY: "2026-11-22"}, {"": date(2026, 11, 22)}),
    ("date", "0000-00-00", {KEY: "0000-00-00"}, {"": None}),
    ("daterange", {"value": "2026-11-22", "until": "2026-12-01"}, {
        KEY: "2026-11-22", f"{KEY}_until": "2026-12-01"
    }, {"": date(2026, 11, 22), "_until": date(2026, 12, 1)}),
    ("daterange", {"value": None, "until": "2026-12-01"}, {f"{KEY}_until": "2026-12-01"}, {
        "": None, "_until": date(2026, 12, 1)
    }),
    ("time", {"value": "15:00", "timezone_id": 5}, {KEY: "15:00:00", f"{KEY}_timezone_id": 5}, {
        "": "15:00:00", "_timezone": "5"
    }),
    ("timerange", {"value": "09:00", "until": "18:30:00", "timezone_id": 5}, {
        KEY: "09:00:00", f"{KEY}_until": "18:30:00", f"{KEY}_timezone_id": 5
    }, {"": "09:00:00", "_until": "18:30:00", "_timezone": "5"}),
    ("address", {"value": "Rua A, 10, São Paulo", **PARTS}, {
        KEY: "Rua A, 10, São Paulo", **{f"{KEY}_{part}": value for part, value in PARTS.items()}
    }, {"": "Rua A, 10, São Paulo", **{f"_{part}": value or None for part, value in PARTS.items()}}),
    ("hologram", {"a": [1, Decimal("1.10")]}, {KEY: {"a": [1, Decimal("1.10")]}}, {"": '{"a":[1,1.10]}'}),
]  # fmt: skip
"""The type, its value in v2, the keys of v1 for it, and the expected cells by column suffix."""


@pytest.mark.parametrize("version", ["v2", "v1"])
@pytest.mark.parametrize(("kind", "value", "flat", "cells"), CELLS, ids=lambda part: str(part)[:20])
def test_every_type_fills_its_columns(
    kind: str, value: Any, flat: dict[str, Any], cells: dict[str, Any], version: str
) -> None:
    definition = field(kind, options=OPTIONS)
    fields = make([definition])
    row: Record = {}
    raw = {KEY: value} if version == "v2" else unflatten({"id": 1, **flat}, {KEY: definition})
    assert fields.read(raw, row) == []
    assert row == {f"x{suffix}": cell for suffix, cell in cells.items()} | {OVERFLOW: None}
    assert row.keys() == fields.columns.keys()


def test_the_table_above_covers_all_types() -> None:
    assert {kind for kind, *_ in CELLS} >= KINDS.keys() - {"varchar_options", "json"}


def test_a_time_prefers_the_name_of_its_time_zone() -> None:
    row: Record = {}
    value = {"value": "15:00:00", "timezone_id": 5, "timezone_name": "America/Sao_Paulo"}
    make([field("time")]).read({KEY: value}, row)
    assert row["x_timezone"] == "America/Sao_Paulo"


@pytest.mark.parametrize("kind", [*KINDS, "hologram"])
@pytest.mark.parametrize("unset", [{}, {KEY: None}])
def test_an_unset_value_is_null_in_all_columns(kind: str, unset: dict[str, Any]) -> None:
    fields = make([field(kind)])
    row: Record = {}
    assert fields.read(unset, row) == []
    assert row == dict.fromkeys(fields.columns)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["value", "id", "until", "currency", "timezone_name", "country", "?"]), inner
        )
    ),
    max_leaves=6,
)


@settings(max_examples=150)
@given(value=json_values)
def test_an_invalid_value_is_rejected_and_the_rest_of_the_row_kept(value: Any) -> None:
    definitions = [
        Definition(f"{number:040x}", kind, kind, OPTIONS) for number, kind in enumerate([*KINDS, "hologram"])
    ]
    good = Definition(OTHER, "Good", "varchar", {})
    fields = make([*definitions, good])
    row: Record = {"id": 1}
    raw = {definition.key: value for definition in definitions} | {OTHER: "kept"}
    rejects = fields.read(raw, row)
    assert row.keys() == {"id", *fields.columns}
    assert row["id"] == 1
    assert row["good"] == "kept"
    for column, kept, error in rejects:
        key = keys_of(fields)[column]
        assert kept == value
        assert error
        assert all(row[name] is None for name, owner in keys_of(fields).items() if owner == key)


@pytest.mark.parametrize("raw", ["text", ["x"], 5])
def test_custom_fields_that_are_not_an_object_are_rejected(raw: Any) -> None:
    definitions = [field_definition(KEY, "X", "varchar")]
    lists = {"/api/v2/dealFields": definitions, "/api/v2/deals": [{"id": 1, "custom_fields": raw}]}
    with fake(account(lists)) as server:
        chosen = select(discover(server.url), "deals", "rejected_values")
        done = run(server.url, catalog=chosen).good()
    assert [row["x"] for row in done.records("deals")] == [None]
    assert [loads(row["value"]) for row in done.records("rejected_values")] == [raw]


def test_an_option_without_a_label_has_a_null_label() -> None:
    definitions = [field_definition(KEY, "X", "enum", [{"id": 1, "label": None}, {"id": 2, "label": "B"}])]
    deals = [{"id": number, "custom_fields": {KEY: number}} for number in (1, 2)]
    with fake(account({"/api/v2/dealFields": definitions, "/api/v2/deals": deals})) as server:
        done = run(server.url, catalog=select(discover(server.url), "deals")).good()
    assert [(row["x"], row["x_id"]) for row in done.records("deals")] == [(None, 1), ("B", 2)]


@pytest.mark.parametrize("options", [None, [], {}, "none", 5, [None, 3, {"id": "abc", "label": "?"}, {}]])
def test_malformed_option_lists_do_no_harm(options: Any) -> None:
    definitions = [field_definition(KEY, "X", "enum", options)]
    deals = [{"id": 1, "custom_fields": {KEY: 1}}]
    with fake(account({"/api/v2/dealFields": definitions, "/api/v2/deals": deals})) as server:
        done = run(server.url, catalog=select(discover(server.url), "deals", "field_options")).good()
    assert [(row["x"], row["x_id"]) for row in done.records("deals")] == [(None, 1)]


# Where values go: columns, JSON, both, or overflow


def test_each_mode_fills_its_columns(shared: Sandbox) -> None:
    runs = {}
    for mode in ("columns", "json", "both"):
        catalog = select(discover(shared.url, custom_fields=mode), "deals")
        runs[mode] = run(shared.url, custom_fields=mode, catalog=catalog).good()
    built_in = set(Deal.model_fields)
    columns = {mode: set(done.columns("deals")) - built_in for mode, done in runs.items()}
    assert columns["json"] == {RAW}
    assert columns["both"] == columns["columns"] | {RAW}
    assert OVERFLOW in columns["columns"]
    truth = {deal["id"]: deal["custom_fields"] for deal in shared.truth("deals")}
    for mode in ("json", "both"):
        for row in runs[mode].records("deals"):
            assert row[RAW] == truth[row["id"]]
    for row, other in zip(runs["columns"].records("deals"), runs["both"].records("deals"), strict=True):
        assert {name: value for name, value in other.items() if name != RAW} == row


@pytest.mark.parametrize(("mode", "named"), [("columns", True), ("both", True), ("json", False)])
def test_fields_name_the_columns_that_exist(shared: Sandbox, mode: str, named: bool) -> None:
    done = run(shared.url, custom_fields=mode, max_custom_field_columns=20).good()
    tables = {"deal": "deals", "person": "persons", "organization": "organizations", "product": "products"}
    named_columns = 0
    for row in done.records("fields"):
        if row["is_custom_field"] and row["column_name"]:
            assert row["column_name"] in done.columns(tables[row["entity"]]), row["field_name"]
            named_columns += 1
    assert bool(named_columns) is named


def test_fields_beyond_max_columns_go_to_the_overflow() -> None:
    definitions = [field("monetary" if n % 2 else "varchar", f"F{n}", f"{n:040x}") for n in range(20)]
    pins: Pins = {}
    first = make(definitions, pins=pins, max_columns=10)
    assert len(first.columns) - 1 <= 10
    newer = [field("varchar", "A new one", "f" * 40), *reversed(definitions)]
    second = make(newer, pins=deepcopy(pins), max_columns=10)
    assert list(second.columns) == list(first.columns)
    row: Record = {}
    raw = {definition.key: "7" for definition in newer}
    assert second.read(raw, row) == []
    assert row[OVERFLOW] == {key: "7" for key in raw if key not in keys_of(second).values()}
    assert set(second.without_columns) == set(row[OVERFLOW])


def test_max_columns_may_be_zero() -> None:
    fields = make([field("varchar")], max_columns=0)
    row: Record = {}
    fields.read({KEY: "a"}, row)
    assert row == {OVERFLOW: {KEY: "a"}}


def test_values_without_a_definition_go_to_the_overflow() -> None:
    fields = make([field("varchar")])
    row: Record = {}
    fields.read({KEY: "a", OTHER: 5}, row)
    assert row == {"x": "a", OVERFLOW: {OTHER: 5}}


def test_leads_have_the_deals_fields_at_the_root(shared: Sandbox) -> None:
    done = run(shared.url).good()
    by_key = {
        row["field_code"]: row["column_name"] for row in done.records("fields") if row["entity"] == "deal"
    }
    columns = done.columns("leads")
    leads = {row["id"]: row for row in done.records("leads")}
    texts = [
        (leads[lead["id"]][by_key[key]], value)
        for lead in shared.truth("leads")
        for key, value in lead["custom_fields"].items()
        if isinstance(value, str) and by_key[key] in columns and by_key[key] not in Lead.model_fields
    ]
    assert len(texts) > 10
    assert [str(cell) for cell, _ in texts] == [value for _, value in texts]


# Names

nasty_names = st.one_of(
    st.text(max_size=120),
    st.sampled_from(
        [
            "", " ", "Value", "value", "VALUE", "Valüe", "Value currency", "value_currency", "ID", "id", "title",
            "custom_fields", "custom_fields_overflow", "9 lives", "_9_lives", "日本語", "a" * 100, "a" * 101,
            "Score", "score id", "Score_id", "score ids", "x until", "x", "order", "select", "null", "field",
            "update_time", "Ünïcödé", "-", "X 012345", "x_012345",
        ]
    ),
)  # fmt: skip
keys = st.lists(st.sampled_from("0a"), min_size=40, max_size=40).map("".join) | st.from_regex(
    r"[0-9a-f]{40}", fullmatch=True
)
kinds = st.sampled_from([*KINDS, "hologram"])
definition_lists = st.lists(
    st.builds(Definition, key=keys, name=nasty_names, type=kinds, options=st.just({})),
    max_size=12,
    unique_by=lambda definition: definition.key,
)

COLUMN = re.compile(r"[a-z_][a-z0-9_]*")


def named(definitions: Sequence[Definition], **options: Any) -> CustomFields:
    """Return the columns, after checking that a warehouse accepts them and that each belongs to one field."""
    fields = make(definitions, **options)
    expected = sum(len(KINDS.get(field.type, KINDS["text"]).columns) for field in definitions)
    custom = fields.columns.keys() - {OVERFLOW}
    assert len(custom) == expected, "two fields share a column"
    assert not custom & {*BUILT_IN, RAW}
    assert all(COLUMN.fullmatch(column) and len(column.encode()) <= 63 for column in custom), custom
    return fields


@settings(max_examples=120)
@given(definitions=definition_lists, data=st.data())
def test_names_are_valid_unique_and_independent_of_order(
    definitions: list[Definition], data: st.DataObject
) -> None:
    names = named(definitions).names
    assert named(data.draw(st.permutations(definitions))).names == names


@settings(max_examples=60)
@given(definitions=definition_lists, data=st.data())
def test_a_column_name_stays_whatever_is_renamed_added_or_deleted(
    definitions: list[Definition], data: st.DataObject
) -> None:
    pins: Pins = {}
    owner: dict[str, str] = {}
    for _ in range(3):
        fields = named(definitions, pins=pins)
        for column, key in keys_of(fields).items():
            assert owner.setdefault(column, key) == key, f"{column} was another field's"
        kept = [definition for definition in definitions if data.draw(st.booleans(), "keep")]
        for definition in kept:
            assert named(kept, pins=deepcopy(pins)).names[definition.key] == fields.names[definition.key]
        renamed = [Definition(d.key, data.draw(nasty_names), d.type, d.options) for d in kept]
        known = {*pins, *(definition.key for definition in renamed)}
        added = [definition for definition in data.draw(definition_lists) if definition.key not in known]
        definitions = data.draw(st.permutations(renamed + added))


@settings(max_examples=150)
@given(
    definitions=definition_lists,
    aliases=st.lists(st.sampled_from(["score", "x", "title", "custom_fields", "x_until", "a" * 63, "b"])),
)
def test_an_alias_becomes_the_column_name_or_is_refused_in_one_sentence(
    definitions: list[Definition], aliases: list[str]
) -> None:
    chosen = {definition.key: alias for definition, alias in zip(definitions, aliases, strict=False)}
    try:
        fields = named(definitions, aliases=chosen)
    except PipedriveError:
        return  # the next tests check the messages
    assert {key: fields.names[key] for key in chosen} == chosen


@pytest.mark.parametrize("alias", ["title", RAW, OVERFLOW, "update_time"])
def test_an_alias_that_is_a_built_in_column_is_refused(alias: str) -> None:
    with pytest.raises(PipedriveError, match=rf"custom_field_names: {KEY} \(X\) cannot be named {alias}: "):
        make([field("varchar")], aliases={KEY: alias})


def test_two_equal_aliases_are_refused() -> None:
    definitions = [field("varchar"), field("varchar", "Y", OTHER)]
    with pytest.raises(PipedriveError, match="cannot be named score"):
        make(definitions, aliases={KEY: "score", OTHER: "score"})


def test_an_alias_for_a_missing_field_does_no_harm() -> None:
    assert make([field("varchar")], aliases={OTHER: "title"}).names == {KEY: "x"}


def test_a_column_that_was_left_for_an_alias_goes_to_no_other_field() -> None:
    """The column is still in the warehouse with the first field's type and values."""
    pins: Pins = {}
    make([field("double", "Score")], pins=pins)
    make([field("double", "Score")], pins=pins, aliases={KEY: "rating"})
    later = [field("double", "Score"), field("text", "Score", OTHER)]
    assert make(later, pins=pins, aliases={KEY: "rating"}).names[OTHER] != "score"


def test_equal_names_get_suffixes_and_the_first_keeps_its_name() -> None:
    pins: Pins = {}
    assert make([field("varchar", "Score")], pins=pins).names == {KEY: "score"}
    both = [field("varchar", "Score", OTHER), field("varchar", "Score")]
    assert make(both, pins=pins).names == {KEY: "score", OTHER: "score_fedcba"}
    assert make(both).names == {KEY: "score_012345", OTHER: "score_fedcba"}


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("Nº de Leitos (UTI)", "no_de_leitos_uti"),
        ("  CNPJ  ", "cnpj"),
        ("2ª opinião", "_2a_opiniao"),
        ("Data/Hora", "data_hora"),
        ("__a__b__", "a_b"),
    ],
)
def test_names_become_slugs(name: str, column: str) -> None:
    assert slug(name) == column


@pytest.mark.parametrize("name", ["", " ", "%", "…", "→", "\u200b", "\ue000"])
def test_a_name_without_usable_characters_becomes_field_and_key(name: str) -> None:
    assert make([field("varchar", name)]).names == {KEY: "field_012345"}


@pytest.mark.parametrize(
    ("name", "kind"), [("Version", "varchar"), ("VERSION", "monetary"), ("DeleteDate", "date")]
)
def test_a_name_that_is_a_parameter_of_the_target_is_not_used(name: str, kind: str) -> None:
    """Otherwise a run with `reconcile` would end in a traceback of the target."""
    assert make([field(kind, name)]).names == {KEY: f"{slug(name)}_012345"}


def test_names_are_cut_so_that_the_longest_suffix_fits() -> None:
    fields = named([field("address", "A" * 100)])
    assert max(map(len, fields.columns)) == 63


def test_columns_have_descriptions() -> None:
    fields = make([field("enum", "Área")])
    assert fields.columns["area_id"]["title"] == "Área"
    assert fields.columns["area_id"]["description"] == f"Custom field {KEY}"


def test_column_names_survive_a_rename_in_a_real_run(living: Sandbox) -> None:
    catalog = select(discover(living.url), "deals")
    first = run(living.url, catalog=catalog).good()
    before = set(first.columns("deals"))
    for definition in living.rows("/api/v2/dealFields"):
        if definition["is_custom_field"]:
            living.patch(f"/sandbox/fields/deal/{definition['field_code']}", {"field_name": "All the same"})
    living.post("/sandbox/fields/deal", {"field_name": "All the same", "field_type": "monetary"})
    second = run(living.url, catalog=select(discover(living.url), "deals"), state=first.state).good()
    added = set(second.columns("deals")) - before
    assert before <= set(second.columns("deals"))
    assert len(added) == 2
    assert {column.removesuffix("_currency") for column in added} == {min(added, key=len)}


@pytest.mark.parametrize("status", [402, 404])
def test_unreadable_definitions_stop_their_entity_if_it_has_columns(living: Sandbox, status: int) -> None:
    """Its rows would lose the values of those columns for good; without known columns, a warning is enough."""
    catalog = select(discover(living.url), "deals", "users")
    refused = {"kind": "status", "status": status, "path": "/api/v2/dealFields"}
    living.post("/sandbox/faults", refused)
    first = run(living.url, catalog=catalog).good()
    assert first.records("deals")
    living.delete("/sandbox/faults")
    second = run(living.url, catalog=catalog).good()
    living.post("/sandbox/change", {"share": 0.1, "kinds": ["update"], "entities": ["deals"]})
    living.post("/sandbox/faults", refused)
    third = run(living.url, catalog=catalog, state=second.state)
    assert "deals: Custom fields of the entity deal have columns" in str(third.error)
    assert not third.records("deals")
    assert third.records("users"), "everything else is loaded"


def test_a_deleted_field_keeps_its_column_name_reserved(living: Sandbox) -> None:
    made = living.post("/sandbox/fields/deal", {"field_name": "Temperature", "field_type": "double"})
    first = run(living.url, catalog=select(discover(living.url), "deals")).good()
    assert "temperature" in first.columns("deals")
    living.delete(f"/sandbox/fields/deal/{made['field_code']}")
    living.post("/sandbox/fields/deal", {"field_name": "Temperature", "field_type": "text"})
    second = run(living.url, catalog=select(discover(living.url), "deals"), state=first.state).good()
    assert "temperature" not in second.columns("deals")
    assert any(column.startswith("temperature_") for column in second.columns("deals"))


@given(keys=st.lists(st.text(min_size=1, max_size=50), min_size=1, max_size=6, unique=True))
def test_fields_whose_keys_are_not_hashes_get_columns_too(keys: list[str]) -> None:
    """Equal names are told apart in the same way in any order, whatever the keys look like."""
    fields = make([field("enum", "Origem", key) for key in keys])
    assert len(fields.names) == len(keys) == len(set(fields.names.values()))
    assert fields.names == make([field("enum", "Origem", key) for key in reversed(keys)]).names
    assert keys_of(fields) == {
        column: key for key, name in fields.names.items() for column in (name, f"{name}_id")
    }
    assert all(
        re.fullmatch("origem(_[0-9a-f]+)?(_id)?|custom_fields_overflow", one) for one in fields.columns
    )
