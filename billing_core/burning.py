"""Burning: how uses burn grants in the course of time, and what a reset leaves of them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext

from billing_core.credits import Grant, Use, check_moment, in_burn_order
from billing_core.errors import CurrencyMismatchError, InvalidValueError
from billing_core.money import EXACT, not_negative
from billing_core.periods import anchored_period

_JUST_BEFORE = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Burn:
    """What one use took from one grant."""

    grant_id: str
    at: datetime
    meter: str | None
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Balance:
    """What became of a grant: amount + refilled = burned + lapsed + left."""

    grant: Grant
    refilled: Decimal
    burned: Decimal
    lapsed: Decimal
    left: Decimal

    def __post_init__(self) -> None:
        with localcontext(EXACT):
            assert self.grant.amount + self.refilled == self.burned + self.lapsed + self.left
            assert min(self.refilled, self.burned, self.lapsed, self.left) >= 0


@dataclass(frozen=True, slots=True)
class BurnDown:
    """Every burn in its order, the balances at a moment, and what nothing covered."""

    at: datetime
    burns: tuple[Burn, ...]
    balances: tuple[Balance, ...]
    uncovered: tuple[Use, ...]

    def __post_init__(self) -> None:
        with localcontext(EXACT):
            for balance in self.balances:
                of_grant = (burn.quantity for burn in self.burns if burn.grant_id == balance.grant.id)
                assert sum(of_grant, Decimal(0)) == balance.burned

    @property
    def overage(self) -> Decimal:
        """How much nothing covered."""
        with localcontext(EXACT):
            return sum((use.quantity for use in self.uncovered), Decimal(0))

    @property
    def left(self) -> Decimal:
        """What can still be burned, now or later."""
        with localcontext(EXACT):
            return sum((balance.left for balance in self.balances), Decimal(0))


def burn_down(grants: Iterable[Grant], uses: Iterable[Use], at: datetime) -> BurnDown:
    """Let the uses burn the grants, each use at its moment and each time in burn order; say what is left at `at`.

    Uses may arrive in any order: they burn by their time, and at one time by their meter. What a use finds no grant
    for stays overage, also when a later grant could have paid it.
    """
    check_moment("at", at)
    pots = [_Pot(grant, grant.amount, grant.effective_at) for grant in in_burn_order(_checked(tuple(grants)))]
    burns: list[Burn] = []
    uncovered: list[Use] = []
    with localcontext(EXACT):
        for use in _in_time(tuple(uses), at):
            open_quantity = use.quantity
            for pot in pots:
                pot.bring_to(use.at)
                if open_quantity and pot.left and pot.grant.is_active(use.at) and pot.grant.covers(use.meter):
                    quantity = min(pot.left, open_quantity)
                    pot.burn(quantity)
                    open_quantity -= quantity
                    burns.append(Burn(pot.grant.id, use.at, use.meter, quantity))
            if open_quantity:
                uncovered.append(replace(use, quantity=open_quantity))
        for pot in pots:
            pot.bring_to(at)
    return BurnDown(at, tuple(burns), tuple(pot.balance() for pot in pots), tuple(uncovered))


def reset(ended: BurnDown, *, preserve_overage: bool = False) -> BurnDown:
    """Begin a new stretch of time: grants are carried over, and then the preserved overage burns what was.

    In that order, as in OpenMeter: overage is a debt of the new time, and what rolls over is what the old one left.
    """
    carried = [grant for balance in ended.balances if (grant := _carried(balance, ended.at)) is not None]
    overage = [replace(use, at=ended.at) for use in ended.uncovered] if preserve_overage else []
    return burn_down(carried, overage, ended.at)


def given_back(burns: Iterable[Burn], quantity: Decimal) -> tuple[Burn, ...]:
    """Give back what was reserved and not used, from the last burn to the first: what burns first stays burned."""
    open_quantity = not_negative("quantity", quantity)
    returned = []
    with localcontext(EXACT):
        for burn in reversed(tuple(burns)):
            part = min(burn.quantity, open_quantity)
            if part:
                returned.append(replace(burn, quantity=part))
                open_quantity -= part
        if open_quantity:
            burned = sum((burn.quantity for burn in returned), Decimal(0))
            raise InvalidValueError("quantity", quantity, "is more than was burned", f"at most {burned}")
    return tuple(returned)


@dataclass(slots=True)
class _Pot:
    """A grant while it burns."""

    grant: Grant
    left: Decimal
    filled_at: datetime
    refilled: Decimal = Decimal(0)
    burned: Decimal = Decimal(0)
    lapsed: Decimal = Decimal(0)

    def bring_to(self, at: datetime) -> None:
        """Let the time pass: refill at boundaries that come before the end, and lapse at the end."""
        end = self.grant.ends_at
        is_over = end is not None and end <= at
        last = end - _JUST_BEFORE if end is not None and is_over else at
        if self.grant.recurs is not None and last >= self.filled_at:
            boundary = anchored_period(self.grant.effective_at, self.grant.recurs, last).start
            if boundary > self.filled_at:
                self.refilled += self.grant.amount - self.left
                self.left, self.filled_at = self.grant.amount, boundary
        if is_over:
            self.lapsed += self.left
            self.left = Decimal(0)

    def burn(self, quantity: Decimal) -> None:
        """Take so much, which is there."""
        assert quantity <= self.left
        self.left -= quantity
        self.burned += quantity

    def balance(self) -> Balance:
        """Say what became of it."""
        return Balance(self.grant, self.refilled, self.burned, self.lapsed, self.left)


def _checked(grants: tuple[Grant, ...]) -> tuple[Grant, ...]:
    seen: set[str] = set()
    for index, grant in enumerate(grants):
        if grant.id in seen:
            raise InvalidValueError(f"grants[{index}].id", grant.id, "is there already", "one grant per id")
        seen.add(grant.id)
        if grant.currency != grants[0].currency:
            left, right = ("units" if one is None else one.code for one in (grants[0].currency, grant.currency))
            raise CurrencyMismatchError(left, right)
    return grants


def _in_time(uses: tuple[Use, ...], at: datetime) -> list[Use]:
    """Add up what was used at one moment on one meter, and sort: no order of arrival is left."""
    together: dict[tuple[datetime, str | None], Decimal] = {}
    for index, use in enumerate(uses):
        if use.at > at:
            rule = f"a moment up to {at.isoformat()}"
            raise InvalidValueError(f"uses[{index}].at", use.at.isoformat(), "is after the balance", rule)
        together[use.at, use.meter] = together.get((use.at, use.meter), Decimal(0)) + use.quantity
    ordered = sorted(together, key=lambda key: (key[0], key[1] is not None, key[1] or ""))
    return [Use(moment, together[moment, meter], meter) for moment, meter in ordered]


def _carried(balance: Balance, at: datetime) -> Grant | None:
    grant = balance.grant
    # 1. over: nothing to carry; 2. filled up again, or not there yet; 3. rolled over by its rule, unless it begins with
    # this very reset: what was granted for the stretch to come lost nothing in the one before; 4. goes on as it is
    if grant.ends_at is not None and grant.ends_at <= at:
        return None
    if grant.recurs is not None or grant.effective_at > at:
        return grant
    if grant.rollover is not None and grant.effective_at < at:
        ends = [end for end in (grant.expires_at, grant.rollover.end(at)) if end is not None]
        return replace(grant, amount=grant.rollover.kept(balance.left), expires_at=min(ends, default=None))
    return replace(grant, amount=balance.left)
