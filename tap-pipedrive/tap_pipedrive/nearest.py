"""What was perhaps meant by a name that does not exist."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the end of a sentence about a wrong name; it has the most similar right name, if one is similar."""
    found = get_close_matches(name, sorted(names), n=1)
    return f"; did you mean {found[0]}?" if found else "."
