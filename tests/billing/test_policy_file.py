"""The refund policy as a file: what is wrong with one is said in a line, and what it says is shown to whoever asks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from bpe_openai import get_encoding  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from backoffice_billing.policy import BUILT_IN, Policy, read_policy, render
from backoffice_shared.errors import InvalidInput
from backoffice_shared.principal import LOCAL, Principal
from backoffice_shared.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "refund-policy.md"
TOKENS: Any = get_encoding("o200k_base")
USD = {
    "auto_up_to": 1,
    "lead_up_to": 2,
    "two_approvers_above": 3,
    "per_agent_day": 4,
    "per_customer_day": 5,
}


def written(folder: Path, text: str) -> Path:
    file = folder / "refunds.yaml"
    file.write_text(text)
    return file


def test_the_built_in_policy_is_that_of_the_page() -> None:
    [shown] = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert yaml.safe_load(shown) == yaml.safe_load(BUILT_IN.read_text())


def test_the_file_that_is_configured_is_the_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = written(tmp_path, BUILT_IN.read_text().replace("window_days: 180", "window_days: 14"))
    monkeypatch.setenv("BACKOFFICE_REFUND_POLICY", str(mine))
    assert read_policy(Settings().refund_policy).window_days == 14
    monkeypatch.delenv("BACKOFFICE_REFUND_POLICY")
    assert read_policy(Settings().refund_policy).window_days == 180


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ("window_days: 180", "window_days: 0", "window_days: Input should be greater than or equal to 1"),
        ("window_days: 180", "window_days: '180'", "window_days: Input should be a valid integer"),
        ("window_days: 180", "window_days: yes", "window_days: Input should be a valid integer"),
        ("window_days: 180", "", "window_days: Field required"),
        ("window_days: 180", "window_day: 180", "window_days: Field required"),
        ("window_days: 180", "window_days: 180\ncolour: red", "colour: Extra inputs are not permitted"),
        ("window_days: 180", "window_days: 180\nwindow_days: 9", "line 3: 'window_days' is given twice"),
        ("[duplicate,", "[boredom,", "reasons"),
        ("[duplicate, fraudulent, requested_by_customer, defective, not_received, goodwill]", "[]", "reasons"),
        ("goodwill: support_lead", "goodwill: janitor", "goodwill: Input should be 'auto', 'support_lead' or 'finance'"),
        ("finance: approve:finance", "finance: 'a b'", "roles.finance: String should match pattern"),
        ("finance: approve:finance", "janitor: approve:all", "roles.finance: Field required"),
        ("  USD: {auto_up_to: 5000", "  usd: {auto_up_to: 5000", "currencies.usd.[key]: String should match pattern"),
        ("  USD: {auto_up_to: 5000", "  USD: {auto_up_to: -1", "currencies.USD.auto_up_to: Input should be greater"),
        ("  USD: {auto_up_to: 5000", "  USD: {auto_up_to: 50.00", "currencies.USD.auto_up_to: Input should be a valid"),
        ("  USD: {auto_up_to: 5000", "  USD: {auto_up_to: 50001", "currencies.USD: Value error, auto_up_to, lead_up_to"),
        ("hours: 72", "hours: 1000", "approval_expires_hours: Input should be less than or equal to 720"),
        ("currencies:", "currencies: [", "line "),
    ],
)  # fmt: skip
def test_a_policy_that_says_something_wrong_is_refused_in_one_line(
    was: str, becomes: str, told: str, tmp_path: Path
) -> None:
    text = BUILT_IN.read_text()
    assert was in text
    file = written(tmp_path, text.replace(was, becomes, 1))
    with pytest.raises(InvalidInput) as raised:
        read_policy(file)
    said = str(raised.value)
    assert said.startswith(str(file))
    assert told in said
    assert "\n" not in said


@pytest.mark.parametrize("text", ["", "- a", "window_days", "\0", "[" * 500, "reasons: [2026-13-45]"], ids=range(6))
def test_what_is_no_policy_at_all_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=re.escape("refunds.yaml")):
        read_policy(written(tmp_path, text))


def test_a_file_that_is_not_there_or_cannot_be_read_is_no_built_in_policy(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xfa")
    for name, why in (("missing", "No such file or directory"), (".", "Is a directory"), ("binary", "is not YAML")):
        with pytest.raises(InvalidInput, match=why):
            read_policy(tmp_path / name)


# As it is shown


def agent(*scopes: str) -> Principal:
    return Principal("bot", "oauth", scopes=frozenset(scopes))


def rights(who: Principal) -> list[str]:
    return render(read_policy(), who).split("## You\n\n")[1].splitlines()


def test_each_is_told_what_they_may_do() -> None:
    no_role = (
        "- You may not approve as support_lead (scope approve:support_lead) or as finance (scope approve:finance)."
    )
    may_refund = "- You may issue refunds: without approval within the first column, and the day's totals."
    may_not = "- You may not issue refunds: that needs the scope billing:refund."
    assert rights(agent("billing:refund")) == [may_refund, no_role]
    assert rights(agent("billing:read", "approve:finance")) == [
        may_not,
        "- You may approve, as finance, what others ask for.",
        "- You may not approve as support_lead (scope approve:support_lead).",
    ]
    everything = [may_refund, "- You may approve, as support_lead and as finance, what others ask for."]
    assert rights(LOCAL) == everything
    assert rights(agent("billing:refund", "approve:finance", "approve:support_lead")) == everything


def test_the_thresholds_are_shown_as_people_write_them() -> None:
    shown = render(read_policy(), LOCAL)
    assert "| USD | 50.00 | 500.00 | 5000.00 | 500.00 | 100.00 |" in shown
    assert "| JPY | 7500 | 75000 | 750000 | 75000 | 15000 |" in shown
    assert "| KWD | 15.000 | 150.000 | 1500.000 | 150.000 | 30.000 |" in shown


def changed(**given: Any) -> Policy:
    return Policy.model_validate({**read_policy().model_dump(), **given})


def test_what_is_shown_is_what_the_policy_says() -> None:
    shown = render(changed(goodwill="finance", reference_needed=False, window_days=14, reasons=["defective"]), LOCAL)
    assert "older than 14 days; a reason other than defective." in shown
    assert "more than the second column; the reason `goodwill`." in shown
    assert "ticket" not in shown
    assert "goodwill" not in render(changed(goodwill="auto", reasons=["defective"]), LOCAL)


def test_the_largest_policy_is_shown_in_800_tokens() -> None:
    most = dict.fromkeys(USD, 2**53)
    many = {f"{first}{second}D": most for first in "ABCDEFGHIJ" for second in "ABC"}
    roles = {"support_lead": "x" * 64, "finance": "y" * 64}
    for policy in (read_policy(), changed(currencies={}), changed(currencies=many, roles=roles)):
        for who in (LOCAL, agent()):
            assert len(TOKENS.encode(render(policy, who))) <= 800
    assert "And 22 more currencies" in render(changed(currencies=many), LOCAL)
    assert "|" not in render(changed(currencies={}), LOCAL)
