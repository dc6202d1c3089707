"""The page filters: its engine's figures are the marts' own, and its bar shows them."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from card_helpers import Server
from page_browser import CACHE, NODE, PHONE, Browser, Page, Reading
from pipeboard_metabase.definitions import GRAIN, GRAINS, LEFT_OUT, PERIOD, Card, Definitions
from pipeboard_metabase.sql import Between, Value, render
from pipeboard_metabase.static_dashboard.bundle import WEB, Bundle, node_in, packages
from pipeboard_metabase.static_dashboard.cells import plain
from pipeboard_metabase.static_dashboard.command import write
from pipeboard_metabase.static_dashboard.database import is_filtered, relations
from pipeboard_metabase.static_dashboard.deals import JOINED
from pipeboard_metabase.static_dashboard.page import render_page
from pipeboard_metabase.static_dashboard.queries import READER, CardResult, read
from psycopg.conninfo import conninfo_to_dict
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait
from warehouse_helpers import Warehouse

RELATIVE = ("this-month", "last-month", "this-quarter", "last-quarter", "this-year", "last-year")


@dataclass(frozen=True)
class CardRequest:
    """A card and what the filters are set to, as an address has it; `lists`: also its lists."""

    card: Card
    values: dict[str, list[str]]
    lists: bool = True

    @property
    def address(self) -> str:
        return f"#/executive?{urlencode(self.values, doseq=True)}"


@pytest.fixture(scope="module")
def evaluate(folder: Path) -> Callable[[Path, Sequence[CardRequest]], list[dict[str, Any]]]:
    """Run the page's engine with Node."""
    node = node_in(NODE)
    modules = packages(CACHE, node)
    script = folder / "evaluate.mjs"
    subprocess.run(
        [node, modules / "esbuild" / "bin" / "esbuild", Path(__file__).with_name("evaluate.ts"),
         "--bundle", "--format=esm", "--platform=node", f"--alias:@web={WEB / 'src'}",
         f"--alias:sql.js={modules / 'sql.js' / 'dist' / 'sql-wasm.js'}",
         "--banner:js=import { createRequire } from 'node:module'; "
         "const require = createRequire(import.meta.url); const __dirname = '.'; "
         "const __filename = 'evaluate.mjs';",
         "--log-level=error", f"--outfile={script}"],
        check=True, env={**os.environ, "NODE_PATH": str(modules)},
    )  # fmt: skip

    def answers(page: Path, request: Sequence[CardRequest]) -> list[dict[str, Any]]:
        given = json.dumps(
            [{"address": r.address, "card": r.card.key, "lists": r.lists} for r in request]
        )
        done = subprocess.run([node, script, page], input=given, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    return answers


def marts_rows(
    connection: psycopg.Connection[Any], request: CardRequest, period: Any
) -> list[list[Any]]:
    values: dict[str, Value] = {
        key: names for key, names in request.values.items() if request.card.obeys(key)
    }
    values.pop(PERIOD, None)
    if PERIOD in request.card.filters and period:
        values[PERIOD] = Between(*map(date.fromisoformat, period))
    query, parameters = render(request.card, values)
    rows = connection.execute(query.encode(), parameters).fetchall()
    return [[plain(cell) for cell in row] for row in rows]


def differences(found: list[list[Any]], expected: list[list[Any]]) -> list[Any]:
    """Return the rows that differ: numbers by more than what sums of doubles may."""

    def same(one: Any, other: Any) -> bool:
        if isinstance(one, float | int) and isinstance(other, float | int):
            return one == pytest.approx(other, rel=1e-12, abs=1e-6)
        return bool(one == other)

    if len(found) != len(expected):
        return [len(found), len(expected)]
    return [
        pair
        for pair in zip(found, expected, strict=True)
        if not all(map(same, *pair)) or len(pair[0]) != len(pair[1])
    ]


def unexplained(lists: list[dict[str, Any]]) -> list[Any]:
    """Return figures that their deals do not add up to: counts, and sums of values."""
    sums = {"won_value_base", "lost_value_base", "open_value_base", "commit_value_base"}
    sums |= {"new_value_base", "returning_value_base", "won_back_value_base"}
    return [
        each
        for each in lists
        if (
            (each["measure"].startswith("n_") or each["measure"] == "open_count")
            and each["figure"] != each["count"]
        )
        or (each["measure"] in sums and each["figure"] != pytest.approx(each["sum"], abs=1e-4))
    ]


def filtered_cards(definitions: Definitions) -> list[Card]:
    return [c for c in definitions.cards.values() if c.static_dashboard and is_filtered(c)]


def settings_of(
    random_: random.Random, choices: dict[str, tuple[str, ...]], first: date, this: date
) -> dict[str, list[str]]:
    """Set each filter or not; of names up to three; of periods any kind."""
    values: dict[str, list[str]] = {}
    for key, names in choices.items():
        if names and random_.random() < 0.5:
            values[key] = random_.sample(names, random_.randint(1, min(3, len(names))))
    month = random_.randint(first.year * 12 + first.month - 1, this.year * 12 + this.month - 1)
    year, nr = divmod(month, 12)
    kinds = ("all", *RELATIVE, f"{year}", f"{year}-Q{nr // 3 + 1}", f"{year}-{nr + 1:02}")
    if random_.random() < 0.7:
        values[PERIOD] = [random_.choice(kinds)]
    if random_.random() < 0.6:
        values[GRAIN] = [random_.choice(tuple(GRAINS))]
    return values


#: Lists of deals take longer than the cards themselves: those of so many cards for each setting.
LISTED = 10


@pytest.mark.parametrize(
    ("n_settings", "n_cards"),
    [
        (12, LISTED),
        pytest.param(40, LISTED, marks=pytest.mark.long),
        pytest.param(200, None, marks=pytest.mark.nightly),
    ],
)
def test_figures_equal_the_marts_for_random_filters(
    definitions: Definitions, demo: Warehouse, page_of: Page, n_settings: int, n_cards: int | None,
    reading: Reading, evaluate: Callable[[Path, Sequence[CardRequest]], list[dict[str, Any]]],
) -> None:  # fmt: skip
    seed = random.randrange(1_000_000)
    random_ = random.Random(seed)
    account, _ = reading(demo.url)
    database = account.database
    assert database is not None
    assert all(len(names) > 1 for names in database.choices.values()), "without teams, say"
    cards = filtered_cards(definitions)
    assert len(cards) > 45
    request = [
        CardRequest(card, values, lists=nr < LISTED)
        for values in (
            settings_of(random_, dict(database.choices), database.first_month, account.this_month)
            for _ in range(n_settings)
        )
        for nr, card in enumerate(random_.sample(cards, n_cards or len(cards)))
    ]
    assert {len(names) for each in request for names in each.values.values()} == {1, 2, 3}
    with psycopg.connect(demo.url) as connection:
        connection.execute("set jit = off")
        n_rows = n_lists = 0
        for each, found in zip(request, evaluate(page_of(demo), request), strict=True):
            expected = marts_rows(connection, each, found["period"])
            assert differences(found["rows"], expected) == [], (seed, each)
            assert unexplained(found["lists"]) == [], (seed, each)
            n_lists += len(found["lists"])
            n_rows += len(expected)
    assert n_rows > 10 * n_settings
    assert n_lists > n_settings


def test_without_a_choice_the_engine_answers_as_the_page_opens(
    definitions: Definitions, demo: Warehouse, page_of: Page,
    reading: Reading, evaluate: Callable[[Path, Sequence[CardRequest]], list[dict[str, Any]]],
) -> None:  # fmt: skip
    _, results = reading(demo.url)
    landing = definitions.cards["landing_this_month"]
    request = [CardRequest(c, {}, lists=c is landing) for c in filtered_cards(definitions)]
    lists = {}
    for each, found in zip(request, evaluate(page_of(demo), request), strict=True):
        shown = [[plain(cell) for cell in row] for row in results[each.card.key].rows]
        assert differences(found["rows"][: len(shown)], shown) == [], each.card.key
        lists[each.card.key] = found["lists"]
    ((n_landing,),) = demo.rows(
        "select sum(n_won + n_open) from marts.rpt_forecast, ops.ops_account "
        "where period_start = this_month"
    )
    assert [each["count"] for each in lists["landing_this_month"]] == [n_landing]


def test_texts_are_sorted_in_the_collation_of_the_database(
    definitions: Definitions, demo: Warehouse, server: Server, bundle: Bundle, folder: Path,
    evaluate: Callable[[Path, Sequence[CardRequest]], list[dict[str, Any]]],
) -> None:  # fmt: skip
    card = definitions.cards["duration_by_owner"]
    url = collated(server, demo, [card])
    only = replace(definitions, cards={card.key: card})
    account, results = read(url, only)
    path = folder / "collated.html"
    write(path, render_page(only, account, results, bundle))
    request = CardRequest(card, {PERIOD: ["all"]}, lists=False)
    with psycopg.connect(url) as connection:
        expected = marts_rows(connection, request, None)
    names = [row[0] for row in expected]
    assert names != sorted(names), "the collation sorts as bytes do"
    (found,) = evaluate(path, [request])
    assert differences(found["rows"], expected) == []


CREATE = """
    create database collated owner {owner}
    template template0 locale_provider icu icu_locale 'pt-BR' encoding 'UTF8'
"""


def collated(server: Server, demo: Warehouse, cards: Sequence[Card]) -> str:
    """Copy what cards read into a database that sorts texts as people do; return its address."""
    with server.as_superuser(demo, dbname="postgres") as session:
        owner = conninfo_to_dict(demo.url)["user"]
        session.execute("drop database if exists collated")
        try:
            session.execute(CREATE.format(owner=owner).encode())
        except psycopg.errors.FeatureNotSupported:
            pytest.skip("NOT TESTED: this PostgreSQL is built without ICU")
    url = f"{demo.url.rpartition('/')[0]}/collated"
    names = {".".join(relation) for relation in relations(cards)} | {
        f"marts.{name}"
        for name in ("rpt_deals_monthly", "rpt_owner_scorecard", "rpt_open_deals", "fct_deal")
    }
    names |= {f"{schema}.{name}" for schema, name in JOINED} | {"ops.ops_stream_freshness"}
    with psycopg.connect(demo.url) as source, psycopg.connect(url) as target:
        target.execute("create schema marts")
        target.execute("create schema ops")
        for name in sorted(names):
            copied(source, target, name)
        target.execute(
            "update marts.dim_user set display_name = "
            "(array['Ágata', 'Bruno', 'ana', 'Zélia', 'beto'])[1 + user_id % 5] || ' ' || user_id "
            "where user_id > 0"
        )
        target.execute(f"grant usage on schema marts, ops to {READER}".encode())
        target.execute(f"grant select on all tables in schema marts, ops to {READER}".encode())
    return url


def copied(source: psycopg.Connection[Any], target: psycopg.Connection[Any], name: str) -> None:
    """Copy a relation as a table, without its rules."""
    row = source.execute(
        "select string_agg(format('%%I %%s', attname, format_type(atttypid, atttypmod)), ', ' "
        "order by attnum) from pg_attribute "
        "where attrelid = %s::regclass and attnum > 0 and not attisdropped",
        [name],
    ).fetchone()
    assert row is not None
    target.execute(f"create table {name} ({row[0]})".encode())
    with (
        source.cursor().copy(f"copy (select * from {name}) to stdout".encode()) as rows,
        target.cursor().copy(f"copy {name} from stdin".encode()) as table,
    ):
        for block in rows:
            table.write(block)


def test_years_and_quarters_are_fiscal_ones(
    definitions: Definitions, demo: Warehouse, bundle: Bundle, folder: Path,
    reading: Reading, evaluate: Callable[[Path, Sequence[CardRequest]], list[dict[str, Any]]],
) -> None:  # fmt: skip
    account, results = reading(demo.url)
    assert account.fiscal_month == 1
    other = replace(account, fiscal_month=4, this_month=date(2026, 2, 1))
    path = folder / "fiscal.html"
    write(path, render_page(definitions, other, results, bundle))
    expected = {
        "this-year": ["2025-04-01", "2026-03-31"],
        "last-year": ["2024-04-01", "2025-03-31"],
        "this-quarter": ["2026-01-01", "2026-03-31"],
        "last-quarter": ["2025-10-01", "2025-12-31"],
        "2026": ["2025-04-01", "2026-03-31"],
        "2026-Q1": ["2025-04-01", "2025-06-30"],
        "2025-12": ["2025-12-01", "2025-12-31"],
    }
    card = definitions.cards["won_by_month"]
    request = [CardRequest(card, {PERIOD: [key]}, lists=False) for key in expected]
    found = [each["period"] for each in evaluate(path, request)]
    assert dict(zip(expected, found, strict=True)) == expected


@pytest.mark.parametrize(
    ("card", "counts", "expected"),
    [
        ("won_by_month", (1, 0, 2), {"count": 3, "perRow": False}),
        ("won_by_month", (0, 0, 0), None),
        ("pipeline_by_day", (1, 0, 2), {"count": 2, "perRow": True}),
        ("won_this_month", (9, 1), {"count": 1, "perRow": False}),
    ],
)
def test_deals_that_a_sum_leaves_out_are_counted(
    definitions: Definitions, demo: Warehouse, bundle: Bundle, folder: Path, card: str,
    counts: tuple[int, ...], expected: object,
    reading: Reading, evaluate: Callable[[Path, Sequence[CardRequest]], list[dict[str, Any]]],
) -> None:  # fmt: skip
    account, _ = reading(demo.url)
    rows = " union all ".join(f"select 1 as n, {count} as {LEFT_OUT}" for count in counts)
    cards = {card: replace(definitions.cards[card], sql=rows)}
    columns = CardResult(("n", LEFT_OUT), ("int8", "int8"))
    path = folder / "left_out_counts.html"
    only = replace(definitions, cards={**definitions.cards, **cards})
    write(path, render_page(only, account, {card: columns}, bundle))
    (found,) = evaluate(path, [CardRequest(cards[card], {}, lists=False)])
    assert found["leftOut"] == expected


def rows_of(browser: Browser, card: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((r) => r.textContent)"
    return list(browser.run(script, f"[data-card={card}] tbody tr"))


def choose(browser: Browser, key: str, *texts: str) -> None:
    """Choose a period, or tick names in the open list of a filter."""
    if key == PERIOD:
        Select(browser.one(f"[data-filter={key}]")).select_by_visible_text(*texts)
        settled(browser)
        return
    if browser.one(f"[data-filter={key}]").get_attribute("aria-expanded") == "false":
        browser.one(f"[data-filter={key}]").click()
    for text in texts:
        labels = browser.all(f"#choices-{key} label")
        next(label for label in labels if label.text == text).click()
        settled(browser)


def settled(browser: Browser) -> None:
    """Wait until the page shows what its address says."""
    WebDriverWait(browser.chrome, 10).until(
        lambda _: browser.run(
            "const asked = new URLSearchParams(location.hash.split('?')[1] ?? '');"
            "const ticked = document.querySelectorAll('#choices-owner :checked');"
            "return !document.body.ariaBusy && asked.getAll('owner').length === ticked.length"
        )
    )
    browser.drawn()


def test_the_bar_filters_the_cards_and_says_which_do_not_obey(
    browser: Browser, demo: Warehouse, page_of: Page
) -> None:
    ((owner, n_won),) = demo.rows(
        "select users.display_name, sum(scores.n_won) from marts.rpt_owner_scorecard as scores "
        "join marts.dim_user as users on scores.owner_id = users.user_id "
        "where month >= (select date_trunc('year', this_month) from ops.ops_account) "
        "group by 1 order by 2 desc limit 1"
    )
    browser.open(page_of(demo), at="team")
    everybody = len(rows_of(browser, "owner_scorecard"))
    assert everybody > 2
    choose(browser, "owner", owner)
    assert len(rows_of(browser, "owner_scorecard")) == 1
    # The reader is still where the choice was made, in the open list.
    assert browser.run("return document.activeElement.value") == owner
    choose(browser, "period", "This year")
    (row,) = browser.all("[data-card=owner_scorecard] tbody tr")
    assert row.find_elements("css selector", "td")[1].text == str(n_won)
    assert "Period: this year." in browser.one("[data-card=owner_scorecard] .about").text
    assert "Not filtered by" not in browser.one("[data-card=owner_scorecard]").text
    # To another dashboard the choice goes along, and cards without owners say so.
    link = browser.one("nav li:first-child a")
    assert "owner=" in str(link.get_attribute("href"))
    link.click()
    velocity = "[data-card=velocity_by_pipeline]"
    WebDriverWait(browser.chrome, 10).until(lambda _: browser.all(velocity))
    note = browser.one(f"{velocity} .note").text
    assert note.startswith("Not filtered by: Period, Owner.")
    browser.one(".clear").click()
    WebDriverWait(browser.chrome, 10).until(lambda _: not browser.one(".clear").is_displayed())
    assert browser.run("return location.hash") == "#/executive"
    assert not [n for n in browser.all(".note") if "Not filtered" in n.text]
    assert browser.complaints() == []


def test_several_names_are_chosen_with_the_keyboard(
    browser: Browser, demo: Warehouse, page_of: Page
) -> None:
    browser.open(page_of(demo), at="team")
    rows = rows_of(browser, "owner_scorecard")
    button = browser.one("[data-filter=owner]")
    assert button.get_attribute("aria-labelledby").split() == ["filter-owner", "chosen-owner"]
    assert button.text == "All"
    button.send_keys(Keys.ENTER)
    assert browser.one("[data-filter=owner]").get_attribute("aria-expanded") == "true"
    names = [label.text for label in browser.all("#choices-owner label")]
    button.send_keys(Keys.TAB)
    if len(names) >= 10:
        browser.chrome.switch_to.active_element.send_keys(Keys.TAB)
    for nr in range(2):
        browser.chrome.switch_to.active_element.send_keys(Keys.SPACE)
        settled(browser)
        assert browser.run("return document.activeElement.value") == names[nr]
        browser.chrome.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.one("[data-filter=owner]").text == "2 chosen"
    shown = rows_of(browser, "owner_scorecard")
    assert shown == [row for row in rows if row.startswith(tuple(names[:2]))]
    browser.chrome.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not browser.one("#choices-owner").is_displayed()
    assert browser.run("return document.activeElement.dataset.filter") == "owner"
    # The address has both, and one click takes both back.
    assert browser.chrome.current_url.count("owner=") == 2
    browser.one("[data-filter=owner]").click()
    browser.one("#choices-owner .all").click()
    settled(browser)
    assert rows_of(browser, "owner_scorecard") == rows
    assert browser.complaints() == []


def test_the_back_button_takes_a_filter_back_and_an_address_brings_it(
    browser: Browser, demo: Warehouse, page_of: Page
) -> None:
    browser.open(page_of(demo), at="team")
    before = rows_of(browser, "owner_scorecard")
    browser.one("[data-filter=team]").click()
    choose(browser, "team", browser.all("#choices-team label")[0].text)
    filtered = rows_of(browser, "owner_scorecard")
    assert filtered != before
    address = browser.chrome.current_url
    browser.chrome.back()
    WebDriverWait(browser.chrome, 10).until(lambda _: rows_of(browser, "owner_scorecard") == before)
    browser.chrome.get("about:blank")
    browser.chrome.get(address)
    WebDriverWait(browser.chrome, 10).until(
        lambda _: rows_of(browser, "owner_scorecard") == filtered
    )


def test_a_browser_that_cannot_filter_shows_no_figure_as_filtered(
    browser: Browser, demo: Warehouse, page_of: Page, folder: Path
) -> None:
    path = folder / "no_engine.html"
    write(path, page_of(demo).read_text().replace('id="page-engine">', 'id="page-engine">x'))
    browser.chrome.get("about:blank")
    browser.chrome.get(f"{path.as_uri()}#/team?period=2020")
    WebDriverWait(browser.chrome, 10).until(lambda _: browser.all(".card"))
    assert "cannot filter" in browser.one("[role=status]").text
    assert "period" not in browser.run("return location.hash")
    assert not browser.all(".filters")


def test_axe_finds_no_barrier_in_filtered_dashboards(
    browser: Browser, demo: Warehouse, page_of: Page, axe: str
) -> None:
    browser.open(page_of(demo), PHONE, at="team")
    browser.run(axe)
    browser.one("button[lang=pt]").click()
    for dashboard, dark in product(("executive", "team"), (False, True)):
        browser.set_scheme(dark=dark)
        browser.run("location.hash = arguments[0]", f"#/{dashboard}?period=2001&owner=nobody")
        WebDriverWait(browser.chrome, 10).until(
            lambda _, key=dashboard: browser.all(f"[data-dashboard={key}] .set")
        )
        for key in ("owner", "team"):
            browser.one(f"[data-filter={key}]").click()
            assert browser.one(f"[data-filter={key}]").get_attribute("aria-expanded") == "true"
            assert browser.violations(dark=dark) == []
            assert browser.run("return document.documentElement.scrollWidth") <= PHONE[0]
    assert browser.complaints() == []
