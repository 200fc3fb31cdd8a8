"""One profile out of all records of a person: the first system that knows a thing says it, and who disagrees is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from backoffice_customer.directory import Person, digits
from backoffice_customer.models import Contact, Customer, Difference, Link, Preferences

# What one record says of each field that has one value; empty is nothing.
_FIELDS: dict[str, Callable[[Contact], str | None]] = {
    "name": lambda contact: contact.name,
    "company": lambda contact: contact.company,
    "owner": lambda contact: contact.owner,
    "tier": lambda contact: contact.tier,
    "lifecycle": lambda contact: contact.lifecycle,
    "language": lambda contact: contact.language,
    "country": lambda contact: contact.country,
}
_OF_ONE_SYSTEM = frozenset({"owner", "lifecycle"})
"""What each system has its own of: that they differ is no disagreement."""


def merged(person: Person) -> Customer:
    records = person.contacts
    said = {field: _said(records, value) for field, value in _FIELDS.items()}
    spent = next(((c.ref.backend, c.spent) for c in records if c.spent), None)
    first = {field: next(iter(values.values()), None) for field, values in said.items()}
    return Customer(
        customer_id=str(person.asked),
        name=first["name"] or "",
        emails=list(person.emails),
        phones=distinct_phones(phone for contact in records for phone in contact.phones),
        company=first["company"],
        owner=first["owner"],
        tier=first["tier"],
        lifecycle=first["lifecycle"],
        tags=list(dict.fromkeys(tag for contact in records for tag in contact.tags)),
        lifetime_value=None if spent is None else spent[1],
        preferences=preferences(records),
        links=[
            Link(
                system=contact.ref.backend,
                id=str(contact.ref),
                url=contact.url,
                matched_by="id" if contact.ref == person.asked else "email",
            )
            for contact in records
        ],
        conflicts=[
            Difference(field=field, values=values)
            for field, values in said.items()
            if field not in _OF_ONE_SYSTEM and len({value.casefold() for value in values.values()}) > 1
        ],
        provenance={
            **{field: next(iter(values)) for field, values in said.items() if values},
            **({} if spent is None else {"lifetime_value": spent[0]}),
        },
    )


def preferences(records: Sequence[Contact]) -> Preferences:
    """Consent as each system has it; language and country as the first that knows them."""
    return Preferences(
        language=next((c.language for c in records if c.language), None),
        country=next((c.country for c in records if c.country), None),
        email_marketing=_consent(records, lambda contact: contact.email_marketing),
        sms_marketing=_consent(records, lambda contact: contact.sms_marketing),
    )


def _consent(records: Sequence[Contact], given: Callable[[Contact], bool | None]) -> dict[str, bool]:
    """By system. Where one has several records, a refusal in any of them counts."""
    found: dict[str, bool] = {}
    for contact in records:
        if (consents := given(contact)) is not None:
            found[contact.ref.backend] = found.get(contact.ref.backend, True) and consents
    return found


def distinct_phones(phones: Iterable[str]) -> list[str]:
    """Each once, however it is written."""
    return list({digits(phone): phone for phone in phones}.values())


def _said(records: Sequence[Contact], value: Callable[[Contact], str | None]) -> dict[str, str]:
    """What each system says, in the order in which they are believed; of several records of one system, the first."""
    found: dict[str, str] = {}
    for contact in records:
        if told := value(contact):
            found.setdefault(contact.ref.backend, told)
    return found
