"""What a card and a dashboard must be, and that those which ship are."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
import yaml
from pipeboard_metabase import exposures, translations
from pipeboard_metabase.definitions import (
    FORMATS,
    GRID,
    LEFT_OUT,
    PERIODS,
    TILES,
    Definitions,
    Filter,
    Place,
    read_card,
    read_dashboard,
)
from pipeboard_metabase.sql import TRANSLATED
from pipeboard_metabase.translations import DefinitionError, translations_of

CODE = "".join(path.read_text() for path in Path(exposures.__file__).parent.rglob("*.py"))
FILTERS = {
    "owner": Filter("owner", "text"),
    "pipeline": Filter("pipeline", "text"),
    "period": Filter("period", "date"),
}
CARD = """---
display: bar
columns: [name, n]
x: name
y: n
period: now
filters: {owner: marts.dim_user.name}
---
select name, n from marts.t where true [[and {{owner}}]]
"""


def used_texts(definitions: Definitions) -> set[str]:
    """Every text that some card or dashboard needs, values left out."""
    used = {f"filter.{key}" for key in definitions.filters}
    used |= {f"period.{key}" for key in (*PERIODS, "months")}
    used |= {f"phrase.{key}" for key in ("covers", "chosen", "running", "filtered", "unfiltered")}
    for card in definitions.cards.values():
        used |= {f"card.{card.key}", f"card.{card.key}.description"}
        used |= {f"column.{column}" for column in card.shown}
    for dashboard in definitions.dashboards.values():
        used |= {f"dashboard.{dashboard.key}", f"dashboard.{dashboard.key}.description"}
        used |= {f"tab.{tab}" for tab in dashboard.tabs}
    return used | {key for key in definitions.translations if is_in_code(key)}


def is_in_code(word: str) -> bool:
    """Tell whether the package asks for a word by its name, or puts the name together."""
    kind, name = word.split(".")[:2]
    made = {"collection": f'"{name}"' in CODE, "unit": name in FORMATS, "part": "{part}" in CODE}
    return f'"{word}"' in CODE or f"'{word}'" in CODE or made.get(kind, False)


def test_few_dashboards_come_in_order(definitions: Definitions) -> None:
    positions = [dashboard.position for dashboard in definitions.dashboards.values()]
    assert positions == list(range(1, 10))


def test_every_text_is_used_and_none_is_missing(definitions: Definitions) -> None:
    used = used_texts(definitions)
    translated = {
        column for card in definitions.cards.values() for _, column in TRANSLATED.findall(card.sql)
    }
    texts = set(definitions.translations)
    assert used <= texts, "without a text"
    values = {key for key in texts if key.startswith("value.")}
    assert texts - used - values == set(), "texts nobody uses"
    choices = {key for key, found in definitions.filters.items() if found.values}
    assert {value.split(".")[1] for value in values} == translated | choices


def test_cards_fit_the_grid_and_never_overlap(definitions: Definitions) -> None:
    def cells(place: Place) -> set[tuple[int, int]]:
        across = range(place.x, place.x + place.w)
        return {(x, y) for x in across for y in range(place.y, place.y + place.h)}

    for dashboard in definitions.dashboards.values():
        assert all(p.x >= 0 and p.x + p.w <= GRID for p in dashboard.places), dashboard.key
        for first, second in combinations(dashboard.places, 2):
            if first.tab == second.tab:
                assert not cells(first) & cells(second), (dashboard.key, first, second)


def test_tables_of_many_columns_have_the_whole_width(definitions: Definitions) -> None:
    tables = [card for card in definitions.cards.values() if card.display == "table"]
    assert not {card.key for card in tables if len(card.shown) > 5 and card.width < GRID}


def test_sums_of_money_say_which_deals_they_leave_out(definitions: Definitions) -> None:
    """A list of deals shows the deal without a value; a sum needs a count beside it."""
    money = {
        card.key
        for card in definitions.cards.values()
        if any("_base" in column and column != "value_base" for column in card.columns)
    }
    assert len(money) > 25
    silent = {key for key in money if LEFT_OUT not in definitions.cards[key].columns}
    assert not silent
    for dashboard in definitions.dashboards.values():
        # Metabase shows one figure of a scalar: the count stands on the dashboard.
        if any(definitions.cards[c].display in TILES for c in money & set(dashboard.cards)):
            assert "deals_left_out" in dashboard.cards, dashboard.key


def test_columns_of_the_same_name_have_the_same_format(definitions: Definitions) -> None:
    seen: dict[str, str] = {}
    for card in definitions.cards.values():
        for column, kind in card.format.items():
            assert seen.setdefault(column, kind) == kind, (card.key, column)


@pytest.mark.parametrize(
    ("key", "ends"),
    [
        (
            "stage_probability",
            "Period: the last 365 days (win_probability_window_days). Filters: Pipeline. "
            "Not filtered by: Owner, Team.",
        ),
        (
            "lost_by_month",
            "Period: as chosen; otherwise this month and the 12 months before. "
            "The current period is not over. Filters: Pipeline, Owner, Team, Trends by.",
        ),
        ("data_as_of", "Period: now. Not filtered by: Pipeline, Owner, Team, Label."),
    ],
)
def test_a_card_says_which_period_and_filters_it_obeys(
    definitions: Definitions, key: str, ends: str
) -> None:
    assert definitions.description(definitions.cards[key], "en").endswith(ends)


def test_every_period_is_used(definitions: Definitions) -> None:
    assert {card.period for card in definitions.cards.values()} == {*PERIODS, None}


def test_a_card_is_read() -> None:
    card = read_card("folder", "key.sql", CARD, FILTERS)
    assert (card.key, card.x, card.y) == ("key", ("name",), ("n",))
    assert str(card.filters["owner"]) == "marts.dim_user.name"


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("display: bar", "display: cake", "display must be one of"),
        ("display: bar", "display: bar\ncolour: red", "unknown colour"),
        ("x: name", "x: nome", "x names nome, no column of it"),
        ("x: name\n", "", "x must name what it is measured by"),
        ("y: n\n", "", "y must name what is measured"),
        ("y: n\n", "y: n\nformat: {n: colour}\n", "format colour of n is unknown"),
        ("y: n\n", "y: n\nsize: {w: 25, h: 4}\n", "size must be within 24 columns"),
        ("y: n\n", "y: n\nlines: [name]\n", "lines names name, which is not in y"),
        ("columns: [name, n]", "columns: [name, n, n]", "each once"),
        ("marts.dim_user.name", "dim_user", "maps to schema.relation.column"),
        ("filters: {owner: marts.dim_user.name}\n", "", "filters are []"),
        ("[[and {{owner}}]]", "and {{owner}}", "must be in a clause"),
        ("{owner: marts.dim_user.name}", "{owner: a.b.c}\nunfiltered: [owner]", "and does not"),
        ("y: n\n", "y: n\nunfiltered: [team]\n", "filter team is not in filters.yml"),
        ("y: n\n", "y: n\nunfiltered: [period]\n", "unfiltered must not name the period"),
        ("period: now\n", "", "period must be one of now"),
        ("period: now\n", "period: soon\n", "not soon"),
        (
            "owner: marts.dim_user.name",
            "period: marts.dim_date.date_day",
            "not name another period",
        ),
        ("---\ndisplay", "display", "must begin with front matter"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(was: str, becomes: str, says: str) -> None:
    assert was in CARD
    with pytest.raises(DefinitionError) as refused:
        read_card("folder", "key.sql", CARD.replace(was, becomes, 1), FILTERS)
    assert str(refused.value).startswith("cards/folder/key.sql")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("dashboard", "says"),
    [
        ({"rows": [["nobody"]]}, "there is no card nobody"),
        ({"rows": [["key"] * 5]}, "wider than 24 columns"),
        ({"rows": [["key"]], "filters": ["team"]}, "filter team is not in filters.yml"),
        ({"rows": [["key"]], "filters": ["pipeline"]}, "key must map filter pipeline"),
        ({"rows": [["key"]], "filters": ["period"]}, "filter period applies to no card"),
        ({"rows": [["key"]], "tabs": []}, "either rows or tabs"),
        ({}, "either rows or tabs"),
        ({"tabs": [{"key": "one", "rows": [["key"]]}]}, "at least two"),
        ({"rows": [["key"]], "colour": 1}, "unknown colour"),
    ],
)
def test_a_dashboard_that_contradicts_itself_is_refused(
    dashboard: dict[str, object], says: str
) -> None:
    cards = {"key": read_card("folder", "key.sql", CARD, FILTERS)}
    text = yaml.safe_dump({"position": 1, **dashboard})
    with pytest.raises(DefinitionError) as refused:
        read_dashboard("some.yml", text, cards, FILTERS)
    assert str(refused.value).startswith("dashboards/some.yml")
    assert says in str(refused.value)


def test_a_dashboard_is_laid_out_row_by_row() -> None:
    cards = {"key": read_card("folder", "key.sql", CARD, FILTERS)}
    text = yaml.safe_dump({"position": 1, "filters": ["owner"], "rows": [["key", "key"], ["key"]]})
    places = read_dashboard("some.yml", text, cards, FILTERS).places
    assert [(p.x, p.y) for p in places] == [(0, 0), (6, 0), (0, 4)]


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({"a": {"en": "A"}}, "must have exactly the languages"),
        ({"a": {"en": "A", "pt": " "}}, "a has no text in 'pt'"),
        ([], "must map keys"),
    ],
)
def test_translations_without_a_text_are_refused(texts: object, says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        translations_of("some.yml", texts)


def test_a_key_without_a_text_is_named() -> None:
    with pytest.raises(DefinitionError, match="b has no text in 'en'"):
        translations_of("some.yml", {"a": {"en": "A", "pt": "Á"}}).text("b", "en")


def test_two_files_with_one_key_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "translations"
    folder.mkdir()
    for name in ("one.yml", "two.yml"):
        (folder / name).write_text("card.a: {en: A, pt: A}\n")
    monkeypatch.setattr(translations, "DEFINITIONS", tmp_path)
    with pytest.raises(DefinitionError, match=r"two\.yml: card\.a is in another file too"):
        translations.load_translations()
