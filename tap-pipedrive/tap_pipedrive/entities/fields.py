"""Facts about fields, and values that did not fit them."""

from pydantic import Field

from tap_pipedrive.entities.base import Boolean, Entity, Key, List, Text, Timestamp


class FieldDefinition(Entity):
    """A field of an entity, built-in or custom (`GET /api/v2/dealFields` and its five siblings)."""

    entity: Key = Field(
        description="deal, person, organization, product, activity or project; leads use the deals' fields"
    )
    field_code: Key = Field(description="The API's name; a 40-character key for custom fields")
    field_name: Text = Field(None, description="What people see; may change, and need not be unique")
    field_type: Text = None
    description: Text = None
    column_name: Text = Field(None, description="The custom field's (first) column in the entity's table")
    is_custom_field: Boolean = None
    is_optional_response_field: Boolean = None
    subfields: List = None


class FieldOption(Entity):
    """An option of a field (`options` of `GET /api/v2/dealFields` and its five siblings)."""

    entity: Key
    field_code: Key
    option_id: Key = Field(description="A number for custom fields, a word for some built-in ones")
    label: Text = None
    color: Text = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class RejectedValue(Entity):
    """A value that did not fit its column: null in the row, kept here as it came."""

    stream: Key
    record_id: Key
    field: Key
    value: Text = Field(None, description="JSON, as the API sent it")
    error: Text = None
    seen_at: Timestamp = None
