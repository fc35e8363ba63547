"""Persons and organizations, who follows them, and how they are related."""

from typing import Any

from pydantic import Field

from tap_pipedrive import values
from tap_pipedrive.children import ChildListing
from tap_pipedrive.entity import (
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
    UserId,
)
from tap_pipedrive.history import Change, ChangeListing
from tap_pipedrive.listings import CursorListing, WholeListing
from tap_pipedrive.parents import Parents
from tap_pipedrive.sync import OptionalStream, PipedriveStream

COUNTS = (
    "next_activity_id,last_activity_id,files_count,notes_count,followers_count,email_messages_count,"
    "activities_count,done_activities_count,undone_activities_count,smart_bcc_email"
)
"""Columns that v2 leaves out unless asked, of deals, persons and organizations."""

DEAL_COUNTS = (
    "open_deals_count,related_open_deals_count,closed_deals_count,related_closed_deals_count,"
    "won_deals_count,related_won_deals_count,lost_deals_count,related_lost_deals_count"
)
"""The same, of persons and organizations."""

MAIL_TIMES = "last_incoming_mail_time,last_outgoing_mail_time"


class Organization(Entity):
    id: Id
    name: Text = None
    owner_id: UserId = None
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


class Organizations(PipedriveStream):
    """Organizations: companies and other customers."""

    name = "organizations"
    entity = Organization
    replication_key = "update_time"
    custom_fields_of = "organization"
    listings = [
        CursorListing(
            "/api/v2/organizations",
            price=10,
            params={"include_fields": f"{COUNTS},{DEAL_COUNTS},people_count"},
            takes_ids=True,
        )
    ]


class OrganizationFollower(Entity):
    organization_id: Id
    user_id: Id
    add_time: Timestamp = None


class OrganizationFollowers(OptionalStream):
    """Users who follow organizations."""

    name = "organization_followers"
    entity = OrganizationFollower
    primary_keys = ("organization_id", "user_id")
    listings = [
        ChildListing(
            CursorListing("/api/v2/organizations/{id}/followers", price=10),
            Parents("organizations", count="followers_count"),
        )
    ]


class OrganizationRelationship(Entity):
    id: Id
    type: Text = Field(None, description="parent: the owner is the linked one's parent; or related")
    rel_owner_org_id: Integer = None
    rel_linked_org_id: Integer = None
    active_flag: Boolean = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class OrganizationRelationships(OptionalStream):
    """Relationships between organizations; each is listed with both of them."""

    name = "organization_relationships"
    entity = OrganizationRelationship
    listings = [
        ChildListing(
            WholeListing("/api/v1/organizationRelationships", price=20),
            Parents("organizations"),
            key="org_id",
            many="org_id",
        )
    ]
    ignored_keys = {"calculated_type", "calculated_related_org_id", "related_organization_name"}


class OrganizationChange(Change):
    organization_id: Integer = None


class OrganizationChanges(OptionalStream):
    """Changes of organizations, field by field."""

    name = "organization_changes"
    entity = OrganizationChange
    primary_keys = ("change_id",)
    keeps_missing_rows = True
    listings = [
        ChangeListing(
            CursorListing("/api/v1/organizations/{id}/changelog", price=20),
            Parents("organizations", only_if_changed=True),
        )
    ]


class Person(Entity):
    id: Id
    name: Text = None
    first_name: Text = None
    last_name: Text = None
    owner_id: UserId = None
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


class Persons(PipedriveStream):
    """Persons: the contacts of the account."""

    name = "persons"
    entity = Person
    replication_key = "update_time"
    custom_fields_of = "person"
    listings = [
        CursorListing(
            "/api/v2/persons",
            price=10,
            params={
                "include_fields": f"{COUNTS},{DEAL_COUNTS},{MAIL_TIMES},"
                "participant_open_deals_count,participant_closed_deals_count"
            },
            takes_ids=True,
        )
    ]


class PersonFollower(Entity):
    person_id: Id
    user_id: Id
    add_time: Timestamp = None


class PersonFollowers(OptionalStream):
    """Users who follow persons."""

    name = "person_followers"
    entity = PersonFollower
    primary_keys = ("person_id", "user_id")
    listings = [
        ChildListing(
            CursorListing("/api/v2/persons/{id}/followers", price=10),
            Parents("persons", count="followers_count"),
        )
    ]


class PersonChange(Change):
    person_id: Integer = None


class PersonChanges(OptionalStream):
    """Changes of persons, field by field."""

    name = "person_changes"
    entity = PersonChange
    primary_keys = ("change_id",)
    keeps_missing_rows = True
    listings = [
        ChangeListing(
            CursorListing("/api/v1/persons/{id}/changelog", price=20),
            Parents("persons", only_if_changed=True),
        )
    ]
