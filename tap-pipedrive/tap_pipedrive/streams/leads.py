"""Leads, their labels and sources."""

from typing import Any

from pydantic import Field

from tap_pipedrive.entity import (
    Boolean,
    CurrencyCode,
    Date,
    Entity,
    Integer,
    Key,
    LabelIds,
    Number,
    Text,
    Timestamp,
    UserId,
)
from tap_pipedrive.listings import OffsetListing, WholeListing
from tap_pipedrive.sync import OptionalStream, PipedriveStream


class Lead(Entity):
    id: Key
    title: Text = None
    owner_id: UserId = None
    creator_id: UserId = None
    person_id: Integer = None
    organization_id: Integer = None
    value: Number = Field(None, description="In `currency`")
    currency: CurrencyCode = None
    label_ids: LabelIds = None
    source_name: Text = None
    origin: Text = None
    origin_id: Text = None
    channel: Integer = None
    channel_id: Text = None
    source_deal_id: Integer = Field(None, description="The deal it was turned back from")
    is_archived: Boolean = None
    was_seen: Boolean = None
    visible_to: Integer = None
    cc_email: Text = None
    next_activity_id: Integer = None
    expected_close_date: Date = None
    add_time: Timestamp = None
    update_time: Timestamp = None

    @classmethod
    def prepare(cls, record: dict[str, Any]) -> dict[str, Any]:
        """The API nests money: `{"amount": 3000, "currency": "EUR"}`."""
        money = record.get("value")
        if isinstance(money, dict):
            return {**record, "value": money.get("amount"), "currency": money.get("currency")}
        return record


class Leads(PipedriveStream):
    """Leads, live and archived."""

    name = "leads"
    entity = Lead
    replication_key = "update_time"
    custom_fields_of = "deal"
    flat_custom_fields = True
    listings = [
        OffsetListing("/api/v1/leads", price=20, name="live", one="/api/v1/leads/{id}"),
        OffsetListing(
            "/api/v1/leads/archived", price=40, name="archived", has_updated_since=False, is_reference=True
        ),
    ]


class LeadLabel(Entity):
    id: Key
    name: Text = None
    color: Text = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class LeadLabels(PipedriveStream):
    """Labels that leads can have."""

    name = "lead_labels"
    entity = LeadLabel
    listings = [WholeListing("/api/v1/leadLabels", price=10, is_reference=True)]


class LeadSource(Entity):
    name: Key


class LeadSources(OptionalStream):
    """Sources that leads can come from."""

    name = "lead_sources"
    entity = LeadSource
    primary_keys = ("name",)
    listings = [WholeListing("/api/v1/leadSources", price=2)]
