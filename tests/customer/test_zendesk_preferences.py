"""The language somebody is written to in, as Zendesk keeps it: set once, and only to one that the account has."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from tests.customer.helpdesk import PRESENT, TODAY, USER, Helpdesk, helpdesk, saying, user

from backoffice_customer.backends.zendesk import Zendesk
from backoffice_customer.backends.zendesk.sandbox import ACCESS_TOKEN
from backoffice_customer.models import Contact, PreferenceChanges, Ref
from backoffice_shared.errors import InvalidInput, NotFound
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company
from backoffice_shared.sandbox.frame import Faults

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=TODAY)


@pytest.fixture
def desk(company: Company) -> Helpdesk:
    """With a token that is there already, so that faults meet what is written."""
    return helpdesk(company, access_token=ACCESS_TOKEN)


async def test_a_language_is_set_and_seen_at_once(desk: Helpdesk) -> None:
    person = next(p for p in desk.company.people if p.language == "en" and "helpdesk" in p.systems)
    [before] = await desk.zendesk.contacts([str(200_001 + person.number)])
    changed = await desk.zendesk.change_preferences(before, PreferenceChanges(language="pt"), "asked by phone")
    assert changed == before.model_copy(update={"language": "pt", "updated_at": PRESENT})
    assert await desk.zendesk.contacts([before.ref.native]) == [changed]
    assert (await desk.wire("GET", f"users/{before.ref.native}"))["user"]["locale"] == "pt-BR"


async def test_a_language_that_is_set_already_is_left_as_it_is(desk: Helpdesk) -> None:
    person = next(p for p in desk.company.people if p.language == "pt" and "helpdesk" in p.systems)
    [before] = await desk.zendesk.contacts([str(200_001 + person.number)])
    for changes in (PreferenceChanges(language="pt"), PreferenceChanges(email_marketing=False, sms_marketing=True)):
        assert await desk.zendesk.change_preferences(before, changes, "") == before
    assert all(entry.method == "GET" for entry in desk.sandbox.requests)


async def test_setting_a_language_twice_changes_nothing_more_when_the_answer_is_lost(desk: Helpdesk) -> None:
    who = user(KEY_ACCOUNT)
    language = "ja" if desk.company.people[KEY_ACCOUNT].language != "ja" else "de"
    await desk.zendesk.change_preferences(who, PreferenceChanges(language="en"), "")
    desk.sandbox.faults = Faults(plan=["ok", "ok", "drop_after_commit"])
    changed = await desk.zendesk.change_preferences(who, PreferenceChanges(language=language), "")
    assert changed.language == language


async def test_a_language_that_the_account_does_not_have_is_refused(desk: Helpdesk) -> None:
    with pytest.raises(InvalidInput, match=r"no locale for 'xx'. It has en-US, de, fr, pt-BR, ja"):
        await desk.zendesk.change_preferences(user(KEY_ACCOUNT), PreferenceChanges(language="xx"), "")


@pytest.mark.parametrize(
    ("has", "locale"), [(["en-US", "es-419", "es"], "es"), (["en-US", "ES-mx", "es-419"], "ES-mx"), (["est"], None)]
)
async def test_the_language_itself_is_preferred_to_one_of_its_countries(has: list[str], locale: str | None) -> None:
    sent: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            sent.append(json.loads(request.content))
            return httpx.Response(200, json={"user": {**USER, "locale": locale}})
        if request.url.path == "/api/v2/locales":
            return httpx.Response(200, json={"locales": [{"locale": name} for name in has]})
        return httpx.Response(200, json={"users": [USER], "organizations": [{"id": 3, "name": "Engines"}]})

    who, changes = Contact(ref=Ref("zendesk", "user", "7"), name=""), PreferenceChanges(language="es")
    if locale is None:
        with pytest.raises(InvalidInput):
            await Zendesk(saying(answer)).change_preferences(who, changes, "")
        return
    changed = await Zendesk(saying(answer)).change_preferences(who, changes, "")
    assert (changed.language, changed.company) == ("es", "Engines")
    assert sent == [{"user": {"locale": locale}}]


@pytest.mark.parametrize("number", ["1", "me", "9" * 400, "200001/../200002"])
async def test_who_is_nobody_has_no_language(desk: Helpdesk, number: str) -> None:
    nobody = Contact(ref=Ref("zendesk", "user", number), name="")
    with pytest.raises(NotFound, match="no user"):
        await desk.zendesk.change_preferences(nobody, PreferenceChanges(language="de"), "")
    assert all(entry.method == "GET" for entry in desk.sandbox.requests)
