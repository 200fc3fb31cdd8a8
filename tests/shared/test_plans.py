"""A plan is good for what it showed, for whom it showed it to, and for a quarter of an hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backoffice_shared.attempt import attempting
from backoffice_shared.errors import Conflict, InvalidInput
from backoffice_shared.plans import LIFE, Plans
from backoffice_shared.principal import Principal, acting

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
REQUEST = {"ticket_id": "zendesk:ticket:1", "body": "Hello"}
SEEN = {"zendesk:ticket:1": "2026-11-25T11:00:00Z"}


class Wall:
    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def plans(wall: Wall) -> Plans:
    return Plans(b"a key of the operator's", now=wall)


def test_what_was_looked_at_comes_back_with_the_same_request(plans: Plans):
    plan = plans.made("reply", REQUEST, SEEN)
    assert plans.versions(plan.token, "reply", dict(reversed(REQUEST.items()))) == SEEN
    assert plan.expires_at == NOON + LIFE


def test_another_replica_with_the_same_key_knows_it(plans: Plans, wall: Wall):
    token = plans.made("reply", REQUEST, SEEN).token
    assert Plans(b"a key of the operator's", now=wall).versions(token, "reply", REQUEST) == SEEN


@pytest.mark.parametrize(
    ("action", "request_"),
    [("reply", {**REQUEST, "body": "Goodbye"}), ("close", REQUEST), ("reply", None), ("reply", {**REQUEST, "x": 1})],
)
def test_it_is_of_no_use_for_anything_else(plans: Plans, action: str, request_: object):
    token = plans.made("reply", REQUEST, SEEN).token
    with pytest.raises(InvalidInput, match="nothing was done"):
        plans.versions(token, action, request_)


def test_it_is_of_no_use_to_anybody_else(plans: Plans):
    with acting(Principal("ann", "api_key", agent="support")):
        token = plans.made("reply", REQUEST, SEEN).token
    with acting(Principal("bob", "api_key", agent="support")), pytest.raises(InvalidInput):
        plans.versions(token, "reply", REQUEST)


def test_another_key_makes_other_plans(plans: Plans):
    token = Plans(b"somebody else's key").made("reply", REQUEST, SEEN).token
    with pytest.raises(InvalidInput):
        plans.versions(token, "reply", REQUEST)


def test_it_expires(plans: Plans, wall: Wall):
    token = plans.made("reply", REQUEST, SEEN).token
    wall.time += LIFE - timedelta(seconds=1)
    assert plans.versions(token, "reply", REQUEST) == SEEN
    wall.time += timedelta(seconds=1)
    with pytest.raises(Conflict, match="has expired, and nothing was done"):
        plans.versions(token, "reply", REQUEST)


def test_it_does_not_expire_while_nobody_knows_whether_it_was_carried_out(plans: Plans, wall: Wall):
    """The answer to that comes first: that nothing was done, would be a guess."""
    token = plans.made("reply", REQUEST, SEEN).token
    wall.time += 2 * LIFE
    with attempting(NOON):
        assert plans.versions(token, "reply", REQUEST) == SEEN


@given(st.text(max_size=200))
def test_whatever_else_is_given_is_no_plan(text: str):
    with pytest.raises(InvalidInput):
        Plans(b"a key of the operator's").versions(text, "reply", REQUEST)


@given(st.data())
def test_no_character_of_a_plan_can_be_changed(data: Any):
    plans = Plans(b"a key of the operator's")
    token = plans.made("reply", REQUEST, SEEN).token
    at = data.draw(st.integers(0, len(token) - 2))  # the last one has bits that base64 ignores
    other = data.draw(st.sampled_from("abcXYZ019-_").filter(lambda letter: letter != token[at]))
    with pytest.raises(InvalidInput):
        plans.versions(token[:at] + other + token[at + 1 :], "reply", REQUEST)
