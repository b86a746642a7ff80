"""What is asked of callers on each address: nothing only where this machine alone can come in, and by choice."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.settings import Proof, SettingsError, check_address, host_and_port

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOPBACK: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@dataclass(frozen=True, slots=True)
class Entrance:
    """An address to listen on, how its callers may show who they are, and whether it speaks TLS."""

    address: str
    proofs: frozenset[Proof]
    tls: bool = False

    @property
    def in_clear(self) -> bool:
        """Whether keys cross a network without TLS of ours."""
        return not self.tls and not is_local(self.address)


def entrances(addresses: Sequence[str], auth: Sequence[Proof], *, tls: bool) -> list[Entrance]:
    """Say of each address what is asked there. Raises SettingsError with every one that may not be listened on.

    `none` holds for unix sockets and loopback only; every other address asks for what else is chosen.
    """
    made: list[Entrance] = []
    problems: list[str] = []
    for address in addresses:
        try:
            made.append(_entrance(check_address(address), frozenset(auth), tls=tls))
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(*problems)
    return made


def is_local(address: str) -> bool:
    """Tell whether only processes of this machine reach an address."""
    if address.startswith("unix:"):
        return True
    host, _ = host_and_port(address)
    try:
        return host == "localhost" or ipaddress.ip_address(host) in _LOOPBACK[":" in host]
    except ValueError:
        return False


def _entrance(address: str, chosen: frozenset[Proof], *, tls: bool) -> Entrance:
    # 1. Nobody is asked. 2. A unix socket carries no certificates. 3. TCP, with whatever was chosen but none.
    if Proof.NONE in chosen and is_local(address):
        return Entrance(address, frozenset((Proof.NONE,)))
    if address.startswith("unix:"):
        asked = chosen & {Proof.KEYS}
        if not asked:
            raise SettingsError(f"{address!r} is refused: mtls needs TCP; add keys or none to TOLLKEEPER_AUTH")
        return Entrance(address, asked)
    asked = chosen - {Proof.NONE}
    if not asked:
        only = "without keys or mtls the doors listen on loopback and unix sockets only"
        raise SettingsError(f"{address!r} is refused: {only}; set TOLLKEEPER_AUTH to keys, mtls or both")
    return Entrance(address, asked, tls)
