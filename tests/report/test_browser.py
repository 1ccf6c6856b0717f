"""The page in a real browser, opened from disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from metamodel.report.elements import (
    Bars,
    BarSeries,
    Column,
    DataTable,
    Element,
    Excerpt,
    Group,
    Heatmap,
    Lines,
    LineSeries,
    Merge,
    Panels,
    Points,
    PointSeries,
    Section,
    Tree,
)
from metamodel.report.html_page import render_page
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
def page_file(realistic_inputs: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a whole run, on disk, without the drawings that a browser with scripts never shows."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_report(realistic_inputs, charts=[]), encoding="utf-8")
    return path


@contextmanager
def opened(browser: Browser, path: Path, scheme: str = "light", *, scripts: bool = True) -> Iterator[tuple[Page, Log]]:
    """Open a file in a fresh profile and keep what the browser says and fetches."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
    )  # type: ignore[arg-type]  # "light" or "dark"
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    log = Log()
    page.on("console", lambda message: log.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: log.complaints.append(str(error)))
    page.on("request", lambda request: log.requests.append(request.url))
    try:
        page.goto(path.as_uri())
        if scripts:
            page.wait_for_selector("html[data-drawn=all]")
        yield page, log
    finally:
        context.close()


HOSTILE = "</script></bdi><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u202e"
SHOWN = HOSTILE.replace("\u202e", "<U+202E>")


def every_kind(name: str) -> list[Element]:
    """Return one element a kind, all its names beginning with `name`."""
    words = {"title": f"{name} chart", "summary": f"{name} words"}
    names = [f"{name} {index}" for index in range(9)]
    line = {"xs": [1, 10, 100], "lows": [0.1, 0.2, 0.3], "highs": [0.5, 0.6, 0.9]}
    bars = Bars(
        **words,
        unit="bits",
        categories=["all domains", *names[:3]],
        category_facet="domain",
        limits=(-0.5, 1),
        references=[BarSeries(name="ceiling", values=[0.9] * 4, lows=[0.8] * 4, highs=[1.0] * 4)],
        series=[
            BarSeries(
                name=names[0],
                values=[0.5, None, -0.2, -3.0],
                lows=[0.4, None, -0.3, -4.0],
                highs=[0.6, None, -0.1, -2.0],
                ns=[9, 9, 9, 9],
                facets={"metamodel": names[0]},
            ),
            BarSeries(name=names[1], values=[0.1, 0.2, 0.3, 0.1], facets={"metamodel": names[1]}),
            BarSeries(name="prior", values=[0.0] * 4, is_baseline=True, facets={"metamodel": "prior"}),
        ],
    )
    lines = Lines(
        **words,
        x_label=name,
        y_label="y",
        is_log_x=True,
        x_marks={name: 10.0},
        y_marks={name: 0.5},
        series=[LineSeries(name=names[0], ys=[0.2, 0.4, 0.7], **line), LineSeries(name=names[1], xs=[1, 9], ys=[1, 0])],
        facets={"behavior": names[5]},
    )
    points = Points(
        **words,
        x_label=name,
        y_label="y",
        has_diagonal=True,
        facets={"behavior": names[6]},
        series=[
            PointSeries(
                name=names[0], xs=[0.1, 0.5], ys=[0.3, 0.2], labels=names[:2], lows=[0.2, 0.1], highs=[0.4, 0.3]
            )
        ],
    )
    heat = Heatmap(
        **words,
        unit="bits",
        row_names=names[:2],
        column_names=names[:3],
        values=[[0.1, None, -0.4], [1, 0.2, 0.3]],
        is_diverging=True,
        texts=[[name] * 3] * 2,
    )
    tree = Tree(
        **words,
        unit="distance",
        names=names[:3],
        merges=[Merge(left=0, right=2, height=0.2, support=0.9), Merge(left=3, right=1, height=0.7)],
    )
    table = DataTable(
        title=f"{name} table",
        columns=[Column(name=name), Column(name="kind"), Column(name="bits", kind="bits"), Column(name="text")],
        rows=[
            [one, f"{name} {place % 2}", [2.0, None, 10.0, -1.0][place % 4], Excerpt(text=name, mark_from=1)]
            for place, one in enumerate(names)
        ],
    )
    return [Panels(title=name, summary=name, charts=[bars, lines]), points, heat, tree, table]  # fmt: skip


@pytest.fixture(scope="module")
def every_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every kind of element, on disk."""
    path = tmp_path_factory.mktemp("every") / "page.html"
    section = Section(id="one", title="One", elements=[Group(title="part", elements=every_kind("some"))])
    path.write_text(render_page("every kind", [section]), encoding="utf-8")
    return path


def marks_of(page: Page) -> list[int]:
    """Return how many shapes each visible chart has drawn."""
    counts: list[int] = page.eval_on_selector_all(
        ".panel:not([hidden]) .chart",
        "all => all.map(one => one.querySelectorAll('svg path, svg circle, svg text').length)",
    )
    return counts


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_opens_from_disk_without_a_complaint(browser: Browser, page_file: Path, scheme: str) -> None:
    """No error, no refused style or script, no request but the page; every chart has marks, every table rows."""
    with opened(browser, page_file, scheme) as (page, log):
        assert log == Log(requests=[page_file.as_uri()])
        rows = page.eval_on_selector_all("table.data", "all => all.map(t => t.tBodies[0].rows.length)")
        assert min(rows) > 0
        # A panel a behavior, two a behavior and split for domains, and two kinds of curves: of two primary models.
        assert len(marks_of(page)) == 2 * (6 + 6 * 2 + 2 * 5 * 2)
        assert min(marks_of(page)) > 12
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_filters_narrow_the_whole_page(browser: Browser, page_file: Path) -> None:
    """One choice hides other models' sections, other behaviors' charts and other rows; one button brings all back."""
    with opened(browser, page_file) as (page, log):
        page.locator(".bar select[data-facet=primary]").select_option("mamba2")
        assert not page.locator("#primary-1").is_visible()
        page.locator(".bar select[data-facet=behavior]").select_option("empty")
        page.locator(".bar select[data-facet=split]").select_option("in distribution")
        assert len([count for count in marks_of(page) if count]) > 0
        visible = page.eval_on_selector_all(
            "section:has(#primary-2) figure",
            "all => all.map(f => [...f.querySelectorAll('.panel')].filter(p => p.checkVisibility()).length)",
        )
        assert visible == [1, 0, 0, 0, 1, 0, 0, 1, 1]
        verdicts = page.locator("section:has(#primary-2) table.data").first
        assert verdicts.locator("tbody tr:not([hidden])").count() == 1
        page.get_by_role("button", name="Show all").click()
        assert page.locator("#primary-1").is_visible()
        assert log.complaints == []


@pytest.mark.parametrize("name", ["some", HOSTILE])
def test_every_kind_of_chart_is_drawn_and_names_stay_text(browser: Browser, tmp_path: Path, name: str) -> None:
    """Script in a name neither runs nor becomes an element: in a chart, its tip, a legend, a filter or a table."""
    path = tmp_path / "page.html"
    section = Section(id="one", title=name, lead=name, elements=every_kind(name))
    path.write_text(render_page(name, [section], lead=name), encoding="utf-8")
    shown = SHOWN if name == HOSTILE else name
    with opened(browser, path) as (page, log):
        assert min(marks_of(page)) > 4
        for place in range(5):
            page.locator(".chart").nth(place).focus()
            page.keyboard.press("ArrowRight")
            assert page.locator(".voice").nth(place).inner_text()
        # A dash and a comma aside, the voice of the third chart names its point in full.
        assert shown in page.locator(".voice").nth(2).inner_text()
        assert page.title() == shown
        assert page.locator("img, iframe, main script").count() == 0
        assert "\u202e" not in page.content()
        assert log == Log(requests=[path.as_uri()])


def test_charts_answer_to_the_keyboard_and_to_their_legend(browser: Browser, every_file: Path) -> None:
    """Arrow keys read the values out with intervals, and a legend's button takes a series away and brings it back."""
    with opened(browser, every_file) as (page, _):
        chart = page.locator(".chart").first
        chart.focus()
        page.keyboard.press("ArrowRight")
        voice = page.locator(".voice").first
        assert (
            voice.inner_text() == "some 0. all domains: 0.500 [0.400, 0.600] bits. 9 prompts. ceiling: 0.900 [0.800, 1]"
        )
        page.keyboard.press("ArrowRight")
        assert voice.inner_text().startswith("some 1. all domains: 0.200") or "0.100" in voice.inner_text()
        before = marks_of(page)[0]
        button = page.get_by_role("button", name="some 0").first
        button.press("Enter")
        assert button.get_attribute("aria-pressed") == "false"
        assert marks_of(page)[0] < before
        button.press("Enter")
        assert marks_of(page)[0] == before


def test_a_metamodel_that_is_chosen_keeps_its_baselines(browser: Browser, every_file: Path) -> None:
    """A figure without its baseline says nothing, so the filter cannot take it away; sums over domains stay too."""
    with opened(browser, every_file) as (page, log):
        page.locator(".bar select[data-facet=metamodel]").select_option("some 1")
        page.locator(".bar select[data-facet=domain]").select_option("some 2")
        page.locator(".chart").first.focus()
        heard = []
        for key in ("Home", "ArrowRight", "ArrowRight", "ArrowRight"):
            page.keyboard.press(key)
            heard.append(page.locator(".voice").first.inner_text().split(":")[0])
        assert heard == ["some 1. all domains", "prior. all domains", "some 1. some 2", "prior. some 2"]
        assert log.complaints == []


def test_tables_sort_and_filter_by_keyboard(browser: Browser, every_file: Path) -> None:
    """Numbers sort as numbers with gaps last both ways; a name and a typed word narrow the rows, and it is said."""
    with opened(browser, every_file) as (page, log):
        table = page.locator("table.data").last
        head = table.locator("th", has_text="bits")
        head.locator("button").focus()
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == "descending"
        assert column_of(page, 2) == ["10", "10", "2", "2", "2", "-1", "-1", "", ""]
        page.keyboard.press("Space")
        assert head.get_attribute("aria-sort") == "ascending"
        assert column_of(page, 2) == ["-1", "-1", "2", "2", "2", "10", "10", "", ""]
        filters = page.locator(".filters").last
        filters.locator("select").select_option("some 1")
        assert table.locator("tbody tr:not([hidden])").count() == 4
        filters.locator("input").fill("some 3")
        assert filters.locator("output").inner_text() == "1 of 9 rows"
        assert log.complaints == []


def column_of(page: Page, place: int) -> list[str]:
    """Return what a column of the last table sorts by, whole numbers without their decimals."""
    values = page.eval_on_selector_all(
        "div.table:last-of-type tbody tr", f"all => all.map(row => row.cells[{place}].dataset.value)"
    )
    return [str(value).removesuffix(".0") for value in values]


def test_the_theme_can_be_switched(browser: Browser, every_file: Path) -> None:
    """The button overrides what the system prefers, for page and charts alike, and says what it will do."""
    with opened(browser, every_file, "light") as (page, log):
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        chart = page.locator(".chart svg").first.inner_html()
        button = page.locator("button.theme")
        assert button.get_attribute("aria-label") == "Switch to dark colors"
        button.click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
        assert page.locator(".chart svg").first.inner_html() != chart
        assert button.get_attribute("aria-label") == "Switch to light colors"
        assert log.complaints == []


CONTRAST = """all => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => parts(color).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const back = (one) => {
    for (let e = one; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if ((parts(color)[3] ?? 1) > 0.99) return color;
    }
    return "rgb(255, 255, 255)";
  };
  return all.filter((one) => one.checkVisibility() && one.textContent.trim()).map((one) => {
    const [a, b] = [light(getComputedStyle(one).color), light(back(one))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.tagName + "." + one.className];
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_screen_reader_and_weak_eyes_are_served(browser: Browser, every_file: Path, scheme: str) -> None:
    """Every control and region has a name, every figure a caption, ids are unique, words stand out by 4.5 to 1."""
    with opened(browser, every_file, scheme) as (page, _):
        unnamed = page.eval_on_selector_all(
            "button, select, input, [role=region], [role=group], nav, [role=search]",
            "all => all.filter(e => !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).length",
        )
        assert unnamed == 0
        labels = page.eval_on_selector_all(
            "figure", "all => all.map(f => document.getElementById(f.getAttribute('aria-labelledby')).textContent)"
        )
        assert all(labels)
        assert (
            page.evaluate("new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size")
            == page.locator("[id]").count()
        )
        assert page.locator("th:not([scope])").count() == 0
        assert page.locator("h1").count() == 1
        selector = (
            "p, h1, h2, h3, h4, a, li, button, figcaption, summary, label, output, th, td, .detail, dt, dd, mark, .ctl"
        )
        found = page.eval_on_selector_all(selector, CONTRAST)
        assert len(found) > 50
        assert [one for one in found if one[0] < 4.5] == []


def test_without_scripts_the_figures_are_there(browser: Browser, small_inputs: ReportInputs, tmp_path: Path) -> None:
    """A reader that runs no script sees the drawings and every table, and no control that would do nothing."""
    path = tmp_path / "bare.html"
    path.write_text(render_report(small_inputs), encoding="utf-8")
    with opened(browser, path, scripts=False) as (page, log):
        assert page.locator(".drawing svg").count() == 2
        assert page.locator("table.data").first.is_visible()
        assert page.locator("button:visible, select:visible, input:visible").count() == 0
        page.locator("details.figures summary").first.click()
        assert page.locator("details.figures table").first.is_visible()
        assert log == Log(requests=[path.as_uri()])


def test_paper_shows_every_chart(browser: Browser, every_file: Path) -> None:
    """Charts fit the width of a page of paper, also those that were drawn for a dark screen."""
    with opened(browser, every_file, "dark") as (page, log):
        page.emulate_media(media="print")
        assert page.locator(".bar").is_hidden()
        page.set_viewport_size({"width": 700, "height": 1000})
        page.wait_for_timeout(100)
        widths = page.eval_on_selector_all(".chart svg", "all => all.map(svg => svg.getBoundingClientRect().right)")
        assert max(widths) <= 700
        assert len(page.pdf()) > 20_000
        assert log.complaints == []


def test_hostile_output_does_not_run(browser: Browser, small_inputs: ReportInputs, tmp_path: Path) -> None:
    """Script in an output neither runs nor becomes an element in a browser's own parser."""
    text = HOSTILE.removesuffix("\u202e")
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
        assert page.locator("script").count() == 3
        assert page.locator("td.text bdi").last.text_content() == text
        assert log == Log(requests=[path.as_uri()])
