"""What is asked on which address: nothing only where this machine alone can come in, and only when that was chosen."""

from __future__ import annotations

from itertools import product

import pytest

from gateway.entrances import entrances
from gateway.settings import Proof, SettingsError

NONE, KEYS, MTLS = Proof.NONE, Proof.KEYS, Proof.MTLS
LOCAL = ["127.0.0.1:7071", "127.9.9.9:0", "[::1]:7071", "localhost:7071", "unix:/run/t.sock", "unix:/" + "s" * 106]
REMOTE = [
    "0.0.0.0:7071",
    "[::]:7071",
    "10.0.0.1:7071",
    "gateway:7071",
    "127.0.0.1.evil:1",
    "[::ffff:127.0.0.1]:1",
    "128.0.0.1:1",
    "localhost.:1",
]


@pytest.mark.parametrize(
    ("auth", "on_unix", "on_loopback", "beyond"),
    [
        ([NONE], {NONE}, {NONE}, None),
        ([KEYS], {KEYS}, {KEYS}, {KEYS}),
        ([NONE, KEYS], {NONE}, {NONE}, {KEYS}),
        ([MTLS], None, {MTLS}, {MTLS}),
        ([NONE, MTLS], {NONE}, {NONE}, {MTLS}),
        ([KEYS, MTLS], {KEYS}, {KEYS, MTLS}, {KEYS, MTLS}),
        ([NONE, KEYS, MTLS], {NONE}, {NONE}, {KEYS, MTLS}),
    ],
)
def test_what_is_asked_where(
    auth: list[Proof], on_unix: set[Proof] | None, on_loopback: set[Proof], beyond: set[Proof] | None
) -> None:
    """`none` holds on unix sockets and loopback; every other address asks for the rest, or may not be listened on."""
    for address, tls in product(LOCAL + REMOTE, (False, True)):
        wanted = on_unix if address.startswith("unix:") else on_loopback if address in LOCAL else beyond
        if wanted is None:
            with pytest.raises(SettingsError, match="TOLLKEEPER_AUTH"):
                entrances([address], auth, tls=tls)
            continue
        (entrance,) = entrances([address], auth, tls=tls)
        assert (entrance.address, entrance.proofs) == (address, wanted)
        assert entrance.tls == (tls and not address.startswith("unix:") and wanted != {NONE})
        assert entrance.in_clear == (address in REMOTE and not tls)


def test_every_address_that_is_refused_is_named() -> None:
    """One start tells all of them, those that are no addresses too."""
    with pytest.raises(SettingsError) as refused:
        entrances(["0.0.0.0:1", "127.0.0.1:1", "[::]:2", "nonsense"], [NONE], tls=False)
    assert [problem.partition(" ")[0] for problem in refused.value.problems[:2]] == ["'0.0.0.0:1'", "'[::]:2'"]
    assert "'nonsense'" in refused.value.problems[2]
