"""@grpc/grpc-js, a client that is JavaScript down to its frames, asks the lane; `./dev clients` installs it first."""

from __future__ import annotations

import base64
import json
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.rpc.status_pb2 import Status

from gateway.lane.limits import Limits
from gateway.lane.server import tls_context
from gateway.v1 import entitlement_pb2
from tests.certificates import Authority, localhost
from tests.clients.asking import described, run, until_written
from tests.doors.lane.both import Counted, both_doors, counted

if TYPE_CHECKING:
    import redis.asyncio

    from tests.conftest import Running
    from tests.doors.lane.both import Doors

OK, CANCELLED, INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED = 0, 1, 3, 4, 8
SCRIPT = Path(__file__).with_name("grpc_js.mjs")
GZIP = {"grpc.default_compression_algorithm": 2}


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that describes the service."""
    return described(tmp_path_factory.mktemp("schema") / "services.binpb", entitlement_pb2)


async def asked(schema: Path, address: str, scenario: str, **options: Any) -> list[dict[str, Any]]:
    """Play a scenario; returns the answers."""
    told = await run("node", str(SCRIPT), str(schema), address, scenario, json.dumps(options))
    answers: list[dict[str, Any]] = json.loads(told)
    return answers


@pytest.mark.parametrize(("place", "patience"), [*product(("tcp", "unix"), ({}, {"timeout_ms": 30_000}))])
async def test_calls_at_once_and_one_after_another(
    doors: Doors, redis_client: redis.asyncio.Redis, schema: Path, place: str, patience: dict[str, int]
) -> None:
    """A thousand each on one channel, with and without a deadline: each is answered and counted once."""
    answers = await asked(schema, doors.at(place), "at_once", calls=1000, **patience)
    answers += await asked(schema, doors.at(place), "one_after_another", calls=1000, **patience)
    assert {answer["code"] for answer in answers} == {OK}
    assert await counted(redis_client) == Counted(2000, sorted(answer["decision_id"] for answer in answers))


async def test_ten_thousand_calls_one_after_another(doors: Doors, office: Running, schema: Path) -> None:
    """On one channel."""
    answers = await asked(schema, doors.tcp, "one_after_another", calls=10_000, timeout_ms=30_000)
    assert {answer["code"] for answer in answers} == {OK}
    await until_written(office, 10_000)


@pytest.mark.parametrize("channel", [{}, GZIP], ids=["plain", "gzip"])
async def test_decisions_and_errors_arrive_whole(doors: Doors, schema: Path, channel: dict[str, int]) -> None:
    """Numbers, texts, plans, absent fields; and an error's words and binary details; compressed requests as well."""
    requests = [
        {"customer": "acme", "feature": "input_tokens", "quantity": 1_000_000},
        {"customer": "acme", "feature": "input_tokens"},
        {"customer": "acme", "feature": "max_seats"},
        {"customer": "a b", "feature": "max_seats"},
    ]
    counted_, denied, config, wrong = await asked(schema, doors.tcp, "one_of_each", requests=requests, channel=channel)
    assert (counted_["allowed"], counted_["used"], counted_["remaining"]) == (True, 1_000_000, 0)
    assert (denied["reason"], denied["upgrade_plans"]) == ("QUOTA_EXCEEDED", ["scale"])
    assert (config["allowed"], config["value"], "used" in config) == (True, "5", False)
    assert (wrong["code"], "'a b' is ill-formed" in wrong["words"]) == (INVALID_ARGUMENT, True)
    (details,) = wrong["details"]
    status = Status.FromString(base64.b64decode(details))
    assert (status.code, status.message) == (INVALID_ARGUMENT, wrong["words"])


async def test_much_metadata_passes_and_too_much_is_refused(doors: Doors, schema: Path) -> None:
    """The refused call is one, and the channel goes on."""
    answers = await asked(schema, doors.tcp, "each_metadata", sizes=[31_000, 40_000, 31_000])
    assert [answer["code"] for answer in answers] == [OK, RESOURCE_EXHAUSTED, OK]


async def test_what_is_cancelled_is_counted_once_or_not_at_all(
    doors: Doors, redis_client: redis.asyncio.Redis, schema: Path
) -> None:
    """Every other of a thousand calls, while they are answered."""
    answers = await asked(schema, doors.tcp, "cancelled", calls=1000)
    await doors.settled()
    assert {answer["code"] for answer in answers} == {OK, CANCELLED}
    (last,) = await asked(schema, doors.tcp, "one_after_another", calls=1)
    found = await counted(redis_client)
    assert found.used == len(found.ids) == last["used"]
    assert {answer["decision_id"] for answer in answers if answer["code"] == OK} < set(found.ids)
    assert doors.lane.in_flight == 0


async def test_an_idle_channel_connects_again(office: Running, short_folder: Path, schema: Path) -> None:
    """The lane's goodbye costs no call."""
    async with both_doors(office.redis_url, short_folder, Limits(idle_s=0.1, look_s=0.01)) as doors:
        answers = await asked(schema, doors.tcp, "after_a_pause", calls=4, pause_ms=250)
    assert [answer.get("used") for answer in answers] == [1, 2, 3, 4]


async def test_over_tls_it_is_answered(doors: Doors, schema: Path, tmp_path: Path) -> None:
    """A hundred calls at once."""
    authority = Authority(tmp_path, "ours")
    server = authority.issue("server", *localhost())
    address = await doors.over_tls(tls_context(server.certificate, server.key))
    answers = await asked(schema, address, "at_once", calls=100, authority=authority.file)
    assert sorted(answer["used"] for answer in answers) == list(range(1, 101))
