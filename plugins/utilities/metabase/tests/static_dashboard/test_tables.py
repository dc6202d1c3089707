"""Tables of the page: sorted, searched and exported, with what the reader chose in the address."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime, timezone
from pathlib import Path

import pytest
from page_browser import Browser, Page, Reading
from pipeboard_metabase.definitions import Definitions
from pipeboard_metabase.static_dashboard.bundle import Bundle
from pipeboard_metabase.static_dashboard.command import write
from pipeboard_metabase.static_dashboard.page import render_page
from pipeboard_metabase.static_dashboard.queries import Account, CardResult
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from warehouse_helpers import Warehouse

TITLES = ("=1+1", "+5", "-3", "@SUM(A1)", "\tx", "\rx", 'Çelik "A", B', "two\nlines",
          "a;=1+1", 'b,"\t-2', "\n\uff1d3")  # fmt: skip
CARD = "[data-card=deals_needing_attention]"


@pytest.fixture(scope="module")
def deals(definitions: Definitions, bundle: Bundle, folder: Path) -> Path:
    """A page with one table: titles that a spreadsheet could run, values below and above zero."""
    card = definitions.cards["deals_needing_attention"]
    given = {"owner_name": "Ana", "n_warnings": 1, "is_without_close_date": True}
    kinds = {"value_base": "numeric", "n_warnings": "int8", "is_without_close_date": "bool"}
    rows = tuple(
        tuple(
            title if c == "title"
            else nr * 1000.5 - 1000.5 if c == "value_base"
            else f"https://acme.pipedrive.com/deal/{nr}" if c == "deal_url"
            else given.get(c)
            for c in card.columns
        )
        for nr, title in enumerate(TITLES)
    )  # fmt: skip
    found = CardResult(card.columns, tuple(kinds.get(c, "text") for c in card.columns), rows)
    account = Account(datetime.now(timezone.utc), 3, "BRL", date(2026, 11, 1), "America/Sao_Paulo")
    path = folder / "table.html"
    write(path, render_page(definitions, account, {card.key: found}, bundle))
    return path


def titles(browser: Browser) -> list[str]:
    script = "return [...document.querySelectorAll('tbody tr')].map(r => r.cells[0].textContent)"
    return list(browser.run(script))


def exported(browser: Browser, card: str, folder: Path, separator: str = ",") -> list[list[str]]:
    """Click on a card's CSV button; return the lines of the file."""
    browser.chrome.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}
    )
    path = folder / f"{card}.csv"
    browser.one(f"[data-card={card}] .csv").click()
    WebDriverWait(browser.chrome, 10).until(lambda _: path.exists())
    data = path.read_bytes()
    path.unlink()
    # The mark by which Excel knows the encoding.
    assert data.startswith(b"\xef\xbb\xbf")
    text = io.StringIO(data.decode("utf-8-sig"), newline="")
    return list(csv.reader(text, delimiter=separator))


def test_a_table_is_exported_without_formulas(
    browser: Browser, deals: Path, tmp_path: Path
) -> None:
    browser.open(deals)
    head, *rows = exported(browser, "deals_needing_attention", tmp_path)
    assert head[0] == "Title"
    assert [row[0] for row in rows] == [
        "'=1+1", "'+5", "'-3", "'@SUM(A1)", "'\tx", "'\rx", 'Çelik "A", B', "two\nlines",
        "a;'=1+1", "b,\"\t'-2", "'\n'\uff1d3",
    ]  # fmt: skip
    # A number below zero is no formula, and stays a number.
    assert [row[3] for row in rows][:3] == ["-1000.5", "0", "1000.5"]
    assert rows[1][-1] == "https://acme.pipedrive.com/deal/1"
    # Cells and decimals as spreadsheets in Portuguese read them.
    browser.one("button[lang=pt]").click()
    head, *in_portuguese = exported(browser, "deals_needing_attention", tmp_path, ";")
    assert head[0] == "Título"
    assert [row[3] for row in in_portuguese][:3] == ["-1000,5", "0", "1000,5"]
    assert [row[0] for row in in_portuguese] == [row[0] for row in rows]
    assert browser.complaints() == []


def test_the_export_has_the_rows_and_the_order_of_the_table(
    browser: Browser, deals: Path, tmp_path: Path
) -> None:
    browser.open(deals)
    browser.one(f"{CARD} th.number button").click()
    browser.one(f"{CARD} .search").send_keys("x")
    _, *rows = exported(browser, "deals_needing_attention", tmp_path)
    assert [row[0] for row in rows] == ["'\rx", "'\tx"]


def test_a_chart_exports_its_data(
    browser: Browser, demo: Warehouse, tmp_path: Path, page_of: Page, reading: Reading
) -> None:
    browser.open(page_of(demo))
    _, *rows = exported(browser, "created_and_closed", tmp_path)
    _, results = reading(demo.url)
    assert rows == [
        [month.isoformat(), *map(str, counts)]  # type: ignore[attr-defined]
        for month, *counts in results["created_and_closed"].rows
    ]


def test_a_search_finds_text_whatever_its_case_and_accents(browser: Browser, deals: Path) -> None:
    browser.open(deals)
    field = browser.one(f"{CARD} .search")
    field.send_keys("celik")
    assert titles(browser) == ['Çelik "A", B']
    assert browser.one(f"{CARD} [role=status]").text == f"1 of {len(TITLES)} rows"
    field.send_keys(Keys.BACKSPACE * 5)
    assert len(titles(browser)) == len(TITLES)


def test_the_address_has_the_order_and_the_search(browser: Browser, deals: Path) -> None:
    browser.open(deals)
    for _ in range(2):
        browser.one(f"{CARD} thead th:nth-child(4) button").send_keys(Keys.ENTER)
    browser.one(f"{CARD} .search").send_keys("x")
    found = titles(browser)
    assert found == ["\tx", "\rx"]
    address = browser.chrome.current_url
    browser.chrome.get("about:blank")
    browser.chrome.get(address)
    WebDriverWait(browser.chrome, 10).until(lambda _: titles(browser) == found)
    head = browser.one(f"{CARD} thead th:nth-child(4)")
    assert head.get_attribute("aria-sort") == "ascending"
    assert browser.one(f"{CARD} .search").get_attribute("value") == "x"


def test_an_address_of_another_page_breaks_nothing(browser: Browser, deals: Path) -> None:
    address = f"{deals.as_uri()}#/nowhere?sort=a.b&sort=&find=.x&of=&deals=x&period=%&owner=%zz"
    browser.open(deals)
    browser.chrome.get("about:blank")
    browser.chrome.get(address)
    WebDriverWait(browser.chrome, 10).until(lambda _: len(titles(browser)) == len(TITLES))
    assert browser.complaints() == []
