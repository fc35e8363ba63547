"""The streams: three objects of the CRM, and the lists of owners, pipelines and stages that they refer to."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Stream
from singer_sdk import typing as th
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform

from tap_hubspot.errors import Forbidden, Unreadable
from tap_hubspot.objects import BATCH_OF_ASSOCIATIONS, LIST_SIZE, MOST_REFUSED, Record, Walk, pages

if TYPE_CHECKING:
    from tap_hubspot.tap import TapHubspot

FASTEST_CLOCK = timedelta(days=1)
"""How far a bookmark may be in the future, because another machine's clock was fast."""


class HubspotStream(Stream):
    """A stream whose errors do not end the run: an error is recorded, and the next stream is read."""

    # HubSpot's values are texts, and are written unchanged
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE
    primary_keys: ClassVar[Sequence[str]] = ("id",)
    _tap: "TapHubspot"

    def __init__(self, tap: "TapHubspot", name: str, schema: dict[str, Any] | None = None) -> None:
        self._unread: dict[str, str] = {}
        """Why records could not be read, by id; the empty text stands for records without one."""
        super().__init__(tap, name=name, schema=schema)

    def read(self) -> Iterator[Record]:
        """Yield all records of this run."""
        raise NotImplementedError

    @property
    def is_whole(self) -> bool:
        """Return whether this run reads all records."""
        return True

    def get_records(self, context: Mapping[str, Any] | None) -> Iterator[Record]:
        """Yield all records of this run; with the setting `reconcile`, the target marks the rows that it does
        not see.
        """
        began, counted_from = int(time.time()), time.monotonic()
        columns, seen = self.schema["properties"], set[int]()
        try:
            for record in self.read():
                seen.add(hash(record["id"]))
                # The version must not be older than that of another run's pass that began meanwhile.
                self._stream_version = began + int(time.monotonic() - counted_from)
                yield {name: record.get(name) for name in columns} | {"id": record["id"]}
        except Unreadable as problem:
            self._miss(self.name, str(problem))
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            self._miss(
                self.name,
                f"HubSpot answered a record of an unknown shape ({error!r}): report it with this line.",
            )
        else:
            if self.is_whole and self.config["reconcile"]:
                self._conclude(len(seen), began)

    def _miss(self, what: str, problem: str) -> None:
        self._tap.missing[what] = problem
        self.logger.warning("%s could not be read: %s", what, problem)

    def _identified(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield the records that have an id, and warn of others. Raises Unreadable if these are many."""
        count = 0
        for record in records:
            if record.get("id"):
                yield record
                continue
            count += 1
            self._unread[""] = f"HubSpot answered {count} records without an id: report it with this line."
            if count > MOST_REFUSED:
                raise Unreadable(self._unread[""])
            self.logger.warning("%s: %s", self.name, self._unread[""])

    def _conclude(self, count: int, began: int) -> None:
        """After a complete pass, make the target mark the rows that it has not seen, and save the number of
        rows.

        The version of a pass is the time of its start, and that of a row the time of its writing. The SDK
        would send the message before the first row, and a run that dies then would leave a table whose rows
        are all marked as deleted.
        """
        before = self.stream_state.get("complete_pass_rows")
        before = before if isinstance(before, int) else 0
        least = self.config["reconcile_min_ratio"]
        if any(type(each) is not SameRecordTransform for each in self.stream_maps):
            self.logger.warning(
                "%s: no rows are marked as deleted, as a stream map may filter them.", self.name
            )
        elif self._unread:
            self.logger.warning(
                "%s: no rows are marked as deleted, as some records could not be read.", self.name
            )
        elif not count or count < least * before:
            self.logger.warning(
                "%s: no rows are marked as deleted, as only %d were seen of %d in the last complete pass, less "
                "than reconcile_min_ratio (%s) allows. If the token has lost no rights, lower it for one run.",
                self.name,
                count,
                before,
                least,
            )
        else:
            self._write_activate_version_message(began)
            self.stream_state["complete_pass_rows"] = count


class ObjectStream(HubspotStream):
    """Companies, contacts or deals, with the selected properties in one object.

    Incremental by HubSpot's own time of the last change. A first run, and one with the setting `reconcile`,
    reads the lists of all records. Archived records, which HubSpot keeps for 90 days, are all read in every
    run.
    """

    replication_key = "updatedAt"

    def __init__(
        self,
        tap: "TapHubspot",
        name: str,
        *,
        modified: str = "hs_lastmodifieddate",
        others: Sequence[str] = (),
    ) -> None:
        self._modified = modified
        self._others = others
        super().__init__(tap, name)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """Return the columns of the table; `properties` contains all that the account defines for the object."""
        names = self._tap.property_names(self.name)
        columns = [
            th.Property("id", th.StringType),
            th.Property("properties", th.ObjectType(*(th.Property(name, th.StringType) for name in names))),
            th.Property("createdAt", th.DateTimeType),
            th.Property("updatedAt", th.DateTimeType),
            th.Property("archived", th.BooleanType),
            th.Property("archivedAt", th.DateTimeType),
        ]
        if self._others:
            one = th.ObjectType(
                th.Property("id", th.StringType), th.Property("types", th.ArrayType(th.IntegerType))
            )
            lists = (th.Property(other, th.ArrayType(one)) for other in self._others)
            columns.append(th.Property("associations", th.ObjectType(*lists)))
        schema: dict[str, Any] = th.PropertiesList(*columns).to_dict()
        return schema

    @cached_property
    def _bookmark(self) -> datetime | None:
        """Return the moment up to which all changes have been read. Raises Unreadable."""
        text = self.stream_state.get("replication_key_value")
        try:
            bookmark = datetime.fromisoformat(text).astimezone(UTC) if text else None
        except (OverflowError, TypeError, ValueError):
            raise Unreadable(
                f"The state of {self.name} holds a bookmark that is not a time: run once with --full-refresh."
            ) from None
        if bookmark and bookmark > datetime.now(UTC) + FASTEST_CLOCK:
            raise Unreadable(
                f"The state of {self.name} holds a bookmark in the future, {text}: look at the clock of this "
                "machine, then run once with --full-refresh."
            )
        return bookmark

    @property
    def is_whole(self) -> bool:
        """Return whether this run reads all records."""
        is_asked = self.config["reconcile"] or self.replication_method == "FULL_TABLE"
        return bool(is_asked or self._bookmark is None)

    def _is_selected(self, *path: str) -> bool:
        return self.mask[tuple(part for name in path for part in ("properties", name))]

    def read(self) -> Iterator[Record]:
        """Read archived records first; one that is restored meanwhile is read again with the others, which
        counts.
        """
        names = self._tap.property_names(self.name)
        if not names:
            self._tap.defined_properties(self.name)  # this raises HubSpot's reason
            raise Unreadable(f"The catalog is without the properties of {self.name}: run again.")
        selected = [name for name in names if self._is_selected("properties", name)]
        others = {other for other in self._others if self._is_selected("associations", other)}
        known, lacking = (_names(self.stream_state.get(key)) for key in ("known", "lacking"))
        wanted = {*selected, *_parts(others)}
        self._lack(known - wanted)
        if gone := [name for name in sorted(known - lacking - set(names)) if "." not in name]:
            self.logger.warning(
                "%s: HubSpot no longer defines %s: rows are loaded without it, and all are read again when it is "
                "back.",
                self.name,
                ", ".join(gone),
            )
        walk = Walk(self._tap.client, self.name, self._modified, selected, self._unread)
        # The walk reads changes up to its end; a later change may affect records that it has already passed.
        # A change in the future would hide those before it, so the bookmark is not later than this moment.
        now, last_change = datetime.now(UTC), walk.last_change()
        yield from self._identified(chain.from_iterable(walk.listed(archived=True)))
        is_whole = self.is_whole or bool(lacking.intersection(selected))
        if is_whole or self._bookmark is None:
            yield from self._associated(walk, walk.listed(archived=False), others)
        else:
            again = sorted(_names(self.stream_state.get("unread")))
            yield from self._associated(walk, iter([walk.read(again)]), others)
            since = self._bookmark - timedelta(seconds=self.config["lookback_seconds"])
            yield from self._associated(walk, walk.changed(since), others)
        if not is_whole and lacking.intersection(_parts(others)):  # the token may read them again
            yield from self._associated(walk, walk.listed(archived=False), others)
        for id_, problem in self._unread.items():
            if id_:
                self.logger.warning(
                    "%s %s could not be read, and the next run asks again: %s", self.name, id_, problem
                )
        known |= wanted
        loaded = {*selected, *_parts(others)}
        self.stream_state.update(
            known=sorted(known), lacking=sorted(known - loaded), unread=sorted(filter(None, self._unread))
        )
        if last_change:
            self.stream_state.update(
                replication_key=self.replication_key,
                replication_key_value=min(last_change, now).isoformat(),
            )

    def _associated(
        self, walk: Walk, found: Iterator[Sequence[Record]], others: set[str]
    ) -> Iterator[Record]:
        """Yield records with their associations, also those that were read before an error. Takes what the token
        may not read out of `others`, and leaves out records that HubSpot refuses alone.
        """
        for some, error in _blocks(self._identified(chain.from_iterable(found))):
            by_other: dict[str, Mapping[str, Sequence[Record]]] = {}
            for other in sorted(others):
                try:
                    by_other[other] = walk.associated([record["id"] for record in some], other)
                except Forbidden as problem:
                    others.discard(other)
                    self._lack(_parts([other]))
                    self._miss(f"{self.name}.associations.{other}", str(problem))
            for record in some:
                if record["id"] not in self._unread:
                    record["associations"] = {other: by_id[record["id"]] for other, by_id in by_other.items()}
                    yield record
            if error:
                raise error

    def _lack(self, names: Iterable[str]) -> None:
        """Note in the state, also of a run that does not end, what rows are written without from now on."""
        lacking = _names(self.stream_state.get("lacking"))
        if more := lacking.union(names) - lacking:
            self.stream_state["lacking"] = sorted(lacking | more)
            self._tap.state_writer.write_state(self.tap_state)

    def _increment_stream_state(self, latest_record: Record, *, context: Any = None) -> None:
        """Do nothing, because `read` sets the bookmark at its end.

        Overrides a private method of the SDK, whose bookmark is the latest change of all records; others may
        have changed before it after the walk had passed them.
        """


def _blocks(records: Iterator[Record]) -> Iterator[tuple[list[Record], Unreadable | None]]:
    """Yield the records of one request for associations; an error ends the last block and comes with it."""
    error = None
    while not error:
        some: list[Record] = []
        try:
            some.extend(islice(records, BATCH_OF_ASSOCIATIONS))
        except Unreadable as problem:
            error = problem
        if not (some or error):
            return
        yield some, error


def _parts(others: Iterable[str]) -> Iterator[str]:
    """Return the names of associations as a state has them beside those of properties."""
    return (f"associations.{other}" for other in others)


def _names(value: Any) -> set[str]:
    """Return the names that a state lists."""
    return {each for each in value if isinstance(each, str)} if isinstance(value, list) else set()


class ListStream(HubspotStream):
    """A list that every run reads whole."""

    def __init__(
        self,
        tap: "TapHubspot",
        name: str,
        path: str,
        columns: th.PropertiesList,
        *,
        with_archived: bool = False,
    ) -> None:
        self._path = path
        self._with_archived = with_archived
        super().__init__(tap, name, columns.to_dict())

    def read(self) -> Iterator[Record]:
        """Yield all rows, archived ones first."""
        lists: list[dict[str, str | int]] = [{}]
        if self._with_archived:
            lists = [{"limit": LIST_SIZE, "archived": "true"}, {"limit": LIST_SIZE}]
        for params in lists:
            yield from self._identified(chain.from_iterable(pages(self._tap.client, self._path, params)))


OWNERS = th.PropertiesList(
    th.Property("id", th.StringType),
    th.Property("email", th.StringType),
    th.Property("firstName", th.StringType),
    th.Property("lastName", th.StringType),
    th.Property("userId", th.IntegerType),
    th.Property("createdAt", th.DateTimeType),
    th.Property("updatedAt", th.DateTimeType),
    th.Property("archived", th.BooleanType),
)

DEAL_PIPELINES = th.PropertiesList(
    th.Property("id", th.StringType),
    th.Property("label", th.StringType),
    th.Property("displayOrder", th.IntegerType),
    th.Property("stages", th.ArrayType(th.ObjectType(additional_properties=True))),
    th.Property("createdAt", th.DateTimeType),
    th.Property("updatedAt", th.DateTimeType),
    th.Property("archived", th.BooleanType),
)


def streams_of(tap: "TapHubspot") -> list[HubspotStream]:
    """Return all streams."""
    return [
        ObjectStream(tap, "companies"),
        ObjectStream(tap, "contacts", modified="lastmodifieddate"),
        ObjectStream(tap, "deals", others=("companies", "contacts")),
        ListStream(tap, "owners", "/crm/v3/owners", OWNERS, with_archived=True),
        ListStream(tap, "deal_pipelines", "/crm/v3/pipelines/deals", DEAL_PIPELINES),
    ]
