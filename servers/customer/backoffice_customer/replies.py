"""What customers are told. Nothing is sent that was not shown first, and nothing twice: a plan is good for one key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from backoffice_customer.directory import Directory
from backoffice_customer.models import MessagePreview, Replied, Sent, TicketStatus
from backoffice_customer.ports import Mail, Mailing, Reply, Replying
from backoffice_customer.tickets import Tickets
from backoffice_shared.attempt import vendor_key
from backoffice_shared.errors import Conflict, InvalidInput
from backoffice_shared.http.client import Written
from backoffice_shared.plans import Plan, Plans

_REPLY, _MAIL = "reply to a ticket", "write to a customer"
_STATUS_LEFT = "it was sent; the ticket's status could not be set after that: set it with update_tickets"
_NOTHING_YET = "nothing was sent yet. Show this to whoever decides, then call again with plan_token to send it"


@dataclass(frozen=True, slots=True)
class Replies:
    tickets: Tickets
    directory: Directory
    replying: Mapping[str, Replying]
    mailing: Mapping[str, Mailing]
    plans: Plans

    async def to_ticket(
        self, ticket_id: str, body: str, status_after: TicketStatus | None, *, key: str, plan_token: str | None
    ) -> Replied:
        """Answer in a ticket's thread.

        Raises:
            Conflict: the ticket is closed, or something was added to it since the preview.
            InvalidInput: nobody can be answered there, or the plan is not for this.
        """
        ref = self.tickets.ref(ticket_id)
        desk = self.replying.get(ref.backend)
        if desk is None:
            raise InvalidInput("", f"{ref.backend}: customers cannot be answered there")
        request = [ticket_id, body, status_after, key]
        if plan_token is not None:
            version = self.plans.versions(plan_token, _REPLY, request)[ticket_id]
            reply = Reply(body, version, status_after)
            sent = await desk.reply(ref.native, reply, vendor_key("reply_to_customer", key))
            left = status_after is not None and sent.value.status is None
            return _sent(sent, key, notes=[_STATUS_LEFT] if left else [])
        ticket = await self.tickets.get(ticket_id, None)
        if ticket.status == "closed":
            raise Conflict("", f"{ticket_id} is closed: nothing can be added to it", hint="create_ticket opens another")
        plan = self.plans.made(_REPLY, request, {ticket_id: ticket.version})
        preview = MessagePreview(
            to=" ".join(part for part in (ticket.requester, ticket.email and f"<{ticket.email}>") if part),
            cc=ticket.cc,
            channel=ref.backend,
            subject=ticket.subject,
            body=body,
            status_after=status_after,
        )
        return _shown(preview, plan, key)

    async def to_customer(
        self, customer_id: str, subject: str, body: str, *, key: str, plan_token: str | None
    ) -> Replied:
        """Write an e-mail to the address that the customer's record has.

        Raises:
            InvalidInput: there is no address to write to, or the plan is not for this.
        """
        person, _ = await self.directory.person(customer_id)
        address = next(iter(person.own.emails), None)
        if address is None:
            raise InvalidInput("", f"customer {customer_id!r} has no e-mail address")
        if not self.mailing:
            raise InvalidInput(
                "", "this server has no mailbox to write from", hint="Answer in a ticket: give ticket_id"
            )
        channel, mailbox = next(iter(self.mailing.items()))
        request = [customer_id, subject, body, key]
        if plan_token is not None:
            shown = self.plans.versions(plan_token, _MAIL, request)["to"]
            if shown != _digest(address):
                raise Conflict("", "the customer's address has changed since the preview", hint="Ask for a new preview")
            mail = Mail(address, person.own.name, subject, body)
            return _sent(await mailbox.send(mail, vendor_key("reply_to_customer", key)), key)
        plan = self.plans.made(_MAIL, request, {"to": _digest(address)})
        preview = MessagePreview(to=f"{person.own.name} <{address}>", channel=channel, subject=subject, body=body)
        return _shown(preview, plan, key)


def _digest(address: str) -> str:
    """A plan can be read by whoever holds it, and not everybody may read addresses."""
    return sha256(address.encode()).hexdigest()[:16]


def _shown(preview: MessagePreview, plan: Plan, key: str) -> Replied:
    return Replied(
        preview=preview,
        plan_token=plan.token,
        expires_at=plan.expires_at,
        idempotency_key=key,
        notes=[_NOTHING_YET],
    )


def _sent(written: Written[Sent], key: str, *, notes: Sequence[str] = ()) -> Replied:
    sent = written.value
    return Replied(
        message_id=sent.message_id,
        sent_at=sent.sent_at,
        ticket_status=sent.status,
        replayed=written.replayed,
        idempotency_key=key,
        notes=list(notes),
    )
