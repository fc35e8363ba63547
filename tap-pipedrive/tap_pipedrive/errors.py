"""What can go wrong: each message says what happened, where, and what to do."""

from tap_pipedrive.masking import mask


class PipedriveError(Exception):
    """A sentence for the person who runs the tap; ends the run unless a subclass says otherwise."""

    def __init__(self, message: str) -> None:
        super().__init__(mask(message))


class Fatal(PipedriveError):
    """Ends the run: nothing else could be read or written either."""


class OutputGone(Fatal):
    """Nobody reads what the tap writes."""


class Unauthorized(Fatal):
    """401: the API token is wrong, revoked, or may not use the API."""


class Blocked(Fatal):
    """403 with a web page: the firewall in front of Pipedrive refuses the token for a while."""


class Unavailable(PipedriveError):
    """There was no good answer after all tries."""

    def __init__(self, message: str, *, is_of_content: bool = False) -> None:
        """`is_of_content`: whether it may be due to what is in the answer."""
        super().__init__(message)
        self.is_of_content = is_of_content


class Down(Fatal):
    """Pipedrive answers nothing, also not what it has answered before."""


class Refused(PipedriveError):
    """400: Pipedrive does not accept the request, for example because of a stale cursor."""


class NotAllowed(PipedriveError):
    """402, 403, 404, 410 or 415: the plan, the add-ons or the token's rights do not cover this."""

    def __init__(self, said: str, status: int) -> None:
        super().__init__(f"{said}: the plan, its add-ons or the token's rights do not cover it.")
        self.said = mask(said)
        """What was asked and answered."""
        self.status = status


class BudgetSpent(PipedriveError):
    """API tokens are used up: the day's, their share for this tap, or those of this run."""

    def __init__(self, message: str, needed: int | None = None) -> None:
        """`needed`: the tokens per run with which the next request would have been sent, where that is known."""
        super().__init__(message)
        self.needed = needed


class TryAgain(Exception):
    """A failure that may pass. Only the client handles it."""

    def __init__(
        self, what: str, wait: float | None = None, *, is_heavy: bool = False, is_of_content: bool = False
    ) -> None:
        """`wait`: seconds that the server asks for; `is_heavy`: whether fewer rows may get an answer;
        `is_of_content`: whether other rows may, as they do where it is heavy."""
        super().__init__(mask(what))
        self.wait = wait
        self.is_heavy = is_heavy
        self.is_of_content = is_of_content or is_heavy
