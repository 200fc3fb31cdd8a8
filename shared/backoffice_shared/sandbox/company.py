"""One fictional company, generated from a seed: the same people, orders and tickets appear in every vendor's sandbox.

Records are plain facts in no vendor's words. They are immutable: a vendor's sandbox keeps its own changes.
Generation takes time and memory in proportion to the number of customers, from 10 to 100,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from random import Random
from typing import Literal

from backoffice_shared.sandbox.articles import ARTICLES, Article
from backoffice_shared.sandbox.books import Books
from backoffice_shared.sandbox.words import (
    AGENTS,
    CALLS,
    CASES,
    CITIES,
    COMPLAINTS,
    COUNTRIES,
    FIRST,
    GOODS,
    INDUSTRIES,
    INQUIRIES,
    INTERNAL,
    KINDS,
    LAST,
    LOCATIONS,
    MAIL_ANSWERS,
    MAILS,
    NOTES,
    ORGANISATIONS,
    REPLIES,
    SUBJECTS,
)

FEWEST, MOST = 10, 100_000

System = Literal["crm", "helpdesk", "shop"]
TicketStatus = Literal["new", "open", "pending", "solved", "closed"]
Priority = Literal["low", "normal", "high", "urgent"]
Payment = Literal["paid", "pending", "refunded", "partially_refunded"]
Fulfilment = Literal["fulfilled", "unfulfilled", "partial"]

KEY_ACCOUNT = 2
"""The number of a customer with a long history, in a company of any size: hundreds of tickets and orders."""
NAMESAKES = (4, 7)
"""Two customers who share a name and nothing else."""
LONG_HISTORY = 220


@dataclass(frozen=True, slots=True)
class Organisation:
    number: int
    name: str
    domain: str
    industry: str
    city: str


@dataclass(frozen=True, slots=True)
class Person:
    """A customer. `systems` says who knows them: hardly anyone is known everywhere."""

    number: int
    first_name: str
    last_name: str
    email: str
    phone: str
    language: str
    country: str
    organisation: int | None
    tier: Literal["free", "standard", "gold"]
    lifecycle: Literal["lead", "customer", "former"]
    email_consent: bool
    since: datetime
    systems: frozenset[System]

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def is_business(self) -> bool:
        """Whether sales looks after them, in a CRM of its own."""
        return self.organisation is not None and "crm" in self.systems


@dataclass(frozen=True, slots=True)
class Product:
    """`price` in minor units of the company's currency."""

    number: int
    sku: str
    title: str
    price: int


@dataclass(frozen=True, slots=True)
class Order:
    """`lines` are (product number, quantity)."""

    number: int
    person: int
    placed_at: datetime
    lines: tuple[tuple[int, int], ...]
    payment: Payment
    fulfilment: Fulfilment


@dataclass(frozen=True, slots=True)
class Ticket:
    """`order` is the number of the order it is about, when it is about one."""

    number: int
    person: int
    subject: str
    status: TicketStatus
    priority: Priority
    tags: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    order: int | None


@dataclass(frozen=True, slots=True)
class Comment:
    """One message of a ticket's thread. `agent` is the number of the agent who wrote it, None for the customer."""

    at: datetime
    agent: int | None
    public: bool
    text: str


@dataclass(frozen=True, slots=True)
class Agent:
    number: int
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote into the CRM about a customer."""

    number: int
    person: int
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A telephone call that the CRM knows of. `agent` is the number of the agent, `minutes` how long it took."""

    number: int
    person: int
    agent: int
    at: datetime
    minutes: int
    inbound: bool
    text: str


@dataclass(frozen=True, slots=True)
class Mail:
    """An e-mail between a customer and the support mailbox. `answers` is the number of the one that it answers."""

    number: int
    person: int
    at: datetime
    inbound: bool
    subject: str
    text: str
    answers: int | None


@dataclass(frozen=True, slots=True)
class Stock:
    """What a place has of a product: in the house, promised to orders, on its way there and when it comes."""

    product: int
    location: int
    on_hand: int
    committed: int
    incoming: int
    arrives_at: datetime | None


class Company:
    """`today` is the company's present: nothing in it happened later."""

    currency = "USD"
    long_history = LONG_HISTORY

    def __init__(self, *, seed: int = 7, customers: int = 50, today: datetime | None = None) -> None:
        if not FEWEST <= customers <= MOST:
            raise ValueError(f"a company has {FEWEST} to {MOST:,} customers, not {customers:,}")
        self.seed = seed
        self.name = "Northwind Outfitters"
        self.today = today or datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.agents = [Agent(n, name, f"{name.split()[0].lower()}@northwind.example") for n, name in enumerate(AGENTS)]
        self.products = [_product(n) for n in range(len(GOODS) * len(KINDS))]
        self.organisations = [_organisation(n) for n in range(len(ORGANISATIONS) + customers // 5)]
        self.people: list[Person] = []
        self.orders: list[Order] = []
        self.tickets: list[Ticket] = []
        self.notes: list[Note] = []
        self.cases: list[Ticket] = []
        """Requests that sales keeps in its own CRM, of business customers."""
        self.inquiries: list[Ticket] = []
        """Requests that marketing keeps in the CRM, of everybody else."""
        self.calls: list[Call] = []
        self.mails: list[Mail] = []
        self.locations = LOCATIONS
        self.articles: tuple[Article, ...] = ARTICLES
        for number in range(customers):
            self._add_customer(number)

    def _add_customer(self, number: int) -> None:
        # One generator a customer, so that customer 5 is the same in a company of 10 and of 100,000.
        chance = Random(self.seed * 1_000_003 + number)
        person = self._person(number, chance)
        self.people.append(person)
        long = number == KEY_ACCOUNT
        mine = [self._order(person, chance) for _ in range(LONG_HISTORY if long else chance.choice((0, 1, 1, 2, 3, 5)))]
        if "shop" not in person.systems:
            mine = []
        for n, order in enumerate(mine):
            mine[n] = _numbered(order, len(self.orders))
            self.orders.append(mine[n])
        if "helpdesk" in person.systems:
            for _ in range(LONG_HISTORY if long else chance.choice((0, 0, 1, 1, 2, 3))):
                self.tickets.append(self._ticket(person, mine, chance))
        if "crm" in person.systems:
            for _ in range(chance.choice((0, 1, 1, 2))):
                self.notes.append(self._note(person, chance))
        self._add_contacts(person, Random(self.seed * 2_000_029 + number))

    def _add_contacts(self, person: Person, chance: Random) -> None:
        """What is not in the helpdesk: requests to sales and marketing, calls, e-mails."""
        if "crm" in person.systems:
            if chance.random() < 0.4:
                subjects, kept = (CASES, self.cases) if person.is_business else (INQUIRIES, self.inquiries)
                kept.append(self._request(len(kept), person, chance, subjects))
            if chance.random() < 0.3:
                agent, minutes = chance.randrange(len(AGENTS)), chance.randrange(1, 30)
                at, inbound, text = self._ago(chance, 0, 400), chance.random() < 0.6, chance.choice(CALLS)
                self.calls.append(Call(len(self.calls), person.number, agent, at, minutes, inbound, text))
        if person.number == KEY_ACCOUNT or chance.random() < 0.2:
            (subject, text), at = chance.choice(MAILS), self._ago(chance, 2, 90)
            asked = Mail(len(self.mails), person.number, at, inbound=True, subject=subject, text=text, answers=None)
            self.mails.append(asked)
            if chance.random() < 0.5:
                answer, later = chance.choice(MAIL_ANSWERS), at + timedelta(minutes=chance.randrange(20, 2_000))
                again = Mail(
                    len(self.mails),
                    person.number,
                    later,
                    inbound=False,
                    subject=f"Re: {subject}",
                    text=answer,
                    answers=asked.number,
                )
                self.mails.append(again)

    def _request(
        self, number: int, person: Person, chance: Random, subjects: tuple[tuple[str, tuple[str, ...]], ...]
    ) -> Ticket:
        subject, tags = chance.choice(subjects)
        created = self._ago(chance, 0, 300)
        return Ticket(
            number=number,
            person=person.number,
            subject=subject,
            status=chance.choice(("new", "open", "pending", "solved")),
            priority=chance.choice(("low", "normal", "normal", "high")),
            tags=tags,
            created_at=created,
            updated_at=min(self.today, created + timedelta(minutes=chance.randrange(5, 5000))),
            order=None,
        )

    def stock_of(self, product: Product) -> list[Stock]:
        """One entry for each place, whether it has any or not."""
        chance = Random(self.seed * 31_337 + product.number)
        return [self._stock(product, place, chance) for place in range(len(LOCATIONS))]

    def _stock(self, product: Product, place: int, chance: Random) -> Stock:
        on_hand = chance.choice((0, 3, 12, 40, 250))
        incoming = chance.choice((0, 0, 20, 100))
        arrives = self.today + timedelta(days=chance.randrange(2, 30)) if incoming else None
        return Stock(product.number, place, on_hand, chance.randrange(on_hand // 3 + 1), incoming, arrives)

    def _person(self, number: int, chance: Random) -> Person:
        first, last = chance.choice(FIRST), chance.choice(LAST)
        if number in NAMESAKES:
            first, last = "Maria", "Garcia"
        organisation = chance.randrange(len(ORGANISATIONS) + number // 5) if chance.random() < 0.6 else None
        domain = "mail.example" if organisation is None else _organisation(organisation).domain
        systems: frozenset[System] = frozenset(("crm", "helpdesk", "shop"))
        if number > 9 and chance.random() < 0.15:
            systems -= {chance.choice(("crm", "helpdesk", "shop"))}
        country, language, dial = chance.choice(COUNTRIES)
        return Person(
            number=number,
            first_name=first,
            last_name=last,
            email=f"{first}.{last}{number}@{domain}".lower(),
            phone=f"+{dial}555{number:06d}",
            language=language,
            country=country,
            organisation=organisation,
            tier=chance.choice(("free", "free", "standard", "standard", "gold")),
            lifecycle=chance.choice(("customer", "customer", "customer", "lead", "former")),
            email_consent=chance.random() < 0.7,
            since=self._ago(chance, 520, 1500),
            systems=systems,
        )

    def _order(self, person: Person, chance: Random) -> Order:
        lines = tuple(
            (chance.randrange(len(self.products)), chance.choice((1, 1, 2))) for _ in range(chance.choice((1, 1, 2, 3)))
        )
        fulfilment: Fulfilment = chance.choice(("fulfilled", "fulfilled", "fulfilled", "unfulfilled", "partial"))
        payment: Payment = chance.choice(("paid", "paid", "paid", "paid", "pending", "partially_refunded", "refunded"))
        return Order(0, person.number, self._ago(chance, 0, 500), lines, payment, fulfilment)

    def _ticket(self, person: Person, orders: list[Order], chance: Random) -> Ticket:
        subject, tags = chance.choice(SUBJECTS)
        created = self._ago(chance, 0, 400)
        placed = [order.number for order in orders if order.placed_at < created]
        order = chance.choice(placed) if placed and "{order}" in subject else None
        if "{order}" in subject and order is None:
            subject, tags = SUBJECTS[0]
        status: TicketStatus = chance.choice(("new", "open", "open", "pending", "solved", "solved", "closed"))
        return Ticket(
            number=len(self.tickets),
            person=person.number,
            subject=subject.format(order=None if order is None else order_name(order)),
            status=status,
            priority=chance.choice(("low", "normal", "normal", "normal", "high", "urgent")),
            tags=tags,
            created_at=created,
            updated_at=min(self.today, created + timedelta(minutes=chance.randrange(5, 5000))),
            order=order,
        )

    def _note(self, person: Person, chance: Random) -> Note:
        return Note(len(self.notes), person.number, self._ago(chance, 0, 400), chance.choice(NOTES))

    def _ago(self, chance: Random, least: int, most: int) -> datetime:
        return self.today - timedelta(days=chance.randrange(least, most), seconds=chance.randrange(86_400))

    def organisation(self, person: Person) -> Organisation | None:
        return None if person.organisation is None else self.organisations[person.organisation]

    def total(self, order: Order) -> int:
        """What the order comes to, in minor units."""
        return sum(self.products[product].price * quantity for product, quantity in order.lines)

    def thread(self, ticket: Ticket) -> list[Comment]:
        """The ticket's messages, oldest first: the customer's, then answers and internal notes in turn."""
        chance = Random(self.seed * 7_919 + ticket.number)
        length = chance.choice((1, 2, 3, 4))
        step = (ticket.updated_at - ticket.created_at) / max(1, length - 1) if length > 1 else timedelta()
        comments = [
            Comment(ticket.created_at, None, public=True, text=f"{ticket.subject}. {chance.choice(COMPLAINTS)}")
        ]
        for n in range(1, length):
            agent = ticket.number % len(self.agents) if n % 2 else None
            public = agent is None or chance.random() < 0.7
            text = chance.choice(
                REPLIES if agent is not None and public else INTERNAL if agent is not None else COMPLAINTS
            )
            comments.append(Comment(ticket.created_at + step * n, agent, public, text))
        return comments

    @cached_property
    def books(self) -> Books:
        """What was billed and paid."""
        return Books(self)

    @cached_property
    def orders_of(self) -> dict[int, list[Order]]:
        """Orders by the number of the person who placed them."""
        found: dict[int, list[Order]] = {}
        for order in self.orders:
            found.setdefault(order.person, []).append(order)
        return found

    @cached_property
    def tickets_of(self) -> dict[int, list[Ticket]]:
        found: dict[int, list[Ticket]] = {}
        for ticket in self.tickets:
            found.setdefault(ticket.person, []).append(ticket)
        return found

    @cached_property
    def notes_of(self) -> dict[int, list[Note]]:
        found: dict[int, list[Note]] = {}
        for note in self.notes:
            found.setdefault(note.person, []).append(note)
        return found

    @cached_property
    def calls_of(self) -> dict[int, list[Call]]:
        found: dict[int, list[Call]] = {}
        for call in self.calls:
            found.setdefault(call.person, []).append(call)
        return found


def order_name(number: int) -> str:
    """What people call the order: "#1042"."""
    return f"#{1001 + number}"


def _numbered(order: Order, number: int) -> Order:
    return Order(number, order.person, order.placed_at, order.lines, order.payment, order.fulfilment)


def _product(number: int) -> Product:
    goods, kind = GOODS[number % len(GOODS)], KINDS[number // len(GOODS)]
    return Product(number, f"NW-{kind[:2].upper()}-{100 + number}", f"{kind} {goods}", 990 + 1_250 * (number % 17))


def _organisation(number: int) -> Organisation:
    name = ORGANISATIONS[number % len(ORGANISATIONS)]
    suffix = "" if number < len(ORGANISATIONS) else f" {number // len(ORGANISATIONS) + 1}"
    domain = f"{name}{suffix}".lower().replace(" ", "-") + ".example"
    return Organisation(
        number, f"{name}{suffix}", domain, INDUSTRIES[number % len(INDUSTRIES)], CITIES[number % len(CITIES)]
    )
