"""The table of endpoints: what each costs, accepts and answers.

Prices are those of the official OpenAPI documents (`x-token-cost`). `POST /oauth/token` has no
line here: it is not an endpoint of the account.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from . import v1, v2
from .account import lives
from .model import Endpoint, Row


def names(text: str) -> tuple[str, ...]:
    """Return the words of a line, so that the table below stays readable."""
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
NOTE_SORT = names("id user_id deal_id person_id org_id content add_time update_time")


def archived(row: Row) -> bool:
    """Tell whether a deal or lead is archived."""
    return bool(row["is_archived"])


def current(row: Row) -> bool:
    """Tell whether a deal or lead is not archived."""
    return not row["is_archived"]


def _lists(
    name: str,
    *params: str,
    sort: tuple[str, ...] = SORT,
    include: tuple[str, ...] = (),
    one: tuple[str, ...] = (),
) -> Iterable[Endpoint]:
    """Return the two lines of a v2 entity whose deleted rows are not listed: list and single."""
    path = f"/api/v2/{name}"
    yield Endpoint(path, 10, v2.many, name, "cursor", params, sort, include, lives)
    yield Endpoint(path + "/{id}", 1, v2.one, name, params=one, include=include)


def _fields(name: str, *include: str) -> Iterable[Endpoint]:
    """Return the two lines of an entity's field definitions."""
    path = f"/api/v2/{name}Fields"
    yield Endpoint(path, 10, v2.fields, name, "cursor", include=include)
    yield Endpoint(path + "/{field_code}", 1, v2.field, name, include=include)


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
    ),
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
    Endpoint("/api/v2/pipelines", 5, v2.many, "pipelines", "cursor", (), SORT),
    Endpoint("/api/v2/pipelines/{id}", 1, v2.one, "pipelines"),
    Endpoint("/api/v2/stages", 5, v2.many, "stages", "cursor", ("pipeline_id",), (*SORT, "order_nr")),
    Endpoint("/api/v2/stages/{id}", 1, v2.one, "stages"),
    *_fields("deal", *NAMESPACES),
    *_fields("person", *NAMESPACES),
    *_fields("organization", *NAMESPACES),
    *_fields("product", "ui_visibility"),
    *_fields("activity", "ui_visibility"),
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
    Endpoint("/api/v1/leadLabels", 10, v1.everything, "lead_labels"),
    Endpoint("/api/v1/leadFields", 20, v1.lead_fields, "leads", "flat"),
    Endpoint("/api/v1/notes", 20, v1.page, "notes", "nested", NOTE_FILTERS, NOTE_SORT, where=lives),
    Endpoint("/api/v1/noteFields", 20, v1.note_fields),
    Endpoint("/api/v1/users", 20, v1.everything, "users"),
    Endpoint("/api/v1/users/me", 2, v1.me, "users"),
    Endpoint("/api/v1/activityTypes", 20, v1.everything, "activity_types"),
    Endpoint("/api/v1/currencies", 20, v1.everything, "currencies", params=("term",)),
    Endpoint("/api/v1/filters", 20, v1.everything, "filters", params=("type",)),
    Endpoint("/api/v1/deals/{id}/changelog", 20, v1.changelog, "deals", "cursor"),
)


class Route(NamedTuple):
    """An endpoint and what stands in the place of its template's variable."""

    endpoint: Endpoint
    key: str


_FIXED = {endpoint.path: endpoint for endpoint in ENDPOINTS if "{" not in endpoint.path}
_TEMPLATES = [
    (re.compile(re.sub(r"\{\w+\}", "([^/]+)", endpoint.path)), endpoint)
    for endpoint in ENDPOINTS
    if "{" in endpoint.path
]


def route(path: str) -> Route | None:
    """Find the endpoint of a path, or None. `/v1/...` is another name of `/api/v1/...`."""
    if path.startswith("/v1/"):
        path = "/api" + path
    if path in _FIXED:
        return Route(_FIXED[path], "")
    for pattern, endpoint in _TEMPLATES:
        if match := pattern.fullmatch(path):
            return Route(endpoint, match[1])
    return None
