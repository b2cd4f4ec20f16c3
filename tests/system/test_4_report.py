"""Reports in a real browser: figures drawn, nothing asked of a network, on a phone and on paper.

The runs are written by the project's own writer; no bed is needed.
"""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait
from tests.runs import COMPRESSION, STUDY_A, file, make
from tests.system.tools import streambed

PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
DESK = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
DRAW_TIMEOUT_S = 60
LEGIBLE = 0.8
"""Text in figures is 11 px and more: this part of it can be read."""

DRAWN = """
return [...document.querySelectorAll(".chart")].map(chart => ({
    name: chart.id,
    live: chart.querySelectorAll(".live svg").length,
    pictures: chart.querySelectorAll(":scope > svg").length,
    marks: chart.querySelectorAll(".live .mark-symbol path").length,
    scale: chart.querySelector(".live svg")?.getScreenCTM().a ?? 0,
    box: chart.querySelector(".live svg")?.getBoundingClientRect().toJSON() ?? null,
}))
"""
TOO_WIDE = """
return [...document.querySelectorAll("html, body, .wide, .chart, table, svg, dd, p, figcaption")]
    .filter(element => element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0
        || element.getBoundingClientRect().right > window.innerWidth + 1)
    .map(element => `${element.tagName}.${element.className} ${element.scrollWidth}`)
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """Debian's Chromium, headless and without a network."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # which Chromium refuses to run without as root
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service("/usr/bin/chromedriver"))
    driver.execute_cdp_cmd("Network.enable", {})
    nothing = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", nothing)
    yield driver
    driver.quit()


@pytest.fixture(scope="module", params=["small", "study A", "compression"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report as the command line makes it, of an experiment of each kind."""
    folder = tmp_path_factory.mktemp("report")
    texts = {"study A": STUDY_A, "compression": COMPRESSION}
    experiment = file(folder, texts[request.param]) if request.param in texts else request.param
    run = make(folder, experiment, repeats=3, failed=1)
    done = streambed("report", str(run.directory), "--output", str(folder / "out"))
    return Path(done.stdout.strip())


def _open(browser: webdriver.Chrome, page: Path, screen: dict[str, Any]) -> list[dict[str, Any]]:
    """Show the page on a screen; every figure when it is drawn."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    for kind in ("browser", "performance"):
        _log(browser, kind)  # of the page before
    browser.get(page.as_uri())

    def drawn(driver: webdriver.Chrome) -> list[dict[str, Any]] | None:
        figures: list[dict[str, Any]] = driver.execute_script(DRAWN)
        return figures if all(figure["pictures"] == 0 for figure in figures) else None

    return WebDriverWait(browser, DRAW_TIMEOUT_S).until(drawn) or []


def _log(browser: Any, kind: str) -> list[dict[str, Any]]:
    """What was logged since it was last asked for."""
    entries: list[dict[str, Any]] = browser.get_log(kind)  # has no types
    return entries


def _console(browser: webdriver.Chrome) -> list[str]:
    return [entry["message"] for entry in _log(browser, "browser") if entry["level"] != "INFO"]


def _requests(browser: webdriver.Chrome) -> set[str]:
    events = [json.loads(e["message"])["message"] for e in _log(browser, "performance")]
    return {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }


def test_every_figure_is_drawn_with_a_silent_console(browser: webdriver.Chrome, page: Path) -> None:
    figures = _open(browser, page, DESK)
    assert len(figures) == len(list(page.parent.glob("*.svg")))
    for figure in figures:
        assert figure["live"] == 1, figure
        assert figure["marks"] >= 4, figure
        assert figure["box"]["width"] > 300, figure
        assert figure["box"]["height"] > 150, figure
    assert _console(browser) == []
    browser.execute_script("console.error('this is heard')")
    assert len(_console(browser)) == 1


def test_nothing_is_asked_of_a_network(browser: webdriver.Chrome, page: Path) -> None:
    _open(browser, page, DESK)
    assert {url for url in _requests(browser) if not url.startswith("data:")} == {page.as_uri()}
    browser.execute_script("fetch('http://203.0.113.1/').catch(() => {})")
    asked = WebDriverWait(browser, DRAW_TIMEOUT_S).until(_requests)
    assert asked == {"http://203.0.113.1/"}


def test_a_phone_shows_it_without_scrolling_sideways(browser: webdriver.Chrome, page: Path) -> None:
    figures = _open(browser, page, PHONE)
    assert browser.execute_script("return window.innerWidth") == PHONE["width"]
    assert browser.execute_script(TOO_WIDE) == []
    for figure in figures:
        assert figure["scale"] >= LEGIBLE, figure


def test_it_can_be_printed(browser: webdriver.Chrome, page: Path) -> None:
    _open(browser, page, DESK)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    pdf = base64.b64decode(browser.print_page())
    assert pdf.startswith(b"%PDF-")
    assert len(pdf) > 30_000
    a4 = DESK | {"width": 718}  # 190 mm, between the margins
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        _open(browser, page, a4)
        assert browser.execute_script(TOO_WIDE) == []
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
