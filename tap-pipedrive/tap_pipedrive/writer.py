"""Singer messages to standard output, fast: a page of RECORD lines in one write."""

import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from singer_sdk.contrib.msgspec import MsgSpecWriter

encode = msgspec.json.Encoder(decimal_format="number").encode
"""JSON with exact numbers, times in RFC 3339 and UTC as Z."""


class Writer(MsgSpecWriter):
    """The SDK's msgspec writer, and whole pages."""

    def write_records(self, stream: str, rows: Iterable[dict[str, Any]], time_extracted: datetime) -> None:
        """Write one RECORD message per row."""
        head = b'{"type":"RECORD","stream":' + encode(stream) + b',"record":'
        tail = b',"time_extracted":' + encode(time_extracted) + b"}\n"
        lines = [part for row in rows for part in (head, encode(row), tail)]
        sys.stdout.buffer.write(b"".join(lines))
