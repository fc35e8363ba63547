"""Persons and organizations, who follows them, and how they are related."""

from typing import Any

from pydantic import Field

from tap_pipedrive import values
from tap_pipedrive.entities.base import (
    Boolean,
    Date,
    Entity,
    Id,
    Integer,
    List,
    Number,
    Object,
    Text,
    Timestamp,
)


class Organization(Entity):
    """A company (`GET /api/v2/organizations`)."""

    id: Id
    name: Text = None
    owner_id: Integer = None
    address: Object = Field(None, description="`value` is the full text, the rest its parts")
    website: Text = None
    linkedin: Text = None
    industry: Integer = Field(None, description="Option id, see `field_options`")
    annual_revenue: Number = None
    employee_count: Integer = None
    label_ids: List = None
    visible_to: Integer = None
    is_deleted: Boolean = None
    add_time: Timestamp = None
    update_time: Timestamp = None
    next_activity_id: Integer = None
    last_activity_id: Integer = None
    open_deals_count: Integer = None
    related_open_deals_count: Integer = None
    closed_deals_count: Integer = None
    related_closed_deals_count: Integer = None
    won_deals_count: Integer = None
    related_won_deals_count: Integer = None
    lost_deals_count: Integer = None
    related_lost_deals_count: Integer = None
    people_count: Integer = None
    email_messages_count: Integer = None
    activities_count: Integer = None
    done_activities_count: Integer = None
    undone_activities_count: Integer = None
    files_count: Integer = None
    notes_count: Integer = None
    followers_count: Integer = None
    smart_bcc_email: Text = None


class OrganizationFollower(Entity):
    """A user who follows an organization (`GET /api/v2/organizations/{id}/followers`)."""

    organization_id: Id
    user_id: Id
    add_time: Timestamp = None


class OrganizationRelationship(Entity):
    """What one organization is to another (`GET /api/v1/organizationRelationships`)."""

    id: Id
    type: Text = Field(None, description="parent: the owner is the linked one's parent; or related")
    rel_owner_org_id: Integer = None
    rel_linked_org_id: Integer = None
    active_flag: Boolean = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class Person(Entity):
    """A contact person (`GET /api/v2/persons`)."""

    id: Id
    name: Text = None
    first_name: Text = None
    last_name: Text = None
    owner_id: Integer = None
    org_id: Integer = None
    primary_email: Text = Field(None, description="The e-mail marked primary, else the first")
    primary_phone: Text = Field(None, description="The phone marked primary, else the first")
    emails: List = None
    phones: List = None
    im: List = None
    job_title: Text = None
    notes: Text = None
    postal_address: Object = None
    picture_id: Integer = None
    label_ids: List = None
    visible_to: Integer = None
    is_deleted: Boolean = None
    birthday: Date = None
    add_time: Timestamp = None
    update_time: Timestamp = None
    next_activity_id: Integer = None
    last_activity_id: Integer = None
    open_deals_count: Integer = None
    related_open_deals_count: Integer = None
    closed_deals_count: Integer = None
    related_closed_deals_count: Integer = None
    participant_open_deals_count: Integer = None
    participant_closed_deals_count: Integer = None
    won_deals_count: Integer = None
    related_won_deals_count: Integer = None
    lost_deals_count: Integer = None
    related_lost_deals_count: Integer = None
    email_messages_count: Integer = None
    activities_count: Integer = None
    done_activities_count: Integer = None
    undone_activities_count: Integer = None
    files_count: Integer = None
    notes_count: Integer = None
    followers_count: Integer = None
    last_incoming_mail_time: Timestamp = None
    last_outgoing_mail_time: Timestamp = None
    smart_bcc_email: Text = None

    @classmethod
    def prepare(cls, record: dict[str, Any]) -> dict[str, Any]:
        """The primary e-mail and phone get columns of their own."""
        return {
            **record,
            "primary_email": values.primary(record.get("emails")),
            "primary_phone": values.primary(record.get("phones")),
        }


class PersonFollower(Entity):
    """A user who follows a person (`GET /api/v2/persons/{id}/followers`)."""

    person_id: Id
    user_id: Id
    add_time: Timestamp = None
