"""What the fictional company has written down: help-centre articles for everybody, wiki pages for its staff."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Literal


@dataclass(frozen=True, slots=True)
class Article:
    """`body` is (heading, paragraphs) in order, one heading "" for what comes before the first.

    `audience`: "public" is the help centre, whose `space` is a section; "internal" is the wiki, with a space's key.
    `age` is how many days before the company's present it was last changed.
    """

    number: int
    audience: Literal["public", "internal"]
    space: str
    title: str
    labels: tuple[str, ...]
    age: int
    body: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def html(self) -> str:
        parts: list[str] = []
        for heading, paragraphs in self.body:
            parts += [f"<h2>{escape(heading)}</h2>"] if heading else []
            parts += [f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs]
        return "".join(parts)

    @property
    def text(self) -> str:
        return " ".join(part for heading, paragraphs in self.body for part in (heading, *paragraphs) if part)


Written = tuple[str, str, tuple[str, ...], int, tuple[tuple[str, tuple[str, ...]], ...]]

_PUBLIC: tuple[Written, ...] = (
    (
        "Orders and delivery",
        "Where is my order?",
        ("shipping", "tracking"),
        12,
        (
            ("", ("Every parcel has a tracking number, which we send by e-mail when it leaves our warehouse.",)),
            (
                "When it is late",
                ("If tracking has not moved for five working days, write to us. We trace the parcel.",),
            ),
            ("Change of address", ("The address can be changed until the parcel has left the warehouse.",)),
        ),
    ),
    (
        "Returns and refunds",
        "Returning what does not fit",
        ("return", "sizing"),
        30,
        (
            ("", ("You may return unworn goods within 60 days. Returns are free within the country of delivery.",)),
            ("How to return", ("Ask for a label in your account, put the goods in their box, and hand them in.",)),
            ("Exchange", ("For another size, order it anew and return the first: that is faster.",)),
        ),
    ),
    (
        "Returns and refunds",
        "When will my refund arrive?",
        ("refund", "billing"),
        45,
        (("", ("We refund within three working days of receiving the goods. Your bank may take five more.",)),),
    ),
    (
        "Care and repair",
        "Repairs and warranty",
        ("warranty", "repair"),
        80,
        (
            (
                "",
                (
                    "All goods have a warranty of two years. A zip that breaks within a year is replaced free of charge.",
                ),
            ),
            ("How to have something repaired", ("Send us a photo first. Most repairs take ten working days.",)),
        ),
    ),
    (
        "Care and repair",
        "Washing down jackets",
        ("care",),
        200,
        (("", ("Wash at 30 degrees with down detergent, and dry with two tennis balls in the drum.",)),),
    ),
    (
        "Account",
        "I cannot sign in",
        ("login", "account"),
        5,
        (
            ("", ("Ask for a new password first. Links are good for one hour.",)),
            ("Two-factor codes", ("When codes are refused, the clock of your telephone may be wrong.",)),
        ),
    ),
    (
        "Account",
        "Gift cards",
        ("presales", "gift"),
        150,
        (("", ("Gift cards are good for three years and can be used in several orders.",)),),
    ),
)

_INTERNAL: tuple[Written, ...] = (
    (
        "SUP",
        "Refund policy for support",
        ("refund", "policy"),
        20,
        (
            ("", ("What support may refund, and when somebody else decides.",)),
            ("Amounts", ("Up to 50 USD without asking. Up to 500 USD with a lead. Above that, finance decides.",)),
            ("Late deliveries", ("A delivery that is late by more than ten days: offer the shipping cost back.",)),
            ("Never", ("Never refund a payment that is disputed: the bank decides, and we would pay twice.",)),
        ),
    ),
    (
        "SUP",
        "Runbook: customer cannot sign in",
        ("login", "runbook"),
        9,
        (
            ("", ("Check the status page first. Then look for a second account with the same address.",)),
            ("Locked accounts", ("An account is locked for an hour after ten wrong passwords.",)),
        ),
    ),
    (
        "SUP",
        "Tone of voice",
        ("writing",),
        300,
        (("", ("Short sentences. No promises about dates that somebody else must keep.",)),),
    ),
    (
        "OPS",
        "Carriers and their delivery times",
        ("shipping", "carrier"),
        60,
        (
            ("", ("Times are in working days, from the warehouse that holds the goods.",)),
            ("Europe", ("Two to four days. Islands take two more.",)),
            ("Overseas", ("Six to twelve days. Customs may keep a parcel for a week.",)),
        ),
    ),
    (
        "OPS",
        "Stock corrections",
        ("inventory",),
        110,
        (("", ("Count twice, correct once. Corrections above 20 pieces need a second person.",)),),
    ),
    (
        "HR",
        "Salaries and bonuses",
        ("confidential",),
        15,
        (("", ("Bonuses are decided in March. This page is for managers.",)),),
    ),
)


def _handbook() -> Written:
    """A page that is longer than anybody reads: its sections are what can be asked for."""
    chapters = ("Before the season", "Sizing", "Materials", "Repairs", "Shipping", "Returns", "Complaints", "Fairs")
    sentence = "Write down what was agreed with whom, and where it can be found again."
    body = tuple((chapter, tuple(f"{chapter}, rule {n + 1}. {sentence}" for n in range(40))) for chapter in chapters)
    return ("SUP", "Handbook of customer care", ("handbook",), 40, (("", ("Everything in one place.",)), *body))


def _numbered(audience: Literal["public", "internal"], written: tuple[Written, ...]) -> list[Article]:
    return [Article(n, audience, *entry) for n, entry in enumerate(written)]


ARTICLES: tuple[Article, ...] = (
    *_numbered("public", _PUBLIC),
    *_numbered("internal", (*_INTERNAL, _handbook())),
)
"""Numbered from 0 within each audience."""
