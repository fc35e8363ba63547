"""Milliseconds that the sandbox takes to serve a page of 500 deals with at least 40 custom fields.

    python benchmarks/sandbox_page.py

On the first walk a page is rendered when it is asked for; on later ones it is found rendered.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import orjson
import requests


@click.command()
@click.option("--deals", default=10_000, show_default=True)
def main(deals: int) -> None:
    """Walk all deals twice and print the time of a page on each walk."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.json"
        command = [sys.executable, "-m", "pipedrive_sandbox", "serve", "--port", "0", "--burst", "0"]
        server = subprocess.Popen([*command, "--deals", str(deals), "--ready-file", str(ready)])
        try:
            while not ready.exists() and server.poll() is None:
                time.sleep(0.05)
            walk_twice(orjson.loads(ready.read_bytes()))
        finally:
            server.terminate()
            server.wait()


def walk_twice(server: dict[str, str]) -> None:
    """Print the median time of a page of all deals, twice."""
    session = requests.Session()
    session.headers["x-api-token"] = server["token"]
    for walk in ("first", "second"):
        times: list[float] = []
        params = {"limit": "500"}
        while True:
            begun = time.perf_counter()
            content = session.get(f"{server['url']}/api/v2/deals", params=params, timeout=60).content
            times.append(1000 * (time.perf_counter() - begun))
            page = orjson.loads(content)
            if len(times) == 1:
                fields = len(page["data"][0]["custom_fields"])
                click.echo(f"{len(page['data'])} deals, {fields} custom fields, {len(content):,} bytes")
            if not page["additional_data"]["next_cursor"]:
                break
            params["cursor"] = page["additional_data"]["next_cursor"]
        click.echo(f"{walk} walk: {len(times)} pages, median {statistics.median(times):.1f} ms a page")


if __name__ == "__main__":
    main()
