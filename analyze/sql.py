"""A chart as one statement of Postgres, which says the same as the page."""

from collections.abc import Mapping

from analyze.definitions import Chart, Measure, Rows

FILTERS = {"pipeline": "pipeline = {}", "owner": "owner = {}", "currency": "currency = {}"}
"""Conditions of the filters that are columns, around what the value is called."""


def statement(
    chart: Chart, rows: Rows, columns: set[str], values: Mapping[str, str], *, condition: str = "and {}"
) -> str:
    """Return the statement behind a chart.

    Args:
        chart: The chart.
        rows: Its rows.
        columns: The names of the columns of its rows.
        values: What stands for each filter that is set (`pipeline`, `owner`, `currency`, `from`, `to`): a
            placeholder or a literal. Without `currency`, amounts are those in the reporting currency.
        condition: How a filter's condition is written; Metabase has brackets for those that may be absent.
    """
    currency = chart.money == "chosen" and "currency" in values
    conditions = [
        text.format(values[name])
        for name, text in FILTERS.items()
        if name in values and name in columns and (name != "currency" or currency)
    ]
    if chart.period:
        conditions += [f"{chart.period} >= {values['from']}"] if "from" in values else []
        conditions += [f"{chart.period} <= {values['to']}"] if "to" in values else []
    select = [f"    {name}" for name in chart.by]
    select += [f"    {_expression(name, chart, columns, currency)} as {name}" for name in chart.measures]
    lines = ["with rows as (", *_indented(rows.sql), ")", "", "select", ",\n".join(select), "from rows"]
    lines.append(f"where {chart.where or 'true'}")
    lines += [f"  {condition.format(each)}" for each in conditions]
    if chart.by:
        lines.append("group by " + ", ".join(chart.by))
    if chart.order:
        lines.append("order by " + ", ".join(_ordered(each, chart) for each in chart.order))
    if chart.limit:
        lines.append(f"limit {chart.limit}")
    return "\n".join(lines) + "\n"


def _expression(name: str, chart: Chart, columns: set[str], currency: bool) -> str:
    measure = chart.measures[name]
    if measure.ratio:
        above, below = (_expression(part, chart, columns, currency) for part in measure.ratio)
        return f"({above})::numeric / nullif({below}, 0)"
    condition = f" filter (where {measure.where})" if measure.where else ""
    if measure.count:
        return f"count(*){condition}"
    column = amount(measure, chart, columns, currency)
    if measure.sum:
        return f"sum({column}){condition}"
    return f"percentile_cont(0.5) within group (order by {column}){condition}"


def amount(measure: Measure, chart: Chart, columns: set[str], currency: bool) -> str:
    """Return the column that a sum or a median is taken of, which depends on the currency where it is money."""
    column = measure.sum or measure.median or ""
    converted = f"reporting_{column}"
    is_converted = chart.money == "chosen" and not currency and converted in columns
    return converted if is_converted else column


def _ordered(key: str, chart: Chart) -> str:
    name = key.removeprefix("-")
    is_text = name in chart.by and chart.by[name].format == "text"
    return name + (' collate "C"' if is_text else "") + (" desc" if key != name else "") + " nulls last"


def _indented(sql: str) -> list[str]:
    return [f"    {line}" if line else "" for line in sql.strip().splitlines()]
