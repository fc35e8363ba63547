"""The table of Pipedrive's API is complete, and equals the documents if these are available."""

import os
from pathlib import Path

from ..tap.harness import PRICES
from .documented import ENDPOINTS, is_list, row_keys
from .extract import TABLE, extract, text


def test_the_table_has_price_and_rows_of_each_endpoint_that_the_tap_reads() -> None:
    assert PRICES.keys() <= ENDPOINTS.keys()
    for path in PRICES.keys() - {"/api/v1/users/me"}:
        assert ENDPOINTS[path]["tokens"] > 0
        assert is_list(path)
        assert row_keys(path), path


FOLDER = os.environ.get("PIPEDRIVE_DOCS", "")

if FOLDER:

    def test_the_table_equals_the_documents() -> None:
        assert TABLE.read_text() == text(extract(Path(FOLDER)))
