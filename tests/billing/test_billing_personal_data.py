"""Personal data: masked without the scope for it, and of systems that are not an agent's own not told at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult, TextResourceContents
from tests.billing.counter import Office, counter, said
from tests.billing.people import Hand, ids, payer
from tests.shared.mcp.till import caller

from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.principal import Principal, acting
from backoffice_shared.sandbox.company import Person

pytestmark = pytest.mark.anyio

ALL = ("billing:read", "billing:invoice", "billing:charge", "billing:refund")


def agents(folder: Path, *entries: str) -> Path:
    file = folder / "agents.yaml"
    file.write_text("\n".join(["agents:", *(f"  {entry}" for entry in entries), ""]))
    return file


def entry(name: str, *scopes: str, more: str = "") -> str:
    return f"{name}: {{scopes: {json.dumps(list(scopes))}{more}}}"


def someone(at: Office) -> Person:
    return payer(at.company, ledger="eu", currency="EUR")


async def test_addresses_are_masked_without_the_scope_and_whole_with_it(tmp_path: Path):
    file = agents(tmp_path, entry("clerk", *ALL), entry("boss", *ALL, "customer:pii"))
    async with counter(agents=file, hurried=False) as at:
        person = someone(at)
        with acting(caller("boss")):
            whole = await at.ask("get_billing_account", customer_ids=[person.email])
        with acting(caller("clerk")):
            masked = await at.ask("get_billing_account", customer_ids=[person.email])
        domain = person.email.partition("@")[2]
        assert {row["email"] for row in whole["items"]} == {person.email}
        assert {row["email"] for row in masked["items"]} == {f"{person.email[0]}•••@{domain}"}
        assert [{**row, "email": ""} for row in masked["items"]] == [{**row, "email": ""} for row in whole["items"]]


@pytest.mark.parametrize("sees", [True, False])
async def test_no_answer_gives_an_address_to_whoever_lacks_the_scope(sees: bool, tmp_path: Path):
    file = agents(tmp_path, entry("clerk", *ALL, *(["customer:pii"] if sees else [])))
    async with counter(agents=file, hurried=False) as at:
        person = someone(at)
        order = next(o for o in at.company.orders if o.person == person.number)
        with acting(caller("clerk")):
            hand = Hand(at)
            customer = (await ids(at, person))["stripe"]
            draft = await hand.draft(customer, "EUR", 4_000)
            planned = await hand.planned("issue_invoice", invoice_id=draft, send=True)
            preview = await at.call("issue_invoice", **{k: v for k, v in planned.items() if k != "plan_token"})
            issued = await at.call("issue_invoice", **planned)
            collect = await hand.planned("collect_payment", invoice_id=draft)
            collected = await at.call("collect_payment", **collect)
            payment = obj(collected.structured_content)["payment_id"]
            of_payment = await at.call("preview_refund", payment_id=payment, reason="defective")
            answers = {
                "get_billing_account": await at.call("get_billing_account", customer_ids=[person.email, "x@y.example"]),
                "search_invoices": await at.call("search_invoices", customer_id=person.email),
                "get_invoices": await at.call("get_invoices", invoice_ids=[draft], include=["lines", "accounting"]),
                "issue_invoice, previewed": preview,
                "issue_invoice": issued,
                "collect_payment": collected,
                "search_payments": await at.call("search_payments", customer_id=person.email),
                "get_payment": await at.call("get_payment", payment_id=payment, include=["refunds", "ledger"]),
                "preview_refund": of_payment,
                "preview_refund of an order": await at.call(
                    "preview_refund", order_id=f"#{1001 + order.number}", reason="defective"
                ),
                "reconcile": await at.call("reconcile", scope_ref=person.email),
                "get_report": await at.call("get_report", report="ar_aging", to_date="2026-11-01", group_by="customer"),
            }
            at.audit.calls += 1
            [card] = (await at.client.read_resource(f"invoice://{draft}")).contents
        assert isinstance(card, TextResourceContents)
        texts = {name: f"{said(result)} {json.dumps(result.structured_content)}" for name, result in answers.items()}
        texts["invoice://"] = card.text
        named = {name for name, text in texts.items() if person.email in text}
        if sees:
            assert named >= {"get_billing_account", "issue_invoice", "issue_invoice, previewed", "get_payment"}
        else:
            assert named == set()


async def test_an_address_in_a_refusal_is_masked_too(tmp_path: Path):
    file = agents(tmp_path, entry("clerk", *ALL), entry("boss", *ALL, "customer:pii"))
    async with counter(agents=file, hurried=False) as at:
        for name, shown in (("boss", "nobody@nowhere.example"), ("clerk", "n•••@nowhere.example")):
            with acting(caller(name)):
                for tool in ("search_invoices", "search_payments"):
                    assert shown in await at.refusal(tool, customer_id="nobody@nowhere.example")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("sees", [True, False])
async def test_a_human_who_is_asked_sees_an_address_only_with_the_scope(sees: bool, mode: str):
    questions: list[str] = []

    async def human(_context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        questions.append(params.message)
        return ElicitResult(action="accept", content={"agree": True})

    scopes = {*ALL, "approve:support_lead", *(["customer:pii"] if sees else [])}
    who = Principal("berta", "oauth", client="host", scopes=frozenset(scopes))
    async with counter(hurried=False, elicitation=human, mode=mode) as at:
        person = someone(at)
        with acting(who):
            _, payment = await Hand(at).paid((await ids_of(at, person)), "EUR", 20_000)
            shown = await at.ask("preview_refund", payment_id=payment, amount=6_000, reason="defective")
            await at.ask("issue_refund", plan_token=shown["plan_token"], idempotency_key="the-refund")
        [question] = questions
        assert (person.email in question) is sees
        assert f"{person.email[0]}•••@" in question or sees
        assert payment in question


async def ids_of(at: Office, person: Person) -> str:
    """Their id at the payment provider. Whoever asks is told no address."""
    found = await at.ask("get_billing_account", customer_ids=[person.email], include=["balance"])
    return next(row["customer_id"] for row in found["items"] if row["customer_id"].startswith("stripe:"))


async def test_what_waits_for_an_approval_names_nobodys_address(tmp_path: Path):
    async with counter(hurried=False, agents=agents(tmp_path, entry("clerk", *ALL))) as at:
        person = someone(at)
        with acting(caller("clerk")):
            _, payment = await Hand(at).paid(await ids_of(at, person), "EUR", 20_000)
            shown = await at.ask("preview_refund", payment_id=payment, amount=6_000, reason="defective")
            asked = await at.call("issue_refund", plan_token=shown["plan_token"], idempotency_key="the-refund")
        error = obj(obj(asked.structured_content)["error"])
        assert error["code"] == "approval_required"
        assert person.email not in f"{said(asked)} {json.dumps(asked.structured_content)}"


async def test_the_audit_has_no_addresses_and_nothing_that_was_written():
    async with counter(hurried=False) as at:
        person = someone(at)
        customer = await ids_of(at, person)
        await at.call("search_invoices", customer_id=person.email)
        lines = [{"description": f"For {person.email}", "unit_amount": 4_000}]
        new = {"customer_id": customer, "currency": "EUR", "lines": lines, "memo": f"Write to {person.email}"}
        await at.ask("create_invoice", **new, idempotency_key="an-invoice")
        kept = json.dumps(at.audit.written)
        assert person.email not in kept
        assert "[email]" in kept


async def test_an_agent_is_told_nothing_of_systems_that_are_not_its_own(tmp_path: Path):
    file = agents(tmp_path, entry("clerk", *ALL, more=", systems: [xero]"), entry("boss", *ALL))
    async with counter(agents=file, hurried=False) as at:
        person = someone(at)
        with acting(caller("boss")):
            theirs = await ids(at, person)
            of_stripe, payment = await Hand(at).paid(theirs["stripe"], "EUR", 4_000)
        with acting(caller("clerk")):
            asked = [
                await at.ask("get_billing_account", customer_ids=[person.email]),
                await at.ask("search_invoices", limit=50),
                await at.ask("search_payments", limit=50),
                await at.ask("search_invoices", customer_id=theirs["xero"]),
                await at.ask("reconcile"),
                await at.ask("get_report", report="trial_balance", to_date="2026-11-01"),
            ]
            for answer in asked:
                skipped = {source["backend"] for source in answer["sources"] if source["status"] == "skipped"}
                assert skipped >= {"quickbooks"}
                rows = [*arr(answer.get("items")), *arr(answer.get("tables"))]
                assert rows or "coverage" in answer
                assert not any(text in json.dumps(rows) for text in ("stripe:", "quickbooks:", "QuickBooks"))
            for tool, arguments in {
                "get_invoices": {"invoice_ids": [of_stripe]},
                "get_payment": {"payment_id": payment},
                "search_invoices": {"customer_id": theirs["stripe"]},
                "search_payments": {"customer_id": theirs["stripe"]},
                "get_billing_account": {"customer_ids": [theirs["stripe"]]},
                "preview_refund": {"payment_id": payment, "reason": "defective"},
                "reconcile": {"scope_ref": of_stripe},
            }.items():
                result = await at.call(tool, **arguments)
                assert result.is_error, (tool, result.structured_content)
                assert obj(obj(result.structured_content)["error"])["code"] == "permission_denied", (tool, said(result))


async def test_nothing_is_written_into_a_system_that_an_agent_may_not_see(tmp_path: Path):
    file = agents(tmp_path, entry("clerk", *ALL, more=", systems: [xero]"), entry("boss", *ALL))
    async with counter(agents=file, hurried=False) as at:
        with acting(caller("boss")):
            hand = Hand(at)
            customer = await ids_of(at, someone(at))
            draft = await hand.draft(customer, "EUR", 4_000)
            opened, payment = await hand.paid(customer, "EUR", 4_000)
            owed = await hand.issued(customer, "EUR", 4_000)
        sent = len(at.sandboxes["stripe"].requests)
        key = {"idempotency_key": "not-theirs"}
        new = {"customer_id": customer, "currency": "EUR", "lines": [{"description": "x", "unit_amount": 1}]}
        credit = {"amount": 100, "reason": "x", "disposition": "credit_balance"}
        with acting(caller("clerk")):
            for tool, arguments in (
                ("create_invoice", new),
                ("create_invoice", {**new, "dry_run": True}),
                ("issue_invoice", {"invoice_id": draft}),
                ("void_invoice", {"invoice_id": owed, "reason": "x"}),
                ("create_credit_note", {"invoice_id": opened, **credit}),
                ("collect_payment", {"invoice_id": owed}),
            ):
                result = await at.call(tool, **arguments, **key)
                assert result.is_error, (tool, result.structured_content)
                assert obj(obj(result.structured_content)["error"])["code"] == "permission_denied", (tool, said(result))
            refused = await at.call("preview_refund", payment_id=payment, reason="defective")
            assert refused.is_error
        assert len(at.sandboxes["stripe"].requests) == sent
