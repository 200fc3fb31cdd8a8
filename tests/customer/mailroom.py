"""The company's support mailbox in its sandbox, with the adapter that speaks to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.shared.clocks import ManualClock

from backoffice_customer.backends.email import EMAIL, Email, email_sandbox
from backoffice_customer.backends.email.sandbox import MailSandbox
from backoffice_customer.models import Contact, Ref
from backoffice_customer.ports import Mail
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import connect
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.company import Mail as CompanyMail
from backoffice_shared.sandbox.frame import Faults

TODAY = datetime(2026, 11, 22, tzinfo=UTC)
KEY = "order-1042-reply"
MAIL = Mail("ada@engine.example", "Ada Lovelace", "Your parcel", "It is on its way.")


@dataclass
class Mailbox:
    """The company's mailbox, and the adapter that speaks to it."""

    company: Company
    sandbox: MailSandbox
    email: Email
    clock: ManualClock

    @property
    def delivered(self) -> list[str]:
        return [one.to for one in self.sandbox.office.delivered]

    @property
    def copies(self) -> list[set[str]]:
        """The flags of what was put among the sent messages since the start."""
        return [kept.flags for kept in self.sandbox.office.folders["Sent"].messages.values() if kept.mail is None]

    def receive(self, message: str) -> None:
        self.sandbox.office.receive(message.replace("\n", "\r\n").encode())
        self.clock.advance(3_600)

    def broken(self, *plan: str, **faults: object) -> None:
        self.sandbox.faults = Faults.model_validate({"plan": plan, **faults})
        self.clock.advance(3_600)

    def asked(self, command: str) -> int:
        return sum(entry.path == command for entry in self.sandbox.requests)


@asynccontextmanager
async def mailbox(company: Company, **credentials: str) -> AsyncGenerator[Mailbox]:
    sandbox, clock = email_sandbox(company), ManualClock()
    secrets = EnvironmentCredentials(
        {f"email_{name}": value for name, value in (credentials or sandbox.credentials).items()}
    )
    assert sandbox.over is not None
    http = connect(
        EMAIL,
        sandbox.over(),
        secrets,
        base_url=EMAIL.base_url.format(**sandbox.options),
        options=sandbox.options,
        clock=clock,
    )
    try:
        yield Mailbox(company, sandbox, Email(http), clock)
    finally:
        await http.aclose()


def native(mail: CompanyMail) -> str:
    return f"mail-{mail.number}@northwind.example"


def answered(company: Company) -> tuple[CompanyMail, CompanyMail]:
    """A question and its answer, which is not solved."""
    answer = next(mail for mail in company.mails if mail.answers is not None and mail.number % 3)
    return next(mail for mail in company.mails if mail.number == answer.answers), answer


def unanswered(company: Company) -> CompanyMail:
    known = {mail.answers for mail in company.mails}
    return next(mail for mail in company.mails if mail.inbound and mail.number not in known)


def contact(company: Company, mail: CompanyMail) -> Contact:
    person = company.people[mail.person]
    return Contact(ref=Ref("hubspot", "contact", "1"), name=person.name, emails=[person.email])
