"""Shopify's search syntax: no value becomes a condition, and what is written is read as the vendor documents it."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from tests.customer.storefront import HOSTILE

from backoffice_shopify.search import AllOf, AnyOf, Not, Query, Term, condition, one_of, parse, words


def terms(query: Query) -> list[Term]:
    match query:
        case Term():
            return [query]
        case AllOf(parts) | AnyOf(parts):
            return [term for part in parts for term in terms(part)]
        case Not(part):
            return terms(part)


ANY_TEXT = st.text() | st.text(alphabet="ab'\"\\:()<>=-* \n") | st.sampled_from(HOSTILE)


@given(ANY_TEXT)
@example("O'Brien")
@example('12" pipe')
@example("""both ' and " """)
@example("\\")
def test_a_value_is_one_term_whatever_is_in_it(value: str) -> None:
    kept = value.replace('"', " ") if "'" in value else value
    assert parse(condition("sku", "", value)) == Term("sku", "", kept, quoted=True)


@given(ANY_TEXT)
def test_a_value_stays_between_its_quotes_even_where_a_backslash_shields_none(value: str) -> None:
    """The vendor does not say whether it does."""
    mark, *inside, end = condition("sku", "", value).removeprefix("sku:")
    assert mark == end
    assert mark not in inside


@given(st.lists(ANY_TEXT, min_size=2))
def test_any_of_several_values_is_as_many_terms(values: list[str]) -> None:
    query = parse(f"{one_of('email', values)} {condition('created_at', '>=', '2026-01-01')}")
    assert isinstance(query, AllOf)
    either, since = query.parts
    assert since == Term("created_at", ">=", "2026-01-01", quoted=True)
    assert isinstance(either, AnyOf)
    assert [term.field for term in terms(either)] == ["email"] * len(values)


@given(ANY_TEXT)
@example("OR NOT AND -a")
@example("customer_id:>0")
def test_free_text_is_words_and_never_a_condition(text: str) -> None:
    query = parse(words(text))
    assert not isinstance(query, AnyOf | Not)
    assert all(isinstance(part, Term) for part in query.parts) if isinstance(query, AllOf) else True
    assert {term.field for term in terms(query)} <= {None}


@given(st.text(alphabet="ab:'\"\\()<>=- ORNTD", max_size=40))
def test_any_text_can_be_read(text: str) -> None:
    terms(parse(text))


def test_a_search_is_read_as_the_vendor_documents_it() -> None:
    assert parse("state:enabled OR state:disabled") == AnyOf(
        (Term("state", "", "enabled", quoted=False), Term("state", "", "disabled", quoted=False))
    )
    assert parse("-first_name:Bob AND orders_count:>3 orders_count:<=4") == AllOf(
        (
            Not(Term("first_name", "", "Bob", quoted=False)),
            Term("orders_count", ">", "3", quoted=False),
            Term("orders_count", "<=", "4", quoted=False),
        )
    )
    assert parse("created_at: >='2024-01-01' NOT (a OR b)") == AllOf(
        (
            Term("created_at", ">=", "2024-01-01", quoted=True),
            Not(AnyOf((Term(None, "", "a", quoted=False), Term(None, "", "b", quoted=False)))),
        )
    )
    assert parse(r"first_name:Bob\(ob D'Addario*") == AllOf(
        (Term("first_name", "", "Bob(ob", quoted=False), Term(None, "", "D'Addario*", quoted=False))
    )
