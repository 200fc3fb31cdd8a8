"""What an operator configures."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from backoffice_shared.settings import Settings, environment


def test_our_part_of_the_environment_is_read_without_its_prefix_and_without_what_is_empty() -> None:
    given = {"BACKOFFICE_ZENDESK_SUBDOMAIN": "acme", "BACKOFFICE_SHOPIFY_SHOP": "", "HOME": "/"}
    assert environment(given) == {"zendesk_subdomain": "acme"}


def test_lists_are_separated_by_commas() -> None:
    given: dict[str, Any] = {"allowed_hosts": "a.example, b.example:*,"}
    assert Settings(**given).allowed_hosts == ("a.example", "b.example:*")


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": "abc"},
        {"port": 65_536},
        {"deadline": -1},
        {"deadline": 121},
        {"grace": float("inf")},
        {"drain": float("nan")},
        {"cursor_key": "short"},
        {"log_level": "LOUD"},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)


def test_the_cursor_key_is_another_one_each_time_and_is_not_shown() -> None:
    one, other = Settings(), Settings()
    assert one.cursor_key.get_secret_value() != other.cursor_key.get_secret_value()
    assert one.cursor_key.get_secret_value() not in repr(one)
