"""What is sold: catalogs as they were applied, and every version of every plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.errors import AlreadyExistsError
from gateway.records.queries import named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.records.database import Connection

_sql: Final = named("catalogs")


@dataclass(frozen=True, slots=True)
class AppliedPlan:
    """The version a plan has after a catalog was applied; `created` when it is new."""

    plan: str
    version: int
    created: bool


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan's version as it was sold, and which catalog is now in force for its product."""

    definition: str
    """A catalog with this one plan, canonical."""
    in_force: int


async def apply(
    connection: Connection, product: str, source: str, definitions: Mapping[str, str], *, validate_only: bool
) -> list[AppliedPlan]:
    """Give each plan whose definition changed its next version; the same file again changes nothing.

    `definitions` holds each plan's canonical text. Every version of the product is marked for publishing, since what
    a plan's document says of other plans may have changed. Raises AlreadyExistsError when another product has a plan
    of that name.
    """
    await connection.execute(_sql["lock"])
    held = {row["plan"]: row for row in await connection.fetch(_sql["newest"], list(definitions))}
    for plan in held:
        if held[plan]["product"] != product:
            raise AlreadyExistsError(f"plan {plan} belongs to product {held[plan]['product']}; choose another name")
    changed = {plan for plan, text in definitions.items() if plan not in held or held[plan]["definition"] != text}
    applied = [
        AppliedPlan(plan, (held[plan]["version"] if plan in held else 0) + (plan in changed), plan in changed)
        for plan in definitions
    ]
    if validate_only or await connection.fetchval(_sql["in_force"], product) == source:
        return applied
    catalog_version = await connection.fetchval(_sql["add_catalog"], product, source)
    created = [one for one in applied if one.created]
    await connection.execute(
        _sql["add_plan_versions"],
        product,
        catalog_version,
        [one.plan for one in created],
        [one.version for one in created],
        [definitions[one.plan] for one in created],
    )
    await connection.execute(_sql["publish_product"], product)
    return applied


async def plan_version(connection: Connection, plan: str, version: int) -> StoredPlan | None:
    """Read one version of a plan."""
    row = await connection.fetchrow(_sql["plan_version"], plan, version)
    return StoredPlan(row["definition"], row["in_force"]) if row is not None else None


async def source(connection: Connection, version: int) -> str:
    """Read a catalog as it was applied."""
    text: str | None = await connection.fetchval(_sql["source"], version)
    assert text is not None, f"no catalog has the version {version}"
    return text
