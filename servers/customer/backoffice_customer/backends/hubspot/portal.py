"""The company's records as HubSpot numbers and names them, and what was written to them.

Nothing is copied until it is written to. The company's agents are owners; what customers who are no businesses asked of
marketing are tickets. Every second one of those has a conversation (`inbox.py`), whose messages are e-mails too; the
others have only e-mails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from html import escape
from itertools import chain, count
from typing import Any

from backoffice_customer.backends.hubspot.answers import Record, is_number, time
from backoffice_customer.backends.hubspot.pipelines import stage_of
from backoffice_shared.sandbox.company import Agent, Call, Comment, Company, Note, Person, Ticket

FIRST_CONTACT, FIRST_NOTE, FIRST_OWNER, FIRST_USER = 100_001, 500_001, 900_001, 7_001
FIRST_CALL, FIRST_TICKET = 2_000_001, 3_000_001
_FIRST_EMAIL, _FIRST_TICKET_NOTE, _FIRST_NEW = 4_000_000, 6_000_000, 9_000_001  # a ticket's comments are ten at most

PORTAL = 62_515
"""The number of the company's account."""

KINDS = ("contacts", "tickets", "notes", "emails", "calls", "meetings")

Optouts = Callable[[str], Record]
"""The opt-out properties of an address."""


class Portal:
    """While `searches_are_stale`, they do not see what was written."""

    def __init__(self, company: Company, optouts: Optouts, searches_are_stale: Callable[[], bool]) -> None:
        self.company = company
        self.people = {FIRST_CONTACT + p.number: p for p in company.people if "crm" in p.systems}
        self.by_email = {person.email: number for number, person in self.people.items()}
        self.searches_are_stale = searches_are_stale
        self._optouts = optouts
        self._written: dict[tuple[str, int], Record] = {}
        self._links: dict[tuple[str, int, str], list[int]] = {}
        self._new = count(_FIRST_NEW)

    # ---------------------------------------------------------------------------------------------- what is there

    def numbers(self, kind: str) -> Iterator[int]:
        yield from self._given_numbers(kind)
        if not self.searches_are_stale():
            yield from [number for of, number in self._written if of == kind and number >= _FIRST_NEW]

    def record(self, kind: str, number: int, *, as_searched: bool = False) -> Record | None:
        """As it is, or as a search sees it."""
        written = None if as_searched and self.searches_are_stale() else self._written.get((kind, number))
        found = written or self._given(kind, number)
        if found is None or kind != "contacts":
            return found
        optouts = self._optouts(str(found["properties"].get("email") or ""))
        return {**found, "properties": {**found["properties"], **optouts}}

    def linked(self, kind: str, number: int, to: str) -> list[int]:
        return [*self._given_links(kind, number, to), *self._links.get((kind, number, to), [])]

    def mentions(self, kind: str, number: int, words: list[str]) -> bool:
        """Whether the properties that are searched by default hold every word."""
        if kind == "contacts" and ("contacts", number) not in self._written:
            person = self.people[number]
            organisation = self.company.organisation(person)
            text = f"{person.name} {person.email} {person.phone} {organisation.name if organisation else ''}"
        else:
            found = self.record(kind, number, as_searched=True)
            text = "" if found is None else " ".join(str(found["properties"].get(name) or "") for name in _SEARCHED)
        return all(word in text.lower() for word in words)

    # ---------------------------------------------------------------------------------------------------- writing

    def create(self, kind: str, properties: Record, links: Iterable[tuple[str, int]] = ()) -> Record:
        number = next(self._new)
        record = _record(kind, number, datetime.now(UTC), properties)
        self._written[(kind, number)] = record
        if kind == "contacts" and properties.get("email"):
            self.by_email[str(properties["email"]).lower()] = number
        for to, other in links:
            self.link(kind, number, to, other)
        return record

    def change(self, kind: str, number: int, properties: Record) -> Record:
        """`properties` replace those of the record, which was modified now, and later than before."""
        before = self._written.get((kind, number)) or self._given(kind, number)
        assert before is not None  # noqa: S101 - whoever changes it has looked
        at = max(datetime.now(UTC), datetime.fromisoformat(before["updatedAt"]) + timedelta(milliseconds=1))
        _, modified = _times(kind)
        values = {**before["properties"], **properties, modified: time(at)}
        record = {**before, "properties": values, "updatedAt": time(at)}
        self._written[(kind, number)] = record
        return record

    def link(self, kind: str, number: int, to: str, other: int) -> None:
        """A ticket with something new to it was modified by that."""
        self._links.setdefault((kind, number, to), []).append(other)
        self._links.setdefault((to, other, kind), []).append(number)
        if to == "tickets":
            self.change("tickets", other, {})

    # --------------------------------------------------------------------------- the company's, in HubSpot's words

    def owner(self, agent: Agent) -> Record:
        first, _, last = agent.name.partition(" ")
        since = time(self.company.today - timedelta(days=2000))
        return {
            "id": str(FIRST_OWNER + agent.number),
            "type": "PERSON",
            "email": agent.email,
            "firstName": first,
            "lastName": last,
            "userId": FIRST_USER + agent.number,
            "userIdIncludingInactive": FIRST_USER + agent.number,
            "createdAt": since,
            "updatedAt": since,
            "archived": False,
        }

    def inquiry(self, number: int) -> Ticket | None:
        """The company's request behind a ticket."""
        place = number - FIRST_TICKET
        return self.company.inquiries[place] if 0 <= place < len(self.company.inquiries) else None

    def _given_numbers(self, kind: str) -> Iterable[int]:
        company = self.company
        match kind:
            case "contacts":
                return self.people
            case "tickets":
                return range(FIRST_TICKET, FIRST_TICKET + len(company.inquiries))
            case "notes":
                own = range(FIRST_NOTE, FIRST_NOTE + len(company.notes))
                return chain(own, *(self._ticket_notes(ticket) for ticket in company.inquiries))
            case "emails":
                return chain.from_iterable(self._ticket_emails(ticket) for ticket in company.inquiries)
            case "calls":
                return (FIRST_CALL + call.number for call in company.calls if not self._is_business(call.person))
            case _:
                return ()

    def _given(self, kind: str, number: int) -> Record | None:
        company = self.company
        match kind:
            case "contacts" if number in self.people:
                return self._contact(number, self.people[number])
            case "tickets" if (ticket := self.inquiry(number)) is not None:
                return self._ticket(number, ticket)
            case "notes" if 0 <= number - FIRST_NOTE < len(company.notes):
                return self._note(number, company.notes[number - FIRST_NOTE])
            case "notes" if (found := self._comment(number - _FIRST_TICKET_NOTE)) is not None and not found[1].public:
                return self._ticket_note(number, found[1])
            case "emails" if (found := self._comment(number - _FIRST_EMAIL)) is not None and number in (
                self._ticket_emails(found[0])
            ):
                return self._email(number, *found)
            case "calls" if 0 <= number - FIRST_CALL < len(company.calls):
                call = company.calls[number - FIRST_CALL]
                return None if self._is_business(call.person) else self._call(number, call)
            case _:
                return None

    def _given_links(self, kind: str, number: int, to: str) -> list[int]:
        company, person = self.company, number - FIRST_CONTACT
        match kind, to:
            case "contacts", "notes":
                return [FIRST_NOTE + note.number for note in company.notes_of.get(person, [])]
            case "contacts", "calls":
                calls = [] if self._is_business(person) else company.calls_of.get(person, [])
                return [FIRST_CALL + call.number for call in calls]
            case "contacts", "tickets":
                return [FIRST_TICKET + ticket.number for ticket in self._inquiries_of.get(person, [])]
            case "contacts", "emails":
                return [n for ticket in self._inquiries_of.get(person, []) for n in self._ticket_emails(ticket)]
            case "tickets", _ if (ticket := self.inquiry(number)) is not None:
                mine = {
                    "contacts": [FIRST_CONTACT + ticket.person],
                    "notes": self._ticket_notes(ticket),
                    "emails": self._ticket_emails(ticket),
                }
                return mine.get(to, [])
            case "notes", "contacts" if 0 <= number - FIRST_NOTE < len(company.notes):
                return [FIRST_CONTACT + company.notes[number - FIRST_NOTE].person]
            case "calls", "contacts" if self._given(kind, number) is not None:
                return [FIRST_CONTACT + company.calls[number - FIRST_CALL].person]
            case (("notes" | "emails"), ("tickets" | "contacts")) if self._given(kind, number) is not None:
                first = _FIRST_TICKET_NOTE if kind == "notes" else _FIRST_EMAIL
                ticket = company.inquiries[(number - first) // 10]
                if to == "tickets":
                    return [FIRST_TICKET + ticket.number]
                return [FIRST_CONTACT + ticket.person] if kind == "emails" else []
            case _:
                return []

    @cached_property
    def _inquiries_of(self) -> dict[int, list[Ticket]]:
        found: dict[int, list[Ticket]] = {}
        for ticket in self.company.inquiries:
            found.setdefault(ticket.person, []).append(ticket)
        return found

    def _is_business(self, person: int) -> bool:
        return not 0 <= person < len(self.company.people) or self.company.people[person].is_business

    def _comment(self, place: int) -> tuple[Ticket, Comment] | None:
        """The ticket's message that an e-mail or a note is made of."""
        number, index = divmod(place, 10)
        if not 0 <= number < len(self.company.inquiries):
            return None
        ticket = self.company.inquiries[number]
        thread = self.company.thread(ticket)
        return (ticket, thread[index]) if index < len(thread) else None

    def _ticket_notes(self, ticket: Ticket) -> list[int]:
        internal = [n for n, comment in enumerate(self.company.thread(ticket)) if not comment.public]
        return [_FIRST_TICKET_NOTE + 10 * ticket.number + n for n in internal]

    def _ticket_emails(self, ticket: Ticket) -> list[int]:
        """All of a conversation; where there is none, what came after the description."""
        first = 0 if has_thread(ticket) else 1
        public = [n for n, comment in enumerate(self.company.thread(ticket)) if comment.public and n >= first]
        return [_FIRST_EMAIL + 10 * ticket.number + n for n in public]

    def _contact(self, number: int, person: Person) -> Record:
        organisation = self.company.organisation(person)
        return _record(
            "contacts",
            number,
            person.since,
            {
                "firstname": person.first_name,
                "lastname": person.last_name,
                "email": person.email,
                "phone": person.phone,
                "mobilephone": None,
                "company": None if organisation is None else organisation.name,
                "hubspot_owner_id": self._owner_of(person.number),
                "lifecyclestage": {"lead": "lead", "customer": "customer", "former": "other"}[person.lifecycle],
                "hs_language": person.language,
                "country": person.country,
                "customer_tier": person.tier,
            },
        )

    def _note(self, number: int, note: Note) -> Record:
        written = {
            "hs_note_body": f"<div><p>{escape(note.text)}</p></div>",
            "hs_timestamp": time(note.at),
            "hubspot_owner_id": self._owner_of(note.person),
        }
        return _record("notes", number, note.at, written)

    def _ticket_note(self, number: int, comment: Comment) -> Record:
        written = {
            "hs_note_body": f"<div><p>{escape(comment.text)}</p></div>",
            "hs_timestamp": time(comment.at),
            "hubspot_owner_id": self._owner_of(comment.agent or 0),
        }
        return _record("notes", number, comment.at, written)

    def _email(self, number: int, ticket: Ticket, comment: Comment) -> Record:
        person = self.company.people[ticket.person]
        agent = None if comment.agent is None else self.company.agents[comment.agent]
        first, _, last = (person if agent is None else agent).name.partition(" ")
        written = {
            "hs_timestamp": time(comment.at),
            "hs_email_subject": f"Re: {ticket.subject}",
            "hs_email_text": comment.text,
            "hs_email_html": f"<p>{escape(comment.text)}</p>",
            "hs_email_direction": "INCOMING_EMAIL" if agent is None else "EMAIL",
            "hs_email_status": "SENT",
            "hs_email_from_email": (person if agent is None else agent).email,
            "hs_email_from_firstname": first,
            "hs_email_from_lastname": last,
            "hubspot_owner_id": None if agent is None else self._owner_of(agent.number),
        }
        return _record("emails", number, comment.at, written)

    def _call(self, number: int, call: Call) -> Record:
        written = {
            "hs_timestamp": time(call.at),
            "hs_call_title": "Call from a customer" if call.inbound else "Call to a customer",
            "hs_call_body": escape(call.text),
            "hs_call_direction": "INBOUND" if call.inbound else "OUTBOUND",
            "hs_call_duration": str(call.minutes * 60_000),
            "hs_call_status": "COMPLETED",
            "hubspot_owner_id": self._owner_of(call.agent),
        }
        return _record("calls", number, call.at, written)

    def _ticket(self, number: int, ticket: Ticket) -> Record:
        pipeline, stage = stage_of(ticket)
        record = _record(
            "tickets",
            number,
            ticket.created_at,
            {
                "subject": ticket.subject,
                "content": self.company.thread(ticket)[0].text,
                "hs_pipeline": pipeline,
                "hs_pipeline_stage": stage,
                "hs_ticket_priority": _PRIORITIES[ticket.priority],
                "hubspot_owner_id": None if ticket.status == "new" else self._owner_of(ticket.number),
                "source_type": "EMAIL" if has_thread(ticket) else "FORM",
            },
        )
        record["updatedAt"] = record["properties"]["hs_lastmodifieddate"] = time(ticket.updated_at)
        return record

    def _owner_of(self, number: int) -> str:
        return str(FIRST_OWNER + number % len(self.company.agents))


def has_thread(ticket: Ticket) -> bool:
    return ticket.number % 2 == 0


_PRIORITIES = {"low": "LOW", "normal": "MEDIUM", "high": "HIGH", "urgent": "URGENT"}

_SEARCHED = (
    *("firstname", "lastname", "email", "phone", "company"),
    *("subject", "content", "hs_note_body", "hs_email_subject", "hs_email_text", "hs_call_body"),
)


def _times(kind: str) -> tuple[str, str]:
    """The properties that hold when a record was made and modified. Every kind has names of its own for them."""
    created = "createdate" if kind in ("contacts", "tickets") else "hs_createdate"
    return created, "lastmodifieddate" if kind == "contacts" else "hs_lastmodifieddate"


def _record(kind: str, number: int, at: datetime, properties: Record) -> Record:
    created, modified = _times(kind)
    own = {"hs_object_id": str(number), created: time(at), modified: time(at)}
    values: dict[str, Any] = {**properties, **own}
    return {
        "id": str(number),
        "properties": values,
        "createdAt": time(at),
        "updatedAt": time(at),
        "archived": False,
        "url": f"https://app.hubspot.com/contacts/{PORTAL}/record/{_TYPES[kind]}/{number}",
    }


_TYPES = {
    "contacts": "0-1",
    "tickets": "0-5",
    "notes": "0-46",
    "meetings": "0-47",
    "calls": "0-48",
    "emails": "0-49",
}
"""What HubSpot calls the kinds of records in its pages' addresses."""


def numbers_of(texts: Iterable[str]) -> list[int]:
    """The ids among them, as numbers; 0, which nothing has, for what is none."""
    return [int(text) if is_number(text) else 0 for text in texts]
