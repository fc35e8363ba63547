"""The streams: one class each, attributes only, next to the entity that is its row.

All facts of a stream stand in its class: endpoint, price, key, whether it is on by default, parents. The
attributes are described in `table.py`, the types of an entity's fields in `entity.py`. Columns carry the API's
names; nested lists and objects stay JSON; a field's description says what its name does not. Only keys are
required, as Pipedrive omits, blanks and nulls almost anything else. Rows that belong to a record carry its id,
whether or not the API repeats it.
"""

from tap_pipedrive.children import ChildListing
from tap_pipedrive.history import ChangeListing
from tap_pipedrive.streams import (
    account,
    activities,
    contacts,
    deals,
    fields,
    leads,
    mail,
    products,
    projects,
)
from tap_pipedrive.sync import PipedriveStream

_MODULES = (account, fields, contacts, products, deals, leads, activities, mail, projects)


def _place_in_a_run(stream: type[PipedriveStream]) -> tuple[int, bool, bool]:
    """Return a key to sort by: tokens may run out, so what is cheap and what is on by default comes first.

    Lists come before rows of parents, which may be asked about in batches or one by one, then come histories, and
    last the rows that other streams fill in. Default streams come before optional ones, lists that are read whole
    before incremental ones.
    """
    cost = max(
        (
            3
            if isinstance(each, ChangeListing)
            else 2 - (each.batch > 1)
            if isinstance(each, ChildListing)
            else 0
            for each in stream.listings
        ),
        default=4,
    )
    return cost, not stream.selected_by_default, isinstance(stream.replication_key, str)


STREAMS: tuple[type[PipedriveStream], ...] = tuple(
    sorted(
        (
            stream
            for module in _MODULES
            for stream in vars(module).values()
            if isinstance(stream, type)
            and issubclass(stream, PipedriveStream)
            and stream.__module__ == module.__name__
        ),
        key=_place_in_a_run,
    )
)
"""All streams, in the order of a run; equal ones in the order of the files."""
