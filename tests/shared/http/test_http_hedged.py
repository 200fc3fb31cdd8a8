"""A read that is late is sent a second time, and the first answer counts. The time is simulated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest
from prometheus_client import REGISTRY
from tests.shared.acme import ACME, read, write
from tests.simulation import LoopClock, simulate

from backoffice_shared.backend import Backend
from backoffice_shared.deadline import within
from backoffice_shared.errors import RateLimited
from backoffice_shared.http.call import call_of
from backoffice_shared.http.hedged import Hedged
from backoffice_shared.http.latency import Latencies

CLOCK = LoopClock()
USUAL = 0.1
WARM = 40  # reads: twenty to know what is usual, twenty more to have saved up for one hedge

Answer = tuple[float, httpx.Response | Exception]  # after so many seconds


class Vendor(httpx.AsyncBaseTransport):
    """Takes a tenth of a second, but for what is `next`. Like the layer that measures, it notes how long it took."""

    def __init__(self, latencies: Latencies) -> None:
        self.next: list[Answer] = []
        self.came: list[httpx.Request] = []
        self.cancelled = 0
        self._latencies = latencies

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.came.append(request)
        seconds, answer = self.next.pop(0) if self.next else (USUAL, httpx.Response(200))
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(answer, Exception):
            raise answer
        self._latencies.note(call_of(request).operation, seconds)
        return answer


class Desk:
    def __init__(self, backend: Backend = ACME, *, steady: Callable[[], bool] = lambda: True) -> None:
        self.latencies = Latencies(CLOCK)
        self.vendor = Vendor(self.latencies)
        self.layer = Hedged(self.vendor, backend, self.latencies, steady=lambda _call: steady(), clock=CLOCK)

    async def warm(self, reads: int = WARM) -> Desk:
        for _ in range(reads):
            await self.layer.handle_async_request(read())
        self.vendor.came.clear()
        return self

    async def asked(self, *answers: Answer, request: httpx.Request | None = None) -> tuple[str, float]:
        """What came of one request that is answered so, its second attempt included, and after how many seconds."""
        self.vendor.next = list(answers)
        began = CLOCK.now()
        try:
            response = await self.layer.handle_async_request(request or read())
        except (httpx.TransportError, RateLimited) as error:
            said = type(error).__name__
        else:
            said = response.text or str(response.status_code)
        after = round(CLOCK.now() - began, 3)
        await asyncio.sleep(0)  # whoever was cancelled learns of it
        return said, after


def text(said: str) -> httpx.Response:
    return httpx.Response(200, text=said)


SLOW: Answer = (9.0, text("first"))


def test_a_late_read_is_sent_again_and_the_first_answer_counts() -> None:
    async def main() -> None:
        desk = await Desk().warm()
        assert await desk.asked(SLOW, (0.2, text("second"))) == ("second", 0.3)
        assert (len(desk.vendor.came), desk.vendor.cancelled) == (2, 1)

    simulate(main())


def test_the_first_attempt_may_still_be_the_first_to_answer() -> None:
    async def main() -> None:
        desk = await Desk().warm()
        assert await desk.asked((0.15, text("first")), SLOW) == ("first", 0.15)
        assert (len(desk.vendor.came), desk.vendor.cancelled) == (2, 1)

    simulate(main())


def test_a_read_in_time_is_sent_once() -> None:
    async def main() -> None:
        desk = await Desk().warm()
        assert await desk.asked((0.09, text("first"))) == ("first", 0.09)
        assert len(desk.vendor.came) == 1

    simulate(main())


def test_nothing_is_late_before_fifty_milliseconds() -> None:
    async def main() -> None:
        desk = Desk()
        desk.vendor.next = [(0.001, text(""))] * WARM
        await desk.warm()
        assert await desk.asked(SLOW, (0.001, text("second"))) == ("second", 0.051)

    simulate(main())


@pytest.mark.parametrize("warm", [19, WARM - 2])
def test_with_little_known_or_little_saved_up_there_is_no_hedge(warm: int) -> None:
    async def main() -> None:
        desk = await Desk().warm(warm)
        assert await desk.asked(SLOW) == ("first", 9.0)
        assert len(desk.vendor.came) == 1

    simulate(main())


@pytest.mark.parametrize("request_", [write(), write(key="k-1"), read(operation="things.search")])
def test_writes_and_operations_hardly_known_are_sent_once(request_: httpx.Request) -> None:
    async def main() -> None:
        desk = await Desk().warm()
        assert await desk.asked(SLOW, request=request_) == ("first", 9.0)
        assert len(desk.vendor.came) == 1

    simulate(main())


def test_there_is_no_hedge_while_the_circuit_is_not_closed_or_this_server_is_busy() -> None:
    async def main() -> None:
        desk = await Desk(steady=lambda: False).warm()
        assert await desk.asked(SLOW) == ("first", 9.0)

    simulate(main())


def test_there_is_no_hedge_without_time_for_it() -> None:
    async def main() -> None:
        desk = await Desk().warm()
        with within(0.19, CLOCK):
            assert await desk.asked(SLOW) == ("first", 9.0)

    simulate(main())


def test_a_hedge_is_marked_as_one_and_has_the_time_that_the_first_attempt_has_left() -> None:
    async def main() -> None:
        desk, request = await Desk().warm(), read()
        request.extensions["timeout"] = {"read": 2.0}
        await desk.asked(SLOW, (0.2, text("second")), request=request)
        sent = [(call_of(sent).hedge, sent.extensions["timeout"]) for sent in desk.vendor.came]
        assert sent == [(False, {"read": 2.0}), (True, {"read": 1.9})]

    simulate(main())


@pytest.mark.parametrize(
    "failure", [RateLimited("Acme", "no turn"), httpx.ConnectError("refused"), httpx.Response(503)]
)
def test_a_hedge_that_fails_leaves_it_to_the_first_attempt(failure: httpx.Response | Exception) -> None:
    async def main() -> None:
        desk = await Desk().warm()
        assert await desk.asked(SLOW, (0.2, failure)) == ("first", 9.0)

    simulate(main())


@pytest.mark.parametrize("failure", [httpx.ReadError("broke"), httpx.Response(503)])
def test_a_first_attempt_that_fails_leaves_it_to_the_hedge(failure: httpx.Response | Exception) -> None:
    async def main() -> None:
        desk = await Desk().warm()
        assert await desk.asked((0.2, failure), (0.5, text("second"))) == ("second", 0.6)

    simulate(main())


def test_when_both_fail_the_first_attempts_failure_is_told() -> None:
    async def main() -> None:
        desk = await Desk().warm()
        assert await desk.asked((0.5, httpx.ReadError("")), (0.1, httpx.Response(503))) == ("ReadError", 0.5)

    simulate(main())


def test_a_refusal_that_the_vendor_means_is_an_answer() -> None:
    async def main() -> None:
        desk = await Desk().warm()
        assert await desk.asked(SLOW, (0.2, httpx.Response(404))) == ("404", 0.3)

    simulate(main())


def test_who_hangs_up_ends_both_attempts() -> None:
    async def main() -> None:
        desk = await Desk().warm()
        task = asyncio.create_task(desk.asked(SLOW, SLOW))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (len(desk.vendor.came), desk.vendor.cancelled) == (2, 2)

    simulate(main())


def test_one_read_in_twenty_may_be_hedged() -> None:
    async def main() -> None:
        desk = await Desk().warm()
        for number in range(400):
            await desk.asked(*([SLOW] if number % 10 == 0 else []))
        assert 10 < len(desk.vendor.came) - 400 <= 1 + 400 // 20

    simulate(main())


def test_five_hedges_can_be_saved_up_and_no_more() -> None:
    async def main() -> None:
        desk = await Desk().warm(1000)
        desk.vendor.next = [SLOW] * 100
        await asyncio.gather(*[desk.layer.handle_async_request(read()) for _ in range(100)])
        assert len(desk.vendor.came) - 100 == 5

    simulate(main())


def test_what_hedges_rescue_stays_in_what_is_usual() -> None:
    """Or late would come sooner and sooner, until everything is."""

    async def main() -> None:
        desk = await Desk().warm(1000)
        for number in range(100):
            await desk.asked(*([SLOW] if number % 10 == 0 else []))
        usual = desk.latencies.within("things.get", 0.95)
        assert usual is not None
        assert usual > 0.15

    simulate(main())


def test_hedges_are_counted() -> None:
    async def main() -> None:
        desk = await Desk(replace(ACME, name="hedged")).warm()
        await desk.asked(SLOW, (0.2, text("second")))

    simulate(main())
    assert REGISTRY.get_sample_value("mcp_upstream_hedges_total", {"upstream": "hedged"}) == 1
