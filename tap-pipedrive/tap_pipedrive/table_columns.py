"""The columns of a table: built-in ones, those of the account's custom fields, and what is hidden in them."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from tap_pipedrive.columns import Definition, Pins, columns_of, field_of
from tap_pipedrive.custom_fields import CustomFields
from tap_pipedrive.definitions import FieldDefinitions
from tap_pipedrive.entity import Entity, Names
from tap_pipedrive.errors import BudgetSpent, Fatal, PipedriveError, Unavailable
from tap_pipedrive.field_changes import FieldChange, Fields, changes
from tap_pipedrive.field_state import FieldState
from tap_pipedrive.masks import Masks, RowMask
from tap_pipedrive.references import names_in
from tap_pipedrive.rows import Row
from tap_pipedrive.sdk import SdkStream, SdkTap
from tap_pipedrive.settings import Settings
from tap_pipedrive.source import Listing


class TableColumns(SdkStream):
    """A stream as far as its columns go."""

    entity: type[Entity]
    """The built-in columns."""

    listings: Sequence[Listing] = ()
    """Where the rows come from, in the order of reading; with several, each has a bookmark of its own."""

    custom_fields_of: str | None = None
    """Entity whose custom fields the rows carry."""

    has_rare_custom_fields: ClassVar[bool] = False
    """Whether few accounts have such custom fields, so that they cost a request and a column only once a row has
    a value of one."""

    named_by: ClassVar[str] = "id"
    """The column by which other rows name a row of this one."""

    primary_keys: Sequence[str] = ("id",)

    def __init__(self, tap: SdkTap, definitions: FieldDefinitions, settings: Settings, masks: Masks) -> None:
        super().__init__(tap)
        self.settings = settings
        self.blocked: PipedriveError | None = None
        """Why no row may be read, once the columns are known; None if all is well."""
        self._definitions = definitions
        self._masks = masks
        self._custom_fields: CustomFields | None = None
        self._columns: dict[str, Any] | None = None
        self._undefined: set[str] = set()  # keys of custom fields that have values and no definition
        self._ignored: set[str] = set()  # keys of custom fields that get no column
        self.field_changes: list[FieldChange] = []
        """What has become of the custom fields since the run before."""

    @property
    def schema(self) -> dict[str, Any]:
        """Built-in columns, and those of the account's custom fields."""
        if self._columns is None:
            custom = self.custom_fields.columns if self.custom_fields else {}
            self._columns = {"type": "object", "properties": {**self.entity.columns(), **custom}}
            try:
                self.__dict__.pop("row_mask", None)
                self.row_mask  # noqa: B018  a rule that does not fit must be known before the first row
            except PipedriveError as error:
                self.blocked = self.blocked or error
        return self._columns

    @cached_property
    def row_mask(self) -> RowMask:
        """What is hidden in the rows. Raises PipedriveError when a rule does not fit the columns."""
        needed = {*self.primary_keys, self.replication_key or "", self.named_by}
        pins = self.field_state.pins if self.custom_fields else {}
        return RowMask(self.name, self._masks, self.entity, needed, self.custom_fields, pins)

    @property
    def custom_fields(self) -> CustomFields | None:
        """The columns of the account's custom fields; None for an entity without custom fields."""
        if self.has_rare_custom_fields and not (self._undefined or self.field_state.has_fields):
            return None
        if self._custom_fields is None and self.custom_fields_of:
            self._custom_fields = self._define_custom_fields(self.custom_fields_of)
        return self._custom_fields

    @cached_property
    def field_state(self) -> FieldState:
        """What the state keeps of the custom fields."""
        return FieldState(self.name, self.stream_state, len(self.listings))

    def _define_custom_fields(self, entity: str) -> CustomFields:
        """Define the columns, and have rows read again that were read without them. Raises PipedriveError when
        an alias cannot be a column name, or the API answers for nothing."""
        state = self.field_state
        before = Fields.copy(state.pins, state.names, state.undefined)
        try:
            found = self._current_fields(entity, state)
        except (BudgetSpent, Fatal):
            raise  # nothing else can be read either
        except PipedriveError as error:
            if not self._definitions.has_answers and isinstance(error, Unavailable):
                raise
            self.blocked = error
            return self._columns_of([], {})
        fields = self._columns_of(list(found.values()), state.pins)
        if fields.takeovers or fields.moves:
            state.read_again()
        self._report_columns(fields)
        self._note_changes(entity, before)
        return fields

    def _current_fields(self, entity: str, state: FieldState) -> Mapping[str, Definition]:
        """Return the custom fields by key. Raises PipedriveError when rows would be read without some of them."""
        found = self._definitions.custom_fields(entity, have_columns=bool(state.pins))
        if self.settings.custom_fields != "json":
            state.note_undefined(
                self._definitions.gone(entity, state.known(), self.settings.reconcile_min_ratio)
            )
            found = self._adopted(self._definitions.custom_fields(entity, have_columns=False))
            if again := state.define(found.keys()):
                self.logger.warning(
                    "%s: the custom fields %s are defined again: rows that were read without them are read "
                    "again.",
                    self.name,
                    ", ".join(again),
                )
        return found

    def _adopted(self, found: Mapping[str, Definition]) -> Mapping[str, Definition]:
        """Return the fields that get columns; rows are read without the others, until the setting is another."""
        if self.settings.new_custom_fields == "ignore" and not self.field_state.is_new:
            self._ignored = {key for key in found if self.field_state.is_unknown(key)}
            self.field_state.note_undefined(self._ignored)
        return {key: field for key, field in found.items() if key not in self._ignored}

    def _note_changes(self, entity: str, before: Fields) -> None:
        """Note and log what has become of the fields; after the first run nothing has."""
        state = self.field_state
        definitions = self._definitions.custom_fields(entity, have_columns=False)
        names = {key: field.name for key, field in definitions.items()}
        after = Fields(state.pins, {**state.names, **names}, state.undefined)
        if not state.is_new and not self._definitions.is_discovering:
            self.field_changes += (found := list(changes(before, after, definitions)))
            for change in found:
                self.logger.info("%s: %s.", self.name, change.sentence)
        state.note_names(names)

    def column_rows(self) -> list[Row]:
        """Return a row of `field_columns` for each column of a custom field that is defined now: its present one,
        and those that it had before. The columns of a deleted field stay as they were written last."""
        fields = self.custom_fields
        if not fields or self.settings.custom_fields == "json":
            return []
        rows = []
        for key, pin in self.field_state.pins.items():
            code = field_of(key, pin)
            if code in fields.names:
                rows.append(
                    {
                        "stream": self.name,
                        "column_name": pin["name"],
                        "all_columns": columns_of(pin["name"], pin["type"]),
                        "entity": self.custom_fields_of,
                        "field_code": code,
                        "field_name": fields.labels[code] or None,
                        "field_type": pin["type"],
                        "is_current": fields.names[code] == pin["name"],
                    }
                )
        return rows

    def _columns_of(self, definitions: Sequence[Definition], pins: Pins) -> CustomFields:
        return CustomFields(
            definitions,
            mode=self.settings.custom_fields,
            aliases=self.settings.custom_field_names,
            pins=pins,
            reserved=tuple(self.entity.model_fields),
            max_columns=self.settings.max_custom_field_columns,
        )

    def _report_columns(self, fields: CustomFields) -> None:
        if fields.unknown_types:
            types = ", ".join(fields.unknown_types)
            self.logger.warning("%s: custom fields of unknown types become text: %s", self.name, types)
        for takeover in fields.takeovers:
            self.logger.warning(
                "%s: the custom field %s (%s) takes over the column %s of a deleted field. All rows are read "
                "again. The deleted field's type was %s, that of the new one is %s: if the loader refuses the "
                "column for that, rename the old one in the database.",
                self.name,
                takeover.field.key,
                takeover.field.name,
                takeover.column,
                takeover.former_type,
                takeover.field.type,
            )
        for move in fields.moves:
            self.logger.warning(
                "%s: the custom field %s (%s) goes on in the column %s: before, it was %s in the column %s, which "
                "keeps its old values. All rows are read again.",
                self.name,
                move.field.key,
                move.field.name,
                f"{move.column} ({move.field.type})",
                move.former_type,
                move.former_column,
            )
        if fields.without_columns:
            self.logger.warning(
                "%s: %d custom fields are in custom_fields_overflow, as max_custom_field_columns is %d, and a row "
                "of Postgres has room for some hundred fields of several options.",
                self.name,
                len(fields.without_columns),
                self.settings.max_custom_field_columns,
            )

    @cached_property
    def _naming(self) -> tuple[tuple[str, Names], ...]:
        """The built-in columns that name rows of other streams."""
        fields = self.entity.model_fields.items()
        return tuple(
            (name, part) for name, field in fields for part in field.metadata if isinstance(part, Names)
        )

    def named(self, rows: Sequence[Row]) -> Iterator[tuple[str, set[Hashable]]]:
        """Yield which rows of which streams these rows name."""
        for column, names in self._naming:
            if column not in self.row_mask.columns:
                yield names.stream, names_in(rows, column, names.inside)
        for column, stream in self.custom_fields.naming if self.custom_fields else ():
            yield stream, names_in(rows, column)
