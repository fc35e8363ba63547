"""The table of endpoints: their prices, parameters and answers.

Prices are those of the official OpenAPI documents (`x-token-cost`). `/oauth/...` is not in this table,
because it is not an endpoint of the account; see `oauth.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from pipedrive_sandbox.account.store import lives
from pipedrive_sandbox.api import flow, v1, v1_fields, v2
from pipedrive_sandbox.api.endpoint import Endpoint
from pipedrive_sandbox.records.model import Row, Test


def names(text: str) -> tuple[str, ...]:
    """Return the words of a line, which keeps the table below readable."""
    return tuple(text.split())


SORT = names("id update_time add_time")
UPDATED = names("updated_since updated_until")
LABELS = names("include_option_labels include_labels")
NAMESPACES = names("ui_visibility important_fields required_fields")
DEAL_FILTERS = names("filter_id ids owner_id person_id org_id pipeline_id stage_id status custom_fields")
DEAL_EXTRAS = names(
    "next_activity_id last_activity_id first_won_time products_count files_count notes_count"
    " followers_count email_messages_count activities_count done_activities_count"
    " undone_activities_count participants_count last_incoming_mail_time last_outgoing_mail_time"
    " smart_bcc_email source_lead_id"
)
CONTACT_EXTRAS = names(
    "next_activity_id last_activity_id open_deals_count related_open_deals_count"
    " closed_deals_count related_closed_deals_count email_messages_count activities_count"
    " done_activities_count undone_activities_count files_count notes_count followers_count"
    " won_deals_count related_won_deals_count lost_deals_count related_lost_deals_count"
    " smart_bcc_email"
)
PERSON_EXTRAS = CONTACT_EXTRAS + names(
    "participant_open_deals_count participant_closed_deals_count last_incoming_mail_time"
    " last_outgoing_mail_time marketing_status doi_status"
)
ORGANIZATION_EXTRAS = (*CONTACT_EXTRAS, "people_count")
LEAD_FILTERS = names("owner_id person_id organization_id filter_id")
LEAD_SORT = names(
    "id title owner_id creator_id was_seen expected_close_date next_activity_id add_time update_time"
)
NOTE_FILTERS = names(
    "user_id lead_id deal_id person_id org_id project_id task_id start_date end_date updated_since"
    " pinned_to_lead_flag pinned_to_deal_flag pinned_to_organization_flag pinned_to_person_flag"
    " pinned_to_project_flag pinned_to_task_flag"
)
GOAL_FILTERS = names("type.name title is_active assignee.id assignee.type period.start period.end")
FILTER = names(
    "id name filter_code is_editable active_flag type temporary_flag user_id add_time update_time"
    " visible_to last_used_time custom_view_id"
)
FOLLOWER = names("user_id add_time")
NOTE_SORT = names("id user_id deal_id person_id org_id content add_time update_time")


def archived(row: Row) -> bool:
    """Return whether a deal or lead is archived."""
    return bool(row["is_archived"])


def current(row: Row) -> bool:
    """Return whether a deal or lead is not archived."""
    return not row["is_archived"]


def shelved(row: Row) -> bool:
    """Return whether a project is archived."""
    return row["archive_time"] is not None


def running(row: Row) -> bool:
    """Return whether a project is not archived."""
    return row["archive_time"] is None


def _lists(
    name: str,
    *params: str,
    sort: tuple[str, ...] = SORT,
    include: tuple[str, ...] = (),
    one: tuple[str, ...] = (),
) -> Iterable[Endpoint]:
    """Return the two lines, list and single record, of a v2 entity whose deleted rows are not listed."""
    path = f"/api/v2/{name}"
    yield Endpoint(path, 10, v2.many, name, "cursor", params, sort, include, lives)
    yield Endpoint(path + "/{id}", 1, v2.one, name, params=one, include=include)


def _fields(name: str, *include: str, feature: str = "") -> Iterable[Endpoint]:
    """Return the two lines of an entity's field definitions."""
    path = f"/api/v2/{name}Fields"
    yield Endpoint(path, 10, v2.fields, name, "cursor", include=include, feature=feature)
    yield Endpoint(path + "/{field_code}", 1, v2.field, name, include=include, feature=feature)


def _followers(name: str, entity: str) -> Endpoint:
    """Return the line for followers of an entity's records."""
    return Endpoint(f"/api/v2/{name}/{{id}}/followers", 10, v2.children, entity, "cursor", shows=FOLLOWER)


def _changelog(name: str) -> Endpoint:
    """Return the line of the change log of an entity's records."""
    return Endpoint(f"/api/v1/{name}/{{id}}/changelog", 20, v1.changelog, name, "cursor")


def _projects(path: str, *params: str, where: Test) -> Endpoint:
    """Return the line of a list of projects."""
    params = (*names("filter_id status phase_id"), *params)
    return Endpoint(path, 10, v2.many, "projects", "cursor", params, where=where, feature="projects")


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "/api/v2/deals",
        10,
        v2.many,
        "deals",
        "cursor",
        (*DEAL_FILTERS, *UPDATED, *LABELS),
        SORT,
        DEAL_EXTRAS,
        current,
    ),
    Endpoint(
        "/api/v2/deals/archived",
        20,
        v2.many,
        "deals",
        "cursor",
        (*DEAL_FILTERS, *UPDATED),
        SORT,
        DEAL_EXTRAS,
        archived,
    ),
    Endpoint(
        "/api/v2/deals/{id}",
        1,
        v2.one,
        "deals",
        params=("custom_fields", *LABELS),
        include=DEAL_EXTRAS,
    ),
    Endpoint(
        "/api/v2/deals/products",
        10,
        v2.many,
        "deal_products",
        "cursor",
        ("deal_ids",),
        names("id deal_id add_time update_time order_nr"),
        required=("deal_ids",),
    ),
    Endpoint(
        "/api/v2/deals/{id}/products",
        10,
        v2.children,
        "deal_products",
        "cursor",
        sort=names("id add_time update_time order_nr"),
    ),
    Endpoint(
        "/api/v2/deals/installments",
        10,
        v2.many,
        "deal_installments",
        "cursor",
        ("deal_ids",),
        names("id billing_date deal_id"),
        required=("deal_ids",),
        feature="installments",
    ),
    Endpoint("/api/v2/deals/{id}/discounts", 10, v2.children, "deal_discounts"),
    _followers("deals", "deal_followers"),
    _followers("persons", "person_followers"),
    _followers("organizations", "organization_followers"),
    *_lists(
        "persons",
        *names("filter_id ids owner_id org_id deal_id custom_fields"),
        *UPDATED,
        *LABELS,
        include=PERSON_EXTRAS,
        one=("custom_fields", *LABELS),
    ),
    *_lists(
        "organizations",
        *names("filter_id ids owner_id custom_fields"),
        *UPDATED,
        *LABELS,
        include=ORGANIZATION_EXTRAS,
        one=("custom_fields", *LABELS),
    ),
    *_lists(
        "activities",
        *names("filter_id ids owner_id deal_id lead_id person_id org_id done"),
        *UPDATED,
        sort=(*SORT, "due_date"),
        include=("attendees",),
    ),
    *_lists(
        "products",
        *names("filter_id ids owner_id updated_since custom_fields"),
        sort=(*SORT, "name"),
    ),
    Endpoint("/api/v2/products/{id}/variations", 10, v2.children, "product_variations", "cursor"),
    Endpoint("/api/v2/pipelines", 5, v2.many, "pipelines", "cursor", (), SORT),
    Endpoint("/api/v2/pipelines/{id}", 1, v2.one, "pipelines"),
    Endpoint("/api/v2/stages", 5, v2.many, "stages", "cursor", ("pipeline_id",), (*SORT, "order_nr")),
    Endpoint("/api/v2/stages/{id}", 1, v2.one, "stages"),
    *_fields("deal", *NAMESPACES),
    *_fields("person", *NAMESPACES),
    *_fields("organization", *NAMESPACES),
    *_fields("product", "ui_visibility"),
    *_fields("activity", "ui_visibility"),
    *_fields("project", feature="projects"),
    _projects("/api/v2/projects", *names("deal_id person_id org_id"), where=running),
    _projects("/api/v2/projects/archived", where=shelved),
    Endpoint(
        "/api/v2/tasks",
        10,
        v2.many,
        "tasks",
        "cursor",
        names("is_done is_milestone assignee_id project_id parent_task_id"),
        feature="projects",
    ),
    Endpoint("/api/v2/boards", 10, v2.whole, "project_boards", feature="projects"),
    Endpoint(
        "/api/v2/phases",
        10,
        v2.whole,
        "project_phases",
        params=("board_id",),
        required=("board_id",),
        feature="projects",
    ),
    Endpoint("/api/v2/projectTemplates", 10, v2.many, "project_templates", "cursor", feature="projects"),
    Endpoint(
        "/api/v1/leads",
        20,
        v1.page,
        "leads",
        "flat",
        (*LEAD_FILTERS, "updated_since"),
        LEAD_SORT,
        where=current,
    ),
    Endpoint("/api/v1/leads/archived", 40, v1.page, "leads", "flat", LEAD_FILTERS, LEAD_SORT, (), archived),
    Endpoint("/api/v1/leads/{id}", 2, v1.one, "leads"),
    Endpoint("/api/v1/leadLabels", 10, v1.everything, "lead_labels"),
    Endpoint("/api/v1/leadFields", 20, v1_fields.lead_fields, "leads", "flat"),
    Endpoint("/api/v1/leadSources", 2, v1.everything, "lead_sources", shows=("name",)),
    Endpoint("/api/v1/notes", 20, v1.page, "notes", "nested", NOTE_FILTERS, NOTE_SORT, where=lives),
    Endpoint("/api/v1/notes/{id}", 2, v1.one, "notes"),
    Endpoint("/api/v1/notes/{id}/comments", 20, v1.children, "note_comments", "nested", where=lives),
    Endpoint("/api/v1/noteFields", 20, v1_fields.note_fields),
    Endpoint("/api/v1/users", 20, v1.everything, "users"),
    Endpoint("/api/v1/users/me", 2, v1.me, "users"),
    Endpoint("/api/v1/activityTypes", 20, v1.everything, "activity_types"),
    Endpoint("/api/v1/currencies", 20, v1.everything, "currencies", params=("term",)),
    Endpoint("/api/v1/filters", 20, v1.everything, "filters", params=("type",), shows=FILTER),
    Endpoint("/api/v1/filters/{id}", 2, v1.filter_, "filters", params=("include_field_code",)),
    _changelog("deals"),
    _changelog("persons"),
    _changelog("organizations"),
    Endpoint(
        "/api/v1/deals/summary",
        40,
        v1.summary,
        "deals",
        params=names("status filter_id pipeline_id stage_id"),
        where=current,
    ),
    Endpoint("/api/v1/deals/{id}/participantsChangelog", 10, v1.participants_changelog, "deals", "cursor"),
    Endpoint("/api/v1/deals/{id}/flow", 40, flow.flow, "deals", "flat", names("all_changes items")),
    Endpoint("/api/v1/deals/{id}/participants", 10, v1.children, "deal_participants", "flat"),
    Endpoint(
        "/api/v1/organizationRelationships",
        20,
        v1.relationships,
        "organization_relationships",
        params=("org_id",),
        required=("org_id",),
    ),
    Endpoint(
        "/api/v1/files", 20, v1.page, "files", "nested", (), names("id update_time"), where=lives, most=100
    ),
    Endpoint("/api/v1/callLogs", 20, v1.page, "call_logs", "nested", own=True, most=50, feature="calls"),
    Endpoint(
        "/api/v1/mailbox/mailThreads",
        20,
        v1.page,
        "mail_threads",
        "bare",
        ("folder",),
        required=("folder",),
        own=True,
        feature="mailbox",
    ),
    Endpoint(
        "/api/v1/mailbox/mailThreads/{id}/mailMessages",
        20,
        v1.children,
        "mail_messages",
        own=True,
        feature="mailbox",
    ),
    Endpoint("/api/v1/goals/find", 20, v1.goals, "goals", params=GOAL_FILTERS, feature="goals"),
    Endpoint("/api/v1/roles", 20, v1.page, "roles", "nested", admin=True),
    Endpoint("/api/v1/permissionSets", 20, v1.everything, "permission_sets", params=("app",), admin=True),
    Endpoint(
        "/api/v1/permissionSets/{id}/assignments", 20, v1.assignments, "permission_sets", "bare", admin=True
    ),
    Endpoint("/api/v1/webhooks", 10, v1.webhooks, "webhooks", admin=True),
)


class Route(NamedTuple):
    """An endpoint and the value of its template's variable."""

    endpoint: Endpoint
    key: str


_FIXED = {endpoint.path: endpoint for endpoint in ENDPOINTS if "{" not in endpoint.path}
_TEMPLATES = [
    (re.compile(re.sub(r"\{\w+\}", "([^/]+)", endpoint.path)), endpoint)
    for endpoint in ENDPOINTS
    if "{" in endpoint.path
]


def route(path: str) -> Route | None:
    """Return the endpoint of a path, or None. `/v1/...` is another name of `/api/v1/...`."""
    if path.startswith("/v1/"):
        path = "/api" + path
    if path in _FIXED:
        return Route(_FIXED[path], "")
    for pattern, endpoint in _TEMPLATES:
        if match := pattern.fullmatch(path):
            return Route(endpoint, match[1])
    return None
