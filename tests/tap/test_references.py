"""Reference lists are read when they are old enough, or when a row refers to an entry that they lack."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive.references import MOST_KNOWN

from .harness import Asked, Record, Run, Say, account, discover, fake, replay, run, say, select

BY_AGE = {
    "users": "/api/v1/users",
    "activity_types": "/api/v1/activityTypes",
    "currencies": "/api/v1/currencies",
    "lead_labels": "/api/v1/leadLabels",
    "leads": "/api/v1/leads/archived",
}
"""The API list of each stream that is read by age."""

DAY: dict[str, Any] = {"reference_max_age": 24, "source_checks": "none"}


def asked(sandbox: Sandbox) -> set[str]:
    """Return the streams whose lists were requested since the last call."""
    found = {
        stream for stream, path in BY_AGE.items() if sandbox.requests(f"{path}?") or _whole(sandbox, path)
    }
    sandbox.post("/sandbox/stats/reset")
    return found


def _whole(sandbox: Sandbox, path: str) -> bool:
    return any(seen["path"] == path for seen in sandbox.requests(path))


def later(sandbox: Sandbox, hours: float) -> None:
    sandbox.post("/sandbox/clock", {"advance_seconds": int(3600 * hours)})


def statements(done: Run) -> dict[str, Record]:
    return {row["stream"]: row for row in done.records("run_statements")}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_a_run_without_changes_costs_only_the_lists_that_can_change(living: Sandbox) -> None:
    """That is 110 tokens for lists of changes, 10 for pipelines and stages, 50 for definitions, 2 for the
    owner.
    """
    first = run(living.url, **DAY).good()
    assert asked(living) == set(BY_AGE)
    done = run(living.url, state=first.state, **DAY).good()
    assert done.tap.run.client.limits.tokens_spent == 172  # type: ignore[union-attr]
    assert asked(living) == set()


def test_the_statement_of_a_list_that_was_not_read_has_the_time_of_its_last_reading(living: Sandbox) -> None:
    first = run(living.url, **DAY).good()
    later(living, 5)
    second = run(living.url, state=first.state, **DAY).good()
    before, found = statements(first), statements(second)
    for stream in BY_AGE:
        row = found[stream]
        assert row["read_up_to"] == before[stream]["read_up_to"]
        assert moment(row["due_at"]) == moment(row["read_up_to"]) + timedelta(days=1)
        assert row["method"] == ("changes" if stream == "leads" else "kept")
        assert (row["rows_sent"], row["undone_reason"], row["is_missing"]) == (0, None, False)
        assert row["last_complete_pass"] == before[stream]["last_complete_pass"]
        assert row["last_row_at"] == (None if stream == "leads" else before[stream]["last_row_at"])
    for stream in found.keys() - BY_AGE.keys():
        assert found[stream]["due_at"] is None
        assert found[stream]["read_up_to"] > before[stream]["read_up_to"]


def test_lists_are_read_when_they_are_too_old(living: Sandbox) -> None:
    done = [run(living.url, **DAY).good()]
    asked(living)
    for hours, is_read in ((23, False), (1.1, True), (23.5, False), (0.6, True)):
        later(living, hours)
        done.append(run(living.url, state=done[-1].state, **DAY).good())
        assert asked(living) == (set(BY_AGE) if is_read else set()), hours


def test_a_change_of_a_list_is_read_no_later_than_its_maximum_age(living: Sandbox) -> None:
    first = run(living.url, **DAY).good()
    user = living.truth("users")[0]["id"]
    lead = next(row["id"] for row in living.truth("leads") if not row["is_archived"])
    living.patch(f"/sandbox/records/users/{user}", {"name": "Nome novo"})
    living.post(f"/sandbox/leads/{lead}/archive", {})
    later(living, 1)
    second = run(living.url, state=first.state, **DAY).good()
    assert second.records("users") == []
    later(living, 24)
    third = run(living.url, state=second.state, **DAY).good()
    tables = replay([*first.messages, *second.messages, *third.messages])
    assert tables["users"][user,]["name"] == "Nome novo"
    assert tables["leads"][lead,]["is_archived"] is True
    truth = {row["id"]: row["is_archived"] for row in living.truth("leads")}
    assert {key: row["is_archived"] for (key,), row in tables["leads"].items()} == truth


def test_age_zero_reads_lists_in_each_run_and_a_reconciling_run_reads_all(living: Sandbox) -> None:
    first = run(living.url, **DAY).good()
    asked(living)
    run(living.url, state=first.state, **{**DAY, "reference_max_age": 0}).good()
    assert asked(living) == set(BY_AGE)
    whole = run(living.url, state=first.state, reconcile=True, **DAY).good()
    assert asked(living) == set(BY_AGE)
    assert {message["stream"] for message in whole.of("ACTIVATE_VERSION")} >= set(BY_AGE)
    run(living.url, state=whole.state, **DAY).good()
    assert asked(living) == set(), "the lists that the reconciling run read are recent as well"


# Rows that refer to entries that a list lacks


class Company:
    """An account by list path, whose rows refer to each other."""

    def __init__(self) -> None:
        self.lists: dict[str, list[Record]] = {
            BY_AGE["users"]: [{"id": 1, "default_currency": "EUR"}],
            BY_AGE["activity_types"]: [{"id": 1, "key_string": "call"}],
            BY_AGE["currencies"]: [{"id": 1, "code": "EUR"}, {"id": 2, "code": "USD"}],
            BY_AGE["lead_labels"]: [{"id": "l1", "name": "Hot"}],
            BY_AGE["leads"]: [{"id": "old", "is_archived": True, "update_time": "2026-10-01T00:00:00Z"}],
            "/api/v1/leads": [
                {"id": "live", "owner_id": 1, "label_ids": ["l1"], "update_time": "2026-10-01T00:00:00Z"}
            ],
            "/api/v2/deals": [
                {"id": 1, "owner_id": 1, "currency": "EUR", "update_time": "2026-10-02T00:00:00Z"}
            ],
            "/api/v2/activities": [
                {
                    "id": 1,
                    "type": "call",
                    "lead_id": None,
                    "owner_id": 1,
                    "update_time": "2026-10-02T00:00:00Z",
                }
            ],
            "/api/v2/products": [
                {"id": 1, "prices": [{"currency": "USD"}], "update_time": "2026-10-02T00:00:00Z"}
            ],
        }
        self.date = "Sun, 22 Nov 2026 01:00:00 GMT"
        self.asked: list[str] = []

    def answer(self, request: Asked) -> Say | str | None:
        rows = self.lists.get(request.path, [])
        if since := request.params.get("updated_since"):
            rows = [row for row in rows if row["update_time"] >= since]
        self.asked.append(request.path)
        body: dict[str, Any] = {"success": True, "data": rows, "additional_data": None}
        answer = say(body, x_ratelimit_limit="480")
        return Say(body=answer.body, headers=answer.headers, date=self.date)

    def change(self, path: str, **values: Any) -> None:
        """Change the first row of a list, which updates its time."""
        rows = self.lists[path]
        rows[0] = {**rows[0], **values, "update_time": "2026-11-22T00:59:00Z"}

    def read_since(self, url: str, state: Record | None = None, **settings: Any) -> tuple[Run, set[str]]:
        """Run the tap, and return the run and the lists by age that it requested."""
        self.asked.clear()
        done = run(url, state=state, **{**DAY, **settings}).good()
        return done, {stream for stream, path in BY_AGE.items() if path in self.asked}


NAMING: dict[str, tuple[str, Record, str, Record]] = {
    "the owner of a deal": ("/api/v2/deals", {"owner_id": 2}, "users", {"id": 2}),
    "a custom field": ("/api/v2/deals", {"custom_fields": {"a" * 40: 2}}, "users", {"id": 2}),
    "the type of an activity": (
        "/api/v2/activities",
        {"type": "visit"},
        "activity_types",
        {"id": 2, "key_string": "visit"},
    ),
    "the currency of a deal": ("/api/v2/deals", {"currency": "BRL"}, "currencies", {"id": 3, "code": "BRL"}),
    "a price": (
        "/api/v2/products",
        {"prices": [{"currency": "BRL"}]},
        "currencies",
        {"id": 3, "code": "BRL"},
    ),
    "an amount": (
        "/api/v2/deals",
        {"custom_fields": {"b" * 40: {"value": 1, "currency": "BRL"}}},
        "currencies",
        {"id": 3, "code": "BRL"},
    ),
    "the label of a lead": ("/api/v1/leads", {"label_ids": ["l1", "l2"]}, "lead_labels", {"id": "l2"}),
    "the lead of an activity": (
        "/api/v2/activities",
        {"lead_id": "new"},
        "leads",
        {"id": "new", "is_archived": True, "update_time": "2026-11-22T00:59:30Z"},
    ),
}
FIELDS = [
    {"field_code": "a" * 40, "field_name": "Helper", "field_type": "user", "is_custom_field": True},
    {"field_code": "b" * 40, "field_name": "Bonus", "field_type": "monetary", "is_custom_field": True},
]


@pytest.mark.parametrize("case", NAMING)
def test_a_row_that_refers_to_a_missing_entry_has_the_list_read_in_the_same_run(case: str) -> None:
    path, values, stream, row = NAMING[case]
    world = Company()
    world.lists["/api/v2/dealFields"] = FIELDS
    with fake(account({}, spoil=world.answer)) as server:
        first, _ = world.read_since(server.url)
        second, read = world.read_since(server.url, first.state)
        assert read == set()
        world.change(path, **values)
        world.lists[BY_AGE[stream]].append(row)
        third, read = world.read_since(server.url, second.state)
        assert read == {stream}
        assert row["id"] in {record["id"] for record in third.records(stream)}
        said = statements(third)[stream]
        assert said["rows_sent"] == len(third.records(stream))
        assert said["read_up_to"] is not None
        _, read = world.read_since(server.url, third.state)
        assert read == set(), "the list is recent again"


@pytest.mark.parametrize("case", NAMING)
def test_an_entry_that_no_list_has_is_looked_up_once(case: str) -> None:
    """The entry is a removed user or a deleted type; otherwise each run that reads the row would ask again."""
    path, values, stream, _ = NAMING[case]
    world = Company()
    world.lists["/api/v2/dealFields"] = FIELDS
    with fake(account({}, spoil=world.answer)) as server:
        first, _ = world.read_since(server.url)
        world.change(path, **values)
        second, read = world.read_since(server.url, first.state)
        assert read == {stream}
        world.change(path, **values)
        third, read = world.read_since(server.url, second.state)
        assert read == set()
        world.date = "Mon, 23 Nov 2026 01:00:00 GMT"
        _, read = world.read_since(server.url, third.state)
        assert read == set(BY_AGE)


def test_a_lead_that_was_known_when_the_list_was_read_causes_no_reading() -> None:
    """Each run reads the newest activities again, because it looks back one minute."""
    world = Company()
    world.change("/api/v2/activities", lead_id="old")
    with fake(account({}, spoil=world.answer)) as server:
        first, _ = world.read_since(server.url)
        second, read = world.read_since(server.url, first.state)
        assert second.records("activities")
        assert read == set()


def test_an_entry_added_between_the_reading_of_its_list_and_of_its_row_is_found(living: Sandbox) -> None:
    """This includes a first load, which reads users before deals."""
    world = Company()

    def spoil(request: Asked) -> Say | str | None:
        if request.path == "/api/v2/deals" and len(world.lists[BY_AGE["users"]]) == 1:
            world.lists[BY_AGE["users"]].append({"id": 7})
            world.change("/api/v2/deals", owner_id=7)
        return world.answer(request)

    with fake(account({}, spoil=spoil)) as server:
        done = run(server.url, concurrency=1, **DAY).good()
    assert [row["id"] for row in done.records("users")] == [1, 1, 7]
    assert world.asked.count(BY_AGE["users"]) == 2


def test_a_run_that_dies_before_reading_a_missing_entry_leaves_it_to_the_next() -> None:
    world = Company()
    with fake(account({}, spoil=world.answer)) as server:
        first, _ = world.read_since(server.url)
        world.change("/api/v2/deals", owner_id=2)
        world.lists[BY_AGE["users"]].append({"id": 2})
        second, _ = world.read_since(server.url, first.state)
        named = next(
            number
            for number, message in enumerate(second.messages)
            if message["type"] == "RECORD" and message["stream"] == "deals"
        )
        states = [message["value"] for message in second.messages[named:] if message["type"] == "STATE"]
        third, read = world.read_since(server.url, states[0])
        assert read == {"users"}
        assert [row["id"] for row in third.records("users")] == [1, 2]


def test_missing_entries_are_reported_if_the_tokens_end_before_they_are_read() -> None:
    world = Company()
    with fake(account({}, spoil=world.answer)) as server:
        first, _ = world.read_since(server.url)
        world.change("/api/v2/deals", owner_id=2)
        world.lists[BY_AGE["users"]].append({"id": 2})
        spent = 122 + 50
        second, read = world.read_since(server.url, first.state, token_budget=spent)
        assert read == set()
        said = statements(second)["users"]
        assert (said["undone_reason"], said["read_up_to"]) == ("budget", None)
        third, read = world.read_since(server.url, second.state)
        assert read == {"users"}
        assert statements(third)["users"]["undone_reason"] is None


# The state


def test_a_changed_selection_of_columns_has_a_list_read() -> None:
    world = Company()
    with fake(account({}, spoil=world.answer)) as server:
        catalog = discover(server.url)
        everything = [entry["tap_stream_id"] for entry in catalog["streams"]]
        without = select(catalog, *everything, without=["users.default_currency"])
        first = run(server.url, catalog=without, **DAY).good()
        world.asked.clear()
        second = run(server.url, state=first.state, catalog=select(catalog, *everything), **DAY).good()
    assert [row["default_currency"] for row in second.records("users")] == ["EUR"]
    assert BY_AGE["currencies"] not in world.asked


@pytest.mark.parametrize(
    "broken",
    [
        {"read_at": 5},
        {"read_at": "tomorrow"},
        {"read_at": "2027-01-01T00:00:00Z"},
        {"known": "x"},
        {"known": [{}, []]},
        {"lacking": 1},
        {"shape": None},
    ],
    ids=str,
)
def test_a_malformed_memory_of_lists_only_causes_another_reading(broken: Record) -> None:
    world = Company()
    with fake(account({}, spoil=world.answer)) as server:
        first, _ = world.read_since(server.url)
        first.state["bookmarks"]["users"].update(broken)
        second, _ = world.read_since(server.url, first.state)
        world.change("/api/v2/deals", owner_id=2)
        world.lists[BY_AGE["users"]].append({"id": 2})
        third, _ = world.read_since(server.url, second.state)
    rows = [*second.records("users"), *third.records("users")]
    assert {1, 2} == {row["id"] for row in rows}


def test_lists_are_read_if_pipedrives_clock_is_unknown() -> None:
    world = Company()

    def without_date(request: Asked) -> Say | str | None:
        answer = world.answer(request)
        return Say(body=answer.body, headers=answer.headers, date=None) if isinstance(answer, Say) else answer

    with fake(account({}, spoil=world.answer)) as server:
        first, _ = world.read_since(server.url)
    with fake(account({}, spoil=without_date)) as server:
        _, read = world.read_since(server.url, first.state)
    assert read == set(BY_AGE)


def test_the_state_stays_small() -> None:
    world = Company()
    world.lists[BY_AGE["users"]] = [{"id": number} for number in range(1, MOST_KNOWN + 500)]
    with fake(account({}, spoil=world.answer)) as server:
        first, _ = world.read_since(server.url)
        assert len(first.state["bookmarks"]["users"]["known"]) == MOST_KNOWN
        world.change("/api/v2/deals", owner_id=2)
        second, read = world.read_since(server.url, first.state)
        assert read == {"users"}, "which is not among those that the state keeps"
        assert len(second.state["bookmarks"]["users"]["known"]) == MOST_KNOWN
