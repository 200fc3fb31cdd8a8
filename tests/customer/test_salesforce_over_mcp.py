"""What Salesforce keeps, as a client of the server sees it."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from tests.customer.office import Office, office
from tests.customer.sales import case_id

pytestmark = pytest.mark.anyio


def a_case(at: Office) -> tuple[str, list[str]]:
    """The id of a case with a draft in it, and what was said in it, the newest first."""
    case = next(case for case in at.company.cases if case.number % 4 == 1 and len(at.company.thread(case)) > 2)
    return f"salesforce:ticket:{case_id(case)}", [said.text for said in at.company.thread(case)][::-1]


async def test_every_comment_of_a_case_is_given_exactly_once_and_drafts_never() -> None:
    async with office(customers=200) as at:
        native, said = a_case(at)
        asked: dict[str, Any] = {"ticket_id": native, "comment_limit": 1, "max_chars": 8_000}
        page = await at.ask("get_ticket", **asked)
        texts = [comment["text"] for comment in page["comments"]]
        while page["page"]["has_more"]:
            page = await at.ask("get_ticket", **asked, comment_cursor=page["page"]["next_cursor"])
            texts += [comment["text"] for comment in page["comments"]]
        assert texts == said


INJECTED = "2026-11-01T00:00:00Z) OR (Id != null"


@pytest.mark.parametrize(
    "places",
    [
        {"CaseComment": [INJECTED, 0]},
        {"CaseComment": ["2026-11-01T00:00:00Z\n", 0]},
        {"CaseComment": ["2026-11-01T00:00:00Z", -1]},
        {"CaseComment": ["2026-11-01T00:00:00Z", 10**9]},
        {"CaseComment": ["2026-11-01T00:00:00Z", "0 OFFSET 1"]},
        {"CaseComment": ["2026-11-01T00:00:00Z", True]},
        {"User": ["2026-11-01T00:00:00Z", 0]},
        {"CaseComment": [None, 0], "Task": [None, 0]},
        {},
        [],
        None,
    ],
    ids=str,
)
async def test_a_cursor_that_was_not_given_out_is_refused(places: object) -> None:
    async with office(customers=200) as at:
        native, _ = a_case(at)
        at.sandboxes["salesforce"].requests.clear()
        forged = urlsafe_b64encode(json.dumps(places).encode()).decode()
        for given in (forged, forged.rstrip("="), json.dumps(places), "x", "é", f"[{json.dumps(places)}]"):
            said = await at.refusal("get_ticket", ticket_id=native, comment_cursor=given)
            assert "cursor: not a cursor of this server" in said or "comment_cursor" in said
        assert all("CaseComment" not in entry.path for entry in at.sandboxes["salesforce"].requests)


async def test_a_cursor_says_nothing_that_a_client_could_mistake_for_data() -> None:
    async with office(customers=200) as at:
        native, _ = a_case(at)
        page = await at.ask("get_ticket", ticket_id=native, comment_limit=1)
        cursor = page["page"]["next_cursor"]
        assert not cursor.startswith(("{", "[", '"'))
        assert json.loads(urlsafe_b64decode(cursor))
