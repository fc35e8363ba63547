"""The table of Pipedrive's API is complete, and what the documents say where these are there."""

import os
from pathlib import Path

from ..tap.harness import PRICES
from .documented import ENDPOINTS, is_list, row_keys
from .extract import TABLE, extract, text


def test_table_has_the_price_and_the_rows_of_each_endpoint_that_the_tap_reads() -> None:
    assert PRICES.keys() <= ENDPOINTS.keys()
    for path in PRICES.keys() - {"/api/v1/users/me"}:
        assert ENDPOINTS[path]["tokens"] > 0
        assert is_list(path)
        assert row_keys(path), path


FOLDER = os.environ.get("PIPEDRIVE_DOCS", "")

if FOLDER:

    def test_table_is_what_the_documents_say() -> None:
        assert TABLE.read_text() == text(extract(Path(FOLDER)))
