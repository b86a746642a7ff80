"""What a plain price charges, as a function of the quantity that is compiled once: a straight piece for each tier."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, Inexact, localcontext
from typing import NamedTuple, assert_never

from billing_core.money import EXACT
from billing_core.prices.capacity import Capacity
from billing_core.prices.dynamic import Dynamic
from billing_core.prices.graduated import Graduated, GraduatedPercentage
from billing_core.prices.matrix import Matrix
from billing_core.prices.models import Price
from billing_core.prices.package import Package
from billing_core.prices.per_unit import PerUnit
from billing_core.prices.percentage import Percentage
from billing_core.prices.prepaid import Prepaid
from billing_core.prices.stairstep import Stairstep
from billing_core.prices.steps import PERCENT
from billing_core.prices.tiers import ZERO, PercentTier, Tier
from billing_core.prices.volume import Volume, VolumePercentage


@dataclass(frozen=True, slots=True)
class Curve:
    """For quantities up to and including each bound, and for those above all: where a piece starts, and its slope.

    It says what the price's own steps add up to, and never divides: a million lines need no steps before somebody asks.
    """

    bounds: tuple[Decimal, ...]
    starts: tuple[Decimal, ...]
    slopes: tuple[Decimal, ...]

    def __post_init__(self) -> None:
        assert len(self.starts) == len(self.slopes) == len(self.bounds) + 1

    def charge(self, quantity: Decimal) -> Decimal:
        """Charge a quantity of at least zero, in the exact context."""
        piece = bisect_left(self.bounds, quantity)
        return self.starts[piece] + quantity * self.slopes[piece]


def curve_of(price: Price) -> Curve | None:
    """Compile a price; None where its pieces are not straight, or a slope has no end, such as that of 1 for every 3."""
    with localcontext(EXACT):
        try:
            pieces = _pieces(price)
        except Inexact:
            return None
    bounds = tuple(piece.up_to for piece in pieces if piece.up_to is not None)
    return Curve(bounds, *zip(*((piece.start, piece.slope) for piece in pieces), strict=True)) if pieces else None


class _Piece(NamedTuple):
    """What every quantity up to `up_to` costs: `start`, as if it went back to zero, and `slope` for each unit."""

    up_to: Decimal | None
    start: Decimal
    slope: Decimal


def _pieces(price: Price) -> list[_Piece]:
    """Give the pieces of a price; none where they are not straight, or where a quantity is not all that it goes by."""
    match price:
        case PerUnit():
            return [_Piece(None, ZERO, EXACT.divide(price.unit, price.per))]
        case Graduated() | GraduatedPercentage():
            return _from_zero(_of_own_parts(_of_tiers(price.tiers, price.per)), flat_at_zero=price.flat_at_zero)
        case Volume() | VolumePercentage():
            return _from_zero(_of_tiers(price.tiers, price.per), flat_at_zero=price.flat_at_zero)
        case Stairstep():
            stairs = [_Piece(stair.up_to, stair.amount, ZERO) for stair in price.tiers]
            return _from_zero(stairs, flat_at_zero=price.flat_at_zero)
        case Package() | Prepaid() | Percentage() | Matrix() | Dynamic() | Capacity():
            return []
        case _:
            assert_never(price)


def _of_tiers(tiers: Sequence[Tier | PercentTier], per: Decimal) -> list[_Piece]:
    """Let each tier price a whole quantity; none where one counts started blocks."""
    pieces = []
    for tier in tiers:
        match tier:
            case PercentTier():
                slope = EXACT.divide(tier.rate, PERCENT)
            case Tier(size=None):
                slope = EXACT.divide(tier.unit, per)
            case Tier():
                return []
            case _:
                assert_never(tier)
        pieces.append(_Piece(tier.up_to, tier.flat, slope))
    return pieces


def _of_own_parts(pieces: Iterable[_Piece]) -> list[_Piece]:
    """Let each tier price its own part: it goes on from where the one before it ended, higher by its flat amount."""
    own_parts = []
    below = due = ZERO  # the bound before a tier, and what all up to it costs
    for up_to, flat, slope in pieces:
        start = due + flat - below * slope
        own_parts.append(_Piece(up_to, start, slope))
        if up_to is not None:
            below, due = up_to, start + up_to * slope
    return own_parts


def _from_zero(pieces: list[_Piece], *, flat_at_zero: bool) -> list[_Piece]:
    """Put nothing before the pieces where nothing used costs nothing; else it lies in the first tier."""
    return pieces if flat_at_zero or not pieces else [_Piece(ZERO, ZERO, ZERO), *pieces]
