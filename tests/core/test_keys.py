"""A key is what only its holder can know: told from any other text, kept as a digest, and shown to nobody."""

from __future__ import annotations

import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import credentials
from gateway.credentials import Caller, Mode, Role, digest_of, is_key, new_key, shown_prefix, the_one
from gateway.errors import UnauthenticatedError
from tests.core.credentials_held import KEYS, LIVE, REVOKED, document, held, of_key

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@given(st.sampled_from(Mode))
def test_a_key_says_its_mode_and_proves_that_it_is_none_by_chance(mode: Mode) -> None:
    """Forty-one characters: a prefix, 27 of 62 (2^160), and CRC-32 of all that in base 62."""
    key = new_key(mode)
    assert re.fullmatch(rf"tk_{mode}_[0-9A-Za-z]{{33}}", key)
    number = 0
    for character in key[-6:]:
        number = number * 62 + BASE62.index(character)
    assert number == zlib.crc32(key[:-6].encode())
    assert is_key(key)
    assert 62**credentials.SECRET_CHARACTERS > 2**160


def test_keys_do_not_repeat_and_use_every_character_everywhere() -> None:
    """Over ten thousand keys, each of the 27 places took each of the 62 characters."""
    keys = {new_key(Mode.LIVE) for _ in range(10_000)}
    assert len(keys) == 10_000
    for place in range(27):
        assert {key[8 + place] for key in keys} == set(BASE62)


@given(st.integers(0, 40), st.characters(min_codepoint=33, max_codepoint=126))
def test_any_one_character_mistyped_is_noticed(place: int, character: str) -> None:
    """CRC-32 tells every change of a single character, in the mode too."""
    if LIVE[place] != character:
        assert not is_key(LIVE[:place] + character + LIVE[place + 1 :])


def test_what_is_shown_and_kept_of_a_key_is_no_key() -> None:
    """Four of its characters may be shown; what is kept is SHA-256, which cannot be presented."""
    assert shown_prefix(LIVE) == LIVE[:12]
    assert re.fullmatch("[0-9a-f]{64}", digest_of(LIVE))
    with pytest.raises(UnauthenticatedError):
        held(of_key(LIVE)).caller_of(f"Bearer {digest_of(LIVE)}", KEYS)


def test_a_key_in_force_is_its_caller() -> None:
    """With its role, mode and customers; the scheme's case is the sender's."""
    known = held(of_key(LIVE, "billing", customers=("acme", "umbrella")))
    for scheme in ("Bearer", "bearer", "BEARER "):
        caller = known.caller_of(f"{scheme} {LIVE}", KEYS)
        assert caller == Caller("api", Role.BILLING, Mode.LIVE, frozenset(("acme", "umbrella")))


BAD = [
    None,
    "",
    " ",
    "Bearer",
    "Bearer ",
    LIVE,
    f"Basic {LIVE}",
    f"Bearer{LIVE}",
    f"Bearer\t{LIVE}",
    f"Bearer {LIVE} ",
    f" Bearer {LIVE}",
    f"Bearer {LIVE}\n",
    f"Bearer {LIVE},Bearer {LIVE}",
    f"Bearer {LIVE}, Bearer {LIVE}",
    f"Bearer {LIVE} {LIVE}",
    f"Bearer {LIVE[:-1]}",
    f"Bearer {LIVE}0",
    f"Bearer {LIVE.swapcase()}",
    f"Bearer {LIVE.replace('live', 'test')}",
    f"Bearer {LIVE[:-1]}{'0' if LIVE[-1] != '0' else '1'}",
    f"Bearer {LIVE[:-1]}\u0663",
    f"Bearer {LIVE[:-1]}\uff21",
    f"Bearer {LIVE}\0",
    "Bearer t\u00e9k_live_",
    "Bearer " + "A" * 1_000_000,
    "Bearer " * 100_000,
    f"Bearer tk_live_{'A' * 100_000}",
    f"Bearer {REVOKED}",
    f"Bearer {new_key(Mode.LIVE)}",
    f"Bearer {new_key(Mode.TEST)}",
]


@pytest.mark.parametrize("authorization", BAD, ids=lambda text: ascii(text)[:30])
def test_whatever_else_is_sent_is_nobody(authorization: str | None) -> None:
    """Nothing, no key, half a key, two keys, a mistyped one, a revoked one: refused, and never shown."""
    with pytest.raises(UnauthenticatedError) as refused:
        held(of_key(LIVE)).caller_of(authorization, KEYS)
    told = str(refused.value)
    assert len(told) < 200
    assert told.isprintable()
    assert not any(secret[12:] in told for secret in (LIVE, REVOKED))


def test_unknown_and_revoked_are_told_alike() -> None:
    """Who holds a key cannot learn whether it ever was one."""
    known = held(of_key(REVOKED))
    known.hold(document(6))
    told = set()
    for key in (REVOKED, new_key(Mode.LIVE), new_key(Mode.TEST)):
        with pytest.raises(UnauthenticatedError) as refused:
            known.caller_of(f"Bearer {key}", KEYS)
        told.add(str(refused.value))
    assert len(told) == 1


def test_authorization_is_sent_once_or_not_at_all() -> None:
    """Of two values nobody can say which one was meant, also when they are equal."""
    assert the_one([]) is None
    assert the_one(["a"]) == "a"
    with pytest.raises(UnauthenticatedError, match="more than once"):
        the_one(["a", "a"])
