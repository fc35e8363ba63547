"""Names of custom-field columns that a warehouse can hold, and how they pass from one field to another."""

from __future__ import annotations

import re
from typing import Literal
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tap_pipedrive.columns import PARAMETERS, SYSTEM_COLUMNS, Pins, slug
from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.streams import STREAMS
from tap_pipedrive.sync import PipedriveStream

from .test_custom_fields import KEY, OTHER, field, make


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_no_built_in_column_has_a_reserved_name(stream: type[PipedriveStream]) -> None:
    assert not stream.entity.model_fields.keys() & (PARAMETERS | SYSTEM_COLUMNS)


@pytest.mark.parametrize("kind", ["varchar", "enum", "address"])
@pytest.mark.parametrize("name", ["ctid", "xmin", "Xmax", "CMIN", " Cmax ", "Table OID", "tableoid"])
def test_a_system_column_of_postgres_is_no_column(name: str, kind: str) -> None:
    """Else the table cannot be made, and the target ends with all later streams unread."""
    column = {"Table OID": "table_oid", "tableoid": "tableoid_012345"}.get(name, f"{slug(name)}_012345")
    fields = make([field(kind, name)])
    assert fields.names == {KEY: column}


def test_a_pinned_system_column_gets_a_name_that_works() -> None:
    """The state of a run whose table could not be made has the name; it is replaced once, and then stays."""
    pins: Pins = {KEY: {"name": "cmax", "type": "double"}, OTHER: {"name": "kept", "type": "double"}}
    definitions = [field("double", "Cmax"), field("double", "Other name", OTHER)]
    for _ in range(2):
        assert make(definitions, pins=pins).names == {KEY: "cmax_012345", OTHER: "kept"}
        assert pins[KEY] == {"name": "cmax_012345", "type": "double"}


@pytest.mark.parametrize("alias", ["ctid", "cmax", "version"])
def test_an_alias_that_the_warehouse_reserves_is_one_sentence(alias: str) -> None:
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
    """However the name's accents are encoded."""
    assert slug(normalize(form, name)) == column


@given(name=st.text())
def test_any_name_gives_a_slug_of_a_column(name: str) -> None:
    assert re.fullmatch(r"|[a-z][a-z0-9_]*|_[0-9][a-z0-9_]*", slug(name))


@given(name=st.text("".join(map(chr, range(128)))))
def test_a_name_in_ascii_keeps_its_letters_and_digits(name: str) -> None:
    assert slug(name).strip("_") == "_".join(re.findall("[a-z0-9]+", name.lower()))


def test_a_column_that_was_named_before_keeps_its_name() -> None:
    """Its state was written by a version that left out what it could not write in ASCII."""
    pins: Pins = {
        KEY: {"name": "groe", "type": "double"},
        OTHER: {"name": "field_fedcba", "type": "enum"},
    }
    definitions = [field("double", "Größe"), field("enum", "Источник", OTHER)]
    assert make(definitions, pins=pins).names == {KEY: "groe", OTHER: "field_fedcba"}


def test_names_that_are_equal_only_in_ascii_are_told_apart() -> None:
    definitions = [field("double", "Größe"), field("double", "Grosse", OTHER)]
    assert make(definitions).names == {KEY: "grosse_012345", OTHER: "grosse_fedcba"}
