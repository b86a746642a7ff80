"""Which windows a limit may hold for, and where they begin."""

from collections.abc import Iterable
from enum import Enum

from billing_core.errors import InvalidValueError
from billing_core.names import check_type, one_of
from billing_core.periods import Interval


class Window(Enum):
    """The time a limit holds for, before its count begins again."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    BILLING_PERIOD = "billing_period"
    LIFETIME = "lifetime"

    @property
    def interval(self) -> Interval | None:
        """The calendar interval of this name; None for what only a subscription knows, and for what never ends."""
        return None if self in {Window.BILLING_PERIOD, Window.LIFETIME} else Interval(self.value)


METERED_WINDOWS = tuple(Window)
RATE_WINDOWS = (Window.SECOND, Window.MINUTE, Window.HOUR, Window.DAY)
LONG_WINDOWS = (Window.DAY, Window.WEEK, Window.MONTH, Window.YEAR, Window.BILLING_PERIOD)
"""Windows that end, but not within a day: a rest can be kept from one to the next."""

ALIGNED_WINDOWS = (Window.DAY, Window.WEEK, Window.MONTH, Window.YEAR)
"""Windows that may begin with the calendar or with a subscription."""


class Align(Enum):
    """Where windows begin: with the calendar of the customer's zone, or at the moment its subscription began."""

    CALENDAR = "calendar"
    SUBSCRIPTION = "subscription"


def check_window(field: str, window: object, allowed: Iterable[Window], problem: str) -> None:
    """Refuse a window that is none of these."""
    check_type(field, window, Window)
    windows = tuple(allowed)
    if isinstance(window, Window) and window not in windows:
        raise InvalidValueError(field, window.value, problem, one_of(each.value for each in windows))


def check_align(align: object, window: Window) -> None:
    """Refuse an alignment to the subscription of a window that has no choice."""
    check_type("align", align, Align)
    if align is Align.SUBSCRIPTION and window not in ALIGNED_WINDOWS:
        rule = f"calendar, or a window that is {one_of(each.value for each in ALIGNED_WINDOWS)}"
        raise InvalidValueError("align", Align.SUBSCRIPTION.value, f"says nothing of a {window.value}", rule)
