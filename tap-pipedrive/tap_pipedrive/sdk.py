"""The one place that uses the Singer SDK beyond its public interface, each use with its reason.

`tests/tap/test_sdk.py` lists the names and signatures that this file stands on, and runs against the oldest and
the newest supported release.
"""

import logging
import traceback
from abc import abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from singer_sdk import Tap
from singer_sdk.exceptions import MapExpressionError, StreamMapConfigError
from singer_sdk.mapper import StreamMap
from singer_sdk.singerlib import Catalog, CatalogEntry
from singer_sdk.streams import Stream

from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.stream_maps import StreamMaps
from tap_pipedrive.writer import States, Writer


@contextmanager
def _explained() -> Iterator[None]:
    """Turn an error in the stream maps into a sentence."""
    try:
        yield
    except (StreamMapConfigError, MapExpressionError) as error:
        raise PipedriveError(f"Setting stream_maps is wrong: {error}") from None


class SdkStream(Stream):
    """A stream that is written page by page instead of record by record."""

    def __init__(self, tap: "SdkTap") -> None:
        super().__init__(tap=tap)
        self.tap = tap
        # The SDK logs an error that it also raises; `__main__` reports it once. With singer-sdk 0.55 the logger of
        # a stream is a LoggerAdapter, which has no filters of its own.
        logger: Any = self.logger
        logger = logger.logger if isinstance(logger, logging.LoggerAdapter) else logger
        logger.addFilter(lambda record: "An unhandled error occurred" not in str(record.msg))

    @abstractmethod
    def sync_pages(self) -> None:
        """Write the rows of the run, and the state after each page."""

    def _sync_records(self, context: Mapping[str, Any] | None = None, **_: Any) -> Generator[Any, Any, Any]:
        """Write all pages.

        Overridden, as the SDK goes record by record (selection, conformance, maps and a flush for each) at a tenth
        of the speed, and as its states in a first load are no points to resume from.
        """
        self.sync_pages()
        yield from ()

    def get_replication_key_signpost(self, context: Mapping[str, Any] | None = None) -> None:
        """Return None: the SDK's signpost is the host's clock, bookmarks go by Pipedrive's."""

    @property
    def catalog_entry(self) -> CatalogEntry:
        """The stream as the catalog shows it. The SDK has it for whole catalogs only."""
        return self._singer_catalog_entry

    def forget_selection(self) -> None:
        """Make the selection anew when it is needed next: the SDK keeps it with the old columns."""
        self._metadata = self._mask = None

    def forget_stream_maps(self) -> None:
        """Make the stream maps anew when they are needed next: the SDK keeps them with the old schema."""
        self._stream_maps = []

    def write_schema(self) -> None:
        """Write a SCHEMA message. The SDK writes one when the stream begins, and offers no second one."""
        self._write_schema_message()

    def write_activate_version(self, version: int) -> None:
        """Write an ACTIVATE_VERSION message. The SDK would write it before the first row, so that a run that
        ends early would leave a table of rows marked as deleted."""
        self._write_activate_version_message(version)

    def write_state(self) -> None:
        """Write a STATE message with the state as it is now."""
        self.tap.state_writer.write_state(self.tap_state)

    def mapped(self, stream_map: StreamMap, row: dict[str, Any]) -> dict[str, Any] | None:
        """Return a row as a stream map makes it; None if the map leaves it out. Raises PipedriveError with the
        column, which the SDK does not tell, and without the row's values."""
        try:
            return stream_map.transform(row)
        except Exception as error:  # noqa: BLE001  whatever an expression of the user's runs into
            kind = type(error.__cause__ or error).__name__
            raise PipedriveError(
                f"Setting stream_maps, stream {self.name}, {_rule_of(error)} fails with {kind} for a row: "
                "correct it."
            ) from None

    def stop_at_record_limit(self, count: int) -> None:
        """Stop the stream when `--test` has its rows. Raises the SDK's own exception, which `--test` expects."""
        self._check_max_record_limit(count)


def _rule_of(error: Exception) -> str:
    """Return the column and the expression that the SDK was about to evaluate: only its frames know them."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "_eval" and "expr" in frame.f_locals:
            column = frame.f_locals.get("property_name") or "__filter__"
            return f"column {column}: the expression {frame.f_locals['expr']!r}"
    return "the map"


class SdkTap(Tap):
    """A tap with an end of its runs, settings checked by pydantic, and streams in an order of its own."""

    message_writer_class = Writer

    maps: StreamMaps
    """The user's stream maps."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._state_writer = States(self.writer)  # type: ignore[assignment]

    @property
    def streams(self) -> Mapping[str, Any]:  # type: ignore[override]
        """The streams by name. The SDK would keep those that it had when an error ended their making, and never
        make the others."""
        try:
            return super().streams
        except BaseException:
            self._streams = None
            raise

    @property
    def writer(self) -> Writer:
        """The writer of messages."""
        assert isinstance(self.message_writer, Writer)  # noqa: S101
        return self.message_writer

    @abstractmethod
    def check_settings(self, *, raise_errors: bool) -> list[str]:
        """Check the settings, and return what is wrong with them as sentences."""

    @abstractmethod
    def run_streams(self) -> None:
        """Sync the selected streams by `sync_streams`, and report the run."""

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings. Overridden, as the SDK's messages quote JSON Schema."""
        self.append_builtin_config(self.config_jsonschema)
        return self.check_settings(raise_errors=raise_errors)

    def sync_all(self) -> None:  # type: ignore[misc]
        """Run the tap. Overridden although the SDK calls it final, as the SDK has no hook for the end of a run."""
        self.run_streams()

    def sync_streams(self) -> None:
        """Sync the selected streams as the SDK does."""
        super().sync_all()

    def working_catalog(self, streams: Iterable[SdkStream]) -> Catalog:
        """Return the catalog of these streams. The SDK would keep the input catalog, which may be older."""
        if self._catalog is None:
            self._catalog = Catalog((stream.name, stream.catalog_entry) for stream in streams)
        return self._catalog

    def register_schema(self, stream: SdkStream) -> None:
        """Tell the mapper that a stream has new columns."""
        with _explained():
            self.mapper.register_raw_streams_from_catalog(Catalog({stream.name: stream.catalog_entry}))

    def setup_mapper(self) -> None:
        """Make the mapper. Raises PipedriveError for stream maps that do not fit the columns."""
        with _explained():
            super().setup_mapper()

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """Stop on SIGINT and SIGTERM. Overridden, as the SDK exits with 0, as if all had been read."""
        self.logger.error("Interrupted: the next run continues where this one stopped.")
        self.writer.exit(128 + signum)
