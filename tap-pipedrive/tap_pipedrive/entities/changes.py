"""Histories of records, field by field."""

from pydantic import Field

from tap_pipedrive.entities.base import Boolean, Entity, Integer, Key, Text, Timestamp


class Change(Entity):
    """What all histories have in common."""

    change_id: Key = Field(description="Hash of the change: Pipedrive numbers none")
    sequence: Integer = Field(None, description="1 for the oldest change of the record")
    time: Timestamp = None
    field_key: Text = Field(
        None, description="The field's name in API v1; a 40-character key for custom ones"
    )
    old_value: Text = None
    new_value: Text = None
    actor_user_id: Integer = None
    change_source: Text = Field(None, description="app, api …")
    change_source_user_agent: Text = None
    is_bulk_update_flag: Boolean = None


class DealChange(Change):
    """A field of a deal that changed (`GET /api/v1/deals/{id}/changelog`)."""

    deal_id: Integer = None


class PersonChange(Change):
    """A field of a person that changed (`GET /api/v1/persons/{id}/changelog`)."""

    person_id: Integer = None


class OrganizationChange(Change):
    """A field of an organization that changed (`GET /api/v1/organizations/{id}/changelog`)."""

    organization_id: Integer = None
