"""The review as one page, which needs no server and no script, and can be printed."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analyze.review.gather import Bridge, Review, Step
from analyze.review.texts import Texts

MOST = 25
"""The number of records of an owner that a section shows."""

FIGURES = ("integer", "money", "date")
"""Formats of columns that are aligned to the right."""


def page(review: Review, texts: Texts) -> str:
    """Return the page. All values are escaped, including those from Pipedrive.

    Args:
        review: The content.
        texts: The texts of its language, with links.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )

    def linked(name: str, kind: str, record_id: object) -> Markup:
        link = texts.link(kind, record_id)
        return Markup('<a href="{}">{}</a>').format(link, name) if link else Markup("{}").format(name)

    return environment.get_template("page.html").render(
        review=review,
        texts=texts,
        week=week_of(review, texts),
        completeness=texts.text(review.completeness),
        too_old=texts.word("too_old") if review.is_outdated else "",
        bars=bars,
        linked=linked,
        figures=FIGURES,
        most=MOST,
    )


def week_of(review: Review, texts: Texts) -> str:
    """Return the week as text."""
    first, last = texts.day(review.week.first), texts.day(review.week.last)
    return texts.word("week", first=first, last=last)


def bars(bridge: Bridge) -> Iterator[tuple[Step, float, float]]:
    """Yield each step with the start and the width of its bar, in percent of the chart."""
    ends = [Decimal(0), *(edge for step in bridge.steps for edge in (step.start, step.start + step.value))]
    lowest, scale = min(ends), max(ends) - min(ends) or 1
    for step in bridge.steps:
        left = (min(step.start, step.start + step.value) - lowest) / scale
        yield step, round(float(left) * 100, 2), round(float(abs(step.value) / scale) * 100, 2)
