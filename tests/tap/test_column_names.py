"""Names of custom-field columns: valid in a warehouse, stable, and passed from one field to another."""

from __future__ import annotations

import re
from typing import Literal
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive.columns import PARAMETERS, SYSTEM_COLUMNS, Pins, slug
from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.streams import STREAMS
from tap_pipedrive.sync import PipedriveStream

from .harness import discover, run, select
from .test_custom_fields import KEY, OTHER, field, make


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_no_built_in_column_has_a_reserved_name(stream: type[PipedriveStream]) -> None:
    assert not stream.entity.model_fields.keys() & (PARAMETERS | SYSTEM_COLUMNS)


@pytest.mark.parametrize("kind", ["varchar", "enum", "address"])
@pytest.mark.parametrize("name", ["ctid", "xmin", "Xmax", "CMIN", " Cmax ", "Table OID", "tableoid"])
def test_a_system_column_of_postgres_is_not_used_as_a_column_name(name: str, kind: str) -> None:
    """Otherwise the table could not be created, and the target would end before all later streams."""
    column = {"Table OID": "table_oid", "tableoid": "tableoid_012345"}.get(name, f"{slug(name)}_012345")
    fields = make([field(kind, name)])
    assert fields.names == {KEY: column}


def test_a_pinned_system_column_gets_a_name_that_works() -> None:
    """The state of such a run holds the unusable name, although the table was never created; it is replaced
    once.
    """
    pins: Pins = {KEY: {"name": "cmax", "type": "double"}, OTHER: {"name": "kept", "type": "double"}}
    definitions = [field("double", "Cmax"), field("double", "Other name", OTHER)]
    for _ in range(2):
        assert make(definitions, pins=pins).names == {KEY: "cmax_012345", OTHER: "kept"}
        assert pins[KEY] == {"name": "cmax_012345", "type": "double"}


@pytest.mark.parametrize("alias", ["ctid", "cmax", "version"])
def test_an_alias_that_the_warehouse_reserves_is_reported_in_one_sentence(alias: str) -> None:
    with pytest.raises(PipedriveError, match=f"cannot be named {alias}: the column {alias} is reserved"):
        make([field("varchar")], aliases={KEY: alias})


TRANSLITERATED = {
    "Größe": "grosse",
    "GRÖSSE": "grosse",
    "Straße": "strasse",
    "Købsdato": "kobsdato",
    "Łódź": "lodz",
    "Yıllık ciro": "yillik_ciro",
    "İstanbul": "istanbul",
    "Źródło (Łódź)": "zrodlo_lodz",
    "Источник": "istochnik",
    "НДС 20%": "nds_20",
    "№ договора": "no_dogovora",
    "Район": "rayon",
    "契約日": "qiyueri",
    "日本語": "ribenyu",
    "Ação nº 2": "acao_no_2",
    "Prévia – L’Oréal": "previa_l_oreal",
    "½ período": "_1_2_periodo",
    "🔥 Score": "fire_score",
}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(("name", "column"), TRANSLITERATED.items())
def test_a_name_in_any_script_is_transliterated(name: str, column: str, form: Literal["NFC", "NFD"]) -> None:
    """This holds however the accents are encoded."""
    assert slug(normalize(form, name)) == column


@given(name=st.text())
def test_any_name_becomes_a_valid_column_name(name: str) -> None:
    assert re.fullmatch(r"|[a-z][a-z0-9_]*|_[0-9][a-z0-9_]*", slug(name))


@given(name=st.text("".join(map(chr, range(128)))))
def test_an_ascii_name_keeps_its_letters_and_digits(name: str) -> None:
    assert slug(name).strip("_") == "_".join(re.findall("[a-z0-9]+", name.lower()))


def test_a_column_that_was_named_before_keeps_its_name() -> None:
    """The state was written by a version that dropped characters outside ASCII."""
    pins: Pins = {
        KEY: {"name": "groe", "type": "double"},
        OTHER: {"name": "field_fedcba", "type": "enum"},
    }
    definitions = [field("double", "Größe"), field("enum", "Источник", OTHER)]
    assert make(definitions, pins=pins).names == {KEY: "groe", OTHER: "field_fedcba"}


def test_names_that_differ_only_outside_ascii_get_different_columns() -> None:
    definitions = [field("double", "Größe"), field("double", "Grosse", OTHER)]
    assert make(definitions).names == {KEY: "grosse_012345", OTHER: "grosse_fedcba"}


# Columns of deleted fields

NEW_KEY = "1" * 40


@pytest.mark.parametrize("kind", ["double", "text", "enum"])
def test_an_alias_may_be_the_name_of_a_deleted_field(kind: str) -> None:
    """Pipedrive's way to change a type is a new field of the old name and the deletion of the old one."""
    pins: Pins = {}
    make([field("enum", "Score"), field("text", "Other", OTHER)], pins=pins)
    now = [field(kind, "Score", NEW_KEY), field("text", "Other", OTHER)]
    first = make(now, pins=pins, aliases={NEW_KEY: "score"})
    assert first.names == {NEW_KEY: "score", OTHER: "other"}
    columns = {takeover.column for takeover in first.takeovers}
    assert columns == ({"score", "score_id"} if kind == "enum" else {"score"})
    assert {(each.field.key, each.former_type) for each in first.takeovers} == {(NEW_KEY, "enum")}
    again = make(now, pins=pins, aliases={NEW_KEY: "score"})
    assert (again.names, again.takeovers) == (first.names, [])
    assert make(now, pins=pins).names == first.names, "it keeps the column without the alias"


def test_a_column_of_a_deleted_field_stays_reserved_unless_taken_over() -> None:
    pins: Pins = {}
    make([field("enum", "Score")], pins=pins)
    now = [field("text", "Score", NEW_KEY), field("double", "Score ID", OTHER)]
    names = make(now, pins=pins, aliases={NEW_KEY: "score"}).names
    assert names == {NEW_KEY: "score", OTHER: "score_id_fedcba"}


@pytest.mark.parametrize("has_alias", [True, False])
def test_a_restored_field_leaves_its_column_to_the_field_that_took_it_over(has_alias: bool) -> None:
    pins: Pins = {}
    aliases = {NEW_KEY: "score"}
    make([field("double", "Score")], pins=pins)
    make([field("double", "Score", NEW_KEY)], pins=pins, aliases=aliases)
    both = [field("double", "Score"), field("double", "Score", NEW_KEY)]
    restored = make(both, pins=pins, aliases=aliases if has_alias else {})
    assert restored.names == {NEW_KEY: "score", KEY: "score_012345"}
    assert make(both, pins=pins).names == restored.names


@pytest.mark.parametrize("alias", ["score", "rating"])
def test_an_alias_may_not_be_a_column_of_another_existing_field(alias: str) -> None:
    """This concerns its present column and former ones."""
    pins: Pins = {}
    make([field("double", "Score")], pins=pins)
    aliases = {KEY: "rating"}
    make([field("double", "Score")], pins=pins, aliases=aliases)
    both = [field("double", "Score"), field("double", "Score", NEW_KEY)]
    with pytest.raises(PipedriveError, match=f"cannot be named {alias}: the column {alias} exists already"):
        make(both, pins=pins, aliases={**aliases, NEW_KEY: alias})


def test_a_former_column_of_a_deleted_field_can_be_taken_over() -> None:
    pins: Pins = {}
    make([field("double", "Score")], pins=pins)
    make([field("double", "Score")], pins=pins, aliases={KEY: "rating"})
    now = [field("double", "Score", NEW_KEY)]
    assert make(now, pins=pins, aliases={NEW_KEY: "score"}).names == {NEW_KEY: "score"}
    assert make(now, pins=pins).names == {NEW_KEY: "score"}


def test_a_column_that_is_taken_over_has_the_new_values(
    living: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    old = living.post("/sandbox/fields/deal", {"field_name": "Temperature", "field_type": "varchar"})
    catalog = select(discover(living.url), "deals")
    first = run(living.url, catalog=catalog).good()
    living.delete(f"/sandbox/fields/deal/{old['field_code']}")
    new = living.post(
        "/sandbox/fields/deal", {"field_name": "Temperature", "field_type": "enum", "options": ["Hot"]}
    )
    key, option = new["field_code"], new["options"][0]["id"]
    (deal,) = living.rows("/api/v2/deals", limit=1)[:1]
    living.patch(f"/sandbox/records/deals/{deal['id']}", {"custom_fields": {key: option}})
    second = run(
        living.url, catalog=catalog, state=first.state, custom_field_names={key: "temperature"}
    ).good()
    assert {name for name in second.columns("deals") if name.startswith("temperature")} == {
        "temperature", "temperature_id"
    }  # fmt: skip
    rows = {row["id"]: row for row in second.records("deals")}
    assert rows[deal["id"]]["temperature"] == "Hot"
    (warning,) = [text for text in caplog.messages if "takes over" in text]
    assert warning.startswith(
        f"deals: the custom field {key} (Temperature) takes over the column temperature of"
    )
    assert "type was varchar, that of the new one is enum" in warning
    run(living.url, catalog=catalog, state=second.state, custom_field_names={key: "temperature"}).good()
    assert sum("takes over" in text for text in caplog.messages) == 1


def test_an_alias_for_no_field_is_reported_once(living: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    new = living.post("/sandbox/fields/person", {"field_name": "Shoe size", "field_type": "varchar"})
    names = {new["field_code"]: "size", "f" * 40: "nothing"}
    catalog = discover(living.url)
    caplog.clear()
    run(living.url, catalog=select(catalog, "deals"), custom_field_names={"f" * 40: "nothing"}).good()
    assert "no custom field" not in caplog.text, "it may be a field of an entity that this run does not read"
    run(living.url, catalog=catalog, custom_field_names=names).good()
    (warning,) = [text for text in caplog.messages if "no custom field" in text]
    assert warning == (
        f"Setting custom_field_names: no custom field has the key {'f' * 40}: take the key from field_code of "
        "the table fields, or remove it."
    )
