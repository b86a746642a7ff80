"""Grants burn in one order, lose nothing, and are valid or not at all."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, localcontext
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.burning import Balance, Burn, BurnDown, burn_down, given_back, reset
from billing_core.credits import CreditSystem, Grant, Rollover, Use, in_burn_order
from billing_core.errors import CurrencyMismatchError, InvalidValueError
from billing_core.money import Currency, Money, Quotient, RoundingPoint, rounded
from billing_core.periods import Interval
from billing_core.wallets import debit, payable, top_up
from tests.core import made

USD = Currency("USD")
START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=60)
GRANT = Grant("g", 100, START, START)
HALF = timedelta(hours=12)

moments = st.integers(0, 119).map(lambda halves: START + HALF * halves)
amounts = made.decimals(1000, 3)
meters = st.sampled_from([None, "a", "b", "c"])
rollovers = st.tuples(amounts, amounts).map(sorted).map(lambda bounds: Rollover(bounds[1], bounds[0]))


@st.composite
def grants(draw: st.DrawFn) -> list[Grant]:
    """Make up to five grants of any kind, which differ at least in their ids."""
    made_grants = []
    for index in range(draw(st.integers(0, 5))):
        effective = draw(moments)
        rule = draw(st.sampled_from([{}, {"recurs": Interval.DAY}, {"recurs": Interval.WEEK}, {"rollover": None}]))
        fields = {
            "expires_at": draw(
                st.none() | st.integers(1, 80).map(lambda halves, since=effective: since + HALF * halves)
            ),
            "priority": draw(st.integers(0, 2)),
            "cost_basis": draw(st.sampled_from([Decimal(0), Decimal("0.5")])),
            "meters": draw(st.none() | st.frozensets(st.sampled_from("abc"), min_size=1)),
            "voided_at": draw(st.none() | moments),
        }
        fields |= {"rollover": draw(st.none() | rollovers)} if "rollover" in rule else rule
        made_grants.append(Grant(f"g{index}", draw(amounts), effective, draw(moments), **fields))
    return made_grants


uses = st.lists(st.builds(Use, moments, amounts, meters), max_size=8)


@given(grants(), uses, st.randoms())
def test_credits_conserve(granted: list[Grant], used: list[Use], random: st.randoms) -> None:
    """Each unit used is burned or overage, each unit granted is burned, lapsed or left, in any order of arrival."""
    with localcontext(Context(prec=2)):
        done = burn_down(granted, used, END)
    assert sum(burn.quantity for burn in done.burns) + done.overage == sum(use.quantity for use in used)
    for balance in done.balances:
        assert balance.grant.amount + balance.refilled == balance.burned + balance.lapsed + balance.left
    random.shuffle(granted)
    random.shuffle(used)
    assert burn_down(granted, used, END) == done


@given(grants(), uses)
def test_a_burn_keeps_to_its_grant(granted: list[Grant], used: list[Use]) -> None:
    """No grant burns before its time, after its end, or for a meter that it does not cover."""
    by_id = {grant.id: grant for grant in granted}
    for burn in burn_down(granted, used, END).burns:
        grant = by_id[burn.grant_id]
        assert burn.quantity > 0
        assert grant.effective_at <= burn.at
        assert all(burn.at < end for end in (grant.expires_at, grant.voided_at) if end is not None)
        assert grant.meters is None or burn.meter in grant.meters


@given(grants(), uses)
def test_nothing_is_overage_while_a_grant_could_burn(granted: list[Grant], used: list[Use]) -> None:
    """Where a use stays open, no grant that covers it has anything left at that moment."""
    for use in burn_down(granted, used, END).uncovered:
        until = burn_down(granted, [one for one in used if one.at <= use.at], use.at)
        able = [balance for balance in until.balances if balance.grant.is_active(use.at)]
        assert all(balance.left == 0 for balance in able if balance.grant.covers(use.meter))


@given(grants(), st.randoms())
def test_the_burn_order_is_total(granted: list[Grant], random: st.randoms) -> None:
    """Whatever order grants come in, one order comes out: no two of them are equal in it."""
    order = in_burn_order(granted)
    random.shuffle(granted)
    assert in_burn_order(granted) == order
    assert [grant.priority for grant in order] == sorted(grant.priority for grant in granted)


@given(grants(), uses, st.booleans())
def test_a_reset_keeps_what_the_rule_says(granted: list[Grant], used: list[Use], preserve_overage: bool) -> None:
    """min(maximum, max(minimum, balance)) is carried over, and preserved overage is burned or stays."""
    ended = burn_down(granted, used, END)
    begun = reset(ended, preserve_overage=preserve_overage)
    before = {balance.grant.id: balance for balance in ended.balances}
    for balance in begun.balances:
        rule, left = balance.grant.rollover, before[balance.grant.id].left
        if rule is not None:
            assert balance.grant.amount == min(rule.maximum, max(rule.minimum, left))
    assert sum(balance.burned for balance in begun.balances) + begun.overage == (
        ended.overage if preserve_overage else 0
    )


@given(grants(), uses, amounts)
def test_what_is_given_back_was_burned(granted: list[Grant], used: list[Use], quantity: Decimal) -> None:
    """Give-backs add up to what was asked for and take from each burn no more than it burned."""
    burns = burn_down(granted, used, END).burns
    burned = sum(burn.quantity for burn in burns)
    if quantity > burned:
        with pytest.raises(InvalidValueError, match=r"^quantity: .* is more than was burned; expected at most"):
            given_back(burns, quantity)
        return
    assert sum(burn.quantity for burn in given_back(burns, quantity)) == quantity
    assert sum(burn.quantity for burn in given_back(burns, burned)) == burned


@given(st.lists(st.fractions(0, 1000, max_denominator=10**8), max_size=8).map(sorted))
def test_debits_add_up_to_the_charge(charges: list) -> None:
    """However a period's use is cut, the wallet pays its charge, rounded down to a micro-unit once."""
    steps = [Quotient(Decimal(0)), *(Quotient.of(charge) for charge in charges)]
    debits = [debit(before, after, USD) for before, after in pairwise(steps)]
    assert sum((one.amount for one in debits), Decimal(0)) == rounded(steps[-1], USD, RoundingPoint.WALLET_USE).amount


@given(made.decimals(10**6, 6))
def test_no_more_is_paid_out_than_there_is(balance: Decimal) -> None:
    """What stays in the wallet is less than a cent."""
    assert 0 <= balance - payable(Money(balance, USD)).amount < Decimal("0.01")


def test_what_rolled_over_expires_by_its_rule() -> None:
    """Two months after the reset, or with the grant itself if that is sooner."""
    rule = Rollover(50, expires_after=Interval.MONTH, expires_after_periods=2)
    at = datetime(2026, 12, 31, tzinfo=UTC)
    for expires_at, expected in [(None, datetime(2027, 2, 28, tzinfo=UTC)), (at + HALF, at + HALF)]:
        grant = replace(GRANT, rollover=rule, expires_at=expires_at)
        assert reset(burn_down([grant], [], at)).balances[0].grant.expires_at == expected


def test_a_grant_is_active_from_its_start_to_before_its_end() -> None:
    """Its effective moment is inside, its expiry and its voiding are not."""
    for grant in (replace(GRANT, expires_at=END), replace(GRANT, voided_at=END)):
        active = [grant.is_active(at) for at in (START - HALF, START, END - HALF, END)]
        assert active == [False, True, True, False]


def test_a_boundary_at_the_end_refills_nothing() -> None:
    """A day's allowance that expires at midnight lapses as it is left, and is not filled up once more."""
    end = START + timedelta(days=1)
    daily = replace(GRANT, recurs=Interval.DAY, expires_at=end)
    (balance,) = burn_down([daily], [Use(START, 30)], end).balances
    assert (balance.refilled, balance.burned, balance.lapsed, balance.left) == (0, 30, 70, 0)


def test_a_balance_that_loses_units_cannot_be_built() -> None:
    """The sums are asserted where they are made."""
    with pytest.raises(AssertionError):
        Balance(GRANT, Decimal(0), Decimal(1), Decimal(0), Decimal(100))
    with pytest.raises(AssertionError):
        Balance(GRANT, Decimal(0), Decimal(-1), Decimal(0), Decimal(101))
    burned = Balance(GRANT, Decimal(0), Decimal(1), Decimal(0), Decimal(99))
    with pytest.raises(AssertionError):
        BurnDown(END, (Burn("g", START, None, Decimal(2)),), (burned,), ())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: replace(GRANT, id=""), "id: '' is not a name"),
        (lambda: replace(GRANT, amount=-1), "amount: -1 is negative"),
        (lambda: replace(GRANT, cost_basis=-1), "cost_basis: -1 is negative"),
        (lambda: replace(GRANT, effective_at=None), "effective_at: null is not a moment; expected a datetime with"),
        (lambda: replace(GRANT, created_at=datetime(2026, 1, 1)), "created_at: a value of type datetime is not"),  # noqa: DTZ001
        (lambda: replace(GRANT, voided_at="now"), "voided_at: 'now' is not a moment"),
        (lambda: replace(GRANT, expires_at=START), "expires_at: '2026-01-01T00:00:00+00:00' is not after effective_at"),
        (
            lambda: replace(GRANT, priority=256),
            "priority: 256 is not a priority; expected a whole number from 0, which",
        ),
        (lambda: replace(GRANT, priority=-1), "priority: -1 is not a priority"),
        (lambda: replace(GRANT, priority=True), "priority: True is not a priority"),
        (lambda: replace(GRANT, meters=[]), "meters: 0 meters are named; expected at least one, or none for every use"),
        (lambda: replace(GRANT, meters=["a b"]), "meters: 'a b' is not a name"),
        (lambda: replace(GRANT, meters=[1]), "meters: 1 is not a name"),
        (lambda: replace(GRANT, currency="USD"), "currency: 'USD' has the wrong type; expected Currency"),
        (lambda: replace(GRANT, recurs="day"), "recurs: 'day' has the wrong type; expected Interval"),
        (
            lambda: replace(GRANT, recurs=Interval.HOUR),
            "recurs: 'hour' has no anchor; expected one of day, month, week",
        ),
        (lambda: replace(GRANT, rollover=50), "rollover: 50 has the wrong type; expected Rollover"),
        (
            lambda: replace(GRANT, recurs=Interval.DAY, rollover=Rollover(50)),
            "rollover: a value of type Rollover does nothing for a grant that is refilled; expected a grant that",
        ),
        (lambda: Rollover(50, 51), "minimum: 51 is above the maximum; expected at most 50"),
        (lambda: Rollover(-1), "maximum: -1 is negative"),
        (lambda: Rollover(5, -1), "minimum: -1 is negative"),
        (lambda: Rollover(5, expires_after=Interval.HOUR), "expires_after: 'hour' has no anchor"),
        (lambda: Rollover(5, expires_after_periods=0), "expires_after_periods: 0 is not a number of periods; expected"),
        (lambda: Rollover(5, expires_after_periods=121), "expires_after_periods: 121 is not a number of periods"),
        (lambda: Use(START, -1), "quantity: -1 is negative"),
        (lambda: Use("now", 1), "at: 'now' is not a moment"),
        (lambda: Use(START, 1, "a b"), "meter: 'a b' is not a name"),
        (lambda: CreditSystem({"a": -1}), "costs.a: -1 is negative"),
        (lambda: CreditSystem({"a b": 1}), "costs: 'a b' is not a name"),
        (
            lambda: CreditSystem({"a": 1}).in_credits(Use(START, 1, "b")),
            "meter: 'b' has no cost in credits; expected one",
        ),
        (lambda: CreditSystem({"a": 1}).in_credits(Use(START, 1)), "meter: null has no cost in credits"),
        (lambda: burn_down([GRANT, GRANT], [], END), "grants[1].id: 'g' is there already; expected one grant per id"),
        (lambda: burn_down([], [Use(END, 1)], START), "uses[0].at: '2026-03-02T00:00:00+00:00' is after the balance"),
        (lambda: burn_down([], [], None), "at: null is not a moment"),
        (lambda: top_up(0, 1, USD), "paid_credits: 0 is not positive"),
        (lambda: top_up(1, 0, USD), "rate: 0 is not positive"),
        (lambda: top_up("0.004", 1, USD), "paid_credits: '0.004' cost nothing that can be paid; expected at least a"),
        (
            lambda: debit(Quotient(Decimal(2)), Quotient(Decimal(1)), USD),
            "charged_after: 1.000000 is less than before the use; expected at least 2.000000",
        ),
    ],
)
def test_what_is_no_credit_is_refused(build: Callable[[], object], message: str) -> None:
    """Each rule, broken once, names the field, the value and what was expected."""
    with pytest.raises(InvalidValueError, match=f"^{re.escape(message)}"):
        build()


def test_units_and_money_never_burn_together() -> None:
    """A hundred tokens are not a hundred dollars."""
    with pytest.raises(CurrencyMismatchError, match="units met USD"):
        burn_down([GRANT, replace(GRANT, id="money", currency=USD)], [], END)
