"""A generated Pipedrive account: the same arguments give the same data to the byte."""

import inspect
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipedrive_sandbox.data.contacts.following import FOLLOWED, followers, participants, participants_log
from pipedrive_sandbox.data.contacts.people import People
from pipedrive_sandbox.data.contacts.records import organizations, persons
from pipedrive_sandbox.data.contacts.relations import organization_relationships, product_variations
from pipedrive_sandbox.data.counters import count_children
from pipedrive_sandbox.data.draft import Draft, Record
from pipedrive_sandbox.data.sales.billing import discounts, installments
from pipedrive_sandbox.data.sales.deals import deals_and_line_items
from pipedrive_sandbox.data.sales.history import edits, slips
from pipedrive_sandbox.data.sales.leads import leads
from pipedrive_sandbox.data.setup.builtin_fields import builtin_fields
from pipedrive_sandbox.data.setup.catalogue import CUSTOM_FIELDS
from pipedrive_sandbox.data.setup.custom_fields import add_custom_field
from pipedrive_sandbox.data.setup.office import goals, lead_sources, permission_sets, roles, webhooks
from pipedrive_sandbox.data.setup.reference import (
    activity_types,
    currencies,
    filters,
    lead_labels,
    pipelines_and_stages,
    products,
    users,
)
from pipedrive_sandbox.data.times import Season, iso, iso_ms
from pipedrive_sandbox.data.troubles.records import ALL_TROUBLES, TROUBLES
from pipedrive_sandbox.data.work.activities import activities, notes
from pipedrive_sandbox.data.work.files import comments, files
from pipedrive_sandbox.data.work.mail import call_logs, mail_threads_and_messages
from pipedrive_sandbox.data.work.projects import add_projects
from pipedrive_sandbox.records.model import IN_MILLISECONDS

__all__ = ["ALL_TROUBLES", "Dataset", "generate"]

_TIMES = ("add_time", "update_time")
_TIME_KEYS = {
    "deals": (
        *_TIMES, "stage_change_time", "archive_time", "close_time", "won_time", "lost_time",
        "first_won_time",
    ),
    "activities": (*_TIMES, "marked_as_done_time"),
    "users": ("last_login", "created", "modified"),
    "filters": (*_TIMES, "last_used_time"),
    "currencies": (),
    "deal_installments": (),
    "deal_discounts": ("created_at", "updated_at"),
    "deal_followers": ("add_time",),
    "person_followers": ("add_time",),
    "organization_followers": ("add_time",),
    "deal_participants": ("add_time",),
    "product_variations": (),
    "call_logs": ("start_time", "end_time"),
    "mail_messages": (*_TIMES, "message_time"),
    "mail_threads": (
        *_TIMES, "first_message_timestamp", "last_message_timestamp",
        "last_message_sent_timestamp", "last_message_received_timestamp",
    ),
    "lead_sources": (),
    "roles": (),
    "permission_sets": (),
    "goals": (),
    "webhooks": ("add_time", "remove_time", "last_delivery_time"),
    "projects": (*_TIMES, "status_change_time", "archive_time"),
    "tasks": (*_TIMES, "marked_as_done_time"),
}  # fmt: skip


@dataclass
class Dataset:
    """An account at one moment."""

    records: dict[str, list[dict[str, Any]]]
    """Canonical records with all keys, by the name of the list (deals, persons, ...)."""
    fields: dict[str, list[dict[str, Any]]]
    """Entity (deal, person, organization, product, activity, project) to v2 field objects."""
    changes: dict[str, dict[int, list[dict[str, Any]]]]
    """List name (deals, persons, organizations) to record id to changelog rows, oldest first.

    A record that never changed has no entry. Those of `deal_participants` go by the id of the deal.
    """
    manifest: dict[str, Any]
    """The arguments, and exactly which rows and fields each trouble spoilt."""


def generate(deals: int, seed: int, now: datetime, troubles: Collection[str] = ALL_TROUBLES) -> Dataset:
    """Generate an account of `deals` deals, and the other lists in proportion, as it is at `now`.

    Raises ValueError for a naive `now`, for no deals, and for an unknown trouble. From about 50 deals on,
    each of the `troubles` spoils at least one row.
    """
    unknown = sorted(frozenset(troubles).difference(TROUBLES))
    if unknown:
        raise ValueError(f"no such trouble: {', '.join(unknown)}")
    if now.tzinfo is None:
        raise ValueError("now needs a time zone")
    if deals < 1:
        raise ValueError("at least one deal is needed")
    draft = _clean_account(deals, seed, int(now.timestamp()))
    manifest: dict[str, Any] = {"seed": seed, "deals": deals, "now": iso(draft.now), "troubles": {}}
    for name, trouble in TROUBLES.items():
        if name in troubles:
            spoilt = trouble(draft, draft.rng(name))
            manifest["troubles"][name] = {"what": inspect.getdoc(trouble), **spoilt}
    _surroundings(draft)
    count_children(draft)
    _write_times(draft)
    return Dataset(draft.records, draft.fields, draft.changes, manifest)


def _clean_account(deals: int, seed: int, now: int) -> Draft:
    """Generate the account before the troubles; each list depends on those made before it."""
    draft = Draft(deals, seed, Season(now), People(seed))
    records = draft.records
    records["currencies"] = currencies()
    records["users"] = users(draft)
    records["activity_types"] = activity_types(draft)
    records["lead_labels"] = lead_labels(draft)
    records["filters"] = filters(draft)
    records["pipelines"], records["stages"] = pipelines_and_stages(draft)
    records["products"] = products(draft)
    records["organizations"] = organizations(draft)
    records["persons"] = persons(draft)
    records["deals"], records["deal_products"] = deals_and_line_items(draft)
    records["leads"] = leads(draft)
    records["activities"] = activities(draft)
    records["notes"] = notes(draft)
    for entity in ("deal", "person", "organization", "product", "activity"):
        draft.fields[entity] = builtin_fields(entity)
        for spec in CUSTOM_FIELDS.get(entity, ()):
            add_custom_field(draft, entity, spec)
    return draft


def _surroundings(draft: Draft) -> None:
    """Generate child records, after the troubles, from the records that are left."""
    records = draft.records
    for name, (entity, key) in FOLLOWED.items():
        records[name] = followers(draft, entity, key)
    records["deal_participants"] = participants(draft)
    draft.changes["deal_participants"] = participants_log(draft)
    records["deal_installments"] = installments(draft)
    records["deal_discounts"] = discounts(draft)
    records["product_variations"] = product_variations(draft)
    records["organization_relationships"] = organization_relationships(draft)
    records["files"] = files(draft)
    records["note_comments"] = comments(draft)
    records["call_logs"] = call_logs(draft)
    records["mail_threads"], records["mail_messages"] = mail_threads_and_messages(draft)
    records["lead_sources"] = lead_sources()
    records["roles"] = roles(draft)
    records["permission_sets"] = permission_sets(draft)
    records["goals"] = goals(draft)
    records["webhooks"] = webhooks(draft)
    add_projects(draft)
    edits(draft)
    slips(draft)


def _write_times(draft: Draft) -> None:
    """Convert whole seconds into the API's texts everywhere."""
    for name, rows in draft.records.items():
        write = iso_ms if name in IN_MILLISECONDS else iso
        _write(rows, _TIME_KEYS.get(name, _TIMES), write)
    for logs in draft.changes.values():
        for changes in logs.values():
            _write(changes, ("time",), iso)
    for fields in draft.fields.values():
        for field in fields:
            if field["is_custom_field"]:
                _write(field["options"] or [], _TIMES, iso)


def _write(rows: list[Record], keys: tuple[str, ...], write: Any) -> None:
    for row in rows:
        for key in keys:
            if row[key] is not None:
                row[key] = write(row[key])
