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


class Company:
    """`today` is the company's present: nothing in it happened later."""

    currency = "USD"

    def __init__(self, *, seed: int = 7, customers: int = 50, today: datetime | None = None) -> None:
        if not FEWEST <= customers <= MOST:
            raise ValueError(f"a company has {FEWEST} to {MOST:,} customers, not {customers:,}")
        self.seed = seed
        self.name = "Northwind Outfitters"
        self.today = today or datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.agents = [Agent(n, name, f"{name.split()[0].lower()}@northwind.example") for n, name in enumerate(_AGENTS)]
        self.products = [_product(n) for n in range(len(_GOODS) * len(_KINDS))]
        self.organisations = [_organisation(n) for n in range(len(_ORGANISATIONS) + customers // 5)]
        self.people: list[Person] = []
        self.orders: list[Order] = []
        self.tickets: list[Ticket] = []
        self.notes: list[Note] = []
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

    def _person(self, number: int, chance: Random) -> Person:
        first, last = chance.choice(_FIRST), chance.choice(_LAST)
        if number in NAMESAKES:
            first, last = "Maria", "Garcia"
        organisation = chance.randrange(len(_ORGANISATIONS) + number // 5) if chance.random() < 0.6 else None
        domain = "mail.example" if organisation is None else _organisation(organisation).domain
        systems: frozenset[System] = frozenset(("crm", "helpdesk", "shop"))
        if number > 9 and chance.random() < 0.15:
            systems -= {chance.choice(("crm", "helpdesk", "shop"))}
        country, language, dial = chance.choice(_COUNTRIES)
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
        subject, tags = chance.choice(_SUBJECTS)
        created = self._ago(chance, 0, 400)
        placed = [order.number for order in orders if order.placed_at < created]
        order = chance.choice(placed) if placed and "{order}" in subject else None
        if "{order}" in subject and order is None:
            subject, tags = _SUBJECTS[0]
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
        return Note(len(self.notes), person.number, self._ago(chance, 0, 400), chance.choice(_NOTES))

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
            Comment(ticket.created_at, None, public=True, text=f"{ticket.subject}. {chance.choice(_COMPLAINTS)}")
        ]
        for n in range(1, length):
            agent = ticket.number % len(self.agents) if n % 2 else None
            public = agent is None or chance.random() < 0.7
            text = chance.choice(
                _REPLIES if agent is not None and public else _INTERNAL if agent is not None else _COMPLAINTS
            )
            comments.append(Comment(ticket.created_at + step * n, agent, public, text))
        return comments

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


def order_name(number: int) -> str:
    """What people call the order: "#1042"."""
    return f"#{1001 + number}"


def _numbered(order: Order, number: int) -> Order:
    return Order(number, order.person, order.placed_at, order.lines, order.payment, order.fulfilment)


def _product(number: int) -> Product:
    goods, kind = _GOODS[number % len(_GOODS)], _KINDS[number // len(_GOODS)]
    return Product(number, f"NW-{kind[:2].upper()}-{100 + number}", f"{kind} {goods}", 990 + 1_250 * (number % 17))


def _organisation(number: int) -> Organisation:
    name = _ORGANISATIONS[number % len(_ORGANISATIONS)]
    suffix = "" if number < len(_ORGANISATIONS) else f" {number // len(_ORGANISATIONS) + 1}"
    domain = f"{name}{suffix}".lower().replace(" ", "-") + ".example"
    return Organisation(
        number, f"{name}{suffix}", domain, _INDUSTRIES[number % len(_INDUSTRIES)], _CITIES[number % len(_CITIES)]
    )


_AGENTS = ("Ines Okafor", "Tom Lindqvist", "Priya Raman", "Jonas Weber", "Lucia Moretti")
_FIRST = (
    "Ada",
    "Amir",
    "Anna",
    "Ben",
    "Chen",
    "Clara",
    "David",
    "Elif",
    "Emma",
    "Femi",
    "Grace",
    "Hugo",
    "Ines",
    "Ivan",
    "Jana",
    "Kofi",
    "Lena",
    "Liam",
    "Maria",
    "Mateo",
    "Mei",
    "Nora",
    "Omar",
    "Paul",
    "Priya",
    "Rosa",
    "Sam",
    "Sofia",
    "Tariq",
    "Uma",
    "Victor",
    "Yuki",
    "Zoë",
)
_LAST = (
    "Adeyemi",
    "Bauer",
    "Castillo",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Garcia",
    "Haddad",
    "Ivanova",
    "Jensen",
    "Kowalski",
    "Larsen",
    "Müller",
    "Nakamura",
    "O'Brien",
    "Petrov",
    "Quinn",
    "Rossi",
    "Singh",
    "Tanaka",
    "Ueda",
    "Virtanen",
    "Weber",
    "Xu",
    "Yilmaz",
    "Zhang",
)
_ORGANISATIONS = (
    "Alder Studio",
    "Birch Logistics",
    "Cedar Clinic",
    "Delta Foods",
    "Ember Media",
    "Fjord Travel",
    "Granite Works",
    "Harbor Books",
    "Iris Optics",
    "Juniper Labs",
)
_INDUSTRIES = ("design", "logistics", "health", "food", "media", "travel", "manufacturing", "retail")
_CITIES = ("Lisbon", "Hamburg", "Leeds", "Turin", "Austin", "Osaka", "Nairobi")
_COUNTRIES = (
    ("US", "en", "1"),
    ("GB", "en", "44"),
    ("DE", "de", "49"),
    ("FR", "fr", "33"),
    ("JP", "ja", "81"),
    ("BR", "pt", "55"),
)
_KINDS = ("Trail", "Summit", "Harbor", "Winter", "City")
_GOODS = (
    "Jacket",
    "Backpack",
    "Boots",
    "Tent",
    "Lamp",
    "Bottle",
    "Gloves",
    "Socks",
    "Hat",
    "Stove",
    "Map Case",
    "Rope",
)
_SUBJECTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Cannot sign in since yesterday", ("login",)),
    ("Where is my order {order}?", ("shipping",)),
    ("Wrong size delivered in {order}", ("return", "sizing")),
    ("Refund for {order} has not arrived", ("refund", "billing")),
    ("Invoice shows the wrong VAT number", ("billing",)),
    ("Zip broke after a week", ("warranty",)),
    ("Change the delivery address of {order}", ("shipping", "address")),
    ("Question about gift cards", ("presales",)),
)
_COMPLAINTS = (
    "Could you please look into this?",
    "I have written before and got no answer.",
    "I need this before Friday.",
    "Thank you for your help!",
)
_REPLIES = (
    "Thank you for writing. I am checking this with our warehouse.",
    "I have corrected this for you. Please tell us if anything is still wrong.",
    "Could you send us a photo, please?",
)
_INTERNAL = (
    "Customer is on the gold plan, please hurry.",
    "Same fault as last month, see the runbook.",
    "Waiting for the carrier to answer.",
)
_NOTES = (
    "Prefers to be called in the morning.",
    "Asked for a quote on 40 jackets for their team.",
    "Met at the trade fair; interested in the winter line.",
    "Do not offer further discounts before the renewal.",
)
