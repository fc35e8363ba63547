"""Takes over the state of singer-io's tap-pipedrive: its bookmarks, under the names of this tap."""

import logging
from typing import Any

TAKEN_OVER = {
    "activities": ("update_time", "activities", ""),
    "dealflow": ("log_time", "deal_changes", "stage"),
    "deals": ("update_time", "deals", "live"),
    "files": ("update_time", "files", ""),
    "notes": ("update_time", "notes", ""),
    "organizations": ("update_time", "organizations", ""),
    "persons": ("update_time", "persons", ""),
    "products": ("update_time", "products", ""),
}
"""By stream of the other tap: the key of its bookmark, the stream here, and the listing that it has read.

Archived deals and others that it has never read have no bookmark, and are read from the beginning.
"""

READ_WHOLE = {"activity_types", "deal_fields", "filters", "pipelines", "stages", "users"}
"""Streams of the other tap whose bookmarks are not needed, as each run reads all their rows."""

ITS_KEYS = {"update_time", "log_time", "modified"}
"""Keys that hold the time in bookmarks of the other tap; those of this tap have another key."""

logger = logging.getLogger("tap-pipedrive")


def migrated(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state of this tap for one of singer-io's tap-pipedrive; return any other state as it is."""
    bookmarks = state.get("bookmarks")
    if not isinstance(bookmarks, dict):
        return state
    its = {
        name: mark for name, mark in bookmarks.items() if isinstance(mark, dict) and mark.keys() & ITS_KEYS
    }
    if not its:
        return state
    ours = {name: mark for name, mark in bookmarks.items() if name not in its}
    taken = []
    for name in its.keys() & TAKEN_OVER.keys():
        key, stream, listing = TAKEN_OVER[name]
        if its[name].get(key) is not None and stream not in ours:
            ours[stream] = _bookmark(its[name][key], listing)
            taken.append(stream)
    unknown = sorted(its.keys() - TAKEN_OVER.keys() - READ_WHOLE)
    logger.info(
        "The state is that of singer-io's tap-pipedrive: %s resume from its bookmarks, so tables made by this "
        "tap hold only what changed since; the other streams are read from the beginning%s.",
        ", ".join(sorted(taken)) or "no streams",
        f"; nothing here corresponds to {', '.join(unknown)}" if unknown else "",
    )
    return {"bookmarks": ours}


def _bookmark(moment: Any, listing: str) -> dict[str, Any]:
    bookmark = {"replication_key_value": moment}
    return {"partitions": [{"context": {"listing": listing}, **bookmark}]} if listing else bookmark
