"""Whom an id or an address means: one for a write, everybody for a read, and never somebody guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.billing.books import DOWN, System

from backoffice_billing.directory import MOST, Directory
from backoffice_billing.models import Accounts
from backoffice_shared.errors import BackendUnavailable, InvalidInput, NotFound, PermissionDenied
from backoffice_shared.principal import Principal, acting

pytestmark = pytest.mark.anyio

ADA = "ada@mail.example"


class Street:
    """Ada is in all three, twice in Xero; Bob in Stripe alone, without an address."""

    def __init__(self) -> None:
        self.stripe, self.xero, self.quickbooks = System("stripe"), System("xero", "contact"), System("quickbooks")
        self.ada = self.stripe.person("cus_ada", ADA)
        self.bob = self.stripe.person("cus_bob")
        self.xero.person("x1", "Ada@Mail.example")
        self.xero.person("x2", ADA)
        self.quickbooks.person("7", ADA)
        self.directory = Directory({s.name: s for s in (self.stripe, self.xero, self.quickbooks)})

    async def accounts(self, *customer_ids: str) -> Accounts:
        return await self.directory.accounts(customer_ids, frozenset({"balance"}))


def ids(found: Accounts) -> list[str]:
    return [account.customer_id for account in found.items]


async def test_an_address_means_everybody_who_has_it_whatever_the_case_of_its_letters():
    at = Street()
    for written in (ADA, "ADA@mail.example", f"  {ADA} "):
        found = await at.directory.find(written)
        assert found.natives == {"stripe": ("cus_ada",), "xero": ("x1", "x2"), "quickbooks": ("7",)}
        assert [(s.backend, s.status) for s in found.sources] == [
            ("stripe", "ok"),
            ("xero", "ok"),
            ("quickbooks", "ok"),
        ]
        assert found.known_as == [written.strip(), ADA]


async def test_an_id_means_itself_where_it_is_from_and_its_address_elsewhere():
    at = Street()
    found = await at.directory.find("xero:contact:x1")
    assert found.natives == {"xero": ("x1",), "stripe": ("cus_ada",), "quickbooks": ("7",)}
    assert found.of("xero") == ("x1",)


async def test_who_has_no_address_is_known_nowhere_else_and_nobody_is_asked():
    at = Street()
    found = await at.directory.find(at.bob)
    assert (found.natives, found.unasked) == ({"stripe": ("cus_bob",)}, {})
    assert at.xero.asked == at.quickbooks.asked == []


async def test_nobody_is_not_found():
    at = Street()
    for nobody in ("stripe:customer:cus_none", "eve@mail.example"):
        with pytest.raises(NotFound):
            await at.directory.find(nobody)


@pytest.mark.parametrize(
    "nonsense",
    ["", "ada", "a@b", "a b@c.example", "stripe:invoice:in_1", "xero:customer:x1", "hubspot:contact:1", "stripe:customer:",
     "\x00@mail.example", "a@mail.example\nb@mail.example"],
)  # fmt: skip
async def test_what_is_neither_an_id_nor_an_address_is_refused(nonsense: str):
    at = Street()
    for ask in (at.directory.find(nonsense), at.directory.one(nonsense, "stripe"), at.accounts(nonsense)):
        with pytest.raises(InvalidInput):
            await ask
    assert at.stripe.asked == []


@given(text=st.text(max_size=40))
async def test_whatever_is_given_it_is_found_refused_or_not_found(text: str):
    at = Street()
    try:
        assert (await at.directory.find(text)).natives
    except (InvalidInput, NotFound):
        pass


async def test_a_system_that_does_not_answer_is_named_and_may_know_the_customer():
    at = Street()
    at.xero.error = DOWN
    for who in (ADA, at.ada):
        found = await at.directory.find(who)
        assert found.natives == {"stripe": ("cus_ada",), "quickbooks": ("7",)}
        assert (dict(found.unasked), [s.backend for s in found.sources if s.status == "error"]) == (
            {"xero": DOWN},
            ["xero"],
        )
        found.must_be_whole(None)
        with pytest.raises(BackendUnavailable):
            found.must_be_whole("a cursor")


async def test_when_the_ids_own_system_does_not_answer_nobody_else_is_taken_for_them():
    at = Street()
    at.stripe.error = DOWN
    found = await at.directory.find(at.ada)
    assert found.natives == {"stripe": ("cus_ada",)}
    assert sorted(found.unasked) == ["quickbooks", "xero"]
    assert [(s.backend, s.status) for s in found.sources] == [
        ("stripe", "error"),
        ("xero", "skipped"),
        ("quickbooks", "skipped"),
    ]
    assert at.xero.asked == []


async def test_what_the_caller_may_not_see_is_not_asked():
    at = Street()
    with acting(Principal("ada", "none", systems=frozenset({"stripe"}))):
        found = await at.directory.find(ADA)
        assert found.natives == {"stripe": ("cus_ada",)}
        assert [s.backend for s in found.sources if s.status == "skipped"] == ["xero", "quickbooks"]
        with pytest.raises(PermissionDenied):
            await at.directory.find("xero:contact:x1")
        with pytest.raises(PermissionDenied):
            await at.directory.one(ADA, "xero")
        with pytest.raises(PermissionDenied):
            await at.directory.one("xero:contact:x1", "stripe")
        assert "may not be seen by you" in (await at.accounts(at.ada, "xero:contact:x1")).notes[0]
    assert at.xero.asked == []


# ------------------------------------------------------------------------------------------------------------ to write


async def test_a_write_is_done_to_exactly_one():
    at = Street()
    assert await at.directory.one("xero:contact:x2", "xero") == "x2"
    assert at.xero.asked == []  # whether it exists, the write itself will see
    assert await at.directory.one(ADA, "quickbooks") == "7"
    assert await at.directory.one(at.ada, "quickbooks") == "7"
    for several in (ADA, at.ada):
        with pytest.raises(InvalidInput, match="several customers of xero: xero:contact:x1, xero:contact:x2"):
            await at.directory.one(several, "xero")


async def test_a_write_to_nobody_is_refused():
    at = Street()
    for nobody, system in (("eve@mail.example", "xero"), (at.bob, "xero"), ("stripe:customer:cus_none", "xero")):
        with pytest.raises(NotFound):
            await at.directory.one(nobody, system)
    with pytest.raises(InvalidInput, match="no customers in 'shopify'"):
        await at.directory.one(ADA, "shopify")
    at.xero.error = DOWN
    with pytest.raises(BackendUnavailable):
        await at.directory.one(ADA, "xero")


async def test_an_address_is_the_accounts_own():
    at = Street()
    assert [await at.directory.address(who) for who in (at.ada, at.bob, ADA)] == [ADA, None, ADA]
    with pytest.raises(NotFound):
        await at.directory.address("stripe:customer:cus_none")
    assert (at.directory.kind("xero"), at.directory.kind("stripe")) == ("contact", "customer")


# ----------------------------------------------------------------------------------------------------- their accounts


async def test_a_customer_has_a_row_for_each_account_in_each_system_their_own_first():
    at = Street()
    found = await at.accounts("quickbooks:customer:7", at.bob)
    assert ids(found) == [
        "quickbooks:customer:7",
        "stripe:customer:cus_ada",
        "xero:contact:x1",
        "xero:contact:x2",
        at.bob,
    ]
    assert all(account.balances for account in found.items)
    assert (found.not_found, found.notes) == ([], [])


async def test_an_account_that_is_meant_twice_is_shown_once():
    at = Street()
    everybody = ["stripe:customer:cus_ada", "xero:contact:x1", "xero:contact:x2", "quickbooks:customer:7"]
    assert ids(await at.accounts(ADA)) == everybody
    assert ids(await at.accounts(ADA, at.ada, "xero:contact:x1", ADA)) == everybody
    assert ids(await at.accounts("xero:contact:x2", ADA)) == [everybody[2], everybody[0], everybody[3], everybody[1]]


async def test_an_id_does_not_mean_others_of_its_own_system_with_the_same_address():
    at = Street()
    assert ids(await at.accounts("xero:contact:x1")) == [
        "xero:contact:x1",
        "stripe:customer:cus_ada",
        "quickbooks:customer:7",
    ]


async def test_who_is_nowhere_is_named_and_who_may_be_where_nobody_answered_is_not_called_missing():
    at = Street()
    found = await at.accounts(at.ada, "eve@mail.example", "xero:contact:x9")
    assert found.not_found == ["eve@mail.example", "xero:contact:x9"]
    at.xero.asked.clear()
    at.xero.error = DOWN
    found = await at.accounts(at.ada, "eve@mail.example", "xero:contact:x9", "quickbooks:customer:9")
    assert ids(found) == ["stripe:customer:cus_ada", "quickbooks:customer:7"]
    assert found.not_found == ["quickbooks:customer:9"]
    assert found.notes == [
        "eve@mail.example was not found, but xero did not answer",
        "xero:contact:x9 was not found, but xero did not answer",
    ]
    assert [s.backend for s in found.sources if s.status == "error"] == ["xero"]
    assert f"address {ADA}" not in at.xero.asked  # a system that has just failed is not asked again


async def test_when_nobody_answers_the_call_fails():
    at = Street()
    for system in (at.stripe, at.xero, at.quickbooks):
        system.error = DOWN
    with pytest.raises(BackendUnavailable):
        await at.accounts(ADA)
    with pytest.raises(BackendUnavailable):
        await at.directory.find(ADA)


async def test_each_system_is_asked_for_its_ids_once_and_for_each_address_once():
    at = Street()
    people = [at.stripe.person(f"cus_{n}", f"p{n}@mail.example") for n in range(MOST - 2)]
    await at.accounts(*people, at.ada, ADA)
    assert len(at.stripe.asked) == 2
    assert len(at.xero.asked) == len(set(at.xero.asked)) == MOST - 1
    with pytest.raises(InvalidInput, match=f"At most {MOST}"):
        await at.accounts(*people, at.ada, ADA, at.bob)
