"""The page in a real browser, opened from disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from metamodel.report.inputs import ReportInputs
from metamodel.report.page import render_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# A machine that trains models beside the tests may take its time.
PATIENCE_MS = 120_000
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass
class Log:
    """What a browser complained of and asked for."""

    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium from the system's packages."""
    if CHROMIUM is None:
        pytest.skip("no chromium or google-chrome on the PATH: install the system's chromium package to run this")
    sync_api = pytest.importorskip("playwright.sync_api", reason="the test extra is not installed")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def page_file(realistic_page: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a whole run, on disk."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(realistic_page, encoding="utf-8")
    return path


@contextmanager
def opened(browser: Browser, path: Path, scheme: str = "light") -> Iterator[tuple[Page, Log]]:
    """Open a file in a fresh profile and keep what the browser says and fetches."""
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]  # "light" or "dark"
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    log = Log()
    page.on("console", lambda message: log.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: log.complaints.append(str(error)))
    page.on("request", lambda request: log.requests.append(request.url))
    try:
        page.goto(path.as_uri())
        page.wait_for_load_state("networkidle")
        yield page, log
    finally:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_from_disk_without_a_complaint(browser: Browser, page_file: Path, scheme: str) -> None:
    """No error, no refused style or script, no request but the page, and all tables and charts are there."""
    with opened(browser, page_file, scheme) as (page, log):
        assert log == Log(requests=[page_file.as_uri()])
        assert all(
            count > 0 for count in page.eval_on_selector_all("table", "all => all.map(t => t.tBodies[0].rows.length)")
        )
        boxes = page.eval_on_selector_all(
            "figure",
            "all => all.map(f => f.querySelector('svg').getBoundingClientRect()).map(box => box.width * box.height)",
        )
        assert len(boxes) == 18
        assert min(boxes) > 10_000
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_prompts_table_filters_and_sorts_by_keyboard(browser: Browser, page_file: Path) -> None:
    """Whoever has no mouse can narrow the table and bring the greatest surprise to the top."""
    with opened(browser, page_file) as (page, log):
        shown = "#primary-1-prompts tbody tr:not([hidden])"
        assert page.locator(shown).count() == 48
        page.locator("[data-filters=primary-1-prompts] select").first.select_option("n_tokens")
        assert page.locator(shown).count() == 8
        head = page.locator("#primary-1-prompts th", has_text="Surprise")
        head.locator("button").focus()
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == "descending"
        values = [float(text) for text in page.locator(f"{shown} td:nth-child(6)").all_inner_texts()]
        assert values == sorted(values, reverse=True)
        assert log.complaints == []


def test_hostile_output_does_not_run(browser: Browser, small_inputs: ReportInputs, tmp_path: Path) -> None:
    """Script in an output neither runs nor becomes an element in a browser's own parser."""
    text = "</bdi></td><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    example = small_inputs.examples[0]
    inputs = ReportInputs(
        title="hostile", facts={text: text}, rows=small_inputs.rows, notes=[text],
        examples=[type(example)(**{**vars(example), "output": text, "prompt": text, "domain": text})],
    )  # fmt: skip
    path = tmp_path / "hostile.html"
    path.write_text(render_report(inputs), encoding="utf-8")
    with opened(browser, path) as (page, log):
        assert page.title() == "hostile"
        assert page.locator("img").count() == 0
        assert page.locator("script").count() == 1
        assert page.locator("td.text").last.inner_text() == text
        assert log == Log(requests=[path.as_uri()])
