"""The definitions of dashboards: charts, each of which answers one question from rows that SQL selects from
the marts.

A chart defines how its rows are grouped and measured. `sql.py` turns that into one statement for Postgres,
and `page/figures.js` does the same in a browser, so that both show the same figures.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

FOLDER = Path(__file__).parent
LANGUAGES = ("en", "pt")

Column = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Format = Literal["integer", "money", "percent", "days", "number", "text", "date", "moment"]


class Strict(BaseModel):
    """A model without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(Strict):
    """A text in both languages."""

    en: str
    pt: str


class Rows(Strict):
    """Rows of the marts, which charts group and measure, and from which filters take their choices."""

    sql: str
    about: str = ""
    """A description of the rows, if the SQL does not make it clear."""


class Measure(Strict):
    """A figure of a group of rows: one of count, sum, median, or the ratio of two other measures."""

    count: bool = False
    sum: Column | None = None
    median: Column | None = None
    ratio: tuple[Column, Column] | None = None
    where: Column | None = None
    """A column that is true for the rows to measure."""
    format: Format = "integer"
    label: Text

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [self.count, self.sum, self.median, self.ratio]
        if sum(bool(each) for each in given) != 1:
            raise ValueError("a measure is one of count, sum, median and ratio")
        return self


class Group(Strict):
    """A column by which rows are grouped."""

    label: Text
    format: Format = "text"
    words: str | None = None
    """The set of words shown instead of its values, which also defines their order."""

    @field_validator("words")
    @classmethod
    def _are_there(cls, name: str | None) -> str | None:
        if name is not None and name not in words():
            raise ValueError(f"words.yml has no set {name}")
        return name


class Chart(Strict):
    """A question and how it is answered."""

    name: Column
    question: Text
    note: Text | None = None
    """An explanation that readers need to understand the figures."""
    rows: Column
    period: Column | None = None
    """The date that the filter of the period applies to; None means that the period does not matter."""
    where: Column | None = None
    """A column that is true for the rows to include."""
    bridge: Column | None = None
    """Column that says what each row of a ledger is for. The chart then begins with `opening`, what all rows
    before the period add up to, and ends with `closing`, what those to its end add up to."""
    by: dict[Column, Group] = {}
    measures: dict[Column, Measure] = {}
    money: Literal["chosen", "reporting"] | None = None
    """Whether amounts are in the currency chosen by the reader, or always in the reporting currency."""
    order: tuple[str, ...] = ()
    """Columns to order by, with `-` before descending ones."""
    limit: int | None = None
    kind: Literal["number", "table", "chart"] = "chart"
    chart: dict[str, Any] = {}
    """Vega-Lite without data; `{en: …, pt: …}` stands for the text of the page's language."""
    width: Literal["third", "half", "full"] = "half"
    empty: Text | None = None
    """The text shown if no choice of filters has any data."""

    @model_validator(mode="after")
    def _has_a_bridge(self) -> Self:
        if self.bridge and not (self.period and self.bridge in self.by):
            raise ValueError("a bridge is a column that the chart groups by, over a period")
        return self


class Dashboard(Strict):
    """A page of charts."""

    name: Column
    position: int
    title: Text
    about: Text
    streams: tuple[Column, ...] = ()
    """Streams of Pipedrive behind its figures; none means all that are read."""
    charts: tuple[Chart, ...]


@cache
def words() -> dict[str, dict[str, Text]]:
    """Return the words shown instead of values, by set and value."""
    found = yaml.safe_load((FOLDER / "words.yml").read_text())
    return TypeAdapter(dict[str, dict[str, Text]]).validate_python(found)


@cache
def rows() -> dict[str, Rows]:
    """Return the rows that charts use, by name."""
    found = yaml.safe_load((FOLDER / "rows.yml").read_text())
    return {name: Rows.model_validate(each) for name, each in found.items()}


@cache
def dashboards() -> tuple[Dashboard, ...]:
    """Return the dashboards in order. Raises pydantic.ValidationError, which names the mistake."""
    found = [
        Dashboard.model_validate({"name": path.stem} | yaml.safe_load(path.read_text()))
        for path in (FOLDER / "dashboards").glob("*.yml")
    ]
    return tuple(sorted(found, key=lambda each: each.position))
