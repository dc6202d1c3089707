"""A browser as a reader uses it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeboard_metabase.static_dashboard.queries import Account, CardResult
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait
from warehouse_helpers import ROOT, Warehouse

CACHE = ROOT / ".pipeboard" / "look"
NODE = ROOT / ".pipeboard" / "env" / "look"
DESK, PHONE = (1280, 900), (390, 844)
#: What all readers of the demo's page see: at a desk by daylight in English, and so on.
LIGHT, DARK = (DESK, False, "en"), (DESK, True, "pt")
NARROW = {language: (PHONE, False, language) for language in ("en", "pt")}
#: Marks of a chart are what is drawn in none of the colours of text, lines and ground.
MARKS = """
    const style = getComputedStyle(document.documentElement);
    const names = ["text", "muted", "line", "surface", "raised", "on-scale-high"];
    const plain = new Set(names.map((name) => style.getPropertyValue("--" + name).trim()));
    const coloured = (colour) =>
        colour && !["none", "transparent"].includes(colour) && !plain.has(colour);
    return [...document.querySelectorAll(".chart")].map((chart) => [
        chart.closest("article").dataset.card,
        [...chart.querySelectorAll("svg path")].filter((path) =>
            coloured(path.getAttribute("fill")) || coloured(path.getAttribute("stroke"))).length,
    ]);
"""
#: Texts of a line of a chart, each with the one that it lies over; slanted ones have no line.
OVERLAPPING = """
    return [...document.querySelectorAll(".chart")].flatMap((chart) => {
        const texts = [...chart.querySelectorAll("svg text")]
            .filter((text) => !text.getCTM().b)
            .map((text) => [text.textContent, text.getBoundingClientRect()])
            .sort(([, one], [, other]) => one.left - other.left);
        return texts.flatMap(([name, box], nr) => texts.slice(nr + 1)
            .filter(([, next]) => Math.abs(next.top - box.top) < 3 && next.left < box.right - 1)
            .map(([other]) => [chart.closest("article").dataset.card, name, other]));
    });
"""
#: The values of a `Seen`, but for what is wrong for axe-core.
SEEN = f"""
    const all = (selector) => [...document.querySelectorAll(selector)];
    return {{
        title: all("h2")[0].innerText,
        cards: all("article h3, article h4").map((heading) => heading.innerText),
        text: all("main")[0].innerText,
        failed: all(".failed").map((card) => card.innerText),
        marks: (() => {{ {MARKS} }})(),
        overlapping: (() => {{ {OVERLAPPING} }})(),
        width: document.documentElement.scrollWidth,
        widest_card: Math.max(...all("article").map((card) => card.scrollWidth)),
        cut_off: all(".scroll").filter((box) => box.scrollWidth > box.clientWidth + 1)
            .map((box) => box.closest("article").dataset.card),
        legends: all(".legend").map((legend) => [...legend.querySelectorAll(".dot")]
            .map((dot) => getComputedStyle(dot).backgroundColor.match(/[0-9]+/g).map(Number))),
        background: getComputedStyle(document.body).backgroundColor,
        is_welcome: all(".welcome").length > 0,
    }};
"""


@dataclass(frozen=True)
class Seen:
    """One dashboard: its texts, colours and widths in pixels."""

    title: str
    #: The headings of its cards.
    cards: list[str]
    text: str
    failed: list[str]
    #: Pairs of a card and how many marks its chart has.
    marks: list[tuple[str, int]]
    overlapping: list[list[str]]
    width: int
    widest_card: int
    #: Cards with a table that is wider than its box.
    cut_off: list[str]
    #: The colours of each legend: red, green, blue.
    legends: list[list[list[int]]]
    background: str
    #: Whether it says what to do first.
    is_welcome: bool
    violations: list[Any]


@dataclass(frozen=True)
class Tour:
    """Every dashboard of a page, what the browser complained of, and the addresses it asked for."""

    dashboards: list[Seen]
    complaints: list[str]
    requested: list[str]


#: Returns the page of a warehouse.
Page = Callable[[Warehouse], Path]
#: Returns what `read` answers on a database, which the tests do not change; it reads it once.
Reading = Callable[[str], tuple[Account, Mapping[str, CardResult]]]
#: Opens a page with a width, dark or not, in a language, and goes to every dashboard; once.
View = tuple[tuple[int, int], bool, str]
Tours = Callable[[Path, View], Tour]


class Browser:
    """A browser as a reader uses it; nothing of the page's own is called."""

    def __init__(self, chrome: webdriver.Chrome) -> None:
        self.chrome = chrome

    def open(
        self, page: Path, size: tuple[int, int] = DESK, *, dark: bool = False, at: str = ""
    ) -> None:
        """Open a page, at the address behind its `#/`."""
        self.set_scheme(dark=dark)
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.chrome.get("about:blank")
        self.chrome.get_log("browser")
        self.chrome.get_log("performance")
        self.chrome.get(f"{page.as_uri()}#/{at}" if at else page.as_uri())
        self.drawn()

    def set_scheme(self, *, dark: bool) -> None:
        """Change the system's colours, also those of an open page."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        # An open page draws itself anew in its next frame: a click before that may hit what goes.
        self.chrome.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        )

    def run(self, script: str, *arguments: Any) -> Any:
        return self.chrome.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> Any:
        return self.chrome.find_element(By.CSS_SELECTOR, selector)

    def tour(self, axe: str, *, dark: bool) -> Tour:
        """Follow every link of the navigation; without axe-core's script nothing violates it."""
        if axe:
            self.run(axe)
        dashboards = []
        for nr in range(len(self.all("nav a"))):
            link = self.all("nav a")[nr]
            key = link.get_attribute("href").partition("#/")[2]
            self.run("arguments[0].click()", link)
            assert self.one("main section").get_attribute("data-dashboard") == key
            self.drawn()
            seen = self.run(SEEN)
            # One chart as the table behind it.
            self.run("document.querySelector('.toggle')?.click()")
            violations = self.violations(dark=dark) if axe else []
            dashboards.append(Seen(**seen, violations=violations))
        return Tour(dashboards, self.complaints(), self.requested())

    def drawn(self) -> None:
        """Wait until also what is out of sight is drawn."""
        WebDriverWait(self.chrome, 10).until(lambda _: not self.all("[data-drawing]"))

    def violations(self, *, dark: bool) -> list[Any]:
        """What axe-core, which must have been run as a script, calls serious or critical.

        Dark pages differ in nothing but their colours; rows of a table that differ in nothing but
        their texts are one.
        """
        return list(
            self.chrome.execute_async_script(
                """
                const [dark, done] = arguments;
                const options = { resultTypes: ["violations"], selectors: false, preload: false };
                if (dark) options.runOnly = ["color-contrast"];
                const known = new Set();
                const exclude = [...document.querySelectorAll("tbody tr")].filter((row) => {
                    const markup = row.outerHTML.replace(/>[^<]+/g, ">")
                        .replace(/ (href|title|aria-label|data-[a-z-]+)="[^"]*"/g, "");
                    return known.has(markup) || !known.add(markup);
                });
                axe.run({ include: document, exclude }, options).then(({ violations }) =>
                    done(violations
                        .filter(({ impact }) => ["serious", "critical"].includes(impact))
                        .map(({ id, nodes }) => [id, nodes.slice(0, 3).map((node) => node.html)])));
                """,
                dark,
            )
        )

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.chrome.get_log("browser")]

    def requested(self) -> list[str]:
        """The addresses asked for since the page was opened, but for the page itself."""
        events = [json.loads(e["message"])["message"] for e in self.chrome.get_log("performance")]
        urls = [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith(("file://", "data:"))]
