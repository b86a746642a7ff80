"""What holds for meters of every aggregation: no order of uses, and no error that is not ours."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing_core.aggregation import Falling, UniqueCount, WindowedMax
from billing_core.catalog import Meter
from billing_core.errors import BillingError
from billing_core.licences import SeatFee, Seats
from billing_core.money import Currency
from billing_core.periods import Period
from billing_core.proration import ProrationBasis
from billing_core.rating import RatingRequest, Usage, rate
from tests.core import made

JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))

moments = st.integers(0, 31 * 24 - 1).map(lambda hours: JANUARY.start + timedelta(hours=hours))
uses = st.builds(
    Usage,
    st.just("m"),
    made.decimals(10**6, 3),
    moments,
    st.fixed_dictionaries({"region": made.dimension_values, "model": made.dimension_values}),
    st.integers(1, 5),
)
levels = st.lists(st.builds(Seats, moments, made.decimals(1000, 2)), max_size=3, unique_by=lambda level: level.at)


@st.composite
def requests(draw: st.DrawFn) -> RatingRequest | None:
    """Make a request with a meter of any aggregation, or None where the parts do not suit each other."""
    first, last = sorted([draw(st.integers(0, 15)), draw(st.integers(16, 31))])
    active = Period(JANUARY.start + timedelta(days=first), JANUARY.start + timedelta(days=last))
    seats = draw(st.builds(SeatFee, made.texts, made.unit_prices, levels, made.decimals(10, 1)))
    aggregation = draw(made.aggregations)
    if isinstance(aggregation, UniqueCount | WindowedMax):
        aggregation = replace(aggregation, by="region")
    used = draw(st.lists(uses, max_size=5))
    if isinstance(aggregation, Falling):
        used = [replace(use, quantity=-use.quantity) if draw(st.booleans()) else use for use in used]
    try:
        return RatingRequest(
            Currency("USD"),
            JANUARY,
            (draw(made.meter_prices("m")),),
            (),
            used,
            {"m": Meter("m", aggregation=aggregation)},
            active=draw(st.none() | st.just(active)),
            proration=draw(st.sampled_from([*ProrationBasis, None])),
            seats=(seats,),
        )
    except BillingError:
        return None


@given(requests(), st.randoms())
def test_uses_of_any_meter_come_in_any_order(request: RatingRequest | None, random: st.randoms) -> None:
    """The lines and their derivations are the same, and so is the refusal of what comes to less than nothing."""
    if request is not None:
        shuffled = list(request.usage)
        random.shuffle(shuffled)
        assert rated(request) == rated(replace(request, usage=shuffled))


def rated(request: RatingRequest) -> object:
    """Rate, or say what was refused."""
    try:
        return rate(request)
    except BillingError as error:
        return str(error)


@given(made.unit_prices, levels, made.decimals(10, 1), st.sampled_from([*ProrationBasis, None]))
def test_seats_lie_between_the_fewest_and_the_most(
    unit: Decimal, held: list[Seats], minimum: Decimal, proration: ProrationBasis | None
) -> None:
    """What is paid for is at least the minimum, and at most the most seats that there ever were."""
    request = RatingRequest(
        Currency("USD"), JANUARY, proration=proration, seats=[SeatFee("Seats", unit, held, minimum)]
    )
    (line,) = rate(request).lines
    assert minimum <= line.quantity <= max(minimum, *(level.seats for level in held), Decimal(0))
