"""Whatever HTML comes: what its styles hide is not read, and no text is too broken, too long or too deep."""

from __future__ import annotations

import re
import sys
from html import escape, unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from backoffice_customer.markdown import Markdown, markdown_of, outline, section_named, sections
from backoffice_customer.markup import LONGEST, MOST_TOKENS


def text_of(html: str) -> str:
    return markdown_of(html).text


# ---------------------------------------------------------------------------------------------------- hidden text


@pytest.mark.parametrize(
    "style",
    [
        "DISPLAY: None !important",
        "color: red; display:none; display:bogus",
        "display/**/:/* shown */none",
        "/* a; */ display: none",
        r"d\69splay: n\00006f ne",
        r"dis\play:no\ne",
        "visibility: collapse",
        "content-visibility:hidden",
        "opacity: .0",
        "opacity:0.04",
        "opacity: 3%",
        "font-size: 1px",
        "font-size:.05em",
        "font-size: 6%",
        "font: 0/0 a",
        "font:italic 400 0.5pt serif",
        "position:absolute; left:-9999px",
        "position: fixed; top: -100vh",
        "position: absolute; bottom: 20000px",
        "text-indent:-99em",
        "transform: translateX(-1e4px)",
        "clip: rect(1px, 1px, 1px, 1px)",
        "max-height:0; overflow:hidden",
        "overflow-y: clip; height: 1px",
        "color: #FFF; background: #fff",
        "background-color:white;color:white",
        "color:transparent",
    ],
)
def test_what_a_style_hides_is_left_out_and_named(style: str) -> None:
    assert markdown_of(f'<p style="{style}">psst</p><p>seen</p>').text == "seen"
    assert "hidden text" in markdown_of(f'<p style="{style}">psst</p><p>seen</p>').lossy


@pytest.mark.parametrize(
    "style",
    [
        "",
        "none",
        "/* display:none */",
        "/* display:none",
        "dis/**/play: none",
        "x-display: none",
        "display: none-such",
        "opacity: 1; font-size: 0.8em",
        "font: 12px/0 serif",
        "font-weight: 0",
        "width: 5%; overflow: hidden",
        "max-width: 0; overflow: hidden; text-overflow: ellipsis",
        "max-height: 0",
        "left: -50%; margin: 0 -9999px",
        "left: -10px; top: 2000px",
        "transform: rotate(-720deg)",
        "color: white; background: navy",
        "color: inherit; background: inherit",
        "line-height: 0",
        "left: a-9999px",
        "clip: auto",
    ],
)
def test_a_style_that_hides_nothing_leaves_the_text(style: str) -> None:
    assert text_of(f'<p style="{style}">seen</p>') == "seen"


def test_hidden_text_ends_where_what_is_around_it_ends() -> None:
    assert text_of("<div><span style='visibility:hidden'>a<b>b</div><p>seen</p>") == "seen"
    assert text_of("<p>a<span style='font-size:0.9em;opacity:0.5'>small</span></p>") == "asmall"


# ------------------------------------------------------------------------------------------------ whatever comes


def rendered(markdown: str) -> str:
    return MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(markdown)


def words_in(html: str) -> str:
    """What is read in it, without the spaces."""
    return "".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


LOOKS_LIKE_MARKUP = (
    *(
        "# 1",
        "1. one",
        "2) two",
        "- x",
        "+ x",
        "> x",
        "=== ",
        "--- ",
        "| a | b |",
        ":--|--",
        "*a*",
        "_a_",
        "__a__",
        "`a`",
    ),
    *("[a](b)", "![a](b)", "<b>", "&lt;", "a\\*", "~~a~~", "```", "a\\", "[x]: http://y"),
)


@pytest.mark.parametrize("text", LOOKS_LIKE_MARKUP)
def test_what_only_looks_like_markup_is_read_as_it_was_written(text: str) -> None:
    assert rendered(text_of(f"<p>{escape(text)}</p>")) == f"<p>{escape(text.strip())}</p>\n"


SIGNS = st.text(alphabet='ab1 *_`[]()<>#-+=|!\\~&;.:\n"{}é', min_size=1, max_size=12).map(escape)


def within(begin: str, parts: list[str], end: str) -> str:
    return f"{begin}{''.join(parts)}{end}"


def element(tag: str, parts: list[str]) -> str:
    return within(f"<{tag}>", parts, f"</{tag.partition(' ')[0]}>")


def phrases(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    tags = st.sampled_from(["b", "i", "s", "span", "code", "strong", 'a href="https://x.example/a_(b)"'])
    return st.builds(element, tags, st.lists(inner, max_size=3))


def blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    parts = st.lists(inner, min_size=1, max_size=3)
    lists = [st.builds(within, st.just(f"<{tag}><li>"), parts, st.just(f"</li></{tag}>")) for tag in ("ul", "ol")]
    return st.one_of(*lists, st.builds(element, st.sampled_from(["blockquote", "section"]), parts))


PHRASES = st.lists(st.recursive(SIGNS, phrases, max_leaves=6), max_size=4).map("".join)
SIMPLE_BLOCK = st.builds(element, st.sampled_from(["p", "h2", "div", "h5"]), st.lists(PHRASES, max_size=1))
BLOCK = st.recursive(SIMPLE_BLOCK, blocks, max_leaves=5)
PAGES = st.lists(BLOCK, max_size=3).map("".join)


@settings(deadline=None)
@given(PAGES)
def test_whoever_renders_the_markdown_reads_the_same_text(html: str) -> None:
    assert words_in(rendered(text_of(html))) == words_in(html)


@settings(deadline=None)
@given(st.lists(st.lists(PHRASES, min_size=2, max_size=3), min_size=1, max_size=3))
def test_cells_are_read_the_same_in_any_table(rows: list[list[str]]) -> None:
    width = max(len(row) for row in rows)
    lines = ["".join(f"<td>{cell}</td>" for cell in [*row, *["x"] * (width - len(row))]) for row in rows]
    html = f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
    assert words_in(rendered(text_of(html))) == words_in(html)


@settings(deadline=None)
@given(PAGES)
def test_the_outline_of_a_page_is_the_same_however_often_it_is_made(html: str) -> None:
    markdown = text_of(html)
    again = "".join(part.text for part in sections(markdown))
    assert again == markdown
    assert outline(again) == outline(markdown)
    for heading in outline(markdown):
        assert section_named(markdown, heading)


FRAGMENTS = (
    *(
        "<p>",
        "</p>",
        "<table>",
        "<td>",
        "<tr>",
        "</table>",
        "<ul>",
        "<li>",
        "</li>",
        "<b>",
        "</b>",
        "<a",
        "<a/>",
        " x=",
        "'",
        '"',
    ),
    *(
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<div hidden>",
        "</div>",
        "<pre>",
        "</pre>",
        "<h1>",
        "</h1>",
        "<br>",
        "<img",
        "<",
    ),
    *("<script>", "</script>", "x", " ", "&#", "&amp;", ">"),
)


@settings(deadline=None)
@given(
    st.one_of(
        st.text(),
        st.lists(st.sampled_from(FRAGMENTS)).map("".join),
    )
)
def test_no_text_is_too_broken(html: str) -> None:
    markdown = markdown_of(html).text
    assert "".join(part.text for part in sections(markdown)) == markdown
    assert markdown == markdown.strip()
    sections(html)
    section_named(html, html)


PIECES = (
    *("<a ", "<a/", '<a x="', "<a =", "<!--", "<", "</", "&#", "<b>", "</b>", "<ul><li>", "<table><tr><td>"),
    *(
        "<td rowspan=999>",
        "<td colspan=999>",
        "<h1>#",
        "a<b>b</b>",
        "<p>`",
        "\n# a\n",
        "<br>-",
        "<div hidden>",
        "<i><b>",
    ),
)


@pytest.mark.parametrize("piece", PIECES)
def test_a_text_that_is_ten_times_as_long_takes_ten_times_as_many_steps(piece: str) -> None:
    def steps(characters: int) -> int:
        """Calls of functions, ours and Python's."""
        html, called = piece * (characters // len(piece)), 0

        def count(_frame: object, event: str, _what: object) -> None:
            nonlocal called
            called += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            section_named(markdown_of(html).text, "a")
            section_named(html, "a")
        finally:
            sys.setprofile(None)
        return called

    assert steps(20_000) <= 11 * steps(2_000)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("x" * (LONGEST + 1), "x" * LONGEST),
        ("x" * (LONGEST - 2) + "<p>y", "x" * (LONGEST - 2)),
        ("<p>x</p>" * MOST_TOKENS, "\n\n".join(["x"] * ((MOST_TOKENS + 1) // 3))),
    ],
)
def test_of_a_very_long_text_the_beginning_is_converted_and_that_is_said(html: str, text: str) -> None:
    assert markdown_of(html) == Markdown(text, ["the rest of it: it is too long to be converted whole"])


@pytest.mark.parametrize("html", ["x" * LONGEST, "<p>x</p>" * (MOST_TOKENS // 3)])
def test_of_a_long_text_all_is_converted(html: str) -> None:
    assert markdown_of(html).lossy == []


@pytest.mark.parametrize("tag", ["div", "ul><li", "blockquote", "b", "table><tr><td", "a", "p", "ac:structured-macro"])
def test_what_is_nested_five_thousand_times_is_still_read(tag: str) -> None:
    assert "deep" in text_of(f"<{tag}>" * 5_000 + "deep")


def test_a_reference_to_no_character_is_a_sign_for_one() -> None:
    assert text_of(f"<p>a&#{'9' * 10_000};b&#x{'f' * 5_000};</p>") == "a\ufffdb\ufffd"
