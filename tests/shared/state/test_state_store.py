"""The connection to Valkey: what it costs when something is wrong, and what is said about it."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from tests.e2e.running import eventually
from tests.real.valkey import ValkeyServer
from tests.shared.state.replicas import PATIENT

from backoffice_shared.errors import BackendUnavailable, InvalidInput
from backoffice_shared.redaction import SECRETS
from backoffice_shared.sandbox.certificate import make_certificate
from backoffice_shared.state.valkey.store import BUDGET, CONNECTIONS, Script, Store

pytestmark = pytest.mark.anyio

ECHO = Script("return ARGV[1]")
COUNT = Script("return redis.call('INCR', KEYS[1])")
NOWHERE = "valkey://backoffice:hunter2hunter2@127.0.0.1:1"


async def answers(store: Store) -> bool:
    try:
        return bool(await store.run(ECHO, [], ["here"]) == b"here")
    except BackendUnavailable:
        return False


async def test_a_script_runs_also_on_a_server_that_does_not_know_it(valkey: ValkeyServer) -> None:
    async with Store(valkey.url, budget=PATIENT).running() as store:
        assert await store.run(COUNT, ["n"]) == 1
        valkey.ask("SCRIPT", "FLUSH")
        assert await store.run(COUNT, ["n"]) == 2
    assert valkey.ask("GET", "{backoffice}:n") == b"$1\r\n2\r\n"


async def test_many_at_once_share_few_connections(valkey: ValkeyServer) -> None:
    async with Store(valkey.url, budget=PATIENT).running() as store:
        assert await asyncio.gather(*(store.run(ECHO, [], [str(n)]) for n in range(100))) == [
            str(n).encode() for n in range(100)
        ]
        assert valkey.ask("CLIENT", "LIST").count(b"cmd=eval") <= CONNECTIONS


async def test_connections_that_were_cut_while_idle_cost_nobody_an_answer(valkey: ValkeyServer) -> None:
    async with Store(valkey.url, budget=PATIENT).running() as store:
        valkey.ask("CLIENT", "KILL", "TYPE", "normal")
        assert [await answers(store) for _ in range(10)] == [True] * 10


async def test_who_gives_up_waiting_leaves_no_answer_for_the_next(valkey: ValkeyServer) -> None:
    async with Store(valkey.url, budget=PATIENT).running() as store:
        for number in range(200):
            given_up = asyncio.ensure_future(store.run(ECHO, [], [f"given up {number}"]))
            await asyncio.sleep(random.random() * 0.001)
            given_up.cancel()
            await asyncio.gather(given_up, return_exceptions=True)
            assert await store.run(ECHO, [], [str(number)]) == str(number).encode()


async def test_a_store_that_hangs_costs_one_call_its_budget_and_the_others_nothing(valkey: ValkeyServer) -> None:
    async with Store(valkey.url).running() as store:
        with valkey.frozen():
            took: list[float] = []
            for _ in range(20):
                started = time.monotonic()
                assert not await answers(store)
                took.append(time.monotonic() - started)
            assert BUDGET * 0.9 < took[0] < 2 * BUDGET
            assert sum(took[1:]) < BUDGET
        await eventually(lambda: answers(store))


async def test_without_a_server_it_starts_says_so_and_finds_it_later(
    valkey: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    valkey.stop()
    async with Store(valkey.url).running() as store:
        assert not await answers(store)
        assert "Valkey does not answer" in caplog.text
        valkey.start()
        await eventually(lambda: answers(store))


async def test_a_server_that_takes_no_writes_is_left_alone_until_it_does(valkey: ValkeyServer) -> None:
    """A standby, or one that is full, answers, and would never count."""
    async with Store(valkey.url).running() as store:
        valkey.ask("REPLICAOF", "127.0.0.1", "1")
        try:
            for _ in range(3):
                with pytest.raises(BackendUnavailable):
                    await store.run(COUNT, ["n"])
            await asyncio.sleep(1.2)
            assert not await answers(store), "asked again, and still a standby"
        finally:
            valkey.ask("REPLICAOF", "NO", "ONE")
        await eventually(lambda: answers(store))


async def test_every_failure_is_counted(valkey: ValkeyServer) -> None:
    def failures() -> float:
        return REGISTRY.get_sample_value("mcp_state_store_failures_total", {"store": "valkey"}) or 0.0

    before = failures()
    async with Store(valkey.url).running() as store:
        assert await answers(store)
        assert failures() == before
        with pytest.raises(BackendUnavailable):
            await store.run(Script("return nonsense()"), [])
        assert failures() == before + 1


# Where it is, and who may ask


async def test_a_server_that_is_not_there_is_told_without_the_password(caplog: pytest.LogCaptureFixture) -> None:
    async with Store(NOWHERE).running() as store:
        with pytest.raises(BackendUnavailable) as raised:
            await store.run(ECHO, [], ["x"])
    assert str(raised.value) == "Valkey: does not answer at the moment."
    assert "hunter2hunter2" not in caplog.text + repr(store) + repr(vars(store))
    assert SECRETS.scrub("hunter2hunter2") == "[secret]"


@pytest.mark.parametrize(
    "url",
    [
        "http://secret.example",
        "secret.example:6379",
        "valkey://",
        "valkey://secret.example:port",
        "valkey://secret.example/database",
        "valkey://secret.example?ssl_ca_certs=ca.pem",
        "valkeys://secret.example?ssl_check_hostname=false",
        "",
    ],
)
def test_what_is_no_url_of_valkey_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(InvalidInput, match="BACKOFFICE_VALKEY_URL") as raised:
        Store(url)
    assert "secret.example" not in str(raised.value)


@pytest.mark.parametrize("scheme", ["valkey", "redis"])
@pytest.mark.parametrize("user", ["someone", ""])
async def test_a_user_and_a_password_are_sent(
    valkey: ValkeyServer, scheme: str, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = user or "default"
    valkey.ask("ACL", "SETUSER", name, "reset", "on", ">p%40ss:w/rd", "~{backoffice}:*", "+@all", "-@dangerous")
    try:
        async with Store(f"{scheme}://{user}:p%2540ss%3Aw%2Frd@127.0.0.1:{valkey.port}/0").running() as store:
            assert await store.run(COUNT, ["n"]) == 1
        async with Store(f"{scheme}://{user}:a-wrong-password@127.0.0.1:{valkey.port}").running() as store:
            assert not await answers(store)
    finally:
        valkey.restart()
    assert "WRONGPASS" in caplog.text or "invalid username-password" in caplog.text
    assert "a-wrong-password" not in caplog.text


async def test_databases_of_one_server_do_not_know_each_other(valkey: ValkeyServer) -> None:
    async with (
        Store(valkey.url + "/0", budget=PATIENT).running() as first,
        Store(valkey.url + "/1", budget=PATIENT).running() as second,
    ):
        assert await first.run(COUNT, ["n"]) == 1
        assert await second.run(COUNT, ["n"]) == 1
        assert await first.run(COUNT, ["n"]) == 2


@asynccontextmanager
async def relayed(
    valkey: ValkeyServer, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, delay: float = 0
) -> AsyncGenerator[int]:
    """A port behind which the server is: over TLS, or so that a connection takes `delay` seconds."""

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            sink.write(data)
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(delay)
        to, out = await asyncio.open_connection("127.0.0.1", valkey.port)
        await asyncio.gather(copy(reader, out), copy(to, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_over_tls_the_certificate_and_its_name_are_checked(
    valkey: ValkeyServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")
    certificate, key = make_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with relayed(valkey, tls=tls) as port, relayed(valkey, tls=tls, host="127.0.0.2") as misnamed:
        for url in (f"valkeys://localhost:{port}", f"rediss://127.0.0.1:{port}/0"):
            async with Store(f"{url}?ssl_ca_certs={certificate}").running() as store:
                await eventually(lambda store=store: answers(store))
        assert caplog.text == ""
        for url in (f"valkeys://localhost:{port}", f"valkeys://127.0.0.2:{misnamed}?ssl_ca_certs={certificate}"):
            async with Store(url).running() as store:
                assert not await answers(store)
    assert "self-signed certificate" in caplog.text
    assert "IP address mismatch" in caplog.text


async def test_what_is_slow_to_connect_costs_no_call_anything(valkey: ValkeyServer) -> None:
    async with relayed(valkey, delay=2 * BUDGET) as port, Store(f"valkey://127.0.0.1:{port}").running() as store:
        await eventually(lambda: answers(store))
        assert await asyncio.gather(*(answers(store) for _ in range(20))) == [True] * 20
