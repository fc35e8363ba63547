"""Lower bounds of the cost: a loop without a tap, and a downloader without one.

python benchmarks/bare.py loop FOLDER               decodes pages, writes their records as messages
python benchmarks/bare.py download URL LIST …       downloads lists in parallel, and nothing else
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import msgspec
import requests
from tap_pipedrive.definitions import FIELD_LISTINGS
from tap_pipedrive.http_listing import HttpListing
from tap_pipedrive.streams import STREAMS

BURST, WINDOW_SECONDS = 20, 2.15
"""Requests in a window, which is a little longer than Pipedrive's because requests arrive unevenly."""


class Window:
    """Limits the requests within a number of seconds."""

    def __init__(self) -> None:
        self._sent: deque[float] = deque([0.0] * BURST, BURST)
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            time.sleep(max(self._sent[0] + WINDOW_SECONDS - time.monotonic(), 0))
            self._sent.append(time.monotonic())


@click.group()
def main() -> None:
    """Measure lower bounds."""


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def loop(folder: Path) -> None:
    """Decode pages of deals and write each record as a RECORD message; print the shortest time."""
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    head, tail = b'{"type":"RECORD","stream":"deals","record":', b',"version":1}\n'
    pages = [path.read_bytes() for path in sorted(folder.iterdir())]
    times = []
    for _ in range(5):
        begun = time.perf_counter(), time.process_time()
        count = 0
        for page in pages:
            rows = decode(page)["data"]
            count += len(rows)
            sys.stdout.buffer.write(b"".join(part for row in rows for part in (head, encode(row), tail)))
        times.append((time.perf_counter() - begun[0], time.process_time() - begun[1]))
    click.echo(json.dumps([count / min(each) for each in zip(*times, strict=True)]), err=True)


@main.command()
@click.argument("url")
@click.argument("names", nargs=-1)
def download(url: str, names: tuple[str, ...]) -> None:
    """Download the lists of streams and the definitions of their custom fields, with a thread for each list.

    The limit is 20 requests in 2 seconds.
    """
    window = Window()
    streams = [stream for stream in STREAMS if vars(stream)["name"] in names]
    entities = {stream.custom_fields_of for stream in streams if stream.custom_fields_of}
    lists = [listing for stream in streams for listing in stream.listings if isinstance(listing, HttpListing)]
    lists += [FIELD_LISTINGS[entity] for entity in entities]
    with ThreadPoolExecutor(len(lists)) as threads:
        for walk in [threads.submit(_walk, window, url, listing) for listing in lists]:
            walk.result()


def _walk(window: Window, url: str, listing: HttpListing) -> None:
    session = requests.Session()
    session.headers["x-api-token"] = "sandbox-token"
    params = {**listing.params, "limit": "500"}
    while True:
        window.wait()
        answer = session.get(url + listing.path, params=params, timeout=60)
        if answer.status_code == 429:  # a busy machine delayed a request until the next window
            continue
        answer.raise_for_status()
        more = msgspec.json.decode(answer.content)["additional_data"]
        more = more.get("pagination", more)
        following = [("cursor", more.get("next_cursor")), ("start", more.get("next_start"))]
        if not any(place for _, place in following):
            return
        params |= {name: str(place) for name, place in following if place}


if __name__ == "__main__":
    main()
