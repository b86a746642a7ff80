"""Commands that say who may call: API keys, and names in client certificates.

They work on the records themselves, so that the first key can be made before anybody may call.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from gateway.cli.options import STATE, Json, State
from gateway.cli.reach import with_records
from gateway.cli.show import emit, out, say, table
from gateway.credentials import Mode, Role, digest_of, new_key, shown_prefix
from gateway.decision import identifier_violations
from gateway.errors import InvalidRequestError, Violation

if TYPE_CHECKING:
    from gateway.records.credentials import Made
    from gateway.records.database import Connection

CUSTOMERS_MAX = 100
NAME_CHARACTERS_MAX = 64
NUMBER_MAX = 2**63 - 1
CERTIFICATE_NAME_CHARACTERS_MAX = 255


def key_create(
    role: Annotated[Role, typer.Option(help="check: entitlements; billing: usage and charges; admin: everything.")],
    mode: Annotated[Mode, typer.Option(help="Which world it belongs to.")] = Mode.LIVE,
    customer: Annotated[
        list[str] | None,
        typer.Option("--customer", help="The only customer it may name; may be given more than once.", metavar="C"),
    ] = None,
    name: Annotated[str, typer.Option(help="What it is for, for people.", metavar="N")] = "",
    san: Annotated[
        str | None,
        typer.Option(help="A client certificate's URI or DNS name: its holder then needs no key.", metavar="NAME"),
    ] = None,
    state: State = STATE,
    json: Json = False,
) -> None:
    """Make an API key and print it, this once; or let a client certificate stand for one."""
    from gateway.records import credentials
    from gateway.records.credentials import Grantee

    _check(customer, name, san)
    grantee = Grantee(name, role, mode, tuple(dict.fromkeys(customer)) if customer else None)
    key = None if san else new_key(mode)

    async def make(connection: Connection) -> tuple[int, Any]:
        if san:
            return await credentials.add_certificate(connection, grantee, san)
        assert key is not None
        return await credentials.add_key(connection, grantee, shown_prefix(key), digest_of(key))

    number, created_at = with_records(state, make)
    if mode is Mode.TEST:
        say("test mode is not served yet: until it is, every call with this credential is refused")
    if json:
        made = {"id": number, "key": key, "san": san, "role": role, "mode": mode, "name": name}
        emit(made | {"customers": grantee.customers, "created_at": created_at.isoformat()})
    elif key is not None:
        say(f"key {number} for role {role}; it is not kept and will not be shown again:")
        out.print(key, markup=False, soft_wrap=True)
    else:
        out.print(
            f"[bold green]created[/] {number}: certificates with {escape(san or '')} have role {role}", soft_wrap=True
        )


def key_list(state: State = STATE, json: Json = False) -> None:
    """List every key and certificate name that was ever let in, without any secret."""
    from gateway.records import credentials

    listed = with_records(state, credentials.every)
    if json:
        emit([_document(one) for one in listed])
        return
    columns = ("Id", "Key or certificate", "Role", "Mode", "Customers", "Name", "Created", "Revoked")
    out.print(table([(column, "left") for column in columns], map(_row, listed)))


def key_revoke(
    number: Annotated[
        int, typer.Argument(metavar="ID", help="As `key list` shows it.", show_default=False, min=1, max=NUMBER_MAX)
    ],
    state: State = STATE,
    json: Json = False,
) -> None:
    """Let a key or certificate in no more: every gateway refuses it within a second."""
    from gateway.records import credentials

    revoked_at = with_records(state, lambda connection: credentials.revoke(connection, number))
    if json:
        emit({"id": number, "revoked": revoked_at is not None})
    else:
        out.print(f"[bold green]revoked[/] {number}" if revoked_at else f"{number} was revoked before")


def _check(customers: list[str] | None, name: str, san: str | None) -> None:
    wrong = [one for customer in customers or () for one in identifier_violations("--customer", customer)]
    if len(customers or ()) > CUSTOMERS_MAX:
        wrong.append(Violation("--customer", f"there are {len(customers or ())}; expected up to {CUSTOMERS_MAX}"))
    if len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        expected = f"expected up to {NAME_CHARACTERS_MAX} printable characters"
        wrong.append(Violation("--name", f"is too long or has other characters; {expected}"))
    if san is not None and not re.fullmatch(rf"[!-~]{{1,{CERTIFICATE_NAME_CHARACTERS_MAX}}}", san):
        expected = f"expected 1 to {CERTIFICATE_NAME_CHARACTERS_MAX} ASCII characters without spaces"
        wrong.append(Violation("--san", f"is no URI and no DNS name; {expected}"))
    if wrong:
        raise InvalidRequestError(*wrong)


def _document(one: Made) -> dict[str, Any]:
    return {
        "id": one.credential,
        "prefix": one.prefix,
        "san": one.certificate_name,
        "role": one.role,
        "mode": one.mode,
        "customers": one.customers,
        "name": one.name,
        "created_at": one.created_at.isoformat(),
        "revoked_at": one.revoked_at.isoformat() if one.revoked_at else None,
    }


def _row(one: Made) -> list[str]:
    return [
        str(one.credential),
        one.certificate_name or f"{one.prefix}…",
        one.role,
        one.mode,
        "all" if one.customers is None else ", ".join(one.customers),
        one.name,
        f"{one.created_at:%Y-%m-%d %H:%M}",
        f"{one.revoked_at:%Y-%m-%d %H:%M}" if one.revoked_at else "",
    ]
