"""Adds the missing parts to a running Metabase. Running it again changes nothing, and users' changes are
kept.

Cards have fixed ids, and dashboards are identified by the ids of their filters, so that both may be renamed
and moved. Cards that a user removes from a dashboard or deletes are not added again.
"""

import time
from collections.abc import Mapping

from analyze.as_of import chart_of
from analyze.definitions import LANGUAGES, Chart, Dashboard, Rows, dashboards
from analyze.metabase.cards import card, entity_id, is_untouched, parameters, placed
from analyze.metabase.client import Json, Metabase, MetabaseError, listed
from analyze.metabase.columns import describe

SCHEMA = "marts"
MINUTES = 10
"""The longest time that Metabase may take to read the tables."""

PAUSE = 2.0
"""Seconds between two checks."""

COLLECTIONS = {"en": "Pipedrive", "pt": "Pipedrive (português)"}

Tables = Mapping[str, set[str]]
"""The names of columns by table."""

RowsOf = Mapping[str, tuple[Rows, set[str]]]
"""The sets of rows by name, each with the names of its columns."""


def provision(
    metabase: Metabase,
    name: str,
    details: Json,
    marts: Tables,
    rows: RowsOf,
    *,
    currency: str,
    reporting_currency: str,
) -> None:
    """Create the database, the types of columns, the cards and the dashboards, in English and Portuguese.

    Args:
        metabase: The session; its `done` lists what was created or changed.
        name: The name of the database in Metabase.
        details: Metabase's connection: host, port, dbname, user and password of a role that may only read.
        marts: The marts with their columns, as that role has to see them.
        rows: The sets of rows behind the charts, with their columns.
        currency: The currency that dashboards show first.
        reporting_currency: The currency of converted amounts.

    Raises:
        MetabaseError: Metabase refuses a request, or does not see the marts.
    """
    database_id = _database(metabase, name, details)
    describe(metabase, _tables(metabase, database_id, marts), reporting_currency)
    for language in LANGUAGES:
        for dashboard in dashboards():
            charts = [chart_of(dashboard, language), *dashboard.charts]
            there = [chart for chart in charts if chart.rows in rows]
            _Publisher(metabase, database_id, rows, currency, language).publish(dashboard, there)


def _database(metabase: Metabase, name: str, details: Json) -> int:
    """Return the id of the database, which is created if it is missing and corrected if its connection
    differs.
    """
    known = {each["name"]: each["id"] for each in listed(metabase.get("database"))}
    if name not in known:
        body = {
            "name": name,
            "engine": "postgres",
            "details": details | {"schema-filters-type": "inclusion", "schema-filters-patterns": SCHEMA},
            "is_full_sync": True,
            "is_on_demand": False,
            "connection_source": "admin",
        }
        made: int = metabase.post("database", body)["id"]
        metabase.done.append(f"the database {name} was connected")
        return made
    found: int = known[name]
    kept = metabase.get(f"database/{found}")["details"]
    is_same = all(kept.get(key) == value for key, value in details.items() if key != "password")
    if not is_same or metabase.get(f"database/{found}/healthcheck").get("status") != "ok":
        metabase.put(f"database/{found}", {"details": kept | details})
        metabase.done.append(f"the connection of the database {name} was set anew")
    return found


def _tables(metabase: Metabase, database_id: int, marts: Tables) -> list[Json]:
    """Return the marts with their fields, after waiting until Metabase has read them."""
    is_asked = False
    for _ in range(int(MINUTES * 60 / PAUSE)):
        tables = metabase.get(f"database/{database_id}/metadata?include_hidden=true")["tables"]
        found = [each for each in tables if each["schema"] == SCHEMA and each["name"] in marts]
        seen = {each["name"]: {field["name"] for field in each["fields"]} for each in found}
        missing = sorted(name for name, columns in marts.items() if columns - seen.get(name, set()))
        if not missing:
            return found
        if not is_asked:
            metabase.post(f"database/{database_id}/sync_schema", {})
            is_asked = True
        time.sleep(PAUSE)
    raise MetabaseError(
        f"After {MINUTES} minutes, Metabase does not see all columns of {SCHEMA}.{f', {SCHEMA}.'.join(missing)}: "
        "check that METABASE_DATABASE_USER may read them, and what Metabase says under Admin > Databases."
    )


class _Publisher:
    """Creates dashboards of one language."""

    def __init__(
        self, metabase: Metabase, database_id: int, rows: RowsOf, currency: str, language: str
    ) -> None:
        self._metabase = metabase
        self._database_id = database_id
        self._rows = rows
        self._currency = currency
        self._language = language

    def publish(self, dashboard: Dashboard, charts: list[Chart]) -> None:
        """Create a dashboard with its cards, or update its existing cards."""
        known = {chart.name: found for chart in charts if (found := self._known_card(chart))}
        shown = self._dashboard(dashboard, list(known.values()))
        if shown is None:
            return
        ids = {}
        for chart in charts:
            if chart.name not in known:
                ids[chart.name] = self._make_card(chart, shown.get("collection_id"))
            elif not known[chart.name].get("archived"):
                ids[chart.name] = known[chart.name]["id"]
                self._update(chart, known[chart.name])
        self._fill(dashboard, charts, ids, shown, new=ids.keys() - known.keys())

    def _known_card(self, chart: Chart) -> Json | None:
        """Return the card of a chart, including a deleted one."""
        path = f"card/{entity_id(self._database_id, chart, self._language)}?legacy-mbql=true"
        found: Json | None = self._metabase.find(path)
        return found

    def _dashboard(self, dashboard: Dashboard, known: list[Json]) -> Json | None:
        """Return the dashboard, which is created with its first card; None if a user deleted it."""
        own = {each["id"] for each in self._parameters(dashboard)}
        for each in known:
            for place in self._metabase.get(f"card/{each['id']}/dashboards"):
                shown: Json = self._metabase.get(f"dashboard/{place['id']}")
                if own & {parameter["id"] for parameter in shown.get("parameters") or []}:
                    return None if shown.get("archived") else shown
        collection_id = self._collection()
        name = getattr(dashboard.title, self._language)
        if collection_id and (unfinished := self._empty_dashboard(collection_id, name)):
            return unfinished
        if known:
            return None
        if collection_id is None:
            collection_id = self._make_collection()
        about = getattr(dashboard.about, self._language)
        made: Json = self._metabase.post(
            "dashboard", {"name": name, "description": about, "collection_id": collection_id}
        )
        self._metabase.done.append(f"the dashboard {name} was made")
        return made

    def _collection(self) -> int | None:
        """Return the id of the collection of the language, if it exists."""
        found = (each for each in listed(self._metabase.get("collection")) if not each.get("archived"))
        return next((each["id"] for each in found if each["name"] == COLLECTIONS[self._language]), None)

    def _make_collection(self) -> int:
        name = COLLECTIONS[self._language]
        made: int = self._metabase.post("collection", {"name": name})["id"]
        self._metabase.done.append(f"the collection {name} was made")
        return made

    def _empty_dashboard(self, collection_id: int, name: str) -> Json | None:
        """Return the dashboard of a run that ended before it was filled."""
        for item in listed(self._metabase.get(f"collection/{collection_id}/items?models=dashboard")):
            if item["name"] == name:
                shown: Json = self._metabase.get(f"dashboard/{item['id']}")
                if not shown.get("dashcards") and not shown.get("parameters"):
                    return shown
        return None

    def _make_card(self, chart: Chart, collection_id: int | None) -> int:
        body = self._card(chart, collection_id)
        made = self._metabase.post("card", body)
        if made.get("entity_id") != body["entity_id"]:
            raise MetabaseError(
                f"This Metabase gave the card {body['name']} another id than it was asked to, so that it would be "
                "made again with each run: delete that card, and use Metabase 58 or newer."
            )
        self._metabase.done.append(f"the card {body['name']} was made")
        card_id: int = made["id"]
        return card_id

    def _update(self, chart: Chart, found: Json) -> None:
        """Update the statement of a card, unless a user has changed it."""
        native = found["dataset_query"].get("native")
        query = self._card(chart, None)["dataset_query"]
        if not native or not is_untouched(native) or native["query"] == query["native"]["query"]:
            return
        kept, tags = native.get("template-tags") or {}, query["native"]["template-tags"]
        query["native"]["template-tags"] = {name: kept.get(name, tag) for name, tag in tags.items()}
        self._metabase.put(f"card/{found['id']}", {"dataset_query": query})
        self._metabase.done.append(f"the statement of the card {found['name']} was brought up to date")

    def _fill(
        self, dashboard: Dashboard, charts: list[Chart], ids: Mapping[str, int], shown: Json, new: set[str]
    ) -> None:
        """Put cards on a dashboard: all of them the first time, and later the new ones."""
        filters = shown.get("parameters") or []
        own = self._parameters(dashboard)
        there = {each["id"] for each in filters}
        if not there & {each["id"] for each in own}:
            new, filters = set(ids), [*filters, *own]
        missing = [chart for chart in charts if chart.name in new]
        if not missing:
            return
        usable = [each for each in filters if each["id"] in {ours["id"] for ours in own}]
        columns = {name: columns for name, (_, columns) in self._rows.items()}
        cards = placed(missing, ids, columns, shown, usable)
        body = {"parameters": filters, "dashcards": [*(shown.get("dashcards") or []), *cards]}
        self._metabase.put(f"dashboard/{shown['id']}", body | {"tabs": shown.get("tabs") or []})

    def _parameters(self, dashboard: Dashboard) -> list[Json]:
        return parameters(dashboard, self._database_id, self._currency, self._language)

    def _card(self, chart: Chart, collection_id: int | None) -> Json:
        rows, columns = self._rows[chart.rows]
        return card(self._database_id, collection_id, chart, rows, columns, self._currency, self._language)
