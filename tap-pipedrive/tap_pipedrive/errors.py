"""What can go wrong, in words: each message says what happened, where, and what to do.

PipedriveError                ends the run
├── Unauthorized              the token is wrong or revoked
├── Blocked                   Pipedrive's firewall turns the token away
├── Unavailable               no good answer after all tries
├── Refused                   a request that Pipedrive finds wrong (400)
├── NotAllowed                plan or rights do not cover a listing: its stream ends empty
└── BudgetSpent               the day's or the run's tokens are used up: the run stops cleanly
"""


class PipedriveError(Exception):
    """A sentence for the person who runs the tap; ends the run unless a subclass says otherwise."""


class Unauthorized(PipedriveError):
    """401: the API token is wrong, revoked, or may not use the API."""


class Blocked(PipedriveError):
    """403 with a web page: the firewall before Pipedrive refuses the token for a while."""


class Unavailable(PipedriveError):
    """No good answer after all tries."""


class Refused(PipedriveError):
    """400: Pipedrive does not accept the request as it is; a stale page cursor, for one."""


class NotAllowed(PipedriveError):
    """402, 403, 404, 410 or 415: the plan, the add-ons or the token's rights do not cover this."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class BudgetSpent(PipedriveError):
    """API tokens are used up: the day's, their share for this tap, or those of this run."""


class TryAgain(Exception):
    """An answer, or none, that may be better next time; `wait` is what the server asks for, in seconds.

    For the client alone, which ends it with one of the errors above.
    """

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.wait = wait
