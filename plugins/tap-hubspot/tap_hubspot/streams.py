"""The streams: three objects of the CRM, and the lists of owners, pipelines and stages that they refer to."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Stream
from singer_sdk import typing as th
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform

from tap_hubspot.errors import HubspotError, Unreadable
from tap_hubspot.objects import BATCH_OF_ASSOCIATIONS, LIST_SIZE, Record, Walk, pages

if TYPE_CHECKING:
    from tap_hubspot.tap import TapHubspot


class HubspotStream(Stream):
    """A stream whose errors do not end the run: an error is recorded, and the next stream is read."""

    # HubSpot's values are texts, and are written unchanged
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE
    primary_keys: ClassVar[Sequence[str]] = ("id",)
    _tap: "TapHubspot"

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
            self._miss(str(problem))
        except (KeyError, TypeError, ValueError) as error:
            self._miss(
                f"HubSpot answered a record of an unknown shape ({error!r}): report it with this line."
            )
        else:
            if self.is_whole and self.config["reconcile"]:
                self._conclude(len(seen), began)

    def _miss(self, problem: str) -> None:
        self._tap.missing[self.name] = problem
        self.logger.warning("%s could not be read: %s", self.name, problem)

    def _conclude(self, count: int, began: int) -> None:
        """After a complete pass, make the target mark the rows that it has not seen, and save the number of
        rows.

        The version of a pass is the time of its start, and that of a row the time of its writing. The SDK
        would send the message before the first row, and a run that dies then would leave a table whose rows
        are all marked as deleted.
        """
        before = self.stream_state.get("complete_pass_rows", 0)
        least = self.config["reconcile_min_ratio"]
        if any(type(each) is not SameRecordTransform for each in self.stream_maps):
            self.logger.warning(
                "%s: no rows are marked as deleted, as a stream map may filter them.", self.name
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
        super().__init__(tap, name=name)

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
        """Return the moment up to which all changes have been read."""
        text = self.stream_state.get("replication_key_value")
        try:
            return datetime.fromisoformat(text).astimezone(UTC) if text else None
        except (TypeError, ValueError):
            raise HubspotError(
                f"The state of {self.name} holds a bookmark that is not a time: run once with --full-refresh."
            ) from None

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
        walk = Walk(self._tap.client, self.name, self._modified, selected)
        # The walk reads changes up to its end; a later change may affect records that it has already passed.
        read_until = walk.last_change()
        for page in walk.listed(archived=True):
            yield from page
        if self.is_whole or self._bookmark is None:
            found = walk.listed(archived=False)
        else:
            found = walk.changed(self._bookmark - timedelta(seconds=self.config["lookback_seconds"]))
        others = [other for other in self._others if self._is_selected("associations", other)]
        records = chain.from_iterable(found)
        while some := list(islice(records, BATCH_OF_ASSOCIATIONS)):
            ids = [record["id"] for record in some]
            associated = {other: walk.associated(ids, other) for other in others}
            for record in some:
                record["associations"] = {other: by_id[record["id"]] for other, by_id in associated.items()}
            yield from some
        if read_until:
            until = min(read_until, datetime.now(UTC))  # a change in the future would hide those before it
            self.stream_state.update(
                replication_key=self.replication_key, replication_key_value=until.isoformat()
            )

    def _increment_stream_state(self, latest_record: Record, *, context: Any = None) -> None:
        """Do nothing, because `read` sets the bookmark at its end.

        Overrides a private method of the SDK, whose bookmark is the latest change of all records; others may
        have changed before it after the walk had passed them.
        """


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
        super().__init__(tap, name=name, schema=columns.to_dict())

    def read(self) -> Iterator[Record]:
        """Yield all rows, archived ones first."""
        lists: list[dict[str, str | int]] = [{}]
        if self._with_archived:
            lists = [{"limit": LIST_SIZE, "archived": "true"}, {"limit": LIST_SIZE}]
        for params in lists:
            for page in pages(self._tap.client, self._path, params):
                yield from page


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
