"""Helpers that the tap's tests share: runs of the tap in the test's own process, and a scriptable server."""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec
from tap_pipedrive.answers import Answer
from tap_pipedrive.client import Request
from tap_pipedrive.http_listing import HttpListing
from tap_pipedrive.memory import Memory
from tap_pipedrive.parents import ParentIndex
from tap_pipedrive.settings import Settings
from tap_pipedrive.source import Listed, Source
from tap_pipedrive.streams import STREAMS
from tap_pipedrive.sync import PipedriveStream
from tap_pipedrive.tap import TapPipedrive

T = TypeVar("T")
R = TypeVar("R")

TOKEN = "sandbox-token"
AT_ONCE: dict[str, Any] = {"reference_max_age": 0, "cache_seconds": 0}
"""Settings with which each run reads all lists and sees every change; tests of list age and cache replace them."""
Record = dict[str, Any]
Key = tuple[Any, ...]


def loads(text: str | bytes) -> Any:
    """Parse JSON with exact numbers."""
    return json.loads(text, parse_float=Decimal)


# Runs


@dataclass
class Run:
    """The messages of a run, and the error that ended it."""

    messages: list[Record]
    tap: TapPipedrive | None = None
    error: BaseException | None = None

    def of(self, kind: str, stream: str | None = None) -> list[Record]:
        """Return the messages of one kind, optionally of one stream."""
        return [
            message
            for message in self.messages
            if message["type"] == kind and stream in (None, message.get("stream"))
        ]

    def records(self, stream: str) -> list[Record]:
        """Return a stream's records in order, including duplicates."""
        return [message["record"] for message in self.of("RECORD", stream)]

    def columns(self, stream: str) -> dict[str, Record]:
        """Return a stream's columns from its last SCHEMA message."""
        properties: dict[str, Record] = self.of("SCHEMA", stream)[-1]["schema"]["properties"]
        return properties

    @property
    def state(self) -> Record:
        """Return the last state."""
        state: Record = self.of("STATE")[-1]["value"]
        return state

    def good(self) -> Run:
        """Return this run, or raise the error that ended it."""
        if self.error:
            raise self.error
        return self


def run(
    url: str,
    *,
    state: Record | None = None,
    catalog: Record | None = None,
    token: str = TOKEN,
    **settings: Any,
) -> Run:
    """Run the tap against a server; an error that it raises is kept in the result."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    config = {"api_url": url, "api_token": token, **AT_ONCE, **settings}
    tap, error = None, None
    with redirect_stdout(out):
        try:
            tap = TapPipedrive(config=config, state=deepcopy(state), catalog=deepcopy(catalog))
            tap.sync_all()
        except Exception as problem:  # noqa: BLE001
            error = problem
        out.flush()
        written = out.buffer.getvalue()
    return Run([loads(line) for line in written.splitlines()], tap, error)


def discover(url: str, **settings: Any) -> Record:
    """Return the catalog that `--discover` prints."""
    catalog: Record = TapPipedrive(
        config={"api_url": url, "api_token": TOKEN, **AT_ONCE, **settings}
    ).catalog_dict
    return loads(json.dumps(catalog, default=str))  # type: ignore[no-any-return]


def select(catalog: Record, *streams: str, without: Iterable[str] = ()) -> Record:
    """Return the catalog with only these streams selected, and without some columns (such as `deals.title`)."""
    chosen = deepcopy(catalog)
    off = {tuple(name.split(".")) for name in without}
    for entry in chosen["streams"]:
        for item in entry["metadata"]:
            crumb = item["breadcrumb"]
            if not crumb:
                item["metadata"]["selected"] = entry["tap_stream_id"] in streams
            elif (entry["tap_stream_id"], crumb[1]) in off:
                item["metadata"]["selected"] = False
    return chosen


Tables = dict[str, dict[Key, Record]]


def replay(messages: Iterable[Record], tables: Tables | None = None) -> Tables:
    """Return what a target holds after these messages: rows by primary key, where the last one wins."""
    tables = {} if tables is None else tables
    keys: dict[str, Sequence[str]] = {}
    for message in messages:
        if message["type"] == "SCHEMA":
            keys[message["stream"]] = message["key_properties"]
        elif message["type"] == "RECORD":
            stream, record = message["stream"], message["record"]
            tables.setdefault(stream, {})[tuple(record[key] for key in keys[stream])] = record
    return tables


# Lists without HTTP


def lists_of(stream: type[PipedriveStream]) -> list[HttpListing]:
    """Return the API lists that a stream reads, including those of its parents and of field definitions."""
    found = [getattr(listing, "list_of", listing) for listing in stream.listings]
    return [listing for listing in found if isinstance(listing, HttpListing)]


PRICES = {"/api/v1/users/me": 2} | {each.path: each.price for one in STREAMS for each in lists_of(one)}
"""API tokens per request, by endpoint."""


def request(endpoint: str, params: Mapping[str, str | int] | None = None, **ids: Any) -> Request:
    """A request of a stream named `test`."""
    return Request(endpoint, params or {}, ids, PRICES[endpoint], "test")


def cost(endpoint: str) -> tuple[int, str, str]:
    """The arguments of `Limits.request`: the price, the stream that asks, the endpoint."""
    return PRICES[endpoint], "test", endpoint


class FakeClient:
    """Stands in for `Client`: a function answers every request."""

    def __init__(self, answer: Callable[[str, Mapping[str, Any]], Any], served_at: Any = None) -> None:
        self.answer = answer
        self.served_at = served_at
        self.asked: list[dict[str, Any]] = []

    def get(self, request: Request) -> Answer:
        self.asked.append({**request.query, **request.ids})
        assert len(self.asked) < 200, "the reading does not end"
        body = self.answer(request.endpoint, request.query)
        return Answer(msgspec.json.encode(body["data"]), body.get("additional_data"), self.served_at)


class FakeRun:
    """Stands in for the run, with what a listing needs of it."""

    def __init__(self) -> None:
        self.settings = Settings(api_token=TOKEN)
        self.checks: Any = None
        self.left_to_ask: dict[str, tuple[int, int]] = {}

    def field_definitions(self, entity: str) -> Listed:
        return Listed([], None)

    def cached_list(self, stream: str, endpoint: str) -> Answer | None:
        return None

    def keep_list(self, stream: str, endpoint: str, rows: Sequence[Any], served_at: datetime | None) -> None:
        """Discard the list."""

    def column_names(self, entity: str) -> Mapping[str, str]:
        return {}

    def reads_fields_of(self, entity: str) -> bool:
        return True

    def parent_index(self, stream: str, since: datetime | None, source: Source) -> ParentIndex:
        return ParentIndex([])

    def memory(self, stream: str) -> Memory:
        return Memory({})

    def in_flight(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        return map(function, items)


def source_of(client: FakeClient) -> Source:
    """Return the source of a listing whose requests are answered by a function."""
    stand_in: Any = client
    return Source("test", stand_in, FakeRun())


# A scriptable server


@dataclass(frozen=True)
class Say:
    """An answer of the scripted server."""

    status: int = 200
    body: bytes = b'{"success":true,"data":[]}'
    headers: Mapping[str, str] = field(default_factory=dict)
    date: str | None = "Sun, 22 Nov 2026 01:00:00 GMT"
    claimed_length: int | None = None
    """The Content-Length to send if it differs from the body's length."""
    reason: str | None = None
    """The reason phrase to send if it differs from the standard one."""


def say(body: Any, status: int = 200, **headers: str) -> Say:
    """Return an answer in JSON; header names are given with `_` in place of `-`."""
    return Say(status, json.dumps(body).encode(), {k.replace("_", "-"): v for k, v in headers.items()})


RESET = "reset"
"""Instead of an answer, the connection breaks."""

Script = Callable[["Asked"], "Say | str"]


@dataclass(frozen=True)
class Asked:
    """A request as the server received it."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]
    line: str
    number: int
    """Counted from 0."""
    body: str = ""


@dataclass
class Fake:
    """The server's address and the requests that it received."""

    url: str
    asked: list[Asked]


@contextmanager
def fake(script: Script | Sequence[Say | str], *, sends_burst_limit: bool = True) -> Iterator[Fake]:
    """Serve a script: either a function, or a sequence of answers whose last one repeats.

    Unless it sends a burst limit, which is large, the tap waits as on the smallest plan.
    """
    burst = {"x-ratelimit-limit": "10000"} if sends_burst_limit else {}
    asked: list[Asked] = []
    answers = script if callable(script) else None

    def next_answer(request: Asked) -> Say | str:
        if answers:
            return answers(request)
        listed: Sequence[Say | str] = script  # type: ignore[assignment]
        return listed[min(request.number, len(listed) - 1)]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0))).decode()
            params = dict(parse_qsl(parts.query))
            request = Asked(parts.path, params, headers, self.requestline, len(asked), body)
            asked.append(request)
            answer = next_answer(request)
            if isinstance(answer, str):
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
                self.close_connection = True
                return
            length = len(answer.body) if answer.claimed_length is None else answer.claimed_length
            self.send_response_only(answer.status, answer.reason)
            sent = {"Content-Type": "application/json", "Content-Length": str(length), **burst}
            for name, value in {**sent, **answer.headers}.items():
                self.send_header(name, value)
            if answer.date is not None:
                self.send_header("Date", answer.date)
            self.end_headers()
            self.wfile.write(answer.body)
            if length != len(answer.body):
                self.close_connection = True

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args: Any) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Fake(f"http://127.0.0.1:{server.server_address[1]}", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def account(
    lists: Mapping[str, Sequence[Any]], *, spoil: Callable[[Asked], Say | str | None] | None = None
) -> Script:
    """Serve a small account with rows by endpoint; other lists are empty, and `spoil` may answer instead."""

    def script(request: Asked) -> Say | str:
        if spoil and (instead := spoil(request)) is not None:
            return instead
        rows = list(lists.get(request.path, ()))
        more = {"next_cursor": None} if request.path.startswith("/api/v2/") else None
        return Say(body=encode_exactly({"success": True, "data": rows, "additional_data": more}))

    return script


encode_exactly = msgspec.json.Encoder(decimal_format="number").encode
"""JSON in which a Decimal keeps all its digits."""


def field_definition(key: str, name: str | None, kind: str, options: Any = None) -> Record:
    """A custom field as `GET /api/v2/dealFields` defines it."""
    return {
        "field_code": key,
        "field_name": name,
        "field_type": kind,
        "options": options,
        "subfields": None,
        "is_custom_field": True,
        "is_optional_response_field": False,
    }
