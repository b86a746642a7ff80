"""What an operator may choose, read once from the environment: every value checked, every problem named at once."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, get_type_hints
from urllib.parse import urlsplit

from gateway.errors import TollkeeperError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from urllib.parse import SplitResult

PREFIX: Final = "TOLLKEEPER_"
DAY_S: Final = 86_400
PORT_MAX: Final = 65_535
SOCKET_PATH_BYTES_MAX: Final = 107
"""What Linux takes as the path of a unix socket; macOS takes 103."""


class SettingsError(TollkeeperError):
    """The settings are not valid."""

    reason = "SETTINGS_INVALID"

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__(problems[0] if len(problems) == 1 else "".join(f"\n  {problem}" for problem in problems))


class Proof(StrEnum):
    """How a caller may show who it is."""

    NONE = "none"
    KEYS = "keys"
    MTLS = "mtls"


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """What may be set: each field's annotation says how its variable, TOLLKEEPER_ and its name, is read."""

    redis_url: Annotated[str | None, _redis_url] = None  # none: one of our own is started
    redis_server: Annotated[str | None, _path] = None  # none: the wheel's, else the one on PATH
    postgres_url: Annotated[str | None, _postgres_url] = None  # none: one of our own is started
    postgres_bin: Annotated[str | None, _path] = None  # none: the wheel's, else those on PATH
    target: Annotated[str | None, _target] = None  # none: the gateway of the dev state folder
    key: Annotated[str | None, _key] = None  # none: commands ask a gateway that wants none
    lane: Annotated[tuple[str, ...], _listen] = ("127.0.0.1:7070",)  # where a sidecar listens
    listen: Annotated[tuple[str, ...], _listen] = ("127.0.0.1:7071",)  # loopback: who else is served, is a decision
    auth: Annotated[tuple[Proof, ...], _auth] = (Proof.KEYS,)  # whoever gets in may spend a customer's quota
    tls_certificate: Annotated[str | None, _path] = None  # none: no TLS; a mesh or a proxy may do that
    tls_key: Annotated[str | None, _path] = None  # of the certificate
    tls_client_ca: Annotated[str | None, _path] = None  # none: clients are asked for no certificate
    tls_server_ca: Annotated[str | None, _path] = None  # none: commands ask without TLS

    journal: Annotated[str | None, _journal] = None  # none: in the user's state folder, or dev's; off: none is kept
    journal_bytes_max: Annotated[int, _whole(2**16, 2**30)] = 2**24  # 90,000 events: 90 s at a thousand a second

    redis_timeout_ms: Annotated[int, _whole(1, 60_000)] = 250  # a thousand times Redis's usual answer on one host
    check_deadline_ms: Annotated[int, _whole(2, 600_000)] = 1000  # who waits longer for a check has given up
    idempotency_ttl_s: Annotated[int, _whole(10, DAY_S)] = 600  # outlives a client's retries; ~200 bytes each in Redis
    flush_delay_ms_max: Annotated[int, _whole(1, 60_000)] = 200  # usage shows within a second, and commits stay few
    flush_batch_max: Annotated[int, _whole(1, 100_000)] = 2000  # one transaction of some ten milliseconds
    document_fresh_for_s: Annotated[int, _whole(1, DAY_S)] = 30  # a Redis that hangs is noticed long before
    document_usable_for_s: Annotated[int, _whole(1, 30 * DAY_S)] = DAY_S  # an outage of a night denies nobody

    def __post_init__(self) -> None:
        if problems := _out_of_order({field.name: getattr(self, field.name) for field in fields(self)}):
            raise SettingsError(*problems)

    def __repr__(self) -> str:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return f"Settings({', '.join(f'{name}={shown(name, value)}' for name, value in values.items())})"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read every TOLLKEEPER_ variable; one that is empty counts as not set. Raises SettingsError."""
        names = {PREFIX + field.name.upper(): field.name for field in fields(cls)}
        readers = {name: hint.__metadata__[0] for name, hint in get_type_hints(cls, include_extras=True).items()}
        values: dict[str, Any] = {field.name: field.default for field in fields(cls)}
        problems = [
            _unknown(variable, names)
            for variable in sorted(environ)
            if variable.startswith(PREFIX) and variable not in names
        ]
        for variable, name in names.items():
            try:
                if text := environ.get(variable):
                    values[name] = readers[name](text)
            except SettingsError as error:
                problems += [f"{variable}: {problem}" for problem in error.problems]
                del values[name]
        if problems := problems + _out_of_order(values):
            raise SettingsError(*problems)
        return cls(**values)


def shown(name: str, value: object) -> str:
    """Write a setting's value fit to be shown: a key not at all, a URL without its password."""
    if name == "key" and value:
        return "***"
    return without_secrets(value) if isinstance(value, str) else repr(value)


def without_secrets(url: str) -> str:
    """Return the URL fit to be shown: its password, wherever it stands, is ***."""
    return re.sub(r"([?&]\w*password=)[^&]*", r"\1***", re.sub(r"//([^:@]*):.*@", r"//\1:***@", url))


_RISING: Final = (
    ("redis_timeout_ms", "check_deadline_ms"),  # else a check is over before Redis is given up, and is never answered
    ("document_fresh_for_s", "document_usable_for_s"),  # else a document would be fresh and yet not usable
)


_TOGETHER: Final = (
    ("tls_certificate", "tls_key"),  # neither is of use alone
    ("tls_key", "tls_certificate"),
    ("tls_client_ca", "tls_certificate"),  # who asks for a certificate shows one
)


def _out_of_order(values: Mapping[str, Any]) -> list[str]:
    """Name each relation that does not hold among the values that are there."""
    alone = [
        f"{PREFIX}{one.upper()} is set without {PREFIX}{other.upper()}; expected both or neither"
        for one, other in _TOGETHER
        if values.get(one) and other in values and not values[other]
    ]
    if Proof.MTLS in values.get("auth", ()) and "tls_client_ca" in values and not values["tls_client_ca"]:
        alone.append(f"{PREFIX}AUTH has mtls without {PREFIX}TLS_CLIENT_CA; expected the CA that signs clients")
    return alone + [
        f"{PREFIX}{low.upper()} ({values[low]}) must be below {PREFIX}{high.upper()} ({values[high]})"
        for low, high in _RISING
        if low in values and high in values and values[low] >= values[high]
    ]


def _unknown(variable: str, known: Mapping[str, str]) -> str:
    names = [name.removeprefix(PREFIX) for name in known]
    close = difflib.get_close_matches(variable.removeprefix(PREFIX), names, n=1, cutoff=0.6)
    return f"{variable}: there is no such setting; " + (
        f"did you mean {PREFIX}{close[0]}?" if close else f"there are {', '.join(known)}"
    )


def _whole(least: int, most: int) -> Callable[[str], int]:
    """Make the reader of a whole number between two bounds."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,15}", text) or not least <= int(text) <= most:
            raise SettingsError(f"expected a whole number from {least} to {most}, not {text!r}")
        return int(text)

    return read


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise SettingsError(f"expected an absolute path, not {text!r}")
    return text


def _journal(text: str) -> str:
    if text != "off" and not text.startswith("/"):
        raise SettingsError(f"expected an absolute path, or off, not {text!r}")
    return text


def _listen(text: str) -> tuple[str, ...]:
    addresses = tuple(check_address(address.strip()) for address in text.split(","))
    if len(set(addresses)) < len(addresses):
        raise SettingsError(f"expected each address once, not {text!r}")
    return addresses


def check_address(text: str) -> str:
    """Return what is unix:/path or host:port. Raises SettingsError."""
    if text.startswith("unix:"):
        _socket_path(text.removeprefix("unix:"))
    else:
        host_and_port(text)
    return text


def _target(text: str) -> str:
    if text.startswith("dns:///"):
        host_and_port(text.removeprefix("dns:///"))
        return text
    return check_address(text)


def _auth(text: str) -> tuple[Proof, ...]:
    words = [word.strip() for word in text.split(",")]
    if len(set(words)) < len(words) or not set(words) <= set(Proof):
        raise SettingsError(f"expected one or more of {', '.join(Proof)}, each once, separated by commas, not {text!r}")
    return tuple(map(Proof, words))


def _key(text: str) -> str:
    """Take a key; whether it is one is the gateway's to say, and it is never shown."""
    if not re.fullmatch(r"[!-~]{1,200}", text):
        raise SettingsError("expected a key as it was printed by: tollkeeper key create")
    return text


def _redis_url(text: str) -> str:
    """Take redis://, rediss:// (with a host) and unix:///path; the text is never shown with its password."""
    url = _url(text, ("redis", "rediss", "unix"))
    if url.scheme == "unix":
        _socket_path(url.path)
    elif not url.hostname or not re.fullmatch(r"(/[0-9]{0,5})?", url.path):
        raise SettingsError(f"expected {url.scheme}://HOST[:PORT][/DATABASE], not {without_secrets(text)!r}")
    return text


def _postgres_url(text: str) -> str:
    """Take postgresql:// with a host, or with host=/folder as a parameter for a unix socket."""
    url = _url(text, ("postgresql", "postgres"))
    if not url.hostname and "host=" not in url.query:
        raise SettingsError(f"expected {url.scheme}://USER@HOST/DATABASE, not {without_secrets(text)!r}")
    return text


def _url(text: str, schemes: tuple[str, ...]) -> SplitResult:
    expected = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        url = urlsplit(text)
        usable = url.scheme in schemes and text.startswith(f"{url.scheme}://") and url.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(
            f"expected a URL that begins with {expected} and has a valid port, not {without_secrets(text)!r}"
        )
    return url


def _socket_path(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise SettingsError(f"expected unix:/path with an absolute path, not {path!r}")
    if len(path.encode()) > SOCKET_PATH_BYTES_MAX:
        raise SettingsError(
            f"the path of a unix socket has at most {SOCKET_PATH_BYTES_MAX} bytes, not {len(path.encode())}"
        )
    return path


def host_and_port(address: str) -> tuple[str, int]:
    """Split host:port or [IPv6]:port."""
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:/@\[\]]+)):([0-9]{1,5})", address)
    if not match or int(match[3]) > PORT_MAX:
        raise SettingsError(f"expected unix:/path or HOST:PORT, not {address!r}")
    return match[1] or match[2], int(match[3])
