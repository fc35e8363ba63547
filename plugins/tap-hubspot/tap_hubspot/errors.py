"""The tap's errors: every message is a sentence that says what happened and what to do."""


class HubspotError(Exception):
    """A problem that ends the run."""


class Unreadable(HubspotError):
    """A problem of one stream: the others are read, and the run ends with an error after them."""


class Forbidden(Unreadable):
    """403: the token lacks a scope."""


class Refused(Unreadable):
    """Another 4xx: the same request would be refused again."""


class NotFound(Refused):
    """404 of the category OBJECT_NOT_FOUND: none of the records exists."""


class TryAgain(Exception):
    """A problem that may be temporary."""

    def __init__(self, message: str, wait: float | None = None, *, is_heavy: bool = False) -> None:
        super().__init__(message)
        self.wait = wait
        """Seconds to wait before the next attempt, if the server names them."""
        self.is_heavy = is_heavy
        """Whether a smaller page may succeed."""
