"""Ids say where a thing lives: `hubspot:contact:512`, `zendesk:ticket:4711`, `email:ticket:CAF9@mail.example`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from backoffice_shared.errors import InvalidInput


class Ref(NamedTuple):
    """Where a thing lives: the backend, the kind of thing, and the backend's own id."""

    backend: str
    kind: str
    native: str

    def __str__(self) -> str:
        return f"{self.backend}:{self.kind}:{self.native}"


def parse_ref(text: str, kinds: Mapping[str, str]) -> Ref:
    """The parts of an id. `kinds` are the kind of thing that each system of this server has.

    Raises:
        InvalidInput: it is not the id of such a thing, or names a system that this server does not have.
    """
    backend, _, rest = text.partition(":")
    kind, _, native = rest.partition(":")
    if not native or kind not in kinds.values():
        wanted = " or ".join(sorted(set(kinds.values())))
        raise InvalidInput(
            "", f"{text[:80]!r} is not the id of a {wanted}", hint="Take ids as other tools return them, unchanged"
        )
    if kinds.get(backend) != kind:
        raise InvalidInput("", f"{text[:80]!r}: this server has no such system", hint=f"It has {', '.join(kinds)}")
    return Ref(backend, kind, native)
