"""Names of custom-field columns that a warehouse can hold, and how they pass from one field to another."""

from __future__ import annotations

import pytest
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
