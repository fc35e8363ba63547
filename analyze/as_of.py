"""The sentence on how complete the data behind a dashboard are, from the mart `load_completeness`."""

from collections.abc import Iterable

from analyze.definitions import LANGUAGES, Chart, Dashboard, Group, Rows, Text, dashboards, rows
from analyze.sql import literal, value_in_words

COMPLETE = Text(en='"Complete as of "YYYY-MM-DD HH24:MI" UTC"', pt='"Completo até "DD/MM/YYYY HH24:MI" UTC"')
"""As a pattern of `to_char`."""
EXCEPT = Text(en=", except ", pt=", exceto ")
NOTHING = Text(en="Nothing is complete: ", pt="Nada está completo: ")
UNKNOWN = Text(
    en="It is unknown whether the data are complete: no run has reported on it yet.",
    pt="Não se sabe se os dados estão completos: nenhuma execução informou isso ainda.",
)
QUESTION = Text(en="As of when are these figures complete?", pt="Até quando estes números estão completos?")

ROWS = """with summary as (
    select
        count(*) as streams,
        min(complete_as_of) filter (where verdict = 'complete') at time zone 'UTC' as moment,
{exceptions}
    from marts.load_completeness
    where {condition}
)

select
    moment as complete_as_of,
{sentences}
from summary
"""
EXCEPTIONS = """        string_agg(
            {stream}
            || ' (' || {verdict} || ')',
            ', '
            order by stream
        ) filter (where verdict != 'complete') as {language}_exceptions"""
SENTENCE = """    case
        when streams = 0 then {unknown}
        when moment is null then {nothing} || {language}_exceptions || '.'
        else to_char(moment, {complete}) || coalesce({excluding} || {language}_exceptions, '') || '.'
    end as {language}"""


def all_rows() -> dict[str, Rows]:
    """Return the rows that charts use by name, and those of the sentence of each dashboard."""
    return rows() | {f"as_of_{each.name}": rows_of(each.streams) for each in dashboards()}


def rows_of(streams: Iterable[str]) -> Rows:
    """Return a query for a row with a sentence in each language, and the time in UTC.

    Args:
        streams: The streams of Pipedrive to consider; none means all.
    """
    names = ", ".join(map(literal, streams))
    exceptions = [
        EXCEPTIONS.format(
            stream=value_in_words("stream", "record", language),
            verdict=value_in_words("verdict", "verdict", language),
            language=language,
        )
        for language in LANGUAGES
    ]
    return Rows(
        sql=ROWS.format(
            exceptions=",\n".join(exceptions),
            condition=f"stream in ({names})" if names else "true",
            sentences=",\n".join(map(_sentence, LANGUAGES)),
        )
    )


def chart_of(dashboard: Dashboard, language: str) -> Chart:
    """Return the sentence as a chart of one row, for programs that show only charts."""
    return Chart(
        name=f"as_of_{dashboard.name}",
        question=QUESTION,
        rows=f"as_of_{dashboard.name}",
        by={language: Group(label=QUESTION)},
        kind="number",
        width="full",
    )


def _sentence(language: str) -> str:
    texts = {
        "complete": COMPLETE,
        "excluding": EXCEPT,
        "nothing": NOTHING,
        "unknown": UNKNOWN,
    }
    said = {name: literal(getattr(text, language)) for name, text in texts.items()}
    return SENTENCE.format(language=language, **said)
