"""The account itself: its users and their rights, currencies, goals, filters, webhooks."""

from typing import Any

from pydantic import Field

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
    Object,
    Text,
    Timestamp,
    UserId,
)
from tap_pipedrive.listings import OffsetListing, WholeListing
from tap_pipedrive.sync import OptionalStream, PipedriveStream


class User(Entity):
    id: Id
    name: Text = None
    email: Text = None
    phone: Text = None
    default_currency: CurrencyCode = None
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


class Users(PipedriveStream):
    """Users of the account."""

    name = "users"
    entity = User
    listings = [WholeListing("/api/v1/users", price=20, is_reference=True)]


class Role(Entity):
    id: Id
    parent_role_id: Integer = None
    name: Text = None
    level: Integer = None
    assignment_count: Integer = None
    sub_role_count: Integer = None
    active_flag: Boolean = None


class Roles(OptionalStream):
    """Visibility groups of users (administrators only)."""

    name = "roles"
    entity = Role
    listings = [OffsetListing("/api/v1/roles", price=20, is_sortable=False)]


class PermissionSet(Entity):
    id: Key
    name: Text = None
    description: Text = None
    app: Text = None
    type: Text = Field(None, description="admin, manager, regular or custom")
    assignment_count: Integer = None


class PermissionSets(OptionalStream):
    """Sets of permissions that users can have (administrators only)."""

    name = "permission_sets"
    entity = PermissionSet
    listings = [WholeListing("/api/v1/permissionSets", price=20)]


class Currency(Entity):
    id: Id
    code: Text = None
    name: Text = None
    symbol: Text = None
    decimal_points: Integer = None
    active_flag: Boolean = None
    is_custom_flag: Boolean = None


class Currencies(PipedriveStream):
    """Currencies that the account knows, custom ones included."""

    name = "currencies"
    entity = Currency
    named_by = "code"
    listings = [WholeListing("/api/v1/currencies", price=20, is_reference=True)]


GOAL_TYPES = ("deals_won", "deals_started", "deals_progressed", "activities_completed", "activities_added")


class Goal(Entity):
    id: Key
    owner_id: UserId = None
    title: Text = None
    type_name: Text = Field(None, description="deals_won, deals_started, activities_completed …")
    type_params: Object = Field(None, description="Which pipelines, stages or activity types count")
    assignee_type: Text = Field(None, description="person, team or company")
    assignee_id: Integer = None
    interval: Text = Field(None, description="weekly, monthly, quarterly or yearly")
    duration_start: Date = None
    duration_end: Date = None
    expected_outcome_target: Number = Field(None, description="To reach in each interval")
    expected_outcome_tracking_metric: Text = Field(None, description="quantity or sum")
    expected_outcome_currency_id: Integer = None
    is_active: Boolean = None
    report_ids: List = None

    @classmethod
    def prepare(cls, record: dict[str, Any]) -> dict[str, Any]:
        """The API nests a goal's type, assignee, duration and expected outcome."""
        nested = ("type", "assignee", "duration", "expected_outcome")
        parts = {name: value for name in nested if isinstance(value := record.get(name), dict)}
        return record | {
            f"{name}_{key}": value for name, part in parts.items() for key, value in part.items()
        }


class Goals(OptionalStream):
    """Goals of users and of the company, current and past."""

    name = "goals"
    entity = Goal
    listings = tuple(  # without a type, the API lists the goals of the token's user only
        WholeListing(
            "/api/v1/goals/find",
            price=20,
            name=f"{kind}, {'current' if is_active == 'true' else 'past'}",
            params={"type.name": kind, "is_active": is_active},
            inside="goals",
        )
        for kind in GOAL_TYPES
        for is_active in ("true", "false")
    )
    ignored_keys = {"type", "assignee", "duration", "expected_outcome"}


class Filter(Entity):
    id: Id
    name: Text = None
    filter_code: Text = None
    type: Text = Field(None, description="What it filters: deals, leads, org, people, products, activity …")
    user_id: UserId = None
    custom_view_id: Integer = None
    visible_to: Integer = None
    is_editable: Boolean = None
    active_flag: Boolean = None
    temporary_flag: Boolean = None
    last_used_time: Timestamp = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class Filters(OptionalStream):
    """Stored filters, without their conditions."""

    name = "filters"
    entity = Filter
    listings = [WholeListing("/api/v1/filters", price=20)]


class Webhook(Entity):
    id: Id
    name: Text = None
    subscription_url: Text = None
    event_action: Text = None
    event_object: Text = None
    webhook_version: Text = Field(None, description="The API's `version`")
    type: Text = Field(None, description="general, application or automation")
    owner_id: UserId = None
    user_id: UserId = None
    admin_id: Integer = None
    is_active: Boolean = None
    last_http_status: Integer = None
    remove_reason: Text = None
    last_delivery_time: Timestamp = None
    add_time: Timestamp = None
    remove_time: Timestamp = None

    @classmethod
    def prepare(cls, record: dict[str, Any]) -> dict[str, Any]:
        """A column `version` would clash with a parameter of the target's, see `PARAMETERS`."""
        return record | {"webhook_version": record.get("version")}


class Webhooks(OptionalStream):
    """Webhooks, without their passwords (administrators only)."""

    name = "webhooks"
    entity = Webhook
    listings = [WholeListing("/api/v1/webhooks", price=10)]
    ignored_keys = {"company_id", "http_auth_user", "http_auth_password", "version"}
