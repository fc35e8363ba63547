"""The account's field definitions: read once, listed as rows, and the custom fields among them.

From here custom fields go down to their columns (`columns.py`), and on to their values (`custom_fields.py`).
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from tap_pipedrive.answers import Answer
from tap_pipedrive.cache import Cache
from tap_pipedrive.columns import Definition
from tap_pipedrive.errors import NotAllowed, PipedriveError
from tap_pipedrive.listings import CursorListing
from tap_pipedrive.source import Checkpoint, Listed, Listing, Page, RunContext, Source
from tap_pipedrive.values import clean_integer, clean_text

FIELD_LISTINGS = {
    entity: CursorListing(f"/api/v2/{entity}Fields", price=10)
    for entity in ("deal", "person", "organization", "product", "activity", "project")
}
"""Lists of field definitions, by entity; leads have the deals' fields."""

REREAD = {"fields", "field_options"}
"""Streams that consist of definitions."""

LOOKS = 2
"""How often the API is asked before a field that had a column counts as deleted."""

FEW_FIELDS = 5
"""So many fields may be deleted between two runs, whatever share of an entity's fields that is."""

logger = logging.getLogger("tap-pipedrive")


class FieldDefinitions:
    """The field definitions of the account, which are read when they are first needed and then kept, by this run
    and for later ones."""

    def __init__(self, source: Source, cache: Cache) -> None:
        self.is_discovering = False
        """Whether the run only shows the catalog: then a failure costs the custom fields, not the run."""
        self.is_unavailable = False
        """Whether the API could not be asked, so that the catalog has no custom fields."""
        self._source = source
        self._cache = cache
        self._definitions: dict[str, Listed] = {}
        self._custom_fields: dict[str, dict[str, Definition]] = {}
        self._refused: dict[str, NotAllowed] = {}
        self._looks: Counter[str] = Counter()  # at the API itself, by entity
        self._sought: defaultdict[str, set[str]] = defaultdict(set)  # what was missing before the last look

    @property
    def has_answers(self) -> bool:
        """Whether the API has answered with definitions of any entity."""
        return bool(self._definitions)

    def of(self, entity: str) -> Listed:
        """Return the definitions of an entity as the API sends them (`GET /api/v2/dealFields` and the like)."""
        if entity not in self._definitions:
            self._definitions[entity] = self._cached(entity) or self._read(entity)
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

    def gone(self, entity: str, known: Set[str], least: float) -> set[str]:
        """Return which of the fields that had columns have no definition any more, after a second look at the API.

        Raises PipedriveError when the list has no field at all, or so few of the known ones, less than the share
        `least`, that it must be cut short: rows would be read without their values.
        """
        if self.is_discovering or self.is_unavailable:
            return set()
        gone = known - self._custom_fields[entity].keys()
        while gone and self._looks[entity] < LOOKS:
            self.read_again(entity)
            gone = known - self._custom_fields[entity].keys()
        if not gone:
            return gone
        left = len(known) - len(gone)
        is_many = len(gone) > (FEW_FIELDS if left else 1) or not self.of(entity).rows
        if is_many and left < least * len(known):
            raise PipedriveError(
                f"GET {FIELD_LISTINGS[entity].path} lists only {left} of the {len(known)} custom fields that have "
                "columns, which would not be filled. If the others were deleted in Pipedrive, set "
                "reconcile_min_ratio to 0 for one run."
            )
        return gone

    def unknown(self, entity: str, records: Sequence[Any], raws: Sequence[Mapping[str, Any]]) -> set[str]:
        """Return the options that records have, and that definitions from an earlier process do not know.

        `raws`: the custom fields of the records. Definitions that this run has read itself are not doubted: a
        record may have an option that was deleted.
        """
        if self._looks[entity] or entity not in self._definitions:
            return set()
        unknown = set()
        for field in self._definitions[entity].rows:
            code, options = field.get("field_code"), field.get("options")
            if isinstance(code, str) and isinstance(options, list) and options:
                values = values_of(code, raws if field.get("is_custom_field") else records)
                if values - values_of("id", options):
                    ids = option_ids(values) - option_ids(values_of("id", options))
                    unknown |= {f"{code} {one}" for one in ids}
        return unknown - self._sought[entity]

    def tokens_left(self, entities: Set[str | None]) -> int:
        """Return what it costs at least to read the definitions of these entities that are not read yet."""
        return sum(
            listing.price
            for entity, listing in FIELD_LISTINGS.items()
            if entity in entities and entity not in self._definitions
        )

    def keys_of_no_field(self, keys: Set[str]) -> list[str]:
        """Return which keys no custom field has; none unless the run knows the fields of all entities except
        projects, which are an add-on: the key may be one of theirs."""
        if not FIELD_LISTINGS.keys() - {"project"} <= self._definitions.keys():
            return []
        rows = [row for listed in self._definitions.values() for row in listed.rows]
        return sorted(keys - {str(row.get("field_code")) for row in rows if row.get("is_custom_field")})

    def look_for(self, entity: str, names: Set[str]) -> None:
        """Read the definitions of an entity again for keys and options that they lack, unless that was done for
        the same ones before: what they lack still does not exist."""
        if not names <= self._sought[entity]:
            self._sought[entity] |= names
            self.read_again(entity)

    def read_again(self, entity: str) -> None:
        """Read the definitions of an entity again, and add what is new. What is missing now stays for this run,
        and so does the type of a field: the columns that rows are being written to stay as they are."""
        try:
            found = self._read(entity)
        except NotAllowed:
            return
        before = self._definitions.get(entity, Listed((), None))
        known = {str(field.get("field_code")): field for field in before.rows}
        for field in found.rows:
            former = known.get(code := str(field.get("field_code")), field)
            if former.get("field_type") == field.get("field_type"):
                known[code] = field
        self._refused.pop(entity, None)
        self._definitions[entity] = Listed(list(known.values()), found.served_at)
        self._custom_fields[entity] = custom_fields(self._definitions[entity].rows)

    def _cached(self, entity: str) -> Listed | None:
        """Return the definitions that an earlier process has read. A run that reads everything does not take
        them, as its rows are to be those of this moment."""
        settings = self._source.run.settings
        if not self.is_discovering and (settings.reconcile or REREAD & settings.reread.keys()):
            return None
        found = self._cache.get(FIELD_LISTINGS[entity].path)
        rows = found and Answer(found.rows, None, found.served_at).data
        if not found or not isinstance(rows, list):
            return None
        self._sought[entity] |= set(found.sought)
        return Listed([row for row in rows if isinstance(row, dict)], found.served_at)

    def _read(self, entity: str) -> Listed:
        self._looks[entity] += 1
        listing, served_at = FIELD_LISTINGS[entity], None
        rows: list[dict[str, Any]] = []
        for page in listing.pages(self._source, checkpoint={}):
            rows += [row for row in page.rows if isinstance(row, dict)]
            served_at = served_at or page.served_at
        self._cache.put(listing.path, rows, served_at, sorted(self._sought[entity]))
        return Listed(rows, served_at)

    def _read_custom_fields(self, entity: str) -> dict[str, Definition]:
        if entity == "project" and self.is_discovering:
            return {}  # projects are an add-on: to ask for their fields would cost each discovery 10 tokens
        if self.is_unavailable:
            return {}
        try:
            return custom_fields(self.of(entity).rows)
        except NotAllowed as error:
            self._refused[entity] = error
            logger.warning("Custom fields of the entity %s are missing: %s", entity, error)
        except PipedriveError as error:
            if not self.is_discovering:
                raise
            self.is_unavailable = True
            logger.warning("The catalog is without custom fields: %s", error)
        return {}


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


def values_of(code: str, objects: Sequence[Any]) -> set[Hashable]:
    """Return the different values that objects have under a key; those within lists stand for themselves."""
    found = [value for each in objects if isinstance(each, dict) and (value := each.get(code)) is not None]
    try:
        return set(found)
    except TypeError:  # a list, or an object
        flat = [part for value in found for part in (value if isinstance(value, list) else [value])]
        return {part for part in flat if isinstance(part, str | int)}


def option_ids(values: Set[Hashable]) -> set[int]:
    """Return the ids of options among values; v1 sends several of them as one text. Some options are texts."""
    found: set[int] = set()
    for value in values:
        for part in value.split(",") if isinstance(value, str) else [value]:
            with suppress(ValueError):
                found.add(clean_integer(part) or 0)
    return found - {0}


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
        """Return whether the run reads the entity: of several runs that share the streams, each knows the columns
        of its own tables only."""
        return run.reads_fields_of(self.name)

    def pages(self, source: Source, *, since: Any = None, checkpoint: Checkpoint) -> Iterator[Page]:
        """Yield one page with a row per field."""
        names = source.run.column_names(self.name)
        listed = source.run.field_definitions(self.name)
        rows = [
            {**field, "entity": self.name, "column_name": names.get(str(field.get("field_code")))}
            for field in listed.rows
        ]
        yield Page(partial(list, rows), {}, listed.served_at)


@dataclass(frozen=True)
class OptionListing(DefinitionListing):
    """The options of an entity's fields."""

    def pages(self, source: Source, *, since: Any = None, checkpoint: Checkpoint) -> Iterator[Page]:
        """Yield one page with a row per option."""
        listed = source.run.field_definitions(self.name)
        rows = [
            {
                **option,
                "entity": self.name,
                "field_code": field.get("field_code"),
                "option_id": option.get("id"),
            }
            for field in listed.rows
            if isinstance(field.get("options"), list)
            for option in field["options"]
            if isinstance(option, dict)
        ]
        yield Page(partial(list, rows), {}, listed.served_at)
