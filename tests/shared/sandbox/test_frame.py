"""Faults on demand, each as an adapter sees it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import get_args

import httpx
import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.shared.clocks import settle

from backoffice_shared.sandbox.frame import Fault, Faults, InProcess, Logged, VendorSandbox

pytestmark = pytest.mark.anyio

URL = "http://acme.sandbox"


@dataclass
class Things:
    """A vendor of one kind of thing."""

    names: list[str] = field(default_factory=list[str])

    async def things(self, request: Request) -> Response:
        if request.method == "POST":
            self.names.append((await request.json())["name"])
        return JSONResponse({"results": self.names})

    def sandbox(self, faults: Faults | None = None) -> VendorSandbox:
        return VendorSandbox(
            name="acme",
            title="Acme",
            app=Starlette(routes=[Route("/things", self.things, methods=["GET", "POST"])]),
            credentials={"access_token": "sandbox"},
            throttled=lambda seconds: Response("slow down", 429, headers={"Retry-After": str(seconds)}),
            unavailable=lambda: Response("down for maintenance", 503),
            faults=faults or Faults(),
        )


@pytest.fixture
def things() -> Things:
    return Things()


async def send(sandbox: VendorSandbox, method: str = "POST", path: str = "/things", body: object = None) -> str:
    """What came back: a status and the text, or the name of the transport's error."""
    request = httpx.Request(method, URL + path, json={"name": "Anvil"} if body is None else body)
    try:
        response = await InProcess(sandbox).handle_async_request(request)
    except httpx.TransportError as error:
        return type(error).__name__
    await response.aread()
    return f"{response.status_code} {response.text}"


async def planned(things: Things, fault: Fault) -> tuple[str, list[str]]:
    """What a caller sees of one fault, and what the vendor has done."""
    return await send(things.sandbox(Faults(plan=[fault], retry_after=7, seconds=0))), things.names


DONE = '{"results":["Anvil"]}'


@pytest.mark.parametrize(
    ("fault", "seen", "done"),
    [
        ("ok", f"200 {DONE}", ["Anvil"]),
        ("throttle", "429 slow down", []),
        ("error", "503 down for maintenance", []),
        ("slow", f"200 {DONE}", ["Anvil"]),
        ("reset", "ReadError", []),
        ("drop_after_commit", "ReadError", ["Anvil"]),
        ("malformed", '200 {"results": [{"id": "1", ', []),
    ],
)
async def test_each_fault_is_seen_as_on_the_wire(things: Things, fault: Fault, seen: str, done: list[str]) -> None:
    assert await planned(things, fault) == (seen, done)


async def test_wrong_types_are_valid_json_of_another_shape(things: Things) -> None:
    seen, done = await planned(things, "wrong_types")
    assert (seen.startswith('200 {"results":"none"'), done) == (True, [])


async def test_a_plan_says_what_happens_to_the_next_requests_in_turn(things: Things) -> None:
    sandbox = things.sandbox(Faults(plan=["error", "ok", "reset"]))
    assert [(await send(sandbox, "GET"))[:9] for _ in range(4)] == ["503 down ", '200 {"res', "ReadError", '200 {"res']


async def test_throttling_says_how_long_to_wait(things: Things) -> None:
    sandbox = things.sandbox(Faults(throttle=1.0, retry_after=7))
    response = await InProcess(sandbox).handle_async_request(httpx.Request("GET", URL + "/things"))
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")


@pytest.mark.parametrize("fault", [fault for fault in get_args(Fault) if fault != "ok"])
def test_a_share_of_one_is_every_request(fault: Fault) -> None:
    chance = Random(1)
    faults = Faults.model_validate({fault: 1.0})
    assert {faults.next(chance) for _ in range(100)} == {fault}


def test_shares_are_kept_over_many_requests() -> None:
    chance = Random(1)
    faults = Faults(error=0.2, reset=0.3)
    drawn = [faults.next(chance) for _ in range(10_000)]
    assert drawn.count("error") == pytest.approx(2_000, rel=0.1)
    assert drawn.count("reset") == pytest.approx(3_000, rel=0.1)
    assert drawn.count("ok") == pytest.approx(5_000, rel=0.1)


def test_shares_that_are_more_than_all_are_refused() -> None:
    with pytest.raises(ValidationError):
        Faults(error=0.8, throttle=0.8)


@pytest.mark.parametrize(
    "shares",
    [
        (0.25, 0.25, 0.25, 0.25),
        (0.2, 0.4, 0.3, 0.1),  # added up in floats it is more than 1
    ],
)
def test_shares_that_are_all_together_are_taken(shares: tuple[float, float, float, float]) -> None:
    chance = Random(1)
    names = ("throttle", "error", "slow", "reset")
    faults = Faults.model_validate(dict(zip(names, shares, strict=True)))
    assert {faults.next(chance) for _ in range(1_000)} == set(names)


async def test_a_slow_answer_is_held_back_until_the_caller_leaves(things: Things) -> None:
    sandbox = things.sandbox(Faults(slow=1.0, seconds=3_600))
    task = asyncio.create_task(send(sandbox))
    await settle()
    held = sandbox.waiting
    task.cancel()
    await settle()
    assert (held, sandbox.waiting, things.names) == (1, 0, [])


async def test_every_request_is_logged_with_what_became_of_it(things: Things) -> None:
    sandbox = things.sandbox(Faults(plan=["ok", "error", "reset", "drop_after_commit"]))
    for method in ("GET", "GET", "GET", "POST"):
        await send(sandbox, method)
    await send(sandbox, "GET", "/nowhere")
    assert list(sandbox.requests) == [
        Logged("GET", "/things", 200),
        Logged("GET", "/things", 503),
        Logged("GET", "/things", 0),
        Logged("POST", "/things", 0),
        Logged("GET", "/nowhere", 404),
    ]


async def test_faults_are_set_over_http(things: Things) -> None:
    sandbox = things.sandbox()
    await send(sandbox, "PUT", "/_sandbox/faults", {"plan": ["error"]})
    assert [await send(sandbox, "GET") for _ in range(2)] == ["503 down for maintenance", '200 {"results":[]}']


async def test_setting_faults_ends_those_from_before(things: Things) -> None:
    sandbox = things.sandbox(Faults(error=1.0))
    await send(sandbox, "PUT", "/_sandbox/faults", {})
    assert (await send(sandbox, "GET"))[:3] == "200"


@pytest.mark.parametrize("faults", [{"eror": 1.0}, {"error": 2.0}, {"plan": ["explode"]}, []])
async def test_a_fault_that_does_not_exist_is_refused_and_changes_nothing(things: Things, faults: object) -> None:
    sandbox = things.sandbox()
    assert (await send(sandbox, "PUT", "/_sandbox/faults", faults))[:3] == "422"
    assert (await send(sandbox, "GET"))[:3] == "200"


async def test_the_state_of_the_sandbox_is_told_and_asking_is_not_logged(things: Things) -> None:
    sandbox = things.sandbox()
    await send(sandbox, "GET")
    response = await InProcess(sandbox).handle_async_request(httpx.Request("GET", URL + "/_sandbox/faults"))
    told = await response.aread() and response.json()
    assert told == {
        "vendor": "acme",
        "faults": Faults().model_dump(),
        "waiting": 0,
        "requests": ["GET /things 200"],
    }
