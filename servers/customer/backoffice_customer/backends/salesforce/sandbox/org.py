"""What may be written into the sandbox's org, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from backoffice_customer.backends.salesforce.sandbox.ids import is_id, number_of, record_id
from backoffice_customer.backends.salesforce.sandbox.records import (
    BLANK,
    FIRST_CASE_NUMBER,
    LENGTHS,
    ME,
    PICKLISTS,
    READ_ONLY,
    REFERENCES,
    REQUIRED,
    Record,
    derived,
    made,
    wire_time,
)
from backoffice_customer.backends.salesforce.sandbox.tables import Refused, Tables

Written = dict[str, dict[int, Record | None]]


class Org:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def create(self, name: str, fields: Record) -> str:
        table = self._tables[name]
        if table.name in ("User", "Group"):
            raise Refused(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be inserted: {table.name}")
        missing = [field for field in REQUIRED.get(table.name, ()) if fields.get(field) in (None, "")]
        if missing:
            names = ", ".join(missing)
            raise Refused(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{names}]", *missing)
        self._check(table.name, fields)
        self._check_twin(table.name, fields)
        number, me, now = next(table.new), record_id("User", ME), datetime.now(UTC)
        owner = {"OwnerId": me} if "OwnerId" in BLANK[table.name] else {}
        named = {"CaseNumber": f"{FIRST_CASE_NUMBER + number:08d}"} if table.name == "Case" else {}
        sent = {"MessageDate": wire_time(now)} if table.name == "EmailMessage" else {}
        record = made(table.name, number, now, me, **{**owner, **named, **sent, **fields})
        table.own[number] = record
        return record["Id"]

    def update(self, name: str, native: str, fields: Record) -> None:
        table, record = self._tables[name], self._tables.record(name, native)
        self._check(table.name, fields)
        now = wire_time(datetime.now(UTC))
        stamps = {"LastModifiedDate": now, "SystemModstamp": now, "LastModifiedById": record_id("User", ME)}
        number = number_of(native, table.name)
        assert number is not None  # noqa: S101 - it has a record
        table.own[number] = derived(table.name, {**record, **fields, **stamps})

    def delete(self, name: str, native: str) -> None:
        self._tables.record(name, native)
        table = self._tables[name]
        number = number_of(native, table.name)
        assert number is not None  # noqa: S101 - it has a record
        table.own[number] = None

    def _check(self, table: str, fields: Record) -> None:
        for name, value in fields.items():
            if name not in BLANK[table]:
                raise Refused(400, "INVALID_FIELD", f"No such column '{name[:40]}' on sobject of type {table}")
            if name in READ_ONLY:
                sentence = f"Unable to create/update fields: {name}. Please check the security settings of this field."
                raise Refused(400, "INVALID_FIELD_FOR_INSERT_UPDATE", sentence, name)
            if value is not None:
                self._check_value(table, name, value)

    def _check_value(self, table: str, name: str, value: Any) -> None:
        choices = PICKLISTS.get((table, name))
        if choices is not None and value not in choices:
            sentence = f"{name}: bad value for restricted picklist field: {str(value)[:40]}"
            raise Refused(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", sentence, name)
        if isinstance(BLANK[table][name], bool) and not isinstance(value, bool):
            raise Refused(400, "JSON_PARSER_ERROR", f"Cannot deserialize instance of boolean from {str(value)[:40]}")
        size = len(str(value).encode()) if name == "CommentBody" else len(str(value))
        if name in LENGTHS and size > LENGTHS[name]:
            sentence = f"{name}: data value too large: {str(value)[:40]} (max length={LENGTHS[name]})"
            raise Refused(400, "STRING_TOO_LONG", sentence, name)
        if name in REFERENCES and self._tables.at(str(value)) is None:
            code = "INVALID_CROSS_REFERENCE_KEY" if is_id(str(value)) else "MALFORMED_ID"
            raise Refused(400, code, f"{name}: id value of incorrect type: {str(value)[:40]}", name)

    def _check_twin(self, table: str, fields: Record) -> None:
        """The duplicate rule that a new org comes with."""
        email = str(fields.get("Email") or "").lower()
        if table != "Contact" or not email:
            return
        contacts = self._tables["Contact"]
        same = (row for row in contacts.rows(contacts.by["Email"](email)) if (row["Email"] or "").lower() == email)
        if any(row["LastName"] == fields.get("LastName") for row in same):
            raise Refused(400, "DUPLICATES_DETECTED", "Use one of these records?")

    def kept(self) -> Written:
        """What was written so far; `restore` goes back to it."""
        return {table.name: dict(table.own) for table in self._tables}

    def restore(self, kept: Written) -> None:
        for name, own in kept.items():
            self._tables[name].own = dict(own)
