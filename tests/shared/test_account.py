"""What the account of a call says to its audit record."""

from __future__ import annotations

from backoffice_shared import account
from backoffice_shared.account import accounting


def test_attempts_are_counted_by_backend_with_the_last_status_that_there_was() -> None:
    with accounting() as kept:
        account.attempted("zendesk", 503)
        account.attempted("zendesk", 200)
        account.attempted("zendesk", 0)  # the slower of two requests, cancelled once the other had answered
        account.attempted("hubspot", 0)
    assert kept.upstream == {"zendesk": (3, 200), "hubspot": (1, 0)}


def test_outside_of_a_call_nothing_is_kept() -> None:
    account.attempted("zendesk", 200)
    account.denied("rate of tool")
    with accounting() as kept:
        pass
    assert (kept.upstream, kept.decision) == ({}, "allow")


def test_a_call_that_never_got_there_is_ours_to_record() -> None:
    with accounting() as kept:
        account.handed_over()
        assert kept.event == "tool.forward"
        account.came_back()
        assert (kept.event, kept.elsewhere) == ("tool.call", False)
        account.handed_over()
        account.kept_elsewhere()
        assert kept.elsewhere
