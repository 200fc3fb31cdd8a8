"""A vendor that knows no keys: what may have been done is looked for, and never sent again blindly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from tests.shared.acme import ACME, Secrets, Step, requests, scripted
from tests.shared.clocks import ManualClock

from backoffice_shared.attempt import attempting
from backoffice_shared.errors import BackendUnavailable, InvalidInput, OutcomeUnknown
from backoffice_shared.http.client import BackendClient, Written, connect
from backoffice_shared.http.once import SETTLED, SKEW, once

pytestmark = pytest.mark.anyio


class Noting:
    """A vendor's notes: `there` is what looking finds, `looked` since when it was asked for."""

    def __init__(
        self,
        clock: ManualClock,
        *steps: Step,
        there: list[str | Exception | None] | None = None,
        remembers: float = 0.0,
    ) -> None:
        self.remembers = remembers
        self.route, wire = scripted(*steps)
        self.http: BackendClient = connect(
            ACME, wire, Secrets({"access_token": "s3cret"}), base_url=ACME.base_url, clock=clock
        )
        self.there = there or []
        self.looked: list[datetime] = []

    async def add(self) -> Written[str]:
        async def write() -> Written[str]:
            return await self.http.write("notes.add", "/notes", into=lambda wire: wire["id"], twice="looked up")

        async def look(since: datetime) -> str | None:
            self.looked.append(since)
            found = self.there.pop(0) if self.there else None
            if isinstance(found, Exception):
                raise found
            return found

        return await once("Acme", write, look, remembers=self.remembers)

    @property
    def sent(self) -> int:
        return len(requests(self.route))


LOST = httpx.ReadError("lost")
MADE = httpx.Response(200, json={"id": "n1"})


async def test_the_first_time_nothing_is_looked_for(clock: ManualClock):
    noting = Noting(clock, MADE)
    assert await noting.add() == Written("n1", replayed=False)
    assert (noting.sent, noting.looked) == (1, [])


async def test_an_answer_that_was_lost_is_looked_for_and_found(clock: ManualClock):
    noting = Noting(clock, LOST, there=["n1"])
    assert await noting.add() == Written("n1", replayed=False)
    assert (noting.sent, len(noting.looked)) == (1, 1)


async def test_what_cannot_be_found_is_unknown_and_not_sent_again(clock: ManualClock):
    noting = Noting(clock, LOST, there=[None])
    with pytest.raises(OutcomeUnknown):
        await noting.add()
    assert noting.sent == 1


async def test_when_nobody_can_look_it_stays_unknown(clock: ManualClock):
    noting = Noting(clock, LOST, there=[BackendUnavailable("Acme", "is down")])
    with pytest.raises(OutcomeUnknown, match="may or may not"):
        await noting.add()


async def test_a_repetition_finds_what_the_first_attempt_made(clock: ManualClock):
    noting = Noting(clock, there=["n1"])
    since = datetime.now(UTC) - timedelta(hours=1)
    with attempting(since):
        assert await noting.add() == Written("n1", replayed=True)
    assert (noting.sent, noting.looked) == (0, [since - SKEW])


async def test_a_repetition_that_finds_nothing_sends_once_the_first_must_have_arrived(clock: ManualClock):
    noting = Noting(clock, MADE, there=[None])
    with attempting(datetime.now(UTC) - SETTLED - timedelta(seconds=1)):
        assert await noting.add() == Written("n1", replayed=False)
    assert noting.sent == 1


async def test_a_repetition_that_comes_too_soon_sends_nothing_and_says_when(clock: ManualClock):
    noting = Noting(clock, there=[None])
    with attempting(datetime.now(UTC) - timedelta(seconds=1)), pytest.raises(OutcomeUnknown) as raised:
        await noting.add()
    assert raised.value.retry_after is not None
    assert 50 < raised.value.retry_after <= 59
    assert noting.sent == 0


async def test_a_refusal_is_a_refusal(clock: ManualClock):
    noting = Noting(clock, httpx.Response(400, text="too long"))
    with pytest.raises(InvalidInput, match="too long"):
        await noting.add()
    assert noting.looked == []


async def test_what_changes_nothing_the_second_time_is_repeated_by_itself(clock: ManualClock):
    route, wire = scripted(LOST, MADE)
    http = connect(ACME, wire, Secrets({"access_token": "s3cret"}), base_url=ACME.base_url, clock=clock)
    with attempting(datetime.now(UTC) - timedelta(days=3)):
        written = await http.write(
            "things.set", "/things/1", into=lambda wire: wire["id"], method="PUT", twice="harmless"
        )
    assert (written.value, len(requests(route))) == ("n1", 2)


@pytest.mark.parametrize(("ago", "looks"), [(30, 0), (240, 0), (299, 0), (301, 1), (3600, 1)])
async def test_a_vendor_that_remembers_keys_is_sent_it_again_as_long_as_it_does(
    clock: ManualClock, ago: int, looks: int
):
    noting = Noting(clock, MADE, remembers=360.0)
    with attempting(datetime.now(UTC) - timedelta(seconds=ago)):
        assert await noting.add() == Written("n1", replayed=False)
    assert (noting.sent, len(noting.looked)) == (1, looks)
