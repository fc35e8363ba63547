"""A chart as one statement for Postgres, which gives the same figures as the page."""

from collections.abc import Mapping

from analyze.definitions import Chart, Measure, Rows, words

FILTERS = {"pipeline": "pipeline = {}", "owner": "owner = {}", "currency": "currency = {}"}
"""Conditions of the filters for columns, around the name of the value."""


def statement(
    chart: Chart,
    rows: Rows,
    columns: set[str],
    values: Mapping[str, str],
    *,
    condition: str = "and {}",
    language: str | None = None,
    has_closing: bool = True,
) -> str:
    """Return the statement behind a chart.

    Args:
        chart: The chart.
        rows: The rows of the chart.
        columns: The names of the columns of its rows.
        values: The placeholder or literal of each filter that is set (`pipeline`, `owner`, `currency`,
    `from`, `to`).
            Without `currency`, amounts are those in the reporting currency.
        condition: Formats a filter's condition; Metabase puts optional ones in brackets.
        language: The language of the words instead of values; None means the values themselves.
        has_closing: Whether a bridge ends with the sum of its steps.
    """
    currency = chart.money == "chosen" and "currency" in values
    conditions = [
        text.format(values[name])
        for name, text in FILTERS.items()
        if name in values and name in columns and (name != "currency" or currency)
    ]
    source = ["from rows"]
    if chart.bridge:
        source = _bridge(chart, columns, values, condition, has_closing)
    else:
        conditions += [text for _, text in _bounds(chart, values)]
    select = [f"    {_group(name, chart, language)}" for name in chart.by]
    select += [f"    {_expression(name, chart, columns, currency)} as {name}" for name in chart.measures]
    lines = ["with rows as (", *_indented(rows.sql), ")", "", "select", ",\n".join(select), *source]
    lines.append(f"where {chart.where or 'true'}")
    lines += [f"  {condition.format(each)}" for each in conditions]
    if chart.by:
        lines.append("group by " + ", ".join(chart.by))
    if chart.order:
        lines.append("order by " + ", ".join(_ordered(each, chart) for each in chart.order))
    if chart.limit:
        lines.append(f"limit {chart.limit}")
    return "\n".join(lines) + "\n"


def value_in_words(column: str, set_of_words: str, language: str) -> str:
    """Return SQL for a column's value as readers see it, which is the value itself if there is no word for
    it.
    """
    known = words()[set_of_words].items()
    cases = " ".join(
        f"when {literal(value)} then {literal(getattr(text, language))}" for value, text in known
    )
    return f"case {column} {cases} else {column} end"


def literal(value: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def _bounds(chart: Chart, values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the conditions of the chosen period by the name of the filter."""
    signs = {"from": ">=", "to": "<="}
    given = [name for name in signs if chart.period and name in values]
    return [(name, f"{chart.period} {signs[name]} {values[name]}") for name in given]


def _bridge(
    chart: Chart, columns: set[str], values: Mapping[str, str], condition: str, has_closing: bool
) -> list[str]:
    """Return the rows of the period, with all before it as `opening` and all up to its end as `closing`."""
    others = ", ".join(sorted(columns - {chart.bridge or ""}))
    bounds = _bounds(chart, values)
    within = [condition.format(text) for _, text in bounds]
    to_the_end = [condition.format(text) for name, text in bounds if name == "to"]
    before = [
        condition.replace("and", "or", 1).format(f"{chart.period} < {values[name]}")
        for name, _ in bounds
        if name == "from"
    ]
    closing = [f"    select 'closing' as {chart.bridge}, {others}", "    from rows", "    where true"]
    return [
        "from (",
        *(f"    select 'opening' as {chart.bridge}, {others}", "    from rows", "    where false"),
        *(f"      {each}" for each in before),
        "    union all",
        *(f"    select {chart.bridge}, {others}", "    from rows", "    where true"),
        *(f"      {each}" for each in within),
        *(["    union all", *closing, *(f"      {each}" for each in to_the_end)] if has_closing else []),
        ") as steps",
    ]


def _group(name: str, chart: Chart, language: str | None) -> str:
    known = chart.by[name].words
    return f"{value_in_words(name, known, language)} as {name}" if known and language else name


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
    """Return the column of a sum or median, which depends on the currency if it is an amount."""
    column = measure.sum or measure.median or ""
    converted = f"reporting_{column}"
    is_converted = chart.money == "chosen" and not currency and converted in columns
    return converted if is_converted else column


def _ordered(key: str, chart: Chart) -> str:
    name = key.removeprefix("-")
    group = chart.by.get(name)
    by = [f'{name} collate "C"' if group and group.format == "text" else name]
    if group and group.words:
        known = ", ".join(map(literal, words()[group.words]))
        by.insert(0, f"array_position(array[{known}], {name})")
    return ", ".join(each + (" desc" if key != name else "") + " nulls last" for each in by)


def _indented(sql: str) -> list[str]:
    return [f"    {line}" if line else "" for line in sql.strip().splitlines()]
