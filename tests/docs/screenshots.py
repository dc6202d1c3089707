"""Write the pictures of the dashboards into docs/images: `python tests/docs/screenshots.py`.

The page is build/dashboard/index.html, as `make demo` writes it, or the one given. Chromium and its
driver must be installed (`apt install chromium chromium-driver`). With `--all FOLDER`, every
dashboard in both languages and themes and as on a phone goes into the folder, for a review by eye.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import sys
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
DESK, SMALL_DESK, PHONE = (1320, 1560), (1280, 860), (390, 844)


def main() -> int:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, nargs="?", default=ROOT / "build/dashboard/index.html")
    parser.add_argument("--all", type=Path, help="write all variants into this folder instead")
    given = parser.parse_args()
    chrome = browser()
    try:
        chrome.get(given.page.resolve().as_uri())
        keys = [
            str(link.get_attribute("href")).partition("#/")[2]
            for link in chrome.find_elements(By.CSS_SELECTOR, "nav a")
        ]
        if given.all:
            given.all.mkdir(parents=True, exist_ok=True)
            for key in keys:
                for name, size, language, dark in (
                    ("light-en", (1440, 4000), "en", False),
                    ("dark-pt", (1440, 4000), "pt", True),
                    ("phone-pt", (390, 6000), "pt", False),
                ):
                    picture(
                        chrome, given, key, given.all / f"{key}-{name}.png", size, language, dark
                    )
            return 0
        for key in keys:
            picture(chrome, given, key, IMAGES / "dashboards" / f"{key}.png", DESK, "en")
        first = keys[0]
        picture(chrome, given, first, IMAGES / "static-dashboard.png", SMALL_DESK, "en")
        picture(chrome, given, first, IMAGES / "static-dashboard-dark.png", SMALL_DESK, "pt", True)
        picture(chrome, given, first, IMAGES / "static-dashboard-phone.png", PHONE, "en")
    finally:
        chrome.quit()
    return 0


def browser() -> webdriver.Chrome:
    """Start Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(word)
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


def picture(
    chrome: webdriver.Chrome, given: argparse.Namespace, key: str, file: Path,
    size: tuple[int, int], language: str, dark: bool = False,
) -> None:  # fmt: skip
    """Write one dashboard, at most as tall as the size and no taller than its contents."""
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    width, height = size
    screen = {"width": width, "deviceScaleFactor": 1, "mobile": width < 500}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {**screen, "height": 860})
    chrome.get("about:blank")
    chrome.get(f"{given.page.resolve().as_uri()}#/{key}")
    chrome.find_element(By.CSS_SELECTOR, f"button[lang={language}]").click()
    contents = int(chrome.execute_script("return document.documentElement.scrollHeight"))
    chrome.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {**screen, "height": min(height, contents)}
    )
    shot = chrome.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    file.write_bytes(base64.b64decode(shot["data"]))


if __name__ == "__main__":
    sys.exit(main())
