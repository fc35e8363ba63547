"""A hard day drawn from a number: an account, runs that fail, and changes of the account between them."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from embedded_postgres.warehouse import Warehouse
from pipedrive_sandbox.testing import Sandbox

from ..pipeline.conftest import TOKEN
from ..pipeline.contract import CHILDREN
from ..pipeline.pipe import Break, Pipe, Process, Run
from ..pipeline.verdicts import Judge
from .claims import Warehouse as Judged
from .truth import Moment, Names, complaints

PASSING: tuple[dict[str, Any], ...] = (
    *({"kind": "status", "status": status} for status in (500, 502, 503, 504, 520, 521, 522, 523, 524)),
    *({"kind": kind} for kind in ("reset", "truncate", "html", "null", "empty", "burst429")),
    {"kind": "slow", "seconds": 0.05},
)
"""Faults that the tap retries, and that end its run if they last."""

LASTING: tuple[dict[str, Any], ...] = (
    *PASSING[:-1],
    {"kind": "daily429"},
    *({"kind": "status", "status": status} for status in (400, 401, 402, 403)),
)

LISTS = (
    "v2/organizations", "v2/persons", "v2/products", "v2/deals", "v2/deals/archived", "v2/activities", "v1/leads",
    "v1/leads/archived", "v1/notes", "v1/users", "v2/stages", "v1/activityTypes", "v2/deals/products",
)  # fmt: skip
DEFINITIONS = ("v2/dealFields", "v2/personFields", "v2/organizationFields", "v2/productFields")

LIES: tuple[dict[str, Any], ...] = (
    *({"kind": "omit", "rows": rows} for rows in (1, 5, 25)),
    {"kind": "patch", "json": {"additional_data": {"next_cursor": None}}},
)
"""Answers that look valid but leave rows out."""

LIED_ABOUT = ("organizations", "persons", "products", "deals", "activities")

ROWS_PER_PAGE = (5, 10, 25)

HARMLESS = ("update", "move", "close", "create", "archive", "resize")
"""Changes after which every row is still in a list."""

FIELDS_OF = ("deal", "person", "organization", "product")


class Strike(NamedTuple):
    """A kill -9 between or within lines of the tap's output, or at a certain number of requests."""

    what: str
    unit: str
    number: int


class WildPipe(Pipe):
    """A pipe whose parts are killed at any line or request."""

    def __init__(self, sandbox: Sandbox, warehouse: Warehouse, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.strike: Strike | None = None
        self._catalog: dict[str, Any] = {}
        self._sandbox = sandbox
        self._warehouse = warehouse

    def select_everything(self) -> None:
        """Load all streams from now on; the catalog is read once, before faults begin."""
        self.everything = True
        self._tap_command()

    def _more_selected(self, command: list[str | Path]) -> dict[str, Any]:
        self._catalog = self._catalog or super()._more_selected(command)
        return self._catalog

    def forward(self, tap: Process, target: Process, _: Break | None) -> list[bytes]:
        """Pass on the tap's lines until the tap or the target ends."""
        assert tap.stdout
        assert target.stdin
        what, unit, number = self.strike or Strike("nothing", "", 0)
        kill: dict[str, Callable[[], object]] = {
            "tap": tap.kill, "line": tap.kill, "target": target.kill, "postgres": self._kill_postgres
        }  # fmt: skip
        if unit == "request":
            self._sandbox.at_request(number, kill[what])
        lines: list[bytes] = []
        with suppress(BrokenPipeError):  # the target is dead
            for line in tap.stdout:
                lines.append(line)
                is_hit = unit == "line" and len(lines) == number
                target.stdin.write(line[: len(line) // 2] if is_hit and what == "line" else line)
                if is_hit:
                    kill[what]()
                if is_hit and what in ("tap", "line"):
                    break
            target.stdin.flush()
        tap.stdout.close()
        return lines

    def _kill_postgres(self) -> None:
        postmaster = (self._warehouse.home / "data" / "postmaster.pid").read_text().splitlines()[0]
        os.kill(int(postmaster), signal.SIGKILL)


class Day:
    """One day, drawn from its number."""

    def __init__(
        self, seed: int, target: Path, folder: Path, warehouse: Warehouse, database: str, judge: Judge
    ) -> None:
        self._story = [f"make chaos RUNS=1 SEED={seed}"]
        self._seed = seed
        self._warehouse = warehouse
        self._database = database
        self._judge = judge
        rng = Random(f"day {seed}")
        self._runs = rng.choice((1, 1, 1, 2, 2, 3))
        self._everything = rng.random() < 0.2
        self._history = rng.choice(("stage", "stage", "all"))
        self._lied_about: set[str] = set()
        self._is_quiet = True
        self._moments: list[Moment] = []
        self._columns: set[tuple[str, str]] = set()
        self._sandbox = Sandbox(deals=rng.randint(60, 150), seed=seed, tokens=[TOKEN])
        settings = {
            "api_token": TOKEN,
            "history": self._history,
            "lookback_seconds": rng.choice((0, 60)),
            "concurrency": rng.randint(1, 8),
            "reconcile_min_ratio": 0.3,
            "missing": rng.choice(("fail", "note")),
            "source_checks": rng.choice(("each", "each", "daily")),
        }
        self._pipe = WildPipe(self._sandbox, warehouse, target, folder, database, settings)
        self._pipe.loader["batch_size_rows"] = rng.choice((20, 200, 5000))
        self._pipe.rows_per_page = rng.choice(ROWS_PER_PAGE)
        pages = {"everything": self._everything, "rows_per_page": self._pipe.rows_per_page}
        self._tell("settings", settings | pages)
        self._lasting = [self._lasting_fault(rng)] if rng.random() < 0.4 else []
        self._lies = [self._lie(rng)] if rng.random() < 0.3 else []
        # rows that a lie left out are loaded by a complete reading
        self._ends_with_reconcile = bool(self._lies) or rng.random() < 0.3

    def _tell(self, what: str, details: Any) -> None:
        self._story.append(f"{what}: {details}")

    @property
    def story(self) -> str:
        """Return how to repeat the day, and what has happened so far."""
        return "\n".join(self._story)

    def live(self) -> list[str]:
        """Do some bad runs, then a good one; return what is wrong in the warehouse or in its claims."""
        with self._sandbox as sandbox:
            self._pipe.api["api_url"] = sandbox.url
            if self._everything:
                self._pipe.select_everything()
            self._look()
            for number in range(1, self._runs + 1):
                rng = Random(f"day {self._seed}, run {number}")
                if number > 1:
                    self._change(rng)
                if found := self._run_badly(rng):
                    return found
            self._change(Random(f"day {self._seed}, last"))
            names = self._names()
            self._pipe.api["reconcile"] = self._ends_with_reconcile
            self._tell("good run", {"reconcile": self._ends_with_reconcile})
            self._is_quiet = True
            run = self._pipe.run().succeeded()
            self._look()
        found = complaints(
            self._database,
            self._moments,
            names,
            reconciled=self._ends_with_reconcile,
            former_columns=self._columns,
        )
        # the history of a record is not read if no list showed the record when it changed
        self._lied_about &= {name for name in CHILDREN if name.endswith("_changes")}
        found = [each for each in found if not each.startswith(tuple(self._lied_about))]
        return found or self._claims(run, is_good=True)

    def _look(self) -> None:
        self._moments.append(Moment(self._sandbox, everything=self._everything, history=self._history))

    def _names(self) -> Names:
        """Return the column names in the state."""
        streams = (self._pipe.state or {}).get("bookmarks", {})
        return {
            stream: {
                key: pin["name"] for key, pin in state.get("custom_fields", {}).items() if " " not in key
            }
            for stream, state in streams.items()
        }

    def _claims(self, run: Run, *, is_good: bool = False) -> list[str]:
        """Return the false claims about the warehouse after a run."""
        verdicts = self._judge.verdicts(self._database, self._pipe.loader)
        self._tell("verdicts", {
            stream: said.verdict for stream, said in verdicts.items() if said.verdict != "complete"
        })  # fmt: skip
        if not verdicts:
            return []
        judged = Judged(self._database, verdicts, self._moments)
        names = self._names()
        found = judged.false_claims(names, self._lied_about)
        found += judged.missed(run, is_quiet=self._is_quiet)
        return found + (list(judged.undue_doubts(names)) if is_good else [])

    # Bad runs

    def _run_badly(self, rng: Random) -> list[str]:
        """Do a bad run, and return the false claims about the warehouse after it."""
        self._is_quiet = True
        self._look()
        for fault in self._faults(rng):
            self._sandbox.post("/sandbox/faults", fault)
            self._tell("fault", fault)
            self._is_quiet = self._is_quiet and fault["kind"] != "change"
        pipe = self._pipe
        pipe.api["reconcile"] = rng.random() < 0.2
        pipe.api["token_budget"] = rng.choice((None, None, None, None, 300, 600, 1200))
        pipe.strike = self._strike(rng)
        run = pipe.run(in_haste=True)
        self._sandbox.delete("/sandbox/faults")
        self._warehouse.up()
        self._tell("run", {
            "reconcile": pipe.api["reconcile"], "strike": pipe.strike, "exits": (run.tap_exit, run.target_exit),
            "lines": len(run.lines), "states": len(run.states), "errors": run.errors,
        })  # fmt: skip
        pipe.strike = None
        del pipe.api["token_budget"]
        self._look()
        self._check_manners(run)
        for line in run.lines:
            if line.startswith(b'{"type":"SCHEMA"'):
                message = json.loads(line)
                self._columns |= {(message["stream"], column) for column in message["schema"]["properties"]}
        return self._claims(run)

    def _check_manners(self, run: Run) -> None:
        """Check that the tap gives its reason in one sentence, or in two if it was waiting when its reader
        died.
        """
        assert "Traceback" not in run.tap_log, run.tap_log[-3000:]
        without_reader = 128 + signal.SIGTERM
        assert run.tap_exit in (0, 1, without_reader, -signal.SIGKILL)
        most = 1 if self._pipe.api["missing"] == "note" else 0  # the gaps reported by a run that succeeds
        assert len(run.errors) <= most or len(run.errors) == {1: 1, without_reader: 2}.get(run.tap_exit, 0)

    def _faults(self, rng: Random) -> Iterator[dict[str, Any]]:
        for _ in range(rng.choice((0, 1, 3, 6))):
            yield rng.choice(PASSING) | {"at": rng.sample(range(1, 150), rng.randint(1, 3))}
        yield from self._lasting
        for lie, stream in self._lies:
            self._lied_about |= {stream, *(name for name, of in CHILDREN.items() if of[0] == stream)}
            yield lie
        if rng.random() < 0.5:
            change = {"share": 0.02, "seed": rng.randrange(1000), "kinds": ["delete", "merge"]}
            yield {"kind": "change", "at": [rng.randint(1, 30)], "call": _call("change", change)}
        if rng.random() < 0.5:
            change = {"share": 0.01, "seed": rng.randrange(1000), "kinds": HARMLESS}
            yield {"kind": "change", "at": rng.sample(range(7, 150), 4), "call": _call("change", change)}

    def _lasting_fault(self, rng: Random) -> dict[str, Any]:
        """Return a fault of one list, page or parent that lasts for all bad runs of the day."""
        trouble = rng.choice(LASTING)
        paths = LISTS if trouble.get("status") in (400, 402) else LISTS + DEFINITIONS
        where = rng.choice(("list", "page", "parent"))
        if where == "parent":
            return trouble | {"path": f"/api/v1/deals/{rng.randint(1, 60)}/changelog"}
        page = ".*(cursor=|start=[1-9])" if where == "page" else "(\\?|$)"
        return trouble | {"path": f"/api/{rng.choice(paths)}{page}"}

    def _lie(self, rng: Random) -> tuple[dict[str, Any], str]:
        """Return a lie about one list that lasts for all bad runs of the day, and its stream; the checks get
        true answers.
        """
        stream = rng.choice(LIED_ABOUT)
        pages = "|".join(map(str, ROWS_PER_PAGE))
        return rng.choice(LIES) | {"path": f"/api/v2/{stream}\\?.*limit=({pages})(&|$)"}, stream

    def _strike(self, rng: Random) -> Strike | None:
        what = rng.choice(("nothing", "tap", "tap", "line", "target", "target", "postgres"))
        unit = "line" if what == "line" else rng.choice(("line", "request"))
        most = 200 if unit == "request" else 2000
        number = round(math.exp(rng.uniform(0, math.log(most))))
        return None if what == "nothing" else Strike(what, unit, number)

    # Changes of the account between two runs

    def _change(self, rng: Random) -> None:
        self._post("clock", {"advance_seconds": rng.choice((0, 1, 60, 3600, 3600, 40 * 86400))})
        if rng.random() < 0.8:
            further = {"entities": _ENTITIES} if self._everything else {}
            self._post("change", {"share": rng.choice((0.02, 0.1)), "seed": rng.randrange(1000), **further})
        for event in (self._rename, self._delete_field, self._add_field, self._relabel, self._unarchive):
            if rng.random() < 0.3:
                event(rng)

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        self._tell("control", (path, body))
        return self._sandbox.post(f"/sandbox/{path}", body)

    def _field(self, rng: Random) -> dict[str, Any]:
        fields = [row for row in self._sandbox.truth("fields") if row["is_custom_field"]]
        chosen: dict[str, Any] = rng.choice(fields)
        return chosen

    def _rename(self, rng: Random) -> None:
        one, other = self._field(rng), self._field(rng)
        name = f"Novo nome {rng.randrange(10)}"
        # otherwise nobody could tell which field the column of this name belonged to
        if self._pipe.state and rng.random() < 0.5:
            name = other["field_name"]
        self._tell("renamed", (one["entity"], one["field_code"], one["field_name"], name))
        self._sandbox.patch(f"/sandbox/fields/{one['entity']}/{one['field_code']}", {"field_name": name})

    def _delete_field(self, rng: Random) -> None:
        field = self._field(rng)
        self._tell("deleted", (field["entity"], field["field_code"], field["field_name"]))
        self._sandbox.delete(f"/sandbox/fields/{field['entity']}/{field['field_code']}")
        if self._pipe.state and rng.random() < 0.5:
            self._add_field(rng, entity=field["entity"], name=field["field_name"])

    def _add_field(self, rng: Random, entity: str = "deal", name: str = "Campo novo") -> None:
        kind = rng.choice(("varchar", "double", "monetary", "daterange"))
        values: dict[str, Any] = {
            "varchar": "x", "double": 1.25, "monetary": {"value": 7, "currency": "EUR"},
            "daterange": {"value": "2026-01-01", "until": "2026-01-31"},
        }  # fmt: skip
        made = self._post(f"fields/{entity}", {"field_name": name, "field_type": kind})
        rows = [row["id"] for row in self._sandbox.truth(f"{entity}s") if not row.get("is_deleted")]
        for row_id in rng.sample(rows, 3):
            self._sandbox.patch(
                f"/sandbox/records/{entity}s/{row_id}",
                {"custom_fields": {made["field_code"]: values[kind]}},
            )

    def _relabel(self, rng: Random) -> None:
        fields = [row for row in self._sandbox.truth("fields") if row["is_custom_field"] and row["options"]]
        field = rng.choice(fields)
        path = f"/sandbox/fields/{field['entity']}/{field['field_code']}/options"
        option = rng.choice(field["options"])
        self._tell("option", (path, option))
        if rng.random() < 0.5:
            self._sandbox.patch(f"{path}/{option['id']}", {"label": "Outro rótulo"})
        else:
            self._sandbox.delete(f"{path}/{option['id']}")

    def _unarchive(self, rng: Random) -> None:
        for entity in ("deals", "leads"):
            archived = [row["id"] for row in self._sandbox.truth(entity) if row["is_archived"]]
            if archived:
                self._post(f"{entity}/{rng.choice(archived)}/unarchive", {})


def _call(control: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"method": "POST", "path": f"/sandbox/{control}", "json": body}


_ENTITIES = [
    "deals", "persons", "organizations", "products", "activities", "leads", "notes", "projects", "tasks", "files",
    "deal_products", "deal_installments", "deal_discounts", "deal_followers", "deal_participants",
    "person_followers", "organization_followers", "product_variations", "note_comments",
]  # fmt: skip
