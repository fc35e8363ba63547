"""Singer messages to standard output, fast: a page of RECORD lines in one write."""

import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.singerlib.encoding.simple import Message

from tap_pipedrive.errors import PipedriveError

encode = msgspec.json.Encoder(decimal_format="number").encode
"""JSON with exact numbers, times in RFC 3339 and UTC as Z."""


class Writer(MsgSpecWriter):
    """The SDK's msgspec writer, and whole pages. Raises PipedriveError when nobody reads any more."""

    def write_message(self, message: Message) -> None:
        """Write a SCHEMA or STATE message."""
        try:
            super().write_message(message)
        except BrokenPipeError:
            raise _target_gone() from None

    def write_records(self, stream: str, rows: Iterable[dict[str, Any]], version: int) -> None:
        """Write one RECORD message per row."""
        head = b'{"type":"RECORD","stream":' + encode(stream) + b',"record":'
        tail = b',"version":%d,"time_extracted":%s}\n' % (version, encode(datetime.now(UTC)))
        lines = [part for row in rows for part in (head, encode(row), tail)]
        try:
            sys.stdout.buffer.write(b"".join(lines))
        except BrokenPipeError:
            raise _target_gone() from None


def _target_gone() -> PipedriveError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the exit has nothing to flush
    return PipedriveError("The target stopped reading: see what it says.")
