"""What the endpoints share: authenticated requests, the format of records, and refusals."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multidict import MultiMapping

from pipedrive_sandbox.hubspot.definitions import MODIFIED_BY, Json
from pipedrive_sandbox.hubspot.portal import Portal, Record, as_time

DEFAULT_NAMES = {
    "companies": ("name", "domain"),
    "contacts": ("firstname", "lastname", "email"),
    "deals": ("dealname", "amount", "closedate", "pipeline", "dealstage"),
}
ONE = {"companies": "company", "contacts": "contact", "deals": "deal"}


class Refused(Exception):
    """An error in the format of HubSpot."""

    def __init__(self, status: int, message: str, category: str = "VALIDATION_ERROR", **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "status": "error",
            "message": message,
            "correlationId": "5a1d0b0c-0000-4000-8000-000000000000",
            "category": category,
            **more,
        }


@dataclass(frozen=True)
class Call:
    """An authenticated request."""

    portal: Portal
    path: tuple[str, ...]
    """The values of the path's variables."""
    query: MultiMapping[str]
    body: Any = None
    search_lag: float = 0.0
    """Seconds after which a search finds a change."""

    def number(self, name: str, default: int, highest: int) -> int:
        """Read a number, such as a page size, from the query."""
        text = self.query.get(name, str(default))
        if not text.isdecimal() or not 0 <= int(text) <= highest:
            raise Refused(400, f"Invalid value for {name}: {text} is not between 0 and {highest}")
        return int(text)

    def flag(self, name: str) -> bool:
        """Read a boolean from the query."""
        return self.query.get(name, "").lower() == "true"

    def names(self, name: str) -> list[str]:
        """Read a list from the query in either of its forms: repeated, or with commas."""
        return [each for text in self.query.getall(name, []) for each in text.split(",") if each]

    def object_given(self) -> Json:
        """Return the body, which has to be a JSON object."""
        if not isinstance(self.body, dict):
            raise Refused(400, "Invalid input JSON")
        return self.body

    def inputs(self, most: int) -> list[str]:
        """Return the ids of a batch, which has at most `most`."""
        inputs = self.object_given().get("inputs")
        if not isinstance(inputs, list) or not 0 < len(inputs) <= most:
            raise Refused(400, f"inputs must be between 1 and {most}")
        return [str(each.get("id")) for each in inputs]

    def found(self) -> tuple[str, Record]:
        """Return the object and the record in the path; a merged record is replaced by the remaining one."""
        kind, text = self.path[0], self.path[-1]
        record = self.portal.find(kind, int(text)) if text.isdecimal() else None
        if record is None or not record.is_listed:
            raise Refused(404, f"resource not found: {text}", "OBJECT_NOT_FOUND")
        return kind, record


def shown(
    portal: Portal, kind: str, record: Record, names: Sequence[str], others: Collection[str] = ()
) -> Json:
    """Return a record as CRM v3 writes it: the requested properties, and three that it always has."""
    modified = MODIFIED_BY[kind]
    wanted = dict.fromkeys([*(names or DEFAULT_NAMES[kind]), "createdate", modified, "hs_object_id"])
    answer: Json = {
        "id": str(record.id),
        "properties": {n: portal.text(kind, record, n) for n in wanted if n in portal.types[kind]},
        "createdAt": as_time(record.values["createdate"]),
        "updatedAt": as_time(record.values[modified]),
        "archived": record.archived_at is not None,
    }
    if record.archived_at is not None:
        answer["archivedAt"] = as_time(record.archived_at)
    if found := {other: record.associated[other] for other in others if record.associated.get(other)}:
        answer["associations"] = {
            other: {"results": [{"id": str(id_), "type": f"{ONE[kind]}_to_{ONE[other]}"} for id_ in ids]}
            for other, ids in found.items()
        }
    return answer


def batch(results: Sequence[Json], errors: Sequence[Mapping[str, Any]] = ()) -> Json:
    """Return the answer of a batch."""
    times = dict.fromkeys(("startedAt", "completedAt"), "2026-01-01T00:00:00.000Z")
    answer: Json = {"status": "COMPLETE", "results": results, **times}
    return {**answer, "numErrors": len(errors), "errors": errors} if errors else answer
