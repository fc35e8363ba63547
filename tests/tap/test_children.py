# Over 400 lines: every kind of child rows of deals is tested with the same faults and helpers.
"""Child streams of deals: complete, with few requests, and without loss when a run ends early."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive import listings
from tap_pipedrive.children import MANY_REFUSALS, WITNESSES, ChildListing
from tap_pipedrive.streams.deals import DealProducts

from .harness import (
    Asked,
    Record,
    Run,
    Say,
    account,
    discover,
    encode_exactly,
    fake,
    replay,
    run,
    say,
    select,
)

PRODUCTS = "/api/v2/deals/products"


@pytest.fixture(scope="module")
def catalog(shared: Sandbox) -> Record:
    return select(discover(shared.url), "deals", "deal_products")


@pytest.fixture
def living() -> Iterator[Sandbox]:
    """An account that belongs to one test only and has no rate limit."""
    with Sandbox(deals=60, burst=1000) as sandbox:
        yield sandbox


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use many pages of deals and many calls for their line items, most of them with several pages."""
    monkeypatch.setattr(listings, "PAGE", 7)
    (listing,) = DealProducts.listings
    assert isinstance(listing, ChildListing)
    monkeypatch.setattr(DealProducts, "listings", (replace(listing, batch=4),))


def only(catalog: Record, *streams: str) -> Record:
    return select(catalog, *streams)


def items(done: Run) -> dict[int, Record]:
    """Return line items by id, where the last one wins."""
    return {row["id"]: row for row in done.records("deal_products")}


def asked(sandbox: Sandbox) -> list[set[int]]:
    """Return the deal ids of each call."""
    return [{int(id_) for id_ in seen["query"]["deal_ids"].split(",")} for seen in sandbox.requests(PRODUCTS)]


def with_items(sandbox: Sandbox) -> set[int]:
    return {row["deal_id"] for row in sandbox.truth("deal_products")}


def same(ours: Any, theirs: Any) -> bool:
    """Return whether the tap's value equals Pipedrive's; times may be formatted differently, and empty text
    is null.
    """
    if theirs == "":
        return ours is None
    if isinstance(theirs, str) and theirs[10:11] == "T":
        return datetime.fromisoformat(ours) == datetime.fromisoformat(theirs)
    if isinstance(theirs, int | Decimal) and not isinstance(theirs, bool):
        return not isinstance(ours, bool | str) and Decimal(ours) == Decimal(theirs)
    return bool(ours == theirs) and type(ours) is type(theirs)


def assert_items_are_the_truth(sandbox: Sandbox, found: dict[int, Record]) -> None:
    truth = {row["id"]: row for row in sandbox.truth("deal_products")}
    assert found.keys() == truth.keys()
    for id_, row in truth.items():
        assert found[id_].keys() == row.keys()
        for column, value in row.items():
            assert same(found[id_][column], value), (id_, column)


def add_item(sandbox: Sandbox, deal: int) -> int:
    made = sandbox.post("/sandbox/records/deal_products", {"deal_id": deal, "name": "new"})
    id_: int = made["id"]
    return id_


def visible_deals(sandbox: Sandbox) -> list[Record]:
    return [row for row in sandbox.truth("deals") if not row["is_deleted"]]


# What is read, and what it costs


def test_line_items_equal_the_account_in_every_column(shared: Sandbox, catalog: Record) -> None:
    done = run(shared.url, catalog=catalog).good()
    assert len(done.records("deal_products")) == len(items(done)) > 40
    assert_items_are_the_truth(shared, items(done))


def test_a_call_asks_for_100_deals_that_have_items(catalog: Record) -> None:
    with Sandbox(deals=300) as sandbox:
        done = run(sandbox.url, catalog=catalog).good()
        calls, wanted, stats = asked(sandbox), with_items(sandbox), sandbox.stats()
        assert_items_are_the_truth(sandbox, items(done))
    assert len(wanted) > 100
    sizes = sorted(len(call) for call in calls)
    assert sizes[1:] == [100] * (len(calls) - 1)
    assert sum(sizes) == len(wanted)
    assert set().union(*calls) == wanted
    spent = sum(line["tokens"] for name, line in stats["endpoints"].items() if PRODUCTS in name)
    assert spent == 10 * math.ceil(len(wanted) / 100)


def test_only_changed_deals_are_asked_for_items_again(living: Sandbox, catalog: Record) -> None:
    first = run(living.url, catalog=catalog).good()
    living.post("/sandbox/clock", {"advance_seconds": 600})
    filled = sorted(with_items(living))[:2]
    bare = next(row["id"] for row in visible_deals(living) if row["products_count"] == 0)
    grown = next(
        row["id"] for row in visible_deals(living) if row["products_count"] == 0 and row["id"] != bare
    )
    for deal in (*filled, bare):
        living.patch(f"/sandbox/records/deals/{deal}", {"title": "Changed"})
    add_item(living, grown)
    living.post("/sandbox/stats/reset")
    second = run(living.url, catalog=catalog, state=first.state).good()
    assert asked(living) == [{*filled, grown}]
    assert_items_are_the_truth(living, items(first) | items(second))


def test_no_call_is_made_if_nothing_changed(living: Sandbox, catalog: Record) -> None:
    state = run(living.url, catalog=catalog).good().state
    for _ in range(2):
        living.post("/sandbox/clock", {"advance_seconds": 600})
        living.post("/sandbox/stats/reset")
        done = run(living.url, catalog=catalog, state=state).good()
        assert asked(living) == []
        assert done.records("deal_products") == []
        state = done.state


def test_deals_are_not_read_twice_for_their_children(living: Sandbox, catalog: Record) -> None:
    """This holds in the first run, in the second, and in one after deals changed."""
    state = None
    for number in range(4):
        living.post("/sandbox/stats/reset")
        state = run(living.url, catalog=catalog, state=state).good().state
        for path in ("/api/v2/deals", "/api/v2/deals/archived"):
            assert [seen["path"] for seen in living.requests()].count(path) == 1, (number, path)
        living.post("/sandbox/clock", {"advance_seconds": 600})
        living.post("/sandbox/change", {"share": 0.1, "seed": number, "entities": ["deals"]})


def test_a_reconciling_run_reads_deals_once_and_the_changes_meanwhile(
    living: Sandbox, catalog: Record
) -> None:
    state = run(living.url, catalog=catalog).good().state
    living.post("/sandbox/stats/reset")
    run(living.url, catalog=catalog, state=state, reconcile=True).good()
    asked = [seen["query"] for seen in living.requests() if seen["path"] == "/api/v2/deals"]
    assert sum("updated_since" not in query for query in asked) == 1


def test_several_child_streams_share_one_reading_of_their_parents(shared: Sandbox) -> None:
    chosen = select(discover(shared.url), "deal_products", "deal_changes", "deal_followers")
    before = len([1 for seen in shared.requests() if seen["path"] == "/api/v2/deals"])
    run(shared.url, catalog=chosen).good()
    assert len([1 for seen in shared.requests() if seen["path"] == "/api/v2/deals"]) == before + 1


@pytest.mark.usefixtures("small_pages")
def test_every_page_of_a_call_is_read(living: Sandbox, catalog: Record) -> None:
    deal = min(with_items(living))
    for _ in range(20):
        add_item(living, deal)
    done = run(living.url, catalog=catalog).good()
    assert sum("cursor" in seen["query"] for seen in living.requests(PRODUCTS)) >= 2
    assert_items_are_the_truth(living, items(done))


# Unusual parents


def one_list(
    deals: Iterable[Record], line_items: Callable[[Asked], Say | str] | None = None
) -> Callable[[Asked], Say | str]:
    """Serve an account of these deals, each of which has one line item with its own id."""

    def every(request: Asked) -> Say | str | None:
        if request.path != PRODUCTS:
            return None
        if line_items:
            return line_items(request)
        ids = [int(id_) for id_ in request.params["deal_ids"].split(",")]
        return say({"success": True, "data": [{"id": id_, "deal_id": id_} for id_ in ids]})

    return account({"/api/v2/deals": list(deals)}, spoil=every)


@pytest.mark.parametrize(
    "count", [{}, {"products_count": None}, {"products_count": "many"}, {"products_count": 10**30}]
)
def test_a_deal_without_a_products_count_is_asked_for_items(catalog: Record, count: Record) -> None:
    deals = [{"id": id_, **count} for id_ in range(1, 150)] + [{"id": 200, "products_count": 0}]
    with fake(one_list(deals)) as server:
        done = run(server.url, catalog=catalog, max_rejects=1).good()
    assert items(done).keys() == set(range(1, 150))


@pytest.mark.parametrize("id_", [None, "x", 10**30, -(10**30), 1.5, True, [], {}])
def test_a_deal_without_a_usable_id_costs_no_items_of_other_deals(catalog: Record, id_: Any) -> None:
    deals = [{"id": 1, "products_count": 1}, {"id": id_, "products_count": 1}, {"id": 2, "products_count": 1}]
    with fake(one_list(deals)) as server:
        done = run(server.url, catalog=catalog).good()
    assert items(done).keys() >= {1, 2}


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "soon", 5, None])
def test_a_deal_with_a_malformed_update_time_has_its_items_read(catalog: Record, time: Any) -> None:
    deals = [
        {"id": 1, "products_count": 1, "update_time": time},
        {"id": 2, "products_count": 1, "update_time": "2026-11-01T00:00:00Z"},
    ]
    with fake(one_list(deals)) as server:
        first = run(server.url, catalog=catalog).good()
        second = run(server.url, catalog=catalog, state=first.state).good()
    assert items(first).keys() == {1, 2}
    state = first.state["bookmarks"]["deal_products"]
    assert state["replication_key_value"] <= "2026-11-22T01:00:00Z"
    assert "2" not in {row["id"] for row in second.records("deal_products")}


def test_a_server_without_date_headers_loses_no_items(catalog: Record) -> None:
    deals = [{"id": id_, "products_count": 1, "update_time": "2026-11-01T00:00:00Z"} for id_ in range(1, 9)]
    script = one_list(deals)

    def no_date(request: Asked) -> Say | str:
        answer = script(request)
        assert isinstance(answer, Say)
        return replace(answer, date=None)

    with fake(no_date) as server:
        first = run(server.url, catalog=catalog).good()
        run(server.url, catalog=catalog, state=first.state).good()
    assert items(first).keys() == set(range(1, 9))


def test_deals_without_update_time_have_their_items_read(living: Sandbox, catalog: Record) -> None:
    blank = {row["id"] for row in living.truth("deals") if row["update_time"] is None}
    assert blank & with_items(living)
    done = run(living.url, catalog=catalog).good()
    assert blank & with_items(living) <= {row["deal_id"] for row in items(done).values()}


def test_archived_deals_have_their_items_read(living: Sandbox, catalog: Record) -> None:
    archived = {row["id"] for row in living.truth("deals") if row["is_archived"]}
    assert archived & with_items(living)
    done = run(living.url, catalog=catalog).good()
    assert archived & with_items(living) <= {row["deal_id"] for row in items(done).values()}


def test_a_line_item_of_a_purged_product_is_read(living: Sandbox, catalog: Record) -> None:
    id_ = next(row["id"] for row in living.truth("deal_products") if row["product_id"])
    blank = {"product_id": None, "name": None, "product_variation_id": None}
    living.patch(f"/sandbox/records/deal_products/{id_}", blank)
    done = run(living.url, catalog=catalog).good()
    assert {column: items(done)[id_][column] for column in blank} == blank


# An account that changes during the run


def test_a_deal_that_disappears_before_its_request_costs_no_other_rows(
    living: Sandbox, catalog: Record
) -> None:
    gone = min(with_items(living))
    call = {"path": "/sandbox/hide", "json": {"entity": "deals", "ids": [gone]}}
    living.post("/sandbox/faults", {"kind": "change", "path": PRODUCTS, "at": [1], "call": call})
    done = run(living.url, catalog=catalog).good()
    assert gone in asked(living)[0]
    assert {row["deal_id"] for row in items(done).values()} == with_items(living) - {gone}


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("page", [1, 5])
@pytest.mark.parametrize("path", [r"/deals\?", "/deals/archived", PRODUCTS])
def test_an_item_added_during_a_run_is_read_in_this_run_or_the_next(
    living: Sandbox, catalog: Record, path: str, page: int
) -> None:
    """Items are added to a deal that was read, to one that is still to come, and to one that had none."""
    deals = sorted(row["id"] for row in visible_deals(living))
    victims = [deals[0], deals[-1], next(id_ for id_ in deals if id_ not in with_items(living))]
    for number, deal in enumerate(victims):
        call = {"path": "/sandbox/records/deal_products", "json": {"deal_id": deal, "name": "new"}}
        living.post(
            "/sandbox/faults", {"kind": "change", "path": path, "at": [min(page + number, 9)], "call": call}
        )
    first = run(living.url, catalog=catalog).good()
    living.delete("/sandbox/faults")
    second = run(living.url, catalog=catalog, state=first.state).good()
    assert_items_are_the_truth(living, items(first) | items(second))


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("touch", ["", "?touch=false"])
def test_a_deal_archived_between_the_two_lists_has_its_items_read(
    living: Sandbox, catalog: Record, touch: str
) -> None:
    deals = [
        row["id"]
        for row in visible_deals(living)
        if not row["is_archived"] and row["id"] in with_items(living)
    ]
    for path, deal in ((r"/deals\?.*cursor", deals[0]), (r"/deals\?.*cursor", deals[-1])):
        call = {"path": f"/sandbox/deals/{deal}/archive{touch}"}
        living.post("/sandbox/faults", {"kind": "change", "path": path, "at": [1], "call": call})
    done = run(living.url, catalog=catalog, concurrency=1).good()
    assert_items_are_the_truth(living, items(done))


def test_items_of_a_deal_archived_between_two_runs_are_read(living: Sandbox, catalog: Record) -> None:
    first = run(living.url, catalog=catalog).good()
    living.post("/sandbox/clock", {"advance_seconds": 600})
    live = [row["id"] for row in visible_deals(living) if not row["is_archived"]]
    old = [row["id"] for row in visible_deals(living) if row["is_archived"]]
    add_item(living, live[0])
    living.post(f"/sandbox/deals/{live[0]}/archive")
    living.post(f"/sandbox/deals/{old[0]}/unarchive")
    add_item(living, old[0])
    second = run(living.url, catalog=catalog, state=first.state).good()
    assert_items_are_the_truth(living, items(first) | items(second))


# Interrupted runs and changed selections


def test_a_child_that_is_selected_later_is_loaded_whole(living: Sandbox, catalog: Record) -> None:
    state = run(living.url, catalog=only(catalog, "deals")).good().state
    living.post("/sandbox/clock", {"advance_seconds": 86400})
    living.post("/sandbox/change", {"share": 0.1, "entities": ["deals", "deal_products"]})
    state = run(living.url, catalog=only(catalog, "deals"), state=state).good().state
    done = run(living.url, catalog=catalog, state=state).good()
    assert len(done.records("deals")) < 20, "its parent's bookmark stays"
    assert_items_are_the_truth(living, items(done))


def test_a_child_can_be_read_without_selecting_its_parent(living: Sandbox, catalog: Record) -> None:
    first = run(living.url, catalog=only(catalog, "deal_products")).good()
    assert "deals" not in {message["stream"] for message in first.of("RECORD") + first.of("SCHEMA")}
    assert_items_are_the_truth(living, items(first))
    living.post("/sandbox/clock", {"advance_seconds": 600})
    deal = min(row["id"] for row in visible_deals(living))
    add_item(living, deal)
    living.post("/sandbox/stats/reset")
    second = run(living.url, catalog=only(catalog, "deal_products"), state=first.state).good()
    assert asked(living) == [{deal}]
    assert_items_are_the_truth(living, items(first) | items(second))


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("page", [1, 2, 5, 9])
def test_a_first_load_that_ends_while_it_reads_parents_is_completed(
    living: Sandbox, catalog: Record, page: int
) -> None:
    living.post("/sandbox/faults", {"kind": "daily429", "path": r"/deals(/archived)?\?", "at": [page]})
    first = run(living.url, catalog=catalog).good()
    assert first.records("deal_products") == []
    living.delete("/sandbox/faults")
    living.post("/sandbox/clock", {"advance_seconds": 86400})
    living.post("/sandbox/change", {"share": 0.1, "entities": ["deals", "deal_products"]})
    second = run(living.url, catalog=catalog, state=first.state).good()
    assert_items_are_the_truth(living, items(second))
    third = run(living.url, catalog=catalog, state=second.state).good()
    assert_items_are_the_truth(living, items(second) | items(third))


@pytest.mark.usefixtures("small_pages")
def test_a_first_load_that_ends_at_any_request_is_resumed(living: Sandbox, catalog: Record) -> None:
    run(living.url, catalog=catalog).good()
    calls = len(asked(living))
    assert calls >= 6
    for call in range(1, calls + 1, 2):
        trouble: Record = {"kind": "daily429"} if call % 4 == 1 else {"kind": "status", "status": 401}
        living.delete("/sandbox/faults")
        living.post("/sandbox/faults", {**trouble, "path": PRODUCTS, "at": [call]})
        first = run(living.url, catalog=catalog, concurrency=1)
        living.delete("/sandbox/faults")
        living.post("/sandbox/stats/reset")
        second = run(living.url, catalog=catalog, state=first.state).good()
        assert_items_are_the_truth(living, items(first) | items(second))
        double = items(first).keys() & items(second).keys()
        changed_at_once = 26  # deals of this account that share the bookmark's second of change
        assert len(double) <= changed_at_once


@pytest.mark.usefixtures("small_pages")
def test_an_incremental_run_that_ends_at_any_call_is_completed(living: Sandbox, catalog: Record) -> None:
    first = run(living.url, catalog=catalog).good()
    for seed in range(6):
        living.post("/sandbox/clock", {"advance_seconds": 600})
        living.post("/sandbox/change", {"share": 0.15, "seed": seed, "entities": ["deals", "deal_products"]})
    living.post("/sandbox/stats/reset")
    run(living.url, catalog=catalog, state=first.state).good()
    calls = len(asked(living))
    assert calls >= 4
    for call in range(1, calls + 1, 2):
        living.delete("/sandbox/faults")
        living.post("/sandbox/faults", {"kind": "daily429", "path": PRODUCTS, "at": [call]})
        second = run(living.url, catalog=catalog, state=first.state, concurrency=2).good()
        living.delete("/sandbox/faults")
        third = run(living.url, catalog=catalog, state=second.state).good()
        held = replay(third.messages, replay(second.messages, replay(first.messages)))["deal_products"]
        truth = {row["id"]: row for row in living.truth("deal_products")}
        for id_, row in truth.items():
            assert same(held[id_,]["update_time"], row["update_time"]), (call, id_)
            assert same(held[id_,]["quantity"], row["quantity"]), (call, id_)


def test_answers_of_concurrent_calls_are_written_in_order(living: Sandbox, catalog: Record) -> None:
    """The answer to the first call arrives last."""
    living.post("/sandbox/faults", {"kind": "slow", "path": PRODUCTS, "at": [1], "seconds": 0.2})
    done = run(living.url, catalog=catalog).good()
    assert_items_are_the_truth(living, items(done))


# Refused requests


def test_one_refused_parent_is_left_out_and_reported(
    living: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = select(discover(living.url), "deals", "deal_followers")
    followed = sorted({row["deal_id"] for row in living.truth("deal_followers")})
    for status, deal in zip((404, 410, 400), followed, strict=False):
        living.post(
            "/sandbox/faults", {"kind": "status", "status": status, "path": f"/deals/{deal}/followers"}
        )
    done = run(living.url, catalog=chosen).good()
    assert {row["deal_id"] for row in done.records("deal_followers")} == set(followed[3:])
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    (line,) = [line for line in said if "deal_followers" in line]
    assert f"1 parents ({followed[2]}) do not answer" in line, "the other two are gone"


@pytest.mark.parametrize("status", [400, 403, 404, 410])
@pytest.mark.parametrize("refused", [{1}, {150}, {3, 4, 99}, {100, 101}])
def test_a_refused_deal_costs_the_others_of_its_call_nothing(
    catalog: Record, status: int, refused: set[int], caplog: pytest.LogCaptureFixture
) -> None:
    deals = [{"id": id_, "products_count": 1} for id_ in range(1, 151)]

    def some(request: Asked) -> Say | str:
        ids = [int(id_) for id_ in request.params["deal_ids"].split(",")]
        if refused & set(ids):
            return say({"success": False, "error": "Deal not found"}, status, x_ratelimit_limit="1000")
        found = [{"id": id_, "deal_id": id_} for id_ in ids]
        return say({"success": True, "data": found}, x_ratelimit_limit="1000")

    with fake(one_list(deals, some)) as server:
        first = run(server.url, catalog=catalog).good()
        asked = len([1 for seen in server.asked if seen.path == PRODUCTS])
    changed = [{**deal, "update_time": "2026-11-22T02:00:00Z"} for deal in deals if deal["id"] in refused]
    with fake(one_list(changed)) as server:
        second = run(server.url, catalog=catalog, state=first.state).good()
    assert items(first).keys() == set(range(1, 151)) - refused
    assert asked <= 2 + 14 * len(refused)
    said = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    lines = [line for line in said if "deal_products" in line]
    assert len(lines) == (status in (400, 403)), "what is gone is no gap"
    for line in lines:
        assert f"{len(refused)} parents ({', '.join(map(str, sorted(refused)))}) do not answer" in line
        assert "Deal not found" in line
        assert "the plan" not in line
    assert items(second).keys() == refused


@pytest.mark.parametrize("deals", [1, 150, 900])
@pytest.mark.parametrize("status", [403, 402])
def test_line_items_refused_for_every_deal_count_as_a_refused_stream(
    catalog: Record, deals: int, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The stream ends after a few requests, and resumes when the token has the right again."""
    here = [{"id": id_, "products_count": 1} for id_ in range(1, deals + 1)]
    answer = say({"success": False, "error": "No"}, status, x_ratelimit_limit="1000")
    with fake(one_list(here, lambda _: answer)) as server:
        first = run(server.url, catalog=catalog, concurrency=1).good()
        assert len([1 for seen in server.asked if seen.path == PRODUCTS]) <= MANY_REFUSALS + WITNESSES
    assert first.records("deal_products") == []
    assert "the plan, its add-ons or the token's rights do not cover it" in caplog.text
    with fake(one_list(here)) as server:
        second = run(server.url, catalog=catalog, state=first.state).good()
    assert items(second).keys() == set(range(1, deals + 1))


def test_a_missing_organization_costs_no_other_relationships(living: Sandbox) -> None:
    chosen = select(discover(living.url), "organizations", "organization_relationships")
    gone = min(row["id"] for row in living.truth("organizations"))
    call = {"method": "DELETE", "path": f"/sandbox/records/organizations/{gone}"}
    living.post("/sandbox/faults", {"kind": "change", "path": "Relationships", "at": [1], "call": call})
    done = run(living.url, catalog=chosen).good()
    found = {row["id"] for row in done.records("organization_relationships")}
    assert {row["id"] for row in living.truth("organization_relationships")} <= found
    assert found


def refusing(server_deals: int, answered: Callable[[int], bool]) -> Callable[[Asked], Say | str]:
    """Serve an account in which followers of some deals are refused."""
    deals = [
        {"id": id_, "followers_count": 1, "update_time": f"2026-10-{id_ // 24 + 1:02}T{id_ % 24:02}:00:00Z"}
        for id_ in range(1, server_deals + 1)
    ]

    def spoil(request: Asked) -> Say | str | None:
        if not request.path.endswith("/followers"):
            return None
        deal = int(request.path.split("/")[4])
        if not answered(deal):
            return say({"success": False, "error": "Forbidden"}, 403, x_ratelimit_limit="1000")
        return say({"success": True, "data": [{"user_id": 7}]}, x_ratelimit_limit="1000")

    return account({"/api/v2/deals": deals}, spoil=spoil)


@pytest.fixture
def followers(catalog: Record, shared: Sandbox) -> Record:
    return select(discover(shared.url), "deals", "deal_followers")


@pytest.mark.parametrize("deals", [1, 5, 19, 20, 50])
def test_a_refused_stream_ends_at_once_and_resumes_when_it_is_allowed(
    followers: Record, deals: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused parents are not skipped: they are read when the token has the right again."""
    with fake(refusing(deals, lambda _: False)) as server:
        first = run(server.url, catalog=followers, concurrency=1).good()
        assert len([1 for seen in server.asked if "followers" in seen.path]) <= MANY_REFUSALS + WITNESSES
    assert first.records("deal_followers") == []
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len([line for line in said if "deal_followers" in line]) == 1
    with fake(refusing(deals, lambda _: True)) as server:
        second = run(server.url, catalog=followers, state=first.state).good()
    assert {row["deal_id"] for row in second.records("deal_followers")} == set(range(1, deals + 1))


@pytest.mark.parametrize("first_answered", [1, 19, 20, 40])
def test_some_refused_parents_do_not_end_the_stream(followers: Record, first_answered: int) -> None:
    """This holds even for many in a row, after one that answered and before."""
    with fake(refusing(60, lambda deal: deal in (first_answered, 60))) as server:
        done = run(server.url, catalog=followers, max_unread=60).good()
    assert {row["deal_id"] for row in done.records("deal_followers")} == {first_answered, 60}


@pytest.mark.parametrize("status", [404, 400])
@pytest.mark.parametrize(("gone", "here"), [(range(1, 26), (26, 27, 28)), (range(1, 41), (41,))])
def test_deleted_deals_at_the_head_of_the_queue_do_not_hold_up_the_others(
    followers: Record, gone: range, here: tuple[int, ...], status: int
) -> None:
    def spoil(request: Asked) -> Say | None:
        if not request.path.endswith("/followers"):
            return None
        if int(request.path.split("/")[4]) in gone:
            return say({"success": False, "error": "Deal deleted"}, status, x_ratelimit_limit="1000")
        return say({"success": True, "data": [{"user_id": 7}]}, x_ratelimit_limit="1000")

    deals = [
        {"id": id_, "followers_count": 1, "update_time": f"2026-10-01T00:{id_:02}:00Z"}
        for id_ in (*gone, *here)
    ]
    with fake(account({"/api/v2/deals": deals}, spoil=spoil)) as server:
        first = run(server.url, catalog=followers, concurrency=1, max_unread=60).good()
        server.asked.clear()
        second = run(server.url, catalog=followers, concurrency=1, max_unread=60, state=first.state).good()
        asked = [seen for seen in server.asked if "followers" in seen.path]
    assert {row["deal_id"] for row in first.records("deal_followers")} == set(here)
    assert len(second.records("deal_followers")) <= len(here)
    if status == 404:
        assert len(asked) <= len(here), "those that do not exist are not asked about again"


@pytest.mark.parametrize("gone", [9, 10, 14, 25, 60])
def test_line_items_of_deals_beside_deleted_ones_in_one_request_are_read(catalog: Record, gone: int) -> None:
    def line_items(request: Asked) -> Say:
        ids = [int(id_) for id_ in request.params["deal_ids"].split(",")]
        if min(ids) <= gone:
            return say({"success": False, "error": "Deal not found"}, 404, x_ratelimit_limit="1000")
        found = [{"id": id_, "deal_id": id_} for id_ in ids]
        return say({"success": True, "data": found}, x_ratelimit_limit="1000")

    deals = [{"id": id_, "products_count": 1} for id_ in range(1, 64)]
    with fake(one_list(deals, line_items)) as server:
        done = run(server.url, catalog=catalog, concurrency=1).good()
    assert items(done).keys() == set(range(gone + 1, 64))


def test_a_row_that_is_not_an_object_is_rejected(catalog: Record) -> None:
    def odd(request: Asked) -> Say | str:
        return Say(body=encode_exactly({"data": [{"id": 1, "deal_id": 1}, 5, None, {"deal_id": 1}]}))

    chosen = select(catalog, "deals", "deal_products", "rejected_values")
    with fake(one_list([{"id": 1, "products_count": 4}], odd)) as server:
        done = run(server.url, catalog=chosen).good()
    assert items(done).keys() == {1}
    assert len(done.records("rejected_values")) == 3


@pytest.mark.parametrize("seconds", [10, 3600])
def test_a_bulk_edit_beyond_one_runs_budget_is_read_in_several_runs(living: Sandbox, seconds: int) -> None:
    """All deals changed in one second; without a place within that second, each run would start again."""
    chosen = select(discover(living.url), "deals", "deal_changes")
    state = run(living.url, catalog=chosen).good().state
    living.post("/sandbox/clock", {"advance_seconds": 3600})
    deals = [deal for deal in living.truth("deals") if not (deal["is_deleted"] or deal["is_archived"])][:30]
    stages = [stage["id"] for stage in living.truth("stages")]
    for deal in deals:
        stage = next(stage for stage in stages if stage != deal["stage_id"])
        living.post(f"/sandbox/deals/{deal['id']}/move", {"stage_id": stage})
    living.post("/sandbox/clock", {"advance_seconds": seconds})
    living.post("/sandbox/stats/reset")
    found: set[int] = set()
    asked, before, most = 0, -1, 0
    while asked > before:
        done = run(living.url, catalog=chosen, state=state, token_budget=250).good()
        state = done.state
        found |= {row["deal_id"] for row in done.records("deal_changes")}
        living.post("/sandbox/clock", {"advance_seconds": 600})
        asked, before = len(living.requests("/changelog")), asked
        most = max(most, asked - before)
    assert found == {deal["id"] for deal in deals}
    twice = most if seconds < 60 else 0  # parents that may have changed unnoticed are asked once more
    assert most < len(deals) / 2
    assert asked <= len(deals) + twice


def test_no_child_row_is_marked_deleted_if_its_parent_has_no_id() -> None:
    """The children of such a parent cannot be requested, which does not mean that they are gone."""
    whole = [{"id": 1, "products_count": 1}]
    for deals, marked in ((whole, True), ([*whole, {"title": "no id", "products_count": 1}], False)):
        with fake(
            account({"/api/v2/deals": deals, "/api/v2/deals/products": [{"id": 5, "deal_id": 1}]})
        ) as server:
            chosen = select(discover(server.url), "deals", "deal_products", "rejected_values")
            done = run(server.url, catalog=chosen, reconcile=True).good()
        assert [row["id"] for row in done.records("deal_products")] == [5]
        streams = [message["stream"] for message in done.of("ACTIVATE_VERSION")]
        assert ("deal_products" in streams) is marked
