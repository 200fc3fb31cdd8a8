"""The endpoints of the Accounting API over an organisation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from backoffice_billing.backends.xero.sandbox import wire
from backoffice_billing.backends.xero.sandbox.answers import (
    Endpoint,
    Invalid,
    Refused,
    answered,
    elements_of,
    flag,
    listed,
    not_found,
    page,
    refused_element,
    validation,
)
from backoffice_billing.backends.xero.sandbox.org import Org
from backoffice_billing.backends.xero.sandbox.query import Condition, Fields, asked_where, between, meets, ordered
from backoffice_billing.backends.xero.sandbox.records import Contact, Document, Payment
from backoffice_billing.backends.xero.sandbox.wire import Record
from backoffice_billing.backends.xero.sandbox.writing import Writing


class Accounting:
    """While `searches_are_stale`, looking for text does not find what was written since."""

    def __init__(self, org: Org, searches_are_stale: Callable[[], bool]) -> None:
        self._org = org
        self._writing = Writing(org)
        self._searches_are_stale = searches_are_stale
        self._began = org.stamp()

    def endpoints(self) -> list[Endpoint]:
        return [
            ("GET", "Invoices", self._invoices),
            ("PUT", "Invoices", self._create_invoices),
            ("POST", "Invoices", self._save_invoices),
            ("GET", "Invoices/{id}", self._invoice),
            ("POST", "Invoices/{id}", self._update_invoice),
            ("POST", "Invoices/{id}/Email", self._email),
            ("GET", "Invoices/{id}/OnlineInvoice", self._online),
            ("GET", "Invoices/{id}/History", self._history),
            ("PUT", "Invoices/{id}/History", self._note),
            ("GET", "CreditNotes", self._credit_notes),
            ("PUT", "CreditNotes", self._create_credit_notes),
            ("GET", "CreditNotes/{id}", self._credit_note),
            ("POST", "CreditNotes/{id}", self._update_credit_note),
            ("PUT", "CreditNotes/{id}/Allocations", self._allocate),
            ("GET", "CreditNotes/{id}/History", self._history),
            ("PUT", "CreditNotes/{id}/History", self._note),
            ("GET", "Payments", self._payments),
            ("PUT", "Payments", self._create_payments),
            ("GET", "Payments/{id}", self._payment),
            ("POST", "Payments/{id}", self._delete_payment),
            ("GET", "Contacts", self._contacts),
            ("PUT", "Contacts", self._create_contacts),
            ("GET", "Contacts/{id}", self._contact),
            ("POST", "Contacts/{id}", self._update_contact),
        ]

    # ------------------------------------------------------------------------------------------------------ documents

    async def _invoices(self, request: Request) -> Response:
        asked, fields = asked_where(request), self._document_fields()
        rows = [row for row in self._candidates(request, asked) if not row.is_credit]
        numbers, statuses = listed(request, "InvoiceNumbers"), listed(request, "Statuses")
        if numbers is not None:
            rows = [row for row in rows if row.number in numbers]
        if statuses is not None:
            rows = [row for row in rows if row.status in statuses]
        if term := request.query_params.get("searchTerm"):
            rows = [row for row in rows if self._is_found(term, row.updated, row.number, row.reference)]
        return self._documents(request, "Invoices", rows, asked, fields)

    async def _credit_notes(self, request: Request) -> Response:
        asked, fields = asked_where(request), self._document_fields()
        rows = [row for row in self._candidates(request, asked) if row.is_credit]
        return self._documents(request, "CreditNotes", rows, asked, fields)

    def _candidates(self, request: Request, asked: Sequence[Condition]) -> Iterable[Document]:
        """What there is to look at: with contacts, ids or numbers asked for, not everybody's."""
        org = self._org
        contacts = listed(request, "ContactIDs") or [
            str(value) for c in asked if c.field == "Contact.ContactID" for value in c.values
        ]
        if ids := listed(request, "IDs"):
            return [org.documents[one.lower()] for one in ids if one.lower() in org.documents]
        if contacts:
            return [org.documents[one] for contact in contacts for one in org.documents_of.get(contact.lower(), ())]
        if numbers := listed(request, "InvoiceNumbers"):
            return [org.documents[org.numbered[number]] for number in numbers if number in org.numbered]
        return (org.documents[one] for _, one in between(org.dated, asked))

    def _documents(
        self, request: Request, name: str, rows: list[Document], asked: Sequence[Condition], fields: Fields
    ) -> Response:
        test = meets(asked, fields)
        found, pages = page(request, ordered(request, [row for row in rows if test(row)], fields))
        summary = flag(request, "summaryOnly")
        return self._answer(name, [wire.document(self._org, row, summary=summary) for row in found], pages)

    def _document_fields(self) -> Fields:
        org = self._org
        return {
            "Type": lambda row: row.type,
            "Status": lambda row: row.status,
            "Date": lambda row: row.date,
            "DueDate": lambda row: row.due,
            "UpdatedDateUTC": lambda row: row.updated,
            "FullyPaidOnDate": org.paid_off,
            "InvoiceNumber": lambda row: row.number,
            "CreditNoteNumber": lambda row: row.number,
            "Reference": lambda row: row.reference,
            "CurrencyCode": lambda row: row.currency,
            "Contact.ContactID": lambda row: row.contact,
        }

    async def _invoice(self, request: Request) -> Response:
        return self._answer("Invoices", [wire.document(self._org, self._found(request))])

    async def _credit_note(self, request: Request) -> Response:
        return self._answer("CreditNotes", [wire.document(self._org, self._found(request, credit=True))])

    def _found(self, request: Request, *, credit: bool | None = False) -> Document:
        """By id, or by number. `credit` is None for either kind."""
        native = str(request.path_params["id"])
        found = self._org.documents.get(self._org.numbered.get(native, native.lower()))
        if found is None or (credit is not None and found.is_credit != credit):
            raise Refused(not_found())
        return found

    async def _create_invoices(self, request: Request) -> Response:
        return await self._write(
            request, "Invoices", lambda asked: self._document(self._writing.create_document(asked))
        )

    async def _create_credit_notes(self, request: Request) -> Response:
        def create(asked: Record) -> Record:
            if asked.get("Type") != "ACCRECCREDIT":
                raise Invalid("Credit note Type must be ACCRECCREDIT.", element=asked)
            return self._document(self._writing.create_document(asked, "ACCRECCREDIT"))

        return await self._write(request, "CreditNotes", create)

    async def _save_invoices(self, request: Request) -> Response:
        """Overwrites who has the id or the number, and makes who has not."""

        def save(asked: Record) -> Record:
            native = str(asked.get("InvoiceID") or "").lower()
            known = self._org.documents.get(native or self._org.numbered.get(str(asked.get("InvoiceNumber")), ""))
            if known is None:
                return self._document(self._writing.create_document(asked))
            return self._document(self._writing.update_document(known, asked))

        return await self._write(request, "Invoices", save)

    async def _update_invoice(self, request: Request) -> Response:
        before = self._found(request)
        return await self._write(
            request, "Invoices", lambda asked: self._document(self._writing.update_document(before, asked)), usual=True
        )

    async def _update_credit_note(self, request: Request) -> Response:
        before = self._found(request, credit=True)
        return await self._write(
            request,
            "CreditNotes",
            lambda asked: self._document(self._writing.update_document(before, asked)),
            usual=True,
        )

    def _document(self, document: Document) -> Record:
        return wire.document(self._org, document)

    async def _email(self, request: Request) -> Response:
        try:
            self._writing.email(self._found(request))
        except Invalid as invalid:
            return validation([refused_element(invalid)])
        return Response(status_code=204)

    async def _online(self, request: Request) -> Response:
        found = self._found(request)
        if not found.is_posted:
            raise Refused(validation([refused_element(Invalid("The invoice has not been approved."))]))
        return self._answer("OnlineInvoices", [{"OnlineInvoiceUrl": f"https://in.xero.com/{found.id[-12:]}sandbox"}])

    async def _history(self, request: Request) -> Response:
        notes = self._org.history.get(self._found(request, credit=None).id, [])
        return self._answer("HistoryRecords", [wire.note(note) for note in reversed(notes)])

    async def _note(self, request: Request) -> Response:
        document = self._found(request, credit=None)
        texts = [str(asked.get("Details") or "") for asked in await elements_of(request, "HistoryRecords")]
        if not all(0 < len(text) <= 2_500 for text in texts):
            raise Refused(validation([refused_element(Invalid("Details must have 1 to 2,500 characters."))]))
        notes = [self._org.note(document, text) for text in texts]
        return self._answer("HistoryRecords", [wire.note(note) for note in notes])

    async def _allocate(self, request: Request) -> Response:
        note = self._found(request, credit=True)

        def allocate(asked: Record) -> Record:
            allocated = self._writing.allocate(self._org.documents[note.id], asked)
            return wire.allocation(self._org, allocated.id)

        return await self._write(request, "Allocations", allocate)

    # ------------------------------------------------------------------------------------------------------- payments

    async def _payments(self, request: Request) -> Response:
        org, asked = self._org, asked_where(request)
        fields: Fields = {
            "Date": lambda row: row.date,
            "Status": lambda row: "DELETED" if row.deleted else "AUTHORISED",
            "PaymentType": lambda row: wire.payment_type(org.documents[row.document]),
            "Reference": lambda row: row.reference,
            "UpdatedDateUTC": lambda row: row.updated,
            "Invoice.InvoiceID": lambda row: row.document,
        }
        test = meets(asked, fields)
        ids = [str(value) for c in asked if c.field == "Invoice.InvoiceID" for value in c.values]
        some = (one for document in ids for one in org.payments_of.get(document, ()))
        everything = (one for _, one in between(org.paid_on, asked))
        rows: list[Payment] = [org.payments[one] for one in (some if ids else everything)]
        found, pages = page(request, ordered(request, [row for row in rows if test(row)], fields))
        return self._answer("Payments", [wire.payment(org, row) for row in found], pages)

    async def _payment(self, request: Request) -> Response:
        return self._answer("Payments", [wire.payment(self._org, self._paid(request))])

    def _paid(self, request: Request) -> Payment:
        found = self._org.payments.get(str(request.path_params["id"]).lower())
        if found is None:
            raise Refused(not_found())
        return found

    async def _create_payments(self, request: Request) -> Response:
        return await self._write(
            request, "Payments", lambda asked: wire.payment(self._org, self._writing.create_payment(asked))
        )

    async def _delete_payment(self, request: Request) -> Response:
        payment = self._paid(request)

        def delete(asked: Record) -> Record:
            return wire.payment(self._org, self._writing.delete_payment(payment, asked))

        return await self._write(request, "Payments", delete, usual=True)

    # ------------------------------------------------------------------------------------------------------- contacts

    async def _contacts(self, request: Request) -> Response:
        asked = asked_where(request)
        fields: Fields = {
            "Name": lambda row: row.name,
            "EmailAddress": lambda row: row.email,
            "ContactStatus": lambda row: "ARCHIVED" if row.archived else "ACTIVE",
            "UpdatedDateUTC": lambda row: row.updated,
        }
        test, archived = meets(asked, fields), flag(request, "includeArchived")
        rows = [row for row in self._people(request) if (archived or not row.archived) and test(row)]
        found, pages = page(request, ordered(request, rows, fields))
        return self._answer("Contacts", [wire.contact(row) for row in found], pages)

    def _people(self, request: Request) -> Iterable[Contact]:
        org, term = self._org, request.query_params.get("searchTerm")
        if ids := listed(request, "IDs"):
            return [org.contacts[one.lower()] for one in ids if one.lower() in org.contacts]
        if not term:
            return org.contacts.values()
        exact = [org.contacts[one] for one in org.contacts_at.get(term.casefold(), ())]
        some = exact if "@" in term and exact else org.contacts.values()
        return [row for row in some if self._is_found(term, row.updated, row.name, row.email)]

    async def _contact(self, request: Request) -> Response:
        return self._answer("Contacts", [wire.contact(self._person(request))])

    def _person(self, request: Request) -> Contact:
        found = self._org.contacts.get(str(request.path_params["id"]).lower())
        if found is None:
            raise Refused(not_found())
        return found

    async def _create_contacts(self, request: Request) -> Response:
        return await self._write(request, "Contacts", lambda asked: wire.contact(self._writing.create_contact(asked)))

    async def _update_contact(self, request: Request) -> Response:
        before = self._person(request)
        return await self._write(
            request, "Contacts", lambda asked: wire.contact(self._writing.update_contact(before, asked)), usual=True
        )

    # ----------------------------------------------------------------------------------------------------------- all

    async def _write(
        self, request: Request, name: str, each: Callable[[Record], Record], *, usual: bool = False
    ) -> Response:
        """Every element by itself, where `summarizeErrors` is off; else none, unless all can be written, as far as
        one of them tells. `usual`: what is at one path has no such parameter.
        """
        summarize = usual or flag(request, "summarizeErrors", default=True)
        rows: list[Record] = []
        failed = False
        for asked in await elements_of(request, name):
            try:
                rows.append({**each(asked), "StatusAttributeString": "OK"})
            except Invalid as invalid:
                failed = True
                rows.append(refused_element(invalid))
                if summarize:
                    break
        return validation([rows[-1]]) if failed and summarize else self._answer(name, rows)

    def _answer(self, name: str, rows: Sequence[Any], pages: Record | None = None) -> Response:
        return answered(self._org, name, rows, pages)

    def _is_found(self, term: str, updated: Any, *texts: str) -> bool:
        if self._searches_are_stale() and updated > self._began:
            return False
        return any(term.casefold() in text.casefold() for text in texts)
