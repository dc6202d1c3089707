"""What a card and a dashboard must be, and that those which ship are."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from pipeboard_metabase import definitions as definitions_module
from pipeboard_metabase import exposures, translations
from pipeboard_metabase import fragments as fragments_module
from pipeboard_metabase.definitions import (
    FORMATS,
    GRID,
    LEFT_OUT,
    PERIODS,
    TILES,
    Column,
    Definitions,
    Filter,
    Place,
    read_card,
    read_dashboard,
)
from pipeboard_metabase.fragments import expand, fragments
from pipeboard_metabase.sql import TRANSLATED
from pipeboard_metabase.translations import DEFINITIONS, DefinitionError, translations_of

CODE = "".join(path.read_text() for path in Path(exposures.__file__).parent.rglob("*.py"))
FILTERS = {
    "owner": Filter("owner", "text", column=Column("marts", "dim_user", "name")),
    "pipeline": Filter("pipeline", "text", column=Column("marts", "dim_pipeline", "name")),
    "period": Filter("period", "date", column=Column("marts", "dim_date", "date_day")),
}
CARD = """---
display: bar
columns: [name, n]
x: name
y: n
period: now
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


def test_a_fragment_is_written_out_at_the_indent_of_its_line() -> None:
    text = expand(
        "with largest_pipeline(marts.t, month, n)\nselect a from b where\n    of_owners(b)"
    )
    assert "    from marts.t\n    where\n        true\n" in text
    assert "\n        [[and owner_id in (select user_id" in text, "without a table"
    first, second = text.splitlines()[-2:]
    assert first.startswith("    [[and b.owner_id in")
    assert second.startswith("    [[and b.owner_id in")
    assert expand("select sum(n) from t") == "select sum(n) from t"


@pytest.mark.parametrize(
    ("text", "says"),
    [("of_owners(a, b)", "of_owners(table) has the arguments (a, b)"), ("of_owners(a", "closed")],
)
def test_a_fragment_with_other_arguments_is_refused(text: str, says: str) -> None:
    with pytest.raises(DefinitionError, match=re.escape(says)):
        expand(text)


def test_every_fragment_is_used_by_several_cards() -> None:
    texts = [file.read_text() for file in DEFINITIONS.rglob("*.sql")]
    for name in fragments():
        assert sum(f"{name}(" in text for text in texts) > 2, f"{name}: itself and two others"


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
        ("{{owner}}", "{{team}}", "team in the select has no column in filters.yml"),
        ("[[and {{owner}}]]", "and {{owner}}", "must be in a clause"),
        ("period: now", "period: now\nunfiltered: [owner]", "and does not"),
        ("y: n\n", "y: n\nunfiltered: [team]\n", "filter team is not in filters.yml"),
        ("y: n\n", "y: n\nunfiltered: [period]\n", "unfiltered must not name the period"),
        ("y: n\n", "y: n\ngoal: n\n", "goal is for tiles"),
        (
            "bar\ncolumns: [name, n]\nx: name\ny: n\n",
            "scalar\ncolumns: [name, n]\ny: [name, n]\n",
            "a tile shows one figure",
        ),
        ("period: now", "period: now\ngrains: [week]", "and the select uses them"),
        ("period: now\n", "", "period must be one of now"),
        ("period: now\n", "period: soon\n", "not soon"),
        ("{{owner}}", "{{period}}", "not name another period"),
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


def test_a_period_without_a_default_covers_everything(definitions: Definitions) -> None:
    card = definitions.cards["lost_by_month"]
    whole = replace(definitions.filters["period"], default=None)
    other = replace(definitions, filters={**definitions.filters, "period": whole})
    assert "otherwise since the first record." in other.description(card, "en")


# -- the whole folder


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all definitions, which the test changes."""
    folder = tmp_path / "definitions"
    shutil.copytree(DEFINITIONS, folder)
    monkeypatch.setattr(definitions_module, "DEFINITIONS", folder)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(DefinitionError) as refused:
        definitions_module.load()
    return str(refused.value)


def test_two_cards_of_one_name_are_refused(shipped: Path) -> None:
    card = shipped / "cards" / "losses" / "lost_by_month.sql"
    shutil.copy(card, shipped / "cards" / "team" / card.name)
    says = "cards/team/lost_by_month.sql: another card is called lost_by_month"
    assert refusal(shipped) == says


def test_a_card_on_no_dashboard_is_refused(shipped: Path) -> None:
    card = shipped / "cards" / "losses" / "lost_by_month.sql"
    shutil.copy(card, card.with_name("forgotten.sql"))
    assert refusal(shipped) == "on no dashboard: forgotten"


def test_a_card_cannot_leave_out_a_filter_that_its_dashboards_do_not_have(
    shipped: Path, definitions: Definitions
) -> None:
    def reached(key: str) -> set[str]:
        boards = definitions.dashboards.values()
        return {name for board in boards if key in board.cards for name in board.filters}

    key, other = next(
        (card.key, name)
        for card in definitions.cards.values()
        for name in sorted(set(definitions.filters) - reached(card.key) - {*card.filters, "period"})
        if not card.unfiltered
    )
    (file,) = (shipped / "cards").rglob(f"{key}.sql")
    file.write_text(file.read_text().replace("---\n", f"---\nunfiltered: [{other}]\n", 1))
    assert refusal(shipped) == f"card {key}: none of its dashboards has a filter {other}"


def test_two_dashboards_of_one_position_are_refused(shipped: Path) -> None:
    file = sorted((shipped / "dashboards").iterdir())[0]
    position = re.compile(r"(?m)^position: (\d+)$")
    found = position.search(file.read_text())
    assert found
    other = 2 if found[1] == "1" else 1
    file.write_text(position.sub(f"position: {other}", file.read_text()))
    assert refusal(shipped) == "dashboards/: two dashboards have the same position"


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ("[owner]", "filters.yml must be a map of fields"),
        ("owner: {type: number}", "filters.yml: owner: type must be one of date, text, choice"),
        ("The owner: {type: text}", "filters.yml: 'The owner' is no key; use a-z, 0-9 and _"),
        ("owner: {type: choice, values: {a: 1}}", "owner: values must be a list of names"),
        ("owner: {type: choice, values: [1]}", "owner: values must be a list of names"),
        ("owner: {type: text, column: marts.name}", "schema.relation.column, not marts.name"),
    ],
)
def test_filters_that_are_none_are_refused(shipped: Path, filters: str, says: str) -> None:
    (shipped / "filters.yml").write_text(filters)
    assert says in refusal(shipped)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("-- other(table)\ntrue", "fragments/own.sql must begin with `-- own(parameter, ...)`"),
        ("-- own(table)\n[[and own($table)]]", "fragments stand in each other more than 5 deep"),
    ],
)
def test_a_fragment_without_its_name_or_within_itself_is_refused(
    shipped: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    (shipped / "fragments" / "own.sql").write_text(text)
    monkeypatch.setattr(fragments_module, "DEFINITIONS", shipped)
    fragments.cache_clear()
    try:
        with pytest.raises(DefinitionError, match=re.escape(says)):
            expand("select own(marts.t)")
    finally:
        fragments.cache_clear()
