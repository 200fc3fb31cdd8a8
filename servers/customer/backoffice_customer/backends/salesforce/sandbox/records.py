"""The company's sales data as Salesforce's records: who and what is in it, field by field, and what points at what.

Business customers are contacts, their organisations accounts, their requests cases; agents are users. Of a case's
thread the first message is its description, agents' messages are comments, and the customer's further ones e-mails.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from backoffice_customer.backends.salesforce.sandbox.ids import record_id
from backoffice_shared.sandbox.company import Agent, Call, Comment, Company, Organisation, Person, Ticket

Record = dict[str, Any]

ME = 0
"""The number of the agent whom requests act for."""
THREAD = 10
"""A message of a case has the case's number times this, and its place in the thread."""
FIRST_CASE_NUMBER = 1_001

_SYSTEM: Record = {
    "Id": None,
    "IsDeleted": False,
    "CreatedDate": None,
    "CreatedById": None,
    "LastModifiedDate": None,
    "LastModifiedById": None,
    "SystemModstamp": None,
}
_ACTIVITY: Record = {
    **_SYSTEM,
    "WhoId": None,
    "WhatId": None,
    "OwnerId": None,
    "Subject": None,
    "Description": None,
    "ActivityDate": None,
    "IsArchived": False,
}
BLANK: dict[str, Record] = {
    "Account": {**_SYSTEM, "Name": None, "Industry": None, "Website": None, "BillingCity": None, "OwnerId": None},
    "Contact": {
        **_SYSTEM,
        "AccountId": None,
        "OwnerId": None,
        "FirstName": None,
        "LastName": None,
        "Name": None,
        "Title": None,
        "Email": None,
        "Phone": None,
        "MobilePhone": None,
        "MailingCountry": None,
        "HasOptedOutOfEmail": False,
    },
    "User": {
        **_SYSTEM,
        "Username": None,
        "Name": None,
        "Email": None,
        "IsActive": True,
        "UserType": "Standard",
        "Type": "User",
    },
    "Group": {**_SYSTEM, "Name": None, "DeveloperName": None, "Type": "Queue"},
    "Case": {
        **_SYSTEM,
        "CaseNumber": None,
        "ContactId": None,
        "AccountId": None,
        "OwnerId": None,
        "Subject": None,
        "Description": None,
        "Status": "New",
        "Priority": "Medium",
        "Origin": None,
        "Type": None,
        "Reason": None,
        "IsClosed": False,
        "IsEscalated": False,
        "SuppliedName": None,
        "SuppliedEmail": None,
    },
    "CaseComment": {**_SYSTEM, "ParentId": None, "CommentBody": None, "IsPublished": False},
    "Task": {
        **_ACTIVITY,
        "Status": "Not Started",
        "Priority": "Normal",
        "TaskSubtype": "Task",
        "CallType": None,
        "CallDurationInSeconds": None,
        "IsClosed": False,
    },
    "Event": {**_ACTIVITY, "StartDateTime": None, "EndDateTime": None, "DurationInMinutes": None},
    "EmailMessage": {
        **_SYSTEM,
        "ParentId": None,
        "RelatedToId": None,
        "Subject": None,
        "TextBody": None,
        "HtmlBody": None,
        "FromName": None,
        "FromAddress": None,
        "ToAddress": None,
        "Incoming": False,
        "MessageDate": None,
        "Status": "3",
    },
    "EmailMessageRelation": {**_SYSTEM, "EmailMessageId": None, "RelationId": None, "RelationType": None},
}

PARENTS = {
    "Account": "AccountId",
    "Contact": "ContactId",
    "CreatedBy": "CreatedById",
    "LastModifiedBy": "LastModifiedById",
    "Owner": "OwnerId",
    "Parent": "ParentId",
    "Who": "WhoId",
    "What": "WhatId",
}
"""The field behind the name of a relation."""
CHILDREN = {
    "CaseComments": ("CaseComment", "ParentId"),
    "EmailMessages": ("EmailMessage", "ParentId"),
    "Cases": ("Case", "ContactId"),
    "Contacts": ("Contact", "AccountId"),
}
REQUIRED = {
    "Account": ("Name",),
    "CaseComment": ("ParentId",),
    "Contact": ("LastName",),
    "EmailMessageRelation": ("EmailMessageId", "RelationType"),
    "Event": ("StartDateTime", "DurationInMinutes"),
}
READ_ONLY = frozenset({*_SYSTEM, "CaseNumber", "IsClosed", "IsArchived", "IsEscalated"})
PICKLISTS = {
    ("Case", "Status"): ("New", "Working", "Escalated", "On Hold", "Closed"),
    ("Case", "Priority"): ("High", "Medium", "Low"),
    ("Task", "Status"): ("Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred"),
    ("Task", "TaskSubtype"): ("Task", "Email", "ListEmail", "Cadence", "Call", "LinkedIn"),
}
LENGTHS = {"CommentBody": 4_000, "Subject": 255, "Description": 32_000, "SuppliedEmail": 80, "SuppliedName": 80}
"""In bytes for a comment, else in characters."""
SEARCHED = {
    "Account": ("Name", "Website"),
    "Contact": ("Name", "Email", "Phone", "MobilePhone", "Account.Name"),
    "Case": ("Subject", "CaseNumber", "Description", "SuppliedName", "SuppliedEmail"),
}
"""What full-text search looks through, the name first."""
UNFILTERED = frozenset({"Description", "TextBody", "HtmlBody"})
"""Long texts, which a query cannot filter by."""
REFERENCES = frozenset({*PARENTS.values(), "RelatedToId", "EmailMessageId", "RelationId"})


def wire_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def made(table: str, number: int, at: datetime, by: str, **fields: object) -> Record:
    stamp = wire_time(at)
    times = {"CreatedDate": stamp, "LastModifiedDate": stamp, "SystemModstamp": stamp}
    whose = {"CreatedById": by, "LastModifiedById": by}
    return derived(table, {**BLANK[table], **times, **whose, "Id": record_id(table, number), **fields})


def derived(table: str, record: Record) -> Record:
    """With the fields that follow from others."""
    match table:
        case "Contact":
            names = (record["FirstName"], record["LastName"])
            return {**record, "Name": " ".join(name for name in names if name)}
        case "Case":
            return {**record, "IsClosed": record["Status"] == "Closed"}
        case "Task":
            return {**record, "IsClosed": record["Status"] == "Completed"}
        case _:
            return record


class Records:
    """One record of the company at a time, made when it is asked for."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._founded = company.today - timedelta(days=2_000)
        self._somebody = record_id("User", ME)

    def account(self, organisation: Organisation) -> Record:
        return made(
            "Account",
            organisation.number,
            self._founded,
            self._somebody,
            Name=organisation.name,
            Industry=organisation.industry,
            Website=f"https://{organisation.domain}",
            BillingCity=organisation.city,
            OwnerId=self._owner(organisation.number),
        )

    def user(self, agent: Agent) -> Record:
        named = {"Name": agent.name, "Email": agent.email, "Username": agent.email}
        return made("User", agent.number, self._founded, self._somebody, **named)

    def queue(self) -> Record:
        return made("Group", 0, self._founded, self._somebody, Name="Sales requests", DeveloperName="Sales_requests")

    def contact(self, person: Person) -> Record:
        organisation = person.organisation
        return made(
            "Contact",
            person.number,
            person.since,
            self._owner(person.number),
            AccountId=None if organisation is None else record_id("Account", organisation),
            OwnerId=self._owner(person.number),
            FirstName=person.first_name,
            LastName=person.last_name,
            Email=person.email,
            Phone=person.phone or None,
            MailingCountry=person.country,
            HasOptedOutOfEmail=not person.email_consent,
        )

    def case(self, case: Ticket) -> Record:
        person = self._company.people[case.person]
        organisation = person.organisation
        status = {"new": "New", "open": "Working", "pending": "On Hold"}.get(case.status, "Closed")
        if status == "Working" and case.priority == "high":
            status = "Escalated"
        queue = status == "New"
        record = made(
            "Case",
            case.number,
            case.created_at,
            self._somebody,
            CaseNumber=f"{FIRST_CASE_NUMBER + case.number:08d}",
            ContactId=record_id("Contact", case.person),
            AccountId=None if organisation is None else record_id("Account", organisation),
            OwnerId=record_id("Group", 0) if queue else self._owner(case.number),
            Subject=case.subject,
            Description=self._company.thread(case)[0].text,
            Status=status,
            Priority={"low": "Low", "normal": "Medium"}.get(case.priority, "High"),
            Origin="Email",
            Type=case.tags[0] if case.tags else None,
            IsEscalated=status == "Escalated",
        )
        return {**record, "LastModifiedDate": wire_time(case.updated_at), "SystemModstamp": wire_time(case.updated_at)}

    def comment(self, case: Ticket, place: int, said: Comment) -> Record:
        author = record_id("User", ME if said.agent is None else said.agent)
        return made(
            "CaseComment",
            case.number * THREAD + place,
            said.at,
            author,
            ParentId=record_id("Case", case.number),
            CommentBody=said.text,
            IsPublished=said.public,
        )

    def email(self, case: Ticket, place: int, said: Comment) -> Record:
        person = self._company.people[case.person]
        return made(
            "EmailMessage",
            case.number * THREAD + place,
            said.at,
            self._somebody,
            ParentId=record_id("Case", case.number),
            RelatedToId=record_id("Case", case.number),
            Subject=f"Re: {case.subject}",
            TextBody=said.text,
            FromName=person.name,
            FromAddress=person.email,
            ToAddress="sales@northwind.example",
            Incoming=True,
            MessageDate=wire_time(said.at),
        )

    def relation(self, case: Ticket, place: int, said: Comment) -> Record:
        """The customer as the sender of their e-mail."""
        number = case.number * THREAD + place
        return made(
            "EmailMessageRelation",
            number,
            said.at,
            self._somebody,
            EmailMessageId=record_id("EmailMessage", number),
            RelationId=record_id("Contact", case.person),
            RelationType="FromAddress",
        )

    def draft(self, case: Ticket, place: int) -> Record:
        """What an agent has begun to write to the customer."""
        person = self._company.people[case.person]
        return made(
            "EmailMessage",
            case.number * THREAD + place,
            case.updated_at,
            self._owner(case.number),
            ParentId=record_id("Case", case.number),
            RelatedToId=record_id("Case", case.number),
            Subject=f"Re: {case.subject}",
            TextBody="Draft: do not tell them about the other customer's price",
            FromAddress="sales@northwind.example",
            ToAddress=person.email,
            MessageDate=wire_time(case.updated_at),
            Status="5",
        )

    def draft_relation(self, case: Ticket, place: int) -> Record:
        """The customer as the recipient of that."""
        number = case.number * THREAD + place
        return made(
            "EmailMessageRelation",
            number,
            case.updated_at,
            self._owner(case.number),
            EmailMessageId=record_id("EmailMessage", number),
            RelationId=record_id("Contact", case.person),
            RelationType="ToAddress",
        )

    def call(self, call: Call) -> Record:
        owner = record_id("User", call.agent)
        return made(
            "Task",
            call.number,
            call.at,
            owner,
            WhoId=record_id("Contact", call.person),
            OwnerId=owner,
            Subject="Call",
            Description=call.text,
            ActivityDate=call.at.date().isoformat(),
            Status="Completed",
            TaskSubtype="Call",
            CallType="Inbound" if call.inbound else "Outbound",
            CallDurationInSeconds=call.minutes * 60,
            IsArchived=(self._company.today - call.at).days > 365,
        )

    def _owner(self, number: int) -> str:
        return record_id("User", number % len(self._company.agents))
