"""What an add-on may give beside a plan: more of a feature, by a number, and never less."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import assert_never

from billing_core.entitlements.kinds import (
    Concurrency,
    Entitlement,
    LicenceCeiling,
    Licences,
    NamedLicences,
    Setting,
    Switch,
)
from billing_core.entitlements.limits import Limit, Overage
from billing_core.entitlements.rates import Rate, Rates
from billing_core.errors import InvalidValueError
from billing_core.names import check_name, check_text, one_of

_LIMIT_RULE = "limit, window, align and priority alone"


@dataclass(frozen=True, slots=True)
class AddOn:
    """What a subscription may have any number of, beside its plan."""

    name: str
    display_name: str
    entitlements: Mapping[str, Entitlement] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entitlements", MappingProxyType(dict(self.entitlements)))
        check_name("name", self.name)
        check_text("display_name", self.display_name)
        if not self.entitlements:
            raise InvalidValueError("entitlements", 0, "features are added to", "at least one")


def check_adds(path: str, entitlement: Entitlement) -> None:
    """Refuse what cannot be added: what is off, what is no number, and terms that belong to the plan's own limit."""
    match entitlement:
        case Switch(on=False):
            raise InvalidValueError(path, False, "adds nothing", "true")
        case Switch() | Setting():
            return
        case Limit(ceiling=ceiling, overage=overage):
            if overage is not Overage.DENY:
                raise InvalidValueError(f"{path}.overage", "overage", "is the plan's to say", _LIMIT_RULE)
            _check_absent(path, entitlement, ("thresholds", "rollover", "rates", "by"), _LIMIT_RULE)
            _check_number(f"{path}.limit", ceiling)
        case Rates(rates=rates):
            for index, rate in enumerate(rates):
                _check_number(f"{_rate_path(path, rates, index)}.limit", rate.ceiling)
        case Concurrency(ceiling=ceiling):
            _check_absent(path, entitlement, ("rates",), "limit and ttl_seconds alone")
            _check_number(f"{path}.limit", ceiling)
        case Licences(ceiling=ceiling) | NamedLicences(ceiling=ceiling):
            _check_number(f"{path}.limit", ceiling)
        case _:
            assert_never(entitlement)


def check_adds_to(path: str, added: Entitlement, plan: str, given: Entitlement) -> None:
    """Refuse what could not be added to what a plan gives: a rate of another window, licences of the other kind."""
    match added, given:
        case Rates(rates=rates), Rates():
            windows = {rate.window for rate in given.rates}
            for index, rate in enumerate(rates):
                if rate.window not in windows:
                    place = f"{_rate_path(path, rates, index)}.window"
                    rule = one_of(window.value for window in windows)
                    raise InvalidValueError(place, rate.window.value, f"is no window of plan {plan}", rule)
        case (Licences(), NamedLicences()) | (NamedLicences(), Licences()):
            rule = "named licences" if isinstance(given, NamedLicences) else "licences that are not named"
            raise InvalidValueError(path, added, f"is not of the kind that plan {plan} gives", rule)
        case _:
            return


def _rate_path(path: str, rates: tuple[Rate, ...], index: int) -> str:
    """Name a rate's place; one alone stands for all."""
    return path if len(rates) == 1 else f"{path}.rates[{index}]"


def _check_absent(path: str, entitlement: Entitlement, names: tuple[str, ...], rule: str) -> None:
    for name in names:
        if getattr(entitlement, name):
            raise InvalidValueError(f"{path}.{name}", name, "is the plan's to say", rule)


def _check_number(path: str, ceiling: LicenceCeiling) -> None:
    if type(ceiling) is not int:
        shown = "unlimited" if ceiling is None else ceiling
        raise InvalidValueError(path, shown, "is no number to add", "a whole number, which is taken times the quantity")
