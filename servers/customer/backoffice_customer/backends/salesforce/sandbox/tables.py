"""The sandbox's tables: the company's records, none made before it is asked for, and those that were written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

from backoffice_customer.backends.salesforce.sandbox.ids import number_of, place_of
from backoffice_customer.backends.salesforce.sandbox.records import FIRST_CASE_NUMBER, PARENTS, THREAD, Record, Records
from backoffice_shared.sandbox.company import Comment, Company, Ticket

_DRAFTED = 4
"""One case in so many has the draft of an answer, an e-mail that was never sent."""


class Refused(Exception):  # noqa: N818 - it is what happened
    def __init__(self, status: int, code: str, message: str, *fields: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.fields = status, code, message, fields


@dataclass
class Table:
    """`seed` makes the company's record of a number, `seeds` are all their numbers; `by` finds some of them by a field.

    `own` are those that were written since, None where one was deleted.
    """

    name: str
    seeds: Callable[[], Iterable[int]]
    seed: Callable[[int], Record | None]
    new: Iterator[int]
    by: Mapping[str, Callable[[str], Iterable[int]]] = field(default_factory=dict[str, Any])
    own: dict[int, Record | None] = field(default_factory=dict[int, Record | None])

    def get(self, number: int) -> Record | None:
        return self.own[number] if number in self.own else self.seed(number)

    def rows(self, numbers: Iterable[int] | None = None) -> Iterator[Record]:
        """Those of these numbers, all of the company's when None, and all that were written."""
        found = (n for n in (self.seeds() if numbers is None else dict.fromkeys(numbers)) if n not in self.own)
        for number in chain(found, self.own):
            if (record := self.get(number)) is not None:
                yield record


class Tables:
    def __init__(self, company: Company) -> None:
        self._company = company
        self._records = Records(company)
        self._people = {person.number: person for person in company.people if person.is_business}
        self._by_email = {person.email: number for number, person in self._people.items()}
        self._cases_of: dict[int, list[int]] = {}
        for case in company.cases:
            self._cases_of.setdefault(case.person, []).append(case.number)
        self._named = {table.name: table for table in self._tables()}
        self._by_letters = {name.lower(): table for name, table in self._named.items()}

    def __iter__(self) -> Iterator[Table]:
        return iter(self._named.values())

    def __getitem__(self, name: str) -> Table:
        """
        Raises:
            Refused: there is no such table.
        """
        if (table := self._named.get(name) or self._by_letters.get(name.lower())) is None:
            raise Refused(400, "INVALID_TYPE", f"sObject type '{name[:40]}' is not supported.")
        return table

    def record(self, table: str, native: str) -> Record:
        """
        Raises:
            Refused: there is no such table, or no such record in it.
        """
        number = number_of(native, self[table].name)
        found = None if number is None else self[table].get(number)
        if found is None:
            raise Refused(404, "NOT_FOUND", "The requested resource does not exist")
        return found

    def at(self, native: str) -> Record | None:
        """The record with this id, in whichever table."""
        place = place_of(native)
        return None if place is None else self._named[place[0]].get(place[1])

    def parent(self, row: Record, relation: str) -> Record | None:
        return self.at(row[PARENTS[relation]] or "")

    def value(self, row: Record, path: str) -> Any:
        """Of a field, or of a parent's: `Account.Name`."""
        relation, _, rest = path.partition(".")
        if not rest:
            return row[path]
        parent = self.parent(row, relation)
        return None if parent is None else self.value(parent, rest)

    def _tables(self) -> Iterator[Table]:
        company, make = self._company, self._records
        organisations, agents, cases, calls = company.organisations, company.agents, company.cases, company.calls

        def case(n: int) -> Record | None:
            return make.case(cases[n]) if n < len(cases) else None

        def call(n: int) -> Record | None:
            return make.call(calls[n]) if n < len(calls) and calls[n].person in self._people else None

        def calls_of(who: str) -> list[int]:
            person = number_of(who, "Contact")
            return [] if person is None else [call.number for call in company.calls_of.get(person, [])]

        yield Table(
            "Account",
            lambda: range(len(organisations)),
            lambda n: make.account(organisations[n]) if n < len(organisations) else None,
            count(len(organisations)),
        )
        yield Table(
            "Contact",
            lambda: self._people,
            lambda n: make.contact(self._people[n]) if n in self._people else None,
            count(len(company.people)),
            {"Email": self._people_with},
        )
        yield Table(
            "User", lambda: range(len(agents)), lambda n: make.user(agents[n]) if n < len(agents) else None, count(100)
        )
        yield Table("Group", lambda: range(1), lambda n: make.queue() if n == 0 else None, count(100))
        yield Table(
            "Case",
            lambda: range(len(cases)),
            case,
            count(len(cases)),
            {
                "ContactId": self._cases_with_contact,
                "Contact.Email": self._cases_with,
                "SuppliedEmail": lambda _email: [],
                "CaseNumber": lambda number: [int(number) - FIRST_CASE_NUMBER] if _counted(number) else [],
            },
        )
        threads = {"CaseComment": make.comment, "EmailMessage": make.email, "EmailMessageRelation": make.relation}
        for name, of_message in threads.items():
            yield self._messages(name, of_message)
        yield Table("Task", lambda: range(len(calls)), call, count(len(calls)), {"WhoId": calls_of})
        yield Table("Event", lambda: (), lambda _n: None, count(0))

    def _messages(self, name: str, of_message: Callable[[Ticket, int, Comment], Record]) -> Table:
        """A table of what agents have said in cases, or customers. Of some cases there is a draft of an answer, too."""
        cases, from_agents = self._company.cases, name == "CaseComment"
        draft_of = {"EmailMessage": self._records.draft, "EmailMessageRelation": self._records.draft_relation}.get(
            name, _none
        )

        def seed(n: int) -> Record | None:
            case, place = divmod(n, THREAD)
            thread = self._company.thread(cases[case]) if case < len(cases) else []
            if thread and place == len(thread) and case % _DRAFTED == 1:
                return draft_of(cases[case], place)
            if not 0 < place < len(thread) or (thread[place].agent is not None) is not from_agents:
                return None
            return of_message(cases[case], place, thread[place])

        def messages(cases: Iterable[int]) -> Iterable[int]:
            return (case * THREAD + place for case in cases for place in range(1, THREAD))

        def of_case(parent: str) -> Iterable[int]:
            case = number_of(parent, "Case")
            return messages([] if case is None else [case])

        def of_contact(who: str) -> Iterable[int]:
            return messages(self._cases_with_contact(who))

        by = {"RelationId": of_contact} if name == "EmailMessageRelation" else {"ParentId": of_case}
        return Table(name, lambda: messages(range(len(cases))), seed, count(len(cases) * THREAD), by)

    def _cases_with_contact(self, who: str) -> list[int]:
        person = number_of(who, "Contact")
        return [] if person is None else self._cases_of.get(person, [])

    def _people_with(self, email: str) -> list[int]:
        found = self._by_email.get(email.lower())
        return [] if found is None else [found]

    def _cases_with(self, email: str) -> list[int]:
        """Also those of contacts who have that address since it was changed."""
        changed = [n for n, who in self["Contact"].own.items() if who and (who["Email"] or "").lower() == email.lower()]
        return [case for person in (*self._people_with(email), *changed) for case in self._cases_of.get(person, [])]


def _none(_case: Ticket, _place: int) -> None:
    return None


def _counted(number: str) -> bool:
    return number.isascii() and number.isdecimal() and len(number) < 15 and int(number) >= FIRST_CASE_NUMBER
