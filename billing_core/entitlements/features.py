"""Which types of features there are, and what each gives while its subscription is not in order."""

from dataclasses import dataclass, field
from typing import ClassVar

from billing_core.names import check_name, check_type


@dataclass(frozen=True, slots=True)
class AllowedWhen:
    """Whether a feature may be used while the subscription is paused, suspended, or past due after its grace."""

    paused: bool = False
    suspended: bool = False
    past_due: bool = True

    def __post_init__(self) -> None:
        for name in ("paused", "suspended", "past_due"):
            check_type(name, getattr(self, name), bool)


@dataclass(frozen=True, slots=True)
class BooleanFeature:
    """A feature that a plan has or has not."""

    type: ClassVar[str] = "boolean"
    name: str
    when: AllowedWhen = field(default_factory=AllowedWhen)

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class ConfigFeature:
    """A feature whose value the caller reads and obeys, such as a list of models."""

    type: ClassVar[str] = "config"
    name: str
    when: AllowedWhen = field(default_factory=AllowedWhen)

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class MeteredFeature:
    """A feature whose use is counted on a meter and may be priced."""

    type: ClassVar[str] = "metered"
    name: str
    meter: str
    when: AllowedWhen = field(default_factory=AllowedWhen)

    def __post_init__(self) -> None:
        _check(self)
        check_name("meter", self.meter)


@dataclass(frozen=True, slots=True)
class RateFeature:
    """A feature that may be used so often in a short window; it is counted, never priced."""

    type: ClassVar[str] = "rate"
    name: str
    when: AllowedWhen = field(default_factory=AllowedWhen)

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class ConcurrencyFeature:
    """A feature that may be used so many times at once: slots are taken, kept and given back."""

    type: ClassVar[str] = "concurrency"
    name: str
    when: AllowedWhen = field(default_factory=AllowedWhen)

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class LicenceFeature:
    """A feature that so many people may use, named or not."""

    type: ClassVar[str] = "licence"
    name: str
    when: AllowedWhen = field(default_factory=AllowedWhen)

    def __post_init__(self) -> None:
        _check(self)


Feature = BooleanFeature | ConfigFeature | MeteredFeature | RateFeature | ConcurrencyFeature | LicenceFeature


def _check(feature: Feature) -> None:
    check_name("name", feature.name)
    check_type("when", feature.when, AllowedWhen)
