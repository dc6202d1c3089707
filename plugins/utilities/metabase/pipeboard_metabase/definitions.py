"""Cards and dashboards as data: read from `definitions/`, checked, never changed.

A card is a file `cards/<dashboard>/<card>.sql`: YAML front matter between two lines of `---`, then
one select. A dashboard is a file `dashboards/<key>.yml`. The texts that people read are in
`translations/`. Where a card goes on the grid of 24 columns follows from its size: cards fill a row
from the left until one does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeboard_metabase.fragments import expand
from pipeboard_metabase.translations import (
    DEFINITIONS,
    DefinitionError,
    Translations,
    load_translations,
    parsed,
)

GRID = 24
DISPLAYS = (
    *("scalar", "trend", "bar", "row", "line", "area", "combo", "funnel", "pie", "heatmap"),
    "table",
)
#: One figure: alone, or the last of a row of months.
TILES = ("scalar", "trend")
#: What a number or text means to people, beyond its type. `percent` is a share of 1.
FORMATS = (
    *("integer", "decimal", "money", "percent", "days", "hours", "seconds"),
    # A period is the first day of a week, a month or a quarter.
    *("date", "month", "period", "time", "text", "url"),
)
FILTER_TYPES = ("date", "text", "choice")
#: What a card covers that no filter of a period reaches; each has a text `period.<key>`.
PERIODS = ("now", "this_month", "from_this_month", "last_quarter", "last_year", "all")
#: The filter that says which days or months a card covers.
PERIOD = "period"
#: The choice of how long the periods of a chart are. It always has a value, so that selects may
#: name it outside of a clause; `period_start()` in a select is the first day of dim_date's row.
GRAIN = "grain"
GRAINS = {"week": "week_start", "month": "month_start", "quarter": "fiscal_quarter_start"}
PERIOD_START = "period_start()"
#: A default of a period, in Metabase's notation: whole months before this one, and this one.
PAST_MONTHS = re.compile(r"past(\d+)months~")
#: What a card with a sum of money counts beside it: deals that the sum leaves out.
LEFT_OUT = "deals_without_rate"
KEY = re.compile(r"^[a-z][a-z0-9_]*$")
#: What Metabase's SQL templates know: an optional clause, and what stands for a filter.
CLAUSE = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
TAG = re.compile(r"\{\{\s*([a-z0-9_]+)\s*\}\}")


@dataclass(frozen=True)
class Column:
    """A column of a mart, as a field filter points at it."""

    schema: str
    relation: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.relation}.{self.name}"


@dataclass(frozen=True)
class Filter:
    """A filter of dashboards. `default` is in Metabase's own notation, such as past12months~.

    It keeps rows of its `column`. One that is `partial` chooses what some cards show; the others
    need not mention it. A choice has one of its `values`, and no column.
    """

    key: str
    type: str
    default: str | None = None
    partial: bool = False
    values: tuple[str, ...] = ()
    column: Column | None = None

    @property
    def months(self) -> int | None:
        """How many months before this one it keeps by default; None when it keeps all."""
        matched = PAST_MONTHS.fullmatch(self.default or "")
        return int(matched.group(1)) if matched else None


@dataclass(frozen=True)
class DealSet:
    """Deals that a figure counts, by columns of static_dashboard/deals.sql.

    `owner` is the owner that they count for, and `date` the day; None where all days count. `via`
    is the table whose rows are counted instead: `visits` to stages, `product_lines`, `customers`.
    """

    where: str
    owner: str
    date: str | None = None
    via: str | None = None


@dataclass(frozen=True)
class Card:
    """One question and how its answer is shown.

    `columns` are those of the result, in order. `goal` is the column with the target of a tile's
    figure. `period` is one of PERIODS, unless the card has the filter of a period.
    `grains` are the lengths of the periods that it can show; it shows months for any other.
    `unfiltered` names the other filters of its dashboards that cannot apply to it. `may_be_empty`
    says why no row may be right on a healthy account. `rows_overlap`: a deal may be in several
    rows, so counts of rows must not be added up. `deals` names the set of deals behind a measure.
    """

    key: str
    folder: str
    display: str
    sql: str
    columns: tuple[str, ...]
    x: tuple[str, ...] = ()
    y: tuple[str, ...] = ()
    series: str | None = None
    goal: str | None = None
    stacked: bool = False
    lines: tuple[str, ...] = ()
    right_axis: tuple[str, ...] = ()
    format: Mapping[str, str] = field(default_factory=dict)
    filters: Mapping[str, Column] = field(default_factory=dict)
    period: str | None = None
    grains: tuple[str, ...] = ()
    unfiltered: tuple[str, ...] = ()
    link: Mapping[str, str] = field(default_factory=dict)
    width: int = 6
    height: int = 4
    static_dashboard: bool = False
    may_be_empty: str | None = None
    rows_overlap: bool = False
    deals: Mapping[str, str] = field(default_factory=dict)

    def obeys(self, key: str) -> bool:
        """Tell whether it changes with a filter."""
        return key in self.filters or (key == GRAIN and bool(self.grains))

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns people see: all but those that only carry an address."""
        return tuple(c for c in self.columns if c not in self.link.values())


@dataclass(frozen=True)
class Place:
    """Where a card is on a dashboard, in cells of the grid."""

    card: str
    tab: str | None
    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True)
class Dashboard:
    """Cards side by side, with tabs (none, or at least two) and filters."""

    key: str
    position: int
    tabs: tuple[str, ...]
    filters: tuple[str, ...]
    places: tuple[Place, ...]

    @property
    def cards(self) -> tuple[str, ...]:
        """The keys of its cards, in reading order, each once."""
        return tuple(dict.fromkeys(place.card for place in self.places))


@dataclass(frozen=True)
class Definitions:
    """All cards, dashboards (in the order people see them), filters and texts."""

    cards: Mapping[str, Card]
    dashboards: Mapping[str, Dashboard]
    filters: Mapping[str, Filter]
    translations: Translations
    deal_sets: Mapping[str, DealSet] = field(default_factory=dict)

    def title(self, card: Card | Dashboard, language: str) -> str:
        """Return what a card or dashboard is called."""
        kind = "card" if isinstance(card, Card) else "dashboard"
        return self.translations.text(f"{kind}.{card.key}", language)

    def description(self, card: Card | Dashboard, language: str) -> str:
        """Return what it shows, and for a card which period and which filters it obeys."""
        kind = "card" if isinstance(card, Card) else "dashboard"
        text = self.translations.text(f"{kind}.{card.key}.description", language)
        if isinstance(card, Dashboard):
            return text
        period = self.period(card, language)
        if PERIOD in card.filters:
            chosen = self.translations.text("phrase.chosen", language)
            period = chosen.replace("{period}", period)
        parts = [text, self._phrase("covers", language, period)]
        if card.x and card.format.get(card.x[0]) in ("month", "period"):
            parts.append(self.translations.text("phrase.running", language))
        obeyed = (*card.filters, *([GRAIN] if card.grains else []))
        lists = {"filtered": obeyed, "unfiltered": card.unfiltered}
        for phrase, keys in lists.items():
            names = [
                self.translations.text(f"filter.{key}", language) for key in keys if key != PERIOD
            ]
            if names:
                parts.append(self._phrase(phrase, language, ", ".join(names)))
        return " ".join(parts)

    def period(self, card: Card, language: str) -> str:
        """Return the time that a card covers in words, of one with a filter by its default."""
        if PERIOD not in card.filters:
            return self.translations.text(f"period.{card.period}", language)
        months = self.filters[PERIOD].months
        if months is None:
            return self.translations.text("period.all", language)
        return self.translations.text("period.months", language).replace("{count}", str(months))

    def _phrase(self, key: str, language: str, text: str) -> str:
        return f"{self.translations.text(f'phrase.{key}', language)}: {text}."


def load() -> Definitions:
    """Read and check every definition that ships with this package.

    Raises:
        DefinitionError: at the first contradiction; it names the file and the field.
    """
    filters = _filters(parsed((DEFINITIONS / "filters.yml").read_text(encoding="utf-8")))
    cards: dict[str, Card] = {}
    for folder in _sorted(DEFINITIONS / "cards"):
        for file in _sorted(folder):
            card = read_card(folder.name, file.name, file.read_text(encoding="utf-8"), filters)
            if card.key in cards:
                message = f"cards/{folder.name}/{file.name}: another card is called {card.key}"
                raise DefinitionError(message)
            cards[card.key] = card
    dashboards = [
        read_dashboard(file.name, file.read_text(encoding="utf-8"), cards, filters)
        for file in _sorted(DEFINITIONS / "dashboards")
    ]
    dashboards.sort(key=lambda dashboard: dashboard.position)
    placed = {card for dashboard in dashboards for card in dashboard.cards}
    if forgotten := set(cards) - placed:
        message = f"on no dashboard: {', '.join(sorted(forgotten))}"
        raise DefinitionError(message)
    for card in cards.values():
        reached = {k for each in dashboards if card.key in each.cards for k in each.filters}
        if unknown := set(card.unfiltered) - reached:
            message = f"card {card.key}: none of its dashboards has a filter {', '.join(unknown)}"
            raise DefinitionError(message)
    deal_sets = _deal_sets(parsed((DEFINITIONS / "deal_sets.yml").read_text("utf-8")))
    named = {name for card in cards.values() for name in card.deals.values()}
    if different := named ^ set(deal_sets):
        message = f"deal_sets.yml and the cards differ: {', '.join(sorted(different))}"
        raise DefinitionError(message)
    by_key = {dashboard.key: dashboard for dashboard in dashboards}
    if len(by_key) != len({dashboard.position for dashboard in dashboards}):
        message = "dashboards/: two dashboards have the same position"
        raise DefinitionError(message)
    return Definitions(cards, by_key, filters, load_translations(), deal_sets)


def read_card(folder: str, name: str, text: str, filters: Mapping[str, Filter]) -> Card:
    """Read one card from the text of its file.

    Raises:
        DefinitionError: when a field is unknown, or names a column or filter that is not there.
    """
    where = f"cards/{folder}/{name}"
    parts = re.split(r"(?m)^---\s*$\n?", text, maxsplit=2)
    if len(parts) != 3 or parts[0].strip():
        message = f"{where} must begin with front matter between two lines of ---"
        raise DefinitionError(message)
    data = _mapping(where, parsed(parts[1]))
    grains = _names(where, "grains", data)
    sql = expand(parts[2].strip()).replace(PERIOD_START, _period_start(grains))
    tags = filters_in(sql)
    columns = {k: f.column for k, f in filters.items() if k in tags and f.column}
    if unknown := set(tags) - set(columns):
        message = (
            f"{where}: {', '.join(sorted(unknown))} in the select has no column in filters.yml"
        )
        raise DefinitionError(message)
    known = {
        *(
            "display",
            "columns",
            "x",
            "y",
            "series",
            "goal",
            "stacked",
            "lines",
            "right_axis",
            "format",
        ),
        *(
            "period",
            "grains",
            "unfiltered",
            "link",
            "size",
            "static_dashboard",
            "may_be_empty",
            "rows_overlap",
            "deals",
        ),
    }
    _only(where, data, known)
    size = _mapping(f"{where}: size", data.get("size", {"w": 6, "h": 4}))
    _only(f"{where}: size", size, {"w", "h"})
    card = Card(
        key=_key(where, name.removesuffix(".sql")),
        folder=folder,
        display=str(data.get("display")),
        sql=sql,
        columns=_names(where, "columns", data),
        x=_names(where, "x", data),
        y=_names(where, "y", data),
        series=data.get("series"),
        goal=data.get("goal"),
        stacked=bool(data.get("stacked", False)),
        lines=_names(where, "lines", data),
        right_axis=_names(where, "right_axis", data),
        format=_mapping(f"{where}: format", data.get("format", {})),
        filters=columns,
        period=data.get("period"),
        grains=grains,
        unfiltered=_names(where, "unfiltered", data),
        link=_mapping(f"{where}: link", data.get("link", {})),
        width=int(size["w"]),
        height=int(size["h"]),
        static_dashboard=bool(data.get("static_dashboard", False)),
        may_be_empty=data.get("may_be_empty"),
        rows_overlap=bool(data.get("rows_overlap", False)),
        deals=_mapping(f"{where}: deals", data.get("deals", {})),
    )
    check_card(where, card, filters)
    return card


def check_card(where: str, card: Card, filters: Mapping[str, Filter]) -> None:
    """Compare what a card says about itself.

    Raises:
        DefinitionError: at the first contradiction.
    """
    errors: list[str] = []
    if card.display not in DISPLAYS:
        errors.append(f"display must be one of {', '.join(DISPLAYS)}, not {card.display}")
    if not card.columns or len(set(card.columns)) != len(card.columns):
        errors.append("columns must name the columns of the result, each once")
    named = {
        "x": card.x,
        "y": card.y,
        "series": (card.series,) if card.series else (),
        "goal": (card.goal,) if card.goal else (),
        "lines": card.lines,
        "right_axis": card.right_axis,
        "format": card.format,
        "link": (*card.link, *card.link.values()),
        "deals": card.deals,
    }
    for what, names in named.items():
        errors += [f"{what} names {n}, no column of it" for n in names if n not in card.columns]
    errors += [
        f"{what} names {n}, which is not in y"
        for what in ("lines", "right_axis")
        for n in getattr(card, what)
        if n not in card.y
    ]
    errors += [f"format {f} of {n} is unknown" for n, f in card.format.items() if f not in FORMATS]
    if card.display != "table" and not card.y:
        errors.append("y must name what is measured")
    if card.display not in ("table", "scalar") and not card.x:
        errors.append("x must name what it is measured by")
    if card.display in TILES and len(card.y) != 1:
        errors.append("a tile shows one figure")
    if card.goal and card.display not in TILES:
        errors.append("goal is for tiles")
    errors += _errors_of_tags(card)
    errors += [f"filter {k} is not in filters.yml" for k in card.unfiltered if k not in filters]
    errors += [f"filter {k} applies and does not" for k in card.unfiltered if k in card.filters]
    if PERIOD in card.filters and card.period:
        errors.append("it has the filter of a period, and must not name another period")
    if PERIOD not in card.filters and card.period not in PERIODS:
        errors.append(f"period must be one of {', '.join(PERIODS)}, not {card.period}")
    if PERIOD in card.unfiltered:
        errors.append("unfiltered must not name the period: `period` says what the card covers")
    if not 1 <= card.width <= GRID or card.height < 1:
        errors.append(f"size must be within {GRID} columns")
    if errors:
        message = f"{where}: {'; '.join(errors)}"
        raise DefinitionError(message)


def _errors_of_tags(card: Card) -> list[str]:
    errors = []
    tags = filters_in(card.sql)
    if (GRAIN in TAG.findall(card.sql)) != bool(card.grains) or not set(card.grains) <= set(GRAINS):
        errors.append(f"grains are some of {', '.join(GRAINS)}, and the select uses them")
    if len(filters_in(" ".join(CLAUSE.findall(card.sql)))) != len(tags):
        errors.append("every {{filter}} must be in a clause [[and ...]]")
    return errors


def filters_in(text: str) -> list[str]:
    """Return the filters that a text names, without the grain."""
    return [tag for tag in TAG.findall(text) if tag != GRAIN]


def _period_start(grains: Iterable[str]) -> str:
    cases = " ".join(f"when '{g}' then {GRAINS.get(g)}" for g in grains if g != "month")
    return f"case {{{{{GRAIN}}}}} {cases} else {GRAINS['month']} end"


def read_dashboard(
    name: str, text: str, cards: Mapping[str, Card], filters: Mapping[str, Filter]
) -> Dashboard:
    """Read one dashboard from the text of its file.

    Raises:
        DefinitionError: when it names a card or filter that is not there, or when one of its cards
            does not say what it does with one of its filters.
    """
    where = f"dashboards/{name}"
    data = _mapping(where, parsed(text))
    _only(where, data, {"position", "filters", "tabs", "rows"})
    key = _key(where, name.removesuffix(".yml"))
    if ("tabs" in data) == ("rows" in data):
        message = f"{where} must have either rows or tabs"
        raise DefinitionError(message)
    tabs: dict[str | None, list[list[str]]]
    if "rows" in data:
        tabs = {None: data["rows"]}
    else:
        tabs = {str(tab["key"]): tab["rows"] for tab in data["tabs"]}
        if len(tabs) < 2 or len(tabs) != len(data["tabs"]):
            message = f"{where}: tabs must be at least two, with keys of their own"
            raise DefinitionError(message)
    dashboard = Dashboard(
        key=key,
        position=int(data["position"]),
        tabs=tuple(tab for tab in tabs if tab is not None),
        filters=_names(where, "filters", data),
        places=tuple(
            place for tab, rows in tabs.items() for place in _laid_out(where, tab, rows, cards)
        ),
    )
    for wanted in dashboard.filters:
        if wanted not in filters:
            message = f"{where}: filter {wanted} is not in filters.yml"
            raise DefinitionError(message)
        silent = {
            c
            for c in dashboard.cards
            if wanted not in (*cards[c].filters, *cards[c].unfiltered)
            and not (wanted == PERIOD and cards[c].period)
        }
        if silent and not filters[wanted].partial:
            message = (
                f"{where}: {', '.join(sorted(silent))} must map filter {wanted}, "
                "or name it under unfiltered"
            )
            raise DefinitionError(message)
        if not any(cards[c].obeys(wanted) for c in dashboard.cards):
            message = f"{where}: filter {wanted} applies to no card"
            raise DefinitionError(message)
    return dashboard


def _laid_out(
    where: str, tab: str | None, rows: Iterable[Iterable[str]], cards: Mapping[str, Card]
) -> Iterator[Place]:
    top = 0
    for row in rows:
        left = height = 0
        for key in row:
            if key not in cards:
                message = f"{where}: there is no card {key}"
                raise DefinitionError(message)
            card = cards[key]
            if left + card.width > GRID:
                message = f"{where}: the row with {key} is wider than {GRID} columns"
                raise DefinitionError(message)
            yield Place(key, tab, left, top, card.width, card.height)
            left += card.width
            height = max(height, card.height)
        top += height


def _filters(data: Any) -> dict[str, Filter]:
    found = {}
    for key, value in _mapping("filters.yml", data).items():
        _only(f"filters.yml: {key}", value, {"type", "default", "partial", "values", "column"})
        if value.get("type") not in FILTER_TYPES:
            message = f"filters.yml: {key}: type must be one of {', '.join(FILTER_TYPES)}"
            raise DefinitionError(message)
        found[_key("filters.yml", key)] = Filter(
            key, value["type"], value.get("default"), bool(value.get("partial", False)),
            _names(f"filters.yml: {key}", "values", value),
            _column(f"filters.yml: {key}", value["column"]) if "column" in value else None,
        )  # fmt: skip
    return found


def _deal_sets(data: Any) -> dict[str, DealSet]:
    found = {}
    for key, value in _mapping("deal_sets.yml", data).items():
        where = f"deal_sets.yml: {key}"
        _only(where, _mapping(where, value), {"where", "owner", "date", "via"})
        found[_key(where, key)] = DealSet(
            value.get("where", "true"), str(value.get("owner")), value.get("date"), value.get("via")
        )
    return found


def _mapping(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        message = f"{where} must be a map of fields"
        raise DefinitionError(message)
    return value


def _only(where: str, data: Mapping[str, Any], known: set[str]) -> None:
    if unknown := set(data) - known:
        message = f"{where}: unknown {', '.join(sorted(map(str, unknown)))}; known: {sorted(known)}"
        raise DefinitionError(message)


def _names(where: str, what: str, data: Mapping[str, Any]) -> tuple[str, ...]:
    value = data.get(what, [])
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        message = f"{where}: {what} must be a list of names"
        raise DefinitionError(message)
    return tuple(names)


def _key(where: str, key: str) -> str:
    if not KEY.match(key):
        message = f"{where}: {key!r} is no key; use a-z, 0-9 and _"
        raise DefinitionError(message)
    return key


def _column(where: str, text: str) -> Column:
    parts = text.split(".")
    if len(parts) != 3:
        message = f"{where}: a filter maps to schema.relation.column, not {text}"
        raise DefinitionError(message)
    return Column(*parts)


def _sorted(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())
