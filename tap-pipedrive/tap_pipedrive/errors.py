"""What can go wrong, in words: each message says what happened, where, and what to do.

PipedriveError                ends the run
├── Unauthorized              the token is wrong or revoked
├── Blocked                   Pipedrive's firewall turns the token away
├── Unavailable               no good answer after all tries
├── Refused                   a request that Pipedrive finds wrong (400)
├── NotAllowed                plan or rights do not cover a listing: its stream ends empty
└── BudgetSpent               the company's daily tokens are used up: the run stops cleanly
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
    """429 of the daily kind: the company's API tokens for today are used up."""
