"""Which uncertain facts about the API hold on an account: `--check-account`, read-only, for 82 tokens at most.

The result names no person, company, deal or field: statuses, types, counts and the clock's difference only.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from tap_pipedrive.client import Client, Request
from tap_pipedrive.errors import Fatal, NotAllowed, PipedriveError, Refused
from tap_pipedrive.values import changed_at, clean_timestamp, rfc3339

DOCUMENTED_STATUSES = {"open", "won", "lost", "deleted"}


@dataclass(frozen=True)
class Fact:
    """What was asked, what the tap counts on, and what the account answers."""

    name: str
    counts_on: str
    found: str
    holds: bool | None
    """None where the account has nothing to tell it by."""


class AccountCheck:
    """Asks an account, and collects the facts."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._deals: list[dict[str, Any]] = []

    def facts(self) -> Iterator[Fact]:
        """Yield all facts, each question once. Raises Fatal when the token is refused."""
        for question in (
            self._rights,
            self._clock,
            self._limits,
            self._deal_page,
            self._largest_page,
            self._since,
            self._archived,
            self._history,
            self._add_on,
        ):
            yield from question()

    # Questions

    def _rights(self) -> Iterator[Fact]:
        me, problem = self._get("/api/v1/users/me", 2)
        access = me.get("access") if isinstance(me, dict) else None
        admin = [
            str(entry.get("app"))
            for entry in (access if isinstance(access, list) else [])
            if isinstance(entry, dict) and entry.get("admin")
        ]
        yield Fact(
            "rights of the token",
            "users/me says for which apps the user is an administrator",
            problem or f"administers: {', '.join(sorted(admin)) or 'nothing'}",
            bool(admin) if not problem else None,
        )
        has_company = isinstance(me, dict) and isinstance(me.get("company_id"), int)
        yield Fact("company", "users/me names the company by a number", _yes(has_company), has_company)

    def _clock(self) -> Iterator[Fact]:
        served_at = self._client.last_served_at
        if served_at is None:
            yield Fact("clock", "answers have a Date", "no Date", False)
            return
        seconds = abs((datetime.now(UTC) - served_at).total_seconds())
        found = f"the host's clock differs by {seconds:.0f} s"
        yield Fact(
            "clock", "answers have a Date, and the two clocks differ by less than 60 s", found, seconds < 60
        )

    def _limits(self) -> Iterator[Fact]:
        ledger = self._client.limits.ledger
        knows_window = ledger.window_seen > 0
        found = f"{ledger.burst} requests in 2 s" if knows_window else "no header"
        yield Fact("burst limit", "x-ratelimit-limit names the size of the window", found, knows_window)
        knows_day = ledger.remaining is not None
        yield Fact("tokens of the day", "headers name the tokens left today", _yes(knows_day), knows_day)

    def _deal_page(self) -> Iterator[Fact]:
        params: dict[str, str | int] = {
            "limit": 100,
            "status": "open,won,lost,deleted",
            "sort_by": "id",
            "sort_direction": "asc",
        }
        data, problem = self._get("/api/v2/deals", 10, params)
        self._deals = [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []
        yield Fact("deals", "a page of deals is a list", problem or f"{len(self._deals)} rows", not problem)
        if not self._deals:
            return
        statuses = {str(row.get("status")) for row in self._deals}
        odd = len(statuses - DOCUMENTED_STATUSES)
        yield Fact("status of deals", "open, won, lost or deleted", f"{odd} other values", not odd)
        reasons = {
            type(row["lost_reason"]).__name__ for row in self._deals if row.get("lost_reason") is not None
        }
        found = ", ".join(sorted(reasons)) or "none given"
        yield Fact("lost_reason", "text or an object", found, reasons <= {"str", "dict"} if reasons else None)
        ids = [row.get("id") for row in self._deals]
        is_sorted = all(isinstance(each, int) for each in ids) and ids == sorted(
            ids, key=lambda each: each or 0
        )
        yield Fact("order", "deals sorted by id come in that order", _yes(is_sorted), is_sorted)
        times = [str(row["update_time"]) for row in self._deals if row.get("update_time")]
        whole = all(_is_whole_second(each) for each in times)
        found = "whole seconds with Z" if whole else "another spelling"
        yield Fact("times", "RFC 3339 in UTC, whole seconds", found, whole if times else None)
        blank = len(self._deals) - len(times)
        yield Fact(
            "update_time", "some rows may have none; a first load reads them", f"{blank} have none", True
        )
        custom = [row.get("custom_fields") for row in self._deals]
        objects = [each for each in custom if isinstance(each, dict)]
        counts = {len(each) for each in objects}
        found = "each row has all of them" if len(counts) <= 1 else "rows leave out those without a value"
        yield Fact(
            "unset custom fields",
            "null, or left out: both are read",
            found if objects else "no object",
            bool(objects),
        )

    def _largest_page(self) -> Iterator[Fact]:
        before = self._client.limits.ledger.remaining
        data, problem = self._get("/api/v2/deals", 10, {"limit": 501})
        found = problem or f"{len(data) if isinstance(data, list) else 0} rows"
        is_bounded = bool(problem) or (isinstance(data, list) and len(data) <= 500)
        yield Fact("largest page", "no more than 500 rows, or refused", found, is_bounded)
        after = self._client.limits.ledger.remaining
        if problem and before is not None and after is not None:
            spent = before - after
            yield Fact(
                "price of a refused call", "no more than of a good one", f"{spent} tokens", spent <= 10
            )

    def _since(self) -> Iterator[Fact]:
        moments = sorted(moment for row in self._deals if (moment := changed_at(row)))
        name, counts_on = "updated_since", "rows of that very second are listed, oldest change first"
        if not moments:
            yield Fact(name, counts_on, "no deal with a time of change", None)
            return
        since = moments[len(moments) // 2]
        params: dict[str, str | int] = {
            "updated_since": rfc3339(since),
            "sort_by": "update_time",
            "sort_direction": "asc",
            "limit": 5,
        }
        data, problem = self._get("/api/v2/deals", 10, params)
        rows = [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []
        found = [changed_at(row) for row in rows]
        is_inclusive = bool(found) and found[0] == since
        yield Fact(name, counts_on, problem or ("inclusive" if is_inclusive else "exclusive"), is_inclusive)

    def _archived(self) -> Iterator[Fact]:
        data, problem = self._get("/api/v2/deals/archived", 20, {"limit": 1})
        is_list = isinstance(data, list)
        yield Fact("archived deals", "a list of their own", problem or "a list", is_list)

    def _history(self) -> Iterator[Fact]:
        name, counts_on = "history", "lines with field_key, old_value, new_value and time, newest first"
        moved = [
            row for row in self._deals if row.get("stage_change_time") not in (None, row.get("add_time"))
        ]
        deal = (moved or self._deals or [{}])[0].get("id")
        if deal is None:
            yield Fact(name, counts_on, "no deal", None)
            return
        data, problem = self._get("/api/v1/deals/{id}/changelog", 20, {"limit": 100}, {"id": deal})
        lines = [line for line in data if isinstance(line, dict)] if isinstance(data, list) else []
        needed = {"field_key", "old_value", "new_value", "time"}
        has_keys = all(needed <= line.keys() for line in lines)
        times = [moment for line in lines if (moment := changed_at(line, "time"))]
        holds = has_keys and times == sorted(times, reverse=True) if lines else None
        yield Fact(name, counts_on, problem or f"{len(lines)} lines", False if problem else holds)

    def _add_on(self) -> Iterator[Fact]:
        data, problem = self._get("/api/v2/projects", 10, {"limit": 1})
        holds = isinstance(data, list) or problem.startswith(("402", "403", "404", "415"))
        yield Fact("a list that the plan may lack", "402, 403, 404 or 415", problem or "a list", holds)

    # How they are asked

    def _get(
        self,
        endpoint: str,
        price: int,
        params: Mapping[str, str | int] | None = None,
        ids: Mapping[str, Any] | None = None,
    ) -> tuple[Any, str]:
        """Return the data, or why there are none: a status, without the server's words."""
        try:
            return self._client.get(Request(endpoint, params or {}, ids or {}, price, "account")).data, ""
        except Fatal:
            raise
        except NotAllowed as error:
            return None, f"{error.status}"
        except Refused:
            return None, "400 or 422"
        except PipedriveError:
            return None, "no answer after all tries"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _is_whole_second(text: str) -> bool:
    try:
        moment = clean_timestamp(text)
    except ValueError:
        return False
    return moment is not None and text == rfc3339(moment)


def report(client: Client, version: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> str:
    """Return the facts as JSON. Raises Fatal when the token is refused."""
    facts = [asdict(fact) for fact in AccountCheck(client).facts()]
    found = {
        "tap_version": version,
        "asked_at": rfc3339(now()),
        "tokens": client.limits.tokens_spent,
        "facts": facts,
    }
    return json.dumps(found, indent=2) + "\n"
