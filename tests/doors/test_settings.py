"""The environment is read once: what is wrong in it is named, all of it, and no password is ever shown."""

from __future__ import annotations

from dataclasses import fields

import pytest

from gateway.settings import Settings, SettingsError, check_address, without_secrets

REFUSED = [
    ("REDIS_URL", "localhost:6379", "begins with redis:// or rediss:// or unix://"),
    ("REDIS_URL", "http://localhost", "begins with redis:// or rediss:// or unix://"),
    ("REDIS_URL", "redis:localhost", "begins with redis:// or rediss:// or unix://"),
    ("REDIS_URL", "redis://:6379", "expected redis://HOST"),
    ("REDIS_URL", "redis://localhost:99999", "valid port"),
    ("REDIS_URL", "redis://localhost/first", "[/DATABASE]"),
    ("REDIS_URL", "unix://redis.sock", "absolute path"),
    ("REDIS_URL", "unix:///" + "r" * 107, "at most 107 bytes, not 108"),
    ("REDIS_SERVER", "valkey-server", "absolute path"),
    ("POSTGRES_URL", "mysql://localhost/x", "begins with postgresql:// or postgres://"),
    ("POSTGRES_URL", "postgresql:///tollkeeper", "expected postgresql://USER@HOST/DATABASE"),
    ("POSTGRES_BIN", "bin", "absolute path"),
    ("TARGET", "localhost", "expected unix:/path or HOST:PORT"),
    ("TARGET", "https://localhost:7071", "expected unix:/path or HOST:PORT"),
    ("TARGET", "unix:gateway.sock", "absolute path"),
    ("LISTEN", "127.0.0.1", "expected unix:/path or HOST:PORT"),
    ("JOURNAL", "journal", "absolute path, or off"),
    ("JOURNAL_BYTES_MAX", "65535", "from 65536 to 1073741824"),
    ("LISTEN", "127.0.0.1:7071,,unix:/run/t.sock", "expected unix:/path or HOST:PORT, not ''"),
    ("LISTEN", "127.0.0.1:7071,127.0.0.1:7071", "each address once"),
    ("AUTH", "key", "one or more of none, keys, mtls"),
    ("AUTH", "keys,keys", "each once"),
    ("AUTH", "keys,", "one or more of none, keys, mtls"),
    ("KEY", "tk live", "as it was printed by: tollkeeper key create"),
    ("KEY", "k" * 201, "as it was printed by: tollkeeper key create"),
    ("TLS_SERVER_CA", "ca.pem", "absolute path"),
    ("REDIS_TIMEOUT_MS", "0", "a whole number from 1 to 60000"),
    ("REDIS_TIMEOUT_MS", "0.25", "a whole number"),
    ("REDIS_TIMEOUT_MS", " 250", "a whole number"),
    ("REDIS_TIMEOUT_MS", "2_50", "a whole number"),
    ("REDIS_TIMEOUT_MS", "٢٥٠", "a whole number"),  # digits that int() would take
    ("CHECK_DEADLINE_MS", "fast", "a whole number"),
    ("IDEMPOTENCY_TTL_S", "86401", "from 10 to 86400"),
    ("FLUSH_DELAY_MS_MAX", "-1", "a whole number"),
    ("FLUSH_BATCH_MAX", "9" * 5000, "a whole number"),
    ("DOCUMENT_FRESH_FOR_S", "1e2", "a whole number"),
    ("DOCUMENT_USABLE_FOR_S", "nan", "a whole number"),
]

ACCEPTED = [
    ("REDIS_URL", "redis://localhost"),
    ("REDIS_URL", "rediss://someone:secret@redis.example:6380/3"),
    ("REDIS_URL", "unix:///run/redis.sock?db=2"),
    ("POSTGRES_URL", "postgresql://tollkeeper@db/tollkeeper"),
    ("POSTGRES_URL", "postgresql://tollkeeper@/postgres?host=/tmp/tk-1/postgres&port=5432"),
    ("TARGET", "unix:/run/gateway.sock"),
    ("TARGET", "dns:///gateway.example:7071"),
    ("TARGET", "[::1]:7071"),
    ("KEY", "tk_live_whatever"),
    ("TLS_SERVER_CA", "/etc/tollkeeper/ca.pem"),
    ("JOURNAL", "/var/lib/tollkeeper"),
    ("JOURNAL", "off"),
]


def read(**variables: str) -> Settings:
    """Read settings from an environment with these variables and some that are none of ours."""
    ours = {f"TOLLKEEPER_{name}": text for name, text in variables.items()}
    return Settings.from_environment({"HOME": "/root", "LANG": "C", **ours})


def test_an_empty_environment_gives_the_defaults() -> None:
    """Nothing has to be set: the stores are our own and the door is on loopback."""
    settings = read()
    assert settings == Settings()
    assert (settings.redis_url, settings.postgres_url, settings.listen) == (None, None, ("127.0.0.1:7071",))


def test_an_empty_variable_is_not_set() -> None:
    """A compose file that passes an unset variable on makes it empty."""
    assert read(REDIS_URL="", FLUSH_BATCH_MAX="") == Settings()


def test_every_field_is_read_from_its_own_variable() -> None:
    """No variable lands in another field, and each default passes its own reader."""
    for field in fields(Settings):
        value = field.default
        if value is not None:
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            assert read(**{field.name.upper(): text}) == Settings()


@pytest.mark.parametrize(("name", "text", "expected"), REFUSED)
def test_a_bad_value_is_refused_with_what_was_expected(name: str, text: str, expected: str) -> None:
    """The message has the variable and the expectation in one line."""
    with pytest.raises(SettingsError) as caught:
        read(**{name: text})
    (problem,) = caught.value.problems
    assert problem.startswith(f"TOLLKEEPER_{name}: ")
    assert expected in problem


@pytest.mark.parametrize(("name", "text"), ACCEPTED)
def test_a_good_value_is_kept_as_it_is(name: str, text: str) -> None:
    """What is accepted is not rewritten."""
    assert getattr(read(**{name: text}), name.lower()) == text


def test_all_problems_are_named_at_once() -> None:
    """Three mistakes cost one start, not three."""
    with pytest.raises(SettingsError) as caught:
        read(REDIS_ULR="redis://localhost", LISTEN="127.0.0.1", FLUSH_BATCH_MAX="0", CHECK_DEADLINE_MS="100")
    assert len(caught.value.problems) == 4
    assert all(problem in str(caught.value) for problem in caught.value.problems)


def test_an_unknown_variable_is_an_error_with_a_suggestion() -> None:
    """A misspelt variable would else be silently without effect."""
    with pytest.raises(SettingsError, match=r"TOLLKEEPER_REDIS_ULR: .* did you mean TOLLKEEPER_REDIS_URL\?"):
        read(REDIS_ULR="redis://localhost")
    with pytest.raises(
        SettingsError, match=r"TOLLKEEPER_COLOUR_OF_LOGS: there is no such setting; there are .*_LISTEN"
    ):
        read(COLOUR_OF_LOGS="blue")


@pytest.mark.parametrize(
    ("lower", "upper"),
    [("redis_timeout_ms", "check_deadline_ms"), ("document_fresh_for_s", "document_usable_for_s")],
)
def test_a_relation_that_does_not_hold_is_refused(lower: str, upper: str) -> None:
    """Two values that are fine alone can make no sense together, however the settings are made."""
    with pytest.raises(SettingsError, match=rf"_{lower.upper()} \(77\) must be below .*_{upper.upper()} \(77\)"):
        read(**{lower.upper(): "77", upper.upper(): "77"})
    with pytest.raises(SettingsError, match="must be below"):
        Settings(**{lower: 77, upper: 77})


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hush@localhost:6379/0",
        "rediss://someone:hu/sh?hush@localhost",
        "redis://someone:hush@hush@localhost",
        "postgresql://u:hush@db/x?sslpassword=hush&password=hush",
        "postgresql://u@db/x?password=hush@hush#hush",
    ],
)
def test_a_password_is_never_shown(url: str) -> None:
    """Neither settings nor a complaint about them carry a password into a log."""
    assert "hush" not in without_secrets(url)
    assert "hush" not in repr(Settings(redis_url=url, postgres_url=url))
    with pytest.raises(SettingsError) as caught:
        read(TARGET="", REDIS_URL=url.replace("redis", "rebus"), POSTGRES_URL=url.replace("postgresql", "mysql") + ":x")
    assert "hush" not in str(caught.value)


def test_a_key_is_never_shown() -> None:
    """Neither the settings nor a complaint about it carry a key anywhere."""
    assert "hush" not in repr(read(KEY="tk_live_hush"))
    with pytest.raises(SettingsError) as caught:
        read(KEY="hush hush")
    assert "hush" not in str(caught.value)


def test_who_is_let_in_is_chosen() -> None:
    """Keys are asked for unless it is said otherwise; proofs are named with commas between."""
    assert read().auth == ("keys",)
    assert read(AUTH="none").auth == ("none",)
    assert read(AUTH="mtls, keys", **TLS).auth == ("mtls", "keys")


TLS = {"TLS_CERTIFICATE": "/c.pem", "TLS_KEY": "/k.pem", "TLS_CLIENT_CA": "/ca.pem"}


@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        ("TLS_CERTIFICATE", "TLS_KEY is set without TOLLKEEPER_TLS_CERTIFICATE"),
        ("TLS_KEY", "TLS_CERTIFICATE is set without TOLLKEEPER_TLS_KEY"),
        ("TLS_CLIENT_CA", "AUTH has mtls without TOLLKEEPER_TLS_CLIENT_CA"),
    ],
)
def test_tls_is_set_whole(lacks: str, said: str) -> None:
    """A certificate without its key, and clients to be asked for certificates that nobody could judge."""
    with pytest.raises(SettingsError, match=said):
        read(AUTH="mtls", **{name: path for name, path in TLS.items() if name != lacks})


def test_what_is_no_secret_is_shown() -> None:
    """An operator recognises the URL: user, host and database stay."""
    assert without_secrets("redis://u:p@h:1/2") == "redis://u:***@h:1/2"
    assert without_secrets("postgresql://u@/d?host=/run&port=1") == "postgresql://u@/d?host=/run&port=1"
    assert "flush_batch_max=2000" in repr(Settings())


@pytest.mark.parametrize(
    "address",
    [
        "",
        "7071",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:x",
        "::1:7071",
        "unix:t.sock",
        "unix:/" + "s" * 107,
        "unix:/\0",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    """Half an address is not completed by guessing."""
    with pytest.raises(SettingsError):
        check_address(address)
