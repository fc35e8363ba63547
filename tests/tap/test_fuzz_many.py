"""Thousands of random pages, headers and states: no traceback, and no good row is lost.

`make fuzz` draws more of them than `make test`. These tests run the tap's code from the body of an answer to
the written line, without HTTP; `test_fuzz.py` includes HTTP.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
import requests
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive import client, retries
from tap_pipedrive.answers import Answer, read
from tap_pipedrive.bookmarks import Walk
from tap_pipedrive.client import Request
from tap_pipedrive.definitions import FieldDefinitions
from tap_pipedrive.errors import BudgetSpent, PipedriveError, TryAgain
from tap_pipedrive.inputs import check_catalog, check_state
from tap_pipedrive.ledger import Ledger, Permit, RateLimitHeaders
from tap_pipedrive.listings import CursorListing, OffsetListing, WholeListing
from tap_pipedrive.migrate import migrated
from tap_pipedrive.settings import Settings
from tap_pipedrive.source import Source
from tap_pipedrive.streams import STREAMS
from tap_pipedrive.sync import PipedriveStream
from tap_pipedrive.tap import TapPipedrive
from tap_pipedrive.values import encode

from .harness import AT_ONCE, TOKEN, FakeRun, Record, encode_exactly
from .test_fuzz import BIG, NASTY, holds

INPUTS = int(os.environ.get("FUZZ_INPUTS", "20000"))
FIRST = int(os.environ.get("FUZZ_SEED", "1"))
SHARES = {"pages": 0.4, "walks": 0.2, "headers": 0.2, "states": 0.2}

KEYS = (
    *(
        "id",
        "value",
        "name",
        "data",
        "label",
        "options",
        "custom_fields",
        "update_time",
        "add_time",
        "currency",
    ),
    *(
        "bookmarks",
        "partitions",
        "context",
        "listing",
        "first_load",
        "began",
        "cursor",
        "start",
        "last_id",
        "rows",
    ),
    *("replication_key", "replication_key_value", "complete_pass_rows", "place", "moved", "progress_markers"),
    *(
        "start_date",
        "streams",
        "tap_stream_id",
        "schema",
        "properties",
        "metadata",
        "breadcrumb",
        "selected",
        "",
    ),
)
TIMES = (
    "2026-01-01T00:00:00Z",
    "2026-11-28 10:00:00",
    "0001-01-01",
    "9999-12-31T23:59:59Z",
    "0000-00-00",
    "now",
)
DATES = (
    "Sun, 22 Nov 2026 01:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Thu, 01 Jan 0001 00:00:00 +1400",
    "x",
)
NUMBERS = ("0", "1", "-1", "20", "80", "1e9", "nan", "inf", "-inf", "9" * 30, "0.5", "", " 7", "٣", "1_000")


def inputs(kind: str) -> Iterator[tuple[int, Random]]:
    """Yield the numbers of one kind of input with their random generators; a failure names the number."""
    for number in range(FIRST, FIRST + int(INPUTS * SHARES[kind])):
        yield number, Random(f"{kind} {number}")


def value(chance: Random, depth: int = 3) -> str:
    """Return arbitrary JSON as text."""
    kind = chance.randrange(10 if depth else 6)
    if kind < 3:
        return chance.choice(NASTY)
    if kind == 3:
        return chance.choice(BIG) if chance.random() < 0.05 else str(chance.randint(-3, 2**40))
    if kind < 6:
        return json.dumps(chance.choice(TIMES) if kind == 4 else chance.choice(KEYS))
    items = [value(chance, depth - 1) for _ in range(chance.randrange(4))]
    if kind < 8:
        return f"[{','.join(items)}]"
    return "{" + ",".join(f"{json.dumps(chance.choice(KEYS))}:{item}" for item in items) + "}"


def mutated(chance: Random, row: Record) -> str:
    """Return a row in which some values are arbitrary, missing or duplicated."""
    pairs = [(key, encode_exactly(each).decode()) for key, each in row.items()]
    for _ in range(chance.randrange(1, 5)):
        place = chance.randrange(len(pairs))
        key = pairs[place][0]
        pairs[place] = (key if chance.random() < 0.8 else chance.choice(KEYS), value(chance))
    if chance.random() < 0.3:
        pairs.pop(chance.randrange(len(pairs)))
    return "{" + ",".join(f"{json.dumps(key)}:{text}" for key, text in pairs) + "}"


# Pages

PATHS = {
    **{name: f"/api/v2/{name}" for name in ("deals", "persons", "organizations", "activities", "products")},
    **{name: f"/api/v1/{name}" for name in ("leads", "notes", "users", "currencies")},
}


class Tables:
    """The streams of a run, with two good rows of each stream and their records."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.tap = TapPipedrive(config={"api_url": sandbox.url, "api_token": TOKEN, **AT_ONCE})
        self.rows = {name: sandbox.api(path).granted()["data"][:3] for name, path in PATHS.items()}
        self.good = {name: self.written(name, rows[:2]) for name, rows in self.rows.items()}

    def written(self, name: str, rows: list[Any]) -> list[Record]:
        found: list[Record] = self.tap.streams[name].read(rows)[0]
        assert all(encode(row) for row in found)
        return found


@pytest.fixture(scope="module")
def tables(shared: Sandbox) -> Iterator[Tables]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PipedriveStream, "write_schema", lambda _: None)
        # otherwise each unknown key would cost a request
        patch.setattr(FieldDefinitions, "read_again", lambda *_: None)
        logging.disable(logging.CRITICAL)
        yield Tables(shared)
        logging.disable(logging.NOTSET)


def test_random_pages(tables: Tables) -> None:
    """Pages have bad rows between good ones, truncated or damaged bodies, and arbitrary envelopes."""
    for number, chance in inputs("pages"):
        name = chance.choice(list(PATHS))
        *good, model = tables.rows[name]
        texts = [encode_exactly(row).decode() for row in good]
        for _ in range(chance.randrange(1, 3)):
            bad = value(chance) if chance.random() < 0.2 else mutated(chance, model)
            texts.insert(chance.randint(0, len(texts)), bad)
        body = f'{{"success":true,"data":[{",".join(texts)}],"additional_data":{value(chance)}}}'.encode(
            "utf-8", "surrogatepass"
        )
        is_whole = chance.random() < 0.7
        if not is_whole:
            place = chance.randrange(len(body))
            body = body[:place] + chance.randbytes(chance.randrange(3)) + body[place + chance.randrange(9) :]
        try:
            rows = read(body, None).data
        except TryAgain:
            assert not is_whole, number
            continue
        if isinstance(rows, list):
            found = tables.written(name, rows)
            assert not is_whole or all(
                any(holds(each, row) for each in found) for row in tables.good[name]
            ), f"{name}, input {number}"


class Said:
    """Stands in for the client: returns bodies in turn, and repeats the last one."""

    def __init__(self, bodies: list[bytes]) -> None:
        self.bodies = bodies
        self.asked = 0

    def get(self, _: Request) -> Answer:
        self.asked += 1
        assert self.asked < 200, "the reading does not end"
        return read(self.bodies[min(self.asked, len(self.bodies)) - 1], None)


LISTINGS = (
    CursorListing("/x", price=1),
    OffsetListing("/x", price=1),
    OffsetListing("/x", price=1, is_sortable=False),
    OffsetListing("/x", price=1, has_updated_since=False),
    WholeListing("/x", price=1),
)


def envelope(chance: Random) -> str:
    """Return the keys beside the rows: nearly right, or arbitrary."""
    if chance.random() < 0.3:
        return value(chance)
    more, start = chance.choice(("true", "false", "1", "null")), chance.randrange(-1, 9)
    flat = f'{{"more_items_in_collection":{more},"next_start":{start},"next_cursor":"{chance.randrange(5)}"}}'
    return chance.choice((flat, f'{{"pagination":{flat}}}', "null"))


def test_random_walks() -> None:
    """Walks over a few pages, from any place, end in rows or in one sentence."""
    for _, chance in inputs("walks"):
        bodies = []
        for _ in range(chance.randrange(1, 5)):
            rows = [
                value(chance, 1)
                if chance.random() < 0.1
                else f'{{"id":{chance.randrange(9)},"update_time":"{time}"}}'
                for time in chance.choices(TIMES, k=chance.randrange(4))
            ]
            bodies.append(f'{{"data":[{",".join(rows)}],"additional_data":{envelope(chance)}}}'.encode())
        said: Any = Said(bodies)
        source = Source("test", said, FakeRun())
        since = chance.choice((None, datetime(2026, 1, 1, tzinfo=UTC)))
        place = {
            "start": chance.randrange(-1, 6),
            "last_id": chance.randrange(9),
            "cursor": chance.choice("ab"),
        }
        with suppress(PipedriveError, TryAgain):
            for page in chance.choice(LISTINGS).pages(source, since=since, checkpoint=place):
                assert isinstance(page.rows, list)


# Headers


def header(chance: Random) -> str:
    return chance.choice((*DATES, *NUMBERS, str(chance.randrange(200))))


NAMES = (
    *("Date", "Retry-After", "Location", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
    *("x-daily-ratelimit-token-limit", "x-daily-ratelimit-token-remaining"),
)


def test_random_headers() -> None:
    """With any headers and status, times and waits stay usable and the token ledger stays consistent."""
    ledger, now = Ledger(), 1_700_000_000.0
    for number, chance in inputs("headers"):
        headers: Mapping[str, str] = {name: header(chance) for name in NAMES if chance.random() < 0.7}
        moment, wait = retries.clock(headers.get("Date")), retries.seconds_to_wait(headers)
        assert moment is None or moment.utcoffset() == timedelta(0)
        assert wait is None or abs(wait) < 1e12
        response = requests.Response()
        response.status_code, response.reason = (
            chance.choice((201, 302, 400, 401, 403, 404, 429, 500, 503, 599)),
            "x",
        )
        response.headers.update(headers)
        problem = client._problem("/x", response, value(chance).encode("utf-8", "surrogatepass"), "renew it")
        assert isinstance(problem, PipedriveError | TryAgain), number
        assert "\n" not in str(problem)
        now += chance.random()
        with suppress(BudgetSpent, TryAgain):
            permit = ledger.admit(now, 20, 0.5, is_first=chance.random() < 0.2)
            if isinstance(permit, Permit):
                read_headers, is_up = RateLimitHeaders.read(headers), chance.choice((True, False, None))
                ledger.settle(
                    now + 0.1,
                    permit,
                    read_headers,
                    endpoint="/api/v2/deals",
                    is_up=is_up,
                    is_refused=chance.random() < 0.1,
                )
            else:
                assert 0 <= permit <= 60
        assert ledger.is_plausible(now + 0.1), number


# States and catalogs

KNOWN = {str(stream.name) for stream in STREAMS}  # type: ignore[misc]


def test_random_states_and_catalogs() -> None:
    """Arbitrary JSON as state or catalog gives usable bookmarks or one sentence."""
    settings = [
        Settings(api_token=TOKEN),
        Settings(api_token=TOKEN, start_date=datetime(2026, 1, 1, tzinfo=UTC)),
    ]
    logging.disable(logging.CRITICAL)
    for _, chance in inputs("states"):
        mark = ",".join(
            f"{json.dumps(chance.choice(KEYS))}:{value(chance)}" for _ in range(chance.randrange(4))
        )
        text = chance.choice((f'{{"bookmarks":{{"notes":{{{mark}}}}}}}', f"{{{mark}}}"))
        try:
            given = json.loads(text)
        except ValueError:  # a number with thousands of digits
            continue
        with suppress(PipedriveError):
            check_catalog(given, KNOWN)
        with suppress(PipedriveError):
            check_state(given)
            state = migrated(given).get("bookmarks", {}).get("notes", {})
            for listing in LISTINGS[:2]:
                walk = Walk(
                    "x", listing, state, bookmark="t", is_whole=False, settings=chance.choice(settings)
                )
                assert walk.rows_in_last_pass >= 0
                assert isinstance(walk.checkpoint, dict)
                assert walk.since is None or walk.since.utcoffset() == timedelta(0)
    logging.disable(logging.NOTSET)
