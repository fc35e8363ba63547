"""The structure of records, and the differences between entities: ids, times, parents."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Record: TypeAlias = dict[str, Any]
Id: TypeAlias = int | str
Row: TypeAlias = Mapping[str, Any]
Test: TypeAlias = Callable[[Row], bool]

COMPANY_ID = 10_000_001

IN_MILLISECONDS = (
    *("leads", "lead_labels", "note_comments", "call_logs", "mail_threads", "mail_messages"),
    *("webhooks", "projects", "project_boards", "project_phases", "project_templates", "tasks"),
)
"""Entities whose times have milliseconds."""

TEXT_IDS = (
    *("leads", "lead_labels", "note_comments", "call_logs", "deal_discounts"),
    *("permission_sets", "goals"),
)
"""Entities whose ids are texts, mostly UUIDs."""

GOAL_TYPES = ("deals_won", "deals_progressed", "activities_completed", "activities_added", "deals_started")

PARENTS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("deal_products", "deal_installments", "deal_discounts", "deal_followers", "deal_participants"),
        ("deals", "deal_id"),
    ),
    "person_followers": ("persons", "person_id"),
    "organization_followers": ("organizations", "org_id"),
    "product_variations": ("products", "product_id"),
    "note_comments": ("notes", "note_id"),
    "mail_messages": ("mail_threads", "mail_thread_id"),
    "project_phases": ("project_boards", "board_id"),
    "tasks": ("projects", "project_id"),
}
"""The parent of an entity's rows, and the key of the parent's id."""
