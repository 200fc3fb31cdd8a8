"""A real OpenBao: every way to prove who we are, and what happens when the proof does not hold any more."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.real.openbao import Vault
from tests.shared.credentials.stores import WaitingClock
from tests.shared.credentials.vaults import Logins, reading

from backoffice_shared.errors import BackendUnavailable, BackofficeError

pytestmark = pytest.mark.anyio

SECRET = {"access_token": "secret-value"}


@pytest.fixture(autouse=True)
def a_secret(vault: Vault) -> None:
    vault.put("acme", **SECRET)


@pytest.fixture
def logins() -> Logins:
    return Logins()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public(key: rsa.RSAPrivateKey) -> str:
    encoded = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode()


def signed(key: rsa.RSAPrivateKey, **claims: object) -> str:
    now = datetime.now(UTC)
    times = {"iat": now, "nbf": now - timedelta(seconds=5), "exp": now + timedelta(minutes=10)}
    return jwt.encode({**times, **claims}, key, algorithm="RS256")


async def refusal(vault: Vault, **given: Any) -> str:
    async with reading(vault, **given) as source:
        with pytest.raises(BackofficeError) as raised:
            await source.read("acme")
    return str(raised.value)


# Token


async def test_a_token_of_the_settings_or_of_a_file_is_used(vault: Vault, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(vault.token() + "\n")
    ways: list[dict[str, Any]] = [{"vault_token": vault.token()}, {"vault_token_file": file}]
    for given in ways:
        async with reading(vault, **given) as source:
            assert dict(await source.read("acme")) == SECRET


async def test_a_token_that_vault_does_not_know_is_refused_in_one_line(vault: Vault, tmp_path: Path) -> None:
    assert await refusal(vault, vault_token="s.hunter2hunter2") == "Vault: refused the login: permission denied."
    missing = await refusal(vault, vault_token_file=tmp_path / "none")
    assert missing == f"Vault: {tmp_path / 'none'} cannot be read (FileNotFoundError)."


async def test_a_token_file_that_is_replaced_is_read_when_the_old_token_ends(vault: Vault, tmp_path: Path) -> None:
    file, old, clock = tmp_path / "token", vault.token(), WaitingClock()
    file.write_text(old)
    async with reading(vault, clock=clock, vault_token_file=file) as source:
        rejected = (await source.read("acme")).version
        file.write_text(vault.token())
        vault.admin.auth.token.revoke(old)
        vault.put("acme", access_token="rotated-value")
        clock.advance(20)
        assert (await source.refresh("acme", rejected=rejected))["access_token"] == "rotated-value"


async def test_a_token_that_is_not_ours_is_not_taken_back(vault: Vault) -> None:
    token = vault.token()
    async with reading(vault, vault_token=token) as source:
        await source.read("acme")
    assert vault.client(token).is_authenticated()


# AppRole


async def test_an_approle_logs_in_once_and_takes_its_token_back_when_it_ends(vault: Vault, logins: Logins) -> None:
    role_id = vault.approle()
    async with reading(vault, vault_auth="approle", vault_role_id=role_id, vault_secret_id=vault.secret_id()) as source:
        for vendor in ("acme", "other", "third"):
            await source.read(vendor)
        assert dict(await source.read("acme")) == SECRET
        assert (logins.made, vault.tokens("approle")) == (1, 1)
    assert vault.tokens("approle") == 0


async def test_a_revoked_token_is_replaced_with_one_login(vault: Vault, logins: Logins) -> None:
    role_id, clock = vault.approle(), WaitingClock()
    async with reading(
        vault, clock=clock, vault_auth="approle", vault_role_id=role_id, vault_secret_id=vault.secret_id()
    ) as source:
        rejected = (await source.read("acme")).version
        vault.revoke_logins("approle")
        vault.put("acme", access_token="rotated-value")
        clock.advance(20)
        assert (await source.refresh("acme", rejected=rejected))["access_token"] == "rotated-value"
    assert (logins.made, logins.failed) == (2, 0)


async def test_a_token_is_renewed_for_as_long_as_it_may_be(vault: Vault, logins: Logins) -> None:
    role_id, clock = vault.approle(), WaitingClock()
    async with reading(
        vault, clock=clock, vault_auth="approle", vault_role_id=role_id, vault_secret_id=vault.secret_id()
    ) as source:
        for _ in range(4):  # an hour later by our clock, and no time at all by Vault's
            await source.read("acme")
            clock.advance(3600)
    assert logins.made == 1


async def test_a_token_at_the_end_of_its_longest_life_is_replaced_before_it_ends(vault: Vault, logins: Logins) -> None:
    role_id = vault.approle(token_ttl="3s", token_max_ttl="4s")
    async with reading(vault, vault_auth="approle", vault_role_id=role_id, vault_secret_id=vault.secret_id()) as source:
        for number in range(10):
            rejected = (await source.read("acme")).version
            vault.put("acme", access_token=f"value-number-{number}")
            read = await source.refresh("acme", rejected=rejected)
            assert read["access_token"] == f"value-number-{number}"
            await asyncio.sleep(0.55)
    assert (logins.made, logins.failed) == (3, 0)


async def test_an_expired_secret_id_is_followed_by_few_logins_and_by_the_one_that_replaces_it(
    vault: Vault, tmp_path: Path, logins: Logins, caplog: pytest.LogCaptureFixture
) -> None:
    role_id, file, clock = vault.approle(), tmp_path / "secret-id", WaitingClock()
    file.write_text("0000-not-valid-any-more")
    async with reading(
        vault, clock=clock, vault_auth="approle", vault_role_id=role_id, vault_secret_id_file=file
    ) as source:
        told: set[str] = set()
        for _ in range(200):  # within 200 seconds
            with pytest.raises(BackendUnavailable) as raised:
                await source.read("acme")
            told.add(str(raised.value).partition("Try again")[0].strip())
            clock.advance(1)
        assert 7 <= logins.failed <= 9  # 1, 2, 4, 8, 16, 32, 60 … seconds apart
        file.write_text(vault.secret_id())
        vault.admin.adapter.post(f"/v1/sys/locked-users/{_accessor(vault)}/unlock/{role_id}")
        clock.advance(80)
        assert dict(await source.read("acme")) == SECRET
    assert logins.made == 1
    assert told == {
        "Vault: refused the login: invalid role or secret ID.",
        "Vault: refused the login: permission denied.",
        "Vault: the last login failed, and the next one waits.",
    }
    assert "Vault refused the login: invalid role or secret ID. The next one is in" in caplog.text


def _accessor(vault: Vault) -> str:
    return vault.admin.sys.list_auth_methods()["data"]["approle/"]["accessor"]


# AppRole with a wrapped secret id


async def test_a_wrapped_secret_id_is_opened_once_and_used_for_every_login(
    vault: Vault, tmp_path: Path, logins: Logins
) -> None:
    role_id, file, clock = vault.approle(), tmp_path / "wrapped", WaitingClock()
    file.write_text(vault.wrapped_secret_id())
    async with reading(
        vault, clock=clock, vault_auth="approle", vault_role_id=role_id, vault_wrapped_secret_id_file=file
    ) as source:
        rejected = (await source.read("acme")).version
        vault.revoke_logins("approle")
        vault.put("acme", access_token="rotated-value")
        clock.advance(20)
        assert (await source.refresh("acme", rejected=rejected))["access_token"] == "rotated-value"
    assert (logins.made, logins.failed) == (2, 0)


async def test_a_new_wrapping_is_opened_when_the_file_is_replaced(vault: Vault, tmp_path: Path) -> None:
    role_id, file, clock = vault.approle(), tmp_path / "wrapped", WaitingClock()
    file.write_text(vault.wrapped_secret_id())
    async with reading(
        vault, clock=clock, vault_auth="approle", vault_role_id=role_id, vault_wrapped_secret_id_file=file
    ) as source:
        rejected = (await source.read("acme")).version
        for accessor in vault.admin.auth.approle.list_secret_id_accessors("backoffice")["data"]["keys"]:
            vault.admin.auth.approle.destroy_secret_id_accessor("backoffice", accessor)
        vault.revoke_logins("approle")
        vault.put("acme", access_token="rotated-value")
        file.write_text(vault.wrapped_secret_id())
        clock.advance(20)
        assert (await source.refresh("acme", rejected=rejected))["access_token"] == "rotated-value"


async def test_a_wrapping_that_somebody_else_has_opened_is_an_alarm(
    vault: Vault, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    role_id, file = vault.approle(), tmp_path / "wrapped"
    wrapping = vault.wrapped_secret_id()
    file.write_text(wrapping)
    vault.client(wrapping).sys.unwrap()
    told = await refusal(vault, vault_auth="approle", vault_role_id=role_id, vault_wrapped_secret_id_file=file)
    assert told == (
        "Vault: the wrapped secret id cannot be trusted: "
        "it was opened before, or is too old: somebody else may have the secret id."
    )
    assert next(record.levelname for record in caplog.records) == "CRITICAL"
    assert wrapping not in caplog.text


async def test_a_wrapping_that_somebody_has_exchanged_is_not_even_opened(vault: Vault, tmp_path: Path) -> None:
    role_id, file = vault.approle(), tmp_path / "wrapped"
    exchanged = vault.admin.sys.wrap({"secret_id": vault.secret_id()})["wrap_info"]["token"]
    file.write_text(exchanged)
    told = await refusal(vault, vault_auth="approle", vault_role_id=role_id, vault_wrapped_secret_id_file=file)
    assert "it was made at sys/wrapping/wrap, not by the AppRole: somebody may have exchanged it" in told
    assert vault.client(exchanged).sys.unwrap()["data"].keys() == {"secret_id"}


# Kubernetes


class TokenReviews(BaseHTTPRequestHandler):
    """The part of a Kubernetes API server that knows whose a service account's token is."""

    known: ClassVar[dict[str, tuple[str, str]]] = {}

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name, audience = self.known.get(asked["spec"]["token"], ("", ""))
        user = {"username": f"system:serviceaccount:shop:{name}", "uid": "1", "groups": ["system:serviceaccounts"]}
        if name and audience in asked["spec"].get("audiences", [audience]):
            status = {"authenticated": True, "user": user, "audiences": [audience]}
        else:
            status = {"authenticated": False, "error": "unknown"}
        body = json.dumps({**asked, "status": status}).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name is given
        """Nobody reads it."""


@contextmanager
def cluster(vault: Vault, key: rsa.RSAPrivateKey) -> Generator[None]:
    """A cluster whose service account "backoffice" in the namespace "shop" may log in."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), TokenReviews)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        vault.admin.sys.enable_auth_method("kubernetes")
        vault.admin.write_data(
            "auth/kubernetes/config",
            data={
                "kubernetes_host": f"http://127.0.0.1:{server.server_port}",
                "kubernetes_ca_cert": vault.server.authority.read_text(),
                "token_reviewer_jwt": service_account(key, "reviewer"),
                "disable_local_ca_jwt": True,
            },
        )
        vault.admin.auth.kubernetes.create_role(
            "backoffice", "backoffice", "shop", policies=[vault.policy()], ttl="1h", audience="vault"
        )
        yield
    finally:
        server.shutdown()
        server.server_close()


def service_account(key: rsa.RSAPrivateKey, name: str, *, audience: str = "vault") -> str:
    about = {"namespace": "shop", "serviceaccount": {"name": name, "uid": "1"}}
    token = signed(
        key,
        iss="https://kubernetes.default.svc",
        sub=f"system:serviceaccount:shop:{name}",
        aud=[audience],
        **{"kubernetes.io": about},
    )
    TokenReviews.known[token] = name, audience
    return token


async def test_a_kubernetes_service_account_logs_in(vault: Vault, key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(service_account(key, "backoffice"))
    with cluster(vault, key):
        async with reading(vault, vault_auth="kubernetes", vault_role="backoffice", vault_jwt_file=file) as source:
            assert dict(await source.read("acme")) == SECRET


@pytest.mark.parametrize(
    ("name", "audience", "told"),
    [("intruder", "vault", "service account name not authorized"), ("backoffice", "elsewhere", "invalid audience")],
)
async def test_another_service_account_or_audience_is_refused(
    vault: Vault, key: rsa.RSAPrivateKey, tmp_path: Path, name: str, audience: str, told: str
) -> None:
    file = tmp_path / "token"
    file.write_text(service_account(key, name, audience=audience))
    with cluster(vault, key):
        assert told in await refusal(vault, vault_auth="kubernetes", vault_role="backoffice", vault_jwt_file=file)


# JWT


@pytest.fixture
def issuer(vault: Vault, key: rsa.RSAPrivateKey) -> None:
    """Tokens that the test signs are believed at the mount "ci"."""
    vault.admin.sys.enable_auth_method("jwt", path="ci")
    vault.admin.auth.jwt.configure(jwt_validation_pubkeys=[public(key)], path="ci")
    vault.admin.auth.jwt.create_role(
        "backoffice",
        "sub",
        allowed_redirect_uris=[],
        role_type="jwt",
        bound_audiences=["vault"],
        bound_subject="backoffice",
        token_policies=[vault.policy()],
        path="ci",
    )


async def test_a_jwt_logs_in_and_a_file_that_is_replaced_is_read_with_the_next_login(
    vault: Vault, issuer: None, key: rsa.RSAPrivateKey, tmp_path: Path, logins: Logins
) -> None:
    file, clock = tmp_path / "jwt", WaitingClock()
    file.write_text(signed(key, sub="backoffice", aud="vault"))
    given: dict[str, Any] = {
        "vault_auth": "jwt",
        "vault_auth_mount": "ci",
        "vault_role": "backoffice",
        "vault_jwt_file": file,
    }
    async with reading(vault, clock=clock, **given) as source:
        rejected = (await source.read("acme")).version
        file.write_text(signed(key, sub="backoffice", aud="vault", jti="2"))
        vault.revoke_logins("ci")
        vault.put("acme", access_token="rotated-value")
        clock.advance(20)
        assert (await source.refresh("acme", rejected=rejected))["access_token"] == "rotated-value"
    assert (logins.made, logins.failed) == (2, 0)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "intruder", "aud": "vault"},
        {"sub": "backoffice", "aud": "elsewhere"},
        {"sub": "backoffice", "aud": "vault", "exp": 1_000_000_000},
    ],
    ids=["subject", "audience", "expired"],
)
async def test_a_jwt_of_another_or_for_another_or_too_old_is_refused(
    vault: Vault, issuer: None, key: rsa.RSAPrivateKey, tmp_path: Path, claims: dict[str, Any]
) -> None:
    file = tmp_path / "jwt"
    file.write_text(signed(key, **claims))
    told = await refusal(vault, vault_auth="jwt", vault_auth_mount="ci", vault_role="backoffice", vault_jwt_file=file)
    assert told.startswith("Vault: refused the login: ")


async def test_a_login_that_cannot_be_made_is_no_reason_to_throw_a_good_token_away(
    vault: Vault, tmp_path: Path, logins: Logins
) -> None:
    role_id, file, clock = vault.approle(token_type="batch"), tmp_path / "secret-id", WaitingClock()
    file.write_text(vault.secret_id())
    async with reading(
        vault, clock=clock, vault_auth="approle", vault_role_id=role_id, vault_secret_id_file=file
    ) as source:
        rejected = (await source.read("acme")).version
        file.unlink()
        vault.put("acme", access_token="rotated-value")
        clock.advance(2500)  # a batch token cannot be renewed, and this one has 1,100 s left
        assert (await source.refresh("acme", rejected=rejected))["access_token"] == "rotated-value"
    assert (logins.made, logins.failed) == (1, 1)
