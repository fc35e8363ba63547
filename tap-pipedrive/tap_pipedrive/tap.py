"""The tap: settings in, streams out."""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import FrameType
from typing import IO, Any, ClassVar, TypeVar

import click
from pydantic import ValidationError
from singer_sdk import Tap
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities, TapCapabilities
from singer_sdk.singerlib import Catalog

from tap_pipedrive import metrics
from tap_pipedrive.ahead import LookAhead, Pool
from tap_pipedrive.auth import auth_of, log_owner
from tap_pipedrive.bookmarks import Walk
from tap_pipedrive.children import ChildListing, Journal
from tap_pipedrive.client import Client
from tap_pipedrive.custom_fields import Definition
from tap_pipedrive.definitions import FIELD_ENDPOINTS, custom_fields
from tap_pipedrive.errors import BudgetSpent, NotAllowed, PipedriveError
from tap_pipedrive.limits import limits_of
from tap_pipedrive.listings import CursorListing, Page
from tap_pipedrive.migrate import migrated
from tap_pipedrive.rows import Row
from tap_pipedrive.settings import Settings, config_schema, sentences
from tap_pipedrive.stream import PipedriveStream
from tap_pipedrive.streams import STREAMS, RejectedValues
from tap_pipedrive.writer import Writer

T = TypeVar("T")
R = TypeVar("R")


class TapPipedrive(Tap):
    """Reads a Pipedrive account: every record, typed, with readable custom fields, incrementally."""

    name = "tap-pipedrive"
    config_jsonschema: ClassVar[dict[str, Any]] = config_schema()
    message_writer_class = Writer
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    settings: Settings
    client: Client

    def __init__(self, *, setup_mapper: bool = True, **kwargs: Any) -> None:
        """Take what the SDK's Tap takes.

        The mapper comes last: it needs the columns, and those of custom fields need the names in the state.
        """
        self._definitions: dict[str, list[dict[str, Any]]] = {}
        self._custom_fields: dict[str, dict[str, Definition]] = {}
        self._is_discovering = self._no_custom_fields = False
        self._walks: dict[str, list[tuple[Walk, Iterator[Page]]]] = {}
        self._pool = Pool(1)
        self.journals: dict[str, Journal] = {}
        """What the streams of this run said of their rows' children, by stream."""
        self._stopped: BudgetSpent | None = None
        self._undone: dict[str, None] = {}
        self.refused: dict[str, NotAllowed] = {}
        """Streams that the plan or the rights of the token do not cover."""
        super().__init__(setup_mapper=False, **kwargs)
        self.client = Client(auth_of(self.settings), limits_of(self.settings))
        if setup_mapper:
            try:
                self.setup_mapper()
            except BudgetSpent as error:  # before the columns are known: nothing is read
                self._stopped, self._no_custom_fields = error, True
                self.setup_mapper()

    def load_state(self, state: dict[str, Any]) -> None:
        """Begin where a state says, which may be one of singer-io's tap-pipedrive."""
        super().load_state(migrated(state))

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings. Overrides a private method of the SDK, whose messages speak JSON Schema."""
        self.append_builtin_config(self.config_jsonschema)
        builtin = self.config_jsonschema["properties"].keys() - Settings.model_fields.keys()
        own = {name: value for name, value in self.config.items() if name not in builtin}
        try:
            self.settings = Settings.model_validate(own)
        except ValidationError as error:
            errors = sentences(error)
            if raise_errors:
                raise PipedriveError(" ".join(errors)) from None
            self.settings = Settings.model_construct()
            self._no_custom_fields = True
            self.logger.warning("The catalog is without custom fields: %s", " ".join(errors))
            return errors
        return []

    @property
    def writer(self) -> Writer:
        """Where messages go."""
        assert isinstance(self.message_writer, Writer)  # noqa: S101
        return self.message_writer

    # Streams and their columns

    def discover_streams(self) -> list[PipedriveStream]:
        """All streams; their columns are looked up when they are needed."""
        return [stream(self) for stream in STREAMS]

    @property
    def streams(self) -> dict[str, Any]:
        """In the order of a run: what is small and cheap first. The SDK would sort them by name."""
        streams = super().streams
        return dict(sorted(streams.items(), key=lambda item: STREAMS.index(type(item[1]))))

    @property
    def catalog(self) -> Catalog:
        """What is selected, with the columns of the account as it is now: a catalog file may be older."""
        if self._catalog is None:
            selected = [stream for stream in self.streams.values() if stream.selected]
            self._catalog = Catalog((stream.name, stream._singer_catalog_entry) for stream in selected)
        return self._catalog

    def register_schema(self, stream: PipedriveStream) -> None:
        """Tell the mapper that a stream has new columns."""
        entry = stream._singer_catalog_entry
        self.mapper.register_raw_streams_from_catalog(Catalog({stream.name: entry}))

    @classmethod
    def invoke(cls, *, state: IO[str] | None = None, catalog: IO[str] | None = None, **kwargs: Any) -> None:
        """Run with files that hold what they should."""
        super().invoke(
            state=_json_object(state, "--state"), catalog=_json_object(catalog, "--catalog"), **kwargs
        )

    @classmethod
    def cb_config(
        cls: "type[TapPipedrive]", ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> Any:
        """Read the settings' files."""
        for path in value:
            if path != "ENV":
                _json_object(click.File(lazy=True).convert(path, param, ctx), "--config")
        return super().cb_config(ctx, param, value)

    @classmethod
    def cb_discover(cls: "type[TapPipedrive]", ctx: click.Context, param: click.Option, value: bool) -> None:
        """Discover with the state, if there is one: the names of custom-field columns are in it.

        Without them, a column that keeps its name while its field was renamed would stand in the catalog under
        the new name, and a rule that selects or deselects it would miss it.
        """
        if not value:
            return
        config = ctx.params["config"]
        state = _json_object(ctx.params.get("state"), "--state")
        tap = cls(
            config=config.config,
            state=state and json.load(state),
            parse_env_config=config.parse_env,
            validate_config=False,
            setup_mapper=False,
        )
        tap._is_discovering = True
        tap.run_discovery()
        ctx.exit()

    def definitions(self, entity: str) -> Sequence[dict[str, Any]]:
        """Field definitions of an entity, read once (`GET /api/v2/dealFields` and its siblings)."""
        if entity not in self._definitions:
            pages = CursorListing(FIELD_ENDPOINTS[entity]).pages(self, place={})
            self._definitions[entity] = [row for page in pages for row in page.rows if isinstance(row, dict)]
        return self._definitions[entity]

    def custom_fields(self, entity: str) -> Mapping[str, Definition]:
        """Custom fields of an entity, by key."""
        if entity not in self._custom_fields:
            self._custom_fields[entity] = self._read_custom_fields(entity)
        return self._custom_fields[entity]

    def _read_custom_fields(self, entity: str) -> dict[str, Definition]:
        """Look the fields up. A catalog is shown without them where there is no API to ask, and says so."""
        if entity == "project" and self._is_discovering:
            return {}  # an add-on: asking whether it is there would cost each discovery 10 tokens
        if not self._no_custom_fields:
            try:
                return custom_fields(self.definitions(entity))
            except NotAllowed as error:
                if self._has_columns_for(entity) and not self._is_discovering:
                    raise PipedriveError(
                        f"Custom fields of the entity {entity} have columns, which would not be filled: {error}"
                    ) from None
                self.logger.warning("Custom fields of the entity %s are missing: %s", entity, error)
            except PipedriveError as error:
                if not self._is_discovering:
                    raise
                self._no_custom_fields = True
                self.logger.warning("The catalog is without custom fields: %s", error)
        return {}

    def _has_columns_for(self, entity: str) -> bool:
        """Whether runs before this one knew custom fields of an entity: rows read without would not come again."""
        streams = (stream for stream in self.streams.values() if stream.custom_fields_of == entity)
        return any(stream.stream_state.get("custom_fields") for stream in streams)

    def forget_definitions(self, entity: str) -> None:
        """Read them again when they are needed next."""
        self._definitions.pop(entity, None)
        self._custom_fields.pop(entity, None)

    def column_names(self, entity: str) -> Mapping[str, str]:
        """Column name of each custom field in the entity's own table, by key."""
        for stream in self.streams.values():
            if stream.custom_fields_of == entity and not stream.flat_custom_fields and stream.selected:
                names: Mapping[str, str] = stream.column_names()
                return names
        return {}

    # A run

    def sync_all(self) -> None:  # type: ignore[misc]
        """Sync the streams, then say what it cost and what is missing.

        The SDK calls this method final, but knows no other end of a run.
        """
        selected = [stream for stream in self.streams.values() if stream.selected and stream.listings]
        if self._stopped:
            self._undone = dict.fromkeys(stream.name for stream in selected)
        else:
            log_owner(self.client)
            self._plan()
            super().sync_all()
        metrics.log_requests(self.metrics_logger, self.client)
        metrics.log_rejects(
            self.metrics_logger,
            Counter(
                {
                    name: stream.reader.rejected_rows
                    for name, stream in self.streams.items()
                    if stream.reader.rejected_rows
                }
            ),
        )
        if self.refused and all(stream.name in self.refused for stream in selected):
            raise PipedriveError(
                f"No stream could be read; the first said: {next(iter(self.refused.values()))}"
            )
        if self._stopped:
            self.logger.warning(
                "%s Left undone: %s; the next run goes on there.", self._stopped, ", ".join(self._undone)
            )
        spent, ledger = self._tokens_by_stream(), self.client.limits.ledger
        self.logger.info(
            "Read %s rows with %d requests, %d API tokens",
            f"{sum(stream.row_count for stream in self.streams.values()):,}",
            sum(self.client.requests.values()),
            sum(spent.values()),
        )
        self.logger.info(
            "API tokens by stream: %s; left today: %s",
            ", ".join(f"{name} {tokens:,}" for name, tokens in spent.most_common()) or "none",
            "not known" if ledger.left_told is None else f"{ledger.left_told:,} of {ledger.limit or 0:,}",
        )

    def _tokens_by_stream(self) -> Counter[str]:
        """API tokens spent, by what they were spent on: a list that streams share is its first stream's."""
        owners = dict.fromkeys(FIELD_ENDPOINTS.values(), "custom fields")
        for stream in self.streams.values():
            for listing in stream.listings:
                owners.setdefault(listing.path, stream.name)
        spent: Counter[str] = Counter()
        for endpoint, tokens in self.client.tokens_spent().items():
            spent[owners.get(endpoint, "account")] += tokens
        return spent

    def _plan(self) -> None:
        """Line up what the run reads, so that requests of several streams can be under way at once."""
        streams = [stream for stream in self.streams.values() if stream.selected]
        self._pool = Pool(self.settings.concurrency)
        ahead = LookAhead(self._pool)
        for stream in streams:
            walks = stream.walks()
            parents = {
                walk.listing.parents.stream for walk in walks if isinstance(walk.listing, ChildListing)
            }
            self.journals |= {parent: self._new_journal(parent) for parent in parents - self.journals.keys()}
            self._walks[stream.name] = [
                (walk, ahead.add(walk.pages(self)) if walk.listing.may_run_ahead else walk.pages(self))
                for walk in walks
            ]

    def walks(self, stream: PipedriveStream) -> list[tuple[Walk, Iterator[Page]]]:
        """What a run reads of a stream, and the pages as they come."""
        return self._walks.get(stream.name) or [(walk, walk.pages(self)) for walk in stream.walks()]

    def is_selected(self, stream: str) -> bool:
        """Whether a stream is part of this run."""
        selected: bool = self.streams[stream].selected
        return selected

    def in_flight(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply a function that asks the API to each item, several at a time; results come in order."""
        return self._pool.in_order(function, items)

    def journal(self, stream: str, since: datetime | None) -> Journal:
        """What a stream's rows say about their children, at least of those that changed since a moment.

        Its own walk has said it, unless it began later, was resumed, or is not part of this run.
        """
        listings = [listing for listing in self.streams[stream].listings if listing.is_wanted(self)]
        if stream not in self.journals or not self.journals[stream].covers(listings, since):
            journal = self._new_journal(stream)
            for listing in listings:
                began = None
                for page in listing.pages(self, since=since, place={}):
                    began = began or page.served_at
                    journal.note(page.rows)
                journal.close(listing.name, since, began)
            self.journals[stream] = journal
        return self.journals[stream]

    def _new_journal(self, stream: str) -> Journal:
        """A journal of what the child streams of this run need to know of a stream's rows."""
        children = [child for child in self.streams.values() if child.selected]
        listings = [listing for child in children for listing in child.listings if listing.is_wanted(self)]
        parents = [listing.parents for listing in listings if isinstance(listing, ChildListing)]
        return Journal([need for need in parents if need.stream == stream])

    def stop(self, stream: str, reason: BudgetSpent) -> None:
        """Note what the tokens did not suffice for."""
        self._stopped = reason
        self._undone.setdefault(stream)

    def reject(self, rejected: Iterable[Row]) -> None:
        """Keep values that did not fit, before the state moves behind their rows."""
        rows = list(rejected)
        stream = self.streams[RejectedValues.name]
        if rows and stream.selected:
            stream._write_schema_message()
            stream.write(rows, None)
            stream.row_count += len(rows)

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """Stop on SIGINT and SIGTERM. The SDK's method would exit with 0, as if all had been read."""
        self.logger.error("Interrupted: the next run goes on where this one stopped.")
        self.writer.exit(128 + signum)


def _json_object(file: IO[str] | None, option: str) -> IO[str] | None:
    """A file of the command line, once it is known to hold a JSON object."""
    if file is None:
        return None
    with file:
        try:
            text = file.read()
            is_object = isinstance(json.loads(text), dict)
        except (ValueError, RecursionError):
            is_object = False
        except OSError as error:
            raise PipedriveError(f"{option}: {file.name} cannot be read: {error.strerror}.") from None
    if not is_object:
        raise PipedriveError(f"{option}: {file.name} holds no JSON object.")
    return io.StringIO(text)
