"""What holds for every model and all terms around it: bounds, splits, orders, and events by their definition."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from billing_core.catalog import MeterPrice
from billing_core.errors import InvalidValueError
from billing_core.money import EXACT, Currency, Quotient
from billing_core.periods import Period
from billing_core.prices import Capacity, Dynamic, Graduated, Matrix, Percentage, PerUnit, Stair, Stairstep, Terms, Tier
from billing_core.prices import by_quantity as quantity_prices
from billing_core.prices.by_quantity import QuantityPrice
from billing_core.prices.models import EventPrice
from billing_core.prices.steps import exact_sum
from billing_core.rating import Billed, Index, RatingRequest, Usage, rate
from tests.core import made

USD = Currency("USD")
START = datetime(2026, 1, 1, tzinfo=UTC)
JANUARY = Period(START, START + timedelta(days=31))
SPOT = Index([(START, Decimal("0.5")), (START + timedelta(hours=12), Decimal("0.125"))])

uses = st.builds(
    Usage,
    st.just("m"),
    made.decimals(10**6, 2),
    st.integers(0, 48).map(lambda hours: START + timedelta(hours=hours)),
    made.matches,
    st.integers(1, 9),
    made.unit_prices,
)


def charged(price: MeterPrice, used: list[Usage], **further: object) -> Decimal:
    """Rate one price alone."""
    request = RatingRequest(USD, JANUARY, [price], (), used, indexes={"spot": SPOT}, **further)
    (line,) = rate(request).lines
    return line.amount.amount


@given(made.meter_prices("m"), st.lists(uses, max_size=5), st.randoms())
def test_the_order_of_events_does_not_matter(price: MeterPrice, used: list[Usage], random: st.randoms) -> None:
    """Allowances are used up in time, however events arrive."""
    shuffled = list(used)
    random.shuffle(shuffled)
    assert charged(price, shuffled) == charged(price, used)


@given(made.meter_prices("m"), st.lists(uses, max_size=4))
def test_a_charge_is_from_minimum_to_maximum(price: MeterPrice, used: list[Usage]) -> None:
    """Whatever the model and its discount, both bounds hold; they are rounded as the line is."""
    amount, cent = charged(price, used), Decimal("0.005")
    assert amount >= 0
    assert price.terms.minimum is None or amount >= price.terms.minimum - cent
    assert price.terms.maximum is None or amount <= price.terms.maximum + cent


@given(made.meter_prices("m"), st.lists(uses, min_size=1, max_size=4), st.data())
def test_splitting_a_period_loses_no_cent(price: MeterPrice, used: list[Usage], data: st.DataObject) -> None:
    """What the splits charge is what the whole period costs; where single uses matter, all of them are handed in."""
    whole, due, before = charged(price, used), Decimal(0), Decimal(0)
    cuts = [data.draw(st.integers(0, len(used))), len(used)]
    for number, (start, end) in enumerate(zip([0, *cuts], cuts, strict=False)):
        events = isinstance(price.price, EventPrice)
        since = used[:end] if events else used[start:end]
        billed = {"m": Billed(Decimal(0) if events else before, due)}
        due += charged(price, since, billed=billed, final=number == len(cuts) - 1)
        before += sum((use.quantity for use in used[start:end] if price.terms.takes(use.dimensions)), Decimal(0))
    assert due == whole


@given(made.prices, made.quantities, st.sampled_from([Decimal(3), Decimal(60), Decimal("0.7")]))
def test_a_quotient_is_priced_as_the_quantity_it_is(price: QuantityPrice, quantity: Decimal, divisor: Decimal) -> None:
    """A division that is not carried out changes no charge: 3 q ÷ 3 is q."""
    with localcontext(EXACT):
        plain = exact_sum(quantity_prices.charge(price, Quotient(quantity)))
        divided = exact_sum(quantity_prices.charge(price, Quotient(quantity * divisor, divisor)))
        assert plain.dividend * divided.divisor == divided.dividend * plain.divisor


@given(made.tiers(), made.pers, made.quantities)
def test_graduated_parts_sum_to_the_quantity(tiers: tuple[Tier, ...], per: Decimal, quantity: Decimal) -> None:
    """Each unit lies in one tier."""
    parts = quantity_prices.charge(Graduated(tiers, per), Quotient(quantity))
    units = sum((Fraction(part.quantity) for part in parts if hasattr(part, "unit")), Fraction(0))
    assert units == Fraction(quantity)


@given(made.bounds(), st.lists(made.unit_prices, min_size=5, max_size=5), made.quantities, made.quantities)
def test_stairs_that_rise_never_fall(
    bounds: list[Decimal | None], amounts: list[Decimal], one: Decimal, other: Decimal
) -> None:
    """More use never costs less where each step costs more than the one before."""
    stairs = Stairstep([Stair(bound, amount) for bound, amount in zip(bounds, sorted(amounts), strict=False)])
    less, more = (charged(MeterPrice("m", stairs), [Usage("m", quantity)]) for quantity in sorted([one, other]))
    assert less <= more


def percentage_by_hand(price: Percentage, used: list[Usage]) -> Fraction:
    """Price event by event, as the definition says it."""
    events = [Fraction(use.quantity) / use.events for use in used for _ in range(use.events)]
    total, free_amount, free_events = Fraction(0), Fraction(price.free_amount), price.free_events
    open_ = bool(price.free_amount or price.free_events)
    for event in events:
        paid = event
        if open_ and (not price.free_events or free_events):
            if not price.free_amount or event <= free_amount:
                free_amount, free_events = free_amount - event, free_events - 1
                continue
            paid -= free_amount
        open_ = False
        each = paid * Fraction(price.rate) / 100 + Fraction(price.fixed)
        each = each if price.min_per_event is None else max(each, Fraction(price.min_per_event))
        total += each if price.max_per_event is None else min(each, Fraction(price.max_per_event))
    return total


@given(made.percentages(), st.lists(uses, max_size=4))
def test_a_percentage_is_that_of_each_event(price: Percentage, used: list[Usage]) -> None:
    """Counting alike events together, and never dividing, changes nothing."""
    ordered = sorted(used, key=lambda use: (use.at, use.quantity, use.events))
    exact = percentage_by_hand(price, ordered)
    assert abs(Fraction(charged(MeterPrice("m", price), used)) - exact) <= Fraction(1, 200)


@given(made.matrices(), st.lists(uses, max_size=4))
def test_a_matrix_prices_each_use_alone(price: Matrix, used: list[Usage]) -> None:
    """The sum is that of the uses, each at the price of its dimensions."""
    exact = sum((Fraction(use.quantity) * Fraction(price.unit_of(use)) for use in used), Fraction(0))
    assert abs(Fraction(charged(MeterPrice("m", price), used)) - exact) <= Fraction(1, 200)


@given(made.dynamics(), st.lists(uses, max_size=4))
def test_a_dynamic_price_is_that_of_each_use(price: Dynamic, used: list[Usage]) -> None:
    """Each use at its own unit price, multiplied and clamped."""
    exact = Fraction(0)
    for use in used:
        own = Fraction(use.amount) if price.index is None else Fraction(SPOT.price_at(use.at)) * Fraction(use.quantity)
        most = None if price.cap is None else Fraction(price.cap) * Fraction(use.quantity)
        least = max(own * Fraction(price.markup), Fraction(price.floor) * Fraction(use.quantity))
        exact += least if most is None else min(least, most)
    assert abs(Fraction(charged(MeterPrice("m", price), used)) - exact) <= Fraction(1, 200)


@given(made.capacities(["a", "b"]), made.quantities, made.quantities)
def test_capacity_is_the_tier_that_holds_every_meter(price: Capacity, one: Decimal, other: Decimal) -> None:
    """No tier below the one charged holds all meters, and that one does."""
    used = [Usage("a", one), Usage("b", other)]
    request = RatingRequest(USD, JANUARY, [MeterPrice(None, price)], (), used)
    amount = rate(request).total.amount
    holds = [all(use.quantity <= tier.limits.get(use.meter, use.quantity) for use in used) for tier in price.tiers]
    assert amount == price.tiers[holds.index(True)].amount


@given(made.decimals(10**6, 3), made.decimals(10**6, 3))
def test_included_units_come_off_the_quantity(included: Decimal, quantity: Decimal) -> None:
    """So many units less is so much less to pay, and never less than nothing."""
    price = MeterPrice("m", PerUnit(1), Terms(included))
    assert charged(price, [Usage("m", quantity)]) == charged(
        MeterPrice("m", PerUnit(1)), [Usage("m", max(quantity - included, Decimal(0)))]
    )


@given(st.lists(made.matches, max_size=3), made.matches)
@settings(max_examples=50)
def test_a_use_is_charged_by_one_price_of_its_meter(filters: list[dict[str, str]], dimensions: dict[str, str]) -> None:
    """Filters that are accepted together never both take a use."""
    terms = [Terms(filter={name: (value,) for name, value in match.items()}) for match in filters]
    prices = [MeterPrice("m", PerUnit(1), one) for one in terms]
    try:
        rating = rate(RatingRequest(USD, JANUARY, prices, (), [Usage("m", 5, None, dimensions)]))
    except InvalidValueError:
        return
    assert rating.total.amount in (0, 5)
