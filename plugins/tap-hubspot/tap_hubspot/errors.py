"""What can go wrong: every message is a sentence that says what happened and what to do."""


class HubspotError(Exception):
    """A problem that ends the run."""


class Unreadable(HubspotError):
    """A problem of one stream: the others are read, and the run ends with an error after them."""


class TryAgain(Exception):
    """A problem that may pass."""

    def __init__(self, message: str, wait: float | None = None, *, is_heavy: bool = False) -> None:
        super().__init__(message)
        self.wait = wait
        """Seconds to wait before the next try, if the server said so."""
        self.is_heavy = is_heavy
        """Whether fewer records may get an answer."""
