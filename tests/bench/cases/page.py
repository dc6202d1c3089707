"""The static page of at most 100,000 deals: how heavy is it, and how fast does it open and filter?

The warehouse is the one of the case `cards`. Without Chromium and its driver there is nothing.
"""

from __future__ import annotations

import shutil
import time
from statistics import median
from typing import Any
from urllib.parse import urlencode

from pipeboard_metabase.definitions import load
from pipeboard_metabase.static_dashboard.bundle import make_bundle
from pipeboard_metabase.static_dashboard.command import write
from pipeboard_metabase.static_dashboard.page import render_page
from pipeboard_metabase.static_dashboard.queries import read
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from bench.bench_env import ROOT, BenchEnv
from bench.cases import cards, dbt
from bench.measuring import step

TITLE = "page"
REPEAT = 5
#: Limits: bytes of the file, milliseconds until it is drawn, and for a filter.
LIMIT_BYTES = 5_000_000
LIMIT_OPEN_MS = 1_000
LIMIT_FILTER_MS = 200
#: Asked until it is known: the driver returns before the browser has noted it down.
OPEN = """
    const [done] = arguments;
    const ask = () => {
        const [navigation] = performance.getEntriesByType("navigation");
        if (navigation.domContentLoadedEventEnd) done(navigation.domContentLoadedEventEnd);
        else setTimeout(ask, 20);
    };
    ask();
"""
#: From the choice to the picture: the page draws when it hears of its new address.
FILTER = """
    const [address, done] = arguments;
    const began = performance.now();
    addEventListener("hashchange", () => requestAnimationFrame(() => setTimeout(() =>
        done(performance.now() - began))), { once: true });
    location.hash = address;
"""
#: Periods and their lengths are options, names are checkboxes.
LAST_CHOICE = """
    const [key] = arguments;
    const choices = `[data-filter=${key}] option, #choices-${key} input[type=checkbox]`;
    return [...document.querySelectorAll(choices)].at(-1)?.value;
"""


def measure(env: BenchEnv) -> list[dict[str, Any]]:
    """Write the page, open it several times, and set each filter on every dashboard."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        return []
    deals = max(min(env.scale, cards.DEALS), dbt.SEEDS)
    if not cards.has_marts(env, deals):
        with env.another_account(min(deals, dbt.SEEDS)) as account:
            cards.build(env, account, deals)
    definitions = load()
    state = ROOT / ".pipeboard"
    with step(f"page of {deals:,} deals"):
        began = time.perf_counter()
        account_, results = read(env.server.url, definitions)
        bundle = make_bundle(state / "look", state / "env" / "look")
        path = env.file("page.html")
        write(path, render_page(definitions, account_, results, bundle))
        written = time.perf_counter() - began
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    chrome.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    try:
        with step("opening and filtering"):
            opened = []
            for _ in range(REPEAT):
                chrome.get("about:blank")
                chrome.get(path.as_uri())
                opened.append(float(chrome.execute_async_script(OPEN)))
            size = {"deals": deals, "bytes": path.stat().st_size, "written_seconds": written}
            samples = [
                {**size, "phase": "open", "ms": median(opened), "most_ms": max(opened),
                 "cpu_ms": busy_ms(chrome)}
            ]  # fmt: skip
            samples += [
                {**size, "phase": "filter", "dashboard": key, **filtered(chrome, key)}
                for key in definitions.dashboards
            ]
    finally:
        chrome.quit()
    return samples


def filtered(chrome: webdriver.Chrome, dashboard: str) -> dict[str, float]:
    """Set each filter of a dashboard and take it back; return median and longest time."""
    # The first filter waits for the database.
    chrome.execute_async_script(FILTER, f"#/{dashboard}?period=all")
    times = []
    before = busy_ms(chrome)
    for key in ("period", "grain", "pipeline", "owner", "team"):
        value = chrome.execute_script(LAST_CHOICE, key)
        if value:
            for address in (f"#/{dashboard}?{urlencode({key: value})}", f"#/{dashboard}"):
                times.append(float(chrome.execute_async_script(FILTER, address)))
    if not times:
        return {"ms": 0, "most_ms": 0, "cpu_ms": 0}
    cpu = (busy_ms(chrome) - before) / len(times)
    return {"ms": median(times), "most_ms": max(times), "cpu_ms": cpu}


def busy_ms(chrome: webdriver.Chrome) -> float:
    """Return the processor time of the page's thread since it was opened, which no load changes.

    It includes what the page draws out of sight, after the picture.
    """
    found = chrome.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return float(next(m["value"] for m in found if m["name"] == "TaskDuration") * 1_000)
