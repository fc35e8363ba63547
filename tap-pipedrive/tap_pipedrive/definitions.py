"""The account's field definitions, read once a run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from tap_pipedrive.custom_fields import Definition
from tap_pipedrive.listings import Page, Place, Source
from tap_pipedrive.values import clean_integer, clean_text

FIELD_ENDPOINTS = {
    "deal": "/api/v2/dealFields",
    "person": "/api/v2/personFields",
    "organization": "/api/v2/organizationFields",
    "product": "/api/v2/productFields",
    "activity": "/api/v2/activityFields",
    "project": "/api/v2/projectFields",
}
"""By entity; leads have the deals' fields."""


def custom_fields(fields: Sequence[Mapping[str, Any]]) -> dict[str, Definition]:
    """The custom ones among an entity's fields, by key; one without a key has no column.

    One without a type gets a column for text, as do those of types that are not known here.
    """
    found = {}
    for field in fields:
        key, name, kind = (field.get(part) for part in ("field_code", "field_name", "field_type"))
        if field.get("is_custom_field") and isinstance(key, str) and key:
            kind = kind if isinstance(kind, str) else ""
            found[key] = Definition(key, str(name or ""), kind, dict(_options(field.get("options"))))
    return found


def _options(options: Any) -> list[tuple[int, str]]:
    labels = []
    for option in options if isinstance(options, list) else ():
        try:
            option_id, label = clean_integer(option.get("id")), clean_text(option.get("label"))
        except (ValueError, AttributeError):
            continue
        if option_id is not None and label is not None:
            labels.append((option_id, label))
    return labels


@dataclass(frozen=True)
class DefinitionListing:
    """An entity's field definitions, which the tap has read already, to know its custom fields."""

    name: str
    """The entity."""

    bookmark: ClassVar[str | None] = None
    may_run_ahead: ClassVar[bool] = False

    @property
    def path(self) -> str:
        """The endpoint."""
        return FIELD_ENDPOINTS[self.name]

    def is_wanted(self, source: Source) -> bool:
        """Projects are an add-on: nobody asks for their fields unless they read projects."""
        return self.name != "project" or source.is_selected("projects")

    def pages(self, source: Source, *, since: datetime | None = None, place: Place) -> Iterator[Page]:
        """One page: a row per field."""
        names = source.column_names(self.name)
        rows = [
            {**field, "entity": self.name, "column_name": names.get(str(field.get("field_code")))}
            for field in source.definitions(self.name)
        ]
        yield Page(partial(list, rows), {}, None)


@dataclass(frozen=True)
class OptionListing(DefinitionListing):
    """The options of an entity's fields."""

    def pages(self, source: Source, *, since: datetime | None = None, place: Place) -> Iterator[Page]:
        """One page: a row per option."""
        rows = [
            {
                **option,
                "entity": self.name,
                "field_code": field.get("field_code"),
                "option_id": option.get("id"),
            }
            for field in source.definitions(self.name)
            if isinstance(field.get("options"), list)
            for option in field["options"]
            if isinstance(option, dict)
        ]
        yield Page(partial(list, rows), {}, None)
