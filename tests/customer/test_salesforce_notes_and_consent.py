"""Notes and consent in Salesforce: what is then there, and that it is done once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.customer.sales import KEY, SITE, TODAY, Crm, business, case_id, contact, contact_id, new_crm, the_case

from backoffice_customer.models import Contact, Noted, PreferenceChanges, Ref
from backoffice_customer.ports import NoteDraft
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import NotFound, OutcomeUnknown
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=300, today=TODAY)


@pytest.fixture
def crm(company: Company) -> Crm:
    return new_crm(company)


@pytest.mark.parametrize("wanted", [True, False])
async def test_consent_is_whether_a_contact_has_opted_out(crm: Crm, wanted: bool) -> None:
    person = business(crm.company)[0].number
    await crm.people.contacts([contact_id(person)])
    changed = await crm.people.change_preferences(contact(person), PreferenceChanges(email_marketing=wanted), "asked")
    [row] = await crm.rows("HasOptedOutOfEmail", "Contact", f"Id = '{contact_id(person)}'")
    assert (changed.email_marketing, row["HasOptedOutOfEmail"]) == (wanted, not wanted)
    assert await crm.people.contacts([contact_id(person)]) == [changed]


async def test_consent_is_set_again_when_the_answer_is_lost(crm: Crm) -> None:
    person = business(crm.company)[0].number
    crm.faulty("drop_after_commit", "reset")
    changed = await crm.people.change_preferences(contact(person), PreferenceChanges(email_marketing=False), "asked")
    assert changed.email_marketing is False


async def test_what_a_contact_does_not_keep_is_left_alone(crm: Crm) -> None:
    person = business(crm.company)[0]
    same = await crm.people.change_preferences(contact(person.number), PreferenceChanges(language="fr"), "asked")
    assert same.email_marketing is person.email_consent
    assert not any(line.startswith("PATCH") for line in crm.asked)


async def test_the_consent_of_nobody_is_not_found(crm: Crm) -> None:
    for native in ("003Hs0000999999IAA", "../Account/1"):
        who = Contact(ref=Ref("salesforce", "contact", native), name="")
        with pytest.raises(NotFound):
            await crm.people.change_preferences(who, PreferenceChanges(email_marketing=False), "asked")


async def test_a_note_is_a_completed_task_of_the_contact(crm: Crm) -> None:
    case = the_case(crm.company)
    who = contact(case.person)
    written = await crm.people.add_note(
        who, NoteDraft("It's @{x}.\nCall back.", f"salesforce:ticket:{case_id(case)}"), KEY
    )
    native = written.value.note_id.rpartition(":")[2]
    assert written.value == Noted(
        note_id=f"salesforce:note:{native}", url=f"{SITE}/{native}", replayed=False, idempotency_key=KEY
    )
    [task] = await crm.rows("WhoId, WhatId, Subject, Description, Status", "Task", f"Id = '{native}'")
    assert task == {
        "WhoId": who.ref.native,
        "WhatId": case_id(case),
        "Subject": "Note",
        "Description": "It's @{x}.\nCall back.",
        "Status": "Completed",
    }
    [event] = await crm.all_events([who], 5, frozenset({"note"}))
    assert (event.id, event.title, event.direction) == (written.value.note_id, "Note", "internal")
    assert (event.summary, event.actor) == ("It's @{x}. Call back.", crm.company.agents[0].name)


async def test_a_note_about_something_elsewhere_says_so(crm: Crm) -> None:
    written = await crm.people.add_note(contact(2), NoteDraft("Wants it blue.", "shopify:order:7"), KEY)
    native = written.value.note_id.rpartition(":")[2]
    [task] = await crm.rows("WhatId, Description", "Task", f"Id = '{native}'")
    assert task == {"WhatId": None, "Description": "Wants it blue.\n\nAbout shopify:order:7"}


async def test_a_task_that_is_still_to_be_done_is_no_note(crm: Crm) -> None:
    await crm.raw("POST", "sobjects/Task", {"WhoId": contact_id(2), "Subject": "Call them"})
    assert await crm.all_events([contact(2)], 5, frozenset({"note"})) == []


async def test_a_note_whose_answer_is_lost_was_written_once(crm: Crm) -> None:
    crm.faulty("drop_after_commit")
    first = await crm.people.add_note(contact(2), NoteDraft("Call back."), KEY)
    with attempting(datetime.now(UTC) - timedelta(seconds=5)):
        again = await crm.people.add_note(contact(2), NoteDraft("Call back."), KEY)
    assert (again.value.note_id, first.replayed, again.replayed) == (first.value.note_id, False, True)
    tasks = await crm.rows("Id", "Task", f"WhoId = '{contact_id(2)}' AND Subject = 'Note'")
    assert len(tasks) == 1
    crm.faulty("reset")
    with pytest.raises(OutcomeUnknown):
        await crm.people.add_note(contact(2), NoteDraft("Something else."), KEY)


async def test_a_note_about_one_case_is_not_taken_for_one_about_another(crm: Crm) -> None:
    one, other = (NoteDraft("Call back.", f"salesforce:ticket:{case_id(n)}") for n in (1, 2))
    first = await crm.people.add_note(contact(2), one, KEY)
    with attempting(datetime.now(UTC) - timedelta(seconds=90)):
        second = await crm.people.add_note(contact(2), other, KEY)
        again = await crm.people.add_note(contact(2), one, KEY)
    assert (second.replayed, again.replayed) == (False, True)
    assert again.value.note_id == first.value.note_id != second.value.note_id
