"""What Stripe is asked: forms and queries with brackets, of which it knows every parameter, and refuses the others.

Source: https://docs.stripe.com/api, and the parameters of `stripe` 16.1
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, cast
from urllib.parse import parse_qsl

from backoffice_billing.backends.stripe.sandbox.refusals import malformed
from backoffice_billing.backends.stripe.sandbox.tables import Span

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_LARGEST_NUMBER = 99_999_999
METADATA = "metadata[]"
LISTED = ("limit", "starting_after", "ending_before", "expand[]")
_CURRENCIES = (
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf clp cny "
    "cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jod "
    "jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio "
    "nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd "
    "top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw"
)
"""https://docs.stripe.com/currencies"""
CREATED = ("created", "created[gt]", "created[gte]", "created[lt]", "created[lte]")


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of a request, as what their brackets say: objects, and lists."""

    values: Mapping[str, Any]

    def text(self, name: str) -> str | None:
        """None where it is not given; given as empty, it stands for nothing."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            raise malformed(f"Invalid string: {value}", "parameter_invalid_string", name)
        return value

    def required(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise malformed(f"Missing required param: {name}.", "parameter_missing", name)
        if value == "":
            raise malformed(
                f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter;"
                f" however '{name}' cannot be unset.",
                "parameter_invalid_empty",
                name,
            )
        return value

    def currency(self, otherwise: str | None = None) -> str:
        """In small letters. `otherwise` is what it is where none is given."""
        code = (self.text("currency") or otherwise or self.required("currency")).lower()
        if code not in (known := _CURRENCIES.split()):
            supported = f"Stripe currently supports these currencies: {', '.join(known)}"
            raise malformed(f"Invalid currency: {code}. {supported}", param="currency")
        return code

    def integer(self, name: str) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        if not re.fullmatch(r"-?\d{1,19}", value, re.ASCII):
            raise malformed(f"Invalid integer: {value}", "parameter_invalid_integer", name)
        return int(value)

    def amount(self, name: str) -> int | None:
        value = self.integer(name)
        if value is not None and value < 1:
            raise malformed("Invalid positive integer", "parameter_invalid_integer", name)
        if value is not None and value > _LARGEST_NUMBER * 100:
            raise malformed(f"Amount must be no more than {_LARGEST_NUMBER * 100}", "amount_too_large", name)
        return value

    def decimal(self, name: str) -> Decimal | None:
        value = self.text(name)
        if value is None:
            return None
        try:
            found = Decimal(value)
        except InvalidOperation:
            raise malformed(f"Invalid decimal: {value}", "parameter_invalid_string", name) from None
        if not found.is_finite():
            raise malformed(f"Invalid decimal: {value}", "parameter_invalid_string", name)
        return found

    def flag(self, name: str) -> bool | None:
        value = self.text(name)
        if value is None:
            return None
        if value not in ("true", "false"):
            raise malformed(f"Invalid boolean: {value}", None, name)
        return value == "true"

    def one_of(self, name: str, *known: str) -> str | None:
        value = self.text(name)
        if value is not None and value not in known:
            listed = ", ".join(known[:-1]) + f", or {known[-1]}"
            raise malformed(f"Invalid {name}: must be one of {listed}", None, name)
        return value

    def part(self, name: str) -> Asked:
        value = self.values.get(name)
        if value is not None and not isinstance(value, dict):
            raise malformed("Invalid object", None, name)
        return Asked(cast("dict[str, Any]", value) if value else {})

    def parts(self, name: str) -> list[Asked]:
        """Of a list of objects."""
        return [Asked(cast("dict[str, Any]", each) if isinstance(each, dict) else {}) for each in self._listed(name)]

    def texts(self, name: str) -> list[str]:
        return [str(each) for each in self._listed(name)]

    def _listed(self, name: str) -> list[Any]:
        value = self.values.get(name)
        if value is None or value == "":
            return []
        if not isinstance(value, list):
            raise malformed("Invalid array", None, name)
        return cast("list[Any]", value)

    def metadata(self) -> dict[str, str]:
        """Empty values unset what they name.

        Raises:
            Refused: a name or a value is longer than Stripe keeps.
        """
        found = {name: str(value) for name, value in self.part("metadata").values.items()}
        for name, value in found.items():
            if len(name) > 40 or len(value) > 500:
                raise malformed(
                    "Metadata values can have up to 500 characters, and their keys 40.", None, f"metadata[{name}]"
                )
        return found

    def expand(self) -> list[str]:
        return self.texts("expand")

    def limit(self) -> int:
        value = self.integer("limit")
        if value is not None and not 1 <= value <= 100:
            raise malformed("This value must be between 1 and 100.", "parameter_invalid_integer", "limit")
        return 10 if value is None else value

    def span(self) -> Span:
        """Of a list: `created`, and the ids that it goes on after, or ends before."""
        if self.values.get("created") is None or isinstance(self.values["created"], str):
            since = until = self.integer("created")
        else:
            created = self.part("created")
            since = _latest(created.integer("gte"), _plus(created.integer("gt"), 1))
            until = _earliest(created.integer("lte"), _plus(created.integer("lt"), -1))
        return Span(since, until, self.text("starting_after"), self.text("ending_before"))


def _plus(value: int | None, more: int) -> int | None:
    return None if value is None else value + more


def _latest(*values: int | None) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _earliest(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


def asked(encoded: str, known: Iterable[str]) -> Asked:
    """The parameters in a query or a form. `known` are their names, as `lines[][quantity]`, `metadata[]`.

    Raises:
        Refused: one of them is not known, or stands in two places.
    """
    pairs = parse_qsl(encoded, keep_blank_values=True)
    names = frozenset(known)
    for name, _ in pairs:
        if not _is_known(name, names):
            raise malformed(f"Received unknown parameter: {name.partition('[')[0]}", "parameter_unknown", name)
    whole: dict[str, Any] = {}
    for name, value in pairs:
        _put(whole, name, value)
    return Asked({name: _as_lists(value) for name, value in whole.items()})


def _is_known(name: str, names: frozenset[str]) -> bool:
    pattern = re.sub(r"\[\d*\]", "[]", name)
    if pattern.startswith("metadata["):
        return METADATA in names
    return pattern in names or re.sub(r"\[metadata\]\[[^\[\]]*\]", "[metadata][]", pattern) in names


def _put(whole: dict[str, Any], name: str, value: str) -> None:
    match = _NAME.fullmatch(name)
    if match is None:
        raise malformed(f"Invalid parameter name: {name}", None, name)
    path = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
    place = whole
    for step in path[:-1]:
        inner = place.setdefault(step, {})
        if not isinstance(inner, dict):
            raise malformed("Invalid object", None, match[1])
        place = cast("dict[str, Any]", inner)
    last = path[-1] if path[-1] != "" else str(len(place))
    if isinstance(place.get(last), dict):
        raise malformed("Invalid string", None, match[1])
    place[last] = value


def _as_lists(value: Any) -> Any:
    """An object whose names are numbers is a list."""
    if not isinstance(value, dict):
        return value
    found = {name: _as_lists(each) for name, each in cast("dict[str, Any]", value).items()}
    if found and all(name.isdecimal() for name in found):
        return [found[name] for name in sorted(found, key=int)]
    return found
