"""Messages read and written without a wire: headers, texts and structures, and what hostile ones cannot do."""

from __future__ import annotations

import contextlib
from email import message_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.customer.mailroom import KEY, TODAY

from backoffice_customer.backends.email.letters import Letter, checked_address, composed, id_for, replying
from backoffice_customer.backends.email.mime import Address, Part, body, headers, structure, text, unquoted
from backoffice_customer.backends.email.postoffice import SUPPORT
from backoffice_customer.backends.email.syntax import quoted, read
from backoffice_shared.errors import InvalidInput


def test_a_message_id_is_the_keys_own() -> None:
    assert id_for(KEY, "a@b", SUPPORT) == id_for(KEY, "a@b", SUPPORT)
    assert len({id_for(KEY, "a@b", SUPPORT), id_for(KEY, "c@d", SUPPORT), id_for(KEY + "2", "a@b", SUPPORT)}) == 3
    assert id_for(KEY, "a@b", SUPPORT).endswith("@northwind.example")
    assert (replying("Hi"), replying("RE: Hi"), replying("Reply")) == ("Re: Hi", "RE: Hi", "Re: Reply")


@pytest.mark.parametrize(
    ("raw", "read_as"),
    [
        ("=?utf-8?q?Gr=C3=B6=C3=9Fe?=", "Größe"),
        ("=?iso-8859-1?q?Gr=F6=DFe?= now", "Größe now"),
        ("=?nonsense?q?x?=", "=?nonsense?q?x?="),
        ("=?utf-8?b?a?=", "=?utf-8?b?a?="),
        ("two\r\n lines\x00 and \u202e more", "two lines and more"),
        ("", ""),
    ],
)
def test_headers_are_read_in_every_spelling(raw: str, read_as: str) -> None:
    assert text(raw) == read_as


@pytest.mark.parametrize(
    ("raw", "part", "read_as"),
    [
        (b"Gr=F6=DFe=\r\n!", Part("1", "text/plain", "quoted-printable", 9, charset="latin-1"), "Größe!"),
        (b"R3LDtsOf\r\nZQ", Part("1", "text/plain", "base64", 9, charset="utf-8"), "Größe"),
        (b"R3LDtsOfZ", Part("1", "text/plain", "base64", 9, charset="utf-8"), "Größ"),
        (b"caf\xe9", Part("1", "text/plain", "8bit", 4, charset="utf-8"), "café"),
        (b"caf\xc3\xa9", Part("1", "text/plain", "8bit", 5, charset="no-such-charset"), "café"),
        (b"a\r\n\r\n\r\n\r\nb  \r\n\x00", Part("1", "text/plain", "7bit", 9), "a\n\nb"),
        (
            b"<head><style>p{}</style></head><p>Hello <b>you</b> &amp; me<br>again</p><script>x()</script><ul><li>1<li>2</ul>",
            Part("1", "text/html", "7bit", 9),
            "Hello you & me\nagain\n\n- 1\n- 2",
        ),
        (
            b"<p title='1 > 0'>1 < 2 <!-- no --><![if x]>yes<?php ?> <script>never </p>closed <a href=",
            Part("1", "text/html", "7bit", 9),
            "1 < 2 yes",
        ),
    ],
)
def test_texts_are_read_in_every_encoding(raw: bytes, part: Part, read_as: str) -> None:
    assert body(raw, part) == read_as


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("Yes.\n\nOn Monday, 1 May 2026, Ada wrote:\n> Really?\n", ("Yes.", True)),
        ("Ja.\n\nAm 01.05.2026 um 10:00 schrieb\nAda Lovelace <ada@engine.example>:\n> Wirklich?\n\n", ("Ja.", True)),
        ("Yes.\n\n-----Original Message-----\nFrom: Ada\nReally?", ("Yes.", True)),
        ("Yes.\n________________________________\nFrom: Ada\nSent: Monday", ("Yes.", True)),
        ("> Really?\nYes.\n> Sure?\nSure.", ("> Really?\nYes.\n> Sure?\nSure.", False)),
        ("> nothing\n> else", ("> nothing\n> else", False)),
        ("Two things:\n> this\n", ("Two things:", True)),
        ("Plain.", ("Plain.", False)),
        ("", ("", False)),
    ],
)
def test_the_history_at_the_end_of_a_reply_is_cut_off_and_nothing_else(reply: str, said: tuple[str, bool]) -> None:
    assert unquoted(reply) == said


def test_a_structure_gives_the_text_and_the_attachments_of_parts_in_parts() -> None:
    wire = read(
        [
            (
                b'((("text" "html" NIL NIL NIL "7bit" 5 1 NIL NIL NIL NIL)("text" "plain" ("charset" "utf-8") NIL NIL "8bit"'
                b' 5 1 NIL NIL NIL NIL) "alternative" NIL NIL NIL)("application" "pdf" ("name" {5}',
                b"a.pdf",
            ),
            b') NIL NIL "base64" 78 NIL ("attachment" NIL) NIL NIL) "mixed" NIL NIL NIL)',
        ]
    )
    found = structure(wire[0])
    assert found.text == Part("1.2", "text/plain", "8bit", 5, charset="utf-8")
    assert found.attachments == [Part("2", "application/pdf", "base64", 78, name="a.pdf", attached=True)]
    assert found.attachments[0].decoded_size == 57


def test_strings_are_quoted_or_literals() -> None:
    assert quoted('a "b" \\c') == b'"a \\"b\\" \\\\c"'
    assert quoted("ü\r\n") == b"{4+}\r\n\xc3\xbc\r\n"
    for broken in (b"(", b")", b'"a', b"(" * 200 + b")" * 200):
        with pytest.raises(ValueError, match=r"end|lists"):
            read([broken])


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_nothing_that_a_message_holds_breaks_its_reader(raw: bytes) -> None:
    headers(b"Subject: " + raw + b"\r\nFrom: " + raw)
    for kind in ("text/plain", "text/html"):
        for encoding in ("7bit", "base64", "quoted-printable", raw.decode("latin-1")):
            unquoted(body(raw, Part("1", kind, encoding, 1, charset=raw[:20].decode("latin-1"))))


@pytest.mark.parametrize(
    "piece",
    ["<", "<!--", "<a ", "<a '", "</", "<script>", "&", "&#", "<![CDATA[", "> ", "-", "\n", "- ", "-" * 40 + " "],
)
def test_a_hostile_page_is_read_once_not_over_and_over(piece: str) -> None:
    """A quarter of a megabyte of what makes some parsers look back again and again. A test has a minute."""
    for kind in ("text/html", "text/plain"):
        unquoted(body((piece * (256 * 1024 // len(piece))).encode(), Part("1", kind, "7bit", 1)))
    unquoted("---" + piece * (256 * 1024 // len(piece)))
    unquoted("---" + " " * 256 * 1024 + piece)


@pytest.mark.parametrize("charset", ["idna", "punycode", "unicode_escape", "undefined", "utf-7", "hz"])
def test_a_charset_that_takes_for_ever_is_none(charset: str) -> None:
    body(b"a-b" * 100_000, Part("1", "text/plain", "7bit", 1, charset=charset))
    assert text(f"=?{charset}?q?abc-def?=")


@pytest.mark.parametrize("piece", ["[", "[ ", "a[", "] [", "a ", " ", "()", '"a"', '"', "\\", "a", "{1}"])
def test_a_hostile_line_is_read_once_not_over_and_over(piece: str) -> None:
    with contextlib.suppress(ValueError):
        read([(piece * (1_000_000 // len(piece))).encode()])


@pytest.mark.parametrize("piece", ["(", "<", "@", '"', ",", "a@b,", "=?utf-8?q?x?= ", "=?", "[", "<a@b>", "\r\n "])
def test_a_hostile_header_breaks_nothing(piece: str) -> None:
    long = piece * (100_000 // len(piece))
    head = headers("".join(f"{name}: {long}\r\n" for name in ("From", "To", "Subject", "References")).encode())
    assert len(head.to) <= 50


@given(st.text(max_size=200), st.text(max_size=100), st.text(max_size=2_000))
@settings(max_examples=200, deadline=None)
def test_a_composed_message_has_the_headers_it_should_have_and_no_others(subject: str, name: str, said: str) -> None:
    line = " ".join("".join(c for c in subject if c.isprintable()).split())
    called = " ".join("".join(c for c in name if c.isprintable()).split())[:50]
    letter = Letter("i@d", SUPPORT, "ada@engine.example", called, line, said, "r@d", ("r@d",), "0" * 16, solves=False)
    message = message_from_bytes(composed(letter, TODAY))
    assert [header for header in message.keys() if header != "Subject"] == [  # noqa: SIM118
        "Date",
        "From",
        "To",
        "Message-ID",
        "In-Reply-To",
        "References",
        "X-Backoffice-Attempt",
        "X-Backoffice-Digest",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ]
    assert headers(composed(letter, TODAY)).subject == line
    assert headers(composed(letter, TODAY)).to == (Address(called, "ada@engine.example"),)


def test_an_address_may_be_of_any_alphabet_and_is_never_two() -> None:
    assert checked_address(" Ada@Engine.example ") == "Ada@Engine.example"
    assert checked_address("zoë@bücher.example") == "zoë@xn--bcher-kva.example"
    for wrong in ("a b@c.example", "a@b@c.example", "<a@b.example>", "a@b..example", "ü@", "a\u2028@b.example"):
        with pytest.raises(InvalidInput):
            checked_address(wrong)
