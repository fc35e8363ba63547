"""Faults on request: the requests that they apply to, and their answers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from pipedrive_sandbox.records.model import Record
from pipedrive_sandbox.records.refusals import Refusal

KINDS = {
    "status": "an error status: `status`, default 500",
    "reset": "the connection is reset before the answer",
    "truncate": "the answer breaks off in the middle of its announced length",
    "html": "200 with an HTML page",
    "null": "200 with a literal null",
    "empty": "200 with no body",
    "slow": "the answer takes `seconds`, default 1, longer",
    "daily429": "the day's budget is said to be spent",
    "burst429": "the burst window is said to be full",
    "omit": "the first `rows` rows, default 1, of the real answer are left out: a lie",
    "patch": "the real answer is changed by the JSON merge patch `json`: a lie",
    "change": "the control call `call` {method, path, json} runs just before the answer",
}


@dataclass
class Fault:
    """A fault and the requests that it applies to.

    Only requests whose path and query match `path` are counted, from 1 since the fault was set. It applies to
    the numbers in `at`, or to each `every`-th, or else to all; at most `times` times.
    """

    kind: str
    path: re.Pattern[str] = field(default_factory=lambda: re.compile(""))
    at: frozenset[int] = frozenset()
    every: int = 0
    times: int | None = None
    status: int = 500
    seconds: float = 1.0
    call: Record | None = None
    rows: int = 1
    json: Record | None = None
    seen: int = field(default=0, init=False)
    hits: int = field(default=0, init=False)

    def strikes(self, target: str) -> bool:
        """Count a request, and return whether the fault applies to it."""
        if not self.path.search(target) or (self.times is not None and self.hits >= self.times):
            return False
        self.seen += 1
        if self.at and self.seen not in self.at:
            return False
        if self.every and self.seen % self.every:
            return False
        self.hits += 1
        return True

    def told(self, body: Any) -> Any:
        """Return the changed body, if this fault is a lie."""
        if self.kind == "omit" and isinstance(body.get("data"), list):
            return body | {"data": body["data"][self.rows :]}
        return merged(body, self.json or {}) if self.kind == "patch" else body

    def shown(self) -> Record:
        """Return the fault in types that JSON has."""
        return {
            "kind": self.kind,
            "path": self.path.pattern,
            "at": sorted(self.at),
            "every": self.every,
            "times": self.times,
            "seen": self.seen,
            "hits": self.hits,
        }


LIES = {"omit", "patch"}
"""Kinds whose answer looks valid but has false content."""


def merged(body: Any, patch: Any) -> Any:
    """Return a body after a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    found = dict(body) if isinstance(body, dict) else {}
    for key, value in patch.items():
        found.pop(key, None) if value is None else found.update({key: merged(found.get(key), value)})
    return found


def fault(given: Record) -> Fault:
    """Read a fault from its JSON form. Raises Refusal (400)."""
    values: dict[str, Any] = dict(given)
    if values.get("kind") not in KINDS:
        raise Refusal(400, f"kind must be one of {', '.join(KINDS)}")
    try:
        values["path"] = re.compile(values.get("path", ""))
        values["at"] = frozenset(values.get("at", ()))
        values["seconds"] = float(values.get("seconds", 1))
        return Fault(**values)
    except (TypeError, ValueError, re.error) as error:
        raise Refusal(400, f"not a fault: {error}") from None
