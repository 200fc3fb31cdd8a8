"""A credential gives its secrets to who asks for one by name, and to nothing that prints it."""

from __future__ import annotations

from tests.shared.acme import credential


def test_a_credential_never_shows_its_values() -> None:
    secret = credential("v1", {"client_id": "hunter1", "client_secret": "hunter2"})
    renewed = secret.with_fields("v1/token-1", access_token="hunter3")
    assert (repr(secret), str(secret), f"{renewed}") == (
        "Credential(client_id, client_secret; version='v1')",
        "Credential(client_id, client_secret; version='v1')",
        "Credential(client_id, client_secret, access_token; version='v1/token-1')",
    )


def test_a_credential_is_a_mapping_of_its_fields() -> None:
    assert dict(credential("v1", {"client_id": "a", "client_secret": "b"})) == {"client_id": "a", "client_secret": "b"}


def test_added_fields_are_another_version_of_the_same_identity() -> None:
    renewed = credential("v1", {"client_id": "a"}).with_fields("v1/token-1", access_token="t")
    assert (dict(renewed), renewed.version, renewed.identity) == (
        {"client_id": "a", "access_token": "t"},
        "v1/token-1",
        "v1",
    )
