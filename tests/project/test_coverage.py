"""Every list of Pipedrive's API is read by a stream, or the pages of streams say why it is not."""

from pathlib import Path

from tap_pipedrive.streams import STREAMS

from ..api.documented import ENDPOINTS, is_list
from .documents import STREAMS_PAGES, quoted, table

READ = {vars(getattr(each, "list_of", each))["path"] for stream in STREAMS for each in stream.listings}
ENGLISH, PORTUGUESE = STREAMS_PAGES


def left_out(page: Path) -> list[str]:
    """Return the endpoints in the table of lists that are not read."""
    return [path for paths, _ in table(page, "not read") for path in quoted(paths)]


def test_every_list_is_read_or_left_out_with_a_reason() -> None:
    lists = {path for path in ENDPOINTS if is_list(path)}
    assert len(lists) > 100
    assert lists - READ - set(left_out(ENGLISH)) == set()


def test_lists_that_are_left_out_exist_and_are_not_read() -> None:
    named = left_out(ENGLISH)
    assert len(named) == len(set(named))
    assert set(named) <= ENDPOINTS.keys()
    assert not set(named) & READ


def test_both_languages_leave_out_the_same_lists() -> None:
    assert left_out(PORTUGUESE) == left_out(ENGLISH)
    assert all(why for page in STREAMS_PAGES for _, why in table(page, "not read"))
