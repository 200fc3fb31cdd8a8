"""Where Valkey is: the URL that an operator configures.

`valkey://` or `redis://`, with `valkeys://` or `rediss://` over TLS; `[user:password@]host[:port][/database]`.
TLS checks the certificate and the name in it, against the system's authorities or `?ssl_ca_certs=FILE`;
`&ssl_certfile=FILE&ssl_keyfile=FILE` identify us.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from valkey.asyncio.connection import AbstractConnection, Connection, SSLConnection

from backoffice_shared.errors import InvalidInput
from backoffice_shared.redaction import SECRETS

_PLAIN, _TLS = ("valkey", "redis"), ("valkeys", "rediss")
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_CONNECT = 1.0  # seconds; whoever waits for an answer sets a bound of its own


def connections_to(url: str, count: int = 1) -> list[AbstractConnection]:
    """So many, yet to be connected.

    Raises:
        InvalidInput: the URL cannot be one. It is not repeated.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme not in _TLS:
            return [Connection(**_options(parts)) for _ in range(count)]
        secured = [SSLConnection(**_options(parts)) for _ in range(count)]
    except ValueError:
        raise InvalidInput("", "BACKOFFICE_VALKEY_URL is not a URL") from None
    for connection in secured:
        connection.ssl_context = secured[0].ssl_context  # it takes 50 ms to read the system's authorities
    return list(secured)


def _options(parts: SplitResult) -> dict[str, Any]:
    if parts.scheme not in (*_PLAIN, *_TLS) or not parts.hostname:
        raise InvalidInput("", "BACKOFFICE_VALKEY_URL has to be a valkey:// or valkeys:// URL with a host")
    if parts.password is not None:
        SECRETS.learn(unquote(parts.password))
    secured = parts.scheme in _TLS
    return {
        "host": parts.hostname,
        "port": parts.port or 6379,
        "db": int(parts.path.strip("/") or 0),
        "username": None if parts.username is None else unquote(parts.username) or None,
        "password": None if parts.password is None else unquote(parts.password),
        "socket_connect_timeout": _CONNECT,
        "socket_timeout": None,
        "socket_keepalive": True,
        "lib_name": None,
        "lib_version": None,
        **({"ssl_check_hostname": True} if secured else {}),
        **_tls_files(parts, secured=secured),
    }


def _tls_files(parts: SplitResult, *, secured: bool) -> dict[str, str]:
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(given.keys() - (_TLS_FILES if secured else ())):
        raise InvalidInput("", f"BACKOFFICE_VALKEY_URL has an option that means nothing here: {unknown[0]}")
    return given
