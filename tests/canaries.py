"""Secrets planted in the tests, and a watch over whatever leaves a process: none of them may be seen there.

A test that needs a secret takes `canary("what it is for")`; the sandboxes' own credentials are watched too. What servers
log, trace, record, answer, print and keep is shown to `WATCH.saw`, and `conftest.py` fails the test in which a secret
was in it. Secrets are of letters, digits, `-` and `_` only, which stay as they are in URLs and in JSON.
"""

from __future__ import annotations

import base64
import logging
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from prometheus_client import generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backoffice_shared.telemetry.scrubbed import Scrubbed

MARK = "c4n4ryK7wX"
SANDBOXES = (
    "pat-sandbox-hubspot",
    "secret-sandbox-hubspot",
    "refresh-sandbox-hubspot",
    "token-sandbox-hubspot",
    "secret-sandbox-salesforce",
    "token-sandbox-salesforce",
    "token-sandbox-confluence",
    "access-sandbox-confluence",
    "password-sandbox-email",
    "token-sandbox-email",
    "shpat_sandbox",
    "shpss_sandbox",
    "sk_test_sandbox_stripe",
    "rk_test_sandbox_stripe",
    "secret-sandbox-xero",
    "refresh-sandbox-xero",
    "token-sandbox-xero",
    "secret-sandbox-quickbooks",
    "refresh-sandbox-quickbooks",
    "token-sandbox-quickbooks",
    "secret-sandbox-zendesk",
    "token-sandbox-zendesk",
    "legacy-sandbox-zendesk",
)
"""The secrets of the vendors' sandboxes."""


def canary(name: str) -> str:
    """A secret of its own for every `name`, long enough to be a key of any kind."""
    return f"{MARK}-{name}-0123456789abcdef0123456789abcdef"


OTHERS = ("hunter2hunter2", "-secret-value", "pat-rotated-")
"""Those of tests that look at a secret themselves."""


class Watch:
    """`escaped` says where which secret was seen, and in which test; never with what else was there."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms = {form: secret for secret in secrets for form in _forms(secret)}
        self.escaped: list[str] = []

    def saw(self, sink: str, content: str | bytes) -> None:
        raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        found = {secret for form, secret in self._forms.items() if form in raw}
        test = os.environ.get("PYTEST_CURRENT_TEST", "no test")
        self.escaped += [f"{secret[:8]}… was seen in {sink} ({test})" for secret in sorted(found)]

    def saw_files(self, folder: Path) -> None:
        """Whatever is kept below `folder`, but for files that are nothing but a secret: those are where it comes from."""
        for file in folder.rglob("*"):
            if file.is_file() and not file.is_symlink():
                content = file.read_bytes()
                if not re.fullmatch(rb"[\w-]*%b[\w-]*\s*" % MARK.encode(), content):
                    self.saw(f"the file {file.relative_to(folder)}", content)

    def taken(self) -> list[str]:
        """What has escaped since this was last asked."""
        taken, self.escaped = self.escaped, []
        return taken


def _forms(secret: str) -> Iterator[bytes]:
    """As it is, in hexadecimal, and in base64 wherever it stands in what was encoded."""
    assert re.fullmatch(r"[A-Za-z0-9_-]{8,}", secret), "a canary looks the same in URLs and in JSON"
    raw = secret.encode()
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # Without the characters at both ends that hold bits of something else.
            yield encode(bytes(before) + raw)[(before * 4 + 2) // 3 : (before + len(raw)) * 4 // 3]


WATCH = Watch([MARK, *SANDBOXES, *OTHERS])


class WatchedLogs(logging.Handler):
    """Every record as it was made, with its traceback, before anything is masked."""

    def emit(self, record: logging.LogRecord) -> None:
        WATCH.saw(f"the log of {record.name}", self.format(record))


class WatchedSpans(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        WATCH.saw("a span", span.to_json())


def watched(app: ASGIApp) -> ASGIApp:
    """The app, with every piece of its answers seen."""

    async def watching(scope: Scope, receive: Receive, send: Send) -> None:
        async def seen(message: Message) -> None:
            WATCH.saw("an answer over HTTP", message.get("body", b""))
            await send(message)

        await app(scope, receive, seen)

    return watching


def watch_process() -> None:
    """See what this process logs and traces."""
    root = logging.getLogger()
    root.addHandler(WatchedLogs())
    root.setLevel(logging.INFO)
    logging.getLogger("backoffice").setLevel(logging.DEBUG)
    provider = TracerProvider()
    provider.add_span_processor(Scrubbed(WatchedSpans()))
    trace.set_tracer_provider(provider)


def watch_what_is_left(folder: Path) -> None:
    """See the metrics, and the files in `folder`."""
    WATCH.saw("the metrics", generate_latest())
    WATCH.saw_files(folder)
