"""The transactions of one kind, so indexed that no question goes through all of them but that for all."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from operator import attrgetter
from typing import Any, TypeVar

from backoffice_billing.backends.quickbooks.sandbox.grammar import Condition, Query
from backoffice_billing.backends.quickbooks.sandbox.records import Customer, Kind, Txn
from backoffice_billing.backends.quickbooks.sandbox.refusals import Refused
from backoffice_shared.money import exponent

Record = TypeVar("Record")

Field = Callable[[Any], Any]
_SHARED: dict[str, Field] = {
    "Id": attrgetter("id"),
    "TxnDate": attrgetter("date"),
    "CustomerRef": attrgetter("customer"),
    "TotalAmt": lambda txn: Decimal(txn.total).scaleb(-exponent(txn.currency)),
    "MetaData.CreateTime": attrgetter("created"),
    "MetaData.LastUpdatedTime": attrgetter("updated"),
}
_NUMBERED: dict[str, Field] = {**_SHARED, "DocNumber": lambda txn: txn.number or ""}
_OWED: dict[str, Field] = {**_NUMBERED, "Balance": lambda txn: Decimal(txn.balance).scaleb(-exponent(txn.currency))}
FIELDS: dict[str, dict[str, Field]] = {
    "Invoice": {**_OWED, "DueDate": lambda txn: txn.due or date.max},
    "Estimate": _NUMBERED,
    "CreditMemo": _OWED,
    "RefundReceipt": _NUMBERED,
    "Payment": _SHARED,
    "Customer": {
        "Id": attrgetter("id"),
        "DisplayName": attrgetter("name"),
        "PrimaryEmailAddr": lambda customer: customer.email or "",
        "Active": attrgetter("active"),
        "MetaData.CreateTime": attrgetter("created"),
    },
}
"""What can be asked for. Notes, currencies and statuses cannot: "property 'UnappliedAmt' is not queryable" is what
QuickBooks says of such. https://github.com/ruckus/quickbooks-ruby/issues/258
"""
_LATEST = ((("TxnDate", True),), (("TxnDate", True), ("Id", True)))
_UNSORTABLE = ("CustomerRef", "PrimaryEmailAddr")


class Table:
    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.by_id: dict[int, Txn] = {}
        self.by_customer: dict[int, list[Txn]] = {}
        self.by_number: dict[str, list[Txn]] = {}
        self.open: dict[int, Txn] = {}
        self._ordered: list[tuple[date, int]] = []
        self._made: list[tuple[datetime, int]] = []
        self._sorted = True

    def add(self, txn: Txn, *, later_sorted: bool = False) -> None:
        """`later_sorted`: many are added, and sorted when they are first asked for."""
        self.by_id[txn.id] = txn
        self.by_customer.setdefault(txn.customer, []).append(txn)
        if txn.number is not None:
            self.by_number.setdefault(txn.number, []).append(txn)
        if later_sorted:
            self._ordered.append((txn.date, txn.id))
            self._made.append((txn.created, txn.id))
            self._sorted = False
        else:
            self._sort()
            insort(self._ordered, (txn.date, txn.id))
            insort(self._made, (txn.created, txn.id))
        self.changed(txn)

    def remove(self, txn: Txn) -> None:
        self._sort()
        del self.by_id[txn.id]
        self.by_customer[txn.customer].remove(txn)
        if txn.number is not None:
            self.by_number[txn.number].remove(txn)
        self._ordered.remove((txn.date, txn.id))
        self._made.remove((txn.created, txn.id))
        self.open.pop(txn.id, None)

    def changed(self, txn: Txn) -> None:
        """Its balance may be another."""
        if txn.balance:
            self.open[txn.id] = txn
        else:
            self.open.pop(txn.id, None)

    def found(self, query: Query) -> list[Txn]:
        """
        Raises:
            Refused: it asks for what cannot be asked for.
        """
        tests = tests_of(query)
        keys = order_of(query)
        candidates = self._indexed(query)
        if candidates is None and query.order in _LATEST:
            self._sort()
            return cut((self.by_id[native] for _, native in reversed(self._ordered)), tests, query)
        pool = [txn for txn in (self.by_id.values() if candidates is None else candidates) if passes(txn, tests)]
        return ordered(pool, keys)[query.start - 1 : query.start - 1 + query.size]

    def count(self, query: Query) -> int:
        tests = tests_of(query)
        if not tests:
            return len(self.by_id)
        candidates = self._indexed(query)
        return sum(passes(txn, tests) for txn in (self.by_id.values() if candidates is None else candidates))

    def _indexed(self, query: Query) -> list[Txn] | None:
        """Those among which the answer is, when an index knows."""
        for condition in query.where:
            match condition:
                case Condition("Id", "=" | "in", values):
                    return [self.by_id[native] for native in sorted(_ids(values)) if native in self.by_id]
                case Condition("CustomerRef", "=" | "in", values):
                    return [txn for native in _ids(values) for txn in self.by_customer.get(native, ())]
                case Condition("DocNumber", "=" | "in", values):
                    return [txn for number in values for txn in self.by_number.get(number, ())]
                case Condition("Balance", ">", (value,)) if value.lstrip("0.") == "":
                    return list(self.open.values())
                case Condition("MetaData.CreateTime", ">=" | ">", (value,)):
                    self._sort()
                    first = bisect_left(self._made, (_moment(value), 0))
                    return [self.by_id[native] for _, native in self._made[first:]]
                case _:
                    pass
        return None

    def _sort(self) -> None:
        if not self._sorted:
            self._ordered.sort()
            self._made.sort()
            self._sorted = True


Test = Callable[[Any], bool]


def tests_of(query: Query) -> list[Test]:
    fields = FIELDS[query.entity]
    tests: list[Test] = []
    for condition in query.where:
        if condition.field not in fields:
            raise Refused(4001, f"QueryValidationError: property '{condition.field}' is not queryable")
        tests.append(_test(fields[condition.field], condition))
    return tests


def order_of(query: Query) -> list[tuple[Field, bool]]:
    fields = FIELDS[query.entity]
    for field, _ in query.order:
        if field not in fields or field in _UNSORTABLE:
            raise Refused(4001, f"QueryValidationError: property '{field}' is not sortable")
    return [(fields[field], down) for field, down in query.order]


def passes(record: object, tests: Iterable[Test]) -> bool:
    return all(test(record) for test in tests)


def ordered(pool: list[Record], keys: list[tuple[Field, bool]]) -> list[Record]:
    for key, down in reversed(keys or [(attrgetter("id"), False)]):
        pool.sort(key=key, reverse=down)
    return pool


def cut(records: Iterator[Record], tests: list[Test], query: Query) -> list[Record]:
    """The page that is asked for, of records that are in order."""
    found: list[Record] = []
    passed = 0
    for record in records:
        if not passes(record, tests):
            continue
        passed += 1
        if passed >= query.start:
            found.append(record)
        if len(found) >= query.size:
            break
    return found


def _test(field: Field, condition: Condition) -> Test:
    def test(record: Txn | Customer) -> bool:
        value = field(record)
        wanted = [_like(value, text, condition) for text in condition.values]
        match condition.operator:
            case "=":
                return value == wanted[0]
            case "in":
                return value in wanted
            case "<":
                return value < wanted[0]
            case ">":
                return value > wanted[0]
            case "<=":
                return value <= wanted[0]
            case ">=":
                return value >= wanted[0]
            case _:
                return _alike(str(value), str(wanted[0]))

    return test


def _like(value: object, text: str, condition: Condition) -> Any:
    """`text` as what the field holds."""
    try:
        match value:
            case bool():
                return text == "true"
            case int():
                return int(text)
            case Decimal():
                return Decimal(text)
            case datetime():
                return _moment(text)
            case date():
                return date.fromisoformat(text)
            case _:
                return text
    except (ValueError, InvalidOperation):
        raise Refused(4001, f"QueryValidationError: value {text[:40]} is not valid for {condition.field}") from None


def _alike(value: str, pattern: str) -> bool:
    """`%` stands for anything."""
    first, *middle = pattern.split("%")
    if not middle:
        return value == pattern
    if not value.startswith(first):
        return False
    at = len(first)
    for part in middle[:-1]:
        at = value.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return len(value) - len(middle[-1]) >= at and value.endswith(middle[-1])


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(4001, f"QueryValidationError: value {text[:40]} is no date") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _ids(values: Iterable[str]) -> list[int]:
    return [int(value) for value in dict.fromkeys(values) if value.isascii() and value.isdecimal()]
