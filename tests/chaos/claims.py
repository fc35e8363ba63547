"""Compares what `load_completeness` claims of a warehouse with the account."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import psycopg

from ..pipeline.contract import CHILDREN, INCREMENTAL
from ..pipeline.expected import Expected, Key, Table
from ..pipeline.pipe import Run
from ..pipeline.raw import read
from ..pipeline.verdicts import Verdict
from .truth import Moment, Names, changed_at, is_unasked, wrong_in_row

CHECKED = ("deals", "persons", "organizations", "activities", "products")
"""Tables whose counts and samples are checked against Pipedrive."""

WHOLE_CHANGED_AT = {"users": "modified"}
"""The column with the time of a row's last change, where it has another name, of tables that are read whole."""

MOST = 20
"""The largest number of complaints to report."""


class Warehouse:
    """The raw tables after a run, what is claimed about them, and what is true."""

    def __init__(self, database: str, verdicts: Mapping[str, Verdict], moments: Sequence[Moment]) -> None:
        """`moments` are those of the account, from its first to its present one."""
        self.verdicts = verdicts
        self._tables = read(database)
        self._moments = moments
        with psycopg.connect(database) as connection:
            self._asked, self._samples = [], []
            if "source_counts" in self._tables:
                self._asked = connection.execute(
                    "select run_id, stream, figure, value, moment from pipedrive.source_counts"
                    " where currency = 'all'"
                ).fetchall()
            if "source_samples" in self._tables:
                self._samples = connection.execute(
                    "select run_id, stream, record_id from pipedrive.source_samples"
                ).fetchall()
            unread = connection.execute("select run_id, stream, unread_ids from pipedrive.run_statements")
            self._unread = {(run, stream): set(ids or ()) for run, stream, ids in unread}

    def false_claims(self, names: Names, lied_about: Collection[str]) -> list[str]:
        """Describe rows that are wrong although they had changed before the moment up to which they are
        claimed complete.
        """
        versions = [moment.tables(names) for moment in self._moments]
        return [
            f"{stream} is {said.verdict} as of {said.complete_as_of}, and row {key} {what}"
            for stream, said in self.verdicts.items()
            if said.complete_as_of and said.verdict != "different" and stream not in lied_about
            for key, what in self._wrong_rows(stream, said, said.complete_as_of, versions)
        ][:MOST]

    def _wrong_rows(
        self, stream: str, said: Verdict, complete_as_of: datetime, versions: Sequence[Expected]
    ) -> Iterator[tuple[Key, str]]:
        *earlier, now = versions
        stored = self._tables[stream]
        is_whole = stream not in (*INCREMENTAL, *CHILDREN, "files")
        # the last recorded moment before that time, and all later ones
        first = max([i for i, each in enumerate(self._moments) if each.clock <= complete_as_of], default=0)
        unread = self._unread.get((said.last_run_id, stream), set())
        for key, row in now[stream].rows.items():
            if stream in CHILDREN and row[CHILDREN[stream][1]] in unread:
                continue
            # a row that changes during a run may be read in a state that was never recorded
            updated = row.get(WHOLE_CHANGED_AT.get(stream, "update_time"))
            changed = updated if is_whole else changed_at(now, stream, row)
            if isinstance(changed, datetime) and changed.replace(tzinfo=UTC) >= complete_as_of:
                continue
            known = [
                version[stream].rows.get(key)
                for version in (earlier[first:] if is_whole else earlier)
                if is_whole or changed_at(version, stream, row) == changed
            ]
            there = {column: value for column, value in row.items() if column in stored.columns}
            for what in wrong_in_row(
                stored.rows.get(key), there, known, may_lack=is_unasked(now, stream, row)
            ):
                yield key, what

    def missed(self, run: Run, *, is_quiet: bool) -> Iterator[str]:
        """Describe tables that are called complete although Pipedrive's answers during a run showed that they
        are not.

        `is_quiet` says whether nothing changed during that run.
        """
        asked = {
            (stream, figure): (value, moment)
            for run_id, stream, figure, value, moment in self._asked
            if run_id == run.id
        }
        sampled = {(stream, int(id_)) for run_id, stream, id_ in self._samples if run_id == run.id}
        complete = {name: said for name, said in self.verdicts.items() if said.verdict == "complete"}
        for stream in complete.keys() & set(CHECKED):
            there = {id_ for (id_,) in self._tables[stream].rows}
            lacking = {id_ for name, id_ in sampled if name == stream} - there
            if is_quiet and lacking:
                yield f"{stream} is complete, and {lacking} of the sample are not there"
            newest, added = asked.get((stream, "highest_id"), (None, None))
            as_of = complete[stream].complete_as_of
            if newest not in {None, *there} and added and as_of and added.replace(tzinfo=UTC) < as_of:
                yield f"{stream} is complete, and its newest record, {newest}, is not there"
        changed, _ = asked.get(("deals", "changed"), (None, None))
        if is_quiet and "deals" in complete and ("deals", "count") in asked and changed == 0:
            count, truth = self._listed_deals(self._tables["deals"]), self._moments[-1].listed_deals
            if count != truth:
                yield f"deals are complete, {count} of them, and Pipedrive has {truth}"

    @staticmethod
    def _listed_deals(table: Table) -> int:
        return sum(
            row["status"] in ("open", "won", "lost")
            and not row["is_archived"]
            and not row["is_deleted"]
            and row["_sdc_deleted_at"] is None
            for row in table.rows.values()
        )

    def undue_doubts(self, names: Names) -> Iterator[str]:
        """Describe tables that are called incomplete although they equal the account after a run without
        faults.
        """
        now = self._moments[-1].tables(names)
        for stream, said in self.verdicts.items():
            if said.verdict == "complete":
                continue
            equal = all(self._equals(name, now) for name in {stream, *CHILDREN.get(stream, ())[:1]})
            if said.verdict != "different" or equal:
                yield f"{stream} is {said.verdict}: {said.undone_detail or said.differences}"

    def _equals(self, stream: str, now: Expected) -> bool:
        stored = {
            key: row for key, row in self._tables[stream].rows.items() if row["_sdc_deleted_at"] is None
        }
        return stored.keys() == now[stream].rows.keys() and all(
            stored[key].get(column) == value
            for key, row in now[stream].rows.items()
            for column, value in row.items()
        )
