"""What is sold: deals, what hangs on them, and the stages they go through."""

from typing import Any

from pydantic import Field

from tap_pipedrive.entities.base import Boolean, Date, Entity, Id, Integer, Key, List, Number, Text, Timestamp


class Pipeline(Entity):
    """A pipeline (`GET /api/v2/pipelines`)."""

    id: Id
    name: Text = None
    order_nr: Integer = None
    is_deal_probability_enabled: Boolean = None
    is_deleted: Boolean = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class Stage(Entity):
    """A stage of a pipeline (`GET /api/v2/stages`)."""

    id: Id
    name: Text = None
    pipeline_id: Integer = None
    order_nr: Integer = None
    deal_probability: Number = Field(None, description="Percent")
    is_deal_rot_enabled: Boolean = None
    days_to_rotten: Integer = None
    is_deleted: Boolean = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class Deal(Entity):
    """A deal, open, won, lost, deleted or archived (`GET /api/v2/deals`, `GET /api/v2/deals/archived`)."""

    id: Id
    title: Text = None
    owner_id: Integer = None
    creator_user_id: Integer = None
    person_id: Integer = None
    org_id: Integer = None
    pipeline_id: Integer = None
    stage_id: Integer = None
    status: Text = Field(None, description="open, won, lost or deleted")
    value: Number = Field(None, description="In `currency`; the sum of the line items where there are any")
    currency: Text = None
    probability: Number = Field(None, description="Percent, when set on the deal itself")
    lost_reason: Text = None
    lost_reason_id: Integer = Field(None, description="Where the account keeps its reasons as options")
    origin: Text = None
    origin_id: Text = None
    channel: Integer = None
    channel_id: Text = None
    source_lead_id: Text = Field(None, description="The lead it was converted from")
    label_ids: List = None
    visible_to: Integer = None
    is_archived: Boolean = None
    is_deleted: Boolean = None
    add_time: Timestamp = None
    update_time: Timestamp = None
    stage_change_time: Timestamp = None
    close_time: Timestamp = None
    won_time: Timestamp = None
    first_won_time: Timestamp = None
    lost_time: Timestamp = None
    archive_time: Timestamp = None
    expected_close_date: Date = None
    local_won_date: Date = None
    local_lost_date: Date = None
    local_close_date: Date = None
    arr: Number = Field(None, description="Annual recurring revenue, from recurring line items")
    mrr: Number = Field(None, description="Monthly recurring revenue, from recurring line items")
    acv: Number = Field(None, description="Annual contract value, from recurring line items")
    next_activity_id: Integer = None
    last_activity_id: Integer = None
    products_count: Integer = None
    files_count: Integer = None
    notes_count: Integer = None
    followers_count: Integer = None
    email_messages_count: Integer = None
    activities_count: Integer = None
    done_activities_count: Integer = None
    undone_activities_count: Integer = None
    participants_count: Integer = None
    last_incoming_mail_time: Timestamp = None
    last_outgoing_mail_time: Timestamp = None
    smart_bcc_email: Text = None

    @classmethod
    def prepare(cls, record: dict[str, Any]) -> dict[str, Any]:
        """Some accounts answer a reason as `{"id": 3, "label": "Too expensive"}` instead of its text."""
        reason = record.get("lost_reason")
        if isinstance(reason, dict):
            return {
                **record,
                "lost_reason": reason.get("label"),
                "lost_reason_id": reason.get("id"),
            }
        return record


class DealProduct(Entity):
    """A line item: a product on a deal (`GET /api/v2/deals/products`)."""

    id: Id = Field(description="Of the line item; one product may be on a deal twice")
    deal_id: Integer = None
    product_id: Integer = Field(None, description="Nothing once the product has been purged")
    product_variation_id: Integer = None
    name: Text = None
    order_nr: Integer = None
    quantity: Number = None
    item_price: Number = Field(None, description="In `currency`, of one piece")
    discount: Number = Field(None, description="Percent, or an amount in `currency`: see `discount_type`")
    discount_type: Text = Field(None, description="percentage or amount")
    tax: Number = Field(None, description="Percent")
    tax_method: Text = Field(None, description="exclusive, inclusive or none")
    sum: Number = Field(None, description="In `currency`, after discount")
    currency: Text = None
    is_enabled: Boolean = Field(None, description="Whether it counts for the deal's value")
    comments: Text = None
    billing_frequency: Text = None
    billing_frequency_cycles: Integer = None
    billing_start_date: Date = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class DealInstallment(Entity):
    """A part of a deal's value that is billed on a day of its own (`GET /api/v2/deals/installments`)."""

    id: Id
    deal_id: Integer = None
    amount: Number = Field(None, description="In the deal's currency")
    billing_date: Date = None
    description: Text = None


class DealDiscount(Entity):
    """An additional discount on a whole deal (`GET /api/v2/deals/{id}/discounts`)."""

    id: Key
    deal_id: Integer = None
    type: Text = Field(None, description="percentage or amount")
    amount: Number = Field(None, description="Percent, or an amount in the deal's currency: see `type`")
    description: Text = None
    created_by: Integer = None
    updated_by: Integer = None
    created_at: Timestamp = None
    updated_at: Timestamp = None


class DealFollower(Entity):
    """A user who follows a deal (`GET /api/v2/deals/{id}/followers`)."""

    deal_id: Id
    user_id: Id
    add_time: Timestamp = None


class DealParticipant(Entity):
    """A person who takes part in a deal (`GET /api/v1/deals/{id}/participants`)."""

    id: Id = Field(description="Of the participation, not of the person")
    deal_id: Integer = None
    person_id: Integer = None
    added_by_user_id: Integer = None
    active_flag: Boolean = None
    add_time: Timestamp = None

    @classmethod
    def prepare(cls, record: dict[str, Any]) -> dict[str, Any]:
        """Ids come as stubs: the person's may be in `person` alone, the user's lie under `data`."""
        person, user = record.get("person_id"), record.get("added_by_user_id")
        return {
            **record,
            "person_id": record.get("person") if person is None else person,
            "added_by_user_id": user["data"] if isinstance(user, dict) and "data" in user else user,
        }
