"""The deals behind a figure: opened by a click, counted like the figure, linked to Pipedrive."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from page_browser import PHONE, Browser, Page, Reading
from pipeboard_metabase.definitions import DefinitionError, Definitions, load
from pipeboard_metabase.static_dashboard.bundle import Bundle
from pipeboard_metabase.static_dashboard.command import write
from pipeboard_metabase.static_dashboard.page import render_page
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from warehouse_helpers import Warehouse

WON = "[data-card=owner_scorecard] tbody tr:first-child td:nth-child(3) .behind"


def opened(browser: Browser) -> list[str]:
    """Wait for the list; return the titles of its deals."""
    WebDriverWait(browser.chrome, 10).until(lambda _: browser.all("dialog[open]"))
    # The first rows are drawn at once, the others when the list has been shown.
    script = "setTimeout(() => arguments[0]([...document.querySelectorAll('dialog tbody tr')]"
    return list(browser.chrome.execute_async_script(f"{script}.map(r => r.innerText)), 50)"))


def closed(browser: Browser) -> None:
    WebDriverWait(browser.chrome, 10).until(lambda _: not browser.all("dialog"))


def test_a_cell_opens_its_deals_with_their_links(
    browser: Browser, demo: Warehouse, page_of: Page
) -> None:
    browser.open(page_of(demo), at="team")
    cell = browser.one(WON)
    n_won = int(cell.text)
    cell.send_keys(Keys.ENTER)
    assert len(opened(browser)) == n_won
    assert browser.one("dialog h2").text == "Deals: Scorecard"
    assert f"{n_won} deals, value R$" in browser.one("dialog").text
    address = browser.one("dialog tbody a").get_attribute("href")
    assert str(address).startswith("https://acme.pipedrive.com/deal/")
    # The address has the list: it is closed by the back button, and opened by the forward one.
    browser.chrome.back()
    closed(browser)
    browser.chrome.forward()
    assert len(opened(browser)) == n_won
    # Escape closes it, and the reader is back at the figure.
    ActionChains(browser.chrome).send_keys(Keys.ESCAPE).perform()
    closed(browser)
    assert browser.complaints() == []


def test_a_bar_opens_its_deals(browser: Browser, demo: Warehouse, page_of: Page) -> None:
    ((month, n_created),) = demo.rows(
        "select to_char(month, 'FMMonth YYYY'), sum(n_created) from marts.rpt_deals_monthly "
        "where month = (select this_month - interval '1 month' from ops.ops_account) group by month"
    )
    browser.open(page_of(demo))
    chart = "[data-card=created_and_closed] .chart svg"
    blue = browser.run("return getComputedStyle(document.body).getPropertyValue('--open').trim()")
    bars = browser.all(f"{chart} path[fill='{blue}']")
    assert len(bars) == 13
    browser.run("arguments[0].scrollIntoView({ block: 'center' })", bars[-2])
    ActionChains(browser.chrome).move_to_element(bars[-2]).click().perform()
    assert len(opened(browser)) == n_created
    assert month in browser.one("dialog .about").text
    browser.one(".close").click()
    closed(browser)


def test_a_tile_opens_its_deals_as_filtered(
    browser: Browser, demo: Warehouse, page_of: Page
) -> None:
    ((pipeline, count),) = demo.rows(
        "select display_name, sum(open_count) from marts.rpt_pipeline_now "
        "join marts.dim_pipeline using (pipeline_id) group by 1 order by 2 desc limit 1"
    )
    browser.open(page_of(demo))
    browser.run(
        "location.hash = '#/pipeline_now?' + new URLSearchParams({ pipeline: arguments[0] })",
        pipeline,
    )
    button = "[data-dashboard=pipeline_now] [data-card=open_value] .big .behind"
    WebDriverWait(browser.chrome, 10).until(lambda _: browser.all(button))
    browser.one(button).click()
    rows = opened(browser)
    assert len(rows) == count
    assert all(pipeline in row for row in rows)


def test_a_customer_opens_its_deals_and_a_lost_one_its_last(
    browser: Browser, demo: Warehouse, page_of: Page
) -> None:
    browser.open(page_of(demo), at="customers")
    row = browser.all("[data-card=top_customers] tbody tr")[0]
    customer, _, n_won = (cell.text for cell in row.find_elements("css selector", "th, td")[:3])
    row.find_element("css selector", ".behind").click()
    rows = opened(browser)
    assert len(rows) == int(n_won)
    assert all(customer in each for each in rows)
    browser.one(".close").click()
    closed(browser)
    ((n_lost, month),) = demo.rows(
        "select sum(n_lost_customers), month::text from marts.rpt_customers_monthly "
        "where month <= (select this_month from ops.ops_account) group by month "
        "having sum(n_lost_customers) > 0 order by month desc limit 1"
    )
    address = f"#/customers?deals=customers_by_month.n_lost_customers&of=month.{month}"
    browser.run("location.hash = arguments[0]", address)
    assert len(opened(browser)) == n_lost
    assert browser.complaints() == []


def test_without_a_company_domain_no_deal_has_a_link(
    browser: Browser, demo: Warehouse, definitions: Definitions, bundle: Bundle, folder: Path,
    reading: Reading,
) -> None:  # fmt: skip
    account, results = reading(demo.url)
    assert account.database is not None
    tables = json.loads(account.database.file)
    of_account = tables["tables"]["ops_ops_account"]
    of_account["values"][list(of_account["columns"]).index("deal_url_prefix")] = [None]
    database = replace(account.database, file=json.dumps(tables).encode())
    path = folder / "no_domain.html"
    write(path, render_page(definitions, replace(account, database=database), results, bundle))
    browser.open(path, at="team")
    browser.one(WON).click()
    assert opened(browser)
    assert not browser.all("dialog a")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_barrier_in_a_list(
    browser: Browser, demo: Warehouse, page_of: Page, axe: str, dark: bool
) -> None:
    browser.open(page_of(demo), PHONE, dark=dark)
    browser.run(axe)
    browser.run("location.hash = '#/team'")
    browser.one("button[lang=pt]").click()
    browser.one(WON).click()
    assert opened(browser)
    assert browser.violations(dark=dark) == []
    assert browser.run("return document.documentElement.scrollWidth") <= PHONE[0]
    assert browser.one("dialog h2").text.startswith("Negócios: ")
    assert browser.complaints() == []


def test_an_address_of_a_list_that_is_none_opens_none(
    browser: Browser, demo: Warehouse, page_of: Page
) -> None:
    for requested in ("nothing.n_won", "owner_scorecard.owner_name", "owner_scorecard.n_pushes"):
        browser.chrome.get("about:blank")
        browser.chrome.get(f"{page_of(demo).as_uri()}#/team?deals={requested}&of=x.y")
        WebDriverWait(browser.chrome, 10).until(lambda _: browser.all(WON))
        assert not browser.all("dialog")


def test_every_set_of_deals_is_used_and_every_used_one_exists(
    definitions: Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = {name for card in definitions.cards.values() for name in card.deals.values()}
    assert sets == set(definitions.deal_sets)
    monkeypatch.setattr(
        "pipeboard_metabase.definitions._deal_sets",
        lambda _: {k: v for k, v in definitions.deal_sets.items() if k != "won"},
    )
    with pytest.raises(DefinitionError, match="differ: won"):
        load()
