"""Whatever is logged, by whomever: one line or object, whole, without a secret, and never lost."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from backoffice_shared.redaction import MASK, SECRETS
from backoffice_shared.telemetry.logs import LONGEST_EXCEPTION, LONGEST_MESSAGE, Form, handler

SECRET = "canary-of-the-log-9f27c1"
SECRETS.learn(SECRET)

TOO_FEW = "with too few arguments: %s %s"


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("not even my name")


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even why")


@contextmanager
def logging_to(form: Form) -> Generator[tuple[logging.Logger, io.StringIO]]:
    """A logger of the test's own, and what is written of it."""
    stream = io.StringIO()
    log = logging.Logger("backoffice.test")
    log.addHandler(handler(stream, form))
    yield log, stream


def objects(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def failing(message: str) -> BaseException:
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


def test_a_record_is_one_object_with_utc_time_and_level() -> None:
    with logging_to("json") as (log, stream):
        log.warning("%s is %d s late", "Zendesk", 3)
    (line,) = objects(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("ts"))
    assert line == {"level": "WARNING", "logger": "backoffice.test", "message": "Zendesk is 3 s late"}


def test_a_record_names_the_trace_it_belongs_to() -> None:
    context = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(1))
    with logging_to("json") as (log, stream), trace.use_span(NonRecordingSpan(context)):
        log.info("in a call")
    (line,) = objects(stream)
    assert (line["trace_id"], line["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_part_of_a_record_shows_a_secret_that_is_in_use(form: Form) -> None:
    with logging_to(form) as (log, stream):
        log.warning("in the message: " + SECRET)
        log.warning("in an argument: %s", SECRET)
        log.warning("in an object: %s", {"token": SECRET})
        log.error("in an exception", exc_info=failing(f"refused {SECRET}"))
        log.warning(TOO_FEW, SECRET)
        log.warning("as a field", extra={"token": SECRET})
        log.warning("x" * (LONGEST_MESSAGE - 5) + SECRET)
    told = stream.getvalue()
    assert SECRET not in told
    assert "canary" not in told
    assert told.count(MASK) == 5  # the field is not shown at all, and of the last one the end is cut off


@pytest.mark.parametrize("form", ["text", "json"])
@given(text=st.text(st.characters(categories=("C", "Z", "L", "P"))), name=st.text())
def test_nobody_can_forge_a_line(form: Form, text: str, name: str) -> None:
    with logging_to(form) as (log, stream):
        log.warning("refused: %s", text + "\nERROR backoffice.audit: all is well\r\n\x1b[2K\u2028{}" + name)
    line = stream.getvalue().removesuffix("\n")
    assert line.isprintable()
    assert "ERROR backoffice.audit: all is well" in line


def test_a_traceback_is_set_off_so_that_its_lines_are_not_taken_for_records() -> None:
    with logging_to("text") as (log, stream):
        log.error("it failed", exc_info=failing("no\nERROR backoffice.audit: all is well\r\x1b[2K"))
    first, *rest = stream.getvalue().splitlines()
    assert first == "ERROR backoffice.test: it failed"
    assert rest[-1] == "    ERROR backoffice.audit: all is well\\r\\x1b[2K"
    assert all(line.startswith("    ") for line in rest)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_record_that_cannot_be_shown_is_not_lost(form: Form, capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to(form) as (log, stream):
        log.warning(TOO_FEW, "one")
        log.warning("no number: %d", "x")
        log.warning("%s", Unspeakable())
        log.warning(Unspeakable())
        log.warning("half a character: %s", "\ud800")
        log.error("it failed", exc_info=UnspeakableError())
    told = stream.getvalue()
    assert len(re.findall("WARNING", told)) == 5
    assert all(part in told for part in ("too few arguments", "no number", "half a character: \\", "it failed"))
    assert capsys.readouterr() == ("", "")  # what logging itself prints of a record that it cannot show
    told.encode()


def test_a_record_has_an_end_and_of_an_exception_the_end_is_kept() -> None:
    with logging_to("json") as (log, stream):
        log.error("x" * 100_000, exc_info=failing("y" * 100_000 + " this is why"))
    (line,) = objects(stream)
    assert len(line["message"]) <= LONGEST_MESSAGE + 2
    assert len(line["exception"]) <= LONGEST_EXCEPTION + 2
    assert line["exception"].endswith("this is why")


BADLY_ENDING = f"""
import threading
from backoffice_shared.redaction import SECRETS
from backoffice_shared.telemetry.logs import log_to_stderr

log_to_stderr("INFO", "json")
SECRETS.learn("{SECRET}")

class Closing:
    def __del__(self):
        raise ValueError("while closing: {SECRET}")

def stumble():
    raise ValueError("in a thread: {SECRET}")

Closing()
thread = threading.Thread(target=stumble)
thread.start()
thread.join()
raise ValueError("at the end: {SECRET}")
"""


def test_what_nobody_caught_is_a_record_like_any_other() -> None:
    ended = subprocess.run([sys.executable, "-c", BADLY_ENDING], capture_output=True, text=True, check=False)
    said = [json.loads(line) for line in ended.stderr.splitlines()]
    assert ended.returncode == 1
    assert [entry["exception"].splitlines()[-1] for entry in said] == [
        f"ValueError: while closing: {MASK}",
        f"ValueError: in a thread: {MASK}",
        f"ValueError: at the end: {MASK}",
    ]
