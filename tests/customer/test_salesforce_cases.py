"""Cases read from Salesforce: found by what is asked for, counted, and told with their thread."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.customer.sales import (
    DRAFT,
    KEY,
    SITE,
    TODAY,
    Crm,
    answering,
    case_id,
    contact,
    contact_id,
    new_crm,
    the_case,
)

from backoffice_customer.backends.salesforce import SalesforceCases
from backoffice_customer.models import Comment, Contact, Ref, Ticket, TicketRow
from backoffice_customer.ports import CommentPage, Reply, TicketChange, TicketDraft, TicketQuery
from backoffice_shared.errors import NotFound
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.company import Ticket as Case

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=300, today=TODAY)


@pytest.fixture
def crm(company: Company) -> Crm:
    return new_crm(company)


def status_of(case: Case) -> str:
    return {"new": "new", "open": "open", "pending": "on_hold", "solved": "solved"}[case.status]


async def test_a_row_is_told_in_our_words(crm: Crm) -> None:
    case = the_case(crm.company)
    person = crm.company.people[case.person]
    rows = await crm.all_rows(TicketQuery(requesters=(contact_id(case.person),)), 50)
    assert rows == [
        TicketRow(
            ticket_id=f"salesforce:ticket:{case_id(case)}",
            subject=case.subject,
            status="open",
            priority=case.priority,
            requester=person.name,
            assignee=crm.company.agents[case.number % 5].name,
            created_at=case.created_at,
            updated_at=case.updated_at,
            url=f"{SITE}/{case_id(case)}",
        )
    ]


async def test_all_cases_are_found_in_either_order_page_by_page(crm: Crm) -> None:
    for limit in (1, 4, 50):
        updated = await crm.all_rows(TicketQuery(), limit)
        assert [row.updated_at for row in updated] == sorted(
            (case.updated_at for case in crm.company.cases), reverse=True
        )
    created = await crm.all_rows(TicketQuery(sort="created"), 7)
    assert [row.created_at for row in created] == sorted((case.created_at for case in crm.company.cases), reverse=True)


@pytest.mark.parametrize("status", ["new", "open", "on_hold", "solved"])
async def test_cases_are_found_by_status(crm: Crm, status: Any) -> None:
    rows = await crm.all_rows(TicketQuery(statuses=(status,)), 50)
    assert len(rows) == sum(status_of(case) == status for case in crm.company.cases) > 0
    assert {row.status for row in rows} == {status}


async def test_what_no_case_can_be_is_not_asked_for(crm: Crm) -> None:
    for query in (TicketQuery(statuses=("pending", "closed")), TicketQuery(priorities=("urgent",))):
        assert (await crm.desk.search_tickets(query, None, 5)).items == []
    assert (await crm.desk.search_tickets(TicketQuery(requesters=("200001",)), None, 5)).items == []
    assert (await crm.desk.search_tickets(TicketQuery(text="?"), None, 5)).items == []
    assert crm.asked == []


async def test_conditions_must_all_hold(crm: Crm) -> None:
    agent = crm.company.agents[1]
    query = TicketQuery(
        statuses=("open", "on_hold", "pending"),
        priorities=("normal", "low"),
        assignee=agent.email,
        updated_since=TODAY - timedelta(days=250),
    )
    wanted = {
        case_id(case)
        for case in crm.company.cases
        if status_of(case) in ("open", "on_hold")
        and case.priority in ("normal", "low")
        and case.number % 5 == agent.number
        and case.updated_at >= TODAY - timedelta(days=250)
    }
    assert wanted
    assert {row.ticket_id.rpartition(":")[2] for row in await crm.all_rows(query, 3)} == wanted


async def test_a_person_is_any_of_their_addresses_and_ids(crm: Crm) -> None:
    one, other = crm.company.cases[0], crm.company.cases[1]
    query = TicketQuery(emails=(crm.company.people[one.person].email,), requesters=(contact_id(other.person), "200001"))
    found = {row.ticket_id.rpartition(":")[2] for row in await crm.all_rows(query, 50)}
    assert found == {case_id(case) for case in crm.company.cases if case.person in (one.person, other.person)}


async def test_nobody_is_assigned_to_what_waits_in_a_queue(crm: Crm) -> None:
    rows = await crm.all_rows(TicketQuery(assignee="none"), 50)
    assert {row.ticket_id.rpartition(":")[2] for row in rows} == {
        case_id(case) for case in crm.company.cases if case.status == "new"
    }
    assert {row.assignee for row in rows} == {None}


async def test_words_are_looked_for_and_the_other_conditions_hold(crm: Crm) -> None:
    rows = await crm.all_rows(TicketQuery(text="contract renewal", statuses=("open",)), 3)
    wanted = [case for case in crm.company.cases if case.subject.startswith("Contract renewal")]
    assert {row.ticket_id.rpartition(":")[2] for row in rows} == {case_id(c) for c in wanted if status_of(c) == "open"}
    [numbered] = await crm.all_rows(TicketQuery(text="00001003"), 3)
    assert numbered.ticket_id == f"salesforce:ticket:{case_id(2)}"


async def test_a_query_cannot_be_broken_out_of(crm: Crm) -> None:
    for evil in ("x' OR Name != '", "\\' OR Id != null --", "') OR (Id != '"):
        assert (await crm.desk.search_tickets(TicketQuery(assignee=evil), None, 5)).items == []
        assert (await crm.desk.search_tickets(TicketQuery(emails=(evil,)), None, 5)).items == []


async def test_a_search_need_not_see_yet_what_was_written(crm: Crm) -> None:
    crm.sandbox.faults.stale_search = True
    draft = TicketDraft("Xylophone", "It is out of tune.", None, (), public=True, requester=contact_id(2))
    created = await crm.desk.create_ticket(draft, KEY)
    assert (await crm.desk.search_tickets(TicketQuery(text="xylophone"), None, 5)).items == []
    crm.sandbox.faults.stale_search = False
    crm.clock.advance(60)
    [row] = await crm.all_rows(TicketQuery(text="xylophone"), 5)
    assert row.ticket_id == created.ticket_id


async def test_open_cases_are_counted(crm: Crm) -> None:
    for case in crm.company.cases[:10]:
        mine = [c for c in crm.company.cases if c.person == case.person and status_of(c) != "solved"]
        assert await crm.desk.count_open_tickets(contact(case.person)) == len(mine)


async def test_the_cases_that_are_counted_are_those_that_are_found(crm: Crm) -> None:
    who = Contact(ref=Ref("salesforce", "contact", contact_id(2)), name="Q", emails=["q@x.example"])
    asked = TicketQuery(emails=("q@x.example",), requesters=(contact_id(2),), statuses=("new", "open", "on_hold"))
    before = len(await crm.all_rows(asked, 50))
    await crm.desk.create_ticket(replace(DRAFT, requester=None, name="Q", email="q@x.example"), KEY)
    assert await crm.desk.count_open_tickets(who) == len(await crm.all_rows(asked, 50)) == before + 1
    assert await crm.desk.count_open_tickets(Contact(ref=Ref("hubspot", "contact", "1"), name="nobody")) == 0


async def test_a_case_is_told_in_our_words(crm: Crm) -> None:
    case = the_case(crm.company)
    person = crm.company.people[case.person]
    ticket = await crm.desk.ticket(case_id(case), None)
    assert ticket == Ticket(
        ticket_id=f"salesforce:ticket:{case_id(case)}",
        subject=case.subject,
        status="open",
        priority=case.priority,
        channel="email",
        customer_id=f"salesforce:contact:{contact_id(case.person)}",
        requester=person.name,
        email=person.email,
        assignee=crm.company.agents[case.number % 5].name,
        custom={"CaseNumber": f"{1001 + case.number:08d}", "Type": case.tags[0]},
        created_at=case.created_at,
        updated_at=case.updated_at,
        version=ticket.version,
        url=f"{SITE}/{case_id(case)}",
    )


async def test_a_thread_is_description_comments_and_emails_newest_first(crm: Crm) -> None:
    case = the_case(crm.company, messages=4)
    thread = crm.company.thread(case)
    person, agent = crm.company.people[case.person], crm.company.agents[case.number % 5]
    ticket = await crm.desk.ticket(case_id(case), CommentPage(limit=10, max_chars=20))
    assert [comment.model_dump(exclude={"id", "at"}) for comment in ticket.comments] == [
        Comment(
            id="",
            at=TODAY,
            author=person.name if said.agent is None else agent.name,
            role="customer" if said.agent is None else "agent",
            public=said.public,
            text=said.text[:20],
            truncated=True if len(said.text) > 20 else None,
        ).model_dump(exclude={"id", "at"})
        for said in reversed(thread)
    ]
    assert [c.at for c in ticket.comments] == [said.at.replace(microsecond=0) for said in reversed(thread)]
    pages: list[Comment] = []
    cursor, more = None, True
    while more:
        page = await crm.desk.ticket(case_id(case), CommentPage(cursor=cursor, limit=1, max_chars=20))
        pages += page.comments
        cursor, more = page.page.next_cursor, page.page.has_more
    assert pages == ticket.comments


@pytest.mark.parametrize("native", ["500Hs0000999999IAA", "00001001", "003Hs0000000002IAA", "../Case", "' OR Id != '"])
async def test_what_is_no_case_is_not_found(crm: Crm, native: str) -> None:
    with pytest.raises(NotFound, match="there is no case"):
        await crm.desk.ticket(native, CommentPage())
    with pytest.raises(NotFound, match="there is no case"):
        await crm.desk.update_ticket(native, TicketChange(status="open"), KEY)
    with pytest.raises(NotFound, match="there is no case"):
        await crm.desk.reply(native, Reply("Hello", "1"), KEY)


async def test_a_status_of_the_orgs_own_is_open_or_closed(crm: Crm) -> None:
    case = the_case(crm.company)
    [wire] = await crm.rows("Id, Subject", "Case", f"Id = '{case_id(case)}'")
    row = {
        **wire,
        "Priority": "Critical",
        "CreatedDate": "2026-10-30T08:00:00.000+0000",
        "LastModifiedDate": "2026-10-30T08:00:00.000+0000",
        "Contact": None,
        "SuppliedName": "Q",
        "Owner": None,
    }
    rows = [{**row, "Status": "Waiting on Customer", "IsClosed": False}, {**row, "Status": "Won", "IsClosed": True}]
    part = {"body": {"totalSize": 2, "done": True, "records": rows}, "httpStatusCode": 200, "referenceId": "Case"}
    page = await SalesforceCases(answering({"compositeResponse": [part]})).search_tickets(TicketQuery(), None, 5)
    assert [(r.status, r.priority, r.requester) for r in page.items] == [("open", None, "Q"), ("solved", None, "Q")]
