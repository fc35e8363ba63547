"""Times of a sales office as whole seconds since 1970 (UTC), and their formats in the API."""

from bisect import bisect
from datetime import date
from functools import cache
from itertools import accumulate
from random import Random

HOUR = 3_600
DAY = 24 * HOUR
HISTORY_DAYS = 730

OFFICE_TIMEZONE = "America/Sao_Paulo"
OFFICE_OFFSET = -3 * HOUR  # no daylight saving time there since 2019

_WEEKDAYS = (1.0, 1.15, 1.15, 1.05, 0.85, 0.07, 0.03)  # beginning with Monday
_MONTHS = (0.7, 0.8, 1.0, 1.0, 1.05, 1.0, 0.95, 1.05, 1.1, 1.1, 1.1, 0.6)
_HOURS = (8, 9, 9, 9, 10, 10, 10, 10, 11, 11, 11, 12, 13, 14, 14, 14, 15, 15, 15, 16, 16, 17, 17, 19)
_OPENS, _CLOSES = 8 * HOUR, 19 * HOUR
_YEARLY_GROWTH = 1.25
_UNIX_EPOCH = date(1970, 1, 1).toordinal()


@cache
def _date_of(day: int) -> date:
    return date.fromordinal(_UNIX_EPOCH + day)


@cache
def _date_text(day: int) -> str:
    return _date_of(day).isoformat()


def date_text(moment: int) -> str:
    """Return the UTC date, YYYY-MM-DD."""
    return _date_text(moment // DAY)


def local_date_text(moment: int) -> str:
    """Return the date in the office's time zone, YYYY-MM-DD."""
    return _date_text((moment + OFFICE_OFFSET) // DAY)


def clock_text(moment: int) -> str:
    """Return the UTC time of day, HH:MM:SS."""
    second = moment % DAY
    return f"{second // HOUR:02d}:{second % HOUR // 60:02d}:{second % 60:02d}"


def iso(moment: int) -> str:
    """Return YYYY-MM-DDTHH:MM:SSZ, the format of v2."""
    return f"{_date_text(moment // DAY)}T{clock_text(moment)}Z"


def iso_ms(moment: int) -> str:
    """Return YYYY-MM-DDTHH:MM:SS.mmmZ, the format of GET /v1/leads; the milliseconds depend on the second."""
    return f"{iso(moment)[:-1]}.{moment * 7919 % 1000:03d}Z"


def is_weekend(moment: int) -> bool:
    """Return whether the time is on the office's Saturday or Sunday."""
    return ((moment + OFFICE_OFFSET) // DAY + 3) % 7 > 4


def start_of_week(moment: int) -> int:
    """Return midnight of the office's Monday as UTC seconds."""
    day = (moment + OFFICE_OFFSET) // DAY
    return (day - (day + 3) % 7) * DAY - OFFICE_OFFSET


def _office_second(rng: Random) -> int:
    hour = _HOURS[int(rng.random() * len(_HOURS))]
    return hour * HOUR + int(rng.random() * HOUR) - OFFICE_OFFSET


class Season:
    """The two years before `now`, in which some months, weekdays and hours are busier than others."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.start = now - HISTORY_DAYS * DAY
        self._first_day = (self.start + OFFICE_OFFSET) // DAY + 1
        days = range(self._first_day, (now + OFFICE_OFFSET) // DAY)
        self._weights = list(
            accumulate(
                _WEEKDAYS[(day + 3) % 7]
                * _MONTHS[_date_of(day).month - 1]
                * _YEARLY_GROWTH ** ((day - self._first_day) / 365)
                for day in days
            )
        )

    def moment(self, rng: Random) -> int:
        """Return a busy time between the start of the history and yesterday evening."""
        place = bisect(self._weights, rng.random() * self._weights[-1])
        return (self._first_day + place) * DAY + _office_second(rng)

    def after(self, rng: Random, moment: int, days: float) -> int:
        """Return a time in office hours about `days` after `moment`, always later, possibly in the future."""
        target = moment + int(days * DAY)
        while is_weekend(target):
            target += DAY
        later = (target + OFFICE_OFFSET) // DAY * DAY + _office_second(rng)
        return later if later > moment else moment + 60 + int(rng.random() * 3 * HOUR)

    def soon(self, rng: Random, moment: int, minutes: float) -> int:
        """Return a time that many minutes later or, if the office is closed then, on the next morning that it
        opens.
        """
        at = moment + max(60, int(minutes * 60))
        second = (at + OFFICE_OFFSET) % DAY
        if _OPENS <= second < _CLOSES and not is_weekend(at):
            return at
        if second >= _CLOSES:
            at += DAY
        while is_weekend(at):
            at += DAY
        return (at + OFFICE_OFFSET) // DAY * DAY - OFFICE_OFFSET + _OPENS + int(rng.random() * HOUR)

    def edited(self, rng: Random, moment: int, days: float, share: float) -> int:
        """Return the time of the last edit: later than `moment` for a share of the calls, never after now."""
        if rng.random() >= share:
            return moment
        later = self.after(rng, moment, rng.random() * days)
        return later if later <= self.now else moment
