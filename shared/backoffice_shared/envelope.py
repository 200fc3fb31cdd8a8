"""The shape of every read: page first, so that a host which cuts long text still shows how to go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, PrivateAttr

from backoffice_shared.errors import InvalidInput
from backoffice_shared.sources import Source

ItemT = TypeVar("ItemT", bound=BaseModel)


class Page(BaseModel):
    """`total` counts all matches, where the backends say; it `is_estimate` when they only guess."""

    next_cursor: str | None = None
    has_more: bool = False
    total: int | None = None
    total_is_estimate: bool | None = None


class Answer(BaseModel):
    """A result with its sources, and notes on what was shortened or left out."""

    sources: list[Source] = []
    notes: list[str] = []

    def payload(self) -> dict[str, Any]:
        """What goes out: JSON values, nothing that is None."""
        whole = self.model_dump(mode="json", exclude_none=True)
        return {name: value for name, value in whole.items() if value or name not in ("sources", "notes")}


class Listing(Answer, Generic[ItemT]):
    """Rows. `resume(n)` gives the cursor that continues after the first n of them, for when not all fit."""

    page: Page = Page()
    items: list[ItemT]

    _resume: Callable[[int], str] | None = PrivateAttr(default=None)
    _fields: frozenset[str] | None = PrivateAttr(default=None)

    def resumed_by(self, resume: Callable[[int], str]) -> Self:
        self._resume = resume
        return self

    @property
    def resume(self) -> Callable[[int], str] | None:
        return self._resume

    def only(
        self, fields: Sequence[str] | None, item: type[BaseModel], *, always: str, besides: Sequence[str] = ()
    ) -> Self:
        """Keep these fields of each `item`, and the `always` one that identifies it. Without any, all but those that are
        given only `on_request`, and of these the ones `besides`.

        Raises:
            InvalidInput: an item has no such field; the sentence names those it has.
        """
        if fields is None:
            on_request: frozenset[str] = getattr(item, "on_request", frozenset[str]())
            self._fields = frozenset(item.model_fields) - on_request | frozenset(besides) if on_request else None
            return self
        if unknown := sorted(set(fields) - item.model_fields.keys()):
            raise InvalidInput(
                "", f"fields: there is no {', '.join(unknown)}", hint=f"Valid: {', '.join(item.model_fields)}"
            )
        self._fields = frozenset((*fields, always))
        return self

    def payload(self) -> dict[str, Any]:
        rest = super().payload()
        sources, notes = rest.pop("sources", None), rest.pop("notes", None)
        if (fields := self._fields) is not None:
            rest["items"] = [{name: row[name] for name in row if name in fields} for row in rest["items"]]
        whole: dict[str, Any] = {"page": rest.pop("page"), **rest}
        return whole | ({"sources": sources} if sources else {}) | ({"notes": notes} if notes else {})
