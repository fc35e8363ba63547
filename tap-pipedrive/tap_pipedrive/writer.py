"""Writes Singer messages to standard output, a page of RECORD lines in one write."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.singerlib.encoding.simple import Message

from tap_pipedrive.errors import OutputGone, PipedriveError
from tap_pipedrive.reader import noticed
from tap_pipedrive.values import encode

TICK = timedelta(microseconds=1)


class Writer(MsgSpecWriter):
    """The SDK's msgspec writer, for whole pages. Raises OutputGone when the output fails."""

    def __init__(self) -> None:
        super().__init__()
        self.last_row_at: dict[str, datetime] = {}
        """`time_extracted` of the last row of each stream."""
        self._is_writing = False
        self._exit_code: int | None = None

    def write_message(self, message: Message) -> None:
        """Write a SCHEMA or ACTIVATE_VERSION message."""
        self.write_line(self.format_message(message))

    def write_line(self, line: bytes | bytearray) -> None:
        """Write a message that is encoded already."""
        with self._whole_lines():
            _write(line)
            sys.stdout.flush()

    def write_records(self, stream: str, rows: Iterable[dict[str, Any]], version: int) -> None:
        """Write one RECORD message per row. The last one has a time of its own: when the warehouse has that row,
        it has the others as well, as a loader writes rows in their order."""
        head = b'{"type":"RECORD","stream":' + encode(stream) + b',"record":'
        now = datetime.now(UTC)
        if stream in self.last_row_at:  # the clock may be set back meanwhile
            now = max(now, self.last_row_at[stream] + TICK)
        last = now + TICK
        tail, last_tail = (
            b',"version":%d,"time_extracted":%s}\n' % (version, encode(at)) for at in (now, last)
        )
        try:
            lines = [part for row in rows for part in (head, encode(row), tail)]
        except TypeError as error:  # only a stream map makes such values
            raise PipedriveError(
                f"Setting stream_maps, stream {stream}: a value is no JSON ({error}): correct it."
            ) from None
        if not lines:
            return
        lines[-1] = last_tail
        with self._whole_lines():
            _write(b"".join(lines))
        self.last_row_at[stream] = last

    def exit(self, code: int) -> None:
        """Exit when the line that is being written is complete: half a line would make the target fail. The
        second call exits at once, as nobody may be reading."""
        if not self._is_writing or self._exit_code is not None:
            sys.exit(code)
        self._exit_code = code

    @contextmanager
    def _whole_lines(self) -> Iterator[None]:
        self._is_writing = True
        try:
            yield
        except BrokenPipeError:
            raise _broken("The target stopped reading: see what it says.") from None
        except OSError as error:
            raise _broken(
                f"The output cannot be written: {error.strerror}; run again when it can: the next run continues "
                "where this one stopped."
            ) from None
        finally:
            self._is_writing = False
        if self._exit_code is not None:
            sys.exit(self._exit_code)


class States:
    """Writes a STATE message when the state has changed.

    The SDK's own writer copies the whole state twice for each message, which took a third of a short run's time.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._last = b""

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Write the state, unless it was written last. Raises OutputGone when the output fails."""
        line = encode({"type": "STATE", "value": state}) + b"\n"
        if line != self._last:
            self._writer.write_line(line)
            self._last = line


def _write(text: bytes | bytearray) -> None:
    """Write all of a text, as a signal cuts a write short when PYTHONUNBUFFERED removes the buffer. The views are
    released: the SDK uses the buffer of a message again, even if this one fails."""
    done = 0
    with memoryview(text) as whole:
        while done < len(whole):
            with whole[done:] as rest:
                done += sys.stdout.buffer.write(rest)


def _broken(sentence: str) -> OutputGone:
    noticed.set()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the exit has nothing to flush
    return OutputGone(sentence)
