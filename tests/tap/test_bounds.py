"""Bounds of an exchange: answers that are too large, and answers that never end."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from tap_pipedrive import answers, bounds
from tap_pipedrive.auth import ApiToken, OAuth
from tap_pipedrive.client import Client
from tap_pipedrive.errors import PipedriveError, Unavailable

from .harness import Say, fake, request, say

GOOD = b'HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{"data":[{"id":1}    ]}'
MB = 2**20

Answer = Callable[[socket.socket], None]


@contextmanager
def sockets(*scripts: Answer, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve one script per connection in turn; the last one repeats."""
    listener = socket.create_server(("127.0.0.1", 0))
    is_over = threading.Event()

    def answer(number: int, connection: socket.socket) -> None:
        with suppress(OSError), tls.wrap_socket(connection, server_side=True) if tls else connection as ours:
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += ours.recv(65536)
            scripts[min(number, len(scripts) - 1)](ours)

    def accept() -> None:
        number = 0
        while not is_over.is_set():
            with suppress(OSError):
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(number, connection), daemon=True).start()
                number += 1

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        is_over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def ask(url: str) -> Any:
    return Client(ApiToken(url, "token")).get(request("/api/v2/deals")).data


def answer_of(content: bytes) -> Answer:
    """Send a whole answer."""
    return lambda connection: connection.sendall(content)


def drip(head: bytes, part: bytes) -> Answer:
    """Send a head, and then small parts at short intervals without end."""

    def script(connection: socket.socket) -> None:
        connection.sendall(head)
        pause = threading.Event()
        while not pause.wait(0.02):
            connection.sendall(part)

    return script


def flood(head: bytes, part: bytes) -> Answer:
    """Send a head, and then parts as fast as the client takes them, without end."""

    def script(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(part)

    return script


# Size


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the largest answer from 64 MB to 2 MB."""
    monkeypatch.setattr(bounds, "LARGEST_BODY", 2 * MB)


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


ZEROS = gzip.compress(b'{"data":[' + b"0," * (100 * MB), compresslevel=1)
PACKED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
LARGE: dict[str, Answer] = {
    "a length": flood(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", b" " * 65536),
    "no length": flood(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536),
    "chunks": flood(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3e8\r\n" + b" " * 1000 + b"\r\n"
    ),
    "one chunk": flood(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3fffffff\r\n", b" " * 65536),
    "an error": flood(b"HTTP/1.1 500 Oops\r\n\r\n", b" " * 65536),
    "packed": answer_of(PACKED + b"Content-Length: %d\r\n\r\n" % len(ZEROS) + ZEROS),
    "packed, in chunks": answer_of(PACKED + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(ZEROS, 100_000)),
}


@pytest.mark.usefixtures("sleeps", "small")
@pytest.mark.parametrize("answer", LARGE.values(), ids=LARGE)
def test_an_answer_that_is_too_large_fails_in_one_sentence_and_uses_little_memory(answer: Answer) -> None:
    tracemalloc.start()
    try:
        with sockets(answer) as url, pytest.raises(Unavailable) as caught:
            ask(url)
        assert tracemalloc.get_traced_memory()[1] < 20 * MB
    finally:
        tracemalloc.stop()
    assert "GET /api/v2/deals failed 5 times, at last with an answer of more than 2 MB: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("sleeps")
@pytest.mark.parametrize("packs", [False, True])
def test_an_answer_of_the_largest_size_is_read(packs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"data":["' + b"x" * 3_000_000 + b'"]}'
    headers = {"Content-Encoding": "gzip"} if packs else {}
    with fake([Say(body=gzip.compress(body) if packs else body, headers=headers)]) as server:
        monkeypatch.setattr(bounds, "LARGEST_BODY", len(body))
        assert ask(server.url) == ["x" * 3_000_000]
        monkeypatch.setattr(bounds, "LARGEST_BODY", len(body) - 1)
        with pytest.raises(Unavailable):
            ask(server.url)


@pytest.mark.usefixtures("sleeps")
@pytest.mark.parametrize("empty", [b"{}", b"[]"])
def test_an_answer_with_too_many_objects_fails_in_one_sentence(empty: bytes) -> None:
    many = b'{"data":[' + b",".join([empty] * (answers.MOST_VALUES + 1)) + b"]}"
    packed = Say(body=gzip.compress(many, 1), headers={"Content-Encoding": "gzip"})
    with fake([packed]) as server, pytest.raises(Unavailable, match="more than 2,097,152 objects and lists"):
        ask(server.url)


# Duration


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the deadline from five minutes to half a second."""
    monkeypatch.setattr(bounds, "EXCHANGE_SECONDS", 0.5)


ENDLESS: dict[str, Answer] = {
    "a body byte by byte": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b" "),
    "a body without a length": drip(b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    "chunks": drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a packed body": drip(PACKED + b"Content-Length: 99999\r\n\r\n" + ZEROS[:10], b"\0"),
    "a header byte by byte": drip(b"HTTP/1.1 200 OK\r\nX-Odd: ", b"x"),
    "a status line byte by byte": drip(b"HTTP/1.1 200 ", b"O"),
    "100 Continue": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "100 Continue now and then": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "silence": drip(b"", b""),
    "an error": drip(b"HTTP/1.1 500 Oops\r\nContent-Length: 99999\r\n\r\n", b" "),
}


@pytest.mark.usefixtures("sleeps", "hasty")
@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS)
def test_an_answer_that_never_ends_is_retried_and_then_reported(answer: Answer) -> None:
    with sockets(answer, answer, answer_of(GOOD)) as url:
        assert ask(url) == [{"id": 1}]
    with sockets(answer) as url, pytest.raises(Unavailable) as caught:
        ask(url)
    assert " failed 5 times, at last with no complete answer within 0.5 s: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("sleeps")
def test_a_connection_is_reused_after_a_whole_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline applies to each answer, not to the connection."""
    monkeypatch.setattr(bounds, "EXCHANGE_SECONDS", 5)
    connections = []

    def three(taker: socket.socket) -> None:
        connections.append(taker)
        for _ in range(3):
            taker.sendall(GOOD)
            monkeypatch.setattr(time, "monotonic", lambda real=time.monotonic: real() + 4)
            taker.recv(65536)

    with sockets(three) as url:
        client = Client(ApiToken(url, "token"))
        for _ in range(3):
            assert client.get(request("/api/v2/deals")).data == [{"id": 1}]
    assert len(connections) == 1


@pytest.mark.usefixtures("sleeps", "hasty")
def test_an_encrypted_answer_has_the_same_deadline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    endless, good = ENDLESS["a body byte by byte"], answer_of(GOOD)
    with sockets(endless, endless, good, tls=context) as url:
        assert ask(url) == [{"id": 1}]
    with sockets(endless, tls=context) as url, pytest.raises(Unavailable, match=r"no complete answer"):
        ask(url)


# Bounds of the authorization server's answers


@pytest.mark.usefixtures("sleeps", "hasty", "small")
@pytest.mark.parametrize("answer", [LARGE["packed"], LARGE["no length"], ENDLESS["100 Continue"]])
def test_a_grant_that_never_ends_is_reported_in_one_sentence(answer: Answer) -> None:
    with sockets(answer) as url, pytest.raises(PipedriveError, match=r"POST .* failed 5 times"):
        OAuth(url, url, "id", "secret", "refresh").access()


def test_a_whole_grant_is_read() -> None:
    with fake([say({"access_token": "new", "expires_in": 60})]) as server:
        access = OAuth(server.url, server.url, "id", "secret", "refresh").access()
    assert access.value == "Bearer new"
