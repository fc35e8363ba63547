"""Selects the rows that a trouble spoils, and describes them for the manifest."""

from collections.abc import Callable
from random import Random
from typing import Any

from pipedrive_sandbox.data.draft import Draft, Record

Spoilt = dict[str, Any]
"""An entry of the manifest: `ids` by list, `fields` (their codes) by entity, `groups` of duplicates."""


def spoil(
    draft: Draft,
    rng: Random,
    entity: str,
    key: str,
    share: float,
    where: Callable[[Record], bool] = lambda row: True,
) -> list[Record]:
    """Return a share of a list's rows, at least one, whose `key` no other trouble has spoilt yet."""
    spoilt = draft.spoilt[entity, key]
    fit = [row for row in draft.records[entity] if row["id"] not in spoilt and where(row)]
    count = max(1, round(share * len(draft.records[entity])))
    places = sorted(rng.sample(range(len(fit)), min(count, len(fit))))
    rows = [fit[place] for place in places]
    spoilt.update(row["id"] for row in rows)
    return rows


def ids_of(**rows: list[Record]) -> Spoilt:
    """Return the manifest's entry of spoilt rows by list."""
    return {"ids": {entity: [row["id"] for row in some] for entity, some in rows.items()}}


def custom_field(draft: Draft, entity: str, name: str) -> Record:
    """Return the definition of the first custom field with that name."""
    customs = (row for row in draft.fields[entity] if row["is_custom_field"])
    return next(row for row in customs if row["field_name"] == name)
