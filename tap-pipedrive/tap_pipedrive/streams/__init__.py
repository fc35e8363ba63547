"""The streams: one class each, attributes only, next to the entity that is its row.

All facts of a stream stand in its class: endpoint, price, key, whether it is on by default, parents. The
attributes are described in `table.py`, the types of an entity's fields in `entity.py`. Columns carry the API's
names; nested lists and objects stay JSON; a field's description says what its name does not. Only keys are
required, as Pipedrive omits, blanks and nulls almost anything else. Rows that belong to a record carry its id,
whether or not the API repeats it.
"""

from importlib import import_module

from tap_pipedrive.children import ChildListing
from tap_pipedrive.sync import PipedriveStream

_FILES = (
    "account",
    "fields",
    "contacts",
    "products",
    "deals",
    "leads",
    "activities",
    "mail",
    "projects",
    "statements",
)
_VALUES = [one for file in _FILES for one in vars(import_module(f"{__name__}.{file}")).values()]
_CLASSES = dict.fromkeys(one for one in _VALUES if isinstance(one, type))  # a file may import another's
_STREAMS = [one for one in _CLASSES if issubclass(one, PipedriveStream)]


def _place_in_a_run(stream: type[PipedriveStream]) -> tuple[int, bool, bool]:
    """Return a key to sort by: tokens may run out, so cheap streams and default ones come first.

    Lists come before rows of parents and those before histories; last come the rows that other streams fill in.
    Default streams come before optional ones, lists that are read whole before incremental ones.
    """
    batched = [isinstance(each, ChildListing) and each.batch > 1 for each in stream.listings]
    effort = max((each.effort for each in stream.listings), default=4) - any(batched)
    return effort, not stream.selected_by_default, isinstance(stream.replication_key, str)


STREAMS = tuple(sorted((one for one in _STREAMS if "entity" in vars(one)), key=_place_in_a_run))
"""All streams, in the order of a run; equal ones in the order of the files."""
