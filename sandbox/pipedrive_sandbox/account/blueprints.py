"""Default values of new records."""

from __future__ import annotations

from typing import Any

from pipedrive_sandbox.account.store import Account
from pipedrive_sandbox.records.model import Record, Row

DEFAULTS: dict[str, Record] = {
    "deals": {"title": "New deal", "status": "open", "value": 0, "origin": "API", "visible_to": 3},
    "persons": {"name": "New person", "visible_to": 3},
    "organizations": {"name": "New organization", "visible_to": 3},
    "activities": {"subject": "New activity", "note": ""},
    "products": {"name": "New product", "tax": 0, "visible_to": 3, "is_linkable": True, "prices": []},
    "pipelines": {"name": "New pipeline"},
    "stages": {"name": "New stage", "deal_probability": 100},
    "deal_products": {"item_price": 0, "quantity": 1, "discount": 0, "tax": 0, "comments": ""},
    "leads": {"title": "New lead", "source_name": "API", "origin": "API", "visible_to": "3"},
    "notes": {"content": "New note", "active_flag": True},
    "users": {"name": "New user", "active_flag": True, "activated": True, "access": []},
    "lead_labels": {"name": "New label", "color": "blue"},
    "activity_types": {"name": "New type", "active_flag": True, "is_custom_flag": True},
    "currencies": {"name": "New currency", "active_flag": True, "is_custom_flag": True},
    "filters": {"name": "New filter", "type": "deals", "active_flag": True, "visible_to": "7"},
    "deal_installments": {"amount": 100, "billing_date": "2030-01-01", "description": "New installment"},
    "deal_discounts": {"amount": 5, "type": "percentage", "description": "New discount"},
    "deal_participants": {"active_flag": True},
    "product_variations": {"name": "New variation"},
    "files": {"name": "New file", "file_size": 1, "active_flag": True, "remote_location": "s3"},
    "note_comments": {"content": "New comment", "active_flag": True},
    "call_logs": {"outcome": "connected", "duration": "60", "to_phone_number": "+55 11 90000-0000"},
    "mail_threads": {"subject": "New thread", "folders": ["inbox"], "message_count": 1},
    "mail_messages": {"subject": "New message", "has_body_flag": 1},
    "organization_relationships": {"type": "related", "active_flag": "true"},
    "roles": {"name": "New role", "active_flag": True, "assignment_count": "0", "sub_role_count": "0"},
    "permission_sets": {"name": "New permission set", "app": "sales", "type": "custom"},
    "goals": {"title": "New goal", "is_active": True},
    "webhooks": {"name": "New webhook", "event_action": "*", "event_object": "*", "is_active": 1},
    "project_boards": {"name": "New board"},
    "project_phases": {"name": "New phase"},
    "project_templates": {"title": "New template"},
    "projects": {"title": "New project", "status": "open"},
    "tasks": {"title": "New task"},
}
"""Default values of a new record by entity."""

FROM_ANOTHER = {
    "currency",
    "type",
    "billing_frequency",
    "tax_method",
    "discount_type",
    "default_currency",
    "locale",
    "lang",
    "role_id",
    "timezone_name",
    "timezone_offset",
    *("duration", "expected_outcome", "assignee", "interval", "subscription_url", "version", "url"),
    *("folders", "parties", "account_id", "board_id", "phase_id"),
}
"""Keys that a new record copies from the first record of its entity."""

BIRTHS = {"add_time", "update_time", "created", "modified", "created_at", "updated_at", "status_change_time"}
"""Keys that a new record sets to the time of its creation."""


def blank(account: Account, entity: str) -> Record:
    """Return a record with every key of its entity, filled with defaults; `id` and times are missing."""
    model = next(iter(account.table(entity)), None) or {}
    row: Record = {key: _blank(key, value) for key, value in model.items()}
    if "custom_fields" in model:
        row["custom_fields"] = dict.fromkeys(model["custom_fields"])
    return row | _owned(account, row) | DEFAULTS.get(entity, {})


def _blank(key: str, value: Any) -> Any:
    """Return an unset value of the same type as another record's value of the key."""
    if key in FROM_ANOTHER:
        return value
    if isinstance(value, bool):
        return False
    if isinstance(value, list):
        return []
    return 0 if key.endswith(("_count", "_flag")) else None


def _owned(account: Account, row: Row) -> Record:
    owner = min(viewer.user_id for viewer in account.viewers.values())
    keys = {
        *("owner_id", "creator_user_id", "creator_id", "user_id", "last_update_user_id", "admin_id"),
        *("added_by_user_id", "created_by", "updated_by", "updater_id"),
    }
    return dict.fromkeys(keys & row.keys(), owner)
