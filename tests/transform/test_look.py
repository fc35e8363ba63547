"""The page of the dashboards in a real browser, and the statements behind its charts, on a loaded account."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import combinations, starmap
from math import dist
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from analyze.definitions import dashboards
from analyze.report import write_report
from analyze.sql import literal

from .charts import Figures, asked
from .colors import SIGHT, brightness, contrast, lab, seen_as
from .conftest import NASTY


@pytest.fixture(scope="module")
def report(connection: psycopg.Connection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "index.html"
    write_report(connection, path, reporting_currency="USD")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """The page in one window, with what it complained about and asked for."""

    def __init__(self, context: BrowserContext, report: Path) -> None:
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(120_000)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(report.as_uri())
        self.wait(1)

    def wait(self, draws: int) -> None:
        """Wait until the page has been drawn so many times."""
        given_up = monotonic() + 120
        while self.draws() < draws:
            assert monotonic() < given_up, self.complaints
            self.page.wait_for_timeout(50)

    def draws(self) -> int:
        return int(self.page.locator("html").get_attribute("data-drawn") or 0)

    def after(self, act: Callable[[], Any]) -> None:
        """Do what makes the page draw itself anew, and wait for that."""
        draws = self.draws()
        act()
        self.wait(draws + 1)

    def open(self, position: int) -> None:
        self.after(self.page.locator("#tabs button").nth(position).click)

    def figures(self) -> dict[str, dict[str, Figures]]:
        found: dict[str, dict[str, Figures]] = self.page.evaluate("window.figures()")
        return found


def visit(browser: Browser, report: Path, **options: Any) -> Visit:
    return Visit(browser.new_context(**options), report)


WINDOWS = {
    "wide": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light", "locale": "en-US"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark", "locale": "pt-BR"},
    "phone": {"viewport": {"width": 360, "height": 780}, "color_scheme": "light", "locale": "pt-BR"},
}


NOT_CLIPPED = """(name) => {
    const card = document.querySelector(`[data-chart=${name}]`).getBoundingClientRect();
    return [...document.querySelectorAll(`[data-chart=${name}] .chart text`)].every((text) => {
        const place = text.getBoundingClientRect();
        const isWhole = !text.textContent.includes("…") || text.textContent.startsWith("<script>");
        return place.left >= card.left && place.right <= card.right && isWhole;
    });
}"""
"""Whether no text of a chart ends beyond its card or, if it is not as long as the nasty one, in an ellipsis."""


@pytest.mark.look
@pytest.mark.parametrize("window", WINDOWS)
def test_every_chart_is_drawn_in_every_window(browser: Browser, report: Path, window: str) -> None:
    seen = visit(browser, report, **WINDOWS[window])
    for position, dashboard in enumerate(dashboards()):
        if position:
            seen.open(position)
        page = seen.page
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), dashboard.name
        for chart in dashboard.charts:
            card = page.locator(f"[data-chart={chart.name}]")
            assert card.locator("h2").inner_text()
            if chart.kind == "chart":
                marks = card.locator(".chart .role-mark path, .chart .role-mark line").count()
                assert marks > 0, (dashboard.name, chart.name)
                assert card.locator("[role=graphics-document]").first.get_attribute("aria-label")
                assert page.evaluate(NOT_CLIPPED, chart.name), (dashboard.name, chart.name)
            if chart.kind == "table":
                assert card.locator("tbody tr").count() > 0, (dashboard.name, chart.name)
            if chart.kind == "number":
                assert any(map(str.isdigit, card.locator(".number").inner_text())), chart.name
    assert seen.complaints == []
    assert seen.asked == [report.as_uri()]


@pytest.mark.look
def test_nasty_names_stay_text(browser: Browser, report: Path) -> None:
    seen = visit(browser, report)
    assert NASTY in seen.page.locator("#owner option").all_inner_texts()
    assert NASTY in seen.page.locator("#pipeline option").all_inner_texts()
    for position in range(1, len(dashboards())):
        seen.open(position)
        assert "broken" not in seen.page.title()
    assert seen.page.locator("main img, main script").count() == 0
    assert seen.complaints == []


@pytest.mark.look
def test_keyboard_language_and_theme(browser: Browser, report: Path) -> None:
    seen = visit(browser, report, **WINDOWS["wide"])
    seen.page.locator("#tabs button").first.focus()
    seen.after(lambda: seen.page.keyboard.press("ArrowRight"))
    focused = seen.page.evaluate("document.activeElement.textContent")
    assert focused == dashboards()[1].title.en
    seen.after(lambda: seen.page.select_option("#language", "pt"))
    assert seen.page.locator("#tabs button[aria-selected=true]").inner_text() == dashboards()[1].title.pt
    assert seen.page.locator("html").get_attribute("lang") == "pt-BR"
    seen.after(seen.page.locator("#theme").click)
    assert seen.page.locator("html").get_attribute("data-theme") == "dark"
    assert contrast(seen.page, ".about") > 4.5
    seen.after(seen.page.locator("#theme").click)
    assert contrast(seen.page, ".about") > 4.5


@pytest.mark.look
def test_the_color_blind_can_tell_colors_apart(browser: Browser, report: Path) -> None:
    seen = visit(browser, report, **WINDOWS["wide"])
    for theme in seen.page.evaluate("Object.values(THEMES)"):
        for colors in (theme["colors"], list(theme["steps"].values())):
            for matrix in SIGHT.values():
                shades = [lab(seen_as(color, matrix)) for color in colors]
                assert min(starmap(dist, combinations(shades, 2))) > 15, colors
            for color in colors:
                light, dark = sorted((brightness(each) for each in (color, theme["card"])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 3, color


@pytest.mark.look
def test_figures_equal_the_statements_of_postgres(
    browser: Browser, report: Path, connection: psycopg.Connection
) -> None:
    seen = visit(browser, report)
    choices = {
        name: list(seen.page.locator(f"#{name} option").evaluate_all("all => all.map(one => one.value)"))
        for name in ("pipeline", "owner", "currency")
    }
    today = datetime.now(UTC).date()
    for filters in (
        {"pipeline": "", "owner": "", "currency": "", "from": "", "to": ""},
        {
            "pipeline": choices["pipeline"][-1],
            "owner": "",
            "currency": "BRL",
            "from": f"{today.year - 1}-02-10",
            "to": "",
        },
        {
            "pipeline": "",
            "owner": choices["owner"][-2],
            "currency": "USD",
            "from": "",
            "to": today.isoformat(),
        },
        {"pipeline": NASTY, "owner": NASTY, "currency": "BRL", "from": "2020-01-01", "to": "2020-01-02"},
    ):
        for name, value in filters.items():
            control = seen.page.locator(f"#{name}")
            if control.input_value() != value:
                change = control.select_option if name in choices else control.fill
                seen.after(lambda change=change, value=value: change(value))  # type: ignore[misc]
        compare(seen.figures(), connection, {name: value for name, value in filters.items() if value})
    assert seen.complaints == []


def compare(
    shown: dict[str, dict[str, Figures]], connection: psycopg.Connection, filters: dict[str, str]
) -> None:
    values = {name: literal(value) for name, value in filters.items()}
    compared = 0
    for dashboard in dashboards():
        for chart in dashboard.charts:
            expected = asked(connection, chart, values)
            found = shown[dashboard.name][chart.name]
            where = (filters, dashboard.name, chart.name)
            assert len(found) == len(expected), where
            for one, other in zip(found, expected, strict=True):
                assert one.keys() == other.keys(), where
                for name, value in other.items():
                    exact = pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
                    assert one[name] == exact, (*where, name)
                    compared += value is not None
    assert compared or filters.get("to", "9") < "2021"


@pytest.mark.look
def test_every_dashboard_says_as_of_when_it_is_complete(
    browser: Browser, connection: psycopg.Connection, tmp_path: Path
) -> None:
    connection.execute(
        "begin; update marts.load_completeness set complete_as_of = '2026-02-03 04:05:06+00', lag_hours = 1;"
        " update marts.load_completeness set verdict = 'unfinished' where stream = 'deal_changes';"
        " update marts.load_completeness set verdict = 'missing' where stream = 'leads'"
    )
    try:
        write_report(connection, tmp_path / "some.html", reporting_currency="USD")
        connection.execute("update marts.load_completeness set verdict = 'missing'")
        write_report(connection, tmp_path / "none.html", reporting_currency="USD")
        connection.execute("delete from marts.load_completeness")
        write_report(connection, tmp_path / "unknown.html", reporting_currency="USD")
    finally:
        connection.execute("rollback")
    seen = visit(browser, tmp_path / "some.html", **WINDOWS["wide"])
    assert seen.page.locator("h1").inner_text() == "Sandbox"
    assert sentences(seen) == [
        "Complete as of 2026-02-03 04:05 UTC.",
        "Complete as of 2026-02-03 04:05 UTC, except history of deals (unfinished).",
        "Complete as of 2026-02-03 04:05 UTC, except leads (missing).",
        "Complete as of 2026-02-03 04:05 UTC.",
        "Complete as of 2026-02-03 04:05 UTC, except history of deals (unfinished), leads (missing).",
        "Complete as of 2026-02-03 04:05 UTC, except leads (missing).",
        "Complete as of 2026-02-03 04:05 UTC.",
    ]
    quality = [each.name for each in dashboards()].index("quality")
    seen.open(quality)
    assert seen.page.locator("[data-chart=completeness] tbody tr").nth(0).inner_text().split("\t")[:2] == [
        "leads",
        "missing",
    ]
    assert sentences(visit(browser, tmp_path / "none.html", **WINDOWS["dark"]))[2] == (
        "Nada está completo: atividades (em falta), tipos de atividade (em falta), negócios (em falta),"
        " leads (em falta), usuários (em falta)."
    )
    seen = visit(browser, tmp_path / "unknown.html", **WINDOWS["wide"])
    assert set(sentences(seen)) == {"How complete the data are is unknown: no run has said it."}
    assert seen.page.locator("h1").inner_text() == "Sales dashboards"
    seen.open(quality)
    assert seen.page.locator("[data-chart=completeness]").inner_text().endswith("No run has said it yet.")


def sentences(seen: Visit) -> list[str]:
    found = [seen.page.locator("#as-of").inner_text()]
    for position in range(1, len(dashboards())):
        seen.open(position)
        found.append(seen.page.locator("#as-of").inner_text())
    return found
