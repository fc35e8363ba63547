"""The searchable site of the project's pages."""

import json
import re
from pathlib import Path

from orchestrate.docs import write_pages

from .documents import DOCUMENTS, ROOT


def test_the_site_has_every_page_can_be_searched_and_is_self_contained(tmp_path: Path) -> None:
    write_pages(tmp_path)
    index = (tmp_path / "searchindex.js").read_text()
    found = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))
    pages = {str(path.relative_to(ROOT).with_suffix("")) for path in DOCUMENTS}
    assert pages <= set(found["docnames"])
    assert found["docnames"].index("docs/marts") in found["terms"]["main_bi"]
    assert (tmp_path / "index.html").read_text() == (tmp_path / "README.html").read_text()
    for page in tmp_path.rglob("*.html"):
        loaded = re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"([^\"]+)\"", page.read_text())
        assert [each for each in loaded if each.startswith(("http", "//"))] == [], page
    for name in pages:
        languages = re.findall(r"<html[^>]* lang=\"([^\"]+)\"", (tmp_path / f"{name}.html").read_text())
        assert languages == ["pt-BR" if "pt-BR" in name else "en"], name
