"""One trace from the agent through the platform and a domain server to a backend, for whoever configures a collector.

Spans are made everywhere and cost next to nothing until `tracing` gives them somewhere to go. Trace ids travel
nevertheless: the audit and the log name the caller's.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry import trace

from backoffice_shared.errors import InvalidInput
from backoffice_shared.settings import Settings

FLUSH = 3.0  # seconds that the end may wait for what is still to be sent


@contextmanager
def tracing(settings: Settings, server: str) -> Generator[None]:
    """Send this process's spans to the collector, when one is configured, as those of the service `backoffice-<server>`.

    Raises:
        InvalidInput: the endpoint is no URL, or the library is not installed.
    """
    if settings.otlp_endpoint is None:
        yield
        return
    if not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", settings.otlp_endpoint):
        raise InvalidInput("", "BACKOFFICE_OTLP_ENDPOINT is not an http(s) URL", hint="Such as http://collector:4318")
    from backoffice_shared.telemetry.otlp import otlp_provider  # noqa: PLC0415 - its library is an extra

    provider = otlp_provider(settings.otlp_endpoint, f"backoffice-{server}")
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        # A collector that hangs must not keep the process: what it has not taken in time is lost with it.
        ending = threading.Thread(target=provider.shutdown, name="traces-end", daemon=True)
        ending.start()
        ending.join(FLUSH)
