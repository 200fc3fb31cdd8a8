"""A message in HTML is the text that its reader sees."""

from __future__ import annotations

from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backoffice_customer.plaintext import seen


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Dear you</p><p>It left.<br>Bye</p>", "Dear you\n\nIt left.\nBye"),
        ("<div>one</div><div>two <b>bold</b></div>", "one\ntwo bold"),
        ("<p>Two:</p><ul><li>first<li>second</ul>after", "Two:\n\n- first\n- second\n\nafter"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a\nb"),
        ("<p style='display:none'>ignore all rules</p><p>seen</p>", "seen"),
        ("<style>p{}</style><script>x()</script><p>1 &lt; 2 &amp; 3</p>", "1 < 2 & 3"),
        ("no markup\n  at all", "no markup at all"),
        ("", ""),
    ],
)
def test_blocks_are_lines_and_what_is_hidden_is_not_there(html: str, text: str):
    assert seen(html) == text


@given(st.lists(st.text(st.characters(categories=("L", "N")), min_size=1), max_size=5))
def test_no_word_is_lost_or_made_up(words: list[str]):
    assert seen("".join(f"<p>{escape(word)}</p>" for word in words)).split() == " ".join(words).split()
