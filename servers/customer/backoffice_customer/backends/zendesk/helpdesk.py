"""The fictional company's helpdesk: who and what is in it, as Zendesk numbers them, what was written, and how to find it.

The company's agents are Zendesk's agents; customers whom the helpdesk knows are its end users. What is written stays
in here. No two writes have the same time, in the seconds that Zendesk tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain, count
from typing import Any

from backoffice_customer.backends.zendesk.search import COMPARED, Term, condition, moment, spaced
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.sandbox.company import Agent, Comment, Company, Person, Ticket

STATUSES = ("new", "open", "pending", "hold", "solved", "closed")
PRIORITIES = ("low", "normal", "high", "urgent")

_FIRST_TICKET, _FIRST_USER, _FIRST_AGENT = 10_001, 200_001, 900_001
ME = _FIRST_AGENT
"""The agent whom requests act for."""


@dataclass(frozen=True, slots=True)
class Audit:
    """One write to a ticket: `comment` is the place in the thread of what was said, `changed` the fields with what they
    were before and are now. `custom` is the metadata of whoever wrote.
    """

    at: datetime
    comment: int | None
    changed: tuple[tuple[str, Any, Any], ...] = ()
    custom: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Written:
    """A ticket as it is since it was written to. `number` and `person` are the company's, `assignee` is a user's id."""

    number: int
    person: int
    subject: str
    status: str
    priority: str | None
    tags: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    assignee: int | None
    comments: tuple[Comment, ...]
    audits: tuple[Audit, ...]
    channel: str
    order: int | None


AnyTicket = Ticket | Written


class Helpdesk:
    """Users and tickets go by Zendesk's ids. Of the company's tickets none is copied until it is written to.

    While `searches_are_stale`, they do not find who and what is new, and find tickets as they were before. `present`
    is the time of a write, unless the one before it was less than a second ago.
    """

    def __init__(
        self, company: Company, searches_are_stale: Callable[[], bool], present: Callable[[], datetime]
    ) -> None:
        self.company = company
        self.people = {_FIRST_USER + p.number: p for p in company.people if "helpdesk" in p.systems}
        self.agents = {_FIRST_AGENT + a.number: a for a in company.agents}
        self.by_email = {user.email: n for n, user in chain(self.people.items(), self.agents.items())}
        self.changed_at: dict[int, datetime] = {}
        """When users were changed, who were."""
        self._searches_are_stale = searches_are_stale
        self._written: dict[int, Written] = {}  # by the company's number
        # What searches look through.
        self._ticket_texts: dict[tuple[int, datetime], str] = {}  # of the ticket since it was written to then
        self._user_texts: dict[int, str] = {}
        self._new_users = count(_FIRST_USER + len(company.people))
        self._new_tickets = count(len(company.tickets))
        self._present = present
        self._last_write = company.today.replace(microsecond=0)

    # ------------------------------------------------------------------------------------------- who and what is there

    def knows(self, user_id: int) -> bool:
        return user_id in self.people or user_id in self.agents

    def user(self, user_id: int) -> Person | Agent:
        return self.people.get(user_id) or self.agents[user_id]

    def ticket(self, ticket_id: int) -> AnyTicket | None:
        number = ticket_id - _FIRST_TICKET
        if number in self._written:
            return self._written[number]
        return self.company.tickets[number] if 0 <= number < len(self.company.tickets) else None

    def comments(self, ticket: AnyTicket) -> tuple[Comment, ...]:
        return ticket.comments if isinstance(ticket, Written) else tuple(self.company.thread(ticket))

    def audits(self, ticket: AnyTicket) -> tuple[Audit, ...]:
        """Oldest first. Of the company's tickets, each comment is one write."""
        if isinstance(ticket, Written):
            return ticket.audits
        return tuple(Audit(comment.at, n) for n, comment in enumerate(self.company.thread(ticket)))

    def assignee(self, ticket: AnyTicket) -> int | None:
        if isinstance(ticket, Written):
            return ticket.assignee
        return None if ticket.status == "new" else _FIRST_AGENT + ticket.number % len(self.company.agents)

    def copied(self, ticket: AnyTicket) -> list[int]:
        """Of some of the company's tickets, another customer is sent copies."""
        if ticket.number % 7 != 3 or ticket.number >= len(self.company.tickets):
            return []
        neighbours = (_FIRST_USER + (ticket.person + n) % len(self.company.people) for n in range(1, 10))
        return [user_id for user_id in neighbours if user_id in self.people][:1]

    def followers(self, ticket: AnyTicket) -> list[int]:
        """Of some of those, an agent is told what happens."""
        return [_FIRST_AGENT + 1] if self.copied(ticket) and ticket.number % 2 else []

    # --------------------------------------------------------------------------------------------------------- writing

    def save_user(self, name: str, email: str, phone: str | None = None) -> tuple[int, bool]:
        """The user with this address, made or renamed. Says whether it is new."""
        first, _, last = name.partition(" ")
        known = self.by_email.get(email.lower())
        if known is None:
            return self._add_user(first, last, email.lower(), phone or ""), True
        if (person := self.people.get(known)) is not None:
            named = replace(person, first_name=first, last_name=last) if name else person
            self._change_user(known, replace(named, phone=phone or named.phone))
        return known, False

    def update_user(self, user_id: int, wanted: dict[str, Any]) -> None:
        """An end user. What `wanted` leaves out stays as it is."""
        person = self.people[user_id]
        first, _, last = str(wanted.get("name") or person.name).partition(" ")
        language = str(wanted.get("locale") or person.language).partition("-")[0].lower()
        phone = str(wanted.get("phone") or person.phone)
        self._change_user(user_id, replace(person, first_name=first, last_name=last, phone=phone, language=language))

    def _change_user(self, user_id: int, changed: Person) -> None:
        if changed != self.people[user_id]:
            self.people[user_id] = changed
            self.changed_at[user_id] = self._now()
            self._user_texts.pop(user_id, None)

    def _add_user(self, first: str, last: str, email: str, phone: str) -> int:
        user_id = next(self._new_users)
        self.people[user_id] = Person(
            number=user_id - _FIRST_USER,
            first_name=first,
            last_name=last,
            email=email,
            phone=phone,
            language="en",
            country="US",
            organisation=None,
            tier="free",
            lifecycle="lead",
            email_consent=False,
            since=self._now(),
            systems=frozenset({"helpdesk"}),
        )
        self.by_email[email] = user_id
        return user_id

    def open_ticket(self, requester: int, wanted: dict[str, Any], text: str, *, public: bool) -> Written:
        """`wanted` has Zendesk's fields."""
        now, assignee = self._now(), _id(wanted.get("assignee_id"))
        ticket = Written(
            number=next(self._new_tickets),
            person=requester - _FIRST_USER,
            subject=str(wanted.get("subject") or ""),
            status=str(wanted.get("status") or "new"),
            priority=wanted.get("priority"),
            tags=tuple(str(tag).lower() for tag in arr(wanted.get("tags"))),
            created_at=now,
            updated_at=now,
            assignee=assignee,
            comments=(_my_comment(now, text, public=public),),
            audits=(Audit(now, 0, custom=obj(wanted.get("metadata"))),),
            channel="api",
            order=None,
        )
        self._written[ticket.number] = ticket
        return ticket

    def update_ticket(self, ticket: AnyTicket, wanted: dict[str, Any], text: str, *, public: bool) -> AnyTicket:
        """What `wanted` leaves out stays as it is. Without a text there is no new comment, and where nothing else
        changes either, no audit.
        """
        now, comments = self._now(), self.comments(ticket)
        tags = [*arr(wanted.get("tags", list(ticket.tags))), *arr(wanted.get("additional_tags"))]
        before = self._fields(ticket)
        after: dict[str, Any] = {
            "subject": str(wanted.get("subject", ticket.subject)),
            "status": str(wanted.get("status") or ticket.status),
            "priority": wanted.get("priority", ticket.priority),
            "tags": tuple(dict.fromkeys(tag for tag in tags if tag not in arr(wanted.get("remove_tags")))),
            "assignee": _id(wanted["assignee_id"]) if "assignee_id" in wanted else self.assignee(ticket),
        }
        changed = tuple((name, before[name], value) for name, value in after.items() if before[name] != value)
        if not changed and not text:
            return ticket
        audit = Audit(now, len(comments) if text else None, changed, obj(wanted.get("metadata")))
        written = Written(
            number=ticket.number,
            person=ticket.person,
            **after,
            created_at=ticket.created_at,
            updated_at=now,
            comments=(*comments, *([_my_comment(now, text, public=public)] if text else [])),
            audits=(*self.audits(ticket), audit),
            channel=channel(ticket),
            order=ticket.order,
        )
        self._written[ticket.number] = written
        return written

    def _fields(self, ticket: AnyTicket) -> dict[str, Any]:
        return {
            "subject": ticket.subject,
            "status": ticket.status,
            "priority": ticket.priority,
            "tags": ticket.tags,
            "assignee": self.assignee(ticket),
        }

    def _now(self) -> datetime:
        now = self._present().replace(microsecond=0)
        self._last_write = max(now, self._last_write + timedelta(seconds=1))
        return self._last_write

    # --------------------------------------------------------------------------------------------------------- finding

    def find_tickets(self, terms: list[Term], *, by: str, ascending: bool) -> list[AnyTicket]:
        """In the order of the property `by`: of the creation when it has no order."""
        asked = condition(terms, self._ticket_test)
        read, _ = _ORDERED.get(by.removesuffix("_at"), _ORDERED["created"])
        found = [ticket for ticket in self._candidates(terms) if asked(ticket)]
        return sorted(found, key=lambda ticket: (read(ticket), ticket.number), reverse=not ascending)

    def find_users(self, terms: list[Term]) -> list[int]:
        asked = condition(terms, self._user_test)
        emails = [term.value.lower() for term in terms if term.key == "email" and not term.negated]
        some = [self.by_email[email] for email in dict.fromkeys(emails) if email in self.by_email]
        everybody = some if emails else chain(self.people, self.agents)
        return [user_id for user_id in everybody if self._is_seen(user_id) and asked(user_id)]

    def _candidates(self, terms: list[Term]) -> Iterator[AnyTicket]:
        """What there is to look at: with requesters asked for, not the company's tickets of all the others."""
        old = self.company.tickets
        new = () if self._searches_are_stale() else [t for n, t in self._written.items() if n >= len(old)]
        who = [term.value for term in terms if term.key == "requester" and not term.negated]
        if who:
            people = {user_id - _FIRST_USER for value in who for user_id in self._users_meant(value)}
            old = [ticket for person in people for ticket in self.company.tickets_of.get(person, ())]
        changed = {} if self._searches_are_stale() else self._written
        for ticket in old:
            yield changed.get(ticket.number, ticket)
        yield from new

    def _is_seen(self, user_id: int) -> bool:
        is_new = user_id in self.people and user_id >= _FIRST_USER + len(self.company.people)
        return not (is_new and self._searches_are_stale())

    def _ticket_test(self, term: Term) -> Callable[[AnyTicket], bool]:
        """What a term asks of a ticket, with all that can be known beforehand."""
        value = term.value.lower()
        if term.key in _ORDERED:
            (read, meant), compare = _ORDERED[term.key], COMPARED[term.operator]
            wanted = meant(value)
            return lambda ticket: compare(read(ticket), wanted)
        match term.key:
            case "tags":
                return lambda ticket: value in ticket.tags
            case "requester":
                requesters = self._users_meant(value)
                return lambda ticket: requester(ticket) in requesters
            case "assignee":
                is_nobody = value == "none" and not term.is_phrase
                assignees = {None} if is_nobody else self._users_meant(value)
                return lambda ticket: self.assignee(ticket) in assignees
            case "":
                text = spaced(value)
                return lambda ticket: text in self._ticket_text(ticket) or value == str(ticket_id(ticket))
            case _:
                return lambda _ticket: False  # a property that only users have

    def _user_test(self, term: Term) -> Callable[[int], bool]:
        value, text, digits = term.value.lower(), spaced(term.value), _digits(term.value)
        match term.key:
            case "email":
                return lambda user_id: self.user(user_id).email == value
            case "role":
                return lambda user_id: value == ("agent" if user_id in self.agents else "end-user")
            case "name":
                return lambda user_id: text in spaced(self.user(user_id).name)
            case "phone":
                return lambda user_id: (
                    digits != "" and user_id in self.people and digits in _digits(self.people[user_id].phone)
                )
            case "":
                return lambda user_id: value == str(user_id) or text in self._user_text(user_id)
            case _:
                return lambda _user_id: False  # a property that only tickets have

    def _users_meant(self, value: str) -> set[int]:
        """Requesters and assignees are given by id, by e-mail address, or by name."""
        if value.isdecimal():
            return {int(value)}
        if "@" in value:
            return {user_id} if (user_id := self.by_email.get(value.lower())) else set()
        text = spaced(value)
        return {n for n, user in chain(self.people.items(), self.agents.items()) if text and text in spaced(user.name)}

    def _ticket_text(self, ticket: AnyTicket) -> str:
        key = ticket.number, ticket.updated_at
        if key not in self._ticket_texts:
            parts = [ticket.subject, *ticket.tags, *(comment.text for comment in self.comments(ticket))]
            self._ticket_texts[key] = spaced(" ".join(parts))
        return self._ticket_texts[key]

    def _user_text(self, user_id: int) -> str:
        if user_id not in self._user_texts:
            user = self.user(user_id)
            parts = [user.name, user.email]
            if isinstance(user, Person):
                organisation = self.company.organisation(user)
                parts += [user.phone, "" if organisation is None else organisation.name]
            self._user_texts[user_id] = spaced(" ".join(parts))
        return self._user_texts[user_id]


def ticket_id(ticket: AnyTicket) -> int:
    return _FIRST_TICKET + ticket.number


def requester(ticket: AnyTicket) -> int:
    return _FIRST_USER + ticket.person


def author(ticket: AnyTicket, comment: Comment) -> int:
    return requester(ticket) if comment.agent is None else _FIRST_AGENT + comment.agent


def channel(ticket: AnyTicket) -> str:
    return ticket.channel if isinstance(ticket, Written) else "email"


def _my_comment(at: datetime, text: str, *, public: bool) -> Comment:
    return Comment(at, ME - _FIRST_AGENT, public, text)


def _rank(values: tuple[str, ...], value: str | None) -> int:
    return values.index(value) if value in values else -1


_ORDERED: dict[str, tuple[Callable[[AnyTicket], Any], Callable[[str], Any]]] = {
    "status": (lambda ticket: _rank(STATUSES, ticket.status), lambda value: _rank(STATUSES, value)),
    "priority": (lambda ticket: _rank(PRIORITIES, ticket.priority), lambda value: _rank(PRIORITIES, value)),
    "created": (lambda ticket: ticket.created_at.replace(microsecond=0), moment),
    "updated": (lambda ticket: ticket.updated_at.replace(microsecond=0), moment),
}
"""What is compared by size: how to read it from a ticket, and what a value in a query means."""


def _id(value: Any) -> int | None:
    return None if value is None else int(value)


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)
