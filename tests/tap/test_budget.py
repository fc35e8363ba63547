# Over 400 lines: the daily share, the run's budget and the clean end use the same count of tokens.
"""API tokens: the daily share is never exceeded, a run has a budget, and a run without tokens ends cleanly."""

from __future__ import annotations

import json
import logging
import math
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive import errors, listings
from tap_pipedrive.auth import ApiToken
from tap_pipedrive.client import Client
from tap_pipedrive.ledger import Ledger, Permit, RateLimitHeaders
from tap_pipedrive.limits import Limits

from .harness import RESET, Asked, Run, Say, Tables, cost, discover, fake, replay, request, run, say, select

TAP = str(Path(sys.executable).with_name("tap-pipedrive"))
LIMIT = "x-daily-ratelimit-token-limit"
LEFT = "x-daily-ratelimit-token-remaining"


def left_today(sandbox: Sandbox) -> int:
    return int(sandbox.api("/api/v1/users/me").headers[LEFT]) + 2


def client(url: str, **limits: Any) -> Client:
    return Client(ApiToken(url, "sandbox-token"), Limits(**limits))


def spend(one: Client, endpoint: str = "/api/v2/deals", at_most: int = 500) -> errors.BudgetSpent | None:
    """Send requests until the budget is spent."""
    for _ in range(at_most):
        try:
            one.get(request(endpoint, {"limit": 1}))
        except errors.BudgetSpent as problem:
            return problem
    return None


# The daily share


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize(
    ("share", "day"), [(0.5, 1_000), (0.1, 3_000), (0.29, 1_000), (0.999, 500), (1, 400)]
)
def test_the_share_is_used_up_and_never_exceeded(share: float, day: int, threads: int) -> None:
    with Sandbox(deals=50, daily_budget=day) as sandbox:
        one = client(sandbox.url, daily_token_share=share)
        with ThreadPoolExecutor(threads) as pool:
            ends = list(pool.map(lambda _: spend(one), range(threads)))
        assert all(isinstance(end, errors.BudgetSpent) for end in ends)
        spent = sandbox.stats()["tokens"]
        assert {seen["status"] for seen in sandbox.requests()} == {200}
    assert spent <= day * share
    # When a request is answered, those that were in flight when it was sent count as spent, and so do those that
    # were sent since, although its answer may include both.
    assert spent >= day * share - 20 * (threads - 1) - 10


def test_tokens_that_others_spend_meanwhile_are_counted() -> None:
    with Sandbox(deals=50, daily_budget=2_000) as sandbox:
        one = client(sandbox.url, daily_token_share=0.5)
        for _ in range(19):
            one.get(request("/api/v2/deals", {"limit": 1}))
            for _ in range(4):
                sandbox.api("/api/v2/deals", limit=1)
        assert spend(one)
        assert 1_000 <= left_today(sandbox) <= 1_010


def test_a_share_of_zero_sends_only_the_request_that_reads_the_headers() -> None:
    with Sandbox(deals=50) as sandbox:
        one = client(sandbox.url, daily_token_share=0)
        one.get(request("/api/v2/stages"))
        for _ in range(3):
            with pytest.raises(errors.BudgetSpent, match="daily_token_share"):
                one.get(request("/api/v2/stages"))
        assert len(sandbox.requests()) == 1


def test_nothing_is_sent_after_the_budget_is_spent_whatever_it_costs() -> None:
    with Sandbox(deals=50) as sandbox:
        one = client(sandbox.url, token_budget=25)
        assert spend(one)
        before = len(sandbox.requests())
        for endpoint in ("/api/v2/stages", "/api/v2/deals", "/api/v1/users/me"):
            with pytest.raises(errors.BudgetSpent):
                one.get(request(endpoint))
        assert len(sandbox.requests()) == before


def test_a_new_day_during_a_run_resets_the_share() -> None:
    with Sandbox(deals=50, daily_budget=1_000) as sandbox:
        one = client(sandbox.url, daily_token_share=0.5)
        for day in range(3):
            for _ in range(40):
                one.get(request("/api/v2/deals", {"limit": 1}))
            sandbox.post("/sandbox/clock", {"advance_seconds": 86_400})
            assert day == 2 or left_today(sandbox) > 900
            one.get(request("/api/v2/deals", {"limit": 1}))


@pytest.mark.parametrize("every", [2, 5])
def test_headers_that_are_sometimes_missing_do_not_break_the_share(every: int) -> None:
    """The tap's own count continues from the last headers."""
    spent = [0]

    def script(asked: Asked) -> Say:
        spent[0] += 10
        told = {LIMIT: "1000", LEFT: str(1_000 - spent[0])} if asked.number % every == 0 else {}
        return Say(headers=told)

    with fake(script) as server:
        assert spend(client(server.url, daily_token_share=0.5))
    assert spent[0] == 500


def test_the_share_holds_if_only_the_first_answer_has_headers() -> None:
    with fake(lambda asked: Say(headers={LIMIT: "1000", LEFT: "900"} if asked.number == 0 else {})) as server:
        assert spend(client(server.url, daily_token_share=0.5))
    assert len(server.asked) == 41


def test_a_limit_without_a_remaining_count_is_counted_by_the_tap() -> None:
    with fake([Say(headers={LIMIT: "1000"})]) as server:
        assert spend(client(server.url, daily_token_share=0.5))
    assert len(server.asked) == 50


NONSENSE = ["", "-5", "many", "1e3", "12.5", "\xb2", "9" * 5_000]


@pytest.mark.parametrize("limit", [*NONSENSE, "0", "100"])
@pytest.mark.parametrize("left", [*NONSENSE, "500"])
def test_nonsense_in_the_headers_stops_no_run(limit: str, left: str) -> None:
    limits = Limits(daily_token_share=0.5)
    for _ in range(3):
        with limits.request(*cost("/api/v2/deals")) as exchange:
            exchange.answered(200, {LIMIT: limit, LEFT: left})


def test_missing_headers_cause_one_warning_that_the_share_cannot_be_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with Sandbox(deals=50, daily_headers=False) as sandbox:
        one = client(sandbox.url, daily_token_share=0.5)
        for _ in range(5):
            one.get(request("/api/v2/stages"))
        assert len(sandbox.requests()) == 5
        client(sandbox.url, daily_token_share=1).get(request("/api/v2/stages"))
    said = [line for line in caplog.records if "the tap cannot keep daily_token_share" in line.getMessage()]
    assert [line.levelno for line in said] == [logging.INFO]


class Company:
    """Pipedrive's side: a daily budget that others use too, and answers that arrive in any order."""

    def __init__(self, day: int, others: Callable[[], int]) -> None:
        self.left = day
        self.day = day
        self.others = others

    def serve(self, ticket: Permit) -> RateLimitHeaders:
        self.left -= ticket.price + self.others()
        return RateLimitHeaders(tokens=self.day, tokens_remaining=self.left)


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([0.1, 0.5, 0.9, 1]), st.booleans())
def test_the_share_is_kept_whatever_the_order_of_answers(
    chance: random.Random, share: float, headers_fail: bool
) -> None:
    """Requests and answers wait in any order, and some answers have no headers."""
    ledger, company = Ledger(), Company(2_000, lambda: 0)
    now, is_first = 0.0, True
    sent: list[Permit] = []
    served: list[tuple[Permit, RateLimitHeaders]] = []
    for _ in range(600):
        now += 10
        move = chance.choice(["send", "send", "serve", "settle"])
        if move == "send" and len(sent) + len(served) < (1 if is_first else 8):
            try:
                ticket = ledger.admit(now, chance.choice([2, 10, 20, 40]), share, is_first=is_first)
            except errors.BudgetSpent:
                continue
            assert isinstance(ticket, Permit)
            sent.append(ticket)
        elif move == "serve" and sent:
            ticket = sent.pop(chance.randrange(len(sent)))
            answer = company.serve(ticket)
            assert company.left >= company.day - int(share * company.day)
            silent = headers_fail and not is_first and chance.random() < 0.5
            served.append((ticket, RateLimitHeaders() if silent else answer))
        elif move == "settle" and served:
            ticket, answer = served.pop(chance.randrange(len(served)))
            ledger.settle(now, ticket, answer, endpoint="/api/v2/deals", is_up=True)
            is_first = False


# The run's budget


@pytest.mark.parametrize(("budget", "requests"), [(100, 10), (105, 10), (10, 1), (9, 0), (1, 0)])
def test_a_run_spends_no_more_than_its_budget(budget: int, requests: int) -> None:
    with Sandbox(deals=50, daily_headers=False) as sandbox:
        problem = spend(client(sandbox.url, token_budget=budget))
        assert len(sandbox.requests()) == requests
    assert "token_budget" in str(problem)
    assert f"{budget} API tokens" in str(problem)


def test_failed_attempts_count_as_spent(sleeps: list[float]) -> None:
    with fake([say({}, 503)]) as server, pytest.raises(errors.BudgetSpent):
        client(server.url, token_budget=30).get(request("/api/v2/deals"))
    assert len(server.asked) == 3


# Runs


@pytest.fixture
def catalog(living: Sandbox) -> dict[str, Any]:
    return select(discover(living.url), "users", "stages", "organizations", "deals", "notes")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING]


def test_runs_with_small_budgets_end_with_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run continues where the one before stopped."""
    monkeypatch.setattr(listings, "PAGE", 25)
    pieces: Tables = {}
    state, is_stopped, runs = None, True, 0
    with Sandbox(deals=300) as sandbox:
        catalog = select(discover(sandbox.url), "users", "stages", "organizations", "deals", "notes")
        whole = replay(run(sandbox.url, catalog=catalog).good().messages)
        while is_stopped and runs < 20:
            done = run(sandbox.url, catalog=catalog, state=state, token_budget=250).good()
            replay(done.messages, pieces)
            state, runs = done.state, runs + 1
            is_stopped = done.tap is None or done.tap.run._budget_error is not None
    assert not is_stopped
    assert runs > 2
    assert {name: set(rows) for name, rows in pieces.items()} == {
        name: set(rows) for name, rows in whole.items()
    }


@pytest.fixture
def command(tmp_path: Path, living: Sandbox) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line, which has an exit code."""

    def start(**changes: Any) -> subprocess.CompletedProcess[str]:
        config = tmp_path / "config.json"
        config.write_text(json.dumps({"api_url": living.url, "api_token": living.token, **changes}))
        call = [TAP, "--config", str(config)]
        return subprocess.run(call, capture_output=True, text=True, timeout=120, check=False)

    return start


def assert_only_statements(output: str) -> None:
    """Check that nothing is read, and that each statement says that the tokens did not suffice."""
    messages = [json.loads(line) for line in output.splitlines()]
    rows = [each["record"] for each in messages if each["type"] == "RECORD"]
    assert {each["stream"] for each in messages if "stream" in each} == {"run_statements"}
    assert {row["undone_reason"] for row in rows} == {"budget"}
    assert {"deals", "users", "deal_changes"} <= {row["stream"] for row in rows}


@pytest.mark.parametrize(
    ("setting", "spent"),
    [({"token_budget": 4}, 0), ({"daily_token_share": 0}, 10), ({"token_budget": 25}, 20)],
    ids=["nothing", "share", "the budget ends within the stream"],
)
def test_a_budget_that_ends_during_the_definitions_ends_the_run_cleanly(
    command: Callable[..., subprocess.CompletedProcess[str]],
    living: Sandbox,
    setting: dict[str, Any],
    spent: int,
) -> None:
    ended = command(**setting)
    assert ended.returncode == 0
    assert_only_statements(ended.stdout)
    assert living.stats()["tokens"] == spent
    loud = [line for line in ended.stderr.splitlines() if "WARNING" in line or "ERROR" in line]
    assert len(loud) == 1
    assert next(iter(setting)) in loud[0]
    assert "Left undone: users, " in loud[0]
    assert "Traceback" not in ended.stderr


def test_a_429_for_the_day_during_the_definitions_ends_the_run_cleanly(
    command: Callable[..., subprocess.CompletedProcess[str]], living: Sandbox
) -> None:
    living.post("/sandbox/faults", {"kind": "daily429"})
    ended = command()
    assert ended.returncode == 0
    assert_only_statements(ended.stdout)
    assert ended.stderr.count("WARNING") == 1
    assert len(living.requests()) == 1


def test_a_spent_share_ends_a_run_cleanly_in_the_middle(
    living: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    with Sandbox(deals=60, daily_budget=400) as sandbox:
        done = run(sandbox.url).good()
        assert left_today(sandbox) >= 200
    assert done.of("STATE")
    assert len(warnings(caplog)) == 1
    assert "the next run continues there" in warnings(caplog)[0]


def summary(caplog: pytest.LogCaptureFixture) -> str:
    return next(line.getMessage() for line in caplog.records if "API tokens by stream" in line.getMessage())


def test_the_summary_lists_the_tokens_by_stream(
    living: Sandbox, catalog: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    living.post("/sandbox/stats/reset")
    run(living.url, catalog=catalog, concurrency=1).good()
    text = summary(caplog)
    by_stream, _, left = text.removeprefix("API tokens by stream: ").partition("; left today: ")
    tokens = {name: int(number) for name, number in (part.rsplit(" ", 1) for part in by_stream.split(", "))}
    assert sum(tokens.values()) == living.stats()["tokens"]
    counted: dict[str, int] = {}
    for point in metric_points(caplog)["api_token_cost"]:
        stream = point["tags"]["stream"]
        counted[stream] = counted.get(stream, 0) + point["value"]
    assert counted == tokens
    assert tokens["deals"] == 30
    assert tokens["users"] == 20
    assert tokens["custom fields"] == 20
    assert tokens["account"] == 2
    assert left == f"{left_today(living):,} of 300,000"


def metric_points(caplog: pytest.LogCaptureFixture) -> dict[str, list[dict[str, Any]]]:
    """Return the values of METRIC lines by the metric's name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in caplog.records:
        if line.getMessage().startswith("METRIC: "):
            point = json.loads(line.getMessage().removeprefix("METRIC: "))
            found.setdefault(point["metric"], []).append(point)
    return found


def test_metrics_report_the_same_tokens_as_the_summary(
    living: Sandbox, catalog: dict[str, Any], caplog: pytest.LogCaptureFixture, sleeps: list[float]
) -> None:
    caplog.set_level(logging.INFO)
    living.post("/sandbox/faults", {"kind": "status", "path": "/stages", "at": [1, 2]})
    living.post("/sandbox/stats/reset")
    run(living.url, catalog=catalog, concurrency=1).good()
    points = [point for found in metric_points(caplog).values() for point in found]

    def of(metric: str) -> dict[str, int]:
        return {
            point["tags"].get("endpoint", ""): point["value"] for point in points if point["metric"] == metric
        }

    assert of("api_token_cost")["/api/v2/deals"] == 10
    assert of("api_tokens_left") == {"": left_today(living)}
    assert of("api_retries") == {"/api/v2/stages": 2}
    assert of("api_breaker_open") == {}
    assert of("api_tokens_limit") == {"": 300_000}
    assert of("api_burst_remaining")[""] < of("api_burst_limit")[""]
    assert of("api_burst_reset")[""] <= 2


def test_metrics_count_each_request_once_in_a_histogram(
    living: Sandbox, catalog: dict[str, Any], caplog: pytest.LogCaptureFixture, sleeps: list[float]
) -> None:
    caplog.set_level(logging.INFO)
    living.post("/sandbox/faults", {"kind": "status", "path": "/stages", "at": [1, 2, 3, 4, 5]})
    living.post("/sandbox/stats/reset")
    run(living.url, catalog=catalog, concurrency=1)
    points = metric_points(caplog)
    sent: dict[str, int] = {}
    for point in points["api_request_duration"]:
        buckets = list(point["value"]["buckets"].values())
        assert buckets == sorted(buckets), "each bucket includes the buckets before it"
        assert (point["value"]["sum"] > 0) == (point["value"]["buckets"]["60"] > 0)
        endpoint = f"GET {point['tags']['endpoint']}"
        sent[endpoint] = sent.get(endpoint, 0) + buckets[-1]
    assert sent == {name: line["requests"] for name, line in living.stats()["endpoints"].items()}
    statuses = {
        point["tags"]["http_status_code"]
        for point in points["api_request_duration"]
        if point["tags"]["endpoint"] == "/api/v2/stages"
    }
    assert statuses == {500}
    given_up = {point["tags"]["endpoint"]: point["value"] for point in points["api_given_up"]}
    assert given_up["/api/v2/stages"] == 1


def test_metrics_report_how_much_history_is_left(living: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """The first run's tokens end in the middle of the history, and the second run completes it."""
    caplog.set_level(logging.INFO)
    catalog = select(discover(living.url), "deal_changes")
    run(living.url, catalog=catalog).good()
    deals = len({seen["path"] for seen in living.requests("changelog")})
    assert [point["value"] for point in metric_points(caplog)["parents_left"]] == [0]
    caplog.clear()
    first = run(living.url, catalog=catalog, token_budget=120, concurrency=1).good()
    points = metric_points(caplog)
    (left,) = (point["value"] for point in points["parents_left"])
    (tokens,) = (point["value"] for point in points["tokens_to_finish"])
    spent = {point["tags"]["endpoint"]: point["value"] for point in points["api_token_cost"]}
    assert left == deals - spent["/api/v1/deals/{id}/changelog"] / 20 > 0
    assert tokens == 20 * left
    caplog.clear()
    run(living.url, catalog=catalog, state=first.state).good()
    assert [point["value"] for point in metric_points(caplog)["parents_left"]] == [0]


def test_metrics_name_the_parents_that_are_refused(living: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for deal in [row["id"] for row in living.truth("deals") if row["stage_change_time"]][5:7]:
        living.post("/sandbox/faults", {"kind": "status", "status": 400, "path": f"/deals/{deal}/ch"})
    run(living.url, catalog=select(discover(living.url), "deal_changes", "notes")).good()
    unread = metric_points(caplog)["unread_parents"]
    assert [(point["tags"]["stream"], point["value"]) for point in unread] == [("deal_changes", 2)]


def test_metrics_report_the_complete_passes_that_were_not_trusted(
    living: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    def refused() -> dict[str, int]:
        points = metric_points(caplog)["reconcile_refused"]
        return {point["tags"]["stream"]: point["value"] for point in points}

    caplog.set_level(logging.INFO)
    catalog = select(discover(living.url), "users", "notes")
    first = run(living.url, catalog=catalog, reconcile=True).good()
    assert refused() == {"users": 0, "notes": 0}
    for note in living.truth("notes")[::2]:
        living.delete(f"/sandbox/records/notes/{note['id']}")
    caplog.clear()
    run(living.url, catalog=catalog, state=first.state, reconcile=True).good()
    assert refused() == {"users": 0, "notes": 1}
    caplog.clear()
    run(living.url, catalog=catalog, state=first.state).good()
    assert "reconcile_refused" not in metric_points(caplog), "there was no complete pass"


def test_a_large_budget_and_the_whole_share_are_accepted(living: Sandbox) -> None:
    done: Run = run(living.url, token_budget=10**9, daily_token_share=1).good()
    assert done.records("deals")


@pytest.mark.parametrize(
    "setting",
    [
        {"daily_token_share": -0.1},
        {"daily_token_share": 1.1},
        {"daily_token_share": math.nan},
        {"token_budget": 0},
        {"token_budget": -1},
        {"token_budget": 1.5},
    ],
    ids=str,
)
def test_settings_out_of_range_are_reported_in_a_sentence(setting: dict[str, Any]) -> None:
    problem = run("http://127.0.0.1:1", **setting).error
    assert isinstance(problem, errors.PipedriveError)
    assert str(problem).startswith(f"Setting {next(iter(setting))}: ")


def test_rate_limit_headers_are_parsed() -> None:
    assert RateLimitHeaders.read({LIMIT: "30000", LEFT: "0"}) == RateLimitHeaders(
        tokens=30_000, tokens_remaining=0
    )
    assert RateLimitHeaders.read({LEFT: "7"}) == RateLimitHeaders(tokens_remaining=7)
    assert RateLimitHeaders.read({LIMIT: "10", LEFT: "11"}) == RateLimitHeaders()


# Which stream is charged


def test_a_request_without_an_answer_is_charged_to_no_stream(sleeps: list[float]) -> None:
    """Nobody knows whether Pipedrive counted it."""
    with fake([RESET, RESET, say({"success": True, "data": []})]) as server:
        one = client(server.url, token_budget=10)
        one.get(request("/api/v2/deals"))
        assert len(server.asked) == 3
        assert dict(one.limits.tokens) == {("test", "/api/v2/deals"): 10}
        with pytest.raises(errors.BudgetSpent, match="10 of the 10"):
            one.get(request("/api/v2/deals"))
    assert one.requests == {("/api/v2/deals", 0): 2, ("/api/v2/deals", 200): 1}


def test_every_answer_is_charged_to_the_stream_that_asked(living: Sandbox) -> None:
    """This also holds if a child stream reads the list of its parents, which is not part of the run."""
    catalog = select(discover(living.url), "deal_products", "stages")
    living.post("/sandbox/stats/reset")
    done = run(living.url, catalog=catalog).good()
    assert done.tap
    spent = done.tap.run.client.limits.tokens
    assert sum(spent.values()) == living.stats()["tokens"]
    assert spent["deal_products", "/api/v2/deals"] >= 10
    assert spent["deal_products", "/api/v2/deals/products"] >= 10
    assert spent["stages", "/api/v2/stages"] == 5
    assert spent["account", "/api/v1/users/me"] == 2
    assert {stream for stream, _ in spent} == {"deal_products", "stages", "account"}


def test_a_budget_below_the_cost_of_the_small_lists_reads_every_stream_over_several_runs(
    living: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """The next run begins with the streams that were not reached."""
    truth = {name: len(living.truth(name)) for name in ("activities", "deals", "deal_products", "notes")}
    runs: list[Run] = []
    read: dict[str, bool] = {"deals": False}
    while not all(read.values()):
        runs.append(run(living.url, token_budget=150, state=runs[-1].state if runs else None).good())
        assert runs[-1].tap
        assert runs[-1].tap.run.client.limits.tokens_spent <= 150
        for row in runs[-1].records("run_statements"):
            read[row["stream"]] = read.get(row["stream"], False) or row["undone_reason"] is None
        assert len(runs) < 80, f"no headway: {read}"
    assert "begins with what had no turn (" in warnings(caplog)[0]
    held = replay(message for each in runs for message in each.messages)
    assert {name: len(held[name]) for name in truth} == truth
    assert held["deal_changes"]


def test_a_budget_that_is_too_small_for_any_stream_reports_its_minimum(
    living: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    run(living.url, token_budget=55).good()
    said = warnings(caplog)[-1]
    assert "Nothing was read: token_budget has to be at least 62." in said
    assert run(living.url, token_budget=62).good().records("users")


@pytest.mark.parametrize("budget", [2, 10, 30])
def test_a_budget_that_is_too_small_for_the_definitions_reports_its_minimum(
    living: Sandbox, caplog: pytest.LogCaptureFixture, budget: int
) -> None:
    """Nothing of them is kept for the next run, which would end at the same place."""
    catalog = select(discover(living.url), "deals", "leads", "persons", "organizations", "users")
    run(living.url, catalog=catalog, token_budget=budget).good()
    said = warnings(caplog)[-1]
    assert said.endswith("Nothing was read: token_budget has to be at least 30.") == (budget < 30), said
    assert "the next run continues there" not in said


@pytest.mark.parametrize("budget", range(2, 63, 10))
def test_a_budget_spent_among_the_definitions_leaves_no_stream_out_of_the_statement(
    shared: Sandbox, budget: int
) -> None:
    """With a catalog, as Meltano gives one, the definitions are read while the streams are made."""
    catalog = discover(shared.url)
    done = run(shared.url, catalog=catalog, token_budget=budget).good()
    stated = {row["stream"]: row["undone_reason"] for row in done.records("run_statements")}
    assert stated.keys() == {row["stream"] for row in run(shared.url).good().records("run_statements")}
    assert "budget" in stated.values()
