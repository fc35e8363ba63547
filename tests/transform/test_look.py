"""The page of the dashboards in a real browser, and the statements behind its charts, on a loaded account."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from analyze.definitions import Chart, dashboards, rows
from analyze.influence import information, is_significant, most_influential
from analyze.report import packed, write_report
from analyze.sql import statement

from .conftest import NASTY

Figures = list[dict[str, Any]]


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
        self.page.wait_for_function(f"Number(document.documentElement.dataset.drawn) >= {draws}")

    def after(self, act: Callable[[], Any]) -> None:
        """Do what makes the page draw itself anew, and wait for that."""
        draws = int(self.page.locator("html").get_attribute("data-drawn") or 0)
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


def contrast(page: Page, selector: str) -> float:
    """Contrast of a text with the page behind it, as WCAG 2 defines it."""
    colors = page.evaluate(
        f"[getComputedStyle(document.querySelector('{selector}')).color,"
        " getComputedStyle(document.body).backgroundColor]"
    )
    light, dark = sorted((luminance(color) for color in colors), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    parts = [float(each) / 255 for each in color.partition("(")[2].strip(")").split(",")[:3]]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


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


def asked(connection: psycopg.Connection, chart: Chart, values: dict[str, str]) -> Figures:
    """What Postgres answers to the statement behind a chart, as JavaScript has it."""
    sql = statement(chart, rows_of(connection, chart), columns(connection, chart), values)
    cursor = connection.execute(sql.encode())
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, map(plain, line), strict=True)) for line in cursor.fetchall()]


def rows_of(connection: psycopg.Connection, chart: Chart) -> Any:
    if chart.rows != "influence":
        return rows()[chart.rows]
    influence = most_influential(connection)
    assert influence
    return influence


def columns(connection: psycopg.Connection, chart: Chart) -> set[str]:
    return set(packed(connection, rows_of(connection, chart).sql)["columns"])


def plain(value: Any) -> Any:
    if isinstance(value, int | None | str):
        return value
    return float(value) if isinstance(value, Decimal | float) else value.isoformat()


def test_page_is_small_private_and_whole(report: Path) -> None:
    assert report.stat().st_mode & 0o777 == 0o600
    assert report.stat().st_size < 1_500_000
    assert "{{" not in report.read_text().replace("{{}}", "").partition("<script>")[0]


def test_every_column_of_the_rows_is_used(connection: psycopg.Connection) -> None:
    used: dict[str, set[str]] = {}
    for chart in (chart for dashboard in dashboards() for chart in dashboard.charts):
        names = used.setdefault(chart.rows, {"pipeline", "owner", "currency"})
        names |= {*chart.by, chart.period or "", chart.where or ""}
        for measure in chart.measures.values():
            amount = measure.sum or measure.median or ""
            names |= {amount, f"reporting_{amount}" if chart.money == "chosen" else "", measure.where or ""}
    assert used.keys() - {"influence"} == rows().keys()
    for name, each in rows().items():
        assert set(packed(connection, each.sql)["columns"]) - used[name] == set(), name


@pytest.mark.parametrize("counts", [[(10, 0), (0, 10)], [(5, 5), (5, 5)], [(30, 10), (10, 30)], [(3, 0)], []])
def test_information_about_the_outcome(counts: list[tuple[int, int]]) -> None:
    bits, entropy = information(counts)
    assert 0 <= bits <= entropy <= 1
    if counts == [(10, 0), (0, 10)]:
        assert bits > 0.9
    if counts == [(30, 10), (10, 30)]:
        assert bits == pytest.approx(0.1887 - 0.0090, abs=0.0005)
    if counts in ([(5, 5), (5, 5)], [(3, 0)], []):
        assert bits == 0


def test_small_information_of_few_deals_may_be_chance() -> None:
    assert is_significant(0.05, 1000, 4)
    assert not is_significant(0.002, 1000, 4)
    assert not is_significant(0.5, 1000, 1)
