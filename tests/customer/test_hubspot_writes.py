"""Notes and consent in HubSpot: what is sent, what is then there, and that it is done once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from tests.customer.crm import (
    BATCH_READ,
    HOSTILE,
    NOTES,
    OBJECTS,
    TODAY,
    Crm,
    client,
    contact,
    in_the_crm,
    new_crm,
    scripted,
)

from backoffice_customer.backends.hubspot import HubSpot
from backoffice_customer.backends.hubspot.consent import MARKETING
from backoffice_customer.backends.hubspot.richtext import LONGEST, html_of, text_of
from backoffice_customer.models import Contact, PreferenceChanges, Ref
from backoffice_customer.ports import NoteDraft, Span
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import InvalidInput, NotFound, OutcomeUnknown, RateLimited
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company
from backoffice_shared.sandbox.frame import Faults, InProcess

pytestmark = pytest.mark.anyio

KEY = "key-of-this-call"
WRITE_NOTE = f"POST {OBJECTS}/notes"


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def crm(company: Company) -> Crm:
    return new_crm(company)


def long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(hours=1)


async def texts(crm: Crm, person: int) -> list[str | None]:
    page = await crm.hubspot.events([contact(person)], NOTES, Span(), None, 50)
    return [event.summary for event in page.items]


# -------------------------------------------------------------------------------------------------------- notes


async def test_a_note_is_on_the_customers_record_at_once_and_is_newest(crm: Crm) -> None:
    before = await texts(crm, KEY_ACCOUNT)
    written = await crm.hubspot.add_note(contact(KEY_ACCOUNT), NoteDraft("Prefers mornings."), KEY)
    assert await texts(crm, KEY_ACCOUNT) == ["Prefers mornings.", *before]
    page = await crm.hubspot.events([contact(KEY_ACCOUNT)], NOTES, Span(), None, 1)
    assert (written.value.note_id, written.value.url) == (page.items[0].id, page.items[0].url)
    assert (written.replayed, written.value.replayed) == (False, False)


async def test_a_note_says_what_it_is_about(crm: Crm) -> None:
    await crm.hubspot.add_note(contact(1), NoteDraft("Called back.", related="zendesk:ticket:10001"), KEY)
    assert (await texts(crm, 1))[0] == "Called back. About zendesk:ticket:10001"


async def test_a_note_is_sent_as_rich_text_with_whose_record_it_is_on() -> None:
    asked: list[httpx.Request] = []
    http = client(scripted({f"{OBJECTS}/notes": {"id": "9"}}, status=201, asked=asked))
    written = await HubSpot(http).add_note(contact(1), NoteDraft("a <b> & c\nd\n\ne"), KEY)
    sent = json.loads(asked[-1].content)
    assert written.value.note_id == "hubspot:note:9"
    assert datetime.fromisoformat(sent["properties"].pop("hs_timestamp")).tzinfo is not None
    assert sent == {
        "properties": {"hs_note_body": "<p>a &lt;b&gt; &amp; c<br>d</p><p>e</p>"},
        "associations": [
            {
                "to": {"id": "100002"},
                "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}],
            }
        ],
    }


@pytest.mark.parametrize(
    "body", [*(text for text in HOSTILE if text.strip()), "*bold* _it_ `code` [a](b)", "# Title\r\n\r\n- one\r\n- two"]
)
async def test_whatever_a_note_holds_is_text(crm: Crm, body: str) -> None:
    await crm.hubspot.add_note(contact(1), NoteDraft(body), KEY)
    (newest, *_) = await texts(crm, 1)
    assert newest == " ".join(body.split())[:240]


async def test_a_note_whose_answer_was_lost_is_found_and_not_written_again(crm: Crm) -> None:
    crm.sandbox.faults = Faults(plan=["drop_after_commit"])
    written = await crm.hubspot.add_note(contact(1), NoteDraft("Once."), KEY)
    assert (await texts(crm, 1)).count("Once.") == 1
    assert written.replayed is False
    assert crm.wrote == [f"{WRITE_NOTE} 0"]


async def test_a_note_that_may_not_have_arrived_is_not_written_again_at_once(crm: Crm) -> None:
    crm.sandbox.faults = Faults(plan=["reset"])
    with pytest.raises(OutcomeUnknown):
        await crm.hubspot.add_note(contact(1), NoteDraft("Lost."), KEY)
    assert "Lost." not in await texts(crm, 1)
    with attempting(datetime.now(UTC)), pytest.raises(OutcomeUnknown, match="may still be carried out"):
        await crm.hubspot.add_note(contact(1), NoteDraft("Lost."), KEY)
    with attempting(long_ago()):
        await crm.hubspot.add_note(contact(1), NoteDraft("Lost."), KEY)
    assert (await texts(crm, 1)).count("Lost.") == 1
    assert crm.wrote == [f"{WRITE_NOTE} 0", f"{WRITE_NOTE} 201"]


async def test_a_repeated_call_finds_the_note_of_the_first(crm: Crm) -> None:
    first = await crm.hubspot.add_note(contact(1), NoteDraft("Two\n\nparagraphs & <more>"), KEY)
    with attempting(datetime.now(UTC)):
        again = await crm.hubspot.add_note(contact(1), NoteDraft("Two\n\nparagraphs & <more>"), KEY)
    assert (again.value.note_id, again.replayed) == (first.value.note_id, True)
    assert crm.wrote == [f"{WRITE_NOTE} 201"]


async def test_the_note_is_looked_for_where_searches_lag_behind(crm: Crm) -> None:
    crm.sandbox.faults = Faults(plan=["drop_after_commit"], stale_search=True)
    await crm.hubspot.add_note(contact(1), NoteDraft("Unseen."), KEY)
    assert "Unseen." not in await texts(crm, 1)
    assert crm.wrote == [f"{WRITE_NOTE} 0"]


async def test_somebody_elses_older_note_with_the_same_words_is_another_note(crm: Crm) -> None:
    old = crm.notes(KEY_ACCOUNT)[0].text
    crm.sandbox.faults = Faults(plan=["reset"])
    with pytest.raises(OutcomeUnknown):
        await crm.hubspot.add_note(contact(KEY_ACCOUNT), NoteDraft(old), KEY)


async def test_a_note_on_nobodys_record_is_refused(crm: Crm) -> None:
    with pytest.raises(InvalidInput, match="No contact with ID 999999 exists"):
        await crm.hubspot.add_note(Contact(ref=Ref("hubspot", "contact", "999999"), name="nobody"), NoteDraft("x"), KEY)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("one", "<p>one</p>"),
        ("one\ntwo", "<p>one<br>two</p>"),
        ("one\n\n\n\ntwo\r\n\r\nthree\n", "<p>one</p><p>two</p><p>three</p>"),
        ('<a href="x">&amp;</a>', "<p>&lt;a href=&quot;x&quot;&gt;&amp;amp;&lt;/a&gt;</p>"),
        ("", ""),
    ],
)
def test_text_becomes_rich_text_and_text_again(text: str, html: str) -> None:
    assert html_of(text) == html
    assert text_of(html) == "\n".join(line for line in text.split("\n") if line.strip()).replace("\r", "").strip()


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<a " * 100_000 + "</p>", ""),
        ("<![a[ " * 50_000 + "</p>", ""),
        ("<p>one</p>" + "<!-- " * 50_000, "one"),
        ("&#" + "9" * 60_000 + ";</p>", "\ufffd"),
        ("&#" + "9" * 60_000, "\ufffd"),
        ("x" * 1_000_000, "x" * LONGEST),
        ("<ul>" * 50_000 + "deep</ul>", ""),
        ("<div>" * 10_000 + "deep</div>", "deep"),
    ],
)
def test_hostile_text_is_read_in_passing(html: str, text: str) -> None:
    assert text_of(html) == text


# ------------------------------------------------------------------------------------------------------ consent


async def somebody(crm: Crm, *, consents: bool) -> Contact:
    person = next(p for p in in_the_crm(crm.company) if p.email_consent is consents)
    (found,) = await crm.hubspot.contacts([str(100_001 + person.number)])
    return found


@pytest.mark.parametrize("consents", [True, False])
async def test_consent_is_given_and_taken_and_read_back_at_once(crm: Crm, consents: bool) -> None:
    who = await somebody(crm, consents=not consents)
    after = await crm.hubspot.change_preferences(who, PreferenceChanges(email_marketing=consents), "asked on the phone")
    assert after == who.model_copy(update={"email_marketing": consents})
    assert await crm.hubspot.contacts([who.ref.native]) == [after]
    assert await crm.hubspot.contacts_by_email(who.emails) == [after]


async def test_a_language_is_changed_and_nothing_else(crm: Crm) -> None:
    who = await somebody(crm, consents=True)
    after = await crm.hubspot.change_preferences(who, PreferenceChanges(language="fr"), "asked")
    assert after == who.model_copy(update={"language": "fr", "updated_at": after.updated_at})
    assert await crm.hubspot.contacts([who.ref.native]) == [after]
    assert crm.wrote == [f"PATCH {OBJECTS}/contacts/{who.ref.native} 200"]


async def test_setting_preferences_twice_changes_nothing_more(crm: Crm) -> None:
    who, changes = await somebody(crm, consents=True), PreferenceChanges(language="fr", email_marketing=False)
    first = await crm.hubspot.change_preferences(who, changes, "asked")
    again = await crm.hubspot.change_preferences(who, changes, "asked")
    assert again == first.model_copy(update={"updated_at": again.updated_at})


async def test_what_hubspot_does_not_keep_is_not_sent(crm: Crm) -> None:
    who = await somebody(crm, consents=True)
    assert await crm.hubspot.change_preferences(who, PreferenceChanges(sms_marketing=True), "asked") == who
    assert crm.wrote == []


@pytest.mark.parametrize("fault", ["drop_after_commit", "reset"])
async def test_a_lost_answer_is_asked_for_again_for_that_harms_nobody(crm: Crm, fault: str) -> None:
    who = await somebody(crm, consents=True)
    crm.sandbox.faults = Faults.model_validate({"plan": [fault]})
    after = await crm.hubspot.change_preferences(who, PreferenceChanges(email_marketing=False), "asked")
    assert after.email_marketing is False
    assert crm.wrote == [f"POST /communication-preferences/v4/statuses/{who.emails[0]} {status}" for status in (0, 200)]


async def test_a_change_that_is_throttled_to_the_end_is_said_to_be(crm: Crm) -> None:
    who = await somebody(crm, consents=True)
    crm.sandbox.faults = Faults(throttle=1)
    with pytest.raises(RateLimited):
        await crm.hubspot.change_preferences(who, PreferenceChanges(email_marketing=False), "asked")


async def test_consent_goes_to_one_subscription_type_with_why() -> None:
    asked: list[httpx.Request] = []
    record = {"id": "512", "properties": {"email": "a/d?a@mail.example"}, "updatedAt": "2026-10-01T12:00:00Z"}
    answers = {BATCH_READ: {"results": [record]}, "": {}}
    hubspot = HubSpot(client(scripted(answers, asked=asked), options={"marketing_subscription": "413001"}))
    (who,) = await hubspot.contacts(["512"])
    await hubspot.change_preferences(who, PreferenceChanges(email_marketing=True), 'she "asked"')
    (sent,) = [request for request in asked if "communication" in request.url.path]
    assert sent.url.raw_path == b"/communication-preferences/v4/statuses/a%2Fd%3Fa%40mail.example"
    assert json.loads(sent.content) == {
        "subscriptionId": 413001,
        "statusState": "SUBSCRIBED",
        "channel": "EMAIL",
        "legalBasis": "CONSENT_WITH_NOTICE",
        "legalBasisExplanation": 'she "asked"',
    }


async def test_without_a_subscription_type_only_all_email_can_be_refused(crm: Crm) -> None:
    hubspot = HubSpot(client(InProcess(crm.sandbox), options={"marketing_subscription": ""}))
    who = await somebody(crm, consents=True)
    after = await hubspot.change_preferences(who, PreferenceChanges(email_marketing=False), "asked")
    assert after.email_marketing is False
    assert crm.wrote == [f"POST /communication-preferences/v4/statuses/{who.emails[0]}/unsubscribe-all 200"]
    crm.sandbox.requests.clear()
    with pytest.raises(InvalidInput, match=r"not configured.*BACKOFFICE_HUBSPOT_MARKETING_SUBSCRIPTION"):
        await hubspot.change_preferences(after, PreferenceChanges(language="fr", email_marketing=True), "asked")
    assert crm.wrote == []


@pytest.mark.parametrize("consents", [True, False])
@pytest.mark.parametrize("option", ["marketing", "-1", "413001 ", "٣"])
async def test_a_subscription_type_that_is_none_is_not_taken_for_all_email(
    crm: Crm, option: str, consents: bool
) -> None:
    hubspot = HubSpot(client(InProcess(crm.sandbox), options={"marketing_subscription": option}))
    who = await somebody(crm, consents=not consents)
    with pytest.raises(
        InvalidInput, match=r"is no id of a subscription type.*BACKOFFICE_HUBSPOT_MARKETING_SUBSCRIPTION"
    ):
        await hubspot.change_preferences(who, PreferenceChanges(language="fr", email_marketing=consents), "asked")
    assert crm.wrote == []


async def test_a_half_made_change_of_preferences_is_not_said_to_be_none(crm: Crm) -> None:
    who = await somebody(crm, consents=True)
    changes = PreferenceChanges(language="fr", email_marketing=False)
    # The language is set, then consent; then the contact is read again, which comes first where it is not known any more.
    crm.sandbox.faults = Faults.model_validate({"plan": ["ok", *["throttle"] * 3]})
    with pytest.raises(OutcomeUnknown, match="the language was set, but what comes after that failed"):
        await crm.hubspot.change_preferences(who, changes, "asked")
    crm.sandbox.faults = Faults.model_validate({"plan": ["ok", "ok", "ok", *["error"] * 3]})
    with pytest.raises(OutcomeUnknown, match="consent was set, but what comes after that failed"):
        await crm.hubspot.change_preferences(who, changes, "asked")
    after = await crm.hubspot.change_preferences(who, changes, "asked")
    assert (after.language, after.email_marketing) == ("fr", False)


async def test_who_refuses_one_kind_of_mail_is_not_taken_to_want_it(crm: Crm) -> None:
    who = await somebody(crm, consents=True)
    everything = HubSpot(client(InProcess(crm.sandbox)))
    await crm.hubspot.change_preferences(who, PreferenceChanges(email_marketing=False), "asked")
    assert [c.email_marketing for c in await everything.contacts([who.ref.native])] == [True]  # of e-mail as a whole
    assert [c.email_marketing for c in await crm.hubspot.contacts([who.ref.native])] == [False]


@pytest.mark.parametrize(
    ("optout", "own", "consent"),
    [
        ("", "", None),
        (None, None, None),
        ("false", "", True),
        ("", "false", True),
        ("true", "false", False),
        ("false", "true", False),
    ],
)
async def test_one_refusal_is_enough(optout: str | None, own: str | None, consent: bool | None) -> None:
    properties = {"hs_email_optout": optout, "hs_email_optout_413001": own}
    record = {"id": "512", "properties": properties, "updatedAt": "2026-10-01T12:00:00Z"}
    wire = scripted({"": {"results": [record]}})
    (found,) = await HubSpot(client(wire, options={"marketing_subscription": "413001"})).contacts(["512"])
    assert found.email_marketing is consent


async def test_who_has_no_address_cannot_consent(crm: Crm) -> None:
    with pytest.raises(InvalidInput, match="no e-mail address"):
        await crm.hubspot.change_preferences(contact(1), PreferenceChanges(email_marketing=True), "asked")
    assert crm.wrote == []


async def test_nobodys_language_cannot_be_changed(crm: Crm) -> None:
    nobody = Contact(ref=Ref("hubspot", "contact", "999999"), name="nobody")
    with pytest.raises(NotFound, match="there is no contact '999999'"):
        await crm.hubspot.change_preferences(nobody, PreferenceChanges(language="fr"), "asked")
    known_by_mail = nobody.model_copy(update={"emails": ["nobody@mail.example"]})
    with pytest.raises(NotFound, match="there is no contact '999999'"):
        await crm.hubspot.change_preferences(known_by_mail, PreferenceChanges(email_marketing=False), "asked")
    assert crm.wrote == []


@pytest.mark.parametrize("text", [text for text in HOSTILE if text not in ("", "x" * 50_000)])
async def test_an_address_from_outside_stays_in_its_place(text: str) -> None:
    asked: list[httpx.Request] = []
    record: dict[str, Any] = {"id": "512", "properties": {}, "updatedAt": "2026-10-01T12:00:00Z"}
    wire = scripted({"": {"results": [record]}}, asked=asked)
    who = Contact(ref=Ref("hubspot", "contact", "512"), name="somebody", emails=[f"{text}@mail.example"])
    hubspot = HubSpot(client(wire, options={"marketing_subscription": "413001"}))
    await hubspot.change_preferences(who, PreferenceChanges(email_marketing=False), "asked")
    (sent,) = [request for request in asked if "communication" in request.url.path]
    assert sent.url.raw_path == f"/communication-preferences/v4/statuses/{quote(text, safe='')}%40mail.example".encode()


@pytest.mark.parametrize("email", ["no address", "two words@mail.example", "../x"])
async def test_what_is_no_address_is_refused(crm: Crm, email: str) -> None:
    who = Contact(ref=Ref("hubspot", "contact", "100002"), name="somebody", emails=[email])
    with pytest.raises(InvalidInput, match="is not a valid email address"):
        await crm.hubspot.change_preferences(who, PreferenceChanges(email_marketing=False), "asked")


def test_the_sandboxs_marketing_is_the_subscription_that_it_is_configured_with(crm: Crm) -> None:
    assert crm.sandbox.options["marketing_subscription"] == str(MARKETING)


# ----------------------------------------------------------------------------------- what the vendor would not take

NOTE: dict[str, Any] = {"properties": {"hs_note_body": "x", "hs_timestamp": "2026-11-01T00:00:00Z"}, "associations": []}


@pytest.mark.parametrize(
    ("kind", "properties", "code"),
    [
        ("notes", {"hs_note_body": "x"}, "REQUIRED_FIELD"),
        ("notes", {**NOTE["properties"], "hs_note_bdoy": "x"}, "PROPERTY_DOESNT_EXIST"),
        ("notes", {**NOTE["properties"], "hs_createdate": "2026-11-01T00:00:00Z"}, "READ_ONLY_VALUE"),
        ("notes", {**NOTE["properties"], "hubspot_owner_id": "5"}, "INVALID_OWNER_ID"),
        ("tickets", {"subject": "x"}, "REQUIRED_FIELD"),
        ("tickets", {"subject": "x", "hs_pipeline_stage": "77001"}, "INVALID_STAGE"),
        ("tickets", {"subject": "x", "hs_pipeline_stage": "1", "hs_ticket_priority": "HUGE"}, "INVALID_OPTION"),
    ],
)
async def test_the_sandbox_takes_only_what_the_vendor_does(
    crm: Crm, kind: str, properties: dict[str, Any], code: str
) -> None:
    request = httpx.Request(
        "POST",
        f"https://api.hubapi.com{OBJECTS}/{kind}",
        headers={"Authorization": f"Bearer {crm.sandbox.credentials['access_token']}"},
        json={"properties": properties, "associations": []},
    )
    answer = await InProcess(crm.sandbox).handle_async_request(request)
    wire = json.loads(await answer.aread())
    assert (answer.status_code, wire["category"], code in wire["message"]) == (400, "VALIDATION_ERROR", True)
