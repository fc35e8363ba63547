"""Facts about fields, and values that did not fit them."""

from pydantic import Field

from tap_pipedrive.definitions import FIELD_LISTINGS, DefinitionListing, OptionListing
from tap_pipedrive.entity import Boolean, Entity, Key, List, Text, Timestamp
from tap_pipedrive.sync import OptionalStream, PipedriveStream


class FieldDefinition(Entity):
    entity: Key = Field(
        description="deal, person, organization, product, activity or project; leads use the deals' fields"
    )
    field_code: Key = Field(description="The API's name; a 40-character key for custom fields")
    field_name: Text = Field(None, description="What people see; may change, and need not be unique")
    field_type: Text = None
    description: Text = None
    column_name: Text = Field(
        None,
        description="The custom field's (first) column in the entity's table, if the same run reads it: "
        "`field_columns` has those of all tables",
    )
    is_custom_field: Boolean = None
    is_optional_response_field: Boolean = None
    subfields: List = None


class Fields(PipedriveStream):
    """Field definitions of all entities, built-in and custom."""

    name = "fields"
    entity = FieldDefinition
    primary_keys = ("entity", "field_code")
    keeps_missing_rows = True
    listings = tuple(DefinitionListing(entity) for entity in FIELD_LISTINGS)
    ignored_keys = {"options", "ui_visibility", "important_fields", "required_fields"}


class FieldOption(Entity):
    entity: Key
    field_code: Key
    option_id: Key = Field(description="A number for custom fields, a word for some built-in ones")
    label: Text = None
    color: Text = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class FieldOptions(PipedriveStream):
    """Options of all fields; an option that disappears stays with its last label."""

    name = "field_options"
    entity = FieldOption
    primary_keys = ("entity", "field_code", "option_id")
    keeps_missing_rows = True
    listings = tuple(OptionListing(entity) for entity in FIELD_LISTINGS)
    ignored_keys = {"id"}


class FieldColumn(Entity):
    stream: Key = Field(description="The table that has the column")
    column_name: Key = Field(description="The field's first column in that table")
    all_columns: List = Field(None, description="All columns of the field")
    entity: Text = Field(None, description="With `field_code`, the key of `fields`")
    field_code: Text = None
    field_name: Text = Field(None, description="What people see")
    field_type: Text = Field(None, description="The field's type when it got the column")
    is_current: Boolean = Field(None, description="False for a column that the field had before")


class FieldColumns(PipedriveStream):
    """Columns of custom fields, by table; each stream that has custom fields writes its own."""

    name = "field_columns"
    entity = FieldColumn
    keeps_missing_rows = True
    primary_keys = ("stream", "column_name")


class SchemaChange(Entity):
    run_id: Key = Field(description="Run that has seen it")
    stream: Key = Field(description="Table whose columns are concerned")
    field_code: Key
    change: Key = Field(description="added, adopted, ignored, renamed, retyped, moved, deleted or restored")
    old_name: Text = Field(None, description="What people saw before")
    new_name: Text = Field(None, description="What people see now")
    old_type: Text = None
    new_type: Text = None
    old_column: Text = Field(None, description="First column that had the values")
    new_column: Text = Field(None, description="First column that has them now")
    seen_at: Timestamp = None


class SchemaChanges(OptionalStream):
    """What has become of custom fields since the run before: added, renamed, of another type, deleted."""

    name = "schema_changes"
    entity = SchemaChange
    keeps_missing_rows = True
    primary_keys = ("run_id", "stream", "field_code", "change")


class RejectedValue(Entity):
    stream: Key
    record_id: Key
    field: Key
    value: Text = Field(None, description="JSON, as the API sent it")
    error: Text = None
    seen_at: Timestamp = None


class RejectedValues(PipedriveStream):
    """Values that did not fit their column, as Pipedrive sent them."""

    name = "rejected_values"
    entity = RejectedValue
    keeps_missing_rows = True
    primary_keys = ("stream", "record_id", "field")
