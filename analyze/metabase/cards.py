"""Charts as cards of Metabase, and their places on a dashboard."""

import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence

from analyze.definitions import Chart, Dashboard, Group, Measure, Rows
from analyze.metabase.client import Json
from analyze.sql import statement

COLUMNS, COLUMNS_OF = 24, {"third": 8, "half": 12, "full": 24}
"""The number of columns of Metabase's grid, and of a chart."""

HEIGHT_OF = {"number": 4, "table": 10, "chart": 9}
"""The number of rows of a chart in the grid."""

FILTERS = {
    "pipeline": ("string/=", "text", {"en": "Pipeline", "pt": "Funil"}),
    "owner": ("string/=", "text", {"en": "Owner", "pt": "Responsável"}),
    "currency": ("string/=", "text", {"en": "Currency", "pt": "Moeda"}),
    "from": ("date/single", "date", {"en": "From", "pt": "De"}),
    "to": ("date/single", "date", {"en": "To", "pt": "Até"}),
}
"""The filters of a dashboard: type of the parameter, type of the variable in SQL, and name."""

NAMESPACE = uuid.UUID("6d0f3c52-9b0a-5a3e-8f0e-2f4b8f6c1d77")
"""The namespace of ids computed from names, which are the same in every run."""

MARK = re.compile(r"-- `make metabase` keeps this statement up to date unless you change it: (\w{16})\n")
"""A pattern of the first line of a card's statement, with the digest of the rest."""


def entity_id(database_id: int, chart: Chart, language: str) -> str:
    """Return the 21-character id of a card, which does not depend on its name and place."""
    return uuid.uuid5(NAMESPACE, f"card {database_id} {chart.name} {language}").hex[:21]


def card(
    database_id: int,
    collection_id: int | None,
    chart: Chart,
    rows: Rows,
    columns: set[str],
    currency: str,
    language: str,
) -> Json:
    """Return a chart as a card.

    Args:
        database_id: The database to query.
        collection_id: The collection of the card; None means the root.
        chart: The chart.
        rows: The rows of the chart.
        columns: Names of the columns of its rows.
        currency: The currency that is shown unless the reader chooses another.
        language: `en` or `pt`.
    """
    return {
        "name": getattr(chart.question, language),
        "description": getattr(chart.note, language) if chart.note else None,
        "display": _display(chart),
        "visualization_settings": _settings(chart, language),
        "dataset_query": _query(database_id, chart, rows, columns, currency, language),
        "collection_id": collection_id,
        "entity_id": entity_id(database_id, chart, language),
    }


def is_untouched(native: Mapping[str, str]) -> bool:
    """Return whether a statement is unchanged since `make metabase` wrote it."""
    mark = MARK.match(native["query"])
    return mark is not None and _digest(native["query"][mark.end() :]) == mark[1]


def _query(
    database_id: int, chart: Chart, rows: Rows, columns: set[str], currency: str, language: str
) -> Json:
    tags = _tags(database_id, chart, columns, currency, language)
    values = {tag: "{{" + tag + "}}" for tag in tags}
    text = statement(
        chart,
        rows,
        columns,
        values,
        condition="[[and {}]]",
        language=language,
        has_closing=False,  # Metabase sums these columns itself
    )
    mark = f"-- `make metabase` keeps this statement up to date unless you change it: {_digest(text)}\n"
    return {
        "type": "native",
        "database": database_id,
        "native": {"query": mark + text, "template-tags": tags},
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _tags(database_id: int, chart: Chart, columns: set[str], currency: str, language: str) -> dict[str, Json]:
    """Return the variables of a chart's statement in Metabase's format."""
    found: dict[str, Json] = {
        name: {
            "id": str(uuid.uuid5(NAMESPACE, f"tag {database_id} {chart.name} {language} {name}")),
            "name": name,
            "display-name": FILTERS[name][2][language],
            "type": FILTERS[name][1],
        }
        for name in filters_of(chart, columns)
    }
    if "currency" in found:  # amounts of different currencies are never summed
        found["currency"] |= {"required": True, "default": currency}
    return found


def filters_of(chart: Chart, columns: set[str]) -> list[str]:
    """Return the names of the filters that apply to a chart."""
    names: list[str] = [name for name in ("pipeline", "owner") if name in columns]
    names += ["currency"] if chart.money == "chosen" else []
    return [*names, *(["from", "to"] if chart.period else [])]


def _display(chart: Chart) -> str:
    if chart.kind != "chart":
        return {"number": "scalar", "table": "table"}[chart.kind]
    if chart.bridge:
        return "waterfall"
    is_sideways = chart.chart["encoding"]["y"]["type"] == "nominal"
    return "row" if is_sideways else str(chart.chart["mark"]["type"])


def _settings(chart: Chart, language: str) -> Json:
    shown: dict[str, Group | Measure] = {**chart.by, **chart.measures}
    settings: Json = {
        "column_settings": {
            f'["name","{name}"]': {"column_title": getattr(each.label, language)}
            | ({"number_style": "percent"} if each.format == "percent" else {})
            for name, each in shown.items()
        }
    }
    if chart.kind == "number":
        settings["scalar.field"] = next(iter(shown))
    if chart.kind == "chart":
        encoding = chart.chart["encoding"]
        along, across = ("y", "x") if encoding["y"]["type"] == "nominal" else ("x", "y")
        dimensions = [encoding[along]["field"]]
        if "color" in encoding and encoding["color"]["field"] != dimensions[0]:
            dimensions.append(encoding["color"]["field"])
            settings["stackable.stack_type"] = "stacked"
        settings |= {"graph.dimensions": dimensions, "graph.metrics": [encoding[across]["field"]]}
    if chart.bridge:
        settings["waterfall.show_total"] = True
    return settings


# Dashboards


def parameters(dashboard: Dashboard, database_id: int, currency: str, language: str) -> list[Json]:
    """Return the filters of a dashboard. Their ids identify the dashboard, whatever a user calls it."""
    found: list[Json] = []
    for slug, (kind, _, label) in FILTERS.items():
        found.append(
            {
                "id": uuid.uuid5(NAMESPACE, f"{dashboard.name} {database_id} {language} {slug}").hex[:8],
                "slug": slug,
                "name": label[language],
                "type": kind,
                "sectionId": "date" if kind.startswith("date") else "string",
            }
            | ({"isMultiSelect": False} if kind.startswith("string") else {})
            | ({"default": [currency], "required": True} if slug == "currency" else {})
        )
    return found


def placed(
    charts: Sequence[Chart],
    card_ids: Mapping[str, int],
    columns: Mapping[str, set[str]],
    shown: Json,
    filters: Sequence[Json],
) -> list[Json]:
    """Return charts as cards on a dashboard, below the existing ones, from left to right and from top to
    bottom.

    Args:
        charts: The charts to place.
        card_ids: Their cards.
        columns: Names of the columns of each set of rows.
        shown: The dashboard in its present form. If it has tabs, the cards go on the first.
        filters: The dashboard's filters that apply to the cards.
    """
    ids = {each["slug"]: each["id"] for each in filters}
    tab = {"dashboard_tab_id": shown["tabs"][0]["id"]} if shown.get("tabs") else {}
    row = max((each["row"] + each["size_y"] for each in shown.get("dashcards") or []), default=0)
    found, column, height = [], 0, 0
    for position, chart in enumerate(charts, 1):
        width, tall = COLUMNS_OF[chart.width], HEIGHT_OF[chart.kind]
        if column + width > COLUMNS:
            column, row, height = 0, row + height, 0
        mappings = [
            {
                "parameter_id": ids[name],
                "card_id": card_ids[chart.name],
                "target": ["variable", ["template-tag", name]],
            }
            for name in filters_of(chart, columns[chart.rows])
            if name in ids
        ]
        found.append(
            {
                "id": -position,
                "card_id": card_ids[chart.name],
                **{"col": column, "row": row, "size_x": width, "size_y": tall},
                "parameter_mappings": mappings,
                "visualization_settings": {},
                **tab,
            }
        )
        column, height = column + width, max(height, tall)
    return found
