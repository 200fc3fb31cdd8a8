"""Who somebody is, across systems. People are joined by what proves that they are the same: an id, an e-mail address.

A name proves nothing. Where several people may be meant, all of them are returned with the reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from backoffice_customer.models import Candidate, Contact, Match, Ref, parse_ref
from backoffice_customer.ports import People
from backoffice_customer.sameness import grouped, same
from backoffice_shared.envelope import Listing
from backoffice_shared.errors import BackofficeError, InvalidInput, NotFound
from backoffice_shared.paging import Cursors, cut
from backoffice_shared.sources import Source, at_once, fan_out, together

_MOST = 50  # candidates asked of one system

By = Literal["id", "email", "number", "phone", "name", "company", "text"]
_CONFIDENCE: dict[By, float] = {
    "id": 1.0,
    "email": 1.0,
    "number": 0.9,
    "phone": 0.9,
    "name": 0.6,
    "company": 0.4,
    "text": 0.3,
}


@dataclass(frozen=True, slots=True)
class Person:
    """One customer: the record that was asked for, and those of other systems that are the same person."""

    asked: Ref
    contacts: tuple[Contact, ...]
    numbers: frozenset[str] = frozenset()
    """Of orders and tickets by which they were found."""
    unasked: Mapping[str, BackofficeError] = field(default_factory=dict[str, BackofficeError])
    """Systems that may know this person, and why they could not be asked."""

    def of(self, system: str) -> list[Contact]:
        return [contact for contact in self.contacts if contact.ref.backend == system]

    @property
    def own(self) -> Contact:
        """The record that was asked for: the same whichever systems answer."""
        return next(contact for contact in self.contacts if contact.ref == self.asked)

    @property
    def known_as(self) -> list[str]:
        """By what they are asked for: an answer that was found by these addresses continues only by these."""
        return [str(self.asked), *sorted(self.emails)]

    def must_be_whole(self, cursor: str | None) -> None:
        """
        Raises:
            BackofficeError: a page is to be continued, and a system cannot say now who this is to it.
        """
        if cursor is not None and self.unasked:
            raise next(iter(self.unasked.values()))

    @property
    def emails(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(email for contact in self.contacts for email in contact.emails))


@dataclass(frozen=True, slots=True)
class Found:
    """`unknown`: the system was asked, and has nobody with this id. `unasked`: it did not answer."""

    people: list[Person]
    sources: list[Source]
    unknown: list[str]
    unasked: list[str]


class Directory:
    """`systems` in the order in which they are believed: the first that knows a name gives it."""

    def __init__(self, systems: Mapping[str, People], cursors: Cursors) -> None:
        self._systems = systems
        self._cursors = cursors

    def keeps_people(self, system: str) -> bool:
        return system in self._systems

    async def people(self, customer_ids: Sequence[str]) -> Found:
        """These customers, each with everything that is known to be the same person.

        Raises:
            InvalidInput: something is not a customer's id.
            BackofficeError: every system failed.
        """
        asked = {text: self._ref(text) for text in dict.fromkeys(customer_ids)}
        natives: dict[str, list[str]] = {}
        for ref in asked.values():
            natives.setdefault(ref.backend, []).append(ref.native)
        reads = {name: partial(self._systems[name].contacts, ids) for name, ids in natives.items()}
        own = (await fan_out(reads, share=0.5)).or_raise()
        by_ref = {contact.ref: contact for contacts in own.values.values() for contact in contacts}
        others, sources, errors = await self._others(by_ref.values())
        found = [
            Person(ref, self._ranked(same(by_ref[ref], [*others, *by_ref.values()])), unasked=errors)
            for ref in asked.values()
            if ref in by_ref
        ]
        lacking = [text for text, ref in asked.items() if ref not in by_ref]
        return Found(
            people=found,
            sources=together(own.sources, sources),
            unknown=[text for text in lacking if asked[text].backend in own.values],
            unasked=[text for text in lacking if asked[text].backend not in own.values],
        )

    async def person(self, customer_id: str) -> tuple[Person, list[Source]]:
        """One customer.

        Raises:
            NotFound: nobody has this id.
        """
        found = await self.people([customer_id])
        if not found.people:
            raise NotFound("", f"there is no customer {customer_id!r}", hint="find_customers finds ids")
        return found.people[0], found.sources

    async def candidates(
        self, query: str | None, identifiers: Sequence[str], *, limit: int, cursor: str | None
    ) -> Listing[Candidate]:
        """Everybody who may be meant, most certain first.

        Raises:
            InvalidInput: nothing was asked for.
        """
        texts = [text for text in dict.fromkeys((*identifiers, *((query,) if query else ()))) if text.strip()]
        if not texts:
            raise InvalidInput("", "give a query or identifiers", hint='For example identifiers=["ada@example.com"]')
        # An identifier is somebody's or nobody's: what could not be one is not searched for.
        texts = [text for text in texts if text == query or self._is_exact(text)]
        reads = {name: partial(self._search, name, texts) for name in self._systems}
        answers = (await fan_out(reads, share=0.7)).or_raise()
        contacts = {contact.ref: contact for found in answers.values.values() for contact in found.contacts}
        owners = {ref: number for found in answers.values.values() for ref, number in found.owners.items()}
        # Only one system knows an order or a ticket; the others may know whose it is.
        others, sources, _ = await self._others(contacts[ref] for ref in owners)
        contacts |= {contact.ref: contact for contact in others}
        people = [_person(self._ranked(group), owners) for group in grouped(contacts.values())]
        matched: list[tuple[Person, By | None]] = [
            (person, _best_reason(person, query, identifiers)) for person in people
        ]
        holders = Counter(email for person in people for email in person.emails)
        found = sorted((_candidate(person, by, holders) for person, by in matched if by is not None), key=_certainty)
        rows, page, resume = cut(
            found,
            limit=limit,
            cursor=cursor,
            cursors=self._cursors,
            question=["candidates", query, list(identifiers), sorted(answers.values)],
        )
        capped = [name for name, found in answers.values.items() if len(found.contacts) >= _MOST]
        notes = [f"{name} has more matches than are shown: ask more precisely" for name in capped]
        if any(holders[text.strip().lower()] > 1 for text in texts if _is_email(text)):
            notes.append("several people have this address: by it alone, nobody is certain")
        page = page.model_copy(update={"total_is_estimate": bool(capped or answers.errors)})
        return Listing[Candidate](
            page=page, items=rows, sources=together(answers.sources, sources), notes=notes
        ).resumed_by(resume)

    async def _search(self, system: str, texts: Sequence[str]) -> _Hits:
        people = self._systems[system]
        emails = [text for text in texts if _is_email(text)]
        refs = {text: ref for text in texts if (ref := self._maybe_ref(text)) is not None}
        found = await at_once(
            people.contacts([ref.native for ref in refs.values() if ref.backend == system]),
            people.contacts_by_email(emails),
            *(_by_text(people, text) for text in texts if text not in refs and text not in emails),
        )
        numbers = {text: number for text in texts if (number := _number(text)) is not None}
        owned = await at_once(*(people.contacts_by_number(number) for number in numbers.values()))
        owners = {c.ref: n for n, contacts in zip(numbers.values(), owned, strict=True) for c in contacts}
        return _Hits(list({c.ref: c for contacts in (*found, *owned) for c in contacts}.values()), owners)

    async def _others(
        self, contacts: Iterable[Contact]
    ) -> tuple[list[Contact], list[Source], Mapping[str, BackofficeError]]:
        """What all systems have under the e-mail addresses of these."""
        emails = sorted({email for contact in contacts for email in contact.emails})
        if not emails:
            return [], [], {}
        reads = {name: partial(people.contacts_by_email, emails) for name, people in self._systems.items()}
        answers = await fan_out(reads, share=0.5)
        found = [contact for contacts in answers.values.values() for contact in contacts]
        return found, answers.sources, answers.errors

    def _ranked(self, contacts: Iterable[Contact]) -> tuple[Contact, ...]:
        order = list(self._systems)
        return tuple(sorted(contacts, key=lambda contact: order.index(contact.ref.backend)))

    def _ref(self, text: str) -> Ref:
        return parse_ref(text, {name: people.kind for name, people in self._systems.items()})

    def _is_exact(self, text: str) -> bool:
        return _is_email(text) or _is_phone(text) or _number(text) is not None or self._maybe_ref(text) is not None

    def _maybe_ref(self, text: str) -> Ref | None:
        try:
            return self._ref(text)
        except InvalidInput:
            return None


async def _by_text(people: People, text: str) -> list[Contact]:
    if _is_phone(text):
        return await people.search_contacts(digits(text), _MOST)
    return [] if _number(text) is not None else await people.search_contacts(text, _MOST)


@dataclass(frozen=True, slots=True)
class _Hits:
    """What one system found. `owners` were found by the number of an order or ticket."""

    contacts: list[Contact]
    owners: dict[Ref, str]


def _person(contacts: tuple[Contact, ...], owners: Mapping[Ref, str]) -> Person:
    return Person(contacts[0].ref, contacts, frozenset(owners[c.ref] for c in contacts if c.ref in owners))


def masked(email: str) -> str:
    """ada.lovelace@example.com → a•••@example.com"""
    local, _, domain = email.partition("@")
    return f"{local[:1]}•••@{domain}"


def _best_reason(person: Person, query: str | None, identifiers: Sequence[str]) -> By | None:
    """Why this person may be meant. An identifier must be theirs: that it occurs in something of theirs is no reason."""
    exact: list[By] = [by for text in identifiers if (by := _reason(person, text)) in _EXACT]
    reasons: list[By] = [*exact, *([_reason(person, query)] if query and query.strip() else [])]
    return max(reasons, key=_CONFIDENCE.__getitem__, default=None)


_EXACT = ("id", "email", "number", "phone")


def _candidate(person: Person, by: By, holders: Mapping[str, int]) -> Candidate:
    """`holders`: how many people have an address. One that several have makes none of them certain."""
    alone = by != "email" or any(holders[email] == 1 for email in person.emails)
    best = person.contacts[0]
    seen = [contact.updated_at for contact in person.contacts if contact.updated_at is not None]
    return Candidate(
        customer_id=str(best.ref),
        name=masked(best.name) if _is_email(best.name) else best.name,
        email_masked=masked(person.emails[0]) if person.emails else None,
        company=next((c.company for c in person.contacts if c.company), None),
        tier=next((c.tier for c in person.contacts if c.tier), None),
        status=next((c.lifecycle for c in person.contacts if c.lifecycle), None),
        last_activity_at=max(seen, default=None),
        match=Match(
            by=by,
            confidence=_CONFIDENCE[by] if alone else 0.5,
            found_in=[contact.ref.backend for contact in person.contacts],
        ),
    )


def _reason(person: Person, text: str) -> By:
    wanted = text.strip().lower()
    if wanted in {str(contact.ref) for contact in person.contacts}:
        return "id"
    if wanted in person.emails:
        return "email"
    if _number(wanted) in person.numbers:
        return "number"
    phones = [digits(phone) for contact in person.contacts for phone in contact.phones]
    if _is_phone(wanted) and any(phone.endswith(digits(wanted)) for phone in phones):
        return "phone"
    if any(contact.name.lower() == wanted for contact in person.contacts):
        return "name"
    if any((contact.company or "").lower() == wanted for contact in person.contacts):
        return "company"
    return "text"


def _certainty(candidate: Candidate) -> tuple[float, str, str]:
    return (-candidate.match.confidence, candidate.name, candidate.customer_id)


def _is_email(text: str) -> bool:
    return re.fullmatch(r"[^\s@]+@[^\s@]+\.[^\s@.]+", text.strip()) is not None


def _number(text: str) -> str | None:
    """`1042` of "#1042" or "1042": what may be the number of an order or a ticket."""
    found = re.fullmatch(r"#?(\d{1,12})", text.strip(), re.ASCII)
    return None if found is None else found[1]


def _is_phone(text: str) -> bool:
    """Seven digits or more, and nothing but what people write between them."""
    return re.fullmatch(r"[\d\s()+./-]+", text.strip()) is not None and len(digits(text)) >= 7


def digits(text: str) -> str:
    return re.sub(r"\D", "", text)
