"""The page of a warehouse, and a browser to read it with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from page_browser import CACHE, DESK, NODE, Browser, Page, Reading, Tour, Tours, View
from pipeboard_metabase.definitions import Definitions
from pipeboard_metabase.static_dashboard.bundle import Bundle, make_bundle, node_in, packages
from pipeboard_metabase.static_dashboard.command import write
from pipeboard_metabase.static_dashboard.page import render_page
from pipeboard_metabase.static_dashboard.queries import read
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from warehouse_helpers import Warehouse

#: Of the tests in a browser, those that run with each change: that all is drawn, and a filter.
EACH_CHANGE = (
    "test_every_chart_is_drawn_and_nothing_is_requested_of_any_server",
    "test_the_bar_filters_the_cards_and_says_which_do_not_obey",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark the other tests in a browser as long: it takes more of the processor than all else."""
    for item in items:
        if "chromium" in item.fixturenames and item.originalname not in EACH_CHANGE:
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return make_bundle(CACHE, NODE)


@pytest.fixture(scope="session")
def axe() -> str:
    found = packages(CACHE, node_in(NODE), development=True) / "axe-core" / "axe.min.js"
    return found.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("static dashboard")


@pytest.fixture(scope="session")
def reading(definitions: Definitions) -> Reading:
    return cache(lambda url: read(url, definitions))


@pytest.fixture(scope="session")
def page_of(definitions: Definitions, bundle: Bundle, folder: Path, reading: Reading) -> Page:
    def page(warehouse: Warehouse) -> Path:
        path = folder / f"{warehouse.folder.name}.html"
        if not path.exists():
            account, results = reading(warehouse.url)
            write(path, render_page(definitions, account, results, bundle, demo=True))
        return path

    return page


@pytest.fixture(scope="session")
def chromium() -> Iterator[webdriver.Chrome]:
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("NOT TESTED: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.add_experimental_option("prefs", {"intl.accept_languages": "en-US"})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    yield chrome
    chrome.quit()


@pytest.fixture(scope="session")
def tours(chromium: webdriver.Chrome, axe: str) -> Tours:
    found: dict[tuple[Path, View], Tour] = {}

    def tour(page: Path, view: View) -> Tour:
        if (page, view) not in found:
            browser = Browser(chromium)
            size, dark, language = view
            browser.open(page, size, dark=dark)
            browser.one(f"button[lang={language}]").click()
            found[page, view] = browser.tour(axe if size == DESK else "", dark=dark)
            browser.run("localStorage.clear()")
        return found[page, view]

    return tour


@pytest.fixture
def browser(chromium: webdriver.Chrome) -> Iterator[Browser]:
    browser = Browser(chromium)
    yield browser
    # The next reader is another one.
    browser.run("localStorage.clear()")
