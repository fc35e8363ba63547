"""Runs of the HubSpot tap in the test's own process, what they have to write, and a scripted account."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import redirect_stdout
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any

from pipedrive_sandbox.hubspot.definitions import MODIFIED_BY
from pipedrive_sandbox.hubspot.portal import Portal, Record
from pipedrive_sandbox.hubspot.testing import HubspotSandbox
from tap_hubspot.errors import HubspotError
from tap_hubspot.tap import TapHubspot

from .harness import Asked, Say, fake, say

OBJECTS = ("companies", "contacts", "deals")
Json = dict[str, Any]
Tables = dict[str, dict[str, Json]]


@dataclass
class Run:
    """What a run wrote, and the error that ended it."""

    messages: list[Json]
    error: Exception | None = None

    def records(self, stream: str) -> list[Json]:
        return [
            each["record"]
            for each in self.messages
            if (each["type"], each.get("stream")) == ("RECORD", stream)
        ]

    def ids(self, stream: str) -> set[int]:
        return {int(record["id"]) for record in self.records(stream)}

    @property
    def state(self) -> Json:
        state: Json = [each for each in self.messages if each["type"] == "STATE"][-1]["value"]
        return state

    def good(self) -> Run:
        if self.error:
            raise self.error
        return self


def run(
    sandbox: HubspotSandbox | str, state: Json | None = None, catalog: Json | None = None, **settings: Any
) -> Run:
    """Run the tap in this process."""
    url = sandbox if isinstance(sandbox, str) else sandbox.url
    config = {"api_url": url, "access_token": "pat-sandbox-token", **settings}
    out, error = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), None
    with redirect_stdout(out):
        try:
            TapHubspot(config=config, state=deepcopy(state), catalog=deepcopy(catalog)).sync_all()
        except HubspotError as problem:
            error = problem
        out.flush()
        written = out.buffer.getvalue()
    return Run([json.loads(line) for line in written.splitlines()], error)


def catalog_of(sandbox: HubspotSandbox, *selected: str, without: Collection[str] = ()) -> Json:
    """Return an account's catalog with only these properties (such as `deals.amount`), or with all if none is
    given.
    """
    catalog: Json = TapHubspot(config={"api_url": sandbox.url, "access_token": sandbox.token}).catalog_dict
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            match item["breadcrumb"]:
                case [] if entry["tap_stream_id"] in without:
                    item["metadata"]["selected"] = False
                case [_, "properties", _, name] if selected:
                    item["metadata"]["selected"] = f"{entry['tap_stream_id']}.{name}" in selected
    return catalog


def replay(*runs: Run) -> Tables:
    """Return what a target holds after these runs, including `_deleted` of rows that were marked."""
    tables: Tables = {}
    versions: dict[tuple[str, str], int] = {}
    for message in (message for each in runs for message in each.messages):
        table = tables.setdefault(message.get("stream", ""), {})
        if message["type"] == "RECORD":
            id_ = message["record"]["id"]
            table[id_] = dict(message["record"])
            versions[message["stream"], id_] = message["version"]
        elif message["type"] == "ACTIVATE_VERSION":
            for id_, row in table.items():
                if versions[message["stream"], id_] < message["version"]:
                    row["_deleted"] = True
    return tables


def expected(portal: Portal, kind: str, record: Record) -> Json:
    """Return a live record as the tap must write it when all its properties are selected."""
    values = {name: portal.text(kind, record, name) for name in portal.types[kind]}
    row: Json = {
        "id": str(record.id),
        "properties": values,
        "createdAt": values["createdate"],
        "updatedAt": values[MODIFIED_BY[kind]],
        "archived": False,
        "archivedAt": None,
    }
    if kind == "deals":
        row["associations"] = {
            other: [
                {"id": str(id_), "types": types(other, is_first=id_ == record.associated[other][0])}
                for id_ in sorted(record.associated.get(other, []))
            ]
            for other in ("companies", "contacts")
        }
    return row


def types(other: str, *, is_first: bool) -> list[int]:
    return [3] if other == "contacts" else [5, 341] if is_first else [341]


def everything(portal: Portal) -> Tables:
    return {
        kind: {str(each.id): expected(portal, kind, each) for each in portal.listed(kind)} for kind in OBJECTS
    }


CHANGED = {"hs_lastmodifieddate": "2026-11-20T00:00:00Z"}


def account_of(
    deals: int, associations: Callable[[Json], Say], *, changed: Sequence[int] = ()
) -> Callable[[Asked], Say]:
    """Return the answers of an account that has only deals.

    Args:
        deals: The number of deals.
        associations: Returns the answer to a request for associations.
        changed: The deals that a search for changes finds.
    """

    def script(request: Asked) -> Say:
        if "associations" in request.path:
            return associations(json.loads(request.body))
        if "objects/deals" not in request.path or request.params.get("archived") == "true":
            return say({"results": []})
        wanted: Iterable[int] = range(1, deals + 1)
        if request.path.endswith("/batch/read"):
            asked = {int(each["id"]) for each in json.loads(request.body)["inputs"]}
            wanted = asked.intersection(wanted)
        elif request.path.endswith("/search") and "filterGroups" in json.loads(request.body):
            wanted = changed
        return say({"results": [{"id": str(number), "properties": CHANGED} for number in sorted(wanted)]})

    return script


def none_of(inputs: Json) -> Say:
    return say({"results": [{"from": {"id": each["id"]}, "to": []} for each in inputs["inputs"]]})


@cache
def catalog_without_account() -> str:
    with HubspotSandbox(deals=1) as sandbox:
        return json.dumps(catalog_of(sandbox))


def read(script: Callable[[Asked], Say], state: Json | None = None) -> Run:
    with fake(script) as server:
        return run(server.url, state, catalog=json.loads(catalog_without_account()))


def later(sandbox: HubspotSandbox) -> None:
    """Let more time pass than a run looks back."""
    sandbox.portal.clock.advance(3600)
