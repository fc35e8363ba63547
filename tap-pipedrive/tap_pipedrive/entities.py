"""One pydantic model per entity, one line per field: the row of its table.

A field's type (`Text`, `Timestamp`, …) cleans its value and describes its column, see `values.py`. Only keys
are required: Pipedrive leaves out, blanks and nulls almost anything else. Columns carry the API's names;
nested lists and objects stay JSON; a field's description says what its name does not.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, Field, PlainValidator, WithJsonSchema

from tap_pipedrive import values

Text = Annotated[str | None, PlainValidator(values.clean_text), WithJsonSchema(values.TEXT)]
Integer = Annotated[int | None, PlainValidator(values.clean_integer), WithJsonSchema(values.INTEGER)]
Number = Annotated[Decimal | int | None, PlainValidator(values.clean_number), WithJsonSchema(values.NUMBER)]
Boolean = Annotated[bool | None, PlainValidator(values.clean_boolean), WithJsonSchema(values.BOOLEAN)]
Timestamp = Annotated[
    datetime | None, PlainValidator(values.clean_timestamp), WithJsonSchema(values.TIMESTAMP)
]
Date = Annotated[date | None, PlainValidator(values.clean_date), WithJsonSchema(values.DATE)]
Time = Annotated[str | None, PlainValidator(values.clean_time), WithJsonSchema(values.TEXT)]
Duration = Annotated[str | None, PlainValidator(values.clean_duration), WithJsonSchema(values.TEXT)]
List = Annotated[list[Any] | None, PlainValidator(values.clean_list), WithJsonSchema(values.ARRAY)]
Object = Annotated[dict[str, Any] | None, PlainValidator(values.clean_object), WithJsonSchema(values.OBJECT)]
Id = Annotated[
    int, PlainValidator(values.required(values.clean_integer)), WithJsonSchema({"type": "integer"})
]
Key = Annotated[str, PlainValidator(values.required(values.clean_text)), WithJsonSchema({"type": "string"})]


class Entity(BaseModel):
    """A row: the model's fields are its columns."""

    @classmethod
    def prepare(cls, record: dict[str, Any]) -> dict[str, Any]:
        """Bring a record of the API into the shape of the columns, where the two differ."""
        return record

    @classmethod
    def columns(cls) -> dict[str, dict[str, Any]]:
        """Singer schema of each column."""
        properties: dict[str, dict[str, Any]] = cls.model_json_schema()["properties"]
        return {
            name: {key: value for key, value in schema.items() if key not in ("title", "default")}
            for name, schema in properties.items()
        }


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


class Activity(Entity):
    """A call, meeting, task … (`GET /api/v2/activities`)."""

    id: Id
    subject: Text = None
    type: Text = Field(None, description="`key_string` of the activity type")
    owner_id: Integer = None
    creator_user_id: Integer = None
    deal_id: Integer = None
    lead_id: Text = None
    person_id: Integer = None
    org_id: Integer = None
    project_id: Integer = None
    done: Boolean = None
    busy: Boolean = None
    is_deleted: Boolean = None
    due_date: Date = Field(None, description="In UTC, like `due_time`")
    due_time: Time = Field(None, description="HH:MM:SS; nothing for the whole day")
    duration: Duration = Field(None, description="HH:MM:SS")
    marked_as_done_time: Timestamp = None
    location: Object = None
    participants: List = None
    attendees: List = None
    conference_meeting_client: Text = None
    conference_meeting_url: Text = None
    conference_meeting_id: Text = None
    public_description: Text = None
    note: Text = Field(None, description="HTML")
    priority: Integer = None
    outcome: Integer = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class Product(Entity):
    """A product of the catalogue (`GET /api/v2/products`)."""

    id: Id
    name: Text = None
    code: Text = None
    description: Text = None
    unit: Text = None
    tax: Number = Field(None, description="Percent")
    category: Text = None
    owner_id: Integer = None
    is_linkable: Boolean = None
    is_deleted: Boolean = None
    visible_to: Integer = None
    billing_frequency: Text = None
    billing_frequency_cycles: Integer = None
    prices: List = None
    add_time: Timestamp = None
    update_time: Timestamp = None


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


class Note(Entity):
    """A note on a deal, lead, person, organization, project or task (`GET /api/v1/notes`)."""

    id: Id
    content: Text = Field(None, description="HTML")
    deal_id: Integer = None
    lead_id: Text = None
    person_id: Integer = None
    org_id: Integer = None
    project_id: Integer = None
    task_id: Integer = None
    user_id: Integer = None
    last_update_user_id: Integer = None
    active_flag: Boolean = None
    pinned_to_deal_flag: Boolean = None
    pinned_to_lead_flag: Boolean = None
    pinned_to_person_flag: Boolean = None
    pinned_to_organization_flag: Boolean = None
    pinned_to_project_flag: Boolean = None
    pinned_to_task_flag: Boolean = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class User(Entity):
    """A user of the account (`GET /api/v1/users`)."""

    id: Id
    name: Text = None
    email: Text = None
    phone: Text = None
    default_currency: Text = None
    locale: Text = None
    lang: Integer = None
    timezone_name: Text = None
    timezone_offset: Text = None
    role_id: Integer = None
    icon_url: Text = None
    access: List = Field(None, description="Apps the user may use, and whether as an admin")
    is_admin: Boolean = None
    is_you: Boolean = None
    is_deleted: Boolean = None
    activated: Boolean = None
    active_flag: Boolean = None
    has_created_company: Boolean = None
    last_login: Timestamp = None
    created: Timestamp = None
    modified: Timestamp = None


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


class ActivityType(Entity):
    """A kind of activity (`GET /api/v1/activityTypes`)."""

    id: Id
    name: Text = None
    key_string: Text = Field(None, description="What `activities.type` holds")
    icon_key: Text = None
    color: Text = None
    order_nr: Integer = None
    active_flag: Boolean = None
    is_custom_flag: Boolean = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class Currency(Entity):
    """A currency (`GET /api/v1/currencies`)."""

    id: Id
    code: Text = None
    name: Text = None
    symbol: Text = None
    decimal_points: Integer = None
    active_flag: Boolean = None
    is_custom_flag: Boolean = None


class LeadLabel(Entity):
    """A label of leads (`GET /api/v1/leadLabels`)."""

    id: Key
    name: Text = None
    color: Text = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class FieldDefinition(Entity):
    """A field of an entity, built-in or custom (`GET /api/v2/dealFields` and its four siblings)."""

    entity: Key = Field(
        description="deal, person, organization, product or activity; leads use the deals' fields"
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
    """An option of a field (`options` of `GET /api/v2/dealFields` and its four siblings)."""

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
