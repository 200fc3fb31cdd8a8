"""Which records are of one person: an e-mail address says so, unless several use it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backoffice_customer.merged import merged, preferences
from backoffice_customer.models import Contact, Ref
from backoffice_customer.sameness import grouped, same


def record(system: str, native: str, name: str, *emails: str, consents: bool | None = None) -> Contact:
    return Contact(ref=Ref(system, "contact", native), name=name, emails=list(emails), email_marketing=consents)


ADA = record("hubspot", "1", "Ada Byron", "ada@mail.example")
ADA_TOO = record("zendesk", "1", "A. Byron", "ada@mail.example", "ada@work.example")
ADA_AT_WORK = record("shopify", "1", "Ada King", "ada@work.example")
BOB = record("salesforce", "2", "Bob Byron", "info@acme.example", "bob@private.example")
ANN = record("salesforce", "3", "Ann Other", "info@acme.example")
DESK = record("hubspot", "4", "Acme Inc", "info@acme.example")


def refs(groups: list[list[Contact]]) -> set[frozenset[Ref]]:
    return {frozenset(contact.ref for contact in group) for group in groups}


def test_one_address_after_the_other_leads_to_the_same_person():
    assert refs(grouped([ADA, ADA_AT_WORK, ADA_TOO])) == {frozenset({ADA.ref, ADA_TOO.ref, ADA_AT_WORK.ref})}
    assert [contact.ref for contact in same(ADA, [ADA_TOO, ADA_AT_WORK])] == [ADA.ref, ADA_TOO.ref]


def test_an_address_that_two_of_one_system_have_joins_nobody():
    assert refs(grouped([BOB, ANN, DESK])) == {frozenset({BOB.ref}), frozenset({ANN.ref}), frozenset({DESK.ref})}
    assert same(BOB, [ANN, DESK]) == [BOB]


@pytest.mark.parametrize(
    ("names", "people"),
    [(("Bob Byron", "Acme Inc"), 2), (("Acme Inc", "acme  inc"), 1)],
)
def test_an_address_of_a_role_joins_only_who_has_the_same_name(names: tuple[str, str], people: int):
    records = [
        record("hubspot", "1", names[0], "sales@acme.example"),
        record("zendesk", "2", names[1], "sales@acme.example"),
    ]
    assert len(grouped(records)) == people


def test_whoever_has_no_address_is_one_alone():
    assert len(grouped([record("hubspot", "1", "X"), record("zendesk", "2", "X")])) == 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["hubspot", "zendesk", "shopify"]),
            st.sampled_from(["Ada", "Bob"]),
            st.lists(st.sampled_from(["a@x.example", "b@x.example", "info@x.example"]), unique=True),
        ),
        max_size=8,
    )
)
def test_every_record_is_in_one_group_and_no_group_has_two_of_a_system_by_one_address(
    given_: list[tuple[str, str, list[str]]],
):
    contacts = [record(system, str(n), name, *emails) for n, (system, name, emails) in enumerate(given_)]
    groups = grouped(contacts)
    assert sorted(str(c.ref) for group in groups for c in group) == sorted(str(c.ref) for c in contacts)
    for email in ("a@x.example", "b@x.example"):
        holders = [contact for contact in contacts if email in contact.emails]
        if len({contact.ref.backend for contact in holders}) == len(holders) > 0:
            assert sum(any(email in c.emails for c in group) for group in groups) == 1


def test_a_refusal_in_any_record_of_a_system_counts():
    records = [record("salesforce", "1", "A", consents=False), record("salesforce", "2", "A", consents=True)]
    assert preferences(records).email_marketing == {"salesforce": False}
    assert preferences(records[::-1]).email_marketing == {"salesforce": False}


def test_a_profile_says_who_said_what_and_who_disagrees():
    from backoffice_customer.directory import Person

    person = Person(ADA.ref, (ADA, ADA_TOO))
    profile = merged(person)
    assert profile.name == "Ada Byron"
    assert [(c.field, c.values) for c in profile.conflicts] == [
        ("name", {"hubspot": "Ada Byron", "zendesk": "A. Byron"})
    ]
    assert profile.provenance == {"name": "hubspot"}
