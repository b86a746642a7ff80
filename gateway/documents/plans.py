"""What the document of a plan's version says."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from billing_core.periods import Interval  # noqa: TC001 - msgspec reads it at run time
from gateway.documents.features import Feature, Given, When  # noqa: TC001 - as above

PLAN_PREFIX: Final = "plan:"

_Version = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]


def plan_document(plan: str, version: int) -> str:
    """``plan:<plan>:<version>``."""
    return f"{PLAN_PREFIX}{plan}:{version}"


class PlanDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of a plan; its own `version` rises when a catalog changes what the plan says of other plans."""

    version: _Version
    plan: str
    plan_version: _Version
    billing_interval: Interval
    features: dict[str, Feature]
    when: dict[str, When] = {}
    """Of features that are not as usual while a subscription is not in order."""
    add_ons: dict[str, dict[str, Given]] = {}
    """What one of each gives, by feature."""
    grace_ms: Annotated[int, msgspec.Meta(ge=0, le=366 * 86_400_000)] = 0
    """While past due for less than this, nothing is refused for it."""


_decoder: Final = msgspec.json.Decoder(PlanDocument)


def decode_plan(document: str, found: bytes) -> PlanDocument:
    """Read the document of that key. Raises ValueError, as msgspec's errors are, when it is none."""
    said = _decoder.decode(found)
    if document != plan_document(said.plan, said.plan_version):
        raise ValueError(f"it is that of {said.plan} {said.plan_version}")
    return said
