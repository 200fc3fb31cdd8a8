"""What is changed, noted and sent: once, as it was shown, and never for the wrong eyes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.customer.office import Office, office, said
from tests.customer.test_sizes import tokens
from tests.shared.mcp.till import caller

from backoffice_shared.jsonvalues import obj
from backoffice_shared.principal import acting
from backoffice_shared.sandbox.frame import Faults

pytestmark = pytest.mark.anyio

FEMI = "hubspot:contact:100001"
DESKS = ("zendesk", "hubspot", "salesforce")


async def a_ticket(at: Office, system: str, *statuses: str) -> str:
    cursor: dict[str, Any] = {}
    while True:
        page = await at.ask("search_tickets", status=list(statuses or ("open",)), limit=50, **cursor)
        for row in page["items"]:
            if row["ticket_id"].startswith(f"{system}:"):
                return row["ticket_id"]
        cursor = {"cursor": page["page"]["next_cursor"]}


async def thread(at: Office, ticket_id: str) -> list[dict[str, Any]]:
    return (await at.ask("get_ticket", ticket_id=ticket_id, comment_limit=50, max_chars=8000))["comments"]


# ------------------------------------------------------------------------------------------------------- changing


@pytest.mark.parametrize(
    ("system", "status"),
    [("zendesk", "pending"), ("hubspot", "pending"), ("salesforce", "on_hold"), ("zendesk", "solved")],
)
async def test_a_change_is_made_and_seen_and_a_note_stays_inside(system: str, status: str):
    async with office() as at:
        ticket_id = await a_ticket(at, system)
        updated = await at.ask(
            "update_tickets",
            ticket_ids=[ticket_id],
            status=status,
            priority="high",
            internal_note="Waiting for the carrier.",
            idempotency_key="an-update-key",
        )
        assert [(row["ticket_id"], row["status"]) for row in updated["results"]] == [(ticket_id, "updated")]
        ticket = await at.ask("get_ticket", ticket_id=ticket_id)
        assert (ticket["status"], ticket["priority"]) == (status, "high")
        assert (ticket["comments"][0]["text"], ticket["comments"][0]["public"]) == ("Waiting for the carrier.", False)


@pytest.mark.parametrize("system", DESKS)
async def test_a_change_that_is_meant_for_an_older_version_is_not_made(system: str):
    async with office() as at:
        ticket_id = await a_ticket(at, system)
        version = (await at.ask("get_ticket", ticket_id=ticket_id))["version"]
        await at.ask("update_tickets", ticket_ids=[ticket_id], priority="high", expected_version=version)
        result = await at.call("update_tickets", ticket_ids=[ticket_id], priority="low", expected_version=version)
        assert result.structured_content is not None
        assert result.structured_content["error"]["code"] == "conflict"
        assert (await at.ask("get_ticket", ticket_id=ticket_id))["priority"] == "high"


async def test_of_many_tickets_each_has_its_own_outcome_and_one_keeps_no_other():
    async with office() as at:
        mine = [await a_ticket(at, system) for system in DESKS]
        asked = [*mine, "zendesk:ticket:999999", await a_ticket(at, "zendesk", "closed")]
        updated = await at.ask("update_tickets", ticket_ids=asked, priority="high", idempotency_key="many-at-once")
        assert [row["status"] for row in updated["results"]][:4] == ["updated", "updated", "updated", "failed"]
        assert updated["results"][4]["status"] in ("failed", "conflict")
        assert "2 of 5" in updated["notes"][0]


async def test_nothing_to_change_unknown_systems_and_versions_of_several_are_refused():
    async with office() as at:
        one, other = await a_ticket(at, "zendesk"), await a_ticket(at, "hubspot")
        assert "what to change" in await at.refusal("update_tickets", ticket_ids=[one])
        assert "needs an idempotency_key" in await at.refusal("update_tickets", ticket_ids=[one], internal_note="x")
        assert "one ticket" in await at.refusal(
            "update_tickets", ticket_ids=[one, other], priority="low", expected_version="x"
        )
        assert "no such system" in await at.refusal("update_tickets", ticket_ids=["acme:ticket:1"], priority="low")


async def test_closing_is_shown_first_and_done_with_its_plan():
    async with office() as at:
        ticket_id = await a_ticket(at, "zendesk", "solved")
        close = {"ticket_ids": [ticket_id], "status": "closed", "idempotency_key": "closing-key"}
        planned = await at.ask("update_tickets", **close)
        assert [row["status"] for row in planned["results"]] == ["would_update"]
        assert (await at.ask("get_ticket", ticket_id=ticket_id))["status"] == "solved"
        closed = await at.ask("update_tickets", **close, plan_token=planned["plan_token"])
        assert [(row["status"], row["ticket_status"]) for row in closed["results"]] == [("updated", "closed")]
        again = await at.ask("update_tickets", **close, plan_token=planned["plan_token"])
        assert (again["results"], again["replayed"]) == (closed["results"], True)


async def test_a_plan_is_for_what_it_showed_and_for_nothing_else():
    async with office() as at:
        one, other = await a_ticket(at, "zendesk", "solved"), await a_ticket(at, "zendesk", "open")
        plan = (await at.ask("update_tickets", ticket_ids=[one], status="closed"))["plan_token"]
        for asked in (
            {"ticket_ids": [other], "status": "closed"},
            {"ticket_ids": [one, other], "status": "closed"},
            {"ticket_ids": [one], "status": "closed", "add_tags": ["and-this"]},
            {"ticket_ids": [one], "status": "closed", "idempotency_key": "another-key"},
        ):
            assert "nothing was done" in await at.refusal("update_tickets", **asked, plan_token=plan)
        assert (await at.ask("get_ticket", ticket_id=one))["status"] == "solved"


async def test_a_ticket_that_changed_since_its_plan_is_not_closed():
    async with office() as at:
        ticket_id = await a_ticket(at, "zendesk", "solved")
        plan = (await at.ask("update_tickets", ticket_ids=[ticket_id], status="closed"))["plan_token"]
        note = {"internal_note": "Wait, the customer has called.", "idempotency_key": "a-note-key"}
        await at.ask("update_tickets", ticket_ids=[ticket_id], **note)
        refused = await at.call("update_tickets", ticket_ids=[ticket_id], status="closed", plan_token=plan)
        assert refused.structured_content is not None
        assert refused.structured_content["error"]["code"] == "conflict"


async def test_fifty_tickets_are_closed_with_one_plan():
    async with office(customers=200, hurried=False) as at:
        page = await at.ask("search_tickets", status=["solved"], limit=50)
        mine = [row["ticket_id"] for row in page["items"] if row["ticket_id"].startswith("zendesk:")]
        while len(mine) < 50:
            page = await at.ask("search_tickets", status=["solved"], limit=50, cursor=page["page"]["next_cursor"])
            mine += [row["ticket_id"] for row in page["items"] if row["ticket_id"].startswith("zendesk:")]
        close = {"ticket_ids": mine[:50], "status": "closed", "idempotency_key": "fifty-at-once"}
        planned = await at.call("update_tickets", **close)
        assert tokens(said(planned)) <= 6_000
        plan = obj(planned.structured_content)["plan_token"]
        closed = await at.ask("update_tickets", **close, plan_token=plan)
        assert {row["status"] for row in closed["results"]} == {"updated"}
        assert len(closed["results"]) == 50


# -------------------------------------------------------------------------------------------------------- telling


@pytest.mark.parametrize("system", ["zendesk", "salesforce"])
async def test_a_reply_is_shown_first_then_sent_once_for_the_customer_to_see(system: str):
    async with office() as at:
        ticket_id = await a_ticket(at, system)
        before = await thread(at, ticket_id)
        reply = {"ticket_id": ticket_id, "body": "It is on its way.", "idempotency_key": "a-reply-key"}
        shown = await at.ask("reply_to_customer", **reply)
        assert shown["preview"]["body"] == "It is on its way."
        assert "@" in shown["preview"]["to"]
        assert "message_id" not in shown
        assert await thread(at, ticket_id) == before
        sent = await at.ask("reply_to_customer", **reply, plan_token=shown["plan_token"])
        again = await at.ask("reply_to_customer", **reply, plan_token=shown["plan_token"])
        assert (again["message_id"], again["replayed"]) == (sent["message_id"], True)
        after = await thread(at, ticket_id)
        assert len(after) == len(before) + 1
        assert (after[0]["text"], after[0]["public"]) == ("It is on its way.", True)


@pytest.mark.parametrize("system", ["zendesk", "salesforce"])
async def test_a_reply_whose_answer_is_lost_is_looked_for_and_not_sent_again(system: str):
    async with office() as at:
        ticket_id = await a_ticket(at, system)
        before = await thread(at, ticket_id)
        reply = {"ticket_id": ticket_id, "body": "It is on its way.", "idempotency_key": "a-reply-key"}
        plan = (await at.ask("reply_to_customer", **reply))["plan_token"]
        lost = at.sandboxes[system]
        lost.faults.plan = ["drop_after_commit"]
        sent = await at.ask("reply_to_customer", **reply, plan_token=plan)
        assert sent["message_id"]
        after = await thread(at, ticket_id)
        assert [comment["text"] for comment in after[: len(after) - len(before)]] == ["It is on its way."]


async def test_a_reply_to_what_changed_since_the_preview_is_not_sent():
    async with office() as at:
        ticket_id = await a_ticket(at, "zendesk")
        reply = {"ticket_id": ticket_id, "body": "It is on its way.", "idempotency_key": "a-reply-key"}
        plan = (await at.ask("reply_to_customer", **reply))["plan_token"]
        note = {"internal_note": "Do not answer: fraud.", "idempotency_key": "a-note-key"}
        await at.ask("update_tickets", ticket_ids=[ticket_id], **note)
        refused = await at.call("reply_to_customer", **reply, plan_token=plan)
        assert refused.structured_content is not None
        assert refused.structured_content["error"]["code"] == "conflict"
        assert not any(comment["text"] == "It is on its way." for comment in await thread(at, ticket_id))


async def test_another_text_needs_another_preview():
    async with office() as at:
        ticket_id = await a_ticket(at, "zendesk")
        reply = {"ticket_id": ticket_id, "idempotency_key": "a-reply-key"}
        plan = (await at.ask("reply_to_customer", **reply, body="Yes."))["plan_token"]
        assert "nothing was done" in await at.refusal("reply_to_customer", **reply, body="No.", plan_token=plan)


async def test_one_preview_sends_one_message():
    async with office() as at:
        letter = {"customer_id": FEMI, "subject": "Your order", "body": "It left."}
        shown = await at.ask("reply_to_customer", **letter, idempotency_key="a-letter-key")
        for key in ("another-key-1", "another-key-2"):
            refused = await at.refusal(
                "reply_to_customer", **letter, idempotency_key=key, plan_token=shown["plan_token"]
            )
            assert "nothing was done" in refused


async def test_two_agents_who_chose_the_same_key_are_not_taken_for_one(tmp_path: Path):
    file = tmp_path / "agents.yaml"
    scopes = '["customer:read", "customer:write", "customer:message"]'
    file.write_text(f"agents:\n  clerk: {{scopes: {scopes}}}\n  boss: {{scopes: {scopes}}}\n")
    async with office(agents=file) as at:
        sent: dict[str, dict[str, Any]] = {}
        for agent in ("clerk", "boss"):
            with acting(caller(agent)):
                letter = {
                    "customer_id": FEMI,
                    "subject": "Hello",
                    "body": f"From {agent}.",
                    "idempotency_key": "welcome-1",
                }
                plan = (await at.ask("reply_to_customer", **letter))["plan_token"]
                sent[agent] = await at.ask("reply_to_customer", **letter, plan_token=plan)
        assert sent["clerk"]["message_id"] != sent["boss"]["message_id"]
        assert {answer["replayed"] for answer in sent.values()} == {False}


async def test_a_message_of_which_nobody_knows_is_looked_for_when_it_is_asked_for_again():
    async with office() as at:
        ticket_id = await a_ticket(at, "zendesk")
        reply = {"ticket_id": ticket_id, "body": "It is on its way.", "idempotency_key": "a-reply-key"}
        plan = (await at.ask("reply_to_customer", **reply))["plan_token"]
        # It is sent, the answer is lost, and then nobody can look.
        at.sandboxes["zendesk"].faults = Faults(plan=["ok", "drop_after_commit", "error", "error", "error"])
        unknown = await at.call("reply_to_customer", **reply, plan_token=plan)
        assert (unknown.structured_content or {})["error"]["code"] == "outcome_unknown"
        sent = await at.ask("reply_to_customer", **reply, plan_token=plan)
        assert sent["message_id"]
        assert [comment["text"] for comment in await thread(at, ticket_id)].count("It is on its way.") == 1


async def test_many_changes_that_all_fail_are_a_failure():
    async with office() as at:
        mine = [await a_ticket(at, "zendesk"), "zendesk:ticket:999999"]
        at.sandboxes["zendesk"].faults = Faults(plan=["error"] * 6)
        change = {"ticket_ids": mine, "priority": "high", "idempotency_key": "all-of-them"}
        assert "none of the 2 tickets was changed" in await at.refusal("update_tickets", **change)
        assert (await at.ask("update_tickets", **change))["results"][0]["status"] == "updated"


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"ticket_id": "zendesk:ticket:10001", "customer_id": FEMI, "subject": "Both"},
        {"customer_id": FEMI},
        {"ticket_id": "zendesk:ticket:10001", "subject": "Of what?"},
        {"customer_id": FEMI, "subject": "A letter", "status_after": "solved"},
    ],
)
async def test_to_whom_must_be_clear(asked: dict[str, Any]):
    async with office() as at:
        assert "give a ticket_id" in await at.refusal(
            "reply_to_customer", **asked, body="Hello", idempotency_key="a-reply-key"
        )


async def test_a_closed_ticket_takes_no_reply():
    async with office() as at:
        ticket_id = await a_ticket(at, "zendesk", "closed")
        refused = await at.refusal(
            "reply_to_customer", ticket_id=ticket_id, body="Hello", idempotency_key="a-reply-key"
        )
        assert "is closed" in refused


async def test_a_customer_without_a_ticket_is_written_to_once():
    async with office() as at:
        letter = {"customer_id": FEMI, "subject": "Your order", "body": "It left.", "idempotency_key": "a-letter-key"}
        shown = await at.ask("reply_to_customer", **letter)
        assert at.company.people[0].email in shown["preview"]["to"]
        sent = await at.ask("reply_to_customer", **letter, plan_token=shown["plan_token"])
        again = await at.ask("reply_to_customer", **letter, plan_token=shown["plan_token"])
        assert (again["message_id"], again["replayed"]) == (sent["message_id"], True)
        history = await at.ask("get_customer_timeline", customer_id=FEMI, kinds=["email"], limit=50)
        assert [(e["title"], e["direction"]) for e in history["items"]].count(("Your order", "out")) == 1


# --------------------------------------------------------------------------------------------- noting and wishing


@pytest.mark.parametrize("system", ["hubspot", "salesforce"])
async def test_a_note_is_added_once_and_is_in_the_history(system: str):
    async with office() as at:
        person = next(p for p in at.company.people if p.is_business)
        found = (await at.ask("find_customers", identifiers=[person.email]))["items"][0]["customer_id"]
        links = (await at.ask("get_customers", customer_ids=[found]))["items"][0]["links"]
        customer_id = next(link["id"] for link in links if link["system"] == system)
        note = {"customer_id": customer_id, "body": "Likes <b>blue</b> & green.", "idempotency_key": "a-note-key"}
        first = await at.ask("add_customer_note", **note)
        again = await at.ask("add_customer_note", **note)
        assert (again["note_id"], again["replayed"]) == (first["note_id"], True)
        history = await at.ask("get_customer_timeline", customer_id=customer_id, kinds=["note"], limit=50)
        assert [e["summary"] for e in history["items"]].count("Likes <b>blue</b> & green.") == 1


async def test_a_wish_is_written_to_every_system_that_keeps_it():
    async with office() as at:
        person = next(p for p in at.company.people if p.is_business and len(p.systems) == 3 and p.email_consent)
        customer_id = (await at.ask("find_customers", identifiers=[person.email]))["items"][0]["customer_id"]
        wish = {"customer_id": customer_id, "changes": {"email_marketing": False}, "reason": "asked by phone"}
        tried = await at.ask("update_preferences", **wish, dry_run=True)
        assert {row["status"] for row in tried["per_system"]} == {"would_update"}
        assert set(tried["before"]["email_marketing"].values()) == {True}
        done = await at.ask("update_preferences", **wish, idempotency_key="a-wish-key")
        systems = {row["system"] for row in done["per_system"] if row["status"] == "updated"}
        assert systems == {"hubspot", "salesforce", "shopify"}
        profile = await at.ask("get_customers", customer_ids=[customer_id], include=["preferences"])
        assert set(profile["items"][0]["preferences"]["email_marketing"].values()) == {False}
        again = await at.ask("update_preferences", **wish)
        assert {row["status"] for row in again["per_system"]} == {"unchanged"}


async def test_a_wish_that_one_system_could_not_keep_is_kept_by_the_others_and_said():
    async with office() as at:
        person = next(p for p in at.company.people if p.is_business and len(p.systems) == 3 and p.email_consent)
        customer_id = (await at.ask("find_customers", identifiers=[person.email]))["items"][0]["customer_id"]
        at.broken("shopify", error=1.0)
        wish = {"customer_id": customer_id, "changes": {"email_marketing": False}, "reason": "asked by phone"}
        done = await at.ask("update_preferences", **wish)
        became = {row["system"]: row["status"] for row in done["per_system"]}
        assert became == {"hubspot": "updated", "salesforce": "updated", "shopify": "failed"}
        assert "not changed everywhere" in done["notes"][0]


@pytest.mark.parametrize("changes", [{}, {"language": "German"}, {"fax": True}, {"email_marketing": "perhaps"}])
async def test_a_wish_that_means_nothing_is_refused(changes: dict[str, Any]):
    async with office() as at:
        await at.refusal("update_preferences", customer_id=FEMI, changes=changes, reason="x")


@pytest.mark.parametrize("system", ["hubspot", "salesforce", "email"])
async def test_what_can_be_opened_again_is_not_promised_to_be_closed(system: str):
    async with office() as at:
        ticket_id = await a_ticket(at, system)
        answer = await at.ask("update_tickets", ticket_ids=[ticket_id], status="closed")
        assert [row["status"] for row in answer["results"]] == ["failed"]
        assert "closes nothing for good" in answer["results"][0]["error"]
        assert "plan_token" not in answer


async def test_a_list_that_a_host_writes_as_a_string_counts_as_what_it_is(tmp_path: Path):
    file = tmp_path / "agents.yaml"
    file.write_text('agents:\n  clerk: {scopes: ["customer:read", "customer:write"], quotas: {records_changed: 1}}\n')
    async with office(agents=file) as at:
        with acting(caller("clerk")):
            mine = [await a_ticket(at, system) for system in ("zendesk", "hubspot")]
            refused = await at.refusal("update_tickets", ticket_ids=json.dumps(mine), priority="high")
            assert "1 records changed left today" in refused
            updated = await at.ask("update_tickets", ticket_ids=json.dumps(mine[:1]), priority="high")
            assert [row["status"] for row in updated["results"]] == ["updated"]
