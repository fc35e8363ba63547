"""Admits each request and settles it: burst window, tokens of the day and of the run, circuit breaker."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tap_pipedrive.errors import BudgetSpent, TryAgain
from tap_pipedrive.ledger import FAILURES_TO_OPEN, OPEN_SECONDS, Ledger, Permit, RateLimitHeaders
from tap_pipedrive.settings import Settings
from tap_pipedrive.shared import MemoryStore, RedisStore

CAREFUL_SECONDS = 10
"""How long requests are sent one by one after a 429."""

logger = logging.getLogger("tap-pipedrive")


class Exchange:
    """An admitted request and its answer."""

    def __init__(self) -> None:
        self.status = 0
        """HTTP status; 0 without an answer."""
        self.headers = RateLimitHeaders()

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Note an answer, good or bad."""
        self.status, self.headers = status, RateLimitHeaders.read(headers)


class Limits:
    """Keeps the requests of a run within all limits; safe to share between threads.

    `daily_token_share`: the share of the company's tokens of a day that may be spent; the rest stays.
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
        self.fullest_window = RateLimitHeaders()
        """Headers of the answer with the fewest requests remaining in the burst window."""
        self._store = store or MemoryStore()
        self._share = daily_token_share
        self._budget = token_budget
        self.tokens: Counter[tuple[str, str]] = Counter()
        """API tokens of the requests that were answered, by stream and endpoint: the only count of the cost."""
        self._reserved = 0  # tokens of the requests that are not answered yet
        self._queue = threading.Lock()
        self._settled = threading.Condition()
        self._in_flight = 0
        self._is_known = False  # whether an answer has shown the size of the window
        self._careful_until = 0.0
        self._has_reported_share = False

    @property
    def ledger(self) -> Ledger:
        """What is known about the limits."""
        return self._store.ledger

    @property
    def tokens_spent(self) -> int:
        """API tokens of the requests of this run that were answered."""
        with self._settled:
            return self.tokens.total()

    @property
    def tokens_a_day(self) -> int | None:
        """API tokens that may be spent in a day; None as long as Pipedrive does not say how many there are."""
        return int(self._share * self.ledger.limit) if self.ledger.limit else None

    @contextmanager
    def request(self, price: int, stream: str, endpoint: str) -> Iterator[Exchange]:
        """Enter when a request may be sent; leave when it is over, with what it raised.

        An answered request is charged to the stream; one without an answer costs nothing here, as nobody knows
        whether Pipedrive counted it. Raises BudgetSpent, and TryAgain while the breaker is open.
        """
        exchange = Exchange()
        permit = self._admit(price)
        is_up = None
        try:
            yield exchange
        except TryAgain:
            is_up = 400 <= exchange.status < 500
            raise
        finally:
            self._settle(permit, exchange, is_up, (stream, endpoint))

    def _admit(self, price: int) -> Permit:
        with self._queue:  # one thread waits, the others queue behind it: no thundering herd
            with self._settled:
                self._settled.wait_for(lambda: self._in_flight < self._most_at_once())
            while True:
                with self._settled:
                    spent = self.tokens.total() + self._reserved
                if self._budget is not None and spent + price > self._budget:
                    raise BudgetSpent(
                        f"{spent:,} of the {self._budget:,} API tokens of token_budget are spent, and the "
                        f"next request costs {price}: run again, or raise it.",
                        needed=spent + price,
                    )
                permit = self._store.step(
                    lambda ledger, now: ledger.admit(now, price, self._share, is_first=not self._is_known)
                )
                if isinstance(permit, Permit):
                    with self._settled:
                        self._reserved += price
                        self._in_flight += 1
                    return permit
                time.sleep(permit)

    def _most_at_once(self) -> int:
        """Return how many requests may be in flight, as the firewall blocks a token after many refusals.

        The first request goes alone, as its answer shows the size of the window; so do those after a 429, as
        other programs use the same token.
        """
        is_careful = not self._is_known or time.time() < self._careful_until
        return 1 if is_careful else max(self.ledger.burst // 5, 1)

    def _settle(
        self, permit: Permit, exchange: Exchange, is_up: bool | None, spent_on: tuple[str, str]
    ) -> None:
        if is_up is None and exchange.status:
            is_up = True
        is_refused = exchange.status == 429
        opened = self._store.step(
            lambda ledger, now: ledger.settle(
                now,
                permit,
                exchange.headers,
                endpoint=spent_on[1],
                is_up=is_up,
                is_refused=is_refused,
            )
        )
        if opened:
            self.breaker_openings += 1
            logger.warning(
                "%d requests in a row failed: nothing is sent for %d s.", FAILURES_TO_OPEN, OPEN_SECONDS
            )
        with self._settled:
            self._is_known = self._is_known or exchange.status > 0
            self._in_flight -= 1
            self._reserved -= permit.price
            if exchange.status:
                self.tokens[spent_on] += permit.price
            remaining, least = exchange.headers.burst_remaining, self.fullest_window.burst_remaining
            if remaining is not None and (least is None or remaining < least):
                self.fullest_window = exchange.headers
            if is_refused:
                self._careful_until = time.time() + CAREFUL_SECONDS
            self._settled.notify_all()
        if (
            exchange.status == 200
            and self._share < 1
            and self.ledger.limit is None
            and not self._has_reported_share
        ):
            self._has_reported_share = True
            logger.info(
                "Pipedrive does not say how many API tokens are left today, so the tap cannot keep "
                "daily_token_share; it can keep token_budget."
            )


def limits_of(settings: Settings) -> Limits:
    """Return the limits of a run. Raises PipedriveError when redis_url is set and its package is missing."""
    store = MemoryStore()
    if settings.redis_url:
        token = settings.api_token or settings.refresh_token or ""
        store = RedisStore(settings.redis_url, settings.api_url, token)
    return Limits(store, daily_token_share=settings.daily_token_share, token_budget=settings.token_budget)
