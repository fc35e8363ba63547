"""What is sold: deals, what hangs on them, and the stages they go through."""

from typing import Any

from pydantic import Field

from tap_pipedrive.children import ChildListing
from tap_pipedrive.entity import (
    Boolean,
    CurrencyCode,
    Date,
    Entity,
    Id,
    Integer,
    Key,
    List,
    Number,
    Text,
    Timestamp,
    UserId,
)
from tap_pipedrive.history import Change, ChangeListing
from tap_pipedrive.listings import CursorListing, OffsetListing, WholeListing
from tap_pipedrive.parents import Parents
from tap_pipedrive.streams.contacts import COUNTS, MAIL_TIMES
from tap_pipedrive.sync import OptionalStream, PipedriveStream

DEAL_PARAMS = {
    "status": "open,won,lost,deleted",
    "include_fields": f"{COUNTS},{MAIL_TIMES},first_won_time,products_count,participants_count,source_lead_id",
}


class Pipeline(Entity):
    id: Id
    name: Text = None
    order_nr: Integer = None
    is_deal_probability_enabled: Boolean = None
    is_deleted: Boolean = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class Pipelines(PipedriveStream):
    """Sales pipelines."""

    name = "pipelines"
    entity = Pipeline
    listings = [CursorListing("/api/v2/pipelines", price=5)]
    ignored_keys = {"is_selected"}


class Stage(Entity):
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


class Stages(PipedriveStream):
    """Stages of the pipelines."""

    name = "stages"
    entity = Stage
    listings = [CursorListing("/api/v2/stages", price=5)]


class Deal(Entity):
    id: Id
    title: Text = None
    owner_id: UserId = None
    creator_user_id: UserId = None
    person_id: Integer = None
    org_id: Integer = None
    pipeline_id: Integer = None
    stage_id: Integer = None
    status: Text = Field(None, description="open, won, lost or deleted")
    value: Number = Field(None, description="In `currency`; the sum of the line items where there are any")
    currency: CurrencyCode = None
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
            return {**record, "lost_reason": reason.get("label"), "lost_reason_id": reason.get("id")}
        return record


class Deals(PipedriveStream):
    """Deals: open, won, lost, archived, and deleted within 30 days."""

    name = "deals"
    entity = Deal
    replication_key = "update_time"
    custom_fields_of = "deal"
    listings = [
        CursorListing("/api/v2/deals", price=10, name="live", params=DEAL_PARAMS, takes_ids=True),
        CursorListing(
            "/api/v2/deals/archived", price=20, name="archived", params=DEAL_PARAMS, takes_ids=True
        ),
    ]


class DealProduct(Entity):
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
    currency: CurrencyCode = None
    is_enabled: Boolean = Field(None, description="Whether it counts for the deal's value")
    comments: Text = None
    billing_frequency: Text = None
    billing_frequency_cycles: Integer = None
    billing_start_date: Date = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class DealProducts(PipedriveStream):
    """Line items: the products of deals."""

    name = "deal_products"
    entity = DealProduct
    listings = [
        ChildListing(
            CursorListing("/api/v2/deals/products", price=10),
            Parents("deals", count="products_count"),
            batch=100,
            many="deal_ids",
        )
    ]


class DealInstallment(Entity):
    id: Id
    deal_id: Integer = None
    amount: Number = Field(None, description="In the deal's currency")
    billing_date: Date = None
    description: Text = None


class DealInstallments(OptionalStream):
    """Parts of deals' values that are billed on days of their own (Growth plan and up)."""

    name = "deal_installments"
    entity = DealInstallment
    listings = [
        ChildListing(
            CursorListing("/api/v2/deals/installments", price=10),
            Parents("deals"),  # nobody documents that they go with the last line item
            batch=100,
            many="deal_ids",
        )
    ]


class DealDiscount(Entity):
    id: Key
    deal_id: Integer = None
    type: Text = Field(None, description="percentage or amount")
    amount: Number = Field(None, description="Percent, or an amount in the deal's currency: see `type`")
    description: Text = None
    created_by: UserId = None
    updated_by: UserId = None
    created_at: Timestamp = None
    updated_at: Timestamp = None


class DealDiscounts(OptionalStream):
    """Additional discounts on whole deals."""

    name = "deal_discounts"
    entity = DealDiscount
    listings = [
        ChildListing(
            WholeListing("/api/v2/deals/{id}/discounts", price=10), Parents("deals", count="products_count")
        )
    ]


class DealFollower(Entity):
    deal_id: Id
    user_id: Id
    add_time: Timestamp = None


class DealFollowers(OptionalStream):
    """Users who follow deals."""

    name = "deal_followers"
    entity = DealFollower
    primary_keys = ("deal_id", "user_id")
    listings = [
        ChildListing(
            CursorListing("/api/v2/deals/{id}/followers", price=10), Parents("deals", count="followers_count")
        )
    ]


class DealParticipant(Entity):
    id: Id = Field(description="Of the participation, not of the person")
    deal_id: Integer = None
    person_id: Integer = None
    added_by_user_id: UserId = None
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


class DealParticipants(OptionalStream):
    """Persons who take part in deals."""

    name = "deal_participants"
    entity = DealParticipant
    listings = [
        ChildListing(
            OffsetListing("/api/v1/deals/{id}/participants", price=10, is_sortable=False),
            Parents("deals", count="participants_count"),
        )
    ]
    ignored_keys = {"person", "related_item_data", "related_item_id", "related_item_type"}


class DealParticipantChange(Entity):
    change_id: Key = Field(description="Key; hash of the change, as Pipedrive numbers none")
    deal_id: Integer = Field(None, description="Deal")
    person_id: Integer = Field(None, description="Contact person who was added or removed")
    actor_user_id: UserId = Field(None, description="User who changed it")
    action: Text = Field(None, description="added or removed")
    sequence: Integer = Field(None, description="1 for the oldest change of the deal's participants")
    time: Timestamp = Field(None, description="When it changed")


class DealParticipantChanges(OptionalStream):
    """Persons who were added to deals and removed from them, when and by whom."""

    name = "deal_participant_changes"
    entity = DealParticipantChange
    primary_keys = ("change_id",)
    keeps_missing_rows = True
    listings = [
        ChangeListing(
            CursorListing("/api/v1/deals/{id}/participantsChangelog", price=10),
            Parents("deals"),
            subject="person_id",
            identity=("time", "action", "person_id", "actor_user_id"),
        )
    ]


class DealChange(Change):
    deal_id: Integer = None


class DealChanges(PipedriveStream):
    """Changes of deals: moves between stages or, with `history: all`, changes of all fields."""

    name = "deal_changes"
    entity = DealChange
    primary_keys = ("change_id",)
    keeps_missing_rows = True
    listings = [
        ChangeListing(
            CursorListing("/api/v1/deals/{id}/changelog", price=20),
            Parents("deals", moved="stage_change_time", only_if_changed=True),
            name="stage",
            only_field="stage_id",
        ),
        ChangeListing(
            CursorListing("/api/v1/deals/{id}/changelog", price=20),
            Parents("deals"),
            name="all",
        ),
    ]
