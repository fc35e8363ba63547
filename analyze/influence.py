"""Finds the option field that tells most about whether a deal is won, from the account itself.

The measure is mutual information in bits, I(option; outcome) = sum of p(o, w) log2(p(o, w) / (p(o) p(w))):
how much knowing the option reduces the uncertainty about the outcome. A field with many options has some by
chance alone: on average (options - 1) / (2 n ln 2) bits if the outcome has two values (Miller and Madow).
This is subtracted before fields are compared.
"""

from collections.abc import Sequence
from math import log, log2, sqrt
from typing import NamedTuple

import psycopg
from psycopg.sql import SQL, Identifier

LEAST_SHARE = 0.5
"""The share of the closed deals in which a field has to be filled."""

FEWEST_DEALS = 20
"""The smallest number of closed deals with a value for which a field is considered."""

ONE_IN_A_THOUSAND = 3.09
"""The normal deviate that is exceeded once in a thousand times."""

ROWS = """select
    deals.pipeline_name as pipeline,
    deals.owner_name as owner,
    deals.closed_date,
    deals.{column}::text as option,
    deals.is_won,
    true as is_closed
from marts.deals_wide as deals
where (deals.is_won or deals.is_lost) and not deals.is_deleted and deals.{column} is not null"""


class Influence(NamedTuple):
    """An option field, and how much it tells about winning."""

    column: str
    field: str
    """The name of the field in Pipedrive."""
    bits: float
    of: float
    """The uncertainty about the outcome of these deals without the field, in bits; at most 1."""
    filled: int
    """Closed deals with a value."""
    deals: int
    """Closed deals."""
    is_significant: bool
    """Whether so much information is unlikely by chance alone."""

    @property
    def sql(self) -> str:
        """Return the query for the rows of the chart: closed deals with a value."""
        return ROWS.format(column='"' + self.column.replace('"', '""') + '"')


def information(counts: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Return a field's information about the outcome, minus the part by chance, and the entropy of the
    outcome.

    Args:
        counts: Won and lost deals of each option.

    Returns:
        Bits, at least 0, and the entropy of the outcome in bits.
    """
    won, lost = sum(each[0] for each in counts), sum(each[1] for each in counts)
    total = won + lost
    if not won or not lost:
        return 0.0, 0.0
    entropy = -sum(part / total * log2(part / total) for part in (won, lost))
    bits = sum(
        part / total * log2(part * total / (sum(option) * whole))
        for option in counts
        for part, whole in zip(option, (won, lost), strict=True)
        if part
    )
    return max(bits - _chance(counts), 0.0), entropy


def is_significant(bits: float, deals: int, options: int) -> bool:
    """Return whether so much information occurs by chance in fewer than one of a thousand accounts.

    Without any dependence, 2 n ln 2 times the information is distributed as chi-squared with options - 1
    degrees of freedom (G-test); the formula of Wilson and Hilferty converts that to a normal deviate.

    Args:
        bits: Information before the part by chance is subtracted.
        deals: Number of deals that have an option.
        options: Number of options that deals have.
    """
    degrees = options - 1
    if degrees < 1:
        return False
    ratio = (2 * deals * log(2) * bits / degrees) ** (1 / 3)
    spread = 2 / (9 * degrees)
    return bool((ratio - (1 - spread)) / sqrt(spread) > ONE_IN_A_THOUSAND)


def most_influential(connection: psycopg.Connection) -> Influence | None:
    """Return the option field of deals that tells most about winning, or None if no field qualifies."""
    candidates = connection.execute(
        """
        select columns.column_name, fields.name
        from information_schema.columns as columns
        inner join staging.stg_pipedrive__fields as fields on fields.column_name = columns.column_name
        where
            columns.table_schema = 'marts' and columns.table_name = 'deals_wide'
            and columns.data_type in ('text', 'character varying')
            and fields.entity = 'deal' and fields.field_type = 'enum'
            and fields.is_custom and not fields.is_deleted
        order by columns.column_name collate "C"
        """
    ).fetchall()
    found = [each for column, name in candidates if (each := _influence(connection, column, name))]
    return max(found, key=lambda each: each.bits, default=None)


def _influence(connection: psycopg.Connection, column: str, name: str) -> Influence | None:
    counts = connection.execute(
        SQL(
            "select {0} is null, count(*) filter (where is_won), count(*) filter (where is_lost)"
            " from marts.deals_wide where (is_won or is_lost) and not is_deleted group by {0}"
        ).format(Identifier(column))
    ).fetchall()
    deals = sum(won + lost for _, won, lost in counts)
    options = [(won, lost) for is_empty, won, lost in counts if not is_empty]
    filled = sum(won + lost for won, lost in options)
    if filled < FEWEST_DEALS or filled < LEAST_SHARE * deals:
        return None
    bits, entropy = information(options)
    chance = _chance(options)
    significant = is_significant(bits + chance, filled, sum(1 for each in options if sum(each)))
    return Influence(column, name, bits, entropy, filled, deals, significant) if bits else None


def _chance(counts: Sequence[tuple[int, int]]) -> float:
    """Return the average bits by chance."""
    return (sum(1 for each in counts if sum(each)) - 1) / (2 * sum(map(sum, counts)) * log(2))
