"""The endpoints under `/sandbox/`: change the account, set faults, read the truth.

They need no token, cost nothing, and are not counted.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from pipedrive_sandbox.account import definitions, lifecycle, merging
from pipedrive_sandbox.account.change import change as change_share
from pipedrive_sandbox.account.clock import parse, stamp
from pipedrive_sandbox.account.store import Account
from pipedrive_sandbox.api.v1 import assigned
from pipedrive_sandbox.records.model import TEXT_IDS, Id, Record
from pipedrive_sandbox.records.refusals import Refusal, not_found
from pipedrive_sandbox.server.faults import Fault, fault
from pipedrive_sandbox.server.oauth import Authority


class Seen(NamedTuple):
    """A request to the API as the sandbox saw it."""

    method: str
    path: str
    query: dict[str, str]
    endpoint: str
    """Method and template, e.g. `GET /api/v2/deals/{id}`; the bare path if there is no template."""
    status: int
    """The status, or 0 if the connection was reset."""
    tokens: int


@dataclass
class State:
    """The state of a running sandbox."""

    account: Account
    latency: float
    authority: Authority
    faults: list[Fault] = field(default_factory=list)
    requests: list[Seen] = field(default_factory=list)


@dataclass(frozen=True)
class Order:
    """One control call: the values of the path's variables, of the query and of the body."""

    state: State
    args: Mapping[str, str]
    query: Mapping[str, str]
    body: Record

    @property
    def account(self) -> Account:
        """Return the account."""
        return self.state.account

    @property
    def touch(self) -> bool:
        """Return whether `update_time` changes; `?touch=false` keeps it."""
        return self.query.get("touch") != "false"

    @property
    def id(self) -> Id:
        """Return the id in the path."""
        entity, text = self.args.get("entity", "deals"), self.args["id"]
        if entity in TEXT_IDS:
            return text
        if not text.isdecimal():
            raise Refusal(400, f"{text!r} is not an id")
        return int(text)

    def need(self, key: str) -> Any:
        """Return a key of the body, or refuse with 400."""
        if key not in self.body:
            raise Refusal(400, f"{key} is missing in the body")
        return self.body[key]


def create(order: Order) -> Any:
    """Create a record from a part of it; what is missing gets defaults."""
    return lifecycle.create(order.account, order.args["entity"], order.body, touch=order.touch)


def update(order: Order) -> Any:
    """Change any keys of a record, custom fields too; what follows from them changes as well."""
    entity = order.args["entity"]
    return lifecycle.update(order.account, entity, order.id, order.body, touch=order.touch)


def delete(order: Order) -> Any:
    """Delete a record the way its entity does."""
    return lifecycle.delete(order.account, order.args["entity"], order.id, touch=order.touch)


def move(order: Order) -> Any:
    """Move a deal to the stage `stage_id`, with a line in its change log."""
    changes = {"stage_id": order.need("stage_id")}
    return lifecycle.update(order.account, "deals", order.id, changes, touch=order.touch)


def archive(order: Order) -> Any:
    """Archive a deal, lead or project."""
    return lifecycle.archive(order.account, order.args["entity"], order.id, yes=True, touch=order.touch)


def unarchive(order: Order) -> Any:
    """Bring an archived deal, lead or project back."""
    return lifecycle.archive(order.account, order.args["entity"], order.id, yes=False, touch=order.touch)


def merge(order: Order) -> Any:
    """Merge a deal, person or organization into the one named by `with`, which stays."""
    entity = order.args["entity"]
    return merging.merge(order.account, entity, order.id, order.need("with"), touch=order.touch)


def add_field(order: Order) -> Any:
    """Add a custom field {field_name, field_type, options: [labels]}."""
    order.need("field_name"), order.need("field_type")
    return definitions.add_field(order.account, order.args["entity"], order.body)


def change_field(order: Order) -> Any:
    """Change a field's `field_name` or `description`."""
    return definitions.change_field(order.account, order.args["entity"], order.args["code"], order.body)


def remove_field(order: Order) -> Any:
    """Delete a custom field and its values."""
    return definitions.remove_field(order.account, order.args["entity"], order.args["code"])


def add_option(order: Order) -> Any:
    """Add the option `label` to a field."""
    return definitions.add_option(
        order.account, order.args["entity"], order.args["code"], order.need("label")
    )


def rename_option(order: Order) -> Any:
    """Change an option's `label`."""
    entity, code, option = (order.args[name] for name in ("entity", "code", "option"))
    return definitions.rename_option(order.account, entity, code, option, order.need("label"))


def remove_option(order: Order) -> Any:
    """Delete an option; records may still refer to it."""
    entity, code, option = (order.args[name] for name in ("entity", "code", "option"))
    return definitions.remove_option(order.account, entity, code, option)


def hide(order: Order) -> Any:
    """Hide rows of `entity` from `token` (default: the first): `ids`, or a `share` of them all."""
    account, entity = order.account, order.need("entity")
    token = order.body.get("token", next(iter(account.viewers)))
    if token not in account.viewers:
        raise not_found("unknown token")
    if "ids" in order.body:
        ids = list(order.body["ids"])
    else:
        known = sorted(row["id"] for row in account.table(entity))
        ids = random.Random(0).sample(known, round(order.need("share") * len(known)))  # noqa: S311
    account.viewers[token].hidden.setdefault(entity, set()).update(ids)
    return {"entity": entity, "ids": sorted(ids)}


def show(order: Order) -> Any:
    """Let every token see everything again."""
    for viewer in order.account.viewers.values():
        viewer.hidden.clear()
    return {}


def uninstall(order: Order) -> Any:
    """Revoke the app's access and refresh tokens."""
    order.state.authority.revoke()
    return {}


def read_clock(order: Order) -> Any:
    """Return the account's time."""
    return {"now": stamp(order.account.clock.now())}


def move_clock(order: Order) -> Any:
    """Move the clock by `advance_seconds`, or `set` it; what is deleted for 30 days is purged."""
    if "set" in order.body:
        try:
            order.account.clock.set(parse(order.body["set"]))
        except (TypeError, ValueError):
            raise Refusal(400, "set is not an ISO moment") from None
    else:
        order.account.clock.advance(float(order.need("advance_seconds")))
    order.account.purge()
    return read_clock(order)


def change(order: Order) -> Any:
    """Change a `share` of everything, by `seed`; `kinds` and `entities` narrow what may happen."""
    share, seed = float(order.body.get("share", 0.01)), int(order.body.get("seed", 0))
    return change_share(order.account, share, seed, order.body.get("kinds"), order.body.get("entities"))


def add_fault(order: Order) -> Any:
    """Set a fault, see `faults.Fault`."""
    made = fault(order.body)
    order.state.faults.append(made)
    return made.shown()


def list_faults(order: Order) -> Any:
    """Return the faults that are set and how often each struck."""
    return [fault.shown() for fault in order.state.faults]


def clear_faults(order: Order) -> Any:
    """Take all faults away."""
    order.state.faults.clear()
    return []


def latency(order: Order) -> Any:
    """Let every answer take `seconds` of real time longer."""
    order.state.latency = float(order.need("seconds"))
    return {"seconds": order.state.latency}


def truth(order: Order) -> Any:
    """Return all rows of an entity that some list would show a user who may see everything."""
    account, entity = order.account, order.args["entity"]
    return DERIVED[entity](account) if entity in DERIVED else account.listable(entity)


def _fields(account: Account, *entities: str) -> list[Record]:
    return [{"entity": entity, **row} for entity in entities for row in account.fields[entity]]


def _options(fields: list[Record]) -> list[Record]:
    return [
        {"entity": field["entity"], "field_code": field["field_code"], **option}
        for field in fields
        for option in field["options"] or ()
    ]


def _changes(account: Account, entity: str, key: str) -> list[Record]:
    return [{key: id_, **row} for id_, rows in account.changes[entity].items() for row in rows]


FIELD_OWNERS = ("deal", "person", "organization", "product", "activity")
DERIVED: dict[str, Callable[[Account], list[Record]]] = {
    "fields": lambda account: _fields(account, *FIELD_OWNERS),
    "field_options": lambda account: _options(_fields(account, *FIELD_OWNERS)),
    "project_fields": lambda account: _fields(account, "project"),
    "project_field_options": lambda account: _options(_fields(account, "project")),
    "deal_changes": lambda account: _changes(account, "deals", "deal_id"),
    "person_changes": lambda account: _changes(account, "persons", "person_id"),
    "organization_changes": lambda account: _changes(account, "organizations", "org_id"),
    "deal_participant_changes": lambda account: _changes(account, "deal_participants", "deal_id"),
    "permission_set_assignments": assigned,
}
"""Functions for truths that are not tables."""


def stats(order: Order) -> Any:
    """Return requests and tokens, in all and by endpoint, and the requests themselves."""
    endpoints: dict[str, Record] = {}
    for seen in order.state.requests:
        line = endpoints.setdefault(seen.endpoint, {"requests": 0, "tokens": 0, "statuses": {}})
        line["requests"] += 1
        line["tokens"] += seen.tokens
        status = str(seen.status)
        line["statuses"][status] = line["statuses"].get(status, 0) + 1
    return {
        "requests": sum(line["requests"] for line in endpoints.values()),
        "tokens": sum(line["tokens"] for line in endpoints.values()),
        "endpoints": endpoints,
        "log": [seen._asdict() for seen in order.state.requests],
    }


def reset_stats(order: Order) -> Any:
    """Forget the requests so far."""
    order.state.requests.clear()
    return {}


def manifest(order: Order) -> Any:
    """Return what was generated and where the injected troubles are."""
    return order.account.manifest


RECORD = "/sandbox/records/{entity}/{id}"
FIELD = "/sandbox/fields/{entity}/{code}"

CONTROLS: dict[str, Callable[[Order], Any]] = {
    "POST /sandbox/records/{entity}": create,
    f"PATCH {RECORD}": update,
    f"DELETE {RECORD}": delete,
    "POST /sandbox/deals/{id}/move": move,
    "POST /sandbox/{entity}/{id}/archive": archive,
    "POST /sandbox/{entity}/{id}/unarchive": unarchive,
    "POST /sandbox/{entity}/{id}/merge": merge,
    "POST /sandbox/fields/{entity}": add_field,
    f"PATCH {FIELD}": change_field,
    f"DELETE {FIELD}": remove_field,
    f"POST {FIELD}/options": add_option,
    f"PATCH {FIELD}/options/{{option}}": rename_option,
    f"DELETE {FIELD}/options/{{option}}": remove_option,
    "POST /sandbox/hide": hide,
    "DELETE /sandbox/hide": show,
    "DELETE /sandbox/oauth": uninstall,
    "GET /sandbox/clock": read_clock,
    "POST /sandbox/clock": move_clock,
    "POST /sandbox/change": change,
    "GET /sandbox/faults": list_faults,
    "POST /sandbox/faults": add_fault,
    "DELETE /sandbox/faults": clear_faults,
    "POST /sandbox/latency": latency,
    "GET /sandbox/truth/{entity}": truth,
    "GET /sandbox/stats": stats,
    "POST /sandbox/stats/reset": reset_stats,
    "GET /sandbox/manifest": manifest,
}

_PATTERNS = [
    (re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)), control)
    for template, control in CONTROLS.items()
]


def run(state: State, method: str, path: str, query: Mapping[str, str], body: bytes) -> Any:
    """Execute a control call, and return its answer. Raises Refusal."""
    try:
        given = json.loads(body, parse_float=Decimal) if body.strip() else {}
    except ValueError:
        raise Refusal(400, "the body is not JSON") from None
    return call(state, method, path, query, given)


def call(state: State, method: str, path: str, query: Mapping[str, str], body: Any) -> Any:
    """Execute a control call whose body is already parsed. Raises Refusal."""
    if not isinstance(body, dict):
        raise Refusal(400, "the body is not a JSON object")
    for pattern, control in _PATTERNS:
        if match := pattern.fullmatch(f"{method} {path}"):
            return control(Order(state, match.groupdict(), query, body))
    raise not_found(f"no such control; known: {'; '.join(CONTROLS)}")
