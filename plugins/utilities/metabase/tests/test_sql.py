"""Metabase's templates, filled in for PostgreSQL; and what a card's select may do."""

from __future__ import annotations

from datetime import date

import pytest
import sqlglot
from pipeboard_metabase.definitions import LEFT_OUT, Card, Column, Definitions
from pipeboard_metabase.sql import Between, render, tags, template, translate
from pipeboard_metabase.translations import DefinitionError, translations_of
from sqlglot import exp

TRANSLATIONS = translations_of("some.yml", {"value.status.won't": {"en": "Won't", "pt": "Não"}})


def card(sql: str) -> Card:
    filters = {
        "owner": Column("marts", "dim_user", "name"),
        "period": Column("marts", "dim_date", "date_day"),
    }
    return Card("key", "folder", "table", sql, ("a",), filters=filters)


def test_clauses_without_a_value_fall_away() -> None:
    question = card("select a from t where true [[and {{owner}}]] [[and {{ period }}]] and b")
    assert render(question) == ("select a from t where true   and b", [])
    assert render(question, {"owner": ["Ana", "Rui"]}) == (
        'select a from t where true and "marts"."dim_user"."name" = any(%s)  and b',
        [["Ana", "Rui"]],
    )
    assert tags(question) == ("owner", "period")


@pytest.mark.parametrize(
    ("period", "condition", "parameters"),
    [
        (Between(date(2026, 1, 1), date(2026, 1, 31)), "{c} >= %s and {c} <= %s", 2),
        (Between(first=date(2026, 1, 1)), "{c} >= %s", 1),
        (Between(last=date(2026, 1, 1)), "{c} <= %s", 1),
        (Between(), "true", 0),
    ],
)
def test_a_period_may_have_no_end(period: Between, condition: str, parameters: int) -> None:
    text, given = render(card("select a where true [[and {{period}}]]"), {"period": period})
    expected = condition.format(c='"marts"."dim_date"."date_day"')
    assert text == f"select a where true and {expected}"
    assert len(given) == parameters


def test_a_filter_the_card_does_not_have_is_refused() -> None:
    with pytest.raises(DefinitionError, match="card key has no filter team"):
        render(card("select a"), {"team": ["x"]})


def test_a_percent_sign_is_no_parameter() -> None:
    assert render(card("select a like '%x'"))[0] == "select a like '%%x'"


def test_values_are_translated_only_on_request() -> None:
    sql = "select translated(t.status) as status"
    assert translate(sql, TRANSLATIONS, None) == "select t.status as status"
    assert translate(sql, TRANSLATIONS, "en") == (
        "select case t.status when 'won''t' then 'Won''t' else t.status end as status"
    )
    with pytest.raises(DefinitionError, match=r"value\.colour"):
        translate("select translated(colour)", TRANSLATIONS, "en")


def test_metabase_gets_its_own_template(definitions: Definitions) -> None:
    text = template(definitions.cards["won_by_owner_and_month"], definitions.translations, "pt")
    assert "{{owner}}" in text
    assert "'Desconhecido'" in text
    assert "translated" not in text


#: What a card may do to the figures of a mart: add up, count, look for the latest, divide sums, and
#: take a percentile of what a mart has one by one.
AGGREGATES = (exp.Sum, exp.Count, exp.Max, exp.Min, exp.LogicalAnd, exp.PercentileCont)


def test_cards_define_no_metric(definitions: Definitions) -> None:
    for question in definitions.cards.values():
        tree = sqlglot.parse_one(render(question)[0].replace("%%", "%"), read="postgres")
        assert isinstance(tree, exp.Select), f"{question.key} must be one select"
        for function in tree.find_all(exp.AggFunc):
            assert isinstance(function, AGGREGATES), f"{question.key}: {function.sql()}"
        for division in tree.find_all(exp.Div):
            whole = division.expression.unnest()
            is_guarded = isinstance(whole, exp.Nullif | exp.Window | exp.Literal)
            assert is_guarded, f"{question.key} may divide by zero: {division.sql()}"
        for function in tree.find_all(exp.Sum):
            for column in function.this.find_all(exp.Column):
                assert _is_additive(column.name), f"{question.key} sums {column.name}"


def _is_additive(column: str) -> bool:
    """Tell whether sums of this column mean something: counts, money, days, minutes."""
    if column.endswith(LEFT_OUT):
        return True
    return column.startswith(("n_", "days_", "minutes_")) or column in (
        *("value_base", "open_count", "cycle_days", "won_cycle_days", "won_value_target"),
        *("sold_value_base", "discount_value_base", "one_time_value_base", "new_mrr_base"),
        *("new_arr_base", "new_value_base", "returning_value_base", "won_back_value_base"),
        *(
            "target",
            "actual",
            "open_value_base",
            "weighted_value_base",
            "won_value_base",
            "lost_value_base",
        ),
        *("landing_base", "historic_landing_base", "commit_value_base", "forecast_value_base"),
        *("weighted_forecast_base", "up_value_base", "down_value_base", "net_value_base"),
    )
