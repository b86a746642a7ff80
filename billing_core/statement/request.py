"""What a statement depends on besides prices and usage: grants, coupons, commitments and tax; valid, or not at all."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing_core.aggregation import Sum
from billing_core.catalog import MeterPrice
from billing_core.commitments import Commitment, checked_factor
from billing_core.credits import Grant
from billing_core.discounts import COUPONS_MAX, AmountOff, Coupon, OnMeters, OnPlans
from billing_core.errors import CurrencyMismatchError, InvalidValueError
from billing_core.invoice import GRANTS_MAX
from billing_core.measurement import aggregation_of
from billing_core.money import Money, check_payable, exact_decimal, positive, price_amount
from billing_core.names import check_name, check_text, check_type, one_of
from billing_core.periods import Interval, Period
from billing_core.prices import Dynamic, Percentage, PerUnit, Terms
from billing_core.rating import RatingRequest
from billing_core.statement.windows import WINDOWS, check_windows
from billing_core.tax import USUAL_TERMS, TaxRate, TaxTerms

COMMITMENTS_MAX = 50
RATES_MAX = 50


@dataclass(frozen=True, slots=True)
class CommitmentTerms:
    """A commitment, and the time it is settled over: that of the document, or one that holds it, as a contract's year.

    `period` and `active` are those of the document where they are not given; with a period of its own, the plan ran for
    all of it unless `active` says otherwise. `charged_before` is what it counted earlier in that time; where it is not
    given, that is what earlier splits billed on its meters.
    """

    commitment: Commitment
    period: Period | None = None
    active: Period | None = None
    charged_before: Decimal | None = None

    def __post_init__(self) -> None:
        check_type("commitment", self.commitment, Commitment)
        if self.charged_before is not None:
            object.__setattr__(self, "charged_before", exact_decimal("charged_before", self.charged_before))

    @property
    def name(self) -> str:
        """What it is called."""
        return self.commitment.name

    @property
    def meters(self) -> frozenset[str] | None:
        """The meters whose lines it counts; none is the whole plan."""
        return self.commitment.meters


@dataclass(frozen=True, slots=True)
class WindowCommitment:
    """At least a quantity, or an amount, of one meter in each window of the calendar; a started window is prorated."""

    name: str
    meter: str
    window: Interval
    quantity: Decimal | None = None
    minimum: Decimal | None = None
    overage_factor: Decimal = Decimal(1)

    def __post_init__(self) -> None:
        check_text("name", self.name)
        check_name("meters", self.meter)
        if self.window not in WINDOWS:
            rule = one_of(interval.value for interval in WINDOWS)
            raise InvalidValueError("window", self.window, "is no window of a commitment", rule)
        if (self.quantity is None) == (self.minimum is None):
            problem = "is no quantity, and there is no minimum" if self.quantity is None else "stands beside a minimum"
            raise InvalidValueError("quantity", self.quantity, problem, "one of quantity and minimum")
        if self.quantity is not None:
            object.__setattr__(self, "quantity", positive("quantity", self.quantity))
        if self.minimum is not None:
            object.__setattr__(self, "minimum", price_amount("minimum", self.minimum))
        object.__setattr__(self, "overage_factor", checked_factor(self.overage_factor))

    @property
    def meters(self) -> frozenset[str]:
        """The meter, as a group of one."""
        return frozenset([self.meter])


@dataclass(frozen=True, slots=True)
class ScopedRate:
    """A tax rate for the lines of some meters and for some fees, or for all lines that no other rate names."""

    rate: TaxRate
    meters: frozenset[str] = frozenset()
    fees: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        check_type("rate", self.rate, TaxRate)
        for name in ("meters", "fees"):
            object.__setattr__(self, name, frozenset(getattr(self, name)))

    @property
    def is_for_the_rest(self) -> bool:
        """Whether it names nothing."""
        return not self.meters and not self.fees


@dataclass(frozen=True, slots=True)
class StatementRequest:
    """All that a statement depends on.

    A grant without a currency is one of units of its meters; a grant of money is promotional, or paid for. Names of
    meters are those of lines: each has a price of its own.
    """

    rating: RatingRequest
    grants: tuple[Grant, ...] = ()
    coupons: tuple[Coupon, ...] = ()
    commitments: tuple[CommitmentTerms | WindowCommitment, ...] = ()
    rates: tuple[ScopedRate, ...] = ()
    tax: TaxTerms = USUAL_TERMS

    def __post_init__(self) -> None:
        check_type("rating", self.rating, RatingRequest)
        check_type("tax", self.tax, TaxTerms)
        bounds = {"grants": GRANTS_MAX, "coupons": COUPONS_MAX, "commitments": COMMITMENTS_MAX, "rates": RATES_MAX}
        for name, most in bounds.items():
            object.__setattr__(self, name, tuple(getattr(self, name)))
            if len(getattr(self, name)) > most:
                field = "tax.rates" if name == "rates" else name
                raise InvalidValueError(field, len(getattr(self, name)), "are too many", f"at most {most}")
        _check_once("grants", "id", [grant.id for grant in self.grants])
        _check_once("coupons", "id", [coupon.id for coupon in self.coupons])
        _check_once("commitments", "name", [commitment.name for commitment in self.commitments])
        _check_once("tax.rates", "name", [one.rate for one in self.rates])
        self._check_scopes()
        for index, grant in enumerate(self.grants):
            self._check_grant(f"grants[{index}]", grant)
        for index, coupon in enumerate(self.coupons):
            self._check_coupon(f"coupons[{index}]", coupon)
        for index, terms in enumerate(self.commitments):
            if isinstance(terms, WindowCommitment):
                self._check_windows(f"commitments[{index}]", terms)
            else:
                self._check_stretch(f"commitments[{index}]", terms)

    @property
    def ran(self) -> Period:
        """The part of the period in which the plan ran."""
        return self.rating.active or self.rating.period

    def prices_of(self, meter: str) -> list[MeterPrice]:
        """The prices of a meter; several have filters that exclude each other."""
        return [price for price in self.rating.prices if price.meter == meter]

    def _check_scopes(self) -> None:
        priced = {price.meter for price in self.rating.prices if price.meter is not None}
        charged = {fee.name for fee in self.rating.fees} | {seats.name for seats in self.rating.seats}
        scopes = [(f"grants[{index}]", grant.meters) for index, grant in enumerate(self.grants)]
        for index, coupon in enumerate(self.coupons):
            scopes.append((f"coupons[{index}]", coupon.scope.meters if isinstance(coupon.scope, OnMeters) else None))
        scopes += [(f"commitments[{index}]", commitment.meters) for index, commitment in enumerate(self.commitments)]
        scopes += [(f"tax.rates[{index}]", scoped.meters) for index, scoped in enumerate(self.rates)]
        for path, meters in scopes:
            _check_known(f"{path}.meters", meters or (), priced, "has no price of its own")
        for index, scoped in enumerate(self.rates):
            _check_known(f"tax.rates[{index}].fees", scoped.fees, charged, "is no fee, and no seats")

    def _check_grant(self, path: str, grant: Grant) -> None:
        if grant.currency is not None:
            self._check_money_grant(path, grant)
            return
        if grant.meters is None:
            raise InvalidValueError(f"{path}.meters", 0, "meters are named", "the meters whose units it grants")
        for meter in sorted(grant.meters):
            aggregation = aggregation_of(meter, self.rating.meters)
            if not isinstance(aggregation, Sum):
                rule = f"a meter of {Sum.name}, whose single units can be granted"
                raise InvalidValueError(f"{path}.meters", meter, f"is a {aggregation.name}", rule)
            for price in self.prices_of(meter):
                if isinstance(price.price, Percentage) or (isinstance(price.price, Dynamic) and not price.price.index):
                    rule = "a meter whose units have a price, not its events"
                    raise InvalidValueError(f"{path}.meters", meter, f"is priced as {price.price.model}", rule)

    def _check_money_grant(self, path: str, grant: Grant) -> None:
        if grant.currency != self.rating.currency:
            raise CurrencyMismatchError(self.rating.currency.code, grant.currency.code if grant.currency else "units")
        if grant.recurs is not None:
            rule = "a grant of units; of money, say what is left of it"
            raise InvalidValueError(f"{path}.recurs", grant.recurs, "fills up no money", rule)
        if not grant.is_promotional and grant.meters is not None:
            rule = "a paid grant without meters: after tax, nothing belongs to one line"
            raise InvalidValueError(f"{path}.meters", len(grant.meters), "meters are named", rule)

    def _check_coupon(self, path: str, coupon: Coupon) -> None:
        if isinstance(coupon.scope, OnPlans):
            raise InvalidValueError(f"{path}.plans", len(coupon.scope.plans), "plans are named", "meters, or nothing")
        if isinstance(coupon.value, AmountOff) and coupon.value.amount.currency != self.rating.currency:
            raise CurrencyMismatchError(self.rating.currency.code, coupon.value.amount.currency.code)

    def _check_stretch(self, path: str, terms: CommitmentTerms) -> None:
        if terms.charged_before is not None:
            check_payable(f"{path}.charged_before", Money(terms.charged_before, self.rating.currency))
        stretch = terms.period or self.rating.period
        if not stretch.holds(self.rating.period):
            rule = f"a time that holds {self.rating.period.text()}"
            raise InvalidValueError(f"{path}.period", stretch.text(), "does not hold the document's period", rule)
        if terms.active is not None and not stretch.holds(terms.active):
            raise InvalidValueError(f"{path}.active", terms.active.text(), "is outside", f"a part of {stretch.text()}")

    def _check_windows(self, path: str, terms: WindowCommitment) -> None:
        (price, *others) = self.prices_of(terms.meter)
        if others or not isinstance(price.price, PerUnit) or price.terms != Terms():
            rule = f"a meter with one {PerUnit.model} price and nothing around it, for each window is priced by itself"
            raise InvalidValueError(f"{path}.meters", terms.meter, "has no such price in a window", rule)
        if not isinstance(aggregation_of(terms.meter, self.rating.meters), Sum):
            raise InvalidValueError(f"{path}.meters", terms.meter, "does not sum", f"a meter of {Sum.name}")
        if not self.rating.final or terms.meter in self.rating.billed:
            rule = "a period that is rated in one, for a window's use may lie in several splits"
            raise InvalidValueError(f"{path}.window", terms.window, "is settled in a split", rule)
        for index, usage in enumerate(self.rating.usage):
            if usage.meter == terms.meter and usage.at is None:
                rule = f"a moment, because {terms.name} goes by {terms.window.value}"
                raise InvalidValueError(f"usage[{index}].at", None, "says no time", rule)
        check_windows(f"{path}.window", self.ran, terms.window)


def _check_known(field: str, names: Iterable[str], known: Collection[str], problem: str) -> None:
    for name in sorted(names):
        if name not in known:
            raise InvalidValueError(field, name, problem, one_of(known))


def _check_once(field: str, key: str, names: Sequence[object]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            shown = name.name if isinstance(name, TaxRate) else name
            raise InvalidValueError(f"{field}[{index}].{key}", shown, "is there already", f"each {key} once")
