"""Elements: any text is safe in them, tables say what they leave out, charts keep their figures."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamodel.report import html_page
from metamodel.report.chart_json import chart_to_json, to_safe_json
from metamodel.report.chart_tables import table_of
from metamodel.report.elements import (
    Bars,
    BarSeries,
    Bullets,
    Column,
    DataTable,
    Drawing,
    Estimate,
    Group,
    Heatmap,
    Lines,
    LineSeries,
    Merge,
    Points,
    PointSeries,
    Section,
    Tree,
    Widget,
    Words,
    write_page,
)
from metamodel.report.extra_sections import ExtraSections, extra_sections
from metamodel.report.html_page import render_page
from metamodel.report.html_tables import MAX_ROWS, lay_out_table, number_text, sample_rows
from metamodel.store.run_directory import RunDirectory

VENDOR = Path(html_page.__file__).parent / "assets" / "vendor"


@given(st.text())
def test_data_in_a_script_stays_data(text: str) -> None:
    """Whatever a name holds comes back as it was, and nothing in it ends the element or hides from a reader."""
    shown = to_safe_json({text: [text, None, 1.5]})
    assert json.loads(shown) == {text: [text, None, 1.5]}
    assert not set(shown) & set("<>&\u2028\u2029\u202e\u200b\ufeff")


def test_a_table_says_what_it_leaves_out() -> None:
    """Rows beyond what a page can hold are sampled, the same ones every time, in their order, with the count."""
    table = DataTable(title="t", columns=[Column(name="n", kind="number")], rows=[[n] for n in range(MAX_ROWS + 500)])
    shown = lay_out_table(table)
    values = [float(row[0].value or "nan") for row in shown.rows]
    assert len(values) == MAX_ROWS
    assert values == sorted(values)
    assert shown.count_text == "1,000 of 1,500 rows shown."
    assert lay_out_table(table) == shown
    few = DataTable(title="t", columns=[Column(name="n", kind="number")], rows=[[1]], n_total=100_000)
    assert lay_out_table(few).count_text == "1 of 100,000 rows shown."
    assert lay_out_table(DataTable(title="t", columns=few.columns, rows=[[1]])).count_text == ""


def test_a_sample_is_not_the_first_rows() -> None:
    """Rows come in the order of their domains: the first ones would show one domain alone."""
    drawn = sample_rows(10_000, limit=100)
    assert max(drawn) > 9_000
    assert len(set(drawn)) == 100


def test_a_gap_is_a_dash_with_its_reason() -> None:
    """A missing figure or interval carries a letter, once a reason; it sorts as a gap, not as a zero."""
    table = DataTable(
        title="t",
        columns=[Column(name="name"), Column(name="bits", kind="bits")],
        rows=[
            ["a", Estimate(value=math.nan, reason="no label")],
            ["b", Estimate(value=0.5, reason="few prompts")],
            ["c", Estimate(value=None, reason="no label")],
            ["d", Estimate(value=-0.25, low=-0.5, high=0.125, reason="never shown")],
        ],
    )
    shown = lay_out_table(table)
    cells = [row[1] for row in shown.rows]
    assert [cell.mark for cell in cells] == ["a", "b", "a", ""]
    assert [cell.value for cell in cells] == ["", "0.5", "", "-0.25"]
    assert cells[3].detail == "[\N{MINUS SIGN}0.500, 0.125]"
    assert shown.footnotes == [("a", "no label"), ("b", "few prompts")]


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [(-1234567, "number", "\N{MINUS SIGN}1,234,567"), (0.5, "number", "0.500"), (math.inf, "bits", "\N{INFINITY}"),
     (1, "share", "100.0 %"), (None, "bits", "\N{EN DASH}")],
)  # fmt: skip
def test_numbers_are_printed_by_their_column(value: float | None, kind: str, text: str) -> None:
    """Shares are percent, bits have three decimals, counts are whole, and a gap is a dash."""
    assert number_text(value, Column(name="c", kind=kind)) == text  # type: ignore[arg-type]  # a kind


def charts() -> dict[str, Bars | Lines | Points | Heatmap | Tree]:
    """Return one chart a kind, each with a gap and with names that are not names."""
    words = {"title": "t", "summary": "s"}
    return {
        "bars": Bars(
            **words, unit="bits", categories=["a", "<b>"], references=[BarSeries(name="ceiling", values=[1, 2])],
            series=[BarSeries(name="m", values=[0.5, None], lows=[0.4, None], highs=[0.6, None], ns=[10, 0])],
        ),
        "lines": Lines(
            **words, x_label="x", y_label="y",
            series=[LineSeries(name="m", xs=[1, 10], ys=[0.5, math.nan], lows=[0.1, None], highs=[0.9, None])],
        ),
        "points": Points(
            **words, x_label="x", y_label="y",
            series=[PointSeries(name="m", xs=[1, 2], ys=[0.5, None], labels=["p", "q"])],
        ),
        "heatmap": Heatmap(
            **words, unit="bits", row_names=["r", "s"], column_names=["c", "d"], values=[[1, None], [-0.5, 0.25]],
        ),
        "tree": Tree(
            **words, unit="distance", names=["a", "b", "c"],
            merges=[Merge(left=0, right=2, height=0.2, support=0.9), Merge(left=3, right=1, height=0.7)],
        ),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["bars", "lines", "points", "heatmap", "tree"])
def test_every_chart_carries_its_figures_twice(kind: str) -> None:
    """What a chart shows is there as JSON for its script and as a table for whoever has none; gaps are null."""
    chart = charts()[kind]
    shown = json.loads(to_safe_json(chart_to_json(chart)))
    assert shown["kind"] == kind
    table = lay_out_table(table_of(chart))
    texts = [cell.text for row in table.rows for cell in row]
    assert {"bars": "0.500", "lines": "0.500", "points": "0.500", "heatmap": "0.250", "tree": "90.0 %"}[kind] in texts
    assert "\N{EN DASH}" in texts


def test_a_tree_names_what_joins() -> None:
    """The table spells out the leaves of both branches, those of earlier joins too."""
    rows = table_of(charts()["tree"]).rows
    assert [row[:2] for row in rows] == [["a", "c"], ["a, c", "b"]]


def test_a_page_of_words_needs_no_library() -> None:
    """A megabyte of chart library stands only in pages that draw."""
    bare = render_page(
        "t", [Section(id="one", title="One", elements=[Words(paragraphs=["hello"]), Bullets(lines=["x"])])]
    )
    drawn = render_page("t", [Section(id="one", title="One", elements=[charts()["bars"]])])
    assert len(bare) < 60_000
    assert len(drawn) > 1_000_000


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ([Section(id="No Space", title="t")], "lower-case letters, digits and hyphens"),
        ([Section(id="a", title="t"), Section(id="a", title="t")], "two sections share an id"),
        (
            [Section(id="a", title="t", elements=[Widget(name="absent", data=None, summary="")])],
            "has no script absent.js",
        ),
        ([Section(id="a", title="t", elements=[Widget(name="../x", data=None, summary="")])], "must be an identifier"),
    ],
)
def test_pages_that_cannot_work_are_refused(sections: list[Section], message: str) -> None:
    """A clash or a missing script is the author's mistake, found when the page is written and not by its reader."""
    with pytest.raises(ValueError, match=message):
        render_page("t", sections)


@pytest.mark.parametrize(
    "inside",
    [
        "<script>1</script>",
        '<g onclick="1"/>',
        '<a href="#x"/>',
        '<use href="https://example.org/x"/>',
        "<style>a{}</style>",
    ],
)
def test_a_drawing_that_could_act_is_refused(inside: str) -> None:
    """A drawing goes into the page as it is, so nothing may come in with it."""
    drawing = Drawing(title="t", summary="s", svg=f'<svg xmlns="http://www.w3.org/2000/svg">{inside}</svg>')
    with pytest.raises(ValueError, match="refused"):
        render_page("t", [Section(id="a", title="t", elements=[drawing])])


def test_the_library_is_the_one_that_was_recorded() -> None:
    """The vendored file is the published one, bit for bit, with its license beside it."""
    import hashlib

    recorded = (VENDOR / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256((VENDOR / "echarts.min.js").read_bytes()).hexdigest() in recorded
    assert "Apache License" in (VENDOR / "echarts.LICENSE").read_text(encoding="utf-8")


def test_a_page_goes_to_a_file_or_into_a_run(tmp_path: Path) -> None:
    """One call serves stages of one run and of several."""
    sections = [Section(id="a", title="Here", elements=[Group(title="g", elements=[Words(paragraphs=["hello"])])])]
    write_page(tmp_path / "deep" / "page.html", "t", sections)
    run = RunDirectory.create_or_open(str(tmp_path / "run"), config={"name": "t"})
    write_page(run, "t", sections, name="other.html")
    assert run.read_text("other.html") == (tmp_path / "deep" / "page.html").read_text(encoding="utf-8")


def test_sections_of_other_stages_come_with_their_files(tmp_path: Path) -> None:
    """A stage that was not run adds nothing; one that was is given what it wrote."""

    def sections_of(found: object) -> list[Section]:
        return [Section(id="extra", title=str(found))]

    extra = [
        ExtraSections(file="here.json", sections_of=sections_of),
        ExtraSections(file="absent.json", sections_of=list),
    ]
    run = RunDirectory.create_or_open(str(tmp_path / "run"), config={"name": "t"})
    run.write_text("here.json", "[1]")
    assert extra_sections(run, extra) == [Section(id="extra", title="[1]")]
