"""What the company's pages look like in Confluence: their text, and the macros that people have put around it.

`storage` is how Confluence keeps a page (https://confluence.atlassian.com/doc/confluence-storage-format-790796544.html),
`view` the HTML that it renders for readers.
"""

from __future__ import annotations

from dataclasses import dataclass

from backoffice_shared.sandbox.articles import Article


@dataclass(frozen=True, slots=True)
class Body:
    storage: str
    view: str


def body_of(article: Article) -> Body:
    before, after = _AROUND.get(article.title, (_NOTHING, _NOTHING))
    return Body(before.storage + article.html + after.storage, before.view + article.html + after.view)


def _panel(kind: str, text: str) -> Body:
    shown = "information" if kind == "info" else kind
    return Body(
        f'<ac:structured-macro ac:name="{kind}" ac:schema-version="1"><ac:rich-text-body><p>{text}</p>'
        "</ac:rich-text-body></ac:structured-macro>",
        f'<div class="confluence-information-macro confluence-information-macro-{shown} conf-macro output-block" '
        f'data-hasbody="true" data-macro-name="{kind}">'
        '<span class="aui-icon aui-icon-small aui-iconfont-info confluence-information-macro-icon"> </span>'
        f'<div class="confluence-information-macro-body"><p>{text}</p></div></div>',
    )


def _status(before: str, title: str) -> Body:
    return Body(
        f'<p>{before} <ac:structured-macro ac:name="status" ac:schema-version="1">'
        f'<ac:parameter ac:name="title">{title}</ac:parameter><ac:parameter ac:name="colour">Green</ac:parameter>'
        "</ac:structured-macro></p>",
        f'<p>{before} <span class="status-macro aui-lozenge aui-lozenge-visual-refresh aui-lozenge-success conf-macro '
        f'output-inline" data-hasbody="false" data-macro-name="status">{title}</span></p>',
    )


def _issue(before: str, key: str) -> Body:
    return Body(
        f'<p>{before} <ac:structured-macro ac:name="jira" ac:schema-version="1">'
        f'<ac:parameter ac:name="key">{key}</ac:parameter></ac:structured-macro></p>',
        f'<p>{before} <span class="confluence-jim-macro jira-issue conf-macro output-block" data-jira-key="{key}" '
        f'data-macro-name="jira"><a href="https://acme.atlassian.net/browse/{key}" class="jira-issue-key">'
        f'<span class="aui-icon aui-icon-wait issue-placeholder"></span>{key}</a> - '
        '<span class="summary">Getting issue details...</span> '
        '<span class="aui-lozenge aui-lozenge-subtle jira-macro-single-issue-export-pdf">STATUS</span></span></p>',
    )


def _tasks(*tasks: tuple[str, bool]) -> Body:
    kept = "".join(
        f"<ac:task><ac:task-id>{n}</ac:task-id><ac:task-status>{'complete' if done else 'incomplete'}</ac:task-status>"
        f"<ac:task-body>{text}</ac:task-body></ac:task>"
        for n, (text, done) in enumerate(tasks, 1)
    )
    checked = ' class="checked"'
    shown = "".join(
        f'<li{checked if done else ""} data-inline-task-id="{n}"><span>{text}</span></li>'
        for n, (text, done) in enumerate(tasks, 1)
    )
    return Body(f"<ac:task-list>{kept}</ac:task-list>", f'<ul class="inline-task-list">{shown}</ul>')


def _code(language: str, code: str) -> Body:
    return Body(
        f'<ac:structured-macro ac:name="code" ac:schema-version="1"><ac:parameter ac:name="language">{language}'
        f"</ac:parameter><ac:plain-text-body><![CDATA[{code}]]></ac:plain-text-body></ac:structured-macro>",
        '<div class="code panel pdl conf-macro output-block" data-hasbody="true" data-macro-name="code">'
        '<div class="codeContent panelContent pdl"><pre class="syntaxhighlighter-pre" '
        f'data-syntaxhighlighter-params="brush: {language}; gutter: false; theme: Confluence">{code}</pre></div></div>',
    )


def _image(name: str) -> Body:
    return Body(
        f'<ac:image ac:width="400"><ri:attachment ri:filename="{name}" /></ac:image>',
        '<span class="confluence-embedded-file-wrapper"><img class="confluence-embedded-image" loading="lazy" '
        f'src="https://acme.atlassian.net/wiki/download/attachments/300010/{name}?version=1&amp;api=v2" '
        f'data-linked-resource-default-alias="{name}"></span>',
    )


def _together(*bodies: Body) -> Body:
    return Body("".join(body.storage for body in bodies), "".join(body.view for body in bodies))


_NOTHING = Body("", "")
_AROUND: dict[str, tuple[Body, Body]] = {
    "Refund policy for support": (
        _together(
            _panel("info", "Agreed with finance. Ask before you promise anything else."), _status("State:", "APPROVED")
        ),
        _issue("What changes next:", "FIN-42"),
    ),
    "Runbook: customer cannot sign in": (
        _panel("warning", "Never ask a customer for a password."),
        _together(
            _tasks(("Look at the status page", True), ("Write down what you did", False)),
            _code("bash", "account unlock --reason &quot;$TICKET&quot;"),
        ),
    ),
    "Carriers and their delivery times": (_NOTHING, _image("carriers.png")),
}
"""What is before and after a page's text, by its title."""
