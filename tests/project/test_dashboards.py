"""The definitions of the dashboards agree with the marts, with each other and with generated files."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from analyze.definitions import Chart, Rows, Text, dashboards, rows
from analyze.exposures import PATH, exposures, marts_of

from .documents import DOCS, ROOT, blocks

CHARTS = [chart for dashboard in dashboards() for chart in dashboard.charts]


def texts(value: Any) -> Iterator[Text]:
    if isinstance(value, Text):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from texts(getattr(value, name))
    elif isinstance(value, dict | tuple | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)


def test_dashboards_are_in_order() -> None:
    names = [each.name for each in dashboards()]
    assert names == ["sales", "pipeline", "team", "customers", "quality", "reports", "goals"]
    assert len({chart.name for chart in CHARTS}) == len(CHARTS)


def test_exposures_are_up_to_date() -> None:
    assert PATH.read_text() == exposures(), "run make generate"


def test_dashboards_use_existing_marts() -> None:
    marts = {path.stem for path in (ROOT / "transform/models/marts").rglob("*.sql")}
    read = {mart for dashboard in dashboards() for mart in marts_of(dashboard)}
    assert read
    assert read <= marts
    for each in rows().values():
        assert re.findall(r"\b(?:from|join) (?!marts\.)(\w+)", each.sql) == [], each.sql


def test_every_text_is_in_both_languages() -> None:
    found = list(texts(dashboards()))
    assert len(found) > 100
    same = {each.en for each in found if each.en == each.pt}
    assert same <= {"CRM", "leads"}
    assert all(each.en.strip() and each.pt.strip() for each in found)


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_charts_use_and_sort_by_their_own_columns(chart: Chart) -> None:
    has = {*chart.by, *chart.measures}
    assert {each.removeprefix("-") for each in chart.order} <= has
    assert set(chart.by) <= {each.removeprefix("-") for each in chart.order}, (
        "rows that sort equally would have no stable order"
    )
    drawn = {coded["field"] for coded in chart.chart.get("encoding", {}).values()}
    assert drawn <= has
    assert (chart.kind == "chart") is bool(drawn)
    for measure in chart.measures.values():
        assert set(measure.ratio or ()) <= set(chart.measures)
        assert chart.kind == "table" or measure.format != "money" or chart.money


def test_the_chart_in_the_documents_shows_its_rows() -> None:
    lost, charts = (
        yaml.safe_load(each.text) for each in blocks(DOCS / "analyze.md") if each.language == "yaml"
    )
    ((name, found),) = lost.items()
    (chart,) = map(Chart.model_validate, charts)
    selected = Rows.model_validate(found).sql.partition("from")[0]
    assert chart.rows == name
    assert {*chart.by, str(chart.period)} <= set(re.findall(r"(\w+)(?:,|\s*$)", selected))


def test_a_mistake_in_a_definition_is_reported() -> None:
    right = CHARTS[0].model_dump()
    with pytest.raises(ValidationError, match="measures"):
        Chart.model_validate(right | {"measures": {"value": {"label": {"en": "a", "pt": "b"}}}})
    with pytest.raises(ValidationError, match="colour"):
        Chart.model_validate(right | {"colour": "red"})
