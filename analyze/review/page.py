"""The review as one page that needs no server and no script, and can be printed."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analyze.review.gather import Bridge, Review, Step
from analyze.review.texts import Texts

MOST = 25
"""Records of an owner that a section shows."""

FIGURES = ("integer", "money", "date")
"""Formats of columns that stand at the right."""


def page(review: Review, texts: Texts) -> str:
    """Return the page. What comes from Pipedrive is escaped, as all values are.

    Args:
        review: What it says.
        texts: Its language and links.
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
    """Return which week it is."""
    first, last = texts.day(review.week.first), texts.day(review.week.last)
    return texts.word("week", first=first, last=last)


def bars(bridge: Bridge) -> Iterator[tuple[Step, float, float]]:
    """Yield each step with where its bar begins and how wide it is, in percent of the picture."""
    ends = [Decimal(0), *(edge for step in bridge.steps for edge in (step.start, step.start + step.value))]
    lowest, scale = min(ends), max(ends) - min(ends) or 1
    for step in bridge.steps:
        left = (min(step.start, step.start + step.value) - lowest) / scale
        yield step, round(float(left) * 100, 2), round(float(abs(step.value) / scale) * 100, 2)
