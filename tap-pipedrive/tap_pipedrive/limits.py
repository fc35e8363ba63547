"""What the API may be asked, and what it costs: token prices and the burst window."""

import re
import threading
import time
from collections.abc import Mapping

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

WINDOW_SECONDS = 2
"""Length of Pipedrive's rolling burst window."""

MARGIN_SECONDS = 0.15
"""Requests do not arrive as evenly as they leave: after a full window wait a little longer."""

DEFAULT_BURST = 20
"""Requests per window on the smallest plan; the `x-ratelimit-limit` header tells of more."""

TOKEN_PRICES = {
    "/api/v1/callLogs": 20,
    "/api/v1/deals/{id}/participants": 10,
    "/api/v1/files": 20,
    "/api/v1/filters": 20,
    "/api/v1/goals/find": 20,
    "/api/v1/leadSources": 2,
    "/api/v1/mailbox/mailThreads": 20,
    "/api/v1/mailbox/mailThreads/{id}/mailMessages": 20,
    "/api/v1/notes/{id}/comments": 20,
    "/api/v1/organizationRelationships": 20,
    "/api/v1/organizations/{id}/changelog": 20,
    "/api/v1/permissionSets": 20,
    "/api/v1/persons/{id}/changelog": 20,
    "/api/v1/roles": 20,
    "/api/v1/webhooks": 10,
    "/api/v2/boards": 10,
    "/api/v2/deals/installments": 10,
    "/api/v2/deals/{id}/discounts": 10,
    "/api/v2/deals/{id}/followers": 10,
    "/api/v2/organizations/{id}/followers": 10,
    "/api/v2/persons/{id}/followers": 10,
    "/api/v2/phases": 10,
    "/api/v2/products/{id}/variations": 10,
    "/api/v2/projectTemplates": 10,
    "/api/v2/projects": 10,
    "/api/v2/projects/archived": 10,
    "/api/v2/tasks": 10,
    "/api/v1/deals/{id}/changelog": 20,
    "/api/v2/deals/products": 10,
    "/api/v1/activityTypes": 20,
    "/api/v1/currencies": 20,
    "/api/v1/leadLabels": 10,
    "/api/v1/leads": 20,
    "/api/v1/leads/archived": 40,
    "/api/v1/notes": 20,
    "/api/v1/users": 20,
    "/api/v1/users/me": 2,
    "/api/v2/activities": 10,
    "/api/v2/activityFields": 10,
    "/api/v2/dealFields": 10,
    "/api/v2/deals": 10,
    "/api/v2/deals/archived": 20,
    "/api/v2/organizationFields": 10,
    "/api/v2/organizations": 10,
    "/api/v2/personFields": 10,
    "/api/v2/persons": 10,
    "/api/v2/pipelines": 5,
    "/api/v2/productFields": 10,
    "/api/v2/projectFields": 10,
    "/api/v2/products": 10,
    "/api/v2/stages": 5,
}
"""API tokens per request, whatever the size of the page (`x-token-cost` in Pipedrive's OpenAPI documents)."""


_SIZE = re.compile("[1-9][0-9]{0,8}")


class BurstWindow:
    """Keeps requests within Pipedrive's rolling window; safe to share between threads."""

    def __init__(self) -> None:
        self._window = RateLimitItemPerSecond(DEFAULT_BURST, WINDOW_SECONDS)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when one more request may be sent."""
        with self._lock:  # one waits, the others queue behind it: no thundering herd
            while not self._limiter.hit(self._window):
                reset = self._limiter.get_window_stats(self._window).reset_time
                time.sleep(max(reset - time.time(), 0) + MARGIN_SECONDS)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take over the window's size that an answer announces."""
        announced = headers.get("x-ratelimit-limit", "")
        if not _SIZE.fullmatch(announced) or int(announced) == self._window.amount:
            return
        with self._lock:
            used = self._window.amount - self._limiter.get_window_stats(self._window).remaining
            self._window = RateLimitItemPerSecond(int(announced), WINDOW_SECONDS)
            for _ in range(min(used, int(announced))):  # what was sent already counts in the new window too
                self._limiter.hit(self._window)
