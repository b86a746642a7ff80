"""Prices at random, of every model and with all terms, for requests at random."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

from billing_core.aggregation import Count, Sum, WindowedMax
from billing_core.catalog import Meter, MeterPrice
from billing_core.periods import Period
from billing_core.prices import (
    Capacity,
    CapacityTier,
    Cell,
    Dynamic,
    Graduated,
    GraduatedPercentage,
    Matrix,
    Package,
    Percentage,
    PercentTier,
    PerUnit,
    Prepaid,
    Price,
    Stair,
    Stairstep,
    Terms,
    Tier,
    Volume,
    VolumePercentage,
)
from billing_core.prices.by_quantity import QuantityPrice
from billing_core.prices.terms import AmountOff, ChargeWhen, Conversion, PercentOff, UnitRounding, UnitsOff

T = TypeVar("T")

DIMENSIONS = {"region": ("eu", "us", "jp"), "model": ("large", "small")}
SLIP_SHARE = 0.04
NO_NUMBERS: tuple[Any, ...] = (
    *(-1, Decimal("-0.01"), 0.5, True, None, "", "1e3", " 1", "\N{ARABIC-INDIC DIGIT THREE}", 10**101, b"1"),
    *(Decimal("NaN"), Decimal("Infinity"), Decimal("1E-13"), Decimal("1E+200"), Decimal("-0"), Decimal("0E-20")),
)


class Dice:
    """Choices of one seed. Where they are slippery, a number, a name or a moment is now and then none."""

    def __init__(self, random: Random, *, slippery: bool) -> None:
        self.random = random
        self.slippery = slippery

    def sometimes(self, share: float) -> bool:
        """Say yes so often."""
        return self.random.random() < share

    def one_of(self, values: Sequence[T]) -> T:
        """Choose."""
        return values[int(self.random.random() * len(values))]

    def whole(self, least: int, most: int) -> int:
        """Choose a whole number, bounds included."""
        return least + int(self.random.random() * (most - least + 1))

    def number(self, below: int, places: int, above: int = 0) -> Any:
        """Make a decimal of at most so many places, a whole number as often as not."""
        if self.slippery and self.random.random() < SLIP_SHARE:
            return self.one_of(NO_NUMBERS)
        if not places or self.random.random() < 0.5:
            return Decimal(self.whole(above, below))
        return Decimal(self.whole(above * 10**places, below * 10**places)).scaleb(-places)

    def name(self, usual: str) -> Any:
        """Say the name, or something that is no text to show."""
        return self.one_of((usual, *self.slip(("", "a\nb", 5, "x" * 500)))) if self.slippery else usual

    def moment(self, period: Period) -> Any:
        """Choose a moment of the period, its first one among them, or one that is not."""
        if self.slippery and self.random.random() < SLIP_SHARE:
            just_before = period.start - timedelta(microseconds=1)
            return self.one_of((period.end, just_before, period.start.replace(tzinfo=None), "2026-01-01"))
        length = int((period.end - period.start).total_seconds())
        return period.start + timedelta(seconds=0 if self.random.random() < 0.1 else self.whole(0, length - 1))

    def slip(self, values: tuple[T, ...]) -> tuple[T, ...]:
        """Let these in where they may slip."""
        return values if self.slippery and self.random.random() < SLIP_SHARE else ()


def meter_prices(dice: Dice, meters: Mapping[str, Meter]) -> list[MeterPrice]:
    """Make prices of most meters, one for each region of some, and a capacity now and then."""
    prices = []
    for meter in meters.values():
        if dice.sometimes(0.1):
            continue
        regions = dice.one_of(((), (), (), ("eu",), ("eu", "us"), *dice.slip((("eu", "eu"),))))
        prices += [_meter_price(dice, meter, {"region": (region,)}) for region in regions]
        if not regions:
            prices.append(_meter_price(dice, meter, {}))
    countable = [name for name, meter in meters.items() if not isinstance(meter.aggregation, WindowedMax)]
    if countable and dice.sometimes(0.1):
        prices.append(MeterPrice(None, _capacity(dice, countable)))
    return prices


def _meter_price(dice: Dice, meter: Meter, taken: Mapping[str, tuple[str, ...]]) -> MeterPrice:
    by_event = isinstance(meter.aggregation, Sum | Count) or dice.slippery
    price = dice.one_of(MODELS if by_event else MODELS_OF_QUANTITY)(dice)
    return MeterPrice(meter.name, price, _terms(dice, price, taken))


def _terms(dice: Dice, price: Price, taken: Mapping[str, tuple[str, ...]]) -> Terms:
    if not taken and dice.sometimes(0.4):
        return Terms()
    low = dice.number(500, 2) if dice.sometimes(0.2) else None
    high = dice.number(10**5, 2, above=500) if dice.sometimes(0.2) else None
    included = dice.number(1000, 2) if dice.sometimes(0.3) else Decimal(0)
    discount = None if isinstance(price, Prepaid) or dice.sometimes(0.6) else _discount(dice)
    convert = _conversion(dice, price) if dice.sometimes(0.25) else None
    when = ChargeWhen.ADVANCE if dice.sometimes(0.02) else ChargeWhen.ARREARS
    return Terms(included, low, high, discount, convert, taken, when)


def _discount(dice: Dice) -> PercentOff | AmountOff | UnitsOff:
    match dice.whole(1, 3):
        case 1:
            return PercentOff(dice.number(100, 2))
        case 2:
            return AmountOff(dice.number(50, 2))
        case _:
            return UnitsOff(dice.number(50, 1))


def _conversion(dice: Dice, price: Price) -> Conversion:
    by_event = isinstance(price, Percentage | Matrix | Dynamic)
    rounding = UnitRounding.NONE if by_event else dice.one_of(tuple(UnitRounding))
    factor = dice.one_of((1000, 1024, 60, 3, Decimal("0.7"), *dice.slip((0,))))
    return Conversion(factor, None, rounding) if dice.sometimes(0.7) else Conversion(None, factor, rounding)


def _bounds(dice: Dice) -> tuple[Decimal | None, ...]:
    steps = (dice.number(1000, 2, above=1) for _ in range(dice.whole(0, 3)))
    numbers = [step if type(step) is Decimal else Decimal(0) for step in steps]
    return (*(sum(numbers[:count], start=Decimal(0)) for count in range(1, len(numbers) + 1)), None)


def _tiers(dice: Dice) -> list[Tier]:
    return [
        Tier(
            bound,
            dice.number(10, 4),
            dice.number(100, 2) if dice.sometimes(0.3) else 0,
            dice.number(100, 0, above=1) if dice.sometimes(0.1) else None,
        )
        for bound in _bounds(dice)
    ]


def _percent_tiers(dice: Dice) -> list[PercentTier]:
    return [PercentTier(bound, dice.number(10, 3), dice.number(10, 2)) for bound in _bounds(dice)]


def _per(dice: Dice) -> Any:
    return dice.one_of((1, 1, 1000, 3, Decimal("0.7"), *dice.slip((0,))))


def _at_zero(dice: Dice) -> bool:
    return dice.sometimes(0.8)


def _percentage(dice: Dice) -> Percentage:
    bounded, free = dice.sometimes(0.4), dice.sometimes(0.5)
    return Percentage(
        dice.number(10, 3),
        dice.number(2, 2) if dice.sometimes(0.6) else 0,
        dice.whole(0, 3) if free else 0,
        dice.number(500, 2) if free else 0,
        dice.number(2, 2) if bounded else None,
        dice.number(20, 2, above=2) if bounded else None,
    )


def _matrix(dice: Dice) -> Matrix:
    cells = [
        Cell({"region": "eu", "model": "large"}, dice.number(1, 6)),
        Cell({"region": "us"}, dice.number(1, 6)),
        Cell({"model": "small"}, dice.number(1, 6)),
    ]
    default = None if dice.sometimes(0.02) else dice.number(1, 6)
    return Matrix(("region", "model"), cells[dice.whole(0, 2) :], default)


def _dynamic(dice: Dice) -> Dynamic:
    index = dice.one_of(("spot", None, *dice.slip(("unheard",))))
    low = dice.number(1, 4) if dice.sometimes(0.3) else None
    return Dynamic(index, dice.number(2, 3), low, dice.number(9, 4, above=1) if dice.sometimes(0.3) else None)


def _prepaid(dice: Dice) -> Prepaid:
    overage: QuantityPrice = dice.one_of(QUANTITY_MODELS)(dice)
    return Prepaid(dice.number(100, 0, above=1), dice.whole(0, 9), dice.number(50, 2), overage, dice.number(100, 1))


def _capacity(dice: Dice, meters: Sequence[str]) -> Capacity:
    limits = [dict.fromkeys(meters, 100 * step) for step in range(1, dice.whole(2, 4))]
    if len(limits) > 1 and dice.sometimes(0.3):
        limits[-1].popitem()
    tiers = [*limits, *({} for _ in range(dice.whole(0, 1)))]
    return Capacity([CapacityTier(each, dice.number(1000, 2)) for each in tiers])


QUANTITY_MODELS: tuple[Callable[[Dice], QuantityPrice], ...] = (
    lambda dice: PerUnit(dice.number(10, 12), _per(dice)),
    lambda dice: Package(dice.number(100, 1, above=1), dice.number(20, 2), dice.number(100, 0)),
    lambda dice: Graduated(_tiers(dice), _per(dice), _at_zero(dice)),
    lambda dice: Volume(_tiers(dice), _per(dice), _at_zero(dice)),
    lambda dice: Stairstep([Stair(bound, dice.number(100, 2)) for bound in _bounds(dice)], _at_zero(dice)),
    lambda dice: GraduatedPercentage(_percent_tiers(dice), _at_zero(dice)),
    lambda dice: VolumePercentage(_percent_tiers(dice), _at_zero(dice)),
)
MODELS_OF_QUANTITY: tuple[Callable[[Dice], Price], ...] = (*QUANTITY_MODELS, _prepaid)
MODELS: tuple[Callable[[Dice], Price], ...] = (*MODELS_OF_QUANTITY, _percentage, _matrix, _dynamic)
