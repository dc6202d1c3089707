"""A browser as a reader uses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait
from warehouse_helpers import ROOT

CACHE = ROOT / ".pipeboard" / "look"
NODE = ROOT / ".pipeboard" / "env" / "look"
DESK, PHONE = (1280, 900), (390, 844)
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


class Browser:
    """A browser as a reader uses it; nothing of the page's own is called."""

    def __init__(self, chrome: webdriver.Chrome) -> None:
        self.chrome = chrome

    def open(self, page: Path, size: tuple[int, int] = DESK, *, dark: bool = False) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.chrome.get("about:blank")
        self.chrome.get_log("browser")
        self.chrome.get_log("performance")
        self.chrome.get(page.as_uri())
        self.drawn()

    def run(self, script: str, *arguments: Any) -> Any:
        return self.chrome.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> Any:
        return self.chrome.find_element(By.CSS_SELECTOR, selector)

    def dashboards(self) -> Iterator[str]:
        """Follow every link of the navigation; give each dashboard's heading."""
        for nr in range(len(self.all("nav a"))):
            link = self.all("nav a")[nr]
            key = link.get_attribute("href").partition("#/")[2]
            self.run("arguments[0].click()", link)
            assert self.one("main section").get_attribute("data-dashboard") == key
            self.drawn()
            yield self.one("h2").text

    def drawn(self) -> None:
        """Wait until also what is out of sight is drawn."""
        WebDriverWait(self.chrome, 10).until(lambda _: not self.all("[data-drawing]"))

    def violations(self, *, dark: bool) -> list[Any]:
        """What axe-core, which must have been run as a script, calls serious or critical.

        Dark pages differ in nothing but their colours.
        """
        return list(
            self.chrome.execute_async_script(
                """
                const [dark, done] = arguments;
                const options = { resultTypes: ["violations"] };
                if (dark) options.runOnly = ["color-contrast"];
                axe.run(document, options).then(({ violations }) =>
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
