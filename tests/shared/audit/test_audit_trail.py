"""A trail over a sink that does as the test says: every record is kept once and in order, and no call waits for it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import REGISTRY
from tests.shared.audit.still import StillClock
from tests.shared.audit.stores import KEY, NOW, fields
from tests.shared.clocks import settle

from backoffice_shared.audit.chain import Entry, derived, genesis, linked
from backoffice_shared.audit.checkpoints import Checkpoint, FileCheckpoints, Signer
from backoffice_shared.audit.trail import GROUP, MARGIN, MOST_WAITING, Trail
from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.redaction import SECRETS

pytestmark = pytest.mark.anyio

WRITER = "billing-host-1"


class ScriptedSink:
    """Takes `steps`, one for each write: an error to raise before or `after` it kept the group, or "hang". Then it works."""

    def __init__(self, *steps: Exception | str, after: Sequence[int] = ()) -> None:
        self.kept: list[Entry] = []
        self.groups: list[tuple[int, bool]] = []
        self.synced = 0
        self.closed = False
        self.steps: list[Exception | str] = list(steps)
        self._after = set(after)
        self._hangs = asyncio.Event()
        self._writes = 0

    async def write(self, entries: Sequence[Entry], *, durable: bool) -> None:
        if not entries:
            self.synced += 1
            return
        self._writes += 1
        step = self.steps.pop(0) if self.steps else None
        if step == "hang":
            await self._hangs.wait()
        if not isinstance(step, Exception) or self._writes in self._after:
            self._keep(entries, durable=durable)
        if isinstance(step, Exception):
            raise step

    def _keep(self, entries: Sequence[Entry], *, durable: bool) -> None:
        known = {entry.seq for entry in self.kept}
        self.kept += [entry for entry in entries if entry.seq not in known]
        self.groups.append((len(entries), durable))

    def recover(self) -> None:
        self._hangs.set()

    async def aclose(self) -> None:
        self.closed = True

    def tools(self) -> list[str]:
        return [json.loads(entry.text).get("tool", "") for entry in self.kept]


class Notes:
    """Checkpoints in memory. `down`: they cannot be kept."""

    def __init__(self) -> None:
        self.noted: list[Checkpoint] = []
        self.down = False

    async def add(self, checkpoint: Checkpoint) -> None:
        if self.down:
            raise BackendUnavailable("", "the checkpoints cannot be kept")
        self.noted.append(checkpoint)

    def told(self) -> list[tuple[str, int]]:
        return [(noted.kind, noted.seq) for noted in self.noted]

    def writers(self) -> Any:
        raise NotImplementedError

    def of(self, writer: str) -> Any:
        raise NotImplementedError

    async def discard(self, writer: str, *, before: int | None) -> None:
        raise NotImplementedError


@pytest.fixture
def still() -> StillClock:
    return StillClock()


@pytest.fixture
def notes() -> Notes:
    return Notes()


def trail_to(
    sink: ScriptedSink, notes: Notes | FileCheckpoints | None, clock: StillClock, *, linger: float = 0.0
) -> Trail:
    return Trail(sink, notes, KEY, WRITER, clock, linger=linger, now=lambda: NOW)


def is_chained(entries: Sequence[Entry]) -> bool:
    key = derived(KEY, "chain")
    mac = genesis(key, WRITER)
    for number, entry in enumerate(entries, 1):
        if entry.seq != number or entry.mac != (mac := linked(key, mac, entry.text)):
            return False
    return True


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


def failure() -> BackendUnavailable:
    return BackendUnavailable("", "no space left on device")


# Records


async def test_a_record_is_kept_with_its_place_in_the_chain(still: StillClock, notes: Notes) -> None:
    sink = ScriptedSink()
    trail_to(sink, notes, still).record({"tool": "get_invoice", "seq": 99, "writer": "x", "args": {"b": 1, "a": "é"}})
    await settle()
    assert [entry.text for entry in sink.kept] == [
        '{"v":1,"writer":"billing-host-1","seq":1,"ts":"2026-11-24T09:30:00.000Z",'
        '"tool":"get_invoice","args":{"b":1,"a":"\\u00e9"}}'
    ]
    assert is_chained(sink.kept)


async def test_records_are_written_in_groups_and_in_order(still: StillClock, notes: Notes) -> None:
    sink = ScriptedSink()
    trail = trail_to(sink, notes, still)
    for number in range(450):
        trail.record(fields(tool=f"{number}"))
    await settle()
    assert sink.tools() == [f"{number}" for number in range(450)]
    assert sink.groups == [(GROUP, False), (GROUP, False), (50, False)]
    assert is_chained(sink.kept)


@pytest.mark.parametrize("after", [(), (1, 2, 3)], ids=["before it wrote", "after it wrote"])
async def test_a_sink_that_fails_gets_every_record_once_and_in_order_when_it_recovers(
    still: StillClock, notes: Notes, after: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    sink = ScriptedSink(failure(), failure(), failure(), after=after)
    trail = trail_to(sink, notes, still)
    failed = metric("mcp_audit_write_failures_total")
    for number in range(3):
        trail.record(fields(tool=f"{number}"))
    await settle()
    trail.record(fields(tool="3"))
    assert metric("mcp_audit_waiting_records") == 4
    for pause in (0.1, 0.2, 0.4):
        assert still.asleep[0] == pause
        await still.advance(pause)
    assert sink.tools() == ["0", "1", "2", "3"]
    assert is_chained(sink.kept)
    assert metric("mcp_audit_write_failures_total") - failed == 3
    assert metric("mcp_audit_waiting_records") == 0
    told = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert told == ["the audit cannot be kept, and waits: no space left on device."]


async def test_a_crash_in_the_sink_is_waited_out_like_a_failure(still: StillClock, notes: Notes) -> None:
    sink = ScriptedSink(RuntimeError("a bug"))
    trail_to(sink, notes, still).record(fields())
    await settle()
    await still.advance(1)
    assert sink.tools() == ["get_invoice"]


async def test_a_sink_that_hangs_holds_up_no_call_and_gets_everything_when_it_recovers(
    still: StillClock, notes: Notes
) -> None:
    sink = ScriptedSink("hang")
    trail = trail_to(sink, notes, still)
    for number in range(1000):
        trail.record(fields(tool=f"{number}"))
        await asyncio.sleep(0)
    assert sink.kept == []
    sink.recover()
    await settle()
    assert sink.tools() == [f"{number}" for number in range(1000)]
    assert is_chained(sink.kept)


async def test_a_trail_is_full_when_ten_thousand_records_wait_and_keeps_those_of_calls_under_way(
    still: StillClock, notes: Notes
) -> None:
    sink = ScriptedSink("hang")
    trail = trail_to(sink, notes, still)
    for _ in range(MOST_WAITING - 1):
        trail.record(fields())
    assert not trail.full
    trail.record(fields())
    assert trail.full
    with pytest.raises(BackendUnavailable):
        await trail.intent(fields())
    for _ in range(MARGIN + 7):
        trail.record(fields())
    sink.recover()
    await settle()
    await settle()
    assert not trail.full
    trail.record(fields(tool="after"))
    await settle()
    assert len(sink.kept) == MOST_WAITING + MARGIN + 2
    lost, after = [json.loads(entry.text) for entry in sink.kept[-2:]]
    assert (lost["event"], lost["count"], after["tool"]) == ("audit.lost", 7, "after")
    assert is_chained(sink.kept)


async def test_what_json_does_not_have_costs_no_record(still: StillClock, notes: Notes) -> None:
    sink = ScriptedSink()
    trail = trail_to(sink, notes, still)
    for args in ({"n": float("nan")}, {1: 2, "a": 3}, {"o": object}, {"s": "\ud800\0"}, {"t": ("a",)}):
        trail.record(fields(args=args))
    await settle()
    assert len([json.loads(entry.line) for entry in sink.kept]) == 5
    assert is_chained(sink.kept)


async def test_a_secret_in_use_is_never_recorded(still: StillClock, notes: Notes) -> None:
    SECRETS.learn("hunter2-hunter2")
    SECRETS.learn("7788990011")
    SECRETS.learn("u00e9abcdef")  # the end of an escape: masking it leaves no JSON
    sink = ScriptedSink()
    trail = trail_to(sink, notes, still)
    trail.record(fields(args={"q": "with hunter2-hunter2 in it"}))
    trail.record(fields(args={"q": 7788990011, "p": "éabcdef", "hunter2-hunter2": [None, True, 1.5]}))
    await settle()
    first, second = [json.loads(entry.text)["args"] for entry in sink.kept]
    assert first == {"q": "with [secret] in it"}
    assert second == {"q": "[secret]", "p": "éabcdef", "[secret]": [None, True, 1.5]}
    assert is_chained(sink.kept)


def test_a_pseudonym_is_the_same_for_the_same_text_and_key_only() -> None:
    trails = [Trail(ScriptedSink(), None, key, WRITER) for key in (b"one", b"one", b"other")]
    one, same, other = [trail.digest("ada@mail.example") for trail in trails]
    assert one == same != other
    assert one != trails[0].digest("bob@mail.example")
    assert one.startswith("hmac:")
    assert "ada" not in one


# Intents


async def test_an_intent_is_durable_when_it_returns_with_all_before_it(still: StillClock, notes: Notes) -> None:
    sink = ScriptedSink()
    trail = trail_to(sink, notes, still)
    trail.record(fields(tool="before"))
    await trail.intent(fields(tool="refund_payment"))
    assert sink.tools() == ["before", "refund_payment"]
    assert sink.groups[-1][1] is True


async def test_an_intent_waits_out_a_short_failure(still: StillClock, notes: Notes) -> None:
    sink = ScriptedSink(failure())
    trail = trail_to(sink, notes, still)
    intent = asyncio.ensure_future(trail.intent(fields(tool="refund_payment")))
    await settle()
    assert not intent.done()
    await still.advance(0.1)
    await intent
    assert sink.tools() == ["refund_payment"]


async def test_an_intent_that_cannot_be_kept_in_two_seconds_fails(still: StillClock, notes: Notes) -> None:
    sink = ScriptedSink(*[failure() for _ in range(9)])
    trail = trail_to(sink, notes, still)
    intent = asyncio.ensure_future(trail.intent(fields(tool="refund_payment")))
    await settle()
    await still.advance(1.9)
    assert not intent.done()
    await still.advance(0.1)
    with pytest.raises(BackendUnavailable, match="the audit record cannot be kept"):
        await intent


async def test_an_intent_that_failed_while_others_were_being_written_is_as_if_it_had_never_been(
    still: StillClock, notes: Notes
) -> None:
    sink = ScriptedSink("hang")
    trail = trail_to(sink, notes, still)
    trail.record(fields(tool="before"))
    await settle()
    intent = asyncio.ensure_future(trail.intent(fields(tool="refund_payment")))
    await settle()
    trail.record(fields(tool="after"))
    await still.advance(2)
    with pytest.raises(BackendUnavailable):
        await intent
    sink.recover()
    await settle()
    assert sink.tools() == ["before", "after"]
    assert is_chained(sink.kept)


async def test_an_intent_that_was_on_its_way_when_it_failed_is_followed_by_what_became_of_it(
    still: StillClock, notes: Notes
) -> None:
    sink = ScriptedSink("hang")
    trail = trail_to(sink, notes, still)
    intent = asyncio.ensure_future(trail.intent(fields(event="tool.intent")))
    await settle()
    await still.advance(2)
    with pytest.raises(BackendUnavailable):
        await intent
    trail.record(fields(event="tool.call", decision="deny"))
    sink.recover()
    await settle()
    assert [json.loads(entry.text)["event"] for entry in sink.kept] == ["tool.intent", "tool.call"]
    assert is_chained(sink.kept)


async def test_an_intent_whose_caller_goes_away_is_taken_back(still: StillClock, notes: Notes) -> None:
    sink = ScriptedSink("hang")
    trail = trail_to(sink, notes, still)
    trail.record(fields(tool="before"))
    await settle()
    intent = asyncio.ensure_future(trail.intent(fields(tool="refund_payment")))
    await settle()
    intent.cancel()
    with pytest.raises(asyncio.CancelledError):
        await intent
    sink.recover()
    await settle()
    assert sink.tools() == ["before"]


# Groups


async def test_records_wait_a_moment_for_company_and_an_intent_for_nobody(still: StillClock, notes: Notes) -> None:
    sink = ScriptedSink()
    trail = trail_to(sink, notes, still, linger=0.02)
    trail.record(fields())
    await settle()
    await still.advance(0.01)
    trail.record(fields())
    assert sink.groups == []
    await still.advance(0.01)
    assert sink.groups == [(2, False)]
    trail.record(fields())
    await trail.intent(fields(tool="refund_payment"))
    assert sink.groups == [(2, False), (2, True)]
    trail.record(fields())
    await settle()
    assert len(sink.groups) == 2
    await trail.aclose()
    assert sink.groups[2:] == [(1, False)]


# Checkpoints


async def test_a_chain_is_noted_at_its_beginning_a_minute_after_something_new_and_at_its_end(
    still: StillClock, notes: Notes
) -> None:
    sink = ScriptedSink()
    trail = trail_to(sink, notes, still)
    trail.record(fields())
    await settle()
    assert [noted.kind for noted in notes.noted] == ["begin"]
    trail.record(fields())
    await settle()
    await still.advance(59)
    assert len(notes.noted) == 1
    await still.advance(1)
    assert notes.told()[1:] == [("head", 2)]
    await still.advance(600)
    assert len(notes.noted) == 2  # nothing new
    trail.record(fields())
    await settle()
    await still.advance(60)
    await trail.aclose()
    assert notes.told()[1:] == [("head", 2), ("head", 3), ("end", 3)]
    assert all(Signer(KEY).made(noted) for noted in notes.noted)
    assert sink.synced == len(notes.noted)  # none is ahead of what is durable


async def test_what_a_slow_sink_keeps_late_is_noted_a_minute_after_that(still: StillClock, notes: Notes) -> None:
    sink = ScriptedSink()
    trail = trail_to(sink, notes, still)
    trail.record(fields())
    await settle()
    sink.steps = ["hang"]
    trail.record(fields())
    await still.advance(300)
    assert notes.told()[1:] == []
    sink.recover()
    await settle()
    await still.advance(60)
    assert notes.told()[1:] == [("head", 2)]


async def test_a_checkpoint_that_cannot_be_kept_costs_nothing_and_is_made_up_for(
    still: StillClock, notes: Notes
) -> None:
    sink = ScriptedSink()
    notes.down = True
    trail = trail_to(sink, notes, still)
    trail.record(fields())
    await still.advance(60)
    assert (sink.tools(), notes.noted) == (["get_invoice"], [])
    notes.down = False
    await still.advance(60)
    assert notes.told() == [("head", 1)]


# The end


async def test_closing_writes_what_waits(still: StillClock, notes: Notes) -> None:
    sink = ScriptedSink()
    trail = trail_to(sink, notes, still)
    for _ in range(3):
        trail.record(fields())
    await trail.aclose()
    await trail.aclose()
    assert (len(sink.kept), sink.closed, notes.told()[-1]) == (3, True, ("end", 3))


async def test_closing_takes_no_more_than_three_seconds_and_notes_what_was_kept(
    still: StillClock, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    sink = ScriptedSink()
    trail = trail_to(sink, notes, still)
    trail.record(fields())
    await settle()
    sink.steps = ["hang"]
    trail.record(fields())
    closing = asyncio.ensure_future(trail.aclose())
    await settle()
    await still.advance(2.9)
    assert not closing.done()
    await still.advance(0.2)
    assert closing.done()
    assert "1 audit records could not be kept in time" in caplog.text
    assert notes.told()[-1] == ("end", 1)


async def test_after_the_end_nothing_can_be_intended(still: StillClock, notes: Notes) -> None:
    trail = trail_to(ScriptedSink(), notes, still)
    await trail.aclose()
    trail.record(fields())
    with pytest.raises(BackendUnavailable):
        await trail.intent(fields())
