"""The account's field definitions: read once a run, listed as rows, and the custom fields among them.

From here custom fields go down to their columns (`columns.py`), and on to their values (`custom_fields.py`).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from tap_pipedrive.columns import Definition
from tap_pipedrive.errors import NotAllowed, PipedriveError
from tap_pipedrive.listings import CursorListing
from tap_pipedrive.source import Checkpoint, Listing, Page, RunContext, Source
from tap_pipedrive.values import clean_integer, clean_text

FIELD_LISTINGS = {
    entity: CursorListing(f"/api/v2/{entity}Fields", price=10)
    for entity in ("deal", "person", "organization", "product", "activity", "project")
}
"""Lists of field definitions, by entity; leads have the deals' fields."""

logger = logging.getLogger("tap-pipedrive")


class FieldDefinitions:
    """The field definitions of the account, which are read when they are first needed and then kept."""

    def __init__(self, source: Source) -> None:
        self.is_discovering = False
        """Whether the run only shows the catalog: then a failure costs the custom fields, not the run."""
        self.is_unavailable = False
        """Whether the API could not be asked, so that the catalog has no custom fields."""
        self._source = source
        self._definitions: dict[str, list[dict[str, Any]]] = {}
        self._custom_fields: dict[str, dict[str, Definition]] = {}
        self._refused: dict[str, NotAllowed] = {}

    def of(self, entity: str) -> Sequence[dict[str, Any]]:
        """Return the definitions of an entity as the API sends them (`GET /api/v2/dealFields` and the like)."""
        if entity not in self._definitions:
            pages = FIELD_LISTINGS[entity].pages(self._source, checkpoint={})
            self._definitions[entity] = [row for page in pages for row in page.rows if isinstance(row, dict)]
        return self._definitions[entity]

    def custom_fields(self, entity: str, *, have_columns: bool) -> Mapping[str, Definition]:
        """Return the custom fields of an entity by key; none, with a warning, where they may not be read.

        `have_columns`: whether earlier runs made columns for them. Raises PipedriveError in that case, as rows
        that are read without their custom fields would not come again.
        """
        if entity not in self._custom_fields:
            self._custom_fields[entity] = self._read_custom_fields(entity)
        refusal = self._refused.get(entity)
        if refusal and have_columns and not self.is_discovering:
            raise PipedriveError(
                f"Custom fields of the entity {entity} have columns, which would not be filled: {refusal}"
            )
        return self._custom_fields[entity]

    def _read_custom_fields(self, entity: str) -> dict[str, Definition]:
        if entity == "project" and self.is_discovering:
            return {}  # projects are an add-on: to ask for their fields would cost each discovery 10 tokens
        if self.is_unavailable:
            return {}
        try:
            return custom_fields(self.of(entity))
        except NotAllowed as error:
            self._refused[entity] = error
            logger.warning("Custom fields of the entity %s are missing: %s", entity, error)
        except PipedriveError as error:
            if not self.is_discovering:
                raise
            self.is_unavailable = True
            logger.warning("The catalog is without custom fields: %s", error)
        return {}

    def forget(self, entity: str) -> None:
        """Read the definitions of an entity again when they are needed next."""
        self._definitions.pop(entity, None)
        self._custom_fields.pop(entity, None)
        self._refused.pop(entity, None)


def custom_fields(fields: Sequence[Mapping[str, Any]]) -> dict[str, Definition]:
    """Return the custom ones among an entity's fields, by key; a field without a key gets no column. A field
    without a type gets a text column, as do fields of types that the tap does not know."""
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
class DefinitionListing(Listing):
    """The field definitions of an entity, which the run has read already to know the custom fields."""

    name: str
    """The entity."""

    can_prefetch: ClassVar[bool] = False

    @property
    def list_of(self) -> CursorListing:
        """The list of the definitions."""
        return FIELD_LISTINGS[self.name]

    def is_enabled(self, run: RunContext) -> bool:
        """Return whether the entity is read: projects are an add-on, whose fields few accounts may read."""
        return self.name != "project" or run.is_selected("projects")

    def pages(self, source: Source, *, since: Any = None, checkpoint: Checkpoint) -> Iterator[Page]:
        """Yield one page with a row per field."""
        names = source.run.column_names(self.name)
        rows = [
            {**field, "entity": self.name, "column_name": names.get(str(field.get("field_code")))}
            for field in source.run.field_definitions(self.name)
        ]
        yield Page(partial(list, rows), {}, None)


@dataclass(frozen=True)
class OptionListing(DefinitionListing):
    """The options of an entity's fields."""

    def pages(self, source: Source, *, since: Any = None, checkpoint: Checkpoint) -> Iterator[Page]:
        """Yield one page with a row per option."""
        rows = [
            {
                **option,
                "entity": self.name,
                "field_code": field.get("field_code"),
                "option_id": option.get("id"),
            }
            for field in source.run.field_definitions(self.name)
            if isinstance(field.get("options"), list)
            for option in field["options"]
            if isinstance(option, dict)
        ]
        yield Page(partial(list, rows), {}, None)
