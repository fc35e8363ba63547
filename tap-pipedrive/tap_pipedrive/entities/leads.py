"""Leads, their labels and sources."""

from typing import Any

from pydantic import Field

from tap_pipedrive.entities.base import Boolean, Date, Entity, Integer, Key, List, Number, Text, Timestamp


class Lead(Entity):
    """A lead, live or archived (`GET /api/v1/leads`, `GET /api/v1/leads/archived`)."""

    id: Key
    title: Text = None
    owner_id: Integer = None
    creator_id: Integer = None
    person_id: Integer = None
    organization_id: Integer = None
    value: Number = Field(None, description="In `currency`")
    currency: Text = None
    label_ids: List = None
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


class LeadLabel(Entity):
    """A label of leads (`GET /api/v1/leadLabels`)."""

    id: Key
    name: Text = None
    color: Text = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class LeadSource(Entity):
    """Where leads come from (`GET /api/v1/leadSources`)."""

    name: Key
