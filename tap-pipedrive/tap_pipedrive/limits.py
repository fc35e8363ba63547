"""Before and after each request: the burst window, the tokens of the day and of the run, the circuit breaker."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tap_pipedrive.errors import BudgetSpent, TryAgain
from tap_pipedrive.ledger import FAILURES_TO_OPEN, OPEN_SECONDS, Ledger, Ticket, Told, told
from tap_pipedrive.prices import TOKEN_PRICES
from tap_pipedrive.settings import Settings
from tap_pipedrive.shared import MemoryStore, RedisStore

CAREFUL_SECONDS = 10
"""How long requests go one by one after a refusal."""

logger = logging.getLogger("tap-pipedrive")


class Exchange:
    """A request that may be sent, and what came back."""

    def __init__(self) -> None:
        self.status = 0
        self.told = Told()

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Note an answer, good or bad."""
        self.status, self.told = status, told(headers)


class Limits:
    """Keeps the requests of a run within all limits; safe to share between threads.

    `daily_token_share`: the company's tokens left today are never brought below the rest of it.
    `token_budget`: tokens that this run may spend; None: no limit.
    """

    def __init__(
        self,
        store: MemoryStore | None = None,
        *,
        daily_token_share: float = 1,
        token_budget: int | None = None,
    ) -> None:
        self.breaker_openings = 0
        """How often requests of this run opened the circuit breaker."""
        self._store = store or MemoryStore()
        self._share = daily_token_share
        self._budget = token_budget
        self._spent = 0
        self._queue = threading.Lock()
        self._landed = threading.Condition()
        self._on_their_way = 0
        self._is_taught = False
        self._careful_until = 0.0
        self._has_told_share = False

    @property
    def ledger(self) -> Ledger:
        """What is known of the limits."""
        return self._store.ledger

    @contextmanager
    def request(self, endpoint: str) -> Iterator[Exchange]:
        """Enter when a request may be sent; leave when it is over, with what it raised.

        Raises BudgetSpent, and TryAgain while the breaker is open.
        """
        exchange = Exchange()
        ticket = self._admit(TOKEN_PRICES[endpoint])
        is_up = None
        try:
            yield exchange
        except TryAgain:
            is_up = 400 <= exchange.status < 500
            raise
        finally:
            self._settle(ticket, exchange, is_up)

    def _admit(self, price: int) -> Ticket:
        with self._queue:  # one waits, the others queue behind it: no thundering herd
            with self._landed:
                self._landed.wait_for(lambda: self._on_their_way < self._most_at_once())
            while True:
                if self._budget is not None and self._spent + price > self._budget:
                    raise BudgetSpent(
                        f"{self._spent:,} of the {self._budget:,} API tokens of token_budget are spent, and the "
                        f"next request costs {price}: run again, or raise it."
                    )
                ticket = self._store.step(
                    lambda ledger, now: ledger.admit(now, price, self._share, is_first=not self._is_taught)
                )
                if isinstance(ticket, Ticket):
                    self._spent += price
                    with self._landed:
                        self._on_their_way += 1
                    return ticket
                time.sleep(ticket)

    def _most_at_once(self) -> int:
        """Requests on their way: all of them may be refused, and the firewall does not forgive many refusals.

        The first one goes alone, as its answer tells how large the window is; so do those after a refusal, as
        others with the same token must be near.
        """
        is_careful = not self._is_taught or time.time() < self._careful_until
        return 1 if is_careful else max(self.ledger.burst // 5, 1)

    def _settle(self, ticket: Ticket, exchange: Exchange, is_up: bool | None) -> None:
        if is_up is None and exchange.status:
            is_up = True
        is_refused = exchange.status == 429
        opened = self._store.step(
            lambda ledger, now: ledger.settle(now, ticket, exchange.told, is_up=is_up, is_refused=is_refused)
        )
        if opened:
            self.breaker_openings += 1
            logger.warning(
                "%d requests in a row failed: nothing is sent for %d s.", FAILURES_TO_OPEN, OPEN_SECONDS
            )
        with self._landed:
            self._is_taught = self._is_taught or exchange.status > 0
            self._on_their_way -= 1
            if is_refused:
                self._careful_until = time.time() + CAREFUL_SECONDS
            self._landed.notify_all()
        if (
            exchange.status == 200
            and self._share < 1
            and self.ledger.limit is None
            and not self._has_told_share
        ):
            self._has_told_share = True
            logger.info(
                "Pipedrive does not say how many API tokens are left today, so daily_token_share cannot be kept; "
                "token_budget can."
            )


def limits_of(settings: Settings) -> Limits:
    """The limits of a run. Raises PipedriveError when the package for Redis is wanted and missing."""
    store = MemoryStore()
    if settings.redis_url:
        token = settings.api_token or settings.refresh_token or ""
        store = RedisStore(settings.redis_url, settings.api_url, token)
    return Limits(store, daily_token_share=settings.daily_token_share, token_budget=settings.token_budget)
