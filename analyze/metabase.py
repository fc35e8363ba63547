"""`make metabase`: the database, the descriptions and the dashboards for a running Metabase, through its REST API.

Metabase 58 and newer. Running it again changes nothing; what users have added or changed stays: it writes a
description or a type only where there is none, and gives a card a place only when it makes it. It was built on the
API's description in Metabase's repository (`resources/openapi`), and has not met a running Metabase.
"""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import requests

from analyze.definitions import Chart, Dashboard, Group, Measure, dashboards, rows
from analyze.sql import statement

Json = dict[str, Any]

SECONDS = 60
"""How long an answer may take, and how often `PAUSE` is waited for the tables."""

PAUSE = 5.0
COLUMNS, COLUMNS_OF = 24, {"third": 8, "half": 12, "full": 24}
"""Columns of Metabase's grid, and how many of them a chart takes."""

HEIGHT_OF = {"number": 4, "table": 10, "chart": 9}
"""Rows of the grid that a chart takes."""

DISPLAY_OF = {"bar": "bar", "line": "line", "area": "area"}
"""What Metabase calls a mark; a bar from left to right is its `row`."""

FILTERS = {
    "pipeline": ("string/=", "text", {"en": "Pipeline", "pt": "Funil"}),
    "owner": ("string/=", "text", {"en": "Owner", "pt": "Responsável"}),
    "currency": ("string/=", "text", {"en": "Currency", "pt": "Moeda"}),
    "from": ("date/single", "date", {"en": "From", "pt": "De"}),
    "to": ("date/single", "date", {"en": "To", "pt": "Até"}),
}
"""Filters of a dashboard: type of the parameter, type of the variable in SQL, and name."""

COLLECTIONS = {"en": "Pipedrive", "pt": "Pipedrive (português)"}


class MetabaseError(Exception):
    """What Metabase refused, in one sentence."""


class Account(NamedTuple):
    """Who provisions: an API key, or a user's e-mail address and password."""

    api_key: str = ""
    email: str = ""
    password: str = ""


class Metabase:
    """A running Metabase. All methods raise MetabaseError when it refuses or does not answer."""

    def __init__(self, url: str, account: Account) -> None:
        self._url = url.rstrip("/")
        self._http = requests.Session()
        self.made: list[str] = []
        """What was created, in words."""
        if account.api_key:
            self._http.headers["x-api-key"] = account.api_key
            return
        properties = self.get("session/properties")
        if not properties.get("has-user-setup") and (token := properties.get("setup-token")):
            user = {"email": account.email, "password": account.password, "first_name": "", "last_name": ""}
            self.post("setup", {"token": token, "user": user, "prefs": {"site_name": "Pipedrive"}})
            self.made.append(f"the first user, {account.email}")
        session = self.post("session", {"username": account.email, "password": account.password})
        self._http.headers["X-Metabase-Session"] = session["id"]

    def get(self, path: str) -> Any:
        """Return the answer to a GET."""
        return self._call("GET", path)

    def post(self, path: str, body: Json) -> Any:
        """Return the answer to a POST."""
        return self._call("POST", path, body)

    def put(self, path: str, body: Json) -> Any:
        """Return the answer to a PUT."""
        return self._call("PUT", path, body)

    def _call(self, method: str, path: str, body: Json | None = None) -> Any:
        url = f"{self._url}/api/{path}"
        try:
            answer = self._http.request(method, url, json=body, timeout=SECONDS)
        except requests.RequestException as error:
            raise MetabaseError(f"Metabase at {self._url} does not answer: {type(error).__name__}.") from None
        if not answer.ok:
            said = answer.text[:300].replace("\n", " ")
            raise MetabaseError(f"Metabase refuses {method} /api/{path} with {answer.status_code}: {said}")
        return answer.json() if answer.content else None


def listed(answer: Any) -> list[Json]:
    """Return the items of a list: some answers wrap them in `data`."""
    items: list[Json] = answer["data"] if isinstance(answer, dict) else answer
    return items


# The database


def database(metabase: Metabase, name: str, details: Json, schema: str) -> int:
    """Return the id of the database, which is made and read unless it is there.

    Args:
        metabase: Where it goes.
        name: What Metabase calls it.
        details: The connection, of a role that may only read the marts.
        schema: The schema of the marts.
    """
    known = {each["name"]: each for each in listed(metabase.get("database"))}
    details = details | {"schema-filters-type": "inclusion", "schema-filters-patterns": schema}
    if name in known:
        found: int = known[name]["id"]
        kept = known[name].get("details") or {}
        if any(kept.get(key) != value for key, value in details.items() if key != "password"):
            metabase.put(f"database/{found}", {"details": details})
    else:
        body = {"name": name, "engine": "postgres", "details": details, "is_full_sync": True}
        found = metabase.post("database", body)["id"]
        metabase.made.append(f"the database {name}")
    metabase.post(f"database/{found}/sync_schema", {})
    return found


def tables(metabase: Metabase, database_id: int, schema: str, wanted: set[str]) -> list[Json]:
    """Return the tables of the marts with their fields, once Metabase has read them."""
    for _ in range(SECONDS):
        found = metabase.get(f"database/{database_id}/metadata?include_hidden=true")["tables"]
        marts = [each for each in found if each.get("schema") == schema]
        missing = wanted - {each["name"] for each in marts}
        if not missing:
            return marts
        time.sleep(PAUSE)
    raise MetabaseError(
        f"Metabase does not see {', '.join(sorted(missing))} in the schema {schema}: may its role read them?"
    )


class Column(NamedTuple):
    """What is known of a column of a mart."""

    description: str
    semantic_type: str | None
    target: tuple[str, str] | None
    """Table and column that a foreign key points to."""
    is_technical: bool


def describe(
    metabase: Metabase, found: list[Json], marts: Mapping[str, tuple[str, Mapping[str, Column]]]
) -> None:
    """Write descriptions, types and keys where nobody has, and hide technical columns.

    Args:
        metabase: Where they go.
        found: Tables as Metabase lists them.
        marts: Description and columns of each mart.
    """
    fields = {(table["name"], field["name"]): field for table in found for field in table["fields"]}
    for table in found:
        if table["name"] not in marts:
            continue
        description, columns = marts[table["name"]]
        if description and not table.get("description"):
            metabase.put(f"table/{table['id']}", {"description": description})
        for name, column in columns.items():
            if (table["name"], name) in fields:
                _describe_field(metabase, fields, fields[table["name"], name], column)


def _describe_field(
    metabase: Metabase, fields: Mapping[tuple[str, str], Json], field: Json, column: Column
) -> None:
    change: Json = {}
    if column.description and not field.get("description"):
        change["description"] = column.description
    target = fields.get(column.target) if column.target else None
    if target and not field.get("fk_target_field_id"):
        change |= {"semantic_type": "type/FK", "fk_target_field_id": target["id"]}
    elif column.semantic_type and not field.get("semantic_type"):
        change["semantic_type"] = column.semantic_type
    if column.is_technical and field.get("visibility_type", "normal") == "normal":
        change["visibility_type"] = "details-only"
    if change:
        metabase.put(f"field/{field['id']}", change)


# Cards and dashboards


def collection(metabase: Metabase, name: str) -> int:
    """Return the id of a collection, which is made unless it is there."""
    for each in listed(metabase.get("collection")):
        if each["name"] == name and not each.get("archived"):
            found: int = each["id"]
            return found
    metabase.made.append(f"the collection {name}")
    made: int = metabase.post("collection", {"name": name})["id"]
    return made


def publish(
    metabase: Metabase, database_id: int, columns: Mapping[str, set[str]], currency: str, language: str
) -> None:
    """Make the cards and dashboards of a language, and bring their statements up to date.

    Args:
        metabase: Where they go.
        database_id: The database that they ask.
        columns: Names of the columns of each set of rows.
        currency: The currency that is shown unless the reader chooses another.
        language: `en` or `pt`.
    """
    collection_id = collection(metabase, COLLECTIONS[language])
    items = listed(metabase.get(f"collection/{collection_id}/items?models=card&models=dashboard"))
    known = {(each["model"], each["name"]): each["id"] for each in items}
    for dashboard in dashboards():
        charts = [chart for chart in dashboard.charts if chart.rows in rows()]
        cards = {
            chart.name: _card(metabase, database_id, collection_id, known, chart, columns, currency, language)
            for chart in charts
        }
        _dashboard(metabase, collection_id, known, dashboard, charts, cards, currency, language)


def _card(
    metabase: Metabase,
    database_id: int,
    collection_id: int,
    known: Mapping[tuple[str, str], int],
    chart: Chart,
    columns: Mapping[str, set[str]],
    currency: str,
    language: str,
) -> int:
    name = getattr(chart.question, language)
    tags = _tags(chart, columns[chart.rows], currency, language)
    values = {tag: "{{" + tag + "}}" for tag in tags}
    query = {
        "type": "native",
        "database": database_id,
        "native": {
            "query": statement(
                chart, rows()[chart.rows], columns[chart.rows], values, condition="[[and {}]]"
            ),
            "template-tags": tags,
        },
    }
    if card_id := known.get(("card", name)):
        if metabase.get(f"card/{card_id}")["dataset_query"].get("native") != query["native"]:
            metabase.put(f"card/{card_id}", {"dataset_query": query})
        return card_id
    body = {
        "name": name,
        "description": getattr(chart.note, language) if chart.note else None,
        "display": _display(chart),
        "visualization_settings": _settings(chart, language),
        "dataset_query": query,
        "collection_id": collection_id,
    }
    metabase.made.append(f"the card {name}")
    made: int = metabase.post("card", body)["id"]
    return made


def _tags(chart: Chart, columns: set[str], currency: str, language: str) -> dict[str, Json]:
    """Return the variables of a chart's statement, as Metabase describes them."""
    names: list[str] = [name for name in ("pipeline", "owner") if name in columns]
    names += ["currency"] if chart.money == "chosen" else []
    names += ["from", "to"] if chart.period else []
    tags: dict[str, Json] = {}
    for name in names:
        _, kind, label = FILTERS[name]
        tags[name] = {
            "id": f"{chart.name}-{name}",
            "name": name,
            "display-name": label[language],
            "type": kind,
        }
    if "currency" in tags:  # amounts are never summed over currencies
        tags["currency"] |= {"required": True, "default": currency}
    return tags


def _display(chart: Chart) -> str:
    if chart.kind == "number":
        return "scalar"
    if chart.kind == "table":
        return "table"
    return (
        "row"
        if chart.chart["encoding"]["y"]["type"] == "nominal"
        else DISPLAY_OF[chart.chart["mark"]["type"]]
    )


def _settings(chart: Chart, language: str) -> Json:
    shown: dict[str, Group | Measure] = {**chart.by, **chart.measures}
    labels = {name: getattr(each.label, language) for name, each in shown.items()}
    formats = {name: each.format for name, each in shown.items()}
    columns = {
        f'["name","{name}"]': {"column_title": label}
        | ({"number_style": "percent"} if formats[name] == "percent" else {})
        for name, label in labels.items()
    }
    settings: Json = {"column_settings": columns}
    if chart.kind == "number":
        settings["scalar.field"] = next(iter(chart.measures))
    if chart.kind == "chart":
        encoding = chart.chart["encoding"]
        along, across = ("y", "x") if encoding["y"]["type"] == "nominal" else ("x", "y")
        dimensions = [encoding[along]["field"]]
        if "color" in encoding and encoding["color"]["field"] != dimensions[0]:
            dimensions.append(encoding["color"]["field"])
            settings["stackable.stack_type"] = "stacked"
        settings |= {"graph.dimensions": dimensions, "graph.metrics": [encoding[across]["field"]]}
    return settings


def _dashboard(
    metabase: Metabase,
    collection_id: int,
    known: Mapping[tuple[str, str], int],
    dashboard: Dashboard,
    charts: list[Chart],
    cards: Mapping[str, int],
    currency: str,
    language: str,
) -> None:
    name = getattr(dashboard.title, language)
    dashboard_id = known.get(("dashboard", name))
    if dashboard_id is None:
        about = getattr(dashboard.about, language)
        body = {"name": name, "description": about, "collection_id": collection_id}
        dashboard_id = metabase.post("dashboard", body)["id"]
        metabase.made.append(f"the dashboard {name}")
    shown = metabase.get(f"dashboard/{dashboard_id}")
    kept = shown.get("dashcards") or []
    there = {each.get("card_id") for each in kept}
    missing = [chart for chart in charts if cards[chart.name] not in there]
    parameters = shown.get("parameters") or []
    known_parameters = {each["slug"] for each in parameters}
    added = [each for each in _parameters(currency, language) if each["slug"] not in known_parameters]
    if not missing and not added:
        return
    below = max((each["row"] + each["size_y"] for each in kept), default=0)
    slugs = {each["slug"]: each["id"] for each in [*parameters, *added]}
    placed = [
        {
            "id": -position,
            "card_id": cards[chart.name],
            "parameter_mappings": _mappings(chart, cards[chart.name], slugs),
            "visualization_settings": {},
            **place,
        }
        for position, (chart, place) in enumerate(zip(missing, _places(missing, below), strict=True), 1)
    ]
    metabase.put(
        f"dashboard/{dashboard_id}",
        {"parameters": [*parameters, *added], "dashcards": [*kept, *placed], "tabs": shown.get("tabs") or []},
    )


def _parameters(currency: str, language: str) -> list[Json]:
    found = []
    for slug, (kind, _, label) in FILTERS.items():
        parameter = {"id": f"filter-{slug}", "slug": slug, "name": label[language], "type": kind}
        found.append(parameter | ({"default": [currency], "required": True} if slug == "currency" else {}))
    return found


def _mappings(chart: Chart, card_id: int, slugs: Mapping[str, str]) -> list[Json]:
    names = [*("pipeline", "owner"), *(["currency"] if chart.money == "chosen" else [])]
    names += ["from", "to"] if chart.period else []
    return [
        {"parameter_id": slugs[name], "card_id": card_id, "target": ["variable", ["template-tag", name]]}
        for name in names
        if name in slugs
    ]


def _places(charts: list[Chart], below: int) -> list[Json]:
    """Return the place of each chart in the grid: from left to right, then further down."""
    places, column, row, height = [], 0, below, 0
    for chart in charts:
        width, tall = COLUMNS_OF[chart.width], HEIGHT_OF[chart.kind]
        if column + width > COLUMNS:
            column, row, height = 0, row + height, 0
        places.append({"col": column, "row": row, "size_x": width, "size_y": tall})
        column, height = column + width, max(height, tall)
    return places
