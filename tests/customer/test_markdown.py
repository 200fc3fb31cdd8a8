"""HTML of wikis and help centres as Markdown: nothing that a reader sees is lost without a word about it."""

from __future__ import annotations

import pytest

from backoffice_customer.markdown import Markdown, Section, markdown_of, outline, section_named, sections


def text_of(html: str) -> str:
    return markdown_of(html).text


# ------------------------------------------------------------------------------------------------- what HTML says


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<h2>Amounts</h2><p>Up to 50 USD.</p>", "## Amounts\n\nUp to 50 USD."),
        ("One<p>two</p>three", "One\n\ntwo\n\nthree"),
        ("<p>  One \n two&nbsp;three </p>", "One two three"),
        ("<p>one<br>two<br/><br>three</p>", "one\\\ntwo\\\nthree"),
        (
            "<p>a <b>bold</b> and <em>soft</em> <del>old</del> <code>x = 1</code></p>",
            "a **bold** and *soft* ~~old~~ `x = 1`",
        ),
        ("<p><strong>both <em>of</em> them</strong></p>", "**both** ***of*** **them**"),
        ("<p><b>Note:</b>read</p>", "**Note**:read"),
        ("<p><b> spaced </b>out</p>", "**spaced** out"),
        ("<p><b>one</b><b>two</b></p>", "**onetwo**"),
        ("<p><b>one</b>\n<i>two</i></p>", "**one** *two*"),
        ("<p><code>a`b</code> <code>`</code></p>", "``a`b`` `` ` ``"),
        ("<hr>", "---"),
        ('<h2><a name="x"></a>One<br>two #</h2>', "## One two \\#"),
        ("<menu><li>one</menu>", "- one"),
        ("<blockquote><p>one</p><p>two</p></blockquote>", "> one\n>\n> two"),
        ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
        ("<ol><li>one<ol><li>deep</li></ol></li><li>two</li></ol>", "1. one\n   1. deep\n2. two"),
        ('<ol start="3"><li>c</li><li>d</li></ol>', "3. c\n4. d"),
        ("<ul><li><p>one</p><p>more</p></li><li>two</li></ul>", "- one\n\n  more\n\n- two"),
        ("<ul><li>one</li><ul><li>deep</li></ul></ul>", "- one\n  - deep"),
        ("<dl><dt>Term</dt><dd>What it means</dd></dl>", "**Term**\n\n- What it means"),
        ("<details><summary>More</summary><p>x</p></details>", "**More**\n\nx"),
        ("<p>m<sup>2</sup>, 10<sup>-6</sup>, H<sub>2</sub>O</p>", "m², 10⁻⁶, H₂O"),
        ('<p><a href="https://x.example/a b(c)">this</a>!</p>', "[this](https://x.example/a%20b%28c%29)!"),
        ('<p>so!<a href="https://x.example/">there</a></p>', "so\\![there](https://x.example/)"),
        (
            '<p>See <a href="https://x.example/a_b?c=1">https://x.example/a_b?c=1</a>.</p>',
            "See <https://x.example/a_b?c=1>.",
        ),
        ('<p><a href="/wiki/x">/wiki/x</a></p>', "[/wiki/x](/wiki/x)"),
        ("<ul><li><p>one</p></li><li><p>two</p><ul><li><p>deep</p></li></ul></li></ul>", "- one\n- two\n  - deep"),
        ('<p><a href="/wiki/x">a <b>b</b></a></p>', "[a **b**](/wiki/x)"),
        ('<p><img src="https://x.example/a.png" alt="A map"></p>', "![A map](https://x.example/a.png)"),
        ('<a href="/x"><img src="/a.png" alt="A"></a>', "[![A](/a.png)](/x)"),
        ('<pre><code class="language-python">x = 1\n  y</code></pre>', "```python\nx = 1\n  y\n```"),
        ("<pre>```\n</pre>", "````\n```\n````"),
        ("<time datetime='2026-01-15'>15 Jan 2026</time>", "15 Jan 2026"),
    ],
)
def test_what_html_says_is_said_in_markdown(html: str, markdown: str) -> None:
    assert markdown_of(html) == Markdown(markdown, [])


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        (
            "<table><thead><tr><th>Zone</th><th>Days</th></tr></thead><tbody><tr><td>EU</td><td>2</td></tr></tbody></table>",
            "| Zone | Days |\n| --- | --- |\n| EU | 2 |",
        ),
        (
            "<table><tr><td>a</td><td>b|c</td></tr><tr><td>d</td></tr></table>",
            "|  |  |\n| --- | --- |\n| a | b\\|c |\n| d |",
        ),
        ("<table><tr><th>a<th>b<tr><th>c<td>d<br>e</table>", "| a | b |\n| --- | --- |\n| **c** | d<br>e |"),
        (
            "<table><caption>Rates</caption><tr><th>a</th><th>b</th></tr></table>",
            "**Rates**\n\n| a | b |\n| --- | --- |",
        ),
        ("<table><tr><td><h2>Framed</h2><p>x</p></td></tr></table>", "## Framed\n\nx"),
    ],
)
def test_tables_keep_their_cells_and_heads(html: str, markdown: str) -> None:
    assert markdown_of(html) == Markdown(markdown, [])


def test_words_with_underscores_and_small_signs_stay_as_they_are() -> None:
    assert (
        text_of("<p>snake_case, 1 &lt; 2, C#, AT&amp;T, a-b, 3.5 + 4</p>")
        == "snake_case, 1 < 2, C#, AT&T, a-b, 3.5 + 4"
    )


# ------------------------------------------------------------------------------- Confluence's own constructs


def test_a_panel_is_a_quotation_with_its_kind_and_title() -> None:
    html = (
        '<div class="confluence-information-macro confluence-information-macro-warning" data-macro-name="warning">'
        '<p class="title">Careful</p><span class="aui-icon"></span>'
        '<div class="confluence-information-macro-body"><p>Never ask for a password.</p></div></div>'
        '<div class="confluence-information-macro confluence-information-macro-tip">Read <b>all</b> of it</div>'
        '<div class="panel"><div class="panelHeader"><b>Rates</b></div><div class="panelContent"><p>x</p></div></div>'
    )
    assert markdown_of(html) == Markdown(
        "> **Warning: Careful**\n>\n> Never ask for a password.\n\n> **Tip**\n>\n> Read **all** of it\n\n> **Rates**\n>\n> x",
        [],
    )


def test_a_task_list_says_what_is_done() -> None:
    html = (
        '<ul class="inline-task-list"><li class="checked" data-inline-task-id="1"><span>Look</span></li>'
        '<li data-inline-task-id="2">Write</li></ul>'
    )
    assert markdown_of(html) == Markdown("- [x] Look\n- [ ] Write", [])


def test_a_page_of_the_new_editor_reads_as_it_looks() -> None:
    html = (
        '<div class="contentLayout2"><div class="columnLayout two-equal"><div class="cell normal"><div class="innerCell">'
        '<h2 id="x"><strong>Rates</strong></h2><div class="table-wrap"><table class="confluenceTable"><colgroup><col />'
        '</colgroup><tbody><tr><th class="confluenceTh"><p>Zone</p></th><th class="confluenceTh"><p>Days</p></th></tr>'
        '<tr><td class="confluenceTd"><p>EU</p></td><td class="confluenceTd"><p>2</p><p>or 3</p></td></tr></tbody></table>'
        '</div></div></div><div class="cell normal"><div class="innerCell"><p>Ask <span class="inline-comment-marker">'
        "Ines</span>.</p><p /><p>Then go.</p></div></div></div></div>"
    )
    assert markdown_of(html) == Markdown(
        "## Rates\n\n| Zone | Days |\n| --- | --- |\n| EU | 2<br>or 3 |\n\nAsk Ines.\n\nThen go.", []
    )


def test_a_code_macro_keeps_its_language_title_and_layout() -> None:
    html = (
        '<div class="code panel pdl" data-macro-name="code"><div class="codeHeader"><b>unlock.sh</b></div>'
        '<div class="codeContent panelContent"><pre class="syntaxhighlighter-pre" '
        'data-syntaxhighlighter-params="brush: bash; gutter: false">a &amp;&amp;\n  b</pre></div></div>'
    )
    assert markdown_of(html) == Markdown("**unlock.sh**\n\n```bash\na &&\n  b\n```", [])


def test_what_can_be_expanded_is_shown_below_its_title() -> None:
    html = (
        '<div class="expand-container" data-macro-name="expand"><div class="expand-control">'
        '<span class="expand-control-icon icon">&nbsp;</span><span class="expand-control-text">Details</span></div>'
        '<div class="expand-content expand-hidden"><p>x</p></div></div>'
    )
    assert markdown_of(html) == Markdown("**Details**\n\nx", [])


def test_a_status_an_issue_a_person_and_a_smile_are_their_words() -> None:
    html = (
        '<p><span class="status-macro aui-lozenge aui-lozenge-success" data-macro-name="status">DONE</span> '
        '<span class="jira-issue" data-jira-key="FIN-4" data-macro-name="jira"><a href="https://x.example/browse/FIN-4" '
        'class="jira-issue-key">FIN-4</a> - <span class="summary">Getting issue details...</span></span> by '
        '<a class="confluence-userlink user-mention" href="/people/1">Ines Roth</a> '
        '<img class="emoticon" data-emoji-fallback="🙂" alt="(smile)" src="/s.png"></p>'
    )
    assert markdown_of(html) == Markdown(
        "\\[DONE\\] [FIN-4](https://x.example/browse/FIN-4) by @Ines Roth 🙂", ["colour of a status", "macro jira"]
    )


def test_an_attached_file_is_a_link_with_its_name() -> None:
    html = '<p><a class="confluence-embedded-file" href="/download/a.pdf" data-linked-resource-default-alias="a.pdf"></a></p>'
    assert markdown_of(html) == Markdown("[a.pdf](/download/a.pdf)", [])


# ------------------------------------------------------------------------------------------------ what is lost


@pytest.mark.parametrize(
    ("html", "markdown", "lost"),
    [
        ('<p><img src="/a.png">x<img src="/b.png"></p>', "![](/a.png)x![](/b.png)", ["2 images without description"]),
        ('<p><img alt="A" src="data:image/png;base64,AAAA"></p>', "![A]()", ["1 embedded image"]),
        ('<div class="toc-macro"><ul><li><a href="#a">A</a></li></ul></div><p>x</p>', "x", ["table of contents"]),
        ('<p><a href="#a">below</a></p>', "below", ["1 link within the page"]),
        ('<p><a href=" java\nscript:x()">click</a></p>', "click", ["1 link that leads nowhere"]),
        (
            '<iframe src="https://v.example/1"></iframe>',
            "<https://v.example/1>",
            ["1 embedded page"],
        ),
        (
            '<div data-macro-name="gallery"><p>x</p></div><span data-macro-name="chart">y</span>',
            "x\n\ny",
            ["macro chart", "macro gallery"],
        ),
        ('<div data-macro-name="chart"></div><div data-macro-name="chart"></div>', "", ["macro chart (2 times)"]),
        ('<div class="refresh-wrapper" data-macro-name="jira"><p>4 issues</p></div>', "4 issues", ["macro jira"]),
        ('<p style="display: none">psst</p><p hidden>psst</p><p>x</p>', "x", ["hidden text"]),
        ('<p><span style="color: red">late</span></p>', "late", ["coloured text"]),
        ("<h2>A <a href='/b'>b</a></h2>", "## A b", ["1 link in a heading"]),
        ("<p>see<sup>note</sup></p>", "seenote", ["superscript"]),
        (
            "<table><tr><th colspan=2>a</th></tr><tr><td rowspan=2>b</td><td><ul><li>c<li>d</ul></td></tr><tr><td>e</td></tr></table>",
            "| a |  |\n| --- | --- |\n| b | • c<br>• d |\n|  | e |",
            ["1 list in a table", "2 merged table cells"],
        ),
        ('<a href="/x"><p>one</p><p>two</p></a>', "one\n\ntwo", ["1 link around several paragraphs"]),
        ("<p><button>Go</button> on</p>", "on", ["1 form field"]),
    ],
)
def test_what_markdown_cannot_say_is_named(html: str, markdown: str, lost: list[str]) -> None:
    assert markdown_of(html) == Markdown(markdown, lost)


def test_scripts_styles_and_comments_are_left_out_without_a_word() -> None:
    html = "<script>if (a < b) alert('x')</script><style>p{}</style><!-- <p>old</p> --><p>x</p><template>y</template>"
    assert markdown_of(html) == Markdown("x", [])


def test_a_macro_that_was_not_rendered_is_named_and_its_text_kept() -> None:
    html = (
        '<ac:structured-macro ac:name="chart"><ac:parameter ac:name="type">bar</ac:parameter><ac:rich-text-body><p>x</p>'
        '</ac:rich-text-body></ac:structured-macro><ac:structured-macro ac:name="code"><ac:plain-text-body>'
        "<![CDATA[a < b]]></ac:plain-text-body></ac:structured-macro>"
    )
    assert markdown_of(html) == Markdown("x\n\n```\na < b\n```", ["macro chart"])


def test_relative_links_are_resolved_against_the_pages_address() -> None:
    html = '<p><a href="../b?x=1&amp;y=2">b</a><img src="/c.png" alt="c"><a href="http://[">broken</a></p>'
    assert markdown_of(html, "https://w.example/s/a/") == Markdown(
        "[b](https://w.example/s/b?x=1&y=2)![c](https://w.example/c.png)broken", ["1 link that leads nowhere"]
    )


# ----------------------------------------------------------------------------------------------------- sections

PAGE = "Before.\n\n# Refunds\n\nAll.\n\n## Amounts\n\n50\n\n```\n# no heading\n```\n\n# C\\# notes\n\nx\n\n## amounts\n\n60\n"


def test_the_parts_of_a_text_are_the_text() -> None:
    assert [(part.heading, part.level) for part in sections(PAGE)] == [
        ("", 0),
        ("Refunds", 1),
        ("Amounts", 2),
        ("C# notes", 1),
        ("amounts", 2),
    ]
    assert sections(PAGE)[1] == Section("Refunds", 1, "# Refunds\n\nAll.\n\n")
    assert "".join(part.text for part in sections(PAGE)) == PAGE
    assert sections("") == []


def test_the_outline_has_the_headings_and_not_what_is_in_code() -> None:
    assert outline(PAGE) == ["Refunds", "Amounts", "C# notes", "amounts"]


def test_a_section_comes_with_those_below_it() -> None:
    assert section_named(PAGE, " refunds ") == ["# Refunds\n\nAll.\n\n## Amounts\n\n50\n\n```\n# no heading\n```"]
    assert section_named(PAGE, "C# NOTES") == ["# C\\# notes\n\nx\n\n## amounts\n\n60"]


def test_a_name_that_several_sections_have_gives_them_all_and_one_that_none_has_nothing() -> None:
    assert section_named(PAGE, "Amounts") == ["## Amounts\n\n50\n\n```\n# no heading\n```", "## amounts\n\n60"]
    assert section_named(PAGE, "Salaries") == []
    assert section_named(PAGE, "") == []


def test_code_within_a_list_or_a_quotation_ends_there() -> None:
    markdown = text_of("<ul><li>a<pre># b</pre></li></ul><blockquote><pre># c</pre></blockquote><h1>D</h1>")
    assert outline(markdown) == ["D"]
