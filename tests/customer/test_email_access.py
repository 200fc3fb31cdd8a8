"""How the mail servers are reached, by every kind of credentials, and what is said when they fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator

import httpx
import pytest
from tests.customer.mailroom import KEY, MAIL, TODAY, Mailbox, mailbox

from backoffice_customer.backends.email import EMAIL, Email
from backoffice_customer.backends.email.access import Place, Refused, login, place, secured
from backoffice_customer.backends.email.postoffice import SUPPORT
from backoffice_customer.backends.email.sandbox import ACCESS_TOKEN, PASSWORD
from backoffice_customer.ports import TicketQuery
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.deadline import within
from backoffice_shared.errors import BackendUnavailable, BackofficeError, MalformedAnswer, PermissionDenied, RateLimited
from backoffice_shared.http.client import connect
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=TODAY)


@pytest.fixture
async def box(company: Company) -> AsyncGenerator[Mailbox]:
    async with mailbox(company) as box:
        yield box


# --------------------------------------------------------------------------------------------------- servers that fail


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("throttle", RateLimited),
        ("error", BackendUnavailable),
        ("reset", BackendUnavailable),
        ("drop_after_commit", BackendUnavailable),
        ("malformed", BackendUnavailable),
        ("wrong_types", BackendUnavailable),
    ],
)
async def test_a_read_that_fails_all_the_time_says_why(box: Mailbox, fault: str, error: type[BackofficeError]) -> None:
    box.broken(**{fault: 1.0})
    with pytest.raises(error):
        await box.email.search_tickets(TicketQuery(), None, 5)
    box.broken()
    assert (await box.email.search_tickets(TicketQuery(), None, 5)).items


async def test_a_read_that_fails_once_is_asked_again(box: Mailbox) -> None:
    for fault in ("error", "reset", "malformed", "wrong_types", "drop_after_commit"):
        box.broken(fault)
        assert (await box.email.search_tickets(TicketQuery(), None, 5)).items


async def test_a_server_that_hangs_is_not_waited_for_beyond_the_deadline(box: Mailbox) -> None:
    await box.email.search_tickets(TicketQuery(), None, 1)
    box.broken(slow=1.0, seconds=30)
    with within(0.3, box.clock), pytest.raises(BackendUnavailable):
        await box.email.search_tickets(TicketQuery(text="x"), None, 5)


async def test_the_index_of_texts_may_lag_and_nothing_is_sent_twice_for_it(box: Mailbox) -> None:
    box.broken(stale_search=True)
    box.receive("From: ada@engine.example\nSubject: Zebra\nMessage-ID: <z@engine.example>\n\nStripes.")
    assert (await box.email.search_tickets(TicketQuery(text="zebra"), None, 5)).items == []
    await box.email.send(MAIL, KEY)
    assert (await box.email.send(MAIL, KEY)).replayed is True
    box.broken()
    assert len((await box.email.search_tickets(TicketQuery(text="zebra"), None, 5)).items) == 1


async def test_either_credential_logs_in_and_a_wrong_one_is_refused(company: Company) -> None:
    async with mailbox(company, username=SUPPORT, access_token=ACCESS_TOKEN) as box:
        assert (await box.email.search_tickets(TicketQuery(), None, 1)).items
    async with mailbox(company, username=SUPPORT, password="wrong-" + "x" * 8) as box:
        with pytest.raises(PermissionDenied, match="Authentication failed"):
            await box.email.search_tickets(TicketQuery(), None, 1)


async def test_when_it_is_closed_no_thread_and_no_connection_is_left(company: Company) -> None:
    async with mailbox(company) as box:
        await asyncio.gather(*(box.email.search_tickets(TicketQuery(text=word), None, 1) for word in "abcdef"))
        assert any(thread.name.startswith("mail") for thread in threading.enumerate())
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("mail")]


async def test_an_answer_that_is_not_ours_is_malformed() -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, json={"threads": 7}))
    secrets = EnvironmentCredentials({"email_username": SUPPORT, "email_password": PASSWORD})
    options = {"imap_server": "a.example", "smtp_server": "b.example", "address": SUPPORT}
    http = connect(EMAIL, transport, secrets, base_url=EMAIL.base_url.format(**options), options=options)
    with pytest.raises(MalformedAnswer):
        await Email(http).search_tickets(TicketQuery(), None, 5)


# ----------------------------------------------------------------------------------------------------- without a wire


def test_servers_are_named_with_or_without_a_port() -> None:
    assert place("imap.example", 993) == Place("imap.example", 993)
    assert place("imap.example:143", 993) == Place("imap.example", 143)
    assert place("[::1]:1143", 993) == Place("::1", 1143)
    assert place("[::1]", 993) == Place("::1", 993)
    for wrong in ("imap.example:x", "imap.example:0", ":993", "imap.example:65536"):
        with pytest.raises(Refused, match="is not a server"):
            place(wrong, 993)


def test_a_password_leaves_this_machine_over_tls_only() -> None:
    assert secured(Place("imap.example", 143), offered=True) is True
    assert secured(Place("127.0.0.1", 143), offered=False) is False
    with pytest.raises(Refused, match="offers no TLS on port 143"):
        secured(Place("imap.example", 143), offered=False)


def test_a_login_is_a_sasl_mechanism_and_its_first_message() -> None:
    request = httpx.Request("GET", "mail://a/b/c")
    EMAIL.authorize(request, {"username": "ada", "password": "p:ä"})  # pyright: ignore[reportArgumentType]
    found = login(request.headers["authorization"])
    assert (found.mechanism, found.user, found.password) == ("PLAIN", "ada", "p:ä")
    assert "p:ä" not in repr(found)
    EMAIL.authorize(request, {"username": "ada", "access_token": "t0k"})  # pyright: ignore[reportArgumentType]
    found = login(request.headers["authorization"])
    assert (found.mechanism, found.initial) == ("XOAUTH2", b"user=ada\x01auth=Bearer t0k\x01\x01")
