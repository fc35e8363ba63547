"""Faults on request, as a client sees them."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import Any

import pytest
from pipedrive_sandbox.testing import Reply, Sandbox

PATH = "/v1/users/me"


def statuses(sandbox: Sandbox, number: int, path: str = PATH) -> list[int]:
    return [sandbox.api(path).status for _ in range(number)]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 524])
def test_error_statuses(living: Sandbox, status: int) -> None:
    living.post("/sandbox/faults", {"kind": "status", "status": status, "times": 1})
    reply = living.api(PATH)
    assert reply.status == status
    assert "Date" in reply.headers
    assert reply.headers["Content-Type"].startswith(
        "application/json" if status in (500, 503) else "text/html"
    )
    assert living.api(PATH).status == 200


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("html", lambda reply: reply.text.startswith("<html>")),
        ("null", lambda reply: reply.text == "null"),
        ("empty", lambda reply: reply.text == ""),
    ],
)
def test_invalid_answers_with_status_200(living: Sandbox, kind: str, check: Callable[[Reply], bool]) -> None:
    living.post("/sandbox/faults", {"kind": kind})
    reply = living.api(PATH)
    assert reply.status == 200
    assert check(reply)


def test_a_reset_closes_the_connection_before_any_answer(living: Sandbox) -> None:
    living.post("/sandbox/faults", {"kind": "reset", "at": [1]})
    with pytest.raises(ConnectionResetError):
        living.api(PATH)
    assert living.api(PATH).status == 200
    assert [seen["status"] for seen in living.requests()] == [0, 200]


def test_a_truncated_answer_ends_early(living: Sandbox) -> None:
    living.post("/sandbox/faults", {"kind": "truncate", "at": [1]})
    with pytest.raises(http.client.IncompleteRead) as broken:
        living.api(PATH)
    assert broken.value.partial.startswith(b'{"success":true')
    assert living.api(PATH).status == 200


def test_the_two_kinds_of_429_differ_in_their_headers() -> None:
    with Sandbox(burst=20) as sandbox:
        sandbox.post("/sandbox/faults", {"kind": "burst429", "at": [1]})
        sandbox.post("/sandbox/faults", {"kind": "daily429", "at": [2]})
        burst, daily = sandbox.api(PATH), sandbox.api(PATH)
    assert (burst.status, daily.status) == (429, 429)
    assert burst.headers["x-ratelimit-remaining"] == "0"
    assert int(daily.headers["x-ratelimit-remaining"]) > 0
    assert 0 < int(daily.headers["retry-after"]) <= 86_400
    assert daily.json()["error"] == "daily request budget exceeded"


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, [500] * 6),
        ({"at": [2, 5]}, [200, 500, 200, 200, 500, 200]),
        ({"every": 3}, [200, 200, 500, 200, 200, 500]),
        ({"every": 2, "times": 2}, [200, 500, 200, 500, 200, 200]),
        ({"times": 1}, [500, 200, 200, 200, 200, 200]),
        ({"path": "currencies"}, [200] * 6),
        ({"path": "users.me"}, [500] * 6),
    ],
)
def test_a_fault_applies_to_the_selected_requests(
    living: Sandbox, when: dict[str, Any], expected: list[int]
) -> None:
    living.api(PATH)
    living.post("/sandbox/faults", {"kind": "status", **when})
    assert statuses(living, 6) == expected


def test_only_matching_requests_are_counted(living: Sandbox) -> None:
    living.post("/sandbox/faults", {"kind": "status", "path": r"cursor=|users", "at": [2]})
    assert statuses(living, 1, "/v1/currencies") == [200]
    assert statuses(living, 1) == [200]
    assert statuses(living, 1, "/v1/currencies") == [200]
    assert statuses(living, 1) == [500]
    assert living.get("/sandbox/faults")[0]["hits"] == 1


def test_faults_can_be_removed(living: Sandbox) -> None:
    living.post("/sandbox/faults", {"kind": "status"})
    living.delete("/sandbox/faults")
    assert statuses(living, 1) == [200]


def test_faults_do_not_apply_to_controls(living: Sandbox) -> None:
    living.post("/sandbox/faults", {"kind": "status"})
    assert living.stats()["requests"] == 0


@pytest.mark.parametrize("slow", ["/sandbox/latency", "/sandbox/faults"])
def test_answers_can_be_delayed(living: Sandbox, slow: str) -> None:
    living.post(slow, {"seconds": 0.2} | ({"kind": "slow"} if slow.endswith("faults") else {}))
    begun = time.monotonic()
    assert living.api(PATH).status == 200
    assert time.monotonic() - begun >= 0.2
