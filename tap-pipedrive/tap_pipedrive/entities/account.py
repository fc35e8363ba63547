"""The account itself: its users and their rights, currencies, goals, filters, webhooks."""

from typing import Any

from pydantic import Field

from tap_pipedrive.entities.base import (
    Boolean,
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
)


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


class Role(Entity):
    """A visibility group (`GET /api/v1/roles`); administrators only."""

    id: Id
    parent_role_id: Integer = None
    name: Text = None
    level: Integer = None
    assignment_count: Integer = None
    sub_role_count: Integer = None
    active_flag: Boolean = None


class PermissionSet(Entity):
    """What users may do in an app of Pipedrive's (`GET /api/v1/permissionSets`); administrators only."""

    id: Key
    name: Text = None
    description: Text = None
    app: Text = None
    type: Text = Field(None, description="admin, manager, regular or custom")
    assignment_count: Integer = None


class Currency(Entity):
    """A currency (`GET /api/v1/currencies`)."""

    id: Id
    code: Text = None
    name: Text = None
    symbol: Text = None
    decimal_points: Integer = None
    active_flag: Boolean = None
    is_custom_flag: Boolean = None


class Goal(Entity):
    """What a user, a team or the company is to reach (`GET /api/v1/goals/find`)."""

    id: Key
    owner_id: Integer = None
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


class Filter(Entity):
    """A stored filter, without its conditions (`GET /api/v1/filters`)."""

    id: Id
    name: Text = None
    filter_code: Text = None
    type: Text = Field(None, description="What it filters: deals, leads, org, people, products, activity …")
    user_id: Integer = None
    custom_view_id: Integer = None
    visible_to: Integer = None
    is_editable: Boolean = None
    active_flag: Boolean = None
    temporary_flag: Boolean = None
    last_used_time: Timestamp = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class Webhook(Entity):
    """A webhook, without its password (`GET /api/v1/webhooks`); administrators only."""

    id: Id
    name: Text = None
    subscription_url: Text = None
    event_action: Text = None
    event_object: Text = None
    webhook_version: Text = Field(None, description="The API's `version`")
    type: Text = Field(None, description="general, application or automation")
    owner_id: Integer = None
    user_id: Integer = None
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
