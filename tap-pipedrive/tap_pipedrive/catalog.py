"""The selection in the user's catalog, applied to the columns that the account has now.

A catalog may be older than the newest custom field, or have a field's present name while its column keeps the
former name. Columns of custom fields are therefore matched by the field's key, which their description holds. A
column that the catalog does not list follows its stream's selection, see `_selects_new_columns`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from singer_sdk.singerlib import CatalogEntry, MetadataMapping, Schema, SelectionMask

from tap_pipedrive.columns import OVERFLOW, key_of


def match_selection(
    entry: CatalogEntry, schema: Mapping[str, Any], *, keys: Sequence[str], replication_key: str | None
) -> CatalogEntry:
    """Return the entry of a user's catalog with the columns of `schema` instead of its own."""
    wanted = entry.metadata.resolve_selection()
    listed = entry.schema.to_dict().get("properties", {})
    theirs = _columns_by_part(listed)
    of_other_fields = set(theirs.values())
    names = {
        column: theirs.get(part, "" if column in of_other_fields else column)
        for part, column in _columns_by_part(schema["properties"]).items()
    }
    is_new_selected = _selects_new_columns(entry, wanted)
    metadata = MetadataMapping.get_standard_metadata(
        schema=dict(schema),
        key_properties=keys,
        valid_replication_keys=[replication_key] if replication_key else None,
    )
    metadata[()] = entry.metadata.root
    for column in schema["properties"]:
        breadcrumb = ("properties", names.get(column, column))
        if breadcrumb in entry.metadata:
            metadata["properties", column].selected = wanted[breadcrumb]
        elif breadcrumb[1] not in listed:
            metadata["properties", column].selected = is_new_selected

    return CatalogEntry(
        tap_stream_id=entry.tap_stream_id,
        stream=entry.tap_stream_id,
        schema=Schema.from_dict(dict(schema)),
        metadata=metadata,
        key_properties=keys,
        replication_key=replication_key,
        replication_method=entry.metadata.root.forced_replication_method or entry.replication_method,
    )


def _selects_new_columns(entry: CatalogEntry, wanted: SelectionMask) -> bool:
    """Return whether columns that the catalog does not list are selected, as the fields are newer than it.

    They are where `custom_fields_overflow` is, in which their values would be otherwise; where the catalog does
    not list it, if no other column is deselected.
    """
    overflow = ("properties", OVERFLOW)
    columns = [breadcrumb for breadcrumb in entry.metadata if breadcrumb]
    return all(wanted[column] for column in ([overflow] if overflow in columns else columns))


def _columns_by_part(properties: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Return columns of custom fields by key and suffix; the shortest column of a field has no suffix."""
    columns: dict[str, list[str]] = {}
    for column, schema in properties.items():
        if key := key_of(schema):
            columns.setdefault(key, []).append(column)
    return {
        (key, column.removeprefix(min(found, key=len))): column
        for key, found in columns.items()
        for column in found
    }
