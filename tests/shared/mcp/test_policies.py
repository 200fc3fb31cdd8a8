"""What a call passes before a tool runs, seen by those who call: limits, quotas, keys, intents, and what is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from mcp.shared.exceptions import MCPError
from tests.foundation import Records, foundation
from tests.shared.clocks import ManualClock, settle
from tests.shared.mcp.till import Act, Drawer, Held, Till, caller, error_code, sentence, till

from backoffice_shared.errors import Conflict, OutcomeUnknown, RateLimited
from backoffice_shared.mcp.gate import Gate
from backoffice_shared.mcp.tool import pinned
from backoffice_shared.money import Money
from backoffice_shared.principal import Principal

pytestmark = pytest.mark.anyio

ALL = 'scopes: ["till:read", "till:write", "till:pay"]'


@pytest.fixture
def agents(tmp_path: Path) -> Callable[[str], Path]:
    def written(content: str) -> Path:
        file = tmp_path / "agents.yaml"
        file.write_text(content)
        return file

    return written


Written = Callable[[str], Path]


def eur(amount: int) -> Money:
    return Money(amount=amount, currency="EUR")


def failing(error: Exception) -> Act:
    async def fails() -> None:
        raise error

    return fails


# What is listed, and what exists


async def test_a_tool_that_is_not_theirs_is_neither_listed_nor_distinguishable_from_none(agents: Written):
    file = agents('agents: {reader: {scopes: ["till:read"]}}')
    async with till(agents=file, who=caller("reader")) as at:
        assert await at.names() == ["get_caller", "list_notes"]
        with pytest.raises(MCPError) as hidden:
            await at.call("refund", amount=1, currency="EUR", idempotency_key="k")
        with pytest.raises(MCPError) as absent:
            await at.call("reFund", amount=1, currency="EUR", idempotency_key="k")
        assert hidden.value.error.message.replace("refund", "reFund") == absent.value.error.message
        assert hidden.value.error.code == absent.value.error.code
        assert at.drawer.paid == []


async def test_a_missing_scope_is_named_to_those_who_could_have_it(agents: Written):
    file = agents(f"agents: {{all: {{{ALL}}}}}")
    async with till(agents=file, who=caller("all", scopes=frozenset({"till:read"}))) as at:
        assert await at.names() == ["get_caller", "list_notes"]
        refused = await at.call("add_note", text="x", idempotency_key="k")
        assert error_code(refused) == "permission_denied"
        assert "till:write" in sentence(refused)


async def test_a_stranger_is_shown_nothing(agents: Written):
    async with till(agents=agents(f"agents: {{all: {{{ALL}}}}}"), who=caller("unheard-of")) as at:
        assert await at.names() == []


async def test_the_operators_bound_holds_for_everybody(agents: Written):
    gate = Gate(toolsets=frozenset({"notes"}), read_only=True)
    async with till(agents=agents(f"agents: {{all: {{{ALL}}}}}"), gate=gate, who=caller("all")) as at:
        assert await at.names() == ["get_caller", "list_notes"]


async def test_tools_know_which_agent_calls(agents: Written):
    file = agents(f"agents: {{boss: {{clients: [app], {ALL}}}}}")
    scopes = frozenset({"till:read"})
    async with till(agents=file, who=Principal("carla", "oauth", client="app", scopes=scopes)) as at:
        seen = await at.call("get_caller")
        assert seen.structured_content == {"subject": "carla", "agent": "boss"}


# Limits


async def test_an_agent_calls_as_often_as_its_rate_says_and_is_told_when_it_may_again(
    agents: Written, clock: ManualClock
):
    file = agents(f"agents: {{one: {{{ALL}, rate: 2/minute}}}}")
    async with till(agents=file, clock=clock, who=caller("one")) as at:
        assert not (await at.call("get_caller")).is_error
        clock.advance(20)
        assert not (await at.call("get_caller")).is_error
        refused = await at.call("get_caller")
        assert error_code(refused) == "rate_limited"
        assert "Try again in 40 s" in sentence(refused)
        clock.advance(40)
        assert not (await at.call("get_caller")).is_error
        assert (await at.call("get_caller")).is_error


async def test_a_tools_own_rate_leaves_the_others_alone(agents: Written, clock: ManualClock):
    file = agents(f"agents: {{one: {{{ALL}, tool_rates: {{get_caller: 1/hour}}}}}}")
    async with till(agents=file, clock=clock, who=caller("one")) as at:
        await at.call("get_caller")
        assert error_code(await at.call("get_caller")) == "rate_limited"
        assert not (await at.call("list_notes")).is_error


async def test_guessing_names_costs_as_much_as_calling(agents: Written, clock: ManualClock):
    file = agents(f"agents: {{one: {{{ALL}, rate: 1/minute}}}}")
    async with till(agents=file, clock=clock, who=caller("one")) as at:
        with pytest.raises(MCPError, match="Unknown tool"):
            await at.call("guess")
        assert error_code(await at.call("get_caller")) == "rate_limited"


async def test_one_agent_does_not_use_up_anothers_rate_but_all_share_the_common_one(
    agents: Written, clock: ManualClock
):
    file = agents(f"rate: 3/minute\nagents: {{one: {{{ALL}, rate: 2/minute}}, two: {{{ALL}, rate: 2/minute}}}}")
    on = foundation(agents=file, clock=clock)
    async with till(on, who=caller("one")) as one, till(on, who=caller("two")) as two:
        assert [(await one.call("get_caller")).is_error for _ in range(3)] == [False, False, True]
        assert [(await two.call("get_caller")).is_error for _ in range(2)] == [False, True]
        assert "all agents together" in sentence(await two.call("get_caller"))


# Quotas


async def test_a_days_money_is_spent_once_and_not_a_cent_more(agents: Written):
    file = agents(f"agents: {{one: {{{ALL}, quotas: {{money: {{EUR: 1000}}}}}}}}")
    async with till(agents=file, who=caller("one")) as at:
        assert not (await at.call("refund", amount=600, currency="EUR", idempotency_key="a")).is_error
        refused = await at.call("refund", amount=401, currency="EUR", idempotency_key="b")
        assert error_code(refused) == "quota_exceeded"
        assert "400 EUR minor units left" in sentence(refused)
        assert not (await at.call("refund", amount=400, currency="EUR", idempotency_key="c")).is_error
        assert at.drawer.paid == [eur(600), eur(400)]


async def test_a_currency_that_is_not_named_has_no_quota_to_spend(agents: Written):
    file = agents(f"agents: {{one: {{{ALL}, quotas: {{money: {{EUR: 1000}}}}}}}}")
    async with till(agents=file, who=caller("one")) as at:
        assert error_code(await at.call("refund", amount=1, currency="USD", idempotency_key="a")) == "quota_exceeded"


async def test_what_was_refused_is_given_back_and_what_may_have_happened_is_not(agents: Written):
    file = agents(f"agents: {{one: {{{ALL}, quotas: {{money: {{EUR: 1000}}}}}}}}")
    async with till(agents=file, who=caller("one")) as at:
        at.drawer.before = failing(RateLimited("Bank", "slow down"))
        assert (await at.call("refund", amount=1000, currency="EUR", idempotency_key="a")).is_error
        at.drawer.before = failing(OutcomeUnknown("Bank", "it may have been done"))
        assert error_code(await at.call("refund", amount=700, currency="EUR", idempotency_key="b")) == "outcome_unknown"
        refused = await at.call("refund", amount=301, currency="EUR", idempotency_key="c")
        assert "300 EUR minor units left" in sentence(refused)


async def test_what_may_have_happened_is_counted_once_however_often_it_is_repeated(agents: Written):
    file = agents(f"agents: {{one: {{{ALL}, quotas: {{money: {{EUR: 1000}}, records_changed: 2}}}}}}")
    async with till(agents=file, who=caller("one")) as at:
        at.drawer.before = failing(OutcomeUnknown("Bank", "it may have been done"))
        for _ in range(3):
            unknown = await at.call("refund", amount=700, currency="EUR", idempotency_key="b")
            assert error_code(unknown) == "outcome_unknown"
        at.drawer.before = Drawer().before
        assert not (await at.call("refund", amount=700, currency="EUR", idempotency_key="b")).is_error
        assert not (await at.call("refund", amount=300, currency="EUR", idempotency_key="c")).is_error
        assert error_code(await at.call("refund", amount=1, currency="EUR", idempotency_key="d")) == "quota_exceeded"


async def test_of_two_who_race_for_the_last_cent_one_wins_and_the_other_reads_why(agents: Written):
    file = agents(f"agents: {{one: {{{ALL}, quotas: {{money: {{EUR: 100}}}}}}}}")
    async with till(agents=file, who=caller("one")) as at:
        both = await asyncio.gather(
            *(at.call("refund", amount=100, currency="EUR", idempotency_key=key) for key in ("a", "b"))
        )
        assert sorted(bool(result.is_error) for result in both) == [False, True]
        assert at.drawer.paid == [eur(100)]


async def test_records_read_are_counted_as_they_are(agents: Written):
    file = agents(f"agents: {{one: {{{ALL}, quotas: {{records_read: 5}}}}}}")
    async with till(agents=file, who=caller("one"), drawer=Drawer(notes=["a", "b", "c"])) as at:
        assert not (await at.call("list_notes")).is_error
        assert not (await at.call("list_notes")).is_error  # the last one may exceed
        assert "0 records read left" in sentence(await at.call("list_notes"))
        assert not (await at.call("add_note", text="x", idempotency_key="k")).is_error


async def test_a_repetition_uses_up_nothing(agents: Written):
    file = agents(f"agents: {{one: {{{ALL}, quotas: {{calls: 1, money: {{EUR: 100}}}}}}}}")
    async with till(agents=file, who=caller("one")) as at:
        asked = {"amount": 100, "currency": "EUR", "idempotency_key": "a"}
        first, second = await at.call("refund", **asked), await at.call("refund", **asked)
        assert first.structured_content == {"amount": 100, "currency": "EUR", "replayed": False}
        assert second.structured_content == {"amount": 100, "currency": "EUR", "replayed": True}
        assert '"replayed":true' in sentence(second)
        assert at.drawer.paid == [eur(100)]


# Idempotency keys


async def test_a_key_is_bound_to_its_arguments():
    async with till() as at:
        await at.call("add_note", text="one", idempotency_key="k")
        refused = await at.call("add_note", text="two", idempotency_key="k")
        assert error_code(refused) == "conflict"
        assert at.drawer.notes == ["one"]


async def test_a_key_is_its_callers_own():
    drawer, on = Drawer(), foundation()
    async with (
        till(on, who=caller("a", subject="a"), drawer=drawer) as one,
        till(on, who=caller("a", subject="b"), drawer=drawer) as other,
    ):
        await one.call("add_note", text="mine", idempotency_key="k")
        await other.call("add_note", text="yours", idempotency_key="k")
    assert drawer.notes == ["mine", "yours"]


async def test_who_comes_while_it_is_under_way_is_told_so():
    async with till() as at:
        at.drawer.then = held = Held()
        first = asyncio.create_task(at.call("add_note", text="x", idempotency_key="k"))
        await held.reached.wait()
        second = await at.call("add_note", text="x", idempotency_key="k")
        assert error_code(second) == "conflict"
        assert "under way" in sentence(second)
        held.open.set()
        assert not (await first).is_error
        assert at.drawer.notes == ["x"]


async def test_what_failed_in_passing_is_tried_again_and_a_final_refusal_is_remembered():
    async with till() as at:
        at.drawer.before = failing(RateLimited("Desk", "slow down"))
        assert (await at.call("add_note", text="x", idempotency_key="k")).is_error
        at.drawer.before = failing(Conflict("Desk", "it is closed"))
        assert error_code(await at.call("add_note", text="x", idempotency_key="k")) == "conflict"
        at.drawer.before = Drawer().before
        again = await at.call("add_note", text="x", idempotency_key="k")
        assert "it is closed" in sentence(again)
        assert at.drawer.notes == []


async def test_arguments_that_cannot_be_right_do_not_use_up_the_key():
    async with till() as at:
        assert error_code(await at.call("add_note", text="x" * 101, idempotency_key="k")) == "invalid_input"
        assert not (await at.call("add_note", text="x", idempotency_key="k")).is_error


async def test_after_an_unknown_outcome_the_same_key_may_be_tried_again():
    async with till() as at:
        at.drawer.then = failing(OutcomeUnknown("Desk", "no answer came"))
        assert error_code(await at.call("add_note", text="x", idempotency_key="k")) == "outcome_unknown"
        at.drawer.then = Drawer().then
        assert not (await at.call("add_note", text="x", idempotency_key="k")).is_error
        assert at.audit.told("outcome") == [("unknown",), ("ok",)]


# The audit


async def test_every_call_leaves_one_record_whatever_becomes_of_it(agents: Written):
    file = agents(f"agents: {{one: {{{ALL}, tool_rates: {{list_notes: 1/day}}}}}}")
    async with till(agents=file, who=caller("one")) as at:
        await at.call("add_note", text="mail me at a@b.example", idempotency_key="k")
        await at.call("add_note", text=["no text"], idempotency_key="k2")
        await at.call("list_notes")
        await at.call("list_notes")
        with pytest.raises(MCPError):
            await at.call("guess")
        at.drawer.before = failing(ZeroDivisionError("secret detail"))
        with pytest.raises(MCPError):
            await at.call("add_note", text="x", idempotency_key="k3")
        assert at.audit.told("event", "tool", "decision", "outcome", "error_code") == [
            ("tool.call", "add_note", "allow", "ok", None),
            ("tool.call", "add_note", "allow", "error", "invalid_input"),
            ("tool.call", "list_notes", "allow", "ok", None),
            ("tool.call", "list_notes", "deny", "error", "rate_limited"),
            ("tool.call", "guess", "deny", "error", "-32602"),
            ("tool.call", "add_note", "allow", "error", "-32603"),
        ]
        first = at.audit.written[0]
        assert first["actor"] == {"sub": "s", "agent": "one", "client_id": None, "auth": "api_key", "via": None}
        assert first["args"]["text"] == "mail me at [email]"
        assert "k" not in (first["idempotency_key"], first["args_digest"])


async def test_a_record_names_the_tool_as_the_caller_was_shown_it():
    async with till() as at:
        shown = {tool.name: pinned(tool) for tool in (await at.client.list_tools()).tools}
        await at.call("list_notes")
        await at.call("add_note", text="x", idempotency_key="k")
        with pytest.raises(MCPError):
            await at.call("guess")
        assert at.audit.told("tool_pin") == [(shown["list_notes"],), (shown["add_note"],), (None,)]
        assert len(set(shown.values())) == len(shown)


async def test_a_call_whose_caller_goes_away_is_recorded_as_cancelled():
    async with till() as at:
        at.drawer.before = held = Held()
        task = asyncio.create_task(at.call("list_notes"))
        await held.reached.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await settle()
        assert at.audit.told("tool", "outcome") == [("list_notes", "cancelled")]


async def test_what_cannot_be_taken_back_is_announced_before_it_happens():
    async with till() as at:
        seen: list[object] = []

        async def look() -> None:
            seen.extend(at.audit.told("event", "tool"))

        at.drawer.before = look
        await at.call("refund", amount=5, currency="EUR", idempotency_key="k")
        assert seen == [("tool.intent", "refund")]
        assert at.audit.told("event", "outcome") == [("tool.intent", None), ("tool.call", "ok")]


async def test_what_cannot_be_announced_does_not_happen_and_reads_go_on():
    audit = Records()
    audit.broken = True
    async with till(audit=audit) as at:
        refused = await at.call("refund", amount=5, currency="EUR", idempotency_key="k")
        assert error_code(refused) == "backend_unavailable"
        assert at.drawer.paid == []
        assert not (await at.call("list_notes")).is_error
        audit.broken = False
        assert not (await at.call("refund", amount=5, currency="EUR", idempotency_key="k")).is_error


async def test_nothing_happens_while_so_much_waits_for_the_audit_that_no_more_can():
    audit = Records()
    audit.full = True
    async with till(audit=audit) as at:
        assert error_code(await at.call("list_notes")) == "backend_unavailable"


# Two who call at the same time


async def test_two_principals_interleaved_never_see_each_others_keys_limits_or_names(agents: Written):
    file = agents(f"agents: {{one: {{{ALL}, rate: 600/minute}}, two: {{{ALL}, rate: 600/minute}}}}")
    on = foundation(agents=file)
    drawers = Drawer(), Drawer()
    async with (
        till(on, who=caller("one", subject="one"), drawer=drawers[0]) as one,
        till(on, who=caller("two", subject="two"), drawer=drawers[1]) as two,
    ):
        at_once = asyncio.Semaphore(50)

        async def call(at: Till, name: str, number: int) -> None:
            async with at_once:
                seen = await at.call("get_caller")
                noted = await at.call("add_note", text=f"{name} {number}", idempotency_key=f"k{number}")
            assert seen.structured_content == {"subject": name, "agent": name}
            assert noted.structured_content is not None
            assert not noted.structured_content["replayed"]

        await asyncio.gather(*(call(at, name, n) for n in range(250) for at, name in ((one, "one"), (two, "two"))))
    for drawer, name in zip(drawers, ("one", "two"), strict=True):
        assert sorted(drawer.notes) == sorted(f"{name} {n}" for n in range(250))
