"""A Metabase that checks every request body, stores what it receives, and reads tables of a real Postgres.

Metabase cannot be installed from PyPI, npm or Debian.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from openapi_schema_validator import OAS31Validator

from .metabase_bodies import BODIES

Json = dict[str, Any]

BASE_TYPES = {
    "text": "type/Text",
    "varchar": "type/Text",
    "int8": "type/BigInteger",
    "int4": "type/Integer",
    "numeric": "type/Decimal",
    "float8": "type/Float",
    "bool": "type/Boolean",
    "date": "type/Date",
    "timestamptz": "type/DateTimeWithLocalTZ",
}


class FakeMetabase:
    """The state of a Metabase, and its answers to requests."""

    def __init__(self) -> None:
        self.url = ""
        self.api_key = "mb_key"
        self.user: Json = {}
        self.databases: dict[int, Json] = {}
        self.fields: dict[int, Json] = {}
        self.tables: list[Json] = []
        self.collections: dict[int, Json] = {}
        self.cards: dict[int, Json] = {}
        self.dashboards: dict[int, Json] = {}
        self.writes: list[str] = []
        self.is_reading = False
        self._last_id = 0

    def answer(self, method: str, path: str, query: Json, headers: Any, body: Json) -> tuple[int, Any]:
        """Return status and body of the answer to a request."""
        if method != "GET" and (refusal := self._refusal(method, path, body)):
            return refusal
        if path == "session/properties":
            return 200, {"has-user-setup": bool(self.user), "setup-token": None if self.user else "token"}
        if path in ("setup", "session"):
            return self._set_up(body) if path == "setup" else self._sign_in(body)
        if headers.get("x-api-key") != self.api_key and headers.get("X-Metabase-Session") != "session":
            return 401, "Unauthenticated"
        kind, *rest = path.split("/")
        return getattr(self, f"_{kind}")(method, rest, query, body)  # type: ignore[no-any-return]

    def _refusal(self, method: str, path: str, body: Json) -> tuple[int, Any] | None:
        """Return what is wrong with a write, or record it and return nothing."""
        schema = BODIES.get(f"{method} " + re.sub(r"/\d+", "/#", path))
        if schema is None:
            return 404, "API endpoint does not exist."
        problems = [error.message for error in OAS31Validator(schema).iter_errors(body)]
        if problems:
            return 400, {"errors": problems}
        if path not in ("setup", "session"):
            self.writes.append(f"{method} {path}")
        return None

    def _sign_in(self, body: Json) -> tuple[int, Any]:
        right = {"username": self.user.get("email"), "password": self.user.get("password")}
        return (200, {"id": "session"}) if self.user and body == right else (401, "did not match")

    def _set_up(self, body: Json) -> tuple[int, Any]:
        if self.user or body["token"] != "token":
            return 403, "The setup token is used up."
        self.user = body["user"]
        return 200, {"id": "session"}

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    # Databases

    def _database(self, method: str, rest: list[str], query: Json, body: Json) -> tuple[int, Any]:
        if rest:
            return 200, self._of_database(self.databases[int(rest[0])], method, "".join(rest[1:]), body)
        if method == "GET":
            return 200, {"data": [self._without_password(each) for each in self.databases.values()]}
        if not self._can_connect(body["details"]):
            return 400, {"message": "Looks like the username or password is incorrect."}
        made = body | {"id": self._new_id()}
        self.databases[made["id"]] = made
        return 200, self._without_password(made)

    def _of_database(self, database: Json, method: str, part: str, body: Json) -> Json:
        if part == "healthcheck":
            return {"status": "ok" if self._can_connect(database["details"]) else "error"}
        if part == "sync_schema":
            self.is_reading = True
        elif part == "metadata" and self.is_reading:  # Metabase answers before it has read the tables
            self.is_reading = False
            self._read(database)
            return {"tables": self.tables[:1]}
        elif part == "metadata":
            return {"tables": self.tables}
        elif method == "PUT":
            database |= body
        return self._without_password(database)

    def _without_password(self, database: Json) -> Json:
        return database | {"details": database["details"] | {"password": "**MetabasePass**"}}

    def _connect(self, details: Json) -> psycopg.Connection:
        names = ("host", "port", "dbname", "user", "password")
        return psycopg.connect(**{name: details[name] for name in names})

    def _can_connect(self, details: Json) -> bool:
        try:
            self._connect(details).close()
        except psycopg.OperationalError:
            return False
        return True

    def _read(self, database: Json) -> None:
        """Read the tables of the schema, and keep the settings of those that were known."""
        known = {(each["table"], each["name"]): each for each in self.fields.values()}
        with self._connect(database["details"]) as connection:
            rows = connection.execute(
                """
                select relname, obj_description(pg_class.oid, 'pg_class'), attname, typname,
                    col_description(pg_class.oid, attnum)
                from pg_class
                inner join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
                inner join pg_type on pg_type.oid = atttypid
                where relnamespace = to_regnamespace(%s) and relkind in ('r', 'v')
                    and has_table_privilege(pg_class.oid, 'select')
                order by relname, attnum
                """,
                [database["details"]["schema-filters-patterns"]],
            ).fetchall()
        tables: dict[str, Json] = {}
        for table, about, name, kind, description in rows:
            field = known.get((table, name)) or {
                "id": self._new_id(),
                "table": table,
                "name": name,
                "base_type": BASE_TYPES.get(kind, "type/*"),
                "description": description,
                "semantic_type": None,
                "visibility_type": "normal",
                "settings": None,
            }
            self.fields[field["id"]] = field
            entry = {"name": table, "schema": "marts", "description": about, "fields": []}
            tables.setdefault(table, entry)["fields"].append(field)
        self.tables = list(tables.values())

    def _field(self, method: str, rest: list[str], query: Json, body: Json) -> tuple[int, Any]:
        self.fields[int(rest[0])] |= body
        return 200, self.fields[int(rest[0])]

    # Collections, cards, dashboards

    def _collection(self, method: str, rest: list[str], query: Json, body: Json) -> tuple[int, Any]:
        if method == "POST":
            made = body | {"id": self._new_id(), "archived": False}
            self.collections[made["id"]] = made
            return 200, made
        if not rest:
            return 200, [{"id": "root", "name": "Our analytics"}, *self.collections.values()]
        assert query["models"] == ["dashboard"]
        shown = [
            {"model": "dashboard", "id": each["id"], "name": each["name"]}
            for each in self.dashboards.values()
            if each["collection_id"] == int(rest[0]) and not each["archived"]
        ]
        return 200, {"data": shown, "total": len(shown)}

    def _card(self, method: str, rest: list[str], query: Json, body: Json) -> tuple[int, Any]:
        if method == "POST":
            if any(each["entity_id"] == body["entity_id"] for each in self.cards.values()):
                return 500, "duplicate key value violates unique constraint"
            made = body | {"id": self._new_id(), "archived": False}
            self.cards[made["id"]] = made
            return 200, self._shown(made, query)
        found = next(
            (each for each in self.cards.values() if rest[0] in (each["entity_id"], str(each["id"]))), None
        )
        if found is None:
            return 404, "Not found."
        if rest[1:] == ["dashboards"]:
            holders = [
                {"id": each["id"], "name": each["name"]}
                for each in self.dashboards.values()
                if any(card.get("card_id") == found["id"] for card in each["dashcards"])
            ]
            return 200, holders
        found |= body
        return 200, self._shown(found, query)

    def _shown(self, card: Json, query: Json) -> Json:
        """Return a card as Metabase has since version 57: its query in stages, unless the older form was
        requested.
        """
        if query.get("legacy-mbql") == ["true"]:
            return card
        native = card["dataset_query"]["native"]
        stage = {"lib/type": "mbql.stage/native", "native": native["query"]}
        stages = [stage | {"template-tags": native.get("template-tags", {})}]
        database = card["dataset_query"]["database"]
        return card | {"dataset_query": {"lib/type": "mbql/query", "database": database, "stages": stages}}

    def _dashboard(self, method: str, rest: list[str], query: Json, body: Json) -> tuple[int, Any]:
        if method == "POST":
            nothing: Json = {"archived": False, "dashcards": [], "parameters": [], "tabs": []}
            made = body | nothing | {"id": self._new_id()}
            self.dashboards[made["id"]] = made
            return 200, made
        found = self.dashboards[int(rest[0])]
        for each in body.get("dashcards", []):
            if each["id"] < 0:
                each["id"] = self._new_id()
        found |= body
        return 200, found


@contextmanager
def fake_metabase() -> Iterator[FakeMetabase]:
    """A Metabase before its setup, on its own port."""
    metabase = FakeMetabase()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        do_POST = do_PUT = do_GET  # noqa: N815  # names that http.server asks for

        def _answer(self) -> None:
            url = urlsplit(self.path)
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            path = url.path.removeprefix("/api/")
            status, answer = metabase.answer(self.command, path, parse_qs(url.query), self.headers, body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    metabase.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield metabase
    server.shutdown()
    server.server_close()
    thread.join()
