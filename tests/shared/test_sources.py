"""Where an answer came from, how old it is, and what is missing from it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.shared.clocks import ManualClock

from backoffice_shared.deadline import remaining, within
from backoffice_shared.errors import NotFound, RateLimited
from backoffice_shared.sources import Source, ask, fan_out, observe, together

pytestmark = pytest.mark.anyio

EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


async def one() -> int:
    observe(LATE)
    return 1


async def stale() -> int:
    observe(EARLY, stale=True)
    observe(LATE)
    return 2


async def throttled() -> int:
    raise RateLimited("Acme", "slow down", retry_after=6.6)


async def absent() -> int:
    raise NotFound("Acme", "no such thing")


async def test_an_answer_is_as_old_as_the_oldest_thing_in_it() -> None:
    assert await ask("acme", stale) == (2, Source(backend="acme", status="stale", as_of=EARLY))


async def test_one_read_does_not_colour_another() -> None:
    answers = await fan_out({"old": stale, "new": one})
    assert [(source.backend, source.status) for source in answers.sources] == [("old", "stale"), ("new", "ok")]


async def test_a_backend_that_fails_is_named_and_the_others_are_kept() -> None:
    answers = await fan_out({"good": one, "bad": throttled})
    assert (answers.values, answers.sources) == (
        {"good": 1},
        [
            Source(backend="good", status="ok", as_of=LATE),
            Source(
                backend="bad",
                status="error",
                error_code="rate_limited",
                message="Acme: slow down. Try again in 7 s.",
                retry_after_s=7,
            ),
        ],
    )
    assert answers.or_raise() is answers


async def test_only_when_all_fail_does_the_call() -> None:
    answers = await fan_out({"first": throttled, "second": absent})
    with pytest.raises(RateLimited):
        answers.or_raise()


async def test_asking_nobody_is_no_failure() -> None:
    assert (await fan_out({})).or_raise().sources == []


async def test_every_backend_has_the_calls_time_less_a_margin_for_the_answer(clock: ManualClock) -> None:
    async def left() -> float:
        clock.advance(4)
        return remaining()

    with within(10, clock):
        answers = await fan_out({"acme": left})
    assert answers.values["acme"] == pytest.approx(5.8)


async def test_a_fault_of_ours_in_one_backend_costs_no_other_backends_answer() -> None:
    async def broken() -> int:
        raise ZeroDivisionError("secret")

    answers = await fan_out({"acme": broken, "other": one})
    assert answers.values == {"other": 1}
    assert [source.error_code for source in answers.sources] == ["internal_error", None]
    assert "secret" not in str(answers.sources)


async def test_observing_outside_of_a_read_does_nothing() -> None:
    observe(EARLY, stale=True)
    assert (await ask("acme", one))[1].status == "ok"


def test_a_backend_that_was_asked_twice_is_named_once_with_the_worst_of_it() -> None:
    first = [Source(backend="a", status="ok", as_of=LATE), Source(backend="b", status="ok", as_of=LATE)]
    second = [
        Source(backend="a", status="stale", as_of=EARLY),
        Source(backend="b", status="error", error_code="rate_limited", message="slow down"),
        Source(backend="c", status="skipped"),
    ]
    assert together(first, second) == [
        Source(backend="a", status="stale", as_of=EARLY),
        Source(backend="b", status="error", as_of=LATE, error_code="rate_limited", message="slow down"),
        Source(backend="c", status="skipped"),
    ]
