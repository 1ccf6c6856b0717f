"""The explorer in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from metamodel.analysis.loops import find_loop
from metamodel.labels import Binary, Count
from metamodel.report.elements import Section, Widget, write_page
from metamodel.report.explorer.element import ExplorerLimits, explorer_widget
from metamodel.report.explorer.highlights import copied_spans
from metamodel.report.explorer.names import ExplorerNames
from metamodel.report.explorer.occlusion import WordEffect
from metamodel.report.explorer.rows import ShownOutput, ShownPrompt

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE_MS = 120_000
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
N_ROWS = 130
LOST = "dragons"
OPTIONS = ".explorer-list [role=option]"
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">" + chr(0x202E)


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


def shown(row: int, prompt: str, output: str, words: tuple[WordEffect, ...] = ()) -> ShownPrompt:
    """Return a prompt whose label is yes for every third row; the metamodel `bag` says yes for every second."""
    yes = 0.9 if row % 2 else 0.1 + row / 10_000
    code = int(row % 3 == 0)
    lost = [0.15, 3.32 - row / 1000] if (yes > 0.5) == bool(code) else [3.32 - row / 1000, 0.15]
    made = ShownOutput(
        text=output, finish_reason="stop", copied=copied_spans([output], [prompt])[0], loop=find_loop(output),
        codes=[code, 3],
    )  # fmt: skip
    return ShownPrompt(
        prompt_id=f"id{row}", primary=0, domain=row % 2, split=0, surprised_by=0 if row % 2 else None, text=prompt,
        outputs=[made], n_outputs=1, predictions=[[1 - yes, yes], [0.5, 0.5], [0.1, 0.1, 0.8]],
        bits=[lost[0], 1.0, 0.3], counts=[[1 - code, code], [0, 0, 1]], words={0: words},
    )  # fmt: skip


@pytest.fixture(scope="module")
def widget() -> Widget:
    """130 prompts: the first with emoji and marks of every kind, the second hostile, the last about dragons."""
    prompt = "😀😀 copy the black cat now\u200b please"
    place = prompt.index("black")
    words = (WordEffect(place, place + 5, 0.31), WordEffect(place + 10, place + 13, -0.02))
    rows = [
        shown(0, prompt, "🙈 I saw copy the black cat run so sad, so sad, so sad, so sad, so sad,", words),
        shown(1, HOSTILE, HOSTILE),
        *(shown(row, f"prompt number {row}", f"output {row} " + "long " * 400) for row in range(2, N_ROWS - 1)),
        shown(N_ROWS - 1, "a prompt", f"an output of {LOST}"),
    ]
    names = ExplorerNames(
        primaries=["m"], domains=["a", "<i>b"], spaces={"loop": Binary(), "n_tokens": Count(edges=(1, 2))},
        columns=[("loop", "bag"), ("loop", "base_rate"), ("n_tokens", "bag")],
        best={("m", "loop"): "bag", ("m", "n_tokens"): "bag"}, n_left_out=0,
    )  # fmt: skip
    return explorer_widget(names, rows, None, ExplorerLimits(), total=500, baselines=["base_rate"])


@pytest.fixture(scope="module")
def page_file(widget: Widget, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with the explorer alone, on disk."""
    path = tmp_path_factory.mktemp("explorer") / "page.html"
    write_page(path, "Explorer", [Section(id="prompts", title="Prompts", elements=[widget])])
    return path


@contextmanager
def opened(browser: Browser, path: Path) -> Iterator[tuple[Page, Log]]:
    """Open a file in a fresh profile and keep what the browser says and fetches."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    log = Log()
    page.on("console", lambda message: log.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: log.complaints.append(str(error)))
    page.on("request", lambda request: log.requests.append(request.url))
    try:
        page.goto(path.as_uri())
        page.wait_for_selector(OPTIONS)
        yield page, log
    finally:
        context.close()


def choose(page: Page, key: str, label: str) -> None:
    """Choose an option of a filter by what it says."""
    page.locator(f"[data-key={key}]").select_option(label=label)


def find(page: Page, text: str) -> None:
    """Type into the text filter."""
    page.locator("[data-key=search]").fill(text)


def n_shown(page: Page) -> int:
    """Return the count that a screen reader hears."""
    return int(page.locator(".explorer-count").inner_text().split(" of ")[0])


def test_it_opens_without_a_complaint_and_stays_within_the_page(browser: Browser, page_file: Path) -> None:
    """No refused style or script, no request, and not all options drawn before anyone scrolls."""
    with opened(browser, page_file) as (page, log):
        assert log == Log(requests=[page_file.as_uri()])
        assert n_shown(page) == N_ROWS
        assert "a sample of 500" in page.locator(".explorer-count").inner_text()
        assert page.locator(OPTIONS).count() < N_ROWS
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_filters_leave_what_they_say(browser: Browser, page_file: Path) -> None:
    """Domain, outcome, right and wrong, and text narrow the list, and the count is told to screen readers."""
    with opened(browser, page_file) as (page, log):
        choose(page, "domain", "a")
        assert n_shown(page) == 65
        choose(page, "outcome", "yes")
        assert n_shown(page) == len(range(0, N_ROWS, 6))
        choose(page, "right", "right")
        assert n_shown(page) == 0
        assert page.locator(".explorer-title").inner_text() == "No prompt fits"
        choose(page, "right", "wrong")
        assert n_shown(page) == len(range(0, N_ROWS, 6))
        for key, label in (("domain", "all"), ("outcome", "anything"), ("right", "right or wrong")):
            choose(page, key, label)
        find(page, LOST.upper())
        assert n_shown(page) == 1
        assert LOST in page.locator(".explorer-output .explorer-text").inner_text()
        find(page, "")
        choose(page, "metamodel", "base_rate")
        assert "predicted yes 0.50" in page.locator(OPTIONS).first.inner_text()
        choose(page, "behavior", "n_tokens")
        assert "not predicted" in page.locator(OPTIONS).first.inner_text()
        assert page.locator(".explorer-count").get_attribute("aria-live") == "polite"
        assert log.complaints == []


def test_the_greatest_loss_comes_first(browser: Browser, page_file: Path) -> None:
    """Sorted by bits lost, the list falls."""
    with opened(browser, page_file) as (page, _):
        texts = page.locator(f"{OPTIONS} .explorer-verdict").all_inner_texts()
        bits = [float(text.split(", ")[-1].split()[0]) for text in texts]
        assert len(bits) > 20
        assert bits == sorted(bits, reverse=True)


def test_the_list_is_walked_by_keyboard(browser: Browser, page_file: Path) -> None:
    """Arrows, Home and End move the active option that is announced; Enter goes to the prompt, Escape comes back."""
    with opened(browser, page_file) as (page, log):
        box = page.locator(".explorer-list")
        box.focus()

        def active() -> str:
            selected = page.locator(f"{OPTIONS}[aria-selected=true]")
            assert selected.count() == 1
            assert selected.get_attribute("id") == box.get_attribute("aria-activedescendant")
            return page.locator(".explorer-title").inner_text()

        for key, expected in (
            ("ArrowDown", 2),
            ("ArrowDown", 3),
            ("ArrowUp", 2),
            ("End", N_ROWS),
            ("PageUp", N_ROWS - 10),
            ("Home", 1),
            ("ArrowUp", 1),
        ):
            page.keyboard.press(key)
            assert active() == f"loop: prompt {expected} of {N_ROWS}"
        page.keyboard.press("End")
        seen = page.locator(f"{OPTIONS}[aria-selected=true]").bounding_box()
        frame = box.bounding_box()
        assert seen is not None
        assert frame is not None
        assert frame["y"] - 1 <= seen["y"] <= frame["y"] + frame["height"] - seen["height"] + 1
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.className") == "explorer-detail"
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.getAttribute('role')") == "listbox"
        assert log.complaints == []


def test_marks_stand_at_their_characters(browser: Browser, page_file: Path) -> None:
    """Behind emoji, which a browser counts twice, copies, cycles and words still begin and end where they should."""
    with opened(browser, page_file) as (page, _):
        find(page, "copy the black cat")
        assert page.locator(".explorer-body mark.explorer-raises").all_inner_texts() == ["black"]
        assert page.locator(".explorer-body mark.explorer-lowers").all_inner_texts() == ["now"]
        assert page.locator(".explorer-output mark.explorer-copied").all_inner_texts() == ["copy the black cat"]
        cycles = page.locator(".explorer-output mark.explorer-loop").all_text_contents()
        assert len(cycles) >= 4
        assert len(set(cycles[:-1])) == 1
        assert "".join(cycles) == " so sad, so sad, so sad, so sad, so sad,"
        assert page.locator(".explorer-body span.explorer-control").first.inner_text() == "U+200B"
        styles = "all => all.map(m => getComputedStyle(m).textDecorationStyle)"
        kinds = page.eval_on_selector_all(
            ".explorer-body mark:is(.explorer-raises, .explorer-lowers, .explorer-copied)", styles
        )
        assert set(kinds) == {"solid", "wavy", "dotted"}
        assert page.locator(".explorer-legend li").count() == 5


def test_hostile_texts_stay_text(browser: Browser, page_file: Path) -> None:
    """Script in prompts, outputs and names neither runs nor becomes an element; what reorders text is named."""
    with opened(browser, page_file) as (page, log):
        find(page, "onerror")
        assert n_shown(page) == 1
        expected = HOSTILE[:-1] + "U+202E"
        assert [text.strip() for text in page.locator(".explorer-body .explorer-text").all_inner_texts()] == [
            expected
        ] * 2
        assert page.locator("img, .explorer i").count() == 0
        assert page.title() == "Explorer"
        assert log == Log(requests=[page_file.as_uri()])


def test_long_outputs_are_folded_and_open(browser: Browser, page_file: Path) -> None:
    """An output of thousands of characters takes a little room until somebody asks for it, and says what is cut."""
    with opened(browser, page_file) as (page, _):
        find(page, "output 7 ")
        text = page.locator(".explorer-output .explorer-text")
        button = page.locator(".explorer-output .explorer-unfold")
        assert "more characters not shown" in text.inner_text()
        before = text.bounding_box()
        assert button.get_attribute("aria-expanded") == "false"
        button.click()
        after = text.bounding_box()
        assert button.get_attribute("aria-expanded") == "true"
        assert before is not None
        assert after is not None
        assert after["height"] > before["height"]


def test_paper_gets_the_first_prompts_open(browser: Browser, page_file: Path) -> None:
    """On paper there is no list to walk: ten prompts stand below one another, unfolded, and are gone afterwards."""
    with opened(browser, page_file) as (page, log):
        page.emulate_media(media="print")
        page.wait_for_selector(".explorer-printed .explorer-detail")
        assert page.locator(".explorer-printed .explorer-detail").count() == 10
        assert not page.locator(".explorer-list").is_visible()
        assert page.locator(".explorer-printed .explorer-folded").count() == 0
        page.emulate_media(media="screen")
        page.wait_for_selector(".explorer-printed .explorer-detail", state="detached")
        assert log.complaints == []


def test_the_pages_filters_narrow_it(browser: Browser, page_file: Path) -> None:
    """What the page's own filters want is wanted here too."""
    with opened(browser, page_file) as (page, _):
        page.evaluate(
            "document.querySelector('.explorer').parentElement.dispatchEvent("
            "new CustomEvent('facets', {detail: {domain: 'a', behavior: 'n_tokens'}}))"
        )
        assert n_shown(page) == 65
        assert page.locator(".explorer-title").inner_text().startswith("n_tokens")
