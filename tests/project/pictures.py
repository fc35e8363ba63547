"""Takes the pictures of pages that the documents show, from the demo in a clone (`make pictures`)."""

import base64
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Page, sync_playwright

from .clone import Clone
from .documents import DOCS

FOLDER = DOCS / "pictures"
WIDE, PHONE = (1280, 900), (390, 780)
QUALITY = 70
"""Of WebP, of 100."""


class Picture(NamedTuple):
    """The content of a picture."""

    page: str
    """The folder of the page in `.run`."""
    language: str
    theme: str = "light"
    size: tuple[int, int] = WIDE
    tab: int = 0
    chart: str = ""
    """The chart at the top of the picture; without one, the picture begins at the top of the page."""


PICTURES = {
    "sales": Picture("report", "en-US"),
    "vendas": Picture("report", "pt-BR"),
    "pipeline": Picture("report", "en-US", theme="dark", tab=1, chart="movement"),
    "completeness": Picture("report", "en-US", tab=4),
    "phone": Picture("report", "pt-BR", size=PHONE, tab=1),
    "review": Picture("review", "en-US"),
}


def take(pages: Path, folder: Path) -> None:
    """Take all pictures.

    Args:
        pages: The folder with the pages, such as `.run`.
        folder: The folder for the pictures.
    """
    program = shutil.which("chromium")
    assert program, "Install chromium: the pictures are taken with it."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name, picture in PICTURES.items():
            width, height = picture.size
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme=_scheme(picture),
                locale=picture.language,
            )
            page.set_default_timeout(600_000)
            page.goto((pages / picture.page / "index.html").resolve().as_uri())
            top = _shown(page, picture) if picture.page == "report" else 0
            clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
            taken = page.context.new_cdp_session(page).send(
                "Page.captureScreenshot",
                {"format": "webp", "quality": QUALITY, "clip": clip, "captureBeyondViewport": True},
            )
            (folder / f"{name}.webp").write_bytes(base64.b64decode(taken["data"]))
        browser.close()


def _scheme(picture: Picture) -> Any:
    return picture.theme


def _shown(page: Page, picture: Picture) -> float:
    """Open the tab, and return where the picture begins."""
    drawn = page.locator("html[data-drawn]")
    drawn.wait_for(state="attached")
    if picture.tab:
        before = drawn.get_attribute("data-drawn")
        page.locator("#tabs button").nth(picture.tab).click()
        page.locator(f"html:not([data-drawn='{before}'])").wait_for(state="attached")
    if not picture.chart:
        return 0
    place = page.locator(f"[data-chart={picture.chart}]").bounding_box()
    assert place
    return place["y"] - 24


def main() -> None:
    """Run the demo in a clone, and take the pictures."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        clone = Clone.make(Path(folder), {})
        clone.haste = {"DEALS": "5000"}
        clone.run("make run && make review")
        take(clone.folder / ".run", FOLDER)
        clone.run("make clean")


if __name__ == "__main__":
    main()
