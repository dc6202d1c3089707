"""The page in a real browser: what is drawn, said, reached by keyboard, and asked of the network.

Without Chromium and its driver (Debian: chromium, chromium-driver) these are skipped.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from datetime import date, datetime, timezone
from itertools import combinations
from pathlib import Path

import pytest
from page_browser import (
    CACHE,
    DARK,
    LIGHT,
    NARROW,
    NODE,
    PHONE,
    Browser,
    Page,
    Reading,
    Tours,
    View,
)
from pipeboard_metabase.definitions import LEFT_OUT, Definitions
from pipeboard_metabase.static_dashboard.bundle import (
    WEB,
    Bundle,
    _run,
    node_in,
    packages,
)
from pipeboard_metabase.static_dashboard.command import write
from pipeboard_metabase.static_dashboard.page import render_page
from pipeboard_metabase.static_dashboard.queries import Account, CardResult
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from warehouse_helpers import Warehouse


def titles_of(definitions: Definitions, kind: str, language: str) -> set[str]:
    texts = definitions.translations.texts
    return {t[language] for k, t in texts.items() if k.startswith(kind) and k.count(".") == 1}


# -- the demo account


def test_every_chart_is_drawn_and_nothing_is_requested_of_any_server(
    tours: Tours, demo: Warehouse, page_of: Page
) -> None:
    tour = tours(page_of(demo), LIGHT)
    assert not [failed for seen in tour.dashboards for failed in seen.failed]
    marks = dict(pair for seen in tour.dashboards for pair in seen.marks)
    assert not [card for card, count in marks.items() if not count]
    assert len(marks) > 25
    assert tour.complaints == []
    assert tour.requested == []


def test_numbers_are_the_marts_own_in_the_readers_language(
    browser: Browser, demo: Warehouse, page_of: Page
) -> None:
    ((value,),) = demo.rows("select sum(open_value_base) from marts.rpt_pipeline_now")
    browser.open(page_of(demo), at="pipeline_now")
    full = browser.one("[data-card=open_value] .big").get_attribute("title")
    assert full == f"R${value:,.0f}"
    browser.one("button[lang=pt]").click()
    full = browser.one("[data-card=open_value] .big").get_attribute("title")
    assert full.replace("\xa0", " ") == "R$ " + f"{value:,.0f}".replace(",", ".")
    browser.run("location.hash = '#/customers'")
    cells = [
        cell.get_attribute("textContent") for cell in browser.all("[data-card=top_customers] td")
    ]
    assert any(re.fullmatch(r"\d\d/\d\d/\d{4}", str(cell)) for cell in cells), cells


def test_money_says_which_deals_it_leaves_out(
    browser: Browser, demo: Warehouse, page_of: Page,
    definitions: Definitions, bundle: Bundle, folder: Path, reading: Reading,
) -> None:  # fmt: skip
    cards = "open_value", "open_by_stage", "velocity_by_pipeline"
    browser.open(page_of(demo))
    for dashboard in ("executive", "pipeline_now"):
        browser.run(f"location.hash = '#/{dashboard}'")
        assert "exchange rate" not in " ".join(e.text for e in browser.all(".note"))
        assert "Deals without a rate" not in [e.text for e in browser.all("th button")]
    account, shown = reading(demo.url)
    results = dict(shown)
    for key in cards:
        found = results[key]
        at = found.columns.index(LEFT_OUT)
        rows = [(*row[:at], 0, *row[at + 1 :]) for row in found.rows]
        # The last row: the one that a tile shows.
        rows[-1] = (*rows[-1][:at], 1234, *rows[-1][at + 1 :])
        results[key] = replace(found, rows=tuple(rows))
    path = folder / "left_out.html"
    write(path, render_page(definitions, account, results, bundle, demo=True))
    browser.open(path)
    message = "Deals left out because no exchange rate is known: 1,234."
    browser.run("location.hash = '#/executive'")
    assert browser.one("[data-card=velocity_by_pipeline] .note").text == message
    heads = browser.all("[data-card=velocity_by_pipeline] th button")
    assert "Deals without a rate" in [head.text for head in heads]
    browser.run("location.hash = '#/pipeline_now'")
    assert browser.one("[data-card=open_value] .note").text == message
    assert browser.one("[data-card=open_by_stage] .note").text == message
    browser.one("button[lang=pt]").click()
    message = "Negócios deixados de fora por falta de taxa de câmbio: 1.234."
    assert browser.one("[data-card=open_value] .note").text == message


def test_both_languages(
    browser: Browser, tours: Tours, demo: Warehouse, page_of: Page, definitions: Definitions
) -> None:
    for view in (LIGHT, DARK):
        language = view[2]
        for seen in tours(page_of(demo), view).dashboards:
            assert seen.title in titles_of(definitions, "dashboard.", language)
            assert set(seen.cards) <= titles_of(definitions, "card.", language)
    browser.open(page_of(demo))
    assert browser.run("return document.documentElement.lang") == "en"
    for language in ("pt", "en"):
        browser.one(f"button[lang={language}]").click()
        # The button was drawn anew, and the reader is still on it.
        assert browser.run("return document.activeElement.lang") == language
        assert browser.run("return document.documentElement.lang[0]") == language[0]
    # A column or value without words would be shown by its key.
    assert "_" not in browser.one("nav").text


def test_dark_by_the_system_or_by_choice(
    browser: Browser, tours: Tours, demo: Warehouse, page_of: Page
) -> None:
    background = "return getComputedStyle(document.body).backgroundColor"
    light = tours(page_of(demo), LIGHT).dashboards[0].background
    browser.open(page_of(demo), dark=True)
    dark = browser.run(background)
    assert light != dark
    assert browser.one(".theme").get_attribute("aria-pressed") == "true"
    browser.one(".theme").click()
    assert browser.run(background) == light
    browser.chrome.refresh()
    assert browser.run(background) == light, "the choice is remembered"


@pytest.mark.parametrize("language", NARROW)
def test_a_phone_scrolls_down_only(
    tours: Tours, demo: Warehouse, page_of: Page, language: str
) -> None:
    for seen in tours(page_of(demo), NARROW[language]).dashboards:
        assert seen.width <= PHONE[0], seen.title
        # What is cut off on a phone would not be seen by this: no card may be wider either.
        assert seen.widest_card <= PHONE[0], seen.title
        assert seen.overlapping == [], seen.title


@pytest.mark.parametrize("view", [LIGHT, DARK], ids=["en", "pt"])
def test_no_column_of_a_table_is_cut_off(
    tours: Tours, demo: Warehouse, page_of: Page, view: View
) -> None:
    for seen in tours(page_of(demo), view).dashboards:
        assert seen.cut_off == [], seen.title


def test_axes_begin_at_zero_and_the_running_month_is_marked(
    browser: Browser, definitions: Definitions, bundle: Bundle, folder: Path
) -> None:
    months = [date(2026, month, 1) for month in (9, 10, 11)]
    card = definitions.cards["no_response_by_month"]
    results = {
        # Nobody was contacted in a month, everybody in another; and nothing at all.
        "no_response_by_month": CardResult(
            card.columns, ("date", "int8", "int8", "numeric"),
            tuple((m, 4, 4 - nr, nr / 4) for nr, m in enumerate(months)),
        ),
        "win_rates_by_month": CardResult(
            definitions.cards["win_rates_by_month"].columns, ("date", *["numeric"] * 3),
            tuple((m, 0.0, 0.0, 0.0) for m in months),
        ),
    }  # fmt: skip
    account = Account(datetime.now(timezone.utc), 3, "BRL", months[-1], "America/Sao_Paulo")
    path = folder / "axes.html"
    write(path, render_page(definitions, account, results, bundle))
    labels = "return [...document.querySelectorAll('.chart svg text')].map((t) => t.textContent)"
    browser.open(path)
    shares = {text for text in browser.run(labels) if text.endswith("%")}
    assert shares == {"0%", "20%", "40%", "60%", "80%", "100%"}
    assert browser.one(".note").text == "The current month is not over."
    dashed = "return document.querySelectorAll('svg path[stroke-dasharray]').length"
    assert browser.run(dashed) > 0
    browser.run("location.hash = '#/team'")
    assert not [text for text in browser.run(labels) if text.startswith("-")]
    assert browser.run(dashed) > 0


@pytest.mark.parametrize("view", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_of_a_chart_differ_for_all_readers(
    tours: Tours, demo: Warehouse, page_of: Page, view: View
) -> None:
    """Brightness or hue without red and green: what a reader with deuteranopia sees."""
    dashboards = tours(page_of(demo), view).dashboards
    assert sum(len(seen.legends) for seen in dashboards) > 5
    for seen in dashboards:
        for legend in seen.legends:
            for one, other in combinations(map(tuple, legend), 2):
                assert differ_without_red_and_green(one, other), (seen.title, one, other)


def differ_without_red_and_green(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Compare what a dichromat keeps: brightness, and blue against yellow."""

    def remaining(colour: tuple[int, ...]) -> tuple[float, float]:
        red, green, blue = colour
        brightness = 0.299 * red + 0.587 * green + 0.114 * blue
        return brightness, blue - (red + green) / 2

    (bright, hue), (bright_other, hue_other) = remaining(one), remaining(other)
    return abs(bright - bright_other) > 18 or abs(hue - hue_other) > 40


def test_everything_is_reached_and_used_by_keyboard(
    browser: Browser, demo: Warehouse, page_of: Page
) -> None:
    browser.open(page_of(demo))
    controls = "[...document.querySelectorAll('a[href], button, input, select, [tabindex=\"0\"]')]"
    visible = f"{controls}.filter((one) => one.offsetParent !== null)"
    missed = set(browser.run(f"return {visible}.map((one, nr) => (one.nr = nr, nr))"))
    for _ in range(len(missed) + 3):
        ActionChains(browser.chrome).send_keys(Keys.TAB).perform()
        missed.discard(browser.run("return document.activeElement.nr"))
    assert not missed
    # The table behind a chart, and back.
    toggle = browser.one("[data-card=won_by_month] .toggle")
    toggle.send_keys(Keys.ENTER)
    assert toggle.get_attribute("aria-pressed") == "true"
    assert not browser.one("[data-card=won_by_month] .chart").is_displayed()
    assert len(browser.all("[data-card=won_by_month] tbody tr")) > 3
    # Sorted by a heading: largest first, and said.
    heading = browser.one("[data-card=won_by_month] th.number button")
    heading.send_keys(Keys.ENTER)
    assert (
        browser.one("[data-card=won_by_month] th.number").get_attribute("aria-sort") == "descending"
    )
    toggle.send_keys(Keys.SPACE)
    assert browser.one("[data-card=won_by_month] .chart").is_displayed()
    # Past the navigation, and to another dashboard: the focus goes along.
    browser.one(".skip").send_keys(Keys.ENTER)
    assert browser.run("return document.activeElement.id") == "main"
    browser.one("nav li:nth-child(3) a").send_keys(Keys.ENTER)
    # A page is told of its new address when the key has been dealt with, not before.
    focused = "return document.activeElement.id"
    WebDriverWait(browser.chrome, 10).until(lambda _: browser.run(focused) == "dashboard-title")
    assert browser.one("nav [aria-current=page]").text == browser.one("h2").text


def test_charts_say_what_they_show(browser: Browser, demo: Warehouse, page_of: Page) -> None:
    ((product,),) = demo.rows(
        "select display_name "
        "from marts.rpt_products_monthly join marts.dim_product using (product_id) "
        "where month >= (select this_month - interval '1 year' from ops.ops_account) "
        "group by display_name order by sum(sold_value_base) desc limit 1"
    )
    browser.open(page_of(demo), at="customers")
    message = browser.one("[data-card=products_sold] .chart").get_attribute("aria-label")
    assert f"highest {product} with R$" in message


@pytest.mark.parametrize("view", [LIGHT, DARK], ids=["light", "dark"])
def test_axe_finds_no_barrier(tours: Tours, demo: Warehouse, page_of: Page, view: View) -> None:
    for seen in tours(page_of(demo), view).dashboards:
        assert seen.violations == [], seen.title


# -- other accounts


@pytest.mark.parametrize("account", ["nothing", "one_deal"])
def test_a_small_account_breaks_no_page(
    tours: Tours, account: str, request: pytest.FixtureRequest, page_of: Page
) -> None:
    tour = tours(page_of(request.getfixturevalue(account)), NARROW["en"])
    assert tour.dashboards[0].is_welcome == (account == "nothing")
    for seen in tour.dashboards:
        assert seen.failed == [], seen.title
        assert not [card for card, count in seen.marks if not count], seen.title
        assert seen.width <= PHONE[0], seen.title
        assert "NaN" not in seen.text
        assert "undefined" not in seen.text
    assert tour.complaints == []


HOSTILE = (
    "</script><script>window.caught = 1</script>",
    "<img src=x onerror='window.caught = 2'>",
    "{script}{data}\u2028\u2029<!--",
    "\u202egnp.exe \u0000 'ÄÖ\" 漢字 مرحبا 🙂",
    "x" * 400,
    "{a|rich} ${1} \\u003c %s\n\n\n",
)


def test_labels_stay_text(
    browser: Browser, definitions: Definitions, bundle: Bundle, folder: Path
) -> None:
    products = CardResult(
        ("product_name", "sold_value_base", "n_deals"),
        ("text", "numeric", "int8"),
        tuple((label, 100 - nr, nr) for nr, label in enumerate(HOSTILE)),
    )
    columns = definitions.cards["deals_needing_attention"].columns
    deals = CardResult(
        columns,
        tuple("text" for _ in columns),
        tuple(
            tuple("javascript:window.caught=3" if c == "deal_url" else label for c in columns)
            for label in HOSTILE
        ),
    )
    account = Account(datetime.now(timezone.utc), 3, "BRL", date(2026, 11, 1), "America/Sao_Paulo")
    broken = CardResult(error=HOSTILE[0])
    results = {
        "products_sold": products,
        "deals_needing_attention": deals,
        "open_by_age": broken,
    }
    path = folder / "hostile.html"
    write(path, render_page(definitions, account, results, bundle))
    browser.open(path)
    browser.run("location.hash = '#/pipeline_now'")
    rows = browser.run(
        "return [...document.querySelectorAll('tbody tr')].map(r => r.cells[0].innerText)"
    )
    assert rows[0] == HOSTILE[0]
    assert rows[1] == HOSTILE[1]
    assert rows[4].endswith("…")
    assert not browser.all("main a"), "javascript: is no address"
    assert HOSTILE[0] in browser.one("[data-card=open_by_age]").text
    # Tooltips are made of the same labels.
    browser.run("location.hash = '#/customers'")
    chart = browser.one("[data-card=products_sold] .chart")
    ActionChains(browser.chrome).move_to_element_with_offset(
        chart, 0, -chart.size["height"] // 2 + 15
    ).perform()
    assert HOSTILE[0] in browser.one(".tip").text
    assert browser.run("return window.caught ?? null") is None
    assert browser.complaints() == []
    assert browser.requested() == []


def test_a_foreign_script_does_not_run(
    browser: Browser, definitions: Definitions, bundle: Bundle, folder: Path
) -> None:
    account = Account(None, 0, "BRL", date(2026, 11, 1), "America/Sao_Paulo")
    text = render_page(definitions, account, {}, bundle)
    path = folder / "tampered.html"
    write(path, text.replace("</body>", "<script>window.caught = 1</script></body>"))
    browser.open(path)
    assert browser.run("return window.caught ?? null") is None
    assert any("Content Security Policy" in line for line in browser.complaints())


def test_the_policy_is_what_keeps_the_page_silent(
    browser: Browser, definitions: Definitions, bundle: Bundle, folder: Path
) -> None:
    """Our script itself may not ask: what a library might do one day is refused today."""
    asks = replace(bundle, script='fetch("https://127.0.0.1:9/").catch(() => {});')
    path = folder / "asks.html"
    account = Account(None, 0, "BRL", date(2026, 11, 1), "America/Sao_Paulo")
    write(path, render_page(definitions, account, {}, asks))
    browser.open(path)
    assert any("Content Security Policy" in line for line in browser.complaints())
    assert browser.requested() == []


# -- without a browser


def test_the_browsers_part_is_typed() -> None:
    node = node_in(NODE)
    modules = packages(CACHE, node, development=True)
    # Beside its packages, where the compiler looks for them.
    checked = modules.parent / "checked"
    shutil.rmtree(checked, ignore_errors=True)
    shutil.copytree(WEB / "src", checked / "src")
    shutil.copyfile(WEB / "tsconfig.json", checked / "tsconfig.json")
    tsc = modules / "typescript" / "bin" / "tsc"
    outcome = subprocess.run([node, tsc, "-p", checked], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout


def test_programs_of_the_registry_get_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPEBOARD_DATABASE_URL", "postgresql://ana:pa55w0rd@host/crm")
    monkeypatch.setenv("METABASE_API_KEY", "pa55w0rd")
    monkeypatch.setenv("npm_config_registry", "https://mirror")
    _run(["/bin/sh", "-c", "env >all"], tmp_path, tmp_path / "node", "npm")
    environment = (tmp_path / "all").read_text()
    assert "pa55w0rd" not in environment
    assert "npm_config_registry=https://mirror" in environment
